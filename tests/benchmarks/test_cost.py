"""What the harness costs on top of what it measures: `pytest -m long -s tests/benchmarks` prints the ratios.

For a quiet machine: every limit is about times. RNNBENCH_COST_BUDGET, in seconds, 1 by default, scales how long the
timings take; the limits are meant for the default.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from rnnbench.case import Case
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.part import Part
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.store import RunFolder, declarations
from rnnbench.store.lines import encode
from rnnbench.suite import plan, read
from rnnbench.timings import Interval, Timing, View

pytestmark = pytest.mark.long

BUDGET = float(os.environ.get("RNNBENCH_COST_BUDGET", "1"))
CASE = Case("throughput", "gru", "torch", "native", "cpu", "float32", 64, 16, 128, 32, threads=1)
HERE = Path(__file__).parent


USEFUL = ("ceilings", "verify", "check", "build", "first_call", "warm_up", "samples")


def show(what: str, found: float, limit: float, unit: str = "") -> None:
    print(f"{what}: {found:.4g}{unit} (limit {limit:g}{unit})")


@pytest.fixture
def session(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    opened = ForkServer()
    yield opened
    opened.close()


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("implementation", ["native", "eager"])
def test_the_reported_median_is_that_of_a_bare_loop_and_of_torchs_timer(session, implementation, mode):
    pytest.importorskip("torch")
    case = replace(CASE, implementation=implementation).to_json()
    job = {"entry": "cost_jobs:three_ways", "case": case, "mode": mode, "budget": 0.1 * BUDGET, "turns": 30}
    ratios: dict[str, list[float]] = {"bare": [], "torch": []}
    for _ in range(3):
        outcome = session.run(job, load().backends["torch"].preload, 600)
        assert outcome.status == "ok", f"{outcome.reason}\n{outcome.output}"
        for other, found in ratios.items():
            found += [a / b for a, b in zip(outcome.result["engine"], outcome.result[other], strict=True)]
    for other, found in ratios.items():
        show(f"{implementation} {mode}: engine / {other}", median(found), 1.01)
    assert all(abs(median(found) - 1) < 0.01 for found in ratios.values())


@pytest.fixture(scope="module")
def suite_run(tmp_path_factory) -> tuple[float, list[Record]]:
    """Wall seconds of a suite, the times of long_seq in one framework, from the command to its exit; its records."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("cost")
    (folder / "cost.yaml").write_text(
        "name: cost\n"
        "grid: {cell: [rnn, lstm, gru, mingru], backend: torch, seq_len: [64, 256, 1024, 2048], hidden_size: 128,\n"
        "       batch_size: 16, input_size: 32, threads: 1}\n"
        f"probes: {{throughput: {{budget: {BUDGET}, width: 0.0}}}}\n"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench", "run", "cost.yaml"], cwd=folder, capture_output=True, check=False
    )
    wall = time.perf_counter() - started
    assert done.returncode == 0, done.stderr.decode()
    [run] = (folder / "results/runs/cost").iterdir()
    return wall, RunFolder.open(run).load()


def division(records: list[Record]) -> dict[str, float]:
    seconds: Counter[str] = Counter()
    for record in records:
        assert record.conditions is not None
        seconds.update(record.conditions.seconds)  # type: ignore[arg-type]  # counts may be seconds
    return dict(seconds)


def test_a_suite_takes_little_longer_than_what_it_measures(suite_run):
    """Measured: warm-up, samples and ceilings; with it first calls, which compile, and all that is verified."""
    wall, records = suite_run
    seconds = division(records)
    useful = sum(seconds[name] for name in USEFUL if name in seconds)
    print(f"wall {wall:.1f} s: " + ", ".join(f"{name} {took:.2f}" for name, took in seconds.items()))
    show("wall / useful", wall / useful, 1.15)
    assert wall / useful <= 1.15


def test_the_fixed_cost_of_a_case(suite_run):
    _, records = suite_run
    costs = [division([record])["process"] for record in records]
    show("fixed cost per case of 3 processes, median", median(costs), 0.2, " s")
    assert median(costs) <= 0.2


@pytest.fixture(autouse=True, scope="module")
def _compiled_once():
    """As where it is installed: Python keeps what it has compiled of the modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        subprocess.run([sys.executable, "-m", "rnnbench", "list"], check=True, capture_output=True)
        yield


def cpu_seconds(*command: str) -> float:
    """User and system time, which other work on the machine changes least; the best of several."""
    best = float("inf")
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def test_list_feels_instant():
    ratio = cpu_seconds("-m", "rnnbench", "list") / cpu_seconds("-c", "import pluggy, yaml, click")
    show("list / import pluggy, yaml, click", ratio, 4)
    assert ratio <= 4


def test_ten_thousand_cases_expand_in_a_second(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text(
        "name: many\n"
        "grid: {cell: [rnn, irnn, lstm, gru, mingru], backend: [torch, jax], implementation: auto,\n"
        f"       seq_len: {list(range(1, 101))}, hidden_size: {list(range(1, 11))}}}\n"
        "probes: {throughput: {}}\n"
    )
    registry = load()
    started = time.process_time()
    planned = plan(read(path), registry)
    took = time.process_time() - started
    assert len(planned.cases) == 10_000
    show("expansion of 10,000 cases", took, 1, " s")
    assert took < 1


def many_records(run: Path, count: int) -> None:
    """A folder of `count` records: 20 programs of 5 lengths, each repeated with other seeds."""
    run.mkdir()
    declared = {one.name: one for one in THROUGHPUT.quantities}
    timing = Timing((1e-3,) * 20, Interval(1e-3, 0.9e-3, 1.1e-3, True))
    meta = {"format": 2, "suite_name": "many", "environments": {"": {}}, "cases": [], "total": count, "suite": {}}
    meta["probes"] = declarations.to_json([THROUGHPUT])
    cells, lengths = ["rnn", "irnn", "lstm", "gru", "mingru"], [64, 128, 256, 512, 1024]
    with (run / "records.jsonl").open("wb") as file:
        for number in range(count):
            case = replace(
                CASE,
                cell=cells[number % 5],
                backend=["torch", "jax"][number // 5 % 2],
                hidden_size=[128, 256][number // 10 % 2],
                seq_len=lengths[number // 20 % 5],
                seed=number // 100,
            )
            part = Part(
                "ok", "", "native", "oracle", {"forward.time": View("forward")}, {"forward": timing}, declared=declared
            )
            meta["cases"].append(case.id)
            file.write(encode(case, part, {"throughput": declared}))
    (run / "run.json").write_text(json.dumps(meta))


def test_a_hundred_thousand_records_are_reported_in_three_seconds(tmp_path):
    many_records(tmp_path / "run", 100_000)
    script = (
        "import resource, sys, time; from rnnbench.cli import main\n"
        "sys.argv = ['rnnbench', 'report', sys.argv[1]]\n"
        "try: main()\n"
        "finally:\n"
        "    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "    print(time.process_time(), peak, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    runs = [subprocess.run(command, capture_output=True, text=True, timeout=600) for _ in range(3)]
    assert all(done.returncode == 0 for done in runs), runs[0].stderr
    seconds, peak = min(tuple(map(float, done.stderr.split()[-2:])) for done in runs)  # others only slow it down
    show("report of 100,000 records", seconds, 3, " s")
    show("  memory", peak, 500, " MiB")
    assert seconds < 3 and peak < 500
