"""Sentences with code in them: what stands between backticks, as an element."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

_CODE = re.compile(r"`([^`]+)`")


def marked(text: Any) -> Markup:
    """The text escaped, `code` in <code>. A backtick without its other half stays what it is."""
    from markupsafe import Markup, escape

    parts = _CODE.split(str(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
