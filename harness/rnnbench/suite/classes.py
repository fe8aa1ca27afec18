"""The classes that a suite and its overrides name where a cell is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.registry import targets
from rnnbench.suite.document import Document
from rnnbench.suite.overrides import overridden


def classes_named(document: Document, overrides: Sequence[str] = ()) -> list[str]:
    """Targets such as `torchrecurrent:MGUCell`, files relative to the suite; from `overrides`, to this folder."""
    from pathlib import Path

    try:
        data, _ = overridden(document, overrides)
    except UsageError:  # planning says what is wrong, knowing the probes and their settings
        data = document.data
    of_suite = targets.named_in(_cells(document.data), document.path.parent)
    relative = {targets.cell_name(target): target for target in of_suite}
    given = targets.named_in(_cells(data), Path.cwd())
    return list(dict.fromkeys(relative.get(targets.cell_name(target), target) for target in given))


def _cells(value: Any) -> Iterator[Any]:
    """Everything under a key `cell`, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "cell":
                yield from inner if isinstance(inner, list) else [inner]
            else:
                yield from _cells(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _cells(inner)
