"""From `module:Class`, or `path/to/file.py:Class`, to the class."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnbench import import_file
from rnnbench_adapters import keras_modules
from rnnbench_adapters.classes import Unusable


def name_of(target: str) -> str:
    """The name of the cell: the target without the folders of its file."""
    return target.rpartition("/")[2]


def load_class(target: str) -> type:
    """Import the class. Raises Unusable where it is not there."""
    head, _, name = target.rpartition(":")
    module = load_module(head)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Unusable(f"{head} has no {name!r}.{_near(name, module)}")
        found = getattr(found, part)
    if not inspect.isclass(found):
        raise Unusable(f"{name!r} of {head} is no class but a {type(found).__name__}")
    return found


def load_module(head: str) -> ModuleType:
    """Import a module by its name, or a file by its path, with its folder last on `sys.path`."""
    keras_modules.choose()
    if not head.endswith(".py"):
        return importlib.import_module(head)
    file = Path(head).expanduser().resolve()
    if not file.is_file():
        raise Unusable(f"there is no file {file}")
    known = sys.modules.get(f"rnnbench_class_{file.stem}")
    return known if known is not None and known.__file__ == str(file) else import_file(file, "class")


def matching(target: str) -> list[str]:
    """The targets that `module:pattern` stands for, classes alone; the target itself where it has no pattern."""
    head, _, pattern = target.rpartition(":")
    if not any(letter in pattern for letter in "*?"):
        return [target]
    found = {
        name
        for name, value in vars(load_module(head)).items()
        if inspect.isclass(value) and not name.startswith("_") and fnmatch.fnmatchcase(name, pattern)
    }
    return [f"{head}:{name}" for name in sorted(found)]


def _near(name: str, module: ModuleType) -> str:
    import difflib

    classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
    close = difflib.get_close_matches(name, classes, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
