r"""Whether rankings reproduce: the throughput part of the main job, run again, and once beside a bursty neighbour.

    pytest -m long -s tests/benchmarks/test_reproducibility.py

prints how far the ratios of rows moved. `RNNBENCH_PAUSE` are the seconds between the two runs, half an hour by default;
`RNNBENCH_ONLY` and `RNNBENCH_SET` narrow each run as `--only` and `--set` do, several with a space between:

    RNNBENCH_PAUSE=60 RNNBENCH_ONLY="seq_len=256" RNNBENCH_SET="probes.throughput.modes=[train]" \
        pytest -m long -s tests/benchmarks/test_reproducibility.py -k "two_runs or neighbour"

takes three runs of two minutes each. `RNNBENCH_SUITE` is another suite than the main job.
The known answer comes first: two simulated runs of programs that are what they are.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnbench
from report_records import BASE, DECLARED, record
from reproducibility import agreement
from rnnbench.measure.statistics import median_interval
from rnnbench.record import Record
from rnnbench.records import levelled, merge
from rnnbench.timings import Timing, View

PAUSE = float(os.environ.get("RNNBENCH_PAUSE", "1800"))
SUITE = Path(os.environ.get("RNNBENCH_SUITE", Path(__file__).parents[2] / "suites" / "long_seq.yaml"))
NARROWED = [
    argument
    for option in ("only", "set")
    for value in os.environ.get(f"RNNBENCH_{option.upper()}", "").split()
    for argument in (f"--{option}", value)
]

NEIGHBOUR = """
import random, time
while True:
    until = time.monotonic() + random.expovariate(2.0)
    while time.monotonic() < until:
        pass
    time.sleep(random.expovariate(2.0))
