"""What is known of every implementation on a kind of device: what an interpreter ran, what was compiled, what ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rnnbench.backend import Backend
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.executor import Session
from rnnbench.implementation import Implementation
from rnnbench.registry import Registry
from rnnbench.registry.availability import device_problem, support_problem
from rnnbench.runner.answers import understood
from rnnbench.worker.conformance import kit_case
from rnnbench.worker.verdict import SHORT, beyond_block

Platform = Literal["cuda", "tpu"]
DTYPE = "float32"
TIMEOUT = 600.0


@dataclass(frozen=True)
class DeviceResult:
    """device: where it was tried. status: of its job, `skipped` where nothing was tried. about: one sentence."""

    device: str
    status: str
    about: str

    @property
    def ok(self) -> bool:
        """Whether it was tried and went well."""
        return self.status == "ok"


@dataclass(frozen=True)
class Evidence:
    """What is known of an implementation on a platform. cell: that it was tried with, empty where it runs none there.
    interpreted: None where its kernels need no interpreter. unknown: what nothing of all this tells.
    """

    implementation: str
    cell: str
    interpreted: DeviceResult | None
    compiled: tuple[DeviceResult, ...]
    run: DeviceResult
    unknown: tuple[str, ...]

    @property
    def bad(self) -> bool:
        """Whether something was tried and did not go well."""
        results = (self.interpreted, *self.compiled, self.run)
        return any(result is not None and result.status not in ("ok", "skipped") for result in results)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DeviceCheck:
    """Asks a session about the implementations of a registry."""

    registry: Registry
    session: Session
    platform: Platform

    def evidence(self, names: Sequence[str] = ()) -> Iterator[Evidence]:
        """Of every implementation, or of those named (`pallas`, `jax/pallas`)."""
        for (backend, name), implementation in self.registry.implementations.items():
            if backend in self.registry.backends and (not names or {name, f"{backend}/{name}"} & set(names)):
                yield self._evidence(self.registry.backends[backend], implementation)

    def _evidence(self, backend: Backend, implementation: Implementation) -> Evidence:
        label = f"{backend.name}/{implementation.name}"
        cell, reason = self._cell(implementation)
        if cell is None:
            return Evidence(label, "", None, (), DeviceResult(self.platform, "skipped", reason), ())
        interpreted = self._interpreted(backend, implementation, cell)
        compiled = tuple(self._compiled(backend, implementation, cell))
        run = self._run(backend, implementation, cell)
        return Evidence(label, cell.name, interpreted, compiled, run, tuple(_unknown(interpreted, compiled, run)))

    def _cell(self, implementation: Implementation) -> tuple[Cell | None, str]:
        """The first cell that it runs on the platform, or why it runs none."""
        reason = "there is no cell"
        for cell in self.registry.cells.values():
            problem = support_problem(implementation, cell, self.platform, DTYPE)
            if problem is None:
                return cell, ""
            reason = problem
        return None, reason

    def _interpreted(self, backend: Backend, implementation: Implementation, cell: Cell) -> DeviceResult | None:
        interpreter = implementation.interpreter("cpu")
        if interpreter is None:
            return None
        problem = device_problem(backend, "cpu") or support_problem(implementation, cell, "cpu", DTYPE)
        if problem is not None:
            return DeviceResult("cpu", "skipped", problem)
        found = self._kit(backend, implementation, cell, "cpu")
        return found if not found.ok else DeviceResult("cpu", "ok", f"{interpreter}, {found.about}")

    def _compiled(self, backend: Backend, implementation: Implementation, cell: Cell) -> Iterator[DeviceResult]:
        """For every device of the platform that a backend compiles for without having it."""
        for device, problem in backend.devices().items():
            if device.partition(":")[0] != self.platform or backend.verified_on(device) == device:
                continue
            problem = backend.missing() or problem or support_problem(implementation, cell, device, DTYPE)
            if problem is not None:
                yield DeviceResult(device, "skipped", problem)
                continue
            steps, settings = max(SHORT, beyond_block(implementation)), vars(self.registry.probes["memory"].settings())
            case = Case("memory", cell.name, backend.name, implementation.name, device, DTYPE, steps, 4, 16, 8)
            job = {"kind": "measure", "case": case.to_json() | {"settings": settings}}
            status, reason, found = self._job(backend, job)
            passes = ", ".join(found.get("details", {}).get("compiled", {}))
            yield DeviceResult(device, status, reason or f"{passes} over {steps} steps")

    def _run(self, backend: Backend, implementation: Implementation, cell: Cell) -> DeviceResult:
        problem = device_problem(backend, self.platform)
        if problem is not None:
            return DeviceResult(self.platform, "skipped", problem)
        return self._kit(backend, implementation, cell, self.platform)

    def _kit(self, backend: Backend, implementation: Implementation, cell: Cell, device: str) -> DeviceResult:
        """All that `rnnbench verify` asks."""
        case = kit_case(cell.name, backend.name, implementation.name, device, DTYPE)
        status, reason, found = self._job(backend, {"kind": "kit", "case": case.to_json()})
        steps = max(case.seq_len, beyond_block(implementation))
        return DeviceResult(device, status, reason or f"{len(found.get('checks', ()))} checks over {steps} steps")

    def _job(self, backend: Backend, job: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        files = [str(file) for file in self.registry.files]
        outcome = understood(self.session.run({**job, "plugins": files}, backend.preload, TIMEOUT), job["kind"])
        if outcome.status != "ok":
            return outcome.status, outcome.reason, {}
        found = dict(outcome.result)
        return found["status"], found["reason"], found


def _unknown(interpreted: DeviceResult | None, compiled: Sequence[DeviceResult], run: DeviceResult) -> Iterator[str]:
    """What nothing that was tried tells."""
    if run.ok:
        yield "other devices than this one"
        return
    if not any(result.ok for result in compiled):
        yield "whether it compiles for the device"
    if interpreted is not None and not interpreted.ok:
        yield "whether its kernels are right at all"
    if interpreted is not None:
        yield "races between threads, which an interpreter runs one after the other"
    yield "its numbers in the device's own arithmetic"
    yield "the memory that the device's allocator takes"
    yield "how fast it is"
