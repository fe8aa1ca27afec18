"""What a plugin's hooks returned, checked before anything is run."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnbench import scans
from rnnbench.adapter import Adapter
from rnnbench.backend import Backend
from rnnbench.cell import BOUND, COUNTED, Cell, Option, is_plain, keywords
from rnnbench.errors import PluginError
from rnnbench.executor import Executor
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.registry import place
from rnnbench.task import Task

KINDS: dict[str, type] = {
    "rnnbench_cells": Cell,
    "rnnbench_implementations": Implementation,
    "rnnbench_backends": Backend,
    "rnnbench_tasks": Task,
    "rnnbench_probes": Probe,
    "rnnbench_executors": Executor,
    "rnnbench_adapters": Adapter,
}
_NAME = re.compile(r"[A-Za-z_][\w.:-]*")
_ARGUMENTS: dict[type, dict[str, tuple[str, ...]]] = {
    Cell: {
        "init": ("rng", "D", "H"),
        "step": ("ops", "params", "state", "z"),
        "project": ("ops", "params", "xs_TBD"),
        "linear": ("ops", "params", "zs"),
        "output": ("ops", "params", "hs", "zs"),
        "unroll": ("params", "state", "xs_TBD"),
        "derive": ("ops", "params"),
        "output_size": ("D", "H"),
        "elements": ("ops", "params", "zs"),
        "combine": ("ops", "earlier", "later"),
        "chunk": ("ops", "params", "state", "zs"),
    },
    Implementation: {
        "supports": ("cell", "device", "dtype"),
        "build": ("cell", "device", "dtype"),
        "prepare": ("params",),
        "interpreter": ("device",),
    },
}
"""What the functions of a value are called with."""


def kind_of(hook: str) -> str:
    """`rnnbench_cells` -> `cell`."""
    return hook.removeprefix("rnnbench_").removesuffix("s")


def key_of(value: Any) -> str:
    """The name under which a value is known; an implementation's has its backend before it."""
    return f"{value.backend}/{value.name}" if isinstance(value, Implementation) else value.name


def checked(hook: str, values: Any) -> Sequence[Any]:
    """The values of a hook. Raises PluginError for the first that is of no use, with what to do."""
    kind = KINDS[hook]
    if not isinstance(values, list | tuple):
        raise PluginError(f"{hook} returned {a(values)}; return a list of rnnbench.{kind.__name__}")
    for value in values:
        if not isinstance(value, kind):
            raise PluginError(f"{hook} returned {a(value)} in its list; it must be a rnnbench.{kind.__name__}")
        if not isinstance(value.name, str) or not _NAME.fullmatch(value.name):
            raise PluginError(f"{hook}: {value.name!r} is not a name; use letters, digits, and _ . : -")
        _check_functions(kind, value)
    return values


def check_distinct(brought: Sequence[tuple[str, Any]]) -> None:
    """Raises PluginError where one plugin brings two values of one kind and name."""
    counts = Counter((kind, key_of(value)) for kind, value in brought)
    for (kind, name), count in counts.items():
        if count > 1:
            twins = [value for other, value in brought if (other, key_of(value)) == (kind, name)]
            first, second = (_place_of(value) for value in twins[:2])
            raise PluginError(
                f"it brings two {kind}s named {name!r}, the first{first or ' one'} and the second{second or ' one'}; "
                "rename one"
            )


