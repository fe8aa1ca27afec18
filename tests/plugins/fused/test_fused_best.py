"""`implementation: best` with real programs: a trial in lockstep, a verified choice, a record that tells of both."""

import sys

import pytest

pytest.importorskip("torch")

import rnnbench
from rnnbench.report.explanation import Choice, choose, explain
from rnnbench_fused import compiling

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="lockstep needs Linux"),
    pytest.mark.skipif(compiling.compiler() is None, reason="needs a C compiler"),
]
SUITE = {
    "name": "own",
    "grid": {
        "cell": "gru",
        "backend": "torch",
        "implementation": "best",
        "seq_len": 32,
        "hidden_size": 16,
        "batch_size": 2,
        "threads": 1,
    },
    "probes": {
        "throughput": {"modes": ["train"], "processes": 2, "budget": 0.1},
        "convergence": {"task": "adding", "max_steps": 4, "eval_every": 2, "eval_size": 4},
    },
}


def test_a_trial_chooses_and_the_record_and_its_explanation_tell(tmp_path):
    run = rnnbench.run(SUITE, results=tmp_path)
    assert [one.status for one in run.records] == ["ok", "ok"], [one.reason for one in run.records]
    for one in run.records:
        trial = one.details["tried"]
        assert set(trial["ratios"]) == {"fused", "native", "eager"} and not trial["failed"]
        assert one.implementation == next(iter(trial["ratios"])) and trial["ratios"][one.implementation] <= 1.05
        assert trial["ratios"]["eager"] > 1.05, "a loop in Python is never the fastest"
        assert one.verified == "oracle"
        assert "compiled" in trial["untried"]
    timed = explain(choose(run.records, Choice("gru", fields={"probe": "throughput"})), "train.time")
    assert any("was chosen by a trial in lockstep: " in sentence for sentence in timed.made)


SUMMING = """
import numpy as np
from rnnbench import Cell, hookimpl

def init(rng, D, H):
    return {"U": rng.uniform(-0.1, 0.1, (H, H)), "W": rng.uniform(-0.1, 0.1, (H, D))}, np.zeros(H)

def step(ops, p, h, z):
    h = ops.tanh(z @ p["W"].T + ops.cumulative_sum(h, axis=-1) @ p["U"].T)
    return h, h

@hookimpl
def rnnbench_cells():
    return [Cell("odd", init, step)]
"""


def test_a_cell_without_a_kernel_runs_on_the_generic_implementation_and_the_record_says_why(tmp_path):
    plugin = tmp_path / "odd.py"
    plugin.write_text(SUMMING)
    grid = SUITE["grid"] | {"cell": "odd"}
    probes = {"throughput": SUITE["probes"]["throughput"]}
    run = rnnbench.run({**SUITE, "grid": grid, "probes": probes}, plugins=[plugin], results=tmp_path)
    [one] = run.records
    assert (one.status, one.implementation) == ("ok", "eager"), one.reason
    assert "uses ops.cumulative_sum, for which no kernel can be generated" in one.details["tried"]["untried"]["fused"]
    assert "odd.py:" in one.details["tried"]["untried"]["fused"]