"""
"""Half load on a core, in bursts of half a second on average."""


def simulated(truth: dict[str, float], seed: int) -> list[Record]:
    """A run of these programs (ln seconds) on a machine of its own mood."""
    rng = np.random.default_rng(seed)
    speed = rng.normal(0, 0.3)
    groups = {name: speed + np.repeat(rng.exponential(0.3, 6) * (rng.random(6) < 0.5), 5) for name in "abc"}
    [part] = record().parts
    records = []
    for cell, level in truth.items():
        parts = []
        for group, slow in groups.items():
            disturbed = np.where(rng.random(30) < 0.1, rng.exponential(0.3, 30), 0)
            logs = level + rng.normal(0, 0.004) + slow + np.abs(rng.normal(0, 0.02, 30)) + disturbed
            samples = tuple(map(float, np.exp(logs)))
            timings = {"train": Timing(samples, median_interval(samples))}
            values, declared = {"train.time": View("train")}, {"train.time": DECLARED["train.time"]}
            parts.append(replace(part, values=values, timings=timings, declared=declared, lockstep=f"{seed}{group}"))
        records.append(merge(replace(BASE, cell=cell, settings={"processes": 3}), parts))
    return levelled(records)


def test_simulated_runs_agree_on_ratios_though_the_machine_changed_in_between():
    rng = np.random.default_rng(0)
    truth = {f"cell{index}": float(rng.normal(0, 0.7)) for index in range(14)}
    found = agreement(simulated(truth, 1), simulated(truth, 2))
    assert found.pairs == 91
    assert found.moved <= 0.02 and found.moved_p90 <= 0.05
    assert found.overlap >= 0.93 and found.apart >= 0.9 and found.contradictions == 0


def test_programs_that_changed_in_between_are_seen():
    truth = {f"cell{index}": 0.2 * index for index in range(14)}
    found = agreement(simulated(truth, 1), simulated({name: -level for name, level in truth.items()}, 2))
    assert found.contradictions > 60 and found.moved > 0.5 and found.overlap < 0.1


def ran(folder: Path, suite: Path = SUITE, *narrowed: str) -> list[Record]:
    """A run of a suite: of the main job the throughput part."""
    command = [sys.executable, "-m", "rnnbench", "run", str(suite), *narrowed, "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    [found] = (folder / "runs").glob("*/*")
    return list(rnnbench.load(found).records)


def throughput(folder: Path) -> list[Record]:
    return ran(folder, SUITE, "--only", "probe=throughput", "--only", "device=cpu", *NARROWED)


@contextmanager
def neighbour() -> Iterator[None]:
    """Half load on every core, in random bursts."""
    cores = range(os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in cores]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> list[Record]:
    return throughput(tmp_path_factory.mktemp("first"))


@pytest.mark.long
def test_two_runs_agree(first, tmp_path):
    time.sleep(PAUSE)
    found = agreement(first, throughput(tmp_path))
    print(f"\ntwo runs, {PAUSE:g} s apart: {found}")
    assert found.moved <= 0.02 and found.moved_p90 <= 0.05
    assert found.overlap >= 0.93 and found.apart >= 0.9 and found.contradictions == 0


@pytest.mark.long
def test_a_run_beside_a_bursty_neighbour_agrees(first, tmp_path):
    with neighbour():
        found = agreement(first, throughput(tmp_path))
    print(f"\nbeside a bursty neighbour: {found}")
    assert found.moved <= 0.04 and found.moved_p90 <= 0.1
    assert found.overlap >= 0.93 and found.contradictions == 0


@pytest.mark.long
def test_two_copies_of_one_program_are_level(tmp_path):
    """Cells that are spelled differently and are the same."""
    suite = tmp_path / "twins.yaml"
    cells = "[lstm, lstm(forget_bias=1), gru, rnn, mingru]"
    sizes = "hidden_size: 64, batch_size: 8, input_size: 32, threads: 1, seq_len: [64, 256]"
    probes = "{throughput: {processes: 6, budget: 3}}"
    suite.write_text(f"name: twins\ngrid: {{cell: {cells}, {sizes}}}\nprobes: {probes}\n")
    records = ran(tmp_path, suite)
    held, widths = [], []
    for T in (64, 256):
        for backend in ("torch", "jax"):
            for name in ("forward.time", "train.time"):
                rows = {
                    one.case.cell: one.quantities[name].level
                    for one in records
                    if (one.case.seq_len, one.case.backend) == (T, backend)
                }
                twins = [level for cell, level in rows.items() if cell.startswith("lstm") and level]
                if len(twins) == 2:
                    ratio = twins[0].over(twins[1])
                    held.append(not ratio.apart)
                    widths.append(math.log((ratio.high or 1) / (ratio.low or 1)))
    print(f"\ntwins: 1.00 in {sum(held)} of {len(held)} intervals, {np.median(widths):.1%} wide")
    assert np.mean(held) >= 0.93 and np.median(widths) <= 0.04


TIMES = '''
"""torch's GRU, run several times over: the mean of its outputs is the GRU's, and so are its gradients."""
from rnnbench import Implementation, any_of, hookimpl

def several(times):
    def build(cell, device, dtype):
        from rnnbench_torch import native

        run = native.build(cell, device, dtype)

        def unroll(params, state, xs):
            final, ys = run(params, state, xs)
            for _ in range(times - 1):
                final, more = run(params, state, xs)
                ys = ys + more
            return final, ys / times

        return unroll

    return build

@hookimpl
def rnnbench_implementations():
    return [
        Implementation(name, "torch", any_of("gru"), several(times))
        for name, times in (("twenty", 20), ("again", 20), ("more", 21))
    ]
'''
"""Programs of known ratio: a run of the kernel is one part in twenty of both the forward pass and its gradient."""

BUDGET = float(os.environ.get("RNNBENCH_BUDGET", "3"))


@pytest.mark.long
def test_a_planted_twentieth_is_told_and_its_twin_is_not(tmp_path):
    """`RNNBENCH_BUDGET`: seconds for each number, 3 by default, which is four minutes in all."""
    (tmp_path / "times.py").write_text(TIMES)
    suite = tmp_path / "planted.yaml"
    sizes = "hidden_size: 64, batch_size: 8, input_size: 32, threads: 1, seq_len: [32, 128]"
    grid = f"{{cell: gru, backend: torch, implementation: [twenty, again, more], {sizes}}}"
    probes = f"{{throughput: {{processes: 6, budget: {BUDGET}}}}}"
    suite.write_text(f"name: planted\nplugins: [times.py]\ngrid: {grid}\nprobes: {probes}\n")
    records = ran(tmp_path, suite)
    told, right, level = [], [], []
    for T in (32, 128):
        for name in ("forward.time", "train.time"):
            rows = {one.implementation: one.quantities[name].level for one in records if one.case.seq_len == T}
            more_level, again_level, reference = (rows[one] for one in ("more", "again", "twenty"))
            assert more_level and again_level and reference
            more, again = more_level.over(reference), again_level.over(reference)
            assert more.low and more.high and again.low and again.high
            told.append(more.apart and more.value > 1)
            right.append(more.low <= 1.05 <= more.high)
            level.append(not again.apart)
            text = " ".join(f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (more, again))
            print(f"\nT={T} {name}: 21/20 and 20/20: {text}", end="")
    print(f"\ntold {sum(told)}, right {sum(right)}, level {sum(level)} of {len(told)}")
    assert all(told) and sum(right) >= 3 and sum(level) >= 3
