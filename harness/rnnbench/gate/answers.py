"""What a revision answers when it is asked for its plan, checked: its code has run in the process that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rnnbench.case import Case
from rnnbench.records.wire import checked

Stage = Literal["start", "read", "load", "plan"]


@dataclass(frozen=True)
class _Foreign:
    """A module that was imported from elsewhere."""

    module: str
    file: str


@dataclass(frozen=True)
class _Entry:
    """A case, see `rnnbench.gate.subjects.PlannedCase`."""

    case: Case
    names: list[str]
    reason: str
    verify: dict[str, Any]
    program: str
    memory: bool


@dataclass(frozen=True)
class _Problem:
    """Why there is no plan."""

    foreign: list[_Foreign]
    problem: str
    stage: Stage


@dataclass(frozen=True)
class _Plan:
    """What `rnnbench.gate.remote.plan` says."""

    foreign: list[_Foreign]
    name: str
    timeout: float
    entries: list[_Entry]
    plugins: list[str]
    preload: dict[str, list[str]]
    versions: dict[str, str]
    quantities: list[str]
    folder: str
    data: list[str]
    broken: list[str]
    python: str
    packages: dict[str, str | None]


def check_plan(answer: Mapping[str, Any]) -> None:
    """Raises Malformed where it is no answer of `rnnbench.gate.remote.plan`; the message names the place."""
    checked(_Problem if "problem" in answer else _Plan, json.dumps(answer))
