"""Names of classes of other libraries, where the name of a cell may stand.

`module:Class`, `path/to/file.py:Class`; the class may be a pattern, `torchrecurrent:*Cell`. The cell that comes of it
is named without the folders of its file.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from rnnbench.errors import UsageError
from rnnbench.registry import spelling

_PATTERN = "*?"


def is_target(text: str) -> bool:
    """Whether a plugin or a cell is named by its class."""
    head, colon, name = text.partition("(")[0].strip().rpartition(":")
    return bool(colon and head and name) and "\\" not in text


def cell_name(target: str) -> str:
    """The name of the cell that a target stands for; another text is returned as it is."""
    return target.rpartition("/")[2] if is_target(target) else target


def absolute(target: str, folder: Path) -> str:
    """The target with the path of its file made absolute, relative to `folder`."""
    head, _, name = target.rpartition(":")
    return f"{(folder / Path(head).expanduser()).resolve()}:{name}" if head.endswith(".py") else target


def has_pattern(text: str) -> bool:
    """Whether a name stands for several."""
    return any(letter in text.partition("(")[0] for letter in _PATTERN)


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names of cells that a target with a pattern stands for."""
    return [name for name in names if fnmatch.fnmatchcase(name, cell_name(pattern))]


def named_in(texts: Iterable[object], folder: Path) -> list[str]:
    """The targets among the names of cells, options left out, each once."""
    found: dict[str, None] = {}
    for text in texts:
        if isinstance(text, str) and is_target(text):
            try:
                name, _ = spelling.parse(text)
            except UsageError:  # the plan tells it with its line
                continue
            found[absolute(name, folder)] = None
    return list(found)
