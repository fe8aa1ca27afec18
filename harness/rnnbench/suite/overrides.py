"""What the command line changes of a suite: `--set` before it is planned, `--only` after."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.case import AXES, Case
from rnnbench.errors import SuiteError, UsageError, nearest
from rnnbench.registry import spelling
from rnnbench.suite.document import Document, parse
from rnnbench.suite.problems import KeyPath, Location, Locations, unknown
from rnnbench.suite.schema import Suite

_ABSENT = object()
MAX_LENGTH = 4096
"""Characters of one `--set` or `--only`."""
MAX_LEVELS = 8
"""Parts of a dotted key."""
_SEPARATOR = re.compile(r"[,;](?![^(]*\))")
_SETTABLE = [key for key in Suite.model_fields if key not in ("plugins", "profiles")]
_GRID = (*AXES, "params")
_RIVALS = {"params": "hidden_size", "hidden_size": "params"}
"""Two ways to say one thing: to override the one is to drop the other."""


def overridden(
    document: Document, overrides: Sequence[str], settings: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, Any], Locations]:
    """The document's data and locations, with the chosen profiles and then the other overrides merged over them.

    Each override is `key=value`: a dotted path (`probes.convergence.max_steps=100`), an axis for short (`seq_len=64`
    is `grid.seq_len=64`), or `profile=NAME`. Values are YAML. Mappings merge, everything else is replaced. settings:
    name of a setting -> the probes that have it, for a hint where it stands alone.
    """
    data, locations = copy.deepcopy(document.data), dict(document.locations)
    _spell_executor(data)
    patches = [_patch(text, settings) for text in overrides]
    profiles = data.pop("profiles", {})
    for patch, own in patches:
        if "profile" in patch:
            name = patch["profile"]
            if not isinstance(name, str) or name not in profiles:
                raise SuiteError(f"{own[()].text}: {unknown('profile', name, profiles)}")
            _overlay(data, locations, _spell_executor({**profiles[name]}), document.locations, (), ("profiles", name))
    for patch, own in patches:
        if "profile" not in patch:
            _overlay(data, locations, patch, own, (), ())
    return data, locations


def _spell_executor(data: dict[str, Any]) -> dict[str, Any]:
    """Its name as a mapping, over which options can be merged."""
    if isinstance(data.get("executor"), str):
        data["executor"] = {"name": data["executor"]}
    return data


def _patch(text: str, settings: Mapping[str, Sequence[str]] | None = None) -> tuple[dict[str, Any], Locations]:
    """`a.b=1` -> ({"a": {"b": 1}}, the location of each level)."""
    key, equals, value_text = text.partition("=")
    location = Location(0, f"--set {text if len(text) <= 80 else text[:77] + '...'}")
    _refuse_long("--set", text)
    parts = key.strip().split(".")
    if len(parts) > MAX_LEVELS:
        raise SuiteError(f"{location.text}: the key has {len(parts)} levels; a suite has at most {MAX_LEVELS}.")
    if not equals or not all(parts):
        raise SuiteError(f"{location.text}: write `key=value`, for instance `seq_len=64` or `grid.cell=[lstm, gru]`.")
    if parts[0] not in (*_SETTABLE, *_GRID, "profile") or (parts[0] == "profile" and len(parts) > 1):
        if probes := (settings or {}).get(key.strip()):
            full = " or ".join(f"--set probes.{probe}.{text.strip()}" for probe in probes)
            raise SuiteError(f"{location.text}: {key.strip()!r} is a setting of a probe: write {full}")
        raise SuiteError(f"{location.text}: {unknown('key', key, [*_SETTABLE, *_GRID, 'profile'])}")
    parts += ["name"] if parts == ["executor"] else []
    path: KeyPath = ("grid", *parts) if parts[0] in _GRID else tuple(parts)
    value, locations = parse(value_text, location.text, lines=False)
    for part in reversed(path):
        value = {part: value}
    levels = [path[:length] for length in range(len(path) + 1)] + [path + inner for inner in locations]
    return value, dict.fromkeys(levels, location)


def _refuse_long(option: str, text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise UsageError(f"{option} {text[:40]}...: {len(text):,} characters; at most {MAX_LENGTH:,} are read.")


def _overlay(
    data: dict[str, Any],
    locations: Locations,
    patch: Mapping[str, Any],
    patch_locations: Locations,
    here: KeyPath,
    there: KeyPath,
) -> None:
    """Merge `patch` over `data` in place; `here` and `there` are their paths in the two sets of locations."""
    for key, value in patch.items():
        if here[-1:] == ("grid",) and key in _RIVALS and _RIVALS[key] not in patch:
            data.pop(_RIVALS[key], None)
        path, source, old = (*here, key), (*there, key), data.get(key)
        if path == ("executor",) and _is_another(old, value):
            old = None  # whose options mean nothing to this one
        if isinstance(old, dict) and isinstance(value, dict):
            _overlay(old, locations, value, patch_locations, path, source)
        elif not (isinstance(old, dict) and value is None):  # a probe written as null has no settings to merge
            if isinstance(old, dict | list):
                for stale in [p for p in locations if p[: len(path)] == path]:
                    del locations[stale]
            data[key] = value
            _copy_locations(value, path, source, locations, patch_locations)


def _is_another(old: Any, new: Any) -> bool:
    """Whether an executor is replaced by one of another name."""
    return isinstance(old, dict) and isinstance(new, dict) and "name" in new and new["name"] != old.get("name")


def _copy_locations(
    value: Any, path: KeyPath, source: KeyPath, locations: Locations, patch_locations: Locations
) -> None:
    """The locations of a value that was taken over; what an override writes inside it has the override's location."""
    if source in patch_locations:
        locations[path] = patch_locations[source]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _copy_locations(item, (*path, key), (*source, key), locations, patch_locations)


