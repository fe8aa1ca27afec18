"""A lot where it arrives: its cases go through the same `Runner` as those of any run, all of it on this machine.

What is there to run a case with, whether a program verifies, how fast the reference kernel is, what the machine can do
at best, in which environment: all is asked here, nothing is taken from the machine that sent the lot.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rnnbench
from rnnbench.case import Case
from rnnbench.cluster import Lot
from rnnbench.errors import RnnbenchError
from rnnbench.executor import Session
from rnnbench.lots import files, pinning
from rnnbench.lots.journal import Journal, node
from rnnbench.machine.environment import environment_id, snapshot
from rnnbench.part import Part
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.registry import Registry, load
from rnnbench.registry.contents import code, versions
from rnnbench.runner import Runner, autotune
from rnnbench.store.lines import InvalidRecord, decode, encode, without_measurements


class _Stop(BaseException):
    """The engine wants its node back; no plugin's `except Exception` may catch it."""


@dataclass
class Worker:
    """Runs lots one after the other. What is alike in them serves the next: the session, whose launchers have their
    framework imported, and what was verified.
    """

    _kept: dict[tuple[Any, ...], tuple[Runner, tempfile.TemporaryDirectory[str]]] = field(default_factory=dict)

    def perform(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Run a lot: `{"lines": [...]}`, what its journal has. data: JSON of a `Lot`."""
        lot = Lot.from_json(data)
        with pinning.pinned(lot.cpus):
            return self._performed(lot)

    def _performed(self, lot: Lot) -> dict[str, Any]:
        journal = Journal(lot.journal)
        try:
            if journal.begun:
                raise RnnbenchError("another worker has begun it before: the engine started it twice")
            self._run(lot, journal)
            ends, why = "done", ""
        except _Stop:
            ends, why = "stopped", "the engine wanted its node back"
        except (RnnbenchError, ValueError) as error:
            ends, why = "refused", str(error)
        journal.note(ends=ends, why=why, at=time.time())
        journal.close()
        return {"lines": journal.lines, "problem": journal.problem}

    def close(self) -> None:
        """End what serves later lots."""
        for runner, folder in self._kept.values():
            runner.session.close()
            folder.cleanup()
        self._kept.clear()

    def _run(self, lot: Lot, journal: Journal) -> None:
        _refuse_other_code(lot)
        with _warned() as warned:  # the time may be over before the first process
            runner, environment = self._runner(lot)
            _refuse_other_versions(lot, environment["software"]["versions"])
            journal.note(
                lot=lot.id,
                environment_id=runner.environment,
                environment=None if lot.environment else environment,
                node=node(),
                started=time.time(),
            )
            earlier = _earlier(lot)

            def tell(case: Case) -> None:
                if warned:
                    raise _Stop
                journal.note(begins=[case.id])

            def keep(record: Record) -> None:
                part = record.parts[-1]
                journal.write(_line(record.case, part if lot.quiet else packed(part)))

            runner.run([Case.from_json(case) for case in lot.cases], keep, tell, earlier)

    def _runner(self, lot: Lot) -> tuple[Runner, Mapping[str, Any]]:
        """The runner of lots like this, and the environment it runs in."""
        key = (tuple(file.sha256 for file in lot.files), tuple(lot.plugins), lot.folder, lot.environment)
        if key not in self._kept:
            folder = tempfile.TemporaryDirectory(prefix="rnnbench-lot-")
            plugins = files.unpacked(lot, Path(folder.name))
            registry = load(Path(plugin) for plugin in plugins)
            runner = Runner(registry, _session(registry), plugins, folder=str(Path(folder.name) / lot.folder))
            self._kept[key] = runner, folder
        runner, _ = self._kept[key]
        runner.timeout = lot.timeout
        runner.trials |= autotune.from_json(lot.trials or {})
        environment = snapshot(versions(runner.registry))
        runner.environment = lot.environment or environment_id(environment)
        return runner, environment


def perform_lot(data: Mapping[str, Any]) -> dict[str, Any]:
    """Run a lot on this machine: the function that a `Cluster` has to call on its workers.

    Args:
        data: `Lot.to_json` of it.

    Returns:
        JSON values, which `Cluster.result` gives back: `{"lines": [...]}`, a line per process that was measured among
        them. A fault of a case, or of the lot, is in there; none is raised.

    Example:
        >>> from rnnbench import Lot, perform_lot
        >>> perform_lot(Lot("lot-1", cases=[], version="0.0").to_json())["lines"]  # of another rnnbench
        ['{"ends":"refused",...
    """
    worker = Worker()
    try:
        return worker.perform(data)
    finally:
        worker.close()


def packed(part: Part) -> Part:
    """A process that shared its machine: without its times, and whatever else is not the same everywhere."""
    details = {"packed": True} | dict(part.details)
    seen = part.conditions and replace(part.conditions, reference=None, contaminated=0, kernels={})
    return replace(
        part,
        values={name: value for name, value in part.values.items() if part.declared[name].portable},
        timings={},
        notes=tuple(note for note in part.notes if not note.startswith("contaminated: ")),
        details=details,
        conditions=seen,
    )


def _line(case: Case, part: Part) -> bytes:
    try:
        return encode(case, part)
    except InvalidRecord as error:
        return encode(case, without_measurements(part, str(error)))


def _earlier(lot: Lot) -> dict[str, Record]:
    """Incomplete records to go on with."""
    found: dict[str, tuple[Case, list[Part]]] = {}
    for text in lot.earlier:
        line = decode(text.encode())
        found.setdefault(line.case.id, (line.case, []))[1].extend(line.parts)
    return {id: merge(case, parts) for id, (case, parts) in found.items()}


def _session(registry: Registry) -> Session:
    return registry.executors["forkserver"].open()


def _refuse_other_code(lot: Lot) -> None:
    """Raises RnnbenchError where this worker would measure something else than the sender asks for."""
    remedy = "Install the same on all nodes"
    if lot.version and lot.version != rnnbench.__version__:
        raise RnnbenchError(
            f"this worker has rnnbench {rnnbench.__version__}, and the lot is of rnnbench {lot.version}. {remedy}."
        )
    if lot.code is None:
        return
    here = code()
    other = sorted(name for name in {*here, *lot.code} if here.get(name) != lot.code.get(name))
    if other:
        raise RnnbenchError(
            f"this worker has other code of {', '.join(other)} than the sender, though both say version "
            f"{rnnbench.__version__}. {remedy}."
        )


def _refuse_other_versions(lot: Lot, here: Mapping[str, str]) -> None:
    """Raises RnnbenchError where a framework is another one than the sender has; a build of the same is not."""
    for name, version in (lot.versions or {}).items():
        if name in here and here[name].partition("+")[0] != version.partition("+")[0]:
            raise RnnbenchError(
                f"this worker has {name} {here[name]}, and the sender has {name} {version}. Install the same on all "
                f"nodes, or run the suite once from each."
            )


@contextlib.contextmanager
def _warned() -> Iterator[list[int]]:
    """Signals by which an engine says that the time is nearly over (SIGUSR2) or over (SIGTERM), as they come."""
    got: list[int] = []

    def later(number: int, _: object) -> None:
        got.append(number)

    def now(number: int, _: object) -> None:
        got.append(number)
        raise _Stop

    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # of a thread that is not the main one: its engine sends no signals
        for number, handler in ((signal.SIGUSR2, later), (signal.SIGTERM, now)):
            before[number] = signal.signal(number, handler)
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
