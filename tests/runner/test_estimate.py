"""Predicted duration and memory of a suite: planted costs, recorded runs, and a real suite before and after."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import ask
from report_records import BASE, conditions, record
from rnnbench.case import Case
from rnnbench.record import Record
from rnnbench.records import asked
from rnnbench.registry import load
from rnnbench.runner.estimate import START, Costs, Estimate, comparison, per_process, work
from rnnbench.suite import plan, read

ROOT = Path(__file__).parents[2]
PROCESSES = Path(__file__).with_name("long_seq_processes.csv")
"""Every process of a run of suites/long_seq.yaml on two quiet cores, in order: its seconds, those that the next one of
its kind takes too (without imports and ceilings), and those of the verification."""


def seen(case: Case, seconds: float, peak: float | None = None) -> Record:
    return replace(record(peak_memory=peak), case=case, seconds=seconds)


def test_where_nothing_ran_each_probe_is_expected_to_spend_its_own_budget() -> None:
    sampled = replace(BASE, settings={"modes": ["forward", "train"], "budget": 6.0, "processes": 3})
    assert work(sampled) == pytest.approx(1.5 * 6.0 / 3 * 2, rel=0.2)
    trained = replace(BASE, settings={"max_steps": 2000})
    assert work(replace(trained, seq_len=10 * BASE.seq_len)) > 5 * (work(trained) - 2.0)
    assert work(replace(BASE, settings={"steps": 200, "at": ["start"]})) < 0.5
    costs = Costs()
    assert costs.seconds(sampled) == (START + work(sampled), "budget")
    assert costs.estimate([]) == Estimate(0.0, 0.0, 0.0, None, 0, 0, "")


def test_another_probe_tells_nothing() -> None:
    costs = Costs()
    before = costs.seconds(BASE)
    costs.learn(seen(replace(BASE, probe="convergence"), 500.0))
    assert costs.seconds(BASE) == before


def test_what_ran_before_is_expected_again() -> None:
    costs = Costs()
    cases = [replace(BASE, cell=cell, seq_len=T) for cell in ("lstm", "gru") for T in (64, 256)]
    for number, case in enumerate(cases, 1):
        costs.learn(seen(case, float(number), 100.0 * case.seq_len), earlier=True)
    found = costs.estimate([(case, 3) for case in cases], "one run")
    assert (found.seconds, found.peak_memory, found.known, found.source) == (30.0, 25_600.0, 4, "one run")
    assert found.low < found.seconds < found.high


def test_a_run_that_goes_slower_than_the_earlier_ones_is_expected_to_go_on_so() -> None:
    costs = Costs()
    cases = [replace(BASE, seq_len=T) for T in (64, 128, 256)]
    for case in cases:
        costs.learn(seen(case, 100.0), earlier=True)
    for case in cases[:2]:
        costs.learn(seen(case, 200.0))
    assert costs.seconds(cases[2])[0] == pytest.approx(200.0, rel=0.05)


def test_the_most_alike_at_the_nearest_length_is_carried_by_the_budget() -> None:
    costs = Costs()
    costs.learn(seen(replace(BASE, cell="gru"), 9.0))
    costs.learn(seen(replace(BASE, seq_len=BASE.seq_len * 4), 3.0))
    near = replace(BASE, seq_len=BASE.seq_len * 8)
    grown = work(near) - work(replace(BASE, seq_len=BASE.seq_len * 4))
    assert costs.seconds(near) == (pytest.approx(3.0 + grown), "program")
    assert costs.seconds(replace(BASE, cell="lru"))[1] == "settings"
    assert costs.seconds(replace(BASE, backend="other"))[1] == "probe"


@pytest.mark.parametrize("status", ["skipped", "failed", "timeout", "oom", "crashed", "wrong"])
def test_what_did_not_go_well_teaches_nothing(status: str) -> None:
    costs = Costs()
    before = costs.seconds(BASE)
    costs.learn(record(status=status, reason="it had to"))
    costs.learn(record(status=status, reason="it had to"), earlier=True)
    assert costs.seconds(BASE) == before


def test_a_first_process_bears_its_share_of_what_only_the_first_waits_for() -> None:
    parts = {"other": 3.0, "ceilings": 2.0, "verify": 0.6}
    case = replace(BASE, settings={**BASE.settings, "processes": 3})
    first = replace(record(conditions=conditions(seconds=parts)), case=case, asked=3, seconds=7.0)
    assert per_process(first) == pytest.approx(7.0 - 5.0 - 0.4)


def replayed(recorded: list[tuple[Case, float, float]]) -> list[tuple[float, float, Estimate, float]]:
    """Before each process of a recorded run: (share of the time that has passed, predicted over actual seconds of the
    whole run, estimate of what is left, true seconds left). recorded: case, seconds, seconds that repeat.
    """
    left = Counter(case.id for case, _, _ in recorded)
    cases = {case.id: case for case, _, _ in recorded}
    total = sum(seconds for _, seconds, _ in recorded)
    costs, passed, found = Costs(), 0.0, []
    for case, seconds, lasting in recorded:
        estimate = costs.estimate([(cases[id], count) for id, count in left.items() if count])
        found.append((passed / total, (passed + estimate.seconds) / total, estimate, total - passed))
        costs.learn(replace(record(), case=case, seconds=lasting))
        left[case.id] -= 1
        passed += seconds
    return found


def recorded_long_seq() -> list[tuple[Case, float, float]]:
    registry = load()
    learning = {"backend": "[torch,jax]", "implementation": "auto", "seq_len": 32, "hidden_size": 128}
    as_recorded = ["grid.seq_len=[64,256,1024,2048]", "probes.throughput.budget=0.6", "probes.convergence.seeds=1"]
    as_recorded += [f"probes.convergence.grid.{axis}={value}" for axis, value in learning.items()]
    planned = plan(read(ROOT / "suites" / "long_seq.yaml"), registry, ["device=cpu"], as_recorded)
    cases = {(case.probe, case.backend, case.cell, case.seq_len): case for case in planned.cases}
    with PROCESSES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        case = cases[row["probe"], row["backend"], row["cell"], int(row["seq_len"])]
        shared = float(row["verify"]) * (1 - 1 / asked(case))
        found.append((case, float(row["seconds"]), float(row["lasting"]) - shared))
    return found


def test_the_time_left_of_a_recorded_run_was_right_all_along() -> None:
    """On a fresh results folder: the first estimate within a factor of 3, after a tenth of the run within 1.5; and the
    ranges said hold the truth nearly always. `pytest -s` prints the figures.
    """
    found = replayed(recorded_long_seq())
    for share in (0.0, 0.1, 0.2, 0.5, 0.9):
        at, ratio, estimate, left = next(step for step in found if step[0] >= share)
        text = f"{estimate.seconds:4.0f} s left ({estimate.low:.0f} to {estimate.high:.0f}), in truth {left:4.0f} s"
        print(f"\nafter {at:4.0%}: {text}; whole run {ratio:.2f} times the truth", end="")
    assert 1 / 3 < found[0][1] < 3
    late = [abs(math.log(ratio)) for share, ratio, *_ in found if share >= 0.1]
    assert math.exp(max(late)) < 1.5
    assert sum(estimate.low <= left <= estimate.high for *_, estimate, left in found) > 0.9 * len(found)


def test_a_second_run_is_expected_to_take_what_the_first_took() -> None:
    recorded, costs = recorded_long_seq(), Costs()
    for case, _, lasting in recorded:
        costs.learn(replace(record(), case=case, seconds=lasting), earlier=True)
    truth = sum(lasting for *_, lasting in recorded)
    found = costs.estimate([(case, 1) for case, *_ in recorded])
    assert found.seconds == pytest.approx(truth, rel=0.1)
    assert found.known == found.cases


def test_how_good_it_was() -> None:
    found = comparison(Estimate(120.0, 90.0, 150.0, 90.0, 3, 3, ""), 100.0, 100.0)
    assert (found["seconds_error"], found["peak_memory_error"]) == pytest.approx((0.2, -0.1))
    assert comparison(Estimate(120.0, 90.0, 150.0, None, 3, 3, ""), 100.0, 100.0)["peak_memory_error"] is None


SUITE = """
name: tiny
grid: {cell: gru, backend: torch, device: [cpu, tpu], seq_len: [6, 12], hidden_size: 8, batch_size: 4, input_size: 3}
probes: {memory: {modes: [forward]}}
"""


def test_a_run_predicts_itself_and_says_how_good_that_was(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)

    def run(*options: str) -> str:
        answer = ask("run", suite, *options, cwd=tmp_path)
        assert answer.code == 0, answer.err
        return answer.err

    before = run("--dry-run", "--estimate")
    assert re.search(r"estimate: \d+ s \(.* to .*\), from the budgets in the suite", before)
    assert "0 of the 2 cases that can run here" in before
    assert "from the budgets in the suite" in run()
    planned = run("--dry-run", "--estimate")
    assert re.search(r"estimate: .* MiB in the largest process, from 1 earlier run in this environment", planned)
    assert re.search(r"took .*; predicted: .* \([+-]\d+%, [+-]\d+%\)", run())
    metas = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("results/runs/tiny/*/run.json"))]
    (first,), (second,) = (meta["estimates"] for meta in metas)
    assert (first["predicted"]["known"], second["predicted"]["known"]) == (0, 2)
    assert abs(second["actual"]["peak_memory_error"]) < 0.2
    assert second["actual"]["seconds"] > 0
