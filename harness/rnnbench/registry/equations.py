"""The equations of a cell, as its author wrote them: the string that stands below it in its source."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

from rnnbench.cell import BOUND, Cell


def equations(cell: Cell) -> str:
    """The string literal after `name = Cell(...)`; else what the cell's own functions say; else nothing."""
    functions = [function for name in ("init", *BOUND) if (function := getattr(cell, name)) is not None]
    for module in dict.fromkeys(map(_module, functions)):
        if module is not None and cell.name in (written := _written(module)):
            return written[cell.name]
    texts = (f"{name}: {' '.join(text.split())}" for name in BOUND if (text := _doc(getattr(cell, name))))
    return "\n".join(texts)


def _module(function: Any) -> ModuleType | None:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return sys.modules.get(getattr(function, "__module__", ""))


def _doc(function: Any) -> str:
    while hasattr(function, "func"):
        function = function.func
    return (getattr(function, "__doc__", "") or "") if function is not None else ""


@cache
def _written(module: ModuleType) -> dict[str, str]:
    """Name of a cell -> the string below it, for the cells that a module assigns to names."""
    try:
        body = ast.parse(inspect.getsource(module)).body
    except (OSError, TypeError, SyntaxError):
        return {}
    found = {}
    for statement, following in pairwise(body):
        match statement, following:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                value = getattr(module, name, None)
                if isinstance(value, Cell):
                    found[value.name] = inspect.cleandoc(text)
    return found
