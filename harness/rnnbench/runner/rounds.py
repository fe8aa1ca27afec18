"""In which order cases run, and which of them together.

Of probes whose times are taken in lockstep (`Probe.lockstep`), all cases that one column of a table compares run
together, once in each round: those that differ only in cell, backend and implementation. A round is a generation of
fresh processes, so that the luck of their layout differs from round to round. A round goes over all columns before the
next begins, so that the generations of one are minutes apart: what a machine of which others use a part is short of for
minutes (bandwidth, cache) slows some programs more than others, and would move all generations of one column alike.
Groups that do not fit into the memory are cut in pieces, elsewhere in each round: rows that never ran beside each other
then have a third in common, and their ratios are known through it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rnnbench.case import Case, digest
from rnnbench.executor import Pace
from rnnbench.model.seeds import seed_for
from rnnbench.records import asked
from rnnbench.registry import Registry

FREE = ("cell", "backend", "implementation")
"""What programs that are compared differ in; their hidden sizes too, where those were solved for equal parameters."""

LEAST_CYCLES = 5
"""Of a measurement, whatever its budget: in three rounds, each program is then known from 15 samples."""


def key(case: Case, registry: Registry) -> str:
    """The same for all cases that are timed in lockstep; empty where a case is not."""
    probe = registry.probes[case.probe]
    if not probe.lockstep:
        return ""
    fields = {name: value for name, value in case.to_json().items() if name not in FREE}
    if case.params is not None:
        fields.pop("hidden_size")
    return digest(fields)


def plan(cases: Iterable[Case], registry: Registry) -> str:
    """One sentence on what takes turns with what; empty where nothing does."""
    sizes = Counter(name for case in cases if (name := key(case, registry)))
    several = [size for size in sizes.values() if size > 1]
    if not several:
        return ""
    groups = "1 group" if len(several) == 1 else f"{len(several)} groups"
    return (
        f"lockstep: {groups} of up to {max(several)} programs, all alive together, that take turns; a group that does "
        f"not fit into the memory is cut, elsewhere in each round"
    )


def pace(case: Mapping[str, Any]) -> Pace:
    """How long a measurement of such a case lasts: its budget, shared out among its processes."""
    own = Case.from_json(case)
    return Pace(float(own.settings.get("budget", 0.0)) / asked(own), LEAST_CYCLES)


def rounds(cases: Iterable[Case], registry: Registry, room: Callable[[], int]) -> Iterator[tuple[int, Sequence[Case]]]:
    """(round, cases that run together) in the order they run: round by round, and in each length after length.

    Of one length, cases that want several processes come first, shuffled by a generator that is seeded by names; in the
    first round the others follow, in the order given. room: how many processes may be alive together.
    """
    lengths = [list(members) for _, members in groupby(cases, key=lambda case: case.seq_len)]
    for number in range(max((asked(case) for group in lengths for case in group), default=0)):
        for group in lengths:
            order = random.Random(seed_for(group[0].seed, "round", group[0].seq_len, number))
            again = [case for case in group if asked(case) > max(1, number)]
            order.shuffle(again)
            once = [case for case in group if asked(case) == 1] if number == 0 else []
            yield from ((number, together) for together in _groups([*again, *once], registry, room))


def _groups(cases: Sequence[Case], registry: Registry, room: Callable[[], int]) -> Iterator[Sequence[Case]]:
    """Cases that run together, in the order of the first of each."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(key(case, registry) or case.id, []).append(case)
    for members in found.values():
        while members:
            most = room() if len(members) > 1 else 1
            pieces = -(-len(members) // most)
            together, members = members[: -(-len(members) // pieces)], members[-(-len(members) // pieces) :]
            yield together
