"""What this machine can do at best, the ceilings that `rnnbench.machine.roofline` holds a pass against.

Of a device, dtype and number of threads: the FLOP/s of a large square product, the B/s of a large array that is read
and written, the numbers of which a sigmoid is taken in a second. Of a batch and hidden size besides: the FLOP/s of the
small products of a recurrent step, many independent ones in a call, so that no dispatch is in them; the hidden size is
rounded (`nearest`), so that cells of equal parameters share a few shapes. Each is the best
that any installed backend reaches, so that all rows are held against one limit. A backend is measured once per machine,
in a process of its own, and kept in the user's cache folder: `$XDG_CACHE_HOME/rnnbench/ceilings/`, or
`~/.cache/rnnbench/ceilings/`, one small JSON file each, named after the environment. Delete the files to measure again.
What was measured while other work held the machine back serves the run at hand, which says so, and is not kept.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.backend import Backend, Workload
from rnnbench.cache import cache_folder
from rnnbench.case import Case
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.machine.roofline import KEYS, PRODUCT, WIDTHS, Ceilings
from rnnbench.measure import timing
from rnnbench.measure.timing import TimingSettings
from rnnbench.registry.availability import device_problem

if TYPE_CHECKING:
    from rnnbench.registry import Registry


SETTINGS = TimingSettings(budget=0.5)
SMALL = TimingSettings(budget=0.1)
"""Of each small product."""

AGREEING_SAMPLES = 3
AGREEMENT = 0.05
"""A ceiling holds where the fastest three samples lie within 5 % of each other."""

BUSY = 0.5
"""Nor does it hold where other work took time from more than this share of the samples."""

Kind = Literal["ceilings", "products"]
"""What one job measures: what holds for a device, or the small products of one batch and hidden size."""

EXPECTED: Mapping[Kind, tuple[str, ...]] = {
    "ceilings": KEYS,
    "products": tuple(f"{PRODUCT}.{width}" for width in WIDTHS),
}

Job = Callable[[str, Case], Outcome]
Known = dict[str, Ceilings | None]


def measure(backend: Backend, device: str, dtype: str, threads: int | None) -> dict[str, float]:
    """The ceilings of a device as this backend reaches them, in this process."""
    return rates(backend.name, backend.ceilings(device, dtype, threads), EXPECTED["ceilings"], SETTINGS)


def measure_products(
    backend: Backend, device: str, dtype: str, threads: int | None, batch: int, hidden: int
) -> dict[str, float]:
    """Those of the products (batch, hidden) by (hidden, k·hidden)."""
    workloads = backend.products(device, dtype, threads, batch, hidden)
    return rates(backend.name, workloads, EXPECTED["products"], SMALL)


def rates(
    backend: str, workloads: Mapping[str, Workload], expected: tuple[str, ...], settings: TimingSettings
) -> dict[str, float]:
    """Amount per second of each workload; `disturbed`: 1 where one is doubtful, else 0.

    What disturbs can only slow down, so the fastest sample is the ceiling, if the machine came close to it again: a
    ceiling that was reached once was perhaps never reached.
    """
    found = {"disturbed": 0.0}
    for name, workload in workloads.items():
        timed = timing.measure(workload.call, settings)
        fastest = sorted(timed.samples)[:AGREEING_SAMPLES]
        found[name] = workload.amount / fastest[0]
        if len(fastest) < AGREEING_SAMPLES or fastest[-1] > (1 + AGREEMENT) * fastest[0]:
            found["disturbed"] = 1.0
        if len(timed.contaminated) > BUSY * len(timed.samples):
            found["disturbed"] = 1.0  # samples that agree on a machine that is steadily busy are all too slow
    missing = [key for key in expected if key not in found]
    if missing:
        raise CaseError(f"backend {backend!r} has no way to measure {' and '.join(missing)}")
    return found


def for_case(case: Case, registry: Registry, job: Job, environment: str, known: Known) -> Ceilings | None:
    """The ceilings of a case's device, dtype, threads and sizes; None where no backend can measure those of its device.

    job(kind, case): runs one job in a fresh process. environment: id of machine and software; without one nothing is
    kept on disk. known: what this run has found out so far, of each backend and the best; added to.
    """
    device = _best("ceilings", case, registry, job, environment, known)
    shape = replace(case, hidden_size=nearest(case.hidden_size))
    products = device and _best("products", shape, registry, job, environment, known)
    if not device or not products:
        return device
    return {**device, **products, "disturbed": max(device["disturbed"], products["disturbed"])}


def nearest(hidden: int) -> int:
    """The nearest of 2ᵏ and 3·2ᵏ: at most a fifth away, where products are about as fast."""
    octave = 2 ** (hidden.bit_length() - 1)
    return min((octave, 3 * octave // 2, 2 * octave), key=lambda size: abs(math.log(size / hidden)))


def _best(kind: Kind, case: Case, registry: Registry, job: Job, environment: str, known: Known) -> Ceilings | None:
    """The higher of what the backends reach."""
    key = _key(kind, replace(case, backend="best"), environment)  # asked for by every process of a run
    if key not in known:
        known[key] = _highest(kind, case, registry, job, environment, known)
    return known[key]


def _highest(kind: Kind, case: Case, registry: Registry, job: Job, environment: str, known: Known) -> Ceilings | None:
    cases = [
        replace(case, backend=backend.name, implementation=some[0].name)  # which one plays no part in a ceiling
        for backend in registry.backends.values()
        if device_problem(backend, case.device) is None and (some := registry.implementations_of(backend.name))
    ]
    asked = [_of_backend(kind, each, job, environment, known) for each in cases]
    found = [each for each in asked if each is not None]
    return best_of(kind, found) if found else None


def best_of(kind: Kind, found: Sequence[Ceilings]) -> dict[str, float]:
    """Of what several backends reach, the highest of each; doubtful where what was taken is."""
    best = {key: max(found, key=lambda one, key=key: one[key]) for key in EXPECTED[kind]}
    highest = {key: one[key] for key, one in best.items()}
    return highest | {"disturbed": max(one["disturbed"] for one in best.values())}


def _of_backend(kind: Kind, case: Case, job: Job, environment: str, known: Known) -> Ceilings | None:
    key = _key(kind, case, environment)
    if key not in known:
        kept = _read(kind, key) if environment else None
        known[key] = kept or _measured(kind, case, job, key if environment else None)
    return known[key]


def folder() -> Path:
    """Where ceilings are kept between runs."""
    return cache_folder() / "ceilings"


def _measured(kind: Kind, case: Case, job: Job, key: str | None) -> Ceilings | None:
    outcome = job(kind, case)
    if outcome.status != "ok" or outcome.result.get("status") != "ok":
        return None
    found: Ceilings = outcome.result["ceilings"]
    if key is not None and not found["disturbed"]:
        _write(key, found)
    return found


def _key(kind: Kind, case: Case, environment: str) -> str:
    sizes = (f"B{case.batch_size}", f"H{case.hidden_size}") if kind == "products" else ()
    parts = (environment, case.backend, case.device, case.dtype, case.threads or "all", *sizes)
    return re.sub(r"[^\w.-]", "_", "-".join(map(str, parts)))


def _read(kind: Kind, key: str) -> Ceilings | None:
    """What is kept under `key`; None where there is nothing, or nothing that makes sense."""
    try:
        data: Any = json.loads((folder() / f"{key}.json").read_text())
        found = {name: float(data[name]) for name in (*EXPECTED[kind], "disturbed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all(0 < found[name] < float("inf") for name in EXPECTED[kind]) else None


def _write(key: str, found: Ceilings) -> None:
    """Whole or not at all; a folder that cannot be written only means that the next run measures again."""
    path = folder() / f"{key}.json"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({**found, "measured": time.time()}))
        draft.replace(path)
