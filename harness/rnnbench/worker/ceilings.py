"""What this machine can do at best, the two ceilings that `rnnbench.machine.roofline` holds a pass against.

Two ceilings per device, dtype and number of threads: the FLOP/s of a large square product and the B/s of a large array
that is read and written, the best that any installed backend reaches, so that all rows are held against one limit. Each
backend is measured once per machine, in a process of its own, and kept in the user's cache folder:
`$XDG_CACHE_HOME/rnnbench/ceilings/`, or `~/.cache/rnnbench/ceilings/`, one small JSON file each, named after the
environment. Delete the files to measure again. What was measured while other work held the machine back serves the run
at hand, which says so, and is not kept.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Backend
from rnnbench.cache import cache_folder
from rnnbench.case import Case
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.machine.roofline import KEYS, Ceilings
from rnnbench.measure import timing
from rnnbench.measure.timing import TimingSettings
from rnnbench.registry.availability import device_problem

if TYPE_CHECKING:
    from rnnbench.registry import Registry


SETTINGS = TimingSettings(budget=0.5)

WITNESSES = 3
AGREEMENT = 0.05
"""A ceiling holds where the fastest three samples lie within 5 % of each other."""

BUSY = 0.5
"""Nor does it hold where other work took time from more than this share of the samples."""

Job = Callable[[str, Case], Outcome]


def measure(backend: Backend, device: str, dtype: str, threads: int | None) -> dict[str, float]:
    """Both ceilings as this backend reaches them, in this process; `disturbed`: 1 where they are doubtful, else 0.

    What disturbs can only slow down, so the fastest sample is the ceiling, if the machine came close to it again: a
    ceiling that was reached once was perhaps never reached.
    """
    found = {"disturbed": 0.0}
    for name, workload in backend.ceilings(device, dtype, threads).items():
        timed = timing.measure(workload.call, SETTINGS)
        fastest = sorted(timed.samples)[:WITNESSES]
        found[name] = workload.amount / fastest[0]
        if len(fastest) < WITNESSES or fastest[-1] > (1 + AGREEMENT) * fastest[0]:
            found["disturbed"] = 1.0
        if len(timed.contaminated) > BUSY * len(timed.samples):
            found["disturbed"] = 1.0  # samples that agree on a machine that is steadily busy are all too slow
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise CaseError(f"backend {backend.name!r} has no way to measure {' and '.join(missing)}")
    return found


def for_case(
    case: Case, registry: Registry, job: Job, environment: str, known: dict[str, Ceilings | None]
) -> Ceilings | None:
    """The ceilings of a case's device, dtype and threads; None where no backend can measure them.

    job(kind, case): runs one job in a fresh process. environment: id of machine and software; without one nothing is
    kept on disk. known: what this run has found out so far, of each backend and the best; added to.
    """
    device = _key(replace(case, backend="best"), environment)  # asked for by every process of a run
    if device not in known:
        known[device] = _best(case, registry, job, environment, known)
    return known[device]


def _best(
    case: Case, registry: Registry, job: Job, environment: str, known: dict[str, Ceilings | None]
) -> Ceilings | None:
    """The higher of what the backends reach; doubtful where what was taken is."""
    cases = [
        replace(case, backend=backend.name, implementation=some[0].name)  # which one plays no part in a ceiling
        for backend in registry.backends.values()
        if device_problem(backend, case.device) is None and (some := registry.implementations_of(backend.name))
    ]
    asked = [_of_backend(each, job, environment, known) for each in cases]
    found = [each for each in asked if each is not None]
    if not found:
        return None
    best = [max(found, key=itemgetter(key)) for key in KEYS]
    rates = {key: one[key] for key, one in zip(KEYS, best, strict=True)}
    return rates | {"disturbed": max(one["disturbed"] for one in best)}


def _of_backend(case: Case, job: Job, environment: str, known: dict[str, Ceilings | None]) -> Ceilings | None:
    key = _key(case, environment)
    if key not in known:
        known[key] = (_read(key) if environment else None) or _measured(case, job, key if environment else None)
    return known[key]


def folder() -> Path:
    """Where ceilings are kept between runs."""
    return cache_folder() / "ceilings"


def _measured(case: Case, job: Job, key: str | None) -> Ceilings | None:
    outcome = job("ceilings", case)
    if outcome.status != "ok" or outcome.result.get("status") != "ok":
        return None
    found: Ceilings = outcome.result["ceilings"]
    if key is not None and not found["disturbed"]:
        _write(key, found)
    return found


def _key(case: Case, environment: str) -> str:
    parts = (environment, case.backend, case.device, case.dtype, case.threads or "all")
    return re.sub(r"[^\w.-]", "_", "-".join(map(str, parts)))


def _read(key: str) -> Ceilings | None:
    """What is kept under `key`; None where there is nothing, or nothing that makes sense."""
    try:
        data: Any = json.loads((folder() / f"{key}.json").read_text())
        found = {name: float(data[name]) for name in (*KEYS, "disturbed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all(0 < found[name] < float("inf") for name in KEYS) else None


def _write(key: str, found: Ceilings) -> None:
    """Whole or not at all; a folder that cannot be written only means that the next run measures again."""
    path = folder() / f"{key}.json"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({**found, "measured": time.time()}))
        draft.replace(path)
