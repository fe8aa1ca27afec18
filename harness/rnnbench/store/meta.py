"""`run.json`: what a run was asked for, where it was made, and what its probes declare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.records.malformed import Malformed, check_numbers
from rnnbench.store.files import explained, write_atomically
from rnnbench.store.names import META

FORMAT = 2
"""Version of the folder's layout; raised when an older rnnbench could no longer read it.

1: a line of `records.jsonl` holds all that the processes of its case had told so far. 2: a line is one process.
"""


@dataclass(frozen=True)
class _Gpu:
    """An accelerator."""

    name: str | None = None


@dataclass(frozen=True)
class _Machine:
    """Hardware."""

    cpu: str | None = None
    gpus: list[_Gpu] | None = None


@dataclass(frozen=True)
class _Software:
    """What ran there."""

    versions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WireEnvironment:
    """Where some lines were made, see `rnnbench.machine.environment.snapshot`."""

    machine: _Machine = field(default_factory=_Machine)
    software: _Software = field(default_factory=_Software)
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Git:
    """The repository that the run was started in."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class _Lot:
    """A lot of cases, see `rnnbench.lots.drive`."""

    job: str
    executor: str
    state: str
    cases: list[str]


@dataclass(frozen=True)
class _Meta:
    """What readers rely on. Runs of before lack some of it."""

    format: int
    suite_name: str = ""
    suite_hash: str = ""
    created: str = ""
    argv: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    git: _Git | None = None
    suite: dict[str, Any] = field(default_factory=dict)
    environments: dict[str, WireEnvironment] = field(default_factory=dict)
    total: int = 0
    cases: list[str] = field(default_factory=list)
    estimates: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, dict[str, str]] = field(default_factory=dict)
    lots: dict[str, _Lot] = field(default_factory=dict)


def read_meta(folder: Path) -> dict[str, Any]:
    """The contents of a run's `run.json`, every field of `_Meta` among them.

    Raises UsageError where it is not there, not readable, not of that form, or of a newer format.
    """
    path = folder / META
    with explained("read", path):
        if not path.is_file():
            raise UsageError(f"{folder} is not the folder of a run: it has no {META}. `rnnbench run SUITE` makes one.")
        if not path.stat().st_size:  # also those of the kernel, which may have no end
            raise UsageError(f"{path} is damaged: it is empty. Restore it, or run the suite anew.")
        text = path.read_text(encoding="utf-8", errors="replace")
    _refuse_newer(path, text)
    from rnnbench.records.wire import checked

    try:
        known = checked(_Meta, text)
    except Malformed as error:
        raise UsageError(f"{path} is damaged: {error}. Restore it, or run the suite anew.") from None
    raw = json.loads(text)
    try:
        check_numbers(raw, "")
    except Malformed as error:  # nobody could write it again
        raise UsageError(f"{path} is damaged: {error}. Restore it, or run the suite anew.") from None
    empty = {"machine": {}, "software": {}, "state": {}}
    places = {key: empty | one for key, one in raw.get("environments", {}).items()}
    defaults = vars(known) | {"suite_name": folder.parent.name, "git": None}
    return defaults | raw | {"environments": places}


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Raises UsageError where it cannot be written."""
    write_atomically(folder / META, json.dumps(meta, indent=1, allow_nan=False) + "\n")


def _refuse_newer(path: Path, text: str) -> None:
    """What a newer rnnbench has written may have any form but this number."""
    try:
        found = json.loads(text)["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if isinstance(found, int) and found > FORMAT:
        raise UsageError(
            f"{path} has format {found}, written by a newer rnnbench; this one reads up to {FORMAT}. Upgrade rnnbench."
        )
