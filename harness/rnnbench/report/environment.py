"""What a report says of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def environment_lines(environment: Mapping[str, Any] | None, kinds: Mapping[str, str] | None = None) -> list[str]:
    """One line per distinct machine, behind the ids that rows have where there are several. Takes one environment of
    `run.json`, or its whole mapping id -> environment. kinds: what rows say in place of an id.
    """
    if not environment:
        return []
    named = {"": environment} if "machine" in environment else environment
    names: dict[str, list[str]] = {}
    for name, entry in named.items():
        if line := environment_line(entry):
            names.setdefault(line, []).append((kinds or {}).get(name, name))
    return [f"{', '.join(ids)}: {line}" if len(named) > 1 else line for line, ids in names.items()]


def environment_line(environment: Mapping[str, Any]) -> str:
    """`AMD EPYC 7B13, 2 cores, Linux, CPython 3.11.7, torch 2.13.0`: what is known of a snapshot, on one line."""
    machine, software = environment.get("machine", {}), environment.get("software", {})
    gpus = [str(gpu["name"]) for gpu in machine.get("gpus", ()) if gpu.get("name")]
    cores = machine.get("cores_allowed")
    parts = [
        machine.get("cpu"),
        cores and ("1 core" if cores == 1 else f"{cores} cores"),
        *gpus,
        software.get("os"),
        software.get("python"),
        *(f"{name} {version}" for name, version in software.get("versions", {}).items()),
    ]
    return ", ".join(str(part) for part in parts if part)
