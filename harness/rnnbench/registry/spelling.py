"""How names with options are spelled: `lstm`, `lstm(forget_bias=5)`, `copy(symbols=4, items=5)`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rnnbench.cell import Option
from rnnbench.errors import UsageError, nearest

_CALL = re.compile(r"^\s*([A-Za-z_.~/][\w.:~/*?-]*)\s*(?:\((.*)\))?\s*$", re.DOTALL)


def parse(text: str) -> tuple[str, dict[str, Option]]:
    """`"lstm(forget_bias=5)"` -> `("lstm", {"forget_bias": 5})`. Raises UsageError for anything else."""
    name, options = _written(text)
    return name, {key: _value(value) for key, value in options.items()}


def _written(text: str) -> tuple[str, dict[str, str]]:
    """As `parse`, with the values as they are written."""
    match = _CALL.match(text)
    if match is None:
        raise UsageError(f"{text!r} is not a name. Write `name` or `name(option=value, ...)`.")
    options: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise UsageError(f"{part!r} in {text!r} is not an option. Write `name(option=value, ...)`.")
        if key in options:
            raise UsageError(f"option {key!r} stands twice in {text!r}.")
        options[key] = value
    return match[1], options


def spell(name: str, options: Mapping[str, Option]) -> str:
    """The one canonical spelling: options in alphabetical order."""
    if not options:
        return name
    return f"{name}({', '.join(f'{key}={_text(options[key])}' for key in sorted(options))})"


def checked(text: str, kind: str, defaults: Mapping[str, Option]) -> dict[str, Option]:
    """The options of `text`, checked against the names and types of `defaults`; only those given.

    What stands for text is text, also where it looks like a number: a file may be called 1984.
    """
    name, written = _written(text)
    options: dict[str, Option] = {}
    for key, value in written.items():
        if key not in defaults:
            allowed = ", ".join(sorted(defaults)) or "none"
            hint = nearest(key, defaults)
            raise UsageError(f"{kind} {name!r} has no option {key!r}; its options: {allowed}.{hint}")
        known = defaults[key]
        options[key] = (
            value if isinstance(known, str) else _as(type(known), _value(value), f"option {key!r} of {kind} {name!r}")
        )
    return options


def _as(kind: type, value: Option, what: str) -> Option:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{what} must be {kind.__name__}, found {value!r}.")
    return value


def _value(text: str) -> Option:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _text(value: Option) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value + 0.0:g}"  # 5.0 and 5 are one option, -0.0 and 0 as well: spelled the same
        return short if float(short) == value else repr(value)
    return str(value)
