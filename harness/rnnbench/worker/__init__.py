"""What happens inside the fresh process of a job.

`perform` takes and returns JSON values, so that nothing but plain data crosses the border between processes.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rnnbench.case import Case
from rnnbench.context import Context
from rnnbench.errors import CaseError, Wrong
from rnnbench.machine import allocator, waiting
from rnnbench.measure import lockstep, process_memory
from rnnbench.measurement import Measurement
from rnnbench.records import encode
from rnnbench.registry import Registry, load, place
from rnnbench.worker import answers
from rnnbench.worker.resolve import resolve

Job = Mapping[str, Any]


def perform(job: Job) -> dict[str, Any]:
    """Run one job: `{"kind": "verify" | "measure" | "kit" | "reductions" | "ceilings" | "products", "case": {...},
    "plugins": [files], "folder": that data files are relative to}`.

    Args:
        job: JSON values, as a `Session` is given them.

    Returns:
        JSON values, `{"status", "reason", "seconds", ...}`; whatever the plugin raises becomes a status, never an
        exception. `seconds` is what all of it took in here, without the turns of others; `peak_memory` the most bytes
        that this process, or one it started, held.
    """
    started = time.perf_counter()
    found = _perform(job)
    worked = time.perf_counter() - started - found.pop("waited", 0.0)
    return found | {"seconds": worked, "peak_memory": process_memory.lifetime_peak_bytes()}


def preload() -> None:
    """What every job needs and none changes, done once in the process that the jobs are forked from."""
    import rnnbench.worker.verification  # noqa: F401

    _registry(())


@cache
def _registry(files: tuple[str, ...]) -> Registry:
    return load(Path(file) for file in files)


def _perform(job: Job) -> dict[str, Any]:
    try:
        registry = _registry(tuple(job.get("plugins", ())))
        context = resolve(Case.from_json(job["case"]), registry, Path(job.get("folder", "")))
        return {"status": "ok", "reason": "", **KINDS[job["kind"]](context, registry, job)}
    except CaseError as error:
        return {"status": error.status, "reason": str(error)}
    except MemoryError as error:
        return {"status": "oom", "reason": f"out of memory ({error or 'MemoryError'}); use a smaller case"}
    except Exception as error:  # a plugin may raise anything: it is that case's failure, not the run's
        traceback.print_exc()
        return {"status": "failed", "reason": place.described(error)}


def _measure(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    probe = registry.probes[context.case.probe]
    _check_weights(context, job.get("weights"))
    with lockstep.joined(**job.get("turns", {})) as place:
        measurement = probe.measure(replace(context, ceilings=job.get("ceilings")))
    measurement = _accounted(measurement, context)
    declared = (*context.implementation.quantities, *probe.quantities)
    part = answers.part(measurement, {quantity.name: quantity for quantity in declared})
    details: dict[str, Any] = {"ignored": list(probe.ignores)}
    if context.case.params is not None:
        details["parameters"] = context.weights().count
    if allocated := allocator.settings():
        details["allocator"] = allocated
    if "turns" in job:
        details["threads_waiting"] = waiting.settings()
    answer = {"values": {}} | encode(replace(part, details={**part.details, **details}))
    return answer | ({"turns": place.taken, "waited": place.waited} if "turns" in job else {})


def _accounted(measurement: Measurement, context: Context) -> Measurement:
    """With what the implementation tells of its own runs; what the probe itself measured stands."""
    implementation = context.implementation
    if not isinstance(measurement, Measurement):
        return measurement
    if not implementation.differentiable:
        left_out = [mode for mode in getattr(context.settings, "modes", ()) if mode not in context.modes]
        told = [f"{mode}: {implementation.name} runs forward passes alone, it has no gradients" for mode in left_out]
        measurement = replace(measurement, notes=[*measurement.notes, *told])
    if implementation.account is None:
        return measurement
    own = implementation.account()
    return replace(
        measurement,
        values={**own.values, **measurement.values},
        notes=[*measurement.notes, *own.notes],
        details={**own.details, **measurement.details},
    )


def _check_weights(context: Context, verified: str | None) -> None:
    """Raises Wrong where the cell draws other weights here than in the process that verified it."""
    if verified is not None and context.weights().digest != verified:
        raise Wrong(
            f"init of cell {context.cell.name!r} gave other weights in this process than in the one that verified it: "
            f"draw from the `rng` it is given, never from np.random, the time or the number of the process"
        )


def _verify(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    """The check that comes before any timing, on the case's own sizes."""
    from rnnbench.worker.verification import verify

    del registry
    device = context.backend.verified_on(context.case.device)
    context = replace(context, case=replace(context.case, device=device))
    return verify(context, job.get("dtype"), job.get("seq_len"), vouched=bool(job.get("vouched")))


def _kit(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    from rnnbench.worker.conformance import run_kit

    del registry
    return run_kit(context, bool(job.get("dtypes")))


def _reductions(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    from rnnbench.worker.reductions import run_reductions

    del job
    return run_reductions(context, registry)


def _ceilings(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    """What the case's device can do at best, in its dtype, with its threads."""
    from rnnbench.worker.ceilings import measure

    del registry, job
    case = context.case
    return {"ceilings": measure(context.backend, case.device, case.dtype, case.threads or context.cores)}


def _products(context: Context, registry: Registry, job: Job) -> dict[str, Any]:
    """What the small products of the case's steps do at best, alone."""
    from rnnbench.worker.ceilings import measure_products

    del registry, job
    case, threads = context.case, context.case.threads or context.cores
    found = measure_products(context.backend, case.device, case.dtype, threads, case.batch_size, case.hidden_size)
    return {"ceilings": found}


KINDS: dict[str, Callable[[Context, Registry, Job], dict[str, Any]]] = {
    "measure": _measure,
    "verify": _verify,
    "kit": _kit,
    "reductions": _reductions,
    "ceilings": _ceilings,
    "products": _products,
}
