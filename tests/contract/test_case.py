"""What tells cases apart in a line of text."""

from __future__ import annotations

from dataclasses import replace

from report_records import case
from rnnbench.case import labels


def test_a_label_shows_what_varies_and_nothing_else() -> None:
    plain = "throughput lstm torch/native cpu T=64"
    assert labels([case()]) == [plain]
    assert labels([case(), case(hidden_size=512)]) == [f"{plain} hidden 128", f"{plain} hidden 512"]
    sizes = [case(batch_size=batch, dtype=dtype) for batch in (1, 16) for dtype in ("float32", "bfloat16")]
    assert labels(sizes)[1] == f"{plain} bfloat16 batch 1"


def test_settings_that_vary_are_told_by_probe() -> None:
    tried = [case(probe="convergence", settings={"task": "adding", "lr": lr, "clip": None}) for lr in (0.01, 0.1)]
    assert labels([*tried, case()]) == [
        "convergence[adding] lstm torch/native cpu T=64 lr 0.01",
        "convergence[adding] lstm torch/native cpu T=64 lr 0.1",
        "throughput lstm torch/native cpu T=64",
    ]


def test_no_two_cases_read_the_same() -> None:
    axes = {
        "hidden_size": 7,
        "batch_size": 3,
        "dtype": "float64",
        "threads": 2,
        "input_size": 9,
        "layers": 3,
        "seed": 5,
    }
    axes |= {"input_size": 9, "dropout": 0.5, "probe_version": 2, "seq_len": 65, "device": "cuda", "cell": "gru"}
    cases = [case(), *(case(**{axis: value}) for axis, value in axes.items()), case(settings={"bptt": "full"})]
    found = labels(cases)
    assert len(set(found)) == len(cases)


def test_the_same_case_twice_reads_the_same() -> None:
    one = case()
    assert len(set(labels([one, replace(one)]))) == 1
