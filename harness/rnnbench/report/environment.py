"""What a report says of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def environment_lines(environment: Mapping[str, Any] | None) -> list[str]:
    """One line per distinct machine. Takes one environment of `run.json` or its whole mapping id -> environment."""
    if not environment:
        return []
    many = all(isinstance(value, Mapping) for value in environment.values()) and "versions" not in environment
    entries = environment.values() if many else [environment]
    return list(dict.fromkeys(line for entry in entries if (line := environment_line(entry))))


def environment_line(environment: Mapping[str, Any]) -> str:
    """`AMD EPYC 7B13, Linux-6.1, Python 3.11.7, torch 2.13.0`."""
    parts = [_text(environment.get(key)) for key in ("cpu", "os")]
    if python := _text(environment.get("python")):
        parts.append(python if python.lower().startswith(("python", "cpython")) else f"Python {python}")
    versions = environment.get("versions") or {}
    parts += [f"{name} {version}" for name, version in versions.items() if isinstance(version, str)]
    return ", ".join(filter(None, parts))


def _text(value: Any) -> str:
    """A text, or the name in a structured entry."""
    if isinstance(value, Mapping):
        value = value.get("model") or value.get("name") or value.get("version")
    return "" if value is None else str(value)
