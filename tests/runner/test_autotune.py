"""`best`: a trial with planted speeds, what the record tells, and what becomes of programs that cannot be taken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from played_sessions import CASE, REGISTRY, Here, Played, _never, answer, calm
from rnnbench.case import BEST, Case
from rnnbench.executor import Job, Outcome, Pace, Request
from rnnbench.implementation import Implementation
from rnnbench.record import Record
from rnnbench.records import decode, encode, merge
from rnnbench.registry import Plugin, Registry
from rnnbench.registry.availability import candidates, considered
from rnnbench.runner import Runner, autotune

SPEEDS = {"first": 2.0, "second": 1.0, "third": 6.0}
LEARN = replace(CASE, implementation=BEST)


class Ordered(Here):
    def preferred(self, device: str) -> Sequence[str]:  # type: ignore[override]
        return "first", "second"


def registry(*more: Implementation) -> Registry:
    own = [Implementation(name, "here", lambda *_: None, _never) for name in SPEEDS]
    found = {("here", one.name): one for one in (*own, *more)}
    origins = {("implementation", f"here/{one.name}"): Plugin("tests", "tests") for one in found.values()}
    return replace(REGISTRY, backends={"here": Ordered()}, implementations=found, origins=origins)


class Timed(Played):
    """Trials and measurements take what is planted. wrong: implementations that do not verify."""

    def __init__(self, speeds: Mapping[str, float | Outcome], wrong: Sequence[str] = ()) -> None:
        super().__init__(lambda case, _: speeds[case.implementation])
        self.wrong = wrong

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        outcome = super().run(job, preload, timeout)
        if job["kind"] == "verify" and job["case"]["implementation"] in self.wrong:
            return Outcome("ok", {"status": "wrong", "reason": "outputs differ", "seconds": 0.1}, seconds=0.1)
        if job["kind"] == "measure" and outcome.status == "ok" and job["case"]["settings"].get("processes") == 1:
            stored = json.loads(
                json.dumps(outcome.result).replace('"forward"', '"train"').replace("forward.", "train.")
            )
            return replace(outcome, result=stored)
        return outcome


def run(session: Timed, cases: list[Case], known: Registry | None = None, **more: Any) -> list[Record]:
    kept: list[Record] = []
    Runner(known or registry(), session, drift=calm()).run(cases, kept.append, lambda case: None, **more)
    return kept


def test_the_fastest_is_taken_and_the_record_lists_all_with_their_ratios():
    session = Timed(SPEEDS)
    record = run(session, [LEARN])[-1]
    assert (record.status, record.implementation, record.value("forward.time")) == ("ok", "second", 1.0)
    assert record.details["tried"]["ratios"] == {"second": 1.0, "first": 2.0, "third": 6.0}
    assert record.details["tried"]["mode"] == "train"
    trials = [case for kind, case in session.jobs if kind == "measure" and case.settings["processes"] == 1]
    assert [case.implementation for case in trials] == ["first", "second", "third"], "each once for three processes"
    assert len(record.parts) == 3 and all(part.implementation == "second" for part in record.parts)
    assert Counter(kind for kind, _ in session.jobs)["verify"] == 1, "only what is taken is verified"


def test_the_fastest_that_is_wrong_is_passed_over_and_named():
    record = run(Timed(SPEEDS, wrong=["second"]), [LEARN])[-1]
    assert (record.status, record.implementation) == ("ok", "first")
    assert any("best passed over second, which is wrong: outputs differ" in note for note in record.notes)


def test_one_that_fails_is_no_candidate_and_the_record_says_why():
    died = Outcome("crashed", {}, "killed by SIGSEGV")
    record = run(Timed(SPEEDS | {"second": died}), [LEARN])[-1]
    assert (record.status, record.implementation) == ("ok", "first")
    assert record.details["tried"]["failed"] == {"second": "crashed: killed by SIGSEGV"}


def test_where_all_fail_the_row_says_how():
    broken = dict.fromkeys(SPEEDS, Outcome("crashed", {}, "killed by SIGSEGV"))
    record = run(Timed(broken), [LEARN])[-1]
    assert (record.status, record.reason) == ("crashed", "killed by SIGSEGV")


def test_of_those_that_are_as_fast_the_first_of_auto_is_taken():
    for close, taken in ((0.97, "first"), (0.90, "second")):
        assert run(Timed(SPEEDS | {"first": 1.0, "second": close}), [LEARN])[-1].implementation == taken


def test_auto_asks_no_clock():
    session = Timed(SPEEDS)
    record = run(session, [replace(CASE, implementation="auto")])[-1]
    assert record.implementation == "first" and "tried" not in record.details
    assert len(session.measured) == 3


def test_what_cannot_run_and_what_is_slow_to_build_is_not_tried_and_told():
    known = registry(
        Implementation("picky", "here", lambda *_: "it serves only lstm", _never),
        Implementation("slow", "here", lambda *_: None, _never, slow_to_build=True),
    )
    assert candidates(LEARN, known) == (["first", "second", "third"], "")
    untried = {"picky": "it serves only lstm", "slow": "it takes longer to build than a case may"}
    assert considered(LEARN, known)[1] == untried
    record = run(Timed(SPEEDS), [LEARN], known)[-1]
    assert record.details["tried"]["untried"] == untried


def test_a_run_that_goes_on_keeps_its_choice():
    first = run(Timed(SPEEDS), [LEARN])[0]
    read = merge(first.case, [decode(json.loads(json.dumps(encode(part)))) for part in first.parts])
    session = Timed({"first": 1.0, "second": 2.0, "third": 6.0})  # another mood of the machine
    whole = run(session, [LEARN], earlier={LEARN.id: read})[-1]
    assert whole.complete and {part.implementation for part in whole.parts} == {"second"}
    assert len(session.measured) == 2, "no trial, two processes"


@pytest.mark.parametrize("stored", [None, 3, {}, {"mode": "train", "ratios": {"gone": 1.0}}, {"mode": 1, "ratios": 2}])
def test_what_is_no_trial_of_these_programs_is_not_kept(stored):
    record = replace(run(Timed(SPEEDS), [LEARN])[-1], details={"tried": stored})
    assert autotune.kept(record, list(SPEEDS)) is None


def test_what_is_tried_is_what_the_case_asks():
    learn = replace(LEARN, probe="convergence", settings={"task": "adding", "lr": 0.1, "embedding": 3})
    assert autotune.key(learn) == autotune.key(replace(learn, settings={**learn.settings, "lr": 0.2}))
    assert autotune.key(learn) != autotune.key(replace(learn, seq_len=32))
    assert autotune.case_of(learn).input_size == 3
    assert autotune.case_of(replace(LEARN, settings={"modes": ["forward"]})).settings["modes"] == ["forward"]
    step = autotune.case_of(replace(LEARN, probe="decode", settings={}))
    assert (step.seq_len, step.settings["modes"]) == (1, ["forward"])
    cut = autotune.case_of(replace(learn, settings={"bptt": "truncated", "segment": 4}))
    assert (cut.settings["bptt"], cut.settings["segment"]) == ("truncated", 4)


class InTurns(Timed):
    """Takes turns on a machine that is ten times as slow in most cycles, unlike ones for unlike sample counts."""

    def lockstep(self, requests: Sequence[Request], pace: Pace, generation: int, seed: int) -> list[Outcome | None]:
        outcomes: list[Outcome | None] = []
        for request in requests:
            found = self.run(request.job, (), 1.0) if "case" in request.job else Outcome("crashed", {}, "")
            if found.status == "ok":
                timing = next(iter(found.result["timings"].values()))
                level = timing["samples"][0]
                timing["samples"] = [level * (10.0 if cycle % 3 else 1.0) for cycle in range(9)]
            outcomes.append(found)
        return outcomes


def test_ratios_are_those_within_a_cycle():
    record = run(InTurns(SPEEDS), [LEARN])[-1]
    assert record.implementation == "second"
    assert record.details["tried"]["ratios"] == pytest.approx({"second": 1.0, "first": 2.0, "third": 6.0}, rel=1e-3)


def test_one_that_memory_was_lacking_for_is_told():
    outcomes: list[Outcome | None] = [Outcome("ok", answer(1.0)), None]
    found = autotune.judged("forward", ["first", "second"], outcomes, {}, turns=True)
    assert list(found.ratios) == ["first"]
    assert found.failed == {"second": "oom: no memory was left beside the others"}
