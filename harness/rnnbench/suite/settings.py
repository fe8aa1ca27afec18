"""A probe's settings: from what the suite says to the complete settings of each case."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rnnbench.probe import Probe
from rnnbench.suite.names import Names
from rnnbench.suite.problems import KeyPath, Problems, shown, unknown
from rnnbench.suite.schema import ProbeEntry, complaint

MAX_VARIANTS = 10_000
Settings = Mapping[str, Any]


def variants(probe: Probe, entry: ProbeEntry, path: KeyPath, names: Names, problems: Problems) -> list[Settings]:
    """Every combination of the settings, complete with defaults, as JSON values; in the order of the class's fields."""
    before = len(problems)
    fields = problems.ask(path, f"reading the settings of probe {probe.name!r}", lambda: _fields(probe.settings))
    if fields is None:
        return []
    choices: dict[str, list[Any]] = {}
    given = _given(entry, fields, path, problems)
    for key in filter(given.__contains__, fields):
        choices[key] = _checked(given[key], fields[key], (*path, key), problems)
    if probe.uses_task and ("task" in choices or hasattr(probe.settings, "task")):
        if "task" not in choices:
            choices["task"] = [probe.settings.task]  # a default may be in any spelling too
        choices["task"] = [
            task if task is None else names.task(task, (*path, "task", index))
            for index, task in enumerate(choices["task"])
        ]
    _require(probe, fields, given, path, problems)
    if len(problems) > before:
        return []
    if (count := math.prod(map(len, choices.values()))) > MAX_VARIANTS:
        problems.add(path, f"its lists multiply to {count:,} combinations; at most {MAX_VARIANTS:,} are allowed")
        return []
    return _combinations(probe, fields, choices, path, problems)


def _fields(settings: type[Any]) -> dict[str, Any]:
    """Field -> type, for a settings class whose every type can be checked."""
    hints = get_type_hints(settings, include_extras=True)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(settings) if field.init}
    for hint in fields.values():
        _adapter(hint)
    return fields


def _given(entry: ProbeEntry, fields: Mapping[str, Any], path: KeyPath, problems: Problems) -> dict[str, list[Any]]:
    """Setting -> the values to multiply with; `seeds` has become `replicate`."""
    written = dict(entry.model_extra or {})
    allowed = [*fields, "grid", *(["seeds"] if "replicate" in fields else [])]
    if "seeds" in entry.model_fields_set:
        if "seeds" not in allowed:
            problems.add((*path, "seeds"), unknown("setting", "seeds", allowed))
        elif "replicate" in written:
            problems.add((*path, "seeds"), "`seeds: N` stands for `replicate: [0, ..., N-1]`; keep one of them")
        else:
            written["replicate"] = list(range(entry.seeds))
    for key in written.keys() - fields.keys():
        problems.add((*path, key), unknown("setting", key, allowed))
    given = {key: _multiplied(value, fields[key]) for key, value in written.items() if key in fields}
    for key in [key for key, values in given.items() if not values]:
        problems.add((*path, key), "found []; a list that multiplies cases needs at least one value")
    return given


def _multiplied(value: Any, hint: Any) -> list[Any]:
    """The values to multiply with. A single value of a setting that is a list stands for a list of one."""
    if _is_list(hint):
        return [value if isinstance(value, list) or value is None else [value]]
    return value if isinstance(value, list) else [value]


def _is_list(hint: Any) -> bool:
    """Whether a YAML list is one value of this type, rather than several."""
    origin = get_origin(hint)
    if origin is Annotated or origin is Union or origin is types.UnionType:
        return any(_is_list(part) for part in get_args(hint))
    kind = origin or hint
    return isinstance(kind, type) and issubclass(kind, Sequence | set | frozenset) and not issubclass(kind, str)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _checked(values: list[Any], hint: Any, path: KeyPath, problems: Problems) -> list[Any]:
    """The values in the field's type; through JSON, where a list may become a tuple but "1" never becomes 1."""
    found = []
    for index, value in enumerate(values):
        try:
            found.append(_adapter(hint).validate_json(json.dumps(value)))
        except ValidationError as error:
            details = error.errors(include_url=False)
            messages = list(dict.fromkeys(complaint(detail) for detail in details))
            problems.add((*path, index), " or ".join(messages))
    return found


def _require(probe: Probe, fields: Mapping[str, Any], given: Settings, path: KeyPath, problems: Problems) -> None:
    for field in dataclasses.fields(probe.settings):
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name in fields and field.name not in given and not optional:
            problems.add((*path, field.name), f"is missing, and has no default; probe {probe.name!r} needs it")


def _combinations(
    probe: Probe, fields: Mapping[str, Any], choices: Mapping[str, list[Any]], path: KeyPath, problems: Problems
) -> list[Settings]:
    found: dict[str, Settings] = {}
    for combination in itertools.product(*choices.values()):
        chosen = dict(zip(choices, combination, strict=True))
        try:
            settings = probe.settings(**chosen)
        except Exception as error:  # whatever a plugin's __post_init__ raises
            found_here = ", ".join(f"{key}={shown(value)}" for key, value in chosen.items())
            problems.add(path, f"found {found_here}; {error}")
            continue
        values = {key: _adapter(hint).dump_python(getattr(settings, key), mode="json") for key, hint in fields.items()}
        found.setdefault(json.dumps(values), values)
    return list(found.values())
