"""Cases become lots: timed ones by column of a table, for a node of their own; the others by program, to be packed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import rnnbench
from rnnbench.case import Case
from rnnbench.cluster import Lot
from rnnbench.lots.files import Luggage
from rnnbench.record import Record
from rnnbench.registry import Registry
from rnnbench.store.lines import encode


@dataclass(frozen=True)
class Cutter:
    """Makes lots.

    expected: seconds that a case will take, with all its processes. seconds: of work that a packed lot should hold.
    luggage: what goes with each lot. cpus: cores of a packed lot; None: those of its worker. gpus: of a lot that has
    cases for one. journals: folder of their journals, empty for none. environment, timeout, code, trials: as in `Lot`.
    """

    registry: Registry
    expected: Callable[[Case], float]
    seconds: float
    luggage: Luggage = field(default_factory=lambda: Luggage((), (), "suite"))
    timeout: float = 300.0
    cpus: int | None = 1
    gpus: int = 0
    journals: str = ""
    environment: str = ""
    code: Mapping[str, str] | None = None
    trials: Mapping[str, Any] | None = None

    def lots(self, cases: Sequence[Case], earlier: Mapping[str, Record] | None = None) -> list[Lot]:
        """All cases in lots, the longest first; quiet ones first of all. earlier: records to go on with, by case."""
        quiet = [case for case in cases if self.registry.probes[case.probe].quiet]
        loud = [case for case in cases if not self.registry.probes[case.probe].quiet]
        found = [self._lot(group, True, earlier or {}) for group in self._columns(quiet)]
        found += [self._lot(group, False, earlier or {}) for group in self._programs(loud)]
        return sorted(found, key=lambda lot: (not lot.quiet, -lot.seconds))

    def _columns(self, cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
        """All that one column of a table compares: of one probe, length and machine. It is never cut."""
        groups: dict[tuple[str, int, str], list[Case]] = {}
        for case in cases:
            groups.setdefault((case.probe, case.seq_len, case.machine), []).append(case)
        yield from groups.values()

    def _programs(self, cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
        """Cases of one backend, those of one program beside each other, up to `seconds` of them."""

        def program(case: Case) -> tuple[str, ...]:
            return case.backend, case.device, case.cell, case.implementation, case.program_id

        taken: list[Case] = []
        total = 0.0
        for _, members in groupby(sorted(cases, key=program), key=program):
            group = list(members)
            work = sum(map(self.expected, group))
            if taken and (total + work > self.seconds or taken[0].backend != group[0].backend):
                yield taken
                taken, total = [], 0.0
            for case in group:  # one program may be more than a lot by itself
                if taken and total + self.expected(case) > self.seconds:
                    yield taken
                    taken, total = [], 0.0
                taken.append(case)
                total += self.expected(case)
        if taken:
            yield taken

    def _lot(self, cases: Sequence[Case], quiet: bool, earlier: Mapping[str, Record]) -> Lot:
        identity = uuid.uuid4().hex[:12]
        before = (earlier[case.id] for case in cases if case.id in earlier)
        return Lot(
            identity,
            [case.to_json() for case in cases],
            self.luggage.files,
            self.luggage.plugins,
            self.luggage.folder,
            self.timeout,
            rnnbench.__version__,
            self.code,
            None if self.code is None else self._versions(cases),
            quiet,
            None if quiet else self.cpus,
            self.gpus if any(_wants_gpu(case.device) for case in cases) else 0,
            sum(map(self.expected, cases)),
            [encode(record.case, part).decode() for record in before for part in (*record.left_out, *record.parts)],
            f"{self.journals}/{identity}.jsonl" if self.journals else "",
            self.environment,
            self.trials,
            cases[0].machine,
        )

    def _versions(self, cases: Sequence[Case]) -> dict[str, str]:
        """Of the frameworks of these cases, as far as they are installed here."""
        backends = [self.registry.backends[name] for name in dict.fromkeys(case.backend for case in cases)]
        return {name: version for backend in backends for name, version in backend.versions().items()}


def _wants_gpu(device: str) -> bool:
    """Whether a device is one that a worker must have: `cuda`, `cuda:1`, but not `cuda:h100`, which is compiled for."""
    family, _, which = device.partition(":")
    return family != "cpu" and (not which or which.isdigit())