def selected(cases: Sequence[Case], filters: Sequence[str]) -> tuple[Case, ...]:
    """The cases that pass every filter, `cell=lstm|gru,backend=torch`.

    Keys are axes, `probe`, `machine`, or settings of a probe; a case without it does not pass. Pairs are separated by
    commas or semicolons outside parentheses; several values of one key by `|`, by commas, or by repeating the key. A
    name without options stands for all its options. Raises UsageError for an unknown key, a value that no case has, or
    when no case is left.
    """
    wanted = _wanted(filters)
    passing = tuple(cases)
    for key, patterns in wanted.items():
        kept = _kept(cases, key, patterns)
        passing = tuple(case for case in passing if _text(_value(case, key)) in kept)
    if not passing:
        raise UsageError(f"--only {' '.join(filters)}: no case has all of these at once; --dry-run lists the cases.")
    return passing


def _wanted(filters: Sequence[str]) -> dict[str, list[str]]:
    """`["cell=lstm|gru,backend=torch"]` -> {"cell": ["lstm", "gru"], "backend": ["torch"]}."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        _refuse_long("--only", text)
        key = ""
        for part in _SEPARATOR.split(text):
            name, equals, _ = part.partition("(")[0].partition("=")
            if equals:
                key, part = name.strip(), part.partition("=")[2]
            if not key or not part.strip():
                raise UsageError(f"--only {text!r}: write `key=value`, for instance `cell=lstm|gru,backend=torch`.")
            wanted.setdefault(key, []).extend(value.strip() for value in part.split("|"))
    return wanted


def _kept(cases: Sequence[Case], key: str, patterns: Sequence[str]) -> set[str]:
    """The values of `key` that some pattern stands for, as JSON text."""
    values = {_text(value): value for case in cases if (value := _value(case, key)) is not _ABSENT}
    if not values:
        settings = dict.fromkeys(name for case in cases for name in case.settings)
        raise UsageError(f"--only {key}=...: {unknown('key', key, dict.fromkeys(['probe', *_GRID, *settings]))}")
    kept: set[str] = set()
    for pattern in patterns:
        found = {text for text, value in values.items() if matches(pattern, value)}
        if not found:
            names = [value if isinstance(value, str) else text for text, value in values.items()]
            near = nearest(pattern, names)
            raise UsageError(f"--only {key}={pattern}: no case has it; there are: {', '.join(names)}.{near}")
        kept |= found
    return kept


def matches(pattern: Any, value: Any) -> bool:
    """Whether a written value stands for a case's: itself in any spelling, or a name for all its options."""
    if isinstance(value, list):
        return any(matches(pattern, item) for item in value)
    if isinstance(value, str):
        return pattern in (value, value.partition("(")[0]) or _canonical(str(pattern)) == value
    if isinstance(pattern, str):
        pattern, _ = parse(pattern, f"--only ...={pattern}", lines=False)
    return pattern == value and isinstance(pattern, bool) == isinstance(value, bool)


def _canonical(text: str) -> str | None:
    try:
        return spelling.spell(*spelling.parse(text))
    except UsageError:
        return None


def _value(case: Case, key: str) -> Any:
    if key == "machine":
        return case.machine or _ABSENT
    return getattr(case, key) if key in (*_GRID, "probe") else case.settings.get(key, _ABSENT)


def _text(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value)
