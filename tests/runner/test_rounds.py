"""Which cases run together, in which order, and what becomes of a group of which one fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from played_sessions import CASE, CASES, ONCE, REGISTRY, Played, calm, run
from quick_processes import VARIABLES
from rnnbench.case import Case
from rnnbench.executor import Outcome, Pace, Request
from rnnbench.record import Record
from rnnbench.runner import Runner, rounds


def whole() -> int:
    return 100


@dataclass
class Together(Played):
    """A session that notes down which jobs ran together. unstarted: how many of the first group found no room."""

    groups: list[tuple[int, list[Case]]] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    variables: list[Any] = field(default_factory=list)
    unstarted: int = 0

    def lockstep(self, requests: Sequence[Request], pace: Pace, generation: int, seed: int) -> list[Outcome | None]:
        *requests, beside = requests
        assert beside.companion
        fits = len(requests) - self.unstarted
        self.unstarted = 0
        self.groups.append((generation, [Case.from_json(one.job["case"]) for one in requests[:fits]]))
        self.paces.append(pace)
        self.variables += [one.job["variables"] for one in requests]
        found: list[Outcome | None] = [self.run(one.job, one.preload, one.timeout) for one in requests[:fits]]
        kernels = Outcome("ok", {"kernels": {"compute": 0.004, "memory": 0.003}})
        return [*found, *[None] * (len(requests) - fits), kernels]


def last(kept: list[Record]) -> dict[str, Record]:
    return {record.case.id: record for record in kept}


def test_cases_that_one_column_compares_run_together_once_a_round():
    groups = list(rounds.rounds(CASES, REGISTRY, whole))
    timed = [(number, group) for number, group in groups if group[0].probe == "throughput"]
    assert [(number, len(group)) for number, group in timed] == [(0, 6), (0, 6), (1, 6), (1, 6), (2, 6), (2, 6)]
    assert all(len({case.seq_len for case in group}) == 1 for _, group in timed)
    assert len({tuple(case.cell for case in group) for _, group in timed}) == 6, "each in an order of its own"
    assert all(len(group) == 1 for _, group in groups if group[0].probe == "gradient")


def test_cases_that_differ_in_more_than_the_program_do_not_run_together():
    others = [replace(CASE, batch_size=8), replace(CASE, dtype="float64"), replace(CASE, device="cuda")]
    groups = [group for number, group in rounds.rounds([CASE, *others], REGISTRY, whole) if number == 0]
    assert [len(group) for group in groups] == [1, 1, 1, 1]
    solved = [replace(CASE, params=1000), replace(CASE, cell="b", params=1000, hidden_size=17)]
    groups = [group for number, group in rounds.rounds(solved, REGISTRY, whole) if number == 0]
    assert [len(group) for group in groups] == [2], "sizes that were solved for equal parameters"


def test_groups_too_large_for_the_memory_are_cut_elsewhere_in_each_round_so_that_all_are_connected():
    cells = [replace(CASE, cell=cell) for cell in "abcdef"]
    groups = [tuple(case.cell for case in group) for _, group in rounds.rounds(cells, REGISTRY, lambda: 4)]
    assert Counter(map(len, groups)) == {3: 6}
    reached, before = {"a"}, set()
    while reached != before:
        before = set(reached)
        reached |= {cell for group in groups if reached & set(group) for cell in group}
    assert reached == set("abcdef")


def test_the_plan_says_what_takes_turns():
    assert rounds.plan(CASES, REGISTRY).startswith("lockstep: 2 groups of up to 6 programs, all alive together")
    assert rounds.plan([ONCE, CASE], REGISTRY) == ""


def test_a_group_runs_in_lockstep_and_all_its_parts_say_so(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    session = Together()
    kept = last(run(session, CASES))
    assert Counter(len(group) for _, group in session.groups) == {6: 6}
    assert [number for number, _ in session.groups] == [0, 0, 1, 1, 2, 2]
    timed = [record for record in kept.values() if record.case.probe == "throughput"]
    assert all(record.complete for record in kept.values())
    names = [[part.lockstep for part in record.parts] for record in timed if record.case.seq_len == 16]
    assert all(found == names[0] for found in names) and len(set(names[0])) == 3 and all(names[0])
    assert not any(
        part.lockstep for record in kept.values() if record.case.probe == "gradient" for part in record.parts
    )
    assert all("GOMP_SPINCOUNT" in found for found in session.variables), "threads of those that wait must sleep"


def test_a_measurement_lasts_as_long_as_the_budget_of_its_process():
    session = Together()
    run(session, [replace(case, settings={"processes": 3, "budget": 0.6}) for case in CASES[:6]])
    assert [pace.seconds for pace in session.paces] == pytest.approx([0.2] * 3)


def test_one_that_fails_leaves_the_others_in_their_group():
    session = Together(lambda case, number: Outcome("crashed", {}, "gone") if case.cell == "c" else 1.0)
    kept = last(run(session, CASES[:6]))
    assert Counter(record.status for record in kept.values()) == {"ok": 5, "crashed": 1}
    assert [len(group) for _, group in session.groups] == [6, 5, 5], "a case that failed is given up"


def test_those_that_found_no_room_run_in_a_group_after():
    session = Together(unstarted=2)
    kept = last(run(session, CASES[:6]))
    assert [len(group) for _, group in session.groups] == [4, 2, 6, 6]
    assert all(record.complete for record in kept.values())


def test_one_without_room_beside_any_other_runs_alone():
    session = Together(unstarted=1)
    kept = last(run(session, CASES[:2]))
    assert [len(group) for _, group in session.groups] == [1, 2, 2]
    assert sorted(sum(bool(part.lockstep) for part in record.parts) for record in kept.values()) == [2, 2]


def test_a_session_that_knows_no_lockstep_runs_one_after_the_other():
    kept = last(run(Played(), CASES[:6]))
    assert all(record.complete for record in kept.values())
    assert not any(part.lockstep for record in kept.values() for part in record.parts)


def test_a_run_that_was_cut_off_goes_on_with_the_rounds_that_are_left():
    kept: list[Record] = []

    def stop(record: Record) -> None:
        kept.append(record)
        if len(kept) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(REGISTRY, Together(), drift=calm()).run(CASES[:6], stop, lambda case: None)
    session = Together()
    again = last(run(session, CASES[:6], earlier=last(kept)))
    assert [number for number, _ in session.groups] == [1, 2]
    assert all(record.complete and len(record.parts) == 3 for record in again.values())


def test_parts_say_how_fast_the_machine_was_meanwhile():
    kept = last(run(Together(), CASES[:6]))
    assert all(
        part.conditions and part.conditions.kernels["compute"] == 0.004 for r in kept.values() for part in r.parts
    )
    assert all(record.conditions and record.conditions.kernels["memory"] == 0.003 for record in kept.values())


def test_what_a_process_took_is_its_own_time():
    kept = last(run(Together(), CASES[:6]))
    for record in kept.values():
        for part in record.parts:
            assert part.conditions is not None
            assert part.conditions.seconds["samples"] == 0.5 and part.conditions.seconds["build"] == 0.25
            assert part.conditions.elapsed == pytest.approx(sum(part.conditions.seconds.values()))
