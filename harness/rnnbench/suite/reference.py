"""What a suite may write under a probe, in words: each setting with its type, default and meaning."""

from __future__ import annotations

import dataclasses
import json
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from rnnbench.probe import Probe

_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
_LIMITS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


@dataclasses.dataclass(frozen=True)
class Setting:
    """default: as YAML has it, `required` where there is none. meaning: of the class's docstring, may be empty."""

    name: str
    type: str
    default: str
    meaning: str


def settings(probe: Probe) -> list[Setting]:
    """The settings of a probe, in the order of its class."""
    hints = get_type_hints(probe.settings, include_extras=True)
    fields = [field for field in dataclasses.fields(probe.settings) if field.init]
    meaning = meanings(probe.settings.__doc__ or "", [field.name for field in fields])
    return [
        Setting(field.name, type_text(hints[field.name]), _default(field), meaning.get(field.name, ""))
        for field in fields
    ]


def meanings(docstring: str, names: Sequence[str]) -> dict[str, str]:
    """What a docstring of the form `modes: which passes. lr, clip: see there.` says of each name."""
    text = " ".join(docstring.split())
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    heads = (
        list(re.finditer(rf"(?:^|(?<=[.:;] ))((?:{one})(?:(?:, | and |, and )(?:{one}))*): ", text)) if names else []
    )
    found = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        meaning = text[head.end() : after.start() if after else len(text)].strip().removesuffix(";")
        found |= dict.fromkeys(re.findall(rf"\b(?:{one})\b", head[1]), meaning[:1].upper() + meaning[1:])
    return found


def type_text(hint: Any) -> str:
    """`whole number ≥ 1`, `adam | sgd`, `list of whole numbers ≥ 1 or null`, as a suite writes it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [f"{sign} {getattr(limit, name)}" for limit in arguments[1:] for sign, name in _limit(limit)]
        return " ".join([type_text(arguments[0]), " and ".join(limits)]).strip()
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is Union or origin is types.UnionType:
        return " or ".join(map(type_text, arguments))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        inner = type_text(next((each for each in arguments if each is not Ellipsis), str))
        return f"list of {inner}"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _limit(limit: object) -> list[tuple[str, str]]:
    return [_LIMITS[type(limit)]] if type(limit) in _LIMITS else []


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "required"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return _yaml(value)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
