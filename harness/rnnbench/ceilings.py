"""What this machine can do at best, and how much of it a pass used: the roofline (Williams, Waterman & Patterson 2009).

Two ceilings per backend, device, dtype and number of threads: the FLOP/s of a large square product and the B/s of
a large array that is read and written. They are measured once per machine, in a process of their own, and kept in the
user's cache folder: `$XDG_CACHE_HOME/rnnbench/ceilings/`, or `~/.cache/rnnbench/ceilings/`, one small JSON file each,
named after the environment. Delete the file to measure again. What was measured while other work held the machine back
serves the run at hand, which says so, and is not kept.

    least time = max(flops / FLOP/s, bytes / B/s)        share of the limit = least time / measured time
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnnbench import timing
from rnnbench.backend import Backend
from rnnbench.case import Case
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.timing import TimingSettings

if TYPE_CHECKING:
    from rnnbench.costs import Cost

KEYS = ("flops_per_second", "bytes_per_second")

EXPLAINED = 0.5
"""Below this share of the limit neither operations nor traffic explain most of the time: it went into waiting, for the
step before, for dispatch, for units too narrow to fill. Then `latency` binds."""

SETTINGS = TimingSettings(budget=1.0)


@dataclass(frozen=True)
class Limit:
    """Where a pass stands below the roofline.

    share: least time over measured time. Above 1 where the ceiling does not hold: a working set that stays in a cache,
    or ceilings measured while the machine was busy. binds: what most of the time is due to. compute, bandwidth: seconds
    each would take at its ceiling.
    """

    share: float
    binds: Literal["compute", "bandwidth", "latency"]
    compute: float
    bandwidth: float


def limit(cost: Cost, seconds: float, ceilings: Mapping[str, float]) -> Limit:
    """How a pass of `cost` that took `seconds` compares with the ceilings."""
    compute = cost.flops / ceilings["flops_per_second"]
    bandwidth = cost.bytes / ceilings["bytes_per_second"]
    share = max(compute, bandwidth) / seconds
    slower = "compute" if compute >= bandwidth else "bandwidth"
    return Limit(share, slower if share >= EXPLAINED else "latency", compute, bandwidth)


def measure(backend: Backend, device: str, dtype: str, threads: int | None) -> dict[str, float]:
    """Both ceilings, in this process; `disturbed`: 1 where even the best samples had other work beside them, else 0.

    What disturbs can only slow down, so the fastest sample is the ceiling.
    """
    found = {"disturbed": 0.0}
    for name, workload in backend.ceilings(device, dtype, threads).items():
        timed = timing.measure(workload.call, SETTINGS)
        fastest = min(range(len(timed.samples)), key=timed.samples.__getitem__)
        found[name] = workload.amount / timed.samples[fastest]
        found["disturbed"] = max(found["disturbed"], float(fastest in timed.contaminated))
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise CaseError(f"backend {backend.name!r} has no way to measure {' and '.join(missing)}")
    return found


def for_case(
    case: Case, job: Callable[[str, Case], Outcome], environment: str, known: dict[str, Mapping[str, float] | None]
) -> Mapping[str, float] | None:
    """The ceilings of a case's backend, device, dtype and threads; None where they cannot be measured.

    job(kind, case): runs one job in a fresh process. environment: id of machine and software; without one nothing is
    kept on disk. known: what this run has found out so far; added to.
    """
    key = _key(case, environment)
    if key not in known:
        known[key] = (_read(key) if environment else None) or _measured(case, job, key if environment else None)
    return known[key]


def folder() -> Path:
    """Where ceilings are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnbench" / "ceilings"


def _measured(case: Case, job: Callable[[str, Case], Outcome], key: str | None) -> Mapping[str, float] | None:
    outcome = job("ceilings", case)
    if outcome.status != "ok" or outcome.result.get("status") != "ok":
        return None
    found: Mapping[str, float] = outcome.result["ceilings"]
    if key is not None and not found["disturbed"]:
        _write(key, found)
    return found


def _key(case: Case, environment: str) -> str:
    parts = (environment, case.backend, case.device, case.dtype, case.threads or "all")
    return re.sub(r"[^\w.-]", "_", "-".join(map(str, parts)))


def _read(key: str) -> Mapping[str, float] | None:
    """What is kept under `key`; None where there is nothing, or nothing that makes sense."""
    try:
        data: Any = json.loads((folder() / f"{key}.json").read_text())
        found = {name: float(data[name]) for name in (*KEYS, "disturbed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all(0 < found[name] < float("inf") for name in KEYS) else None


def _write(key: str, found: Mapping[str, float]) -> None:
    """Whole or not at all; a folder that cannot be written only means that the next run measures again."""
    path = folder() / f"{key}.json"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({**found, "measured": time.time()}))
        draft.replace(path)