def a(value: Any) -> str:
    """`a list`, `an int`."""
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _check_functions(kind: type, value: Any) -> None:
    """Catch what could only fail later, in a process of its own."""
    what = f"{kind.__name__.lower()} {value.name!r}"
    if isinstance(value, Cell):
        _check_mathematics(what, value)
    if isinstance(value, Cell):
        _check_options(what, value)
        _check_declarations(what, value)
    if isinstance(value, Implementation) and (type(value.block) is not int or value.block < 0):
        raise PluginError(f"{what}: `block` is {value.block!r}; give the time steps of one call of its kernel, or 0")
    for name, arguments in _ARGUMENTS.get(kind, {}).items():
        function = getattr(value, name)
        if function is None:
            continue
        if not callable(function):
            raise PluginError(f"{what}: `{name}` is {a(function)}; give a function {name}({', '.join(arguments)})")
        if not takes(function, len(arguments)):
            raise PluginError(
                f"{what}: `{name}` must take {len(arguments)} argument{'s' * (len(arguments) > 1)}: "
                f"{name}({', '.join(arguments)}){place.of_function(function)}"
            )


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments, and its keyword-only ones by name."""
    if is_plain(function):
        code = function.__code__
        needed = code.co_argcount - len(function.__defaults__ or ())
        return needed <= count and (count <= code.co_argcount or bool(code.co_flags & inspect.CO_VARARGS))
    try:
        inspect.signature(function).bind(*range(count), **dict.fromkeys(keywords(function)))
    except (TypeError, ValueError):
        return False
    return True


def _check_mathematics(what: str, cell: Cell) -> None:
    """A cell is written in one way."""
    ways = [name for name in ("step", "linear", "elements") if getattr(cell, name) is not None]
    if ways == ["step", "linear"]:
        raise PluginError(f"{what} has both `step` and `linear`; a linear cell's step is derived: drop it")
    if len(ways) > 1:
        raise PluginError(f"{what} has {' and '.join(map(repr, ways))}; keep one: the step of a scan is derived")
    if cell.scan is not None and cell.scan not in scans.KINDS:
        raise PluginError(f"{what}: `scan` is {cell.scan!r}; it is one of {', '.join(scans.KINDS)}")
    if (cell.scan is None) != (cell.elements is None):
        raise PluginError(f"{what} has one of `scan` and `elements`; give both, or neither")
    if (cell.scan == "semigroup") != (cell.combine is not None):
        raise PluginError(f'{what}: `combine` goes with scan="semigroup", and with nothing else')
    if cell.chunk is not None and cell.step is None:
        raise PluginError(f"{what}: `chunk` goes beside `step`, with which it is compared; give both")


def _check_declarations(what: str, cell: Cell) -> None:
    """What a cell says of itself, and what its functions ask for by keyword."""
    if not isinstance(cell.frozen, tuple | list) or not all(isinstance(name, str) for name in cell.frozen):
        raise PluginError(f'{what}: `frozen` is {cell.frozen!r}; give a tuple of names, frozen=("W",)')
    if cell.recurrence not in (None, "elementwise"):
        raise PluginError(f'{what}: `recurrence` is {cell.recurrence!r}; it is "elementwise", or left out')
    if not callable(cell.lookback) and (type(cell.lookback) is not int or cell.lookback < 0):
        raise PluginError(f"{what}: `lookback` is {cell.lookback!r}; give the number of earlier inputs, 3 say")
    if not callable(cell.chunk_steps) and (type(cell.chunk_steps) is not int or cell.chunk_steps < 1):
        raise PluginError(f"{what}: `chunk_steps` is {cell.chunk_steps!r}; give the most steps of a chunk, 64 say")
    for name in (*BOUND, *(name for name in COUNTED if callable(getattr(cell, name)))):
        function = getattr(cell, name)
        given = ("past", "steps") if name == "project" else ()
        for asked in keywords(function):
            if asked not in cell.options and asked not in given:
                known = ", ".join((*cell.options, *given)) or "none"
                raise PluginError(
                    f"{what}: `{name}` asks by keyword for {asked!r}, which is no option of the cell; name it with its "
                    f"default in `options` (there: {known}){place.of_function(function)}"
                )
    looks = "past" in keywords(cell.project)
    if looks and not cell.lookback:
        raise PluginError(f"{what}: `project` asks for `past`, but the cell has no `lookback`; say lookback=3, say")
    if cell.lookback and not looks:
        raise PluginError(
            f"{what} has a `lookback`, but its `project` takes no earlier inputs: write "
            "project(ops, params, xs, *, past)"
        )


def _check_options(what: str, cell: Cell) -> None:
    """Options are what `init` takes by keyword, with the defaults that it has itself."""
    if not isinstance(cell.options, Mapping):
        raise PluginError(f"{what}: `options` is {a(cell.options)}; give names and defaults, {{'heads': 4}}")
    for option, default in cell.options.items():
        if not isinstance(default, Option):
            raise PluginError(f"{what}: option {option!r} is {default!r}; an option is a number, a text, True or False")
    if not cell.options or not callable(cell.init):
        return
    taken = inspect.signature(cell.init).parameters  # which takes long: most cells have no options
    if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        return
    for option, default in cell.options.items():
        where = place.of_function(cell.init)
        if option not in taken:
            raise PluginError(
                f"{what}: `options` names {option!r}, which `init` does not take; write init(rng, D, H, *, "
                f"{option}={default!r}){where}"
            )
        own = taken[option].default
        if own not in (inspect.Parameter.empty, None, default):
            raise PluginError(
                f"{what}: `options` says {option}={default!r} and `init` {option}={own!r}; give both one default{where}"
            )


def _place_of(value: Any) -> str:
    """Where the first function of a value is written."""
    functions = (getattr(value, name) for name in _ARGUMENTS.get(type(value), {}))
    return next((place.of_function(function) for function in functions if callable(function)), "")
