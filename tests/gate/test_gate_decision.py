"""The gate's judgement on pairs whose truth is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.executor import Outcome
from rnnbench.gate.decision import (
    AnalysisSchedule,
    Difference,
    Judgement,
    benjamini_hochberg,
    equivalence_p,
    interval,
    judge,
    location,
    sequential_p,
    sign_flip,
)
from rnnbench.gate.pairs import _result_of
from rnnbench.gate.report import cells
from rnnbench.gate.rows import GateRow, Numbers, difference, rows
from rnnbench.gate.run import Gate
from rnnbench.gate.subjects import MatchedSubjects, PlannedCase, Subject
from rnnbench.gate.tolerances import Tolerances


def exact(*values: float) -> list[Difference]:
    return [Difference(value, value) for value in values]


def noisy(seed: int, shift: float, count: int, spread: float = 0.02) -> list[Difference]:
    return exact(*np.random.default_rng(seed).normal(shift, spread, count))


def by_enumeration(d: list[float]) -> float:
    """P(signed-rank sum ≥ observed) over all 2^n flips, by hand."""
    sizes = [abs(value) for value in d]
    ranks = [sum(other < size for other in sizes) + (sizes.count(size) + 1) / 2 for size in sizes]
    sums = [
        sum(rank for rank, up, value in zip(ranks, signs, d, strict=True) if up and value)
        for signs in itertools.product((False, True), repeat=len(d))
    ]
    observed = sum(rank for rank, value in zip(ranks, d, strict=True) if value > 0)
    return sum(one >= observed for one in sums) / len(sums)


@pytest.mark.parametrize(
    "d",
    [
        [0.01, 0.02, 0.03, 0.04, 0.05],
        [0.3, -0.1, 0.2, 0.2, -0.2, 0.1, 0.7],
        [0.0, 0.0, 0.1, -0.2, 0.3, 0.3],
        [-0.5, -0.4, 0.1, 0.0, -0.4],
    ],
)
def test_sign_flips_are_counted_exactly_with_ties_and_zeros(d):
    above, below = sign_flip(exact(*d))
    assert above == pytest.approx(by_enumeration(d))
    assert below == pytest.approx(by_enumeration([-value for value in d]))


@pytest.mark.parametrize("n", [8, 15, 25])
def test_sign_flips_agree_with_scipys_signed_ranks(n):
    stats = pytest.importorskip("scipy.stats")
    d = np.random.default_rng(n).normal(0.005, 0.02, n)
    expected = [stats.wilcoxon(d, alternative=side, method="exact").pvalue for side in ("greater", "less")]
    assert sign_flip(exact(*d)) == pytest.approx(tuple(expected))
    shifted = stats.wilcoxon(d - 0.01, alternative="greater", method="exact").pvalue
    assert sign_flip(exact(*d), 0.01)[0] == pytest.approx(shifted)


def test_all_eight_pairs_on_one_side_are_one_in_256():
    assert sign_flip(exact(*np.linspace(0.01, 0.02, 8)))[0] == 1 / 256


def test_one_wild_pair_moves_neither_estimate_nor_verdict():
    calm = noisy(1, 0.0, 24)
    wild = [*calm[:-1], Difference(1.5, 1.5)]
    for row in (calm, wild):
        [found] = judge([row], [0.03], AnalysisSchedule(1, 32))
        assert found.verdict == "equivalent" and abs(found.estimate) < 0.01


def test_the_estimate_is_the_median_of_pairwise_means():
    assert location(exact(0.0, 0.1, 0.5)) == pytest.approx((0.175, 0.175))  # of 0, .05, .1, .25, .3, .5


def test_looks_are_whole_blocks_that_end_at_the_most():
    assert AnalysisSchedule(1, 64).analyses == (8, 12, 16, 24, 32, 48, 64)
    assert AnalysisSchedule(1, 20).analyses == (8, 12, 16, 20)
    assert AnalysisSchedule(1, 8).analyses == (8,)
    # 8 pairs cannot find one row among 50: 2/256 · 7 looks · 50 rows > 5 %, so no error is spent on that look
    assert AnalysisSchedule(50, 64).alarm_analyses == (16, 24, 32, 48, 64)


def test_p_is_multiplied_by_the_looks_and_only_falls():
    row = noisy(3, 0.02, 64)
    looks = (8, 16, 32, 64)
    ps = [sequential_p(row[:n], looks) for n in range(65)]
    assert ps[7] == 1.0
    assert ps[8] == pytest.approx(min(1, 2 * 4 * min(sign_flip(row[:8]))))
    assert all(later <= earlier for earlier, later in itertools.pairwise(ps))


def test_looking_again_and_again_keeps_the_false_alarms():
    """2,000 rows without any difference, looked at up to seven times: at most 5 % ever go below 5 %."""
    looks, rng = AnalysisSchedule(1, 64).analyses, np.random.default_rng(4)
    rows = (exact(*rng.standard_t(3, 64)) for _ in range(2000))
    alarms = sum(sequential_p(row, looks) <= 0.05 for row in rows)
    assert alarms / 2000 <= 0.05
    naive = sum(
        min(2 * min(sign_flip(row[:n])) for n in looks) <= 0.05 for row in (noisy(s, 0, 64) for s in range(300))
    )
    assert naive / 300 > 0.10  # what uncorrected looking would do


def test_equivalence_is_rarely_claimed_at_the_tolerance_itself():
    looks, tau = AnalysisSchedule(1, 32).analyses, math.log1p(0.03)
    claims = sum(equivalence_p(noisy(seed, tau, 32), tau, looks) <= 0.05 for seed in range(500))
    assert claims / 500 <= 0.05
    assert all(equivalence_p(noisy(seed, 0.0, 32), tau, looks) <= 0.05 for seed in range(50))


def test_benjamini_hochberg_on_the_example_of_the_paper():
    """Benjamini & Hochberg (1995), section 3.2: 15 p-values, of which the first four are rejected at 5 %."""
    ps = "0.0001 0.0004 0.0019 0.0095 0.0201 0.0278 0.0298 0.0344 0.0459 0.3240 0.4262 0.5719 0.6528 0.7590 1.0000"
    assert sum(benjamini_hochberg([float(p) for p in ps.split()])) == 4


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, "equivalent"), (0.05, "regressed"), (-0.06, "improved"), (0.015, "equivalent")]
)
def test_verdicts(shift, verdict):
    rows = [noisy(7, shift, 32), *(noisy(seed, 0.0, 32) for seed in range(8, 13))]
    first, *others = judge(rows, [0.03] * 6, AnalysisSchedule(6, 32))
    assert first.verdict == verdict
    assert first.estimate == pytest.approx(math.expm1(shift), abs=0.01) and first.low < first.estimate < first.high
    assert {one.verdict for one in others} == {"equivalent"}


def test_what_is_inconclusive_says_how_many_pairs_it_takes():
    [found] = judge([noisy(5, 0.0, 16, spread=0.08)], [0.03], AnalysisSchedule(1, 64))
    assert found.verdict == "inconclusive"
    assert found.detectable > 0.06
    assert found.pairs_needed is None or found.pairs_needed > 32


@pytest.mark.parametrize(
    ("needed", "shown"), [(24, "needs 24, has 8"), (24_382, "has 8, not decidable here"), (8, "8"), (None, "8")]
)
def test_a_row_says_how_many_pairs_it_needs_and_has(needed, shown):
    judgement = Judgement("inconclusive", 8, 0.01, -0.1, 0.1, 0.2, 0.03, 0.2, needed)
    row = GateRow("", "a case", "native", "forward.time", "paired", "inconclusive", judgement=judgement)
    assert cells(row)[-1] == shown


def test_the_pairs_it_asks_for_suffice():
    """For a row of which the true spread is known, 19 of 20 are decided by as many pairs as 48 pairs say it takes."""
    [first] = judge([noisy(6, 0.0, 48, spread=0.05)], [0.03], AnalysisSchedule(1, 200))
    needed = first.pairs_needed
    assert needed is not None
    schedule = AnalysisSchedule(1, math.ceil(needed * 1.5))
    found = [judge([noisy(seed, 0.0, schedule.max_pairs, 0.05)], [0.03], schedule, False)[0] for seed in range(60)]
    assert sum(one.verdict == "equivalent" for one in found) >= 54


def test_three_identical_pairs_need_no_more():
    [found] = judge([exact(0.0, 0.0, 0.0)], [0.03], AnalysisSchedule(1, 32))
    assert found.identical and found.verdict == "equivalent"
    [found] = judge([exact(0.0, 0.0)], [0.03], AnalysisSchedule(1, 32))
    assert found.verdict == "inconclusive"


def test_no_pairs_are_inconclusive():
    [found] = judge([[]], [0.03], AnalysisSchedule(1, 32))
    assert found.verdict == "inconclusive" and found.low == -math.inf


def test_the_bootstrap_interval_holds_the_truth():
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(60):
        low, high = interval(exact(*rng.standard_t(4, 12)))
        held += low <= 0 <= high
    assert held >= 52


# Censored runs


def side(value: float, bound: str | None = None, better: str = "lower") -> dict:
    return {"value": value, "bound": bound, "better": better, "unit": "step", "exact": False}


def test_a_censored_run_is_a_bound_on_the_difference():
    assert difference(side(100), side(200)) == Difference(math.log(2), math.log(2))
    assert difference(side(100), side(200, "lower")) == Difference(math.log(2), math.inf)
    assert difference(side(100, "lower"), side(50)) == Difference(-math.inf, -math.log(2))
    assert difference(side(100, "lower"), side(100, "lower")) == Difference(-math.inf, math.inf)
    assert difference(side(2, better="higher"), side(1, better="higher")).low == pytest.approx(math.log(2))


def test_what_is_below_the_resolution_is_equal_and_what_is_above_is_not():
    fine = {"better": "lower", "bound": None, "unit": "B", "exact": False, "resolution": 1000.0}
    assert difference(fine | {"value": 0.0}, fine | {"value": 900.0}) == Difference(0.0, 0.0)
    assert difference(fine | {"value": 10.0}, fine | {"value": 2000.0}).low == pytest.approx(math.log(2))
    assert difference(fine | {"value": 4000.0}, fine | {"value": 5000.0}).low == pytest.approx(math.log(1.25))


def test_training_that_no_longer_succeeds_is_a_regression_though_no_ratio_is_known():
    rows = [[difference(side(300 + n), side(1000, "lower")) for n in range(16)]]
    [found] = judge(rows, [0.03], AnalysisSchedule(1, 32))
    assert found.verdict == "regressed"
    assert found.high == math.inf and found.low > 2
    assert found.estimate == pytest.approx(1000 / 307 - 1, rel=0.01)  # at least that


def test_runs_that_fail_on_both_sides_say_nothing_and_ask_for_no_more():
    row = [difference(side(1000, "lower"), side(1000, "lower"))] * 16
    [found] = judge([row], [0.03], AnalysisSchedule(1, 32))
    assert found.verdict == "inconclusive" and not found.promising(32)


def test_differences_of_numbers_that_are_not_positive():
    assert difference(side(0.0), side(0.0)) == Difference(0.0, 0.0)
    assert difference(side(-1.0), side(-1.1)).low == pytest.approx(-0.1 / 1.1)


# Tolerances


def test_a_tolerance_is_the_strictest_asked_for_and_never_below_the_floor():
    plain = Tolerances()
    assert plain.of(["forward.time"]) == 0.03
    assert plain.of(["forward.first_call"]) == 0.2
    given = Tolerances(0.02, {"forward.*": 0.05, "train.tokens": 0.01}, {"train.time": 0.015, "memory": 0.04})
    assert given.of(["forward.time"]) == 0.05
    assert given.of(["train.time", "train.tokens"]) == 0.015
    assert given.of(["memory"]) == 0.04


def test_a_tolerance_for_nothing_is_refused_with_the_near_name():
    with pytest.raises(UsageError, match=r"Did you mean 'forward\.time'"):
        Tolerances(given={"forward.tme": 0.1}).check(["forward.time", "train.time"])


# Numbers that not every process has

ENTRY = PlannedCase(Case("capacity", "gru", "torch", "auto", "cpu", "float32", 64, 4, 8, 8), ("native",), "", {}, "")
SUBJECT = Subject("capacity", "capacity gru", ENTRY, ENTRY)
ALL, NONE = [True] * 32, [False] * 32


def delay(value: float, there: bool = True, **fields: Any) -> Numbers:
    """The numbers of a process that leaves its only quantity out unless it is there."""
    return {"longest_delay": side(value, better="higher") | fields} if there else {}


def judged(pairs: list[tuple[Numbers, Numbers]]) -> list[GateRow]:
    return rows([(SUBJECT, "native", pairs)], Tolerances(), 32)


def test_a_number_that_one_process_leaves_out_is_judged_on_the_other_pairs():
    lacking, row = judged([(delay(20), delay(10, there=number != 5)) for number in range(32)])
    assert (row.quantity, row.verdict, len(row.samples[0])) == ("longest_delay", "regressed", 31)
    assert row.judgement is not None and row.judgement.pairs == 31
    assert (lacking.quantity, lacking.kind, lacking.verdict) == ("longest_delay", "status", "inconclusive")
    assert lacking.reason == "measured in base in 32 of 32 pairs, in head in 31 of 32"


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        (ALL, NONE, "regressed"),
        (ALL[:2], NONE[:2], "inconclusive"),
        (ALL[:3], NONE[:3], "regressed"),
        (ALL, [True] * 12 + [False] * 20, "regressed"),
        ([True, False] * 16, NONE, "regressed"),
        (ALL, [False] * 3 + [True] * 29, "inconclusive"),
        ([True, False] * 16, [False, True] * 16, "inconclusive"),
        ([True] + [False] * 31, [False] + [True] * 31, "inconclusive"),
    ],
)
def test_a_number_that_head_leaves_out_clearly_more_often_than_base_regresses(base, head, verdict):
    """32 pairs, of which 20 : 0, 16 : 0, 3 : 0, 16 : 16 and 1 : 31 have it in base alone : in head alone."""
    first, *_ = judged([(delay(20, a), delay(20, b)) for a, b in zip(base, head, strict=True)])
    assert (first.kind, first.verdict) == ("status", verdict)
    measured = f"measured in base in {sum(base)} of {len(base)} pairs, in head in {sum(head)} of {len(head)}"
    assert first.reason == measured


def test_a_number_that_only_head_has_is_new():
    assert judged([(delay(20, False), delay(20))] * 32) == []


def test_a_number_without_direction_that_head_leaves_out_is_no_regression():
    assert judged([(delay(20, better="none"), {})] * 32) == []
    [row] = judged([(delay(20, better="none", exact=True), {})] * 32)
    assert row.verdict == "changed"


def test_views_of_one_number_are_those_of_the_same_pairs():
    def pair(time: bool, rate: bool) -> tuple[Numbers, Numbers]:
        whole = {"time": side(2.0), "rate": side(0.5, better="higher")}
        slower = {"time": side(2.5), "rate": side(0.4, better="higher")}
        return whole, {name: slower[name] for name, there in (("time", time), ("rate", rate)) if there}

    [one] = judged([pair(True, True)] * 32)
    assert (one.quantity, one.also) == ("time", ("rate",))
    found = judged([pair(False, True), pair(True, False), *[pair(True, True)] * 30])
    assert [(row.quantity, row.kind, row.verdict) for row in found] == [
        ("time", "status", "inconclusive"),
        ("rate", "status", "inconclusive"),
        ("time", "paired", "regressed"),
        ("rate", "paired", "regressed"),
    ]


class Bought:
    """A sampler whose base always has a number, and whose head only in every other pair."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def resolve(self, subject: Subject, name: str) -> dict[str, Any]:
        return {"status": "ok", "reason": "", "implementation": "native", "rejected": {}}

    def known(self, subject: Subject) -> bool:
        return True

    def pairs(self, subject: Subject) -> list[dict[str, Any]]:
        return self.found

    def buy(self, subjects: list[Subject], enough: Any) -> None:
        numbers = delay(20), delay(20, there=len(self.found) % 2 == 1)
        ok = {"status": "ok", "reason": "", "seconds": 1.0}
        self.found.append({name: ok | {"quantities": one} for name, one in zip(("base", "head"), numbers, strict=True)})

    def close(self) -> None:
        pass


def test_pairs_are_bought_until_it_is_clear_that_head_leaves_a_number_out():
    sampler: Any = Bought()
    gate = Gate(sampler, MatchedSubjects((SUBJECT,), (), (), ()), Tolerances(), 60.0, 64, clock=lambda: 0.0)
    gate.run()
    lacking, row = gate.rows()
    assert (lacking.verdict, row.verdict) == ("regressed", "equivalent")
    assert len(sampler.found) == 16  # 8 : 0, and six looks: 12 / 2**8 is below 5 %


@pytest.mark.parametrize("fields", [{"value": math.nan}, {"samples": [1.0, math.inf]}, {"high": -math.inf}], ids=str)
def test_a_number_that_is_not_finite_fails_its_process(fields):
    """As in a run; what is not JSON could not be kept by the gate either."""
    quantities = {"time": side(1.0), "delay": side(1.0) | fields}
    found = _result_of(Outcome("ok", {"status": "ok", "reason": "", "quantities": quantities}))
    assert (found["status"], found["quantities"]) == ("failed", {})
    assert found["reason"].startswith("delay.") and "finite numbers only" in found["reason"]
