"""A runner over sessions whose jobs end as a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rnnbench.backend import Backend
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.executor import Job, Outcome
from rnnbench.implementation import Implementation
from rnnbench.machine.watch import Drift
from rnnbench.part import Part
from rnnbench.probes.gradient import GRADIENT
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.record import Record
from rnnbench.records import encode
from rnnbench.registry import Registry
from rnnbench.runner import Runner
from rnnbench.timings import Interval, Timing, View

CASE = Case("throughput", "a", "here", "plain", "cpu", "float32", 16, 4, 8, 8, settings={"processes": 3})
ONCE = replace(CASE, probe="gradient", settings={})
DECLARED = {probe.name: {one.name: one for one in probe.quantities} for probe in (THROUGHPUT, GRADIENT)}
CASES = [replace(case, cell=cell, seq_len=T) for T in (16, 64) for case in (CASE, ONCE) for cell in "abcdef"]


def _never(*arguments: object) -> Any:
    raise AssertionError("nothing is built here")


class Here(Backend):
    """A backend that is there, with nothing behind it."""

    name = "here"

    def missing(self) -> None:
        return None

    def devices(self) -> Mapping[str, None]:
        return {"cpu": None}

    versions = preferred = build = _never  # pyright: ignore[reportAssignmentType]


REGISTRY = Registry(
    cells={name: Cell(name, init=_never) for name in "abcdef"},
    backends={"here": Here()},
    implementations={("here", "plain"): Implementation("plain", "here", lambda *_: None, _never, stepwise=True)},
    probes={"throughput": THROUGHPUT, "gradient": GRADIENT},
)


@dataclass
class Played:
    """A session whose jobs end as `play(case, how many it has measured)` says: a time, or an Outcome."""

    play: Callable[[Case, int], float | Outcome] = lambda case, number: 1.0
    jobs: list[tuple[str, Case]] = field(default_factory=list)

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        case = Case.from_json(job["case"])
        self.jobs.append((job["kind"], case))
        if job["kind"] == "verify":
            return Outcome(
                "ok", {"status": "ok", "reason": "", "verified": "oracle", "checks": [], "seconds": 0.25}, seconds=0.25
            )
        if job["kind"] == "ceilings":
            return Outcome("ok", {"status": "failed", "reason": "none here", "seconds": 0.0})
        found = self.play(case, self.measured.count(case) - 1)
        return found if isinstance(found, Outcome) else Outcome("ok", answer(found), seconds=1.0)

    def close(self) -> None: ...

    @property
    def measured(self) -> list[Case]:
        return [case for kind, case in self.jobs if kind == "measure"]


def answer(value: float) -> dict[str, Any]:
    part = Part(
        "ok",
        values={"forward.time": View("forward")},
        timings={"forward": Timing((value,) * 3, Interval(value, 0.99 * value, 1.01 * value, reached=False))},
        details={"seconds": {"build": 0.25, "samples": 0.5}, "settings": {"threads": 1}},
        declared={"forward.time": DECLARED["throughput"]["forward.time"]},
    )
    return {"reason": "", **encode(part), "seconds": 0.875, "peak_memory": 1e6}


def calm(**more: Any) -> Drift:
    """A machine that is always the same."""
    return Drift(**{"read": lambda: 0.01, "steal": lambda: 0.0, **more})


def run(session: Played, cases: list[Case], drift: Drift | None = None, **more: Any) -> list[Record]:
    kept: list[Record] = []
    Runner(REGISTRY, session, drift=drift or calm()).run(cases, kept.append, lambda case: None, **more)
    return kept
