"""Sentences that follow from the numbers, and silence where they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from report_records import entry, gradient, memory, record, timing, training
from rnnbench.record import Record
from rnnbench.report.findings import findings, ratio_text
from rnnbench.report.series import Entry, panels

LENGTHS = (64, 128, 256, 512)


def told(records: Sequence[Record]) -> list[str]:
    return findings(panels(records))


def test_growth_of_time() -> None:
    """Time per step constant: T^1.00. Time per step growing as T^0.5: T^1.5."""
    linear = [timing(1e-6, cell="lstm", seq_len=T) for T in LENGTHS]
    steep = [timing(1e-6 * T**0.5, cell="attention", seq_len=T) for T in LENGTHS]
    assert "Train time grows as T^1.00 for lstm (torch/native)." in told(linear)
    assert "Train time grows as T^1.00 for lstm (torch/native); T^1.50 for attention (torch/native)." in told(
        linear + steep
    )
    several = [timing(1e-6, cell=cell, seq_len=T) for cell in ("rnn", "gru", "lstm") for T in LENGTHS]
    assert "Train time grows as T^1.00 for all 3 programs." in told(several)


def test_no_growth_from_noise_or_two_lengths() -> None:
    noisy = [timing(1e-6 * factor, seq_len=T) for T, factor in zip(LENGTHS, (1, 5, 0.5, 4), strict=True)]
    assert not [text for text in told(noisy) if "grows as" in text]
    assert not [text for text in told([timing(1e-6, seq_len=T) for T in LENGTHS[:2]]) if "grows as" in text]


def test_the_gradient_halves() -> None:
    """Half-life 9 steps: after 2047 further steps 2^(−2047/9) = 3.4e-69 is left."""
    (text,) = told([gradient(-math.log(2) / 9, 1e-6, cell="rnn", seq_len=2048)])
    assert text == (
        "rnn (torch/native): the gradient halves every 9.0 steps: "
        "of a loss at T=2048, practically nothing (1e-68 of it) reaches the first step."
    )
    (text,) = told([gradient(-math.log(2) / 100, 1e-6, seq_len=201)])
    assert text.endswith("halves every 100 steps: of a loss at T=201, 25 % reaches the first step.")


def test_what_the_gradient_does_instead() -> None:
    (kept,) = told([gradient(-1e-5, 1e-6, seq_len=64)])
    assert kept == "lstm (torch/native): the gradient changes by less than a factor of 2 over 64 steps."
    (grown,) = told([gradient(0.1, 0.01, seq_len=64)])
    assert grown == "lstm (torch/native): the gradient doubles every 6.9 steps: it grows with the lag (T=64)."
    (open_,) = told([gradient(-0.02, 0.05, seq_len=64)])
    assert open_ == "lstm (torch/native): whether the gradient vanishes or grows is not clear from T=64."


def test_a_gradient_that_ends() -> None:
    one = gradient(-0.1, seq_len=64)
    curve = one.curves["gradient.log_norm"]
    ended = replace(one, curves={"gradient.log_norm": replace(curve, y=[*curve.y[:40], *[None] * 24])})
    assert told([ended])[0].endswith("of a loss at T=64 exactly nothing reaches the first step.")


def test_equal_gradients_of_two_frameworks_are_one_sentence_and_different_ones_two() -> None:
    same = [gradient(-0.1), gradient(-0.1001, backend="jax", implementation="scan")]
    assert [text.split(":")[0] for text in told(same)] == ["lstm (torch/native, jax/scan)"]
    different = [gradient(-0.1), gradient(-0.2, backend="jax", implementation="scan")]
    assert [text.split(":")[0] for text in told(different)] == ["lstm (torch/native)", "lstm (jax/scan)"]


def test_gradients_that_are_not_finite() -> None:
    one = gradient(-0.1)
    bad = replace(one, quantities=dict(one.quantities) | {"gradient.nonfinite_share": entry(0.031, "1")})
    assert "Gradients that are infinite or not a number, at the worst length: lstm (torch/native) 3.1 %." in told([bad])


def test_implementations_are_compared_by_name_with_the_interval_of_the_ratio() -> None:
    """10 ± 1 % against 30 ± 1 %: 3.0, from 29.7/10.1 to 30.3/9.9."""
    records = [timing(10e-6), timing(30e-6, backend="jax", implementation="scan")]
    assert told(records) == [
        "Lowest train time per step: lstm (torch/native) at T=64; at T=64 lstm (torch/native) takes 10.0 µs, "
        "3.0 (2.9–3.1) times as fast as the next, lstm (jax/scan).",
        "Train time per step, best against best of each framework: "
        "lstm at T=64: torch/native is 3.0 (2.9–3.1) times as fast as jax/scan.",
    ]


def test_overlapping_intervals_are_no_difference() -> None:
    records = [timing(10e-6, spread=0.1), timing(11e-6, spread=0.1, backend="jax", implementation="scan")]
    assert told(records) == [
        "Lowest train time per step: no clear winner at T=64; at T=64 lstm (torch/native) takes 10.0 µs, "
        "no clear difference to the next, lstm (jax/scan).",
        "Train time per step, best against best of each framework: "
        "lstm at T=64: no clear difference between torch/native and jax/scan.",
    ]


def test_a_vague_ratio_is_told_by_its_lower_end() -> None:
    """10 ± 20 % against 40 ± 20 %: the ratio lies between 32/12 and 48/8."""
    records = [timing(10e-6, spread=0.2), timing(40e-6, spread=0.2, cell="gru")]
    assert "at least 2.7 times as fast as the next, gru (torch/native)." in told(records)[0]


@pytest.mark.parametrize(
    ("slow", "fast"),
    [
        (Entry("ok", 3.0), Entry("ok", 1.0)),  # no intervals
        (Entry("ok", 3.0, 0.9, 5.0), Entry("ok", 1.0, 0.5, 1.5)),  # overlap
        (Entry("ok", 3.0, 2.0, 4.0), Entry("ok", 1.0, -0.5, 1.5)),  # the ratio may be anything
        (Entry("ok", 3.0, 1.52, 4.0), Entry("ok", 1.0, 0.5, 1.5)),  # all that is sure prints as one
    ],
)
def test_no_ratio_without_grounds(slow: Entry, fast: Entry) -> None:
    assert ratio_text(slow, fast) == ""


def test_one_program_alone_is_neither_fastest_nor_compared() -> None:
    assert told([timing(1e-6)]) == []


def test_different_problems_are_not_compared() -> None:
    assert told([timing(1e-6), timing(2e-6, dtype="float16"), timing(3e-6, hidden_size=64)]) == []


def test_memory_per_step() -> None:
    """1 MiB and 16 KiB for every step."""

    def per_step(records: Sequence[Record]) -> list[str]:
        return [text for text in told(records) if "per time step" in text]

    records = [memory(2**20 + 2**14 * T, seq_len=T) for T in LENGTHS]
    assert per_step(records) == ["Train peak memory (process) grows per time step by 16.0 KiB (lstm (torch/native))."]
    assert per_step([memory(2**20, seq_len=T) for T in LENGTHS]) == []
    more = [memory(2**20 + 2**12 * T, seq_len=T, cell=cell) for T in LENGTHS for cell in ("rnn", "gru")]
    (text,) = per_step(records + more)
    assert text.endswith("by 4.00 KiB (gru (torch/native)) to 16.0 KiB (lstm (torch/native)) in 3 programs.")


def test_who_learned() -> None:
    records = [training(0.005, steps, replicate=k) for k, steps in enumerate((300, 340, None))]
    records += [training(0.16, None, replicate=k, cell="rnn") for k in range(3)]
    assert told(records) == [
        "adding, T=64: solved by lstm (torch/native) in 340 steps (2/3); in brackets the seeds that did.",
        "adding, T=64: not solved within the budget by the median seed of rnn (torch/native 0/3).",
    ]


def test_a_winner_at_the_edge_of_the_learning_rates() -> None:
    records = [training(loss, None, lr) for lr, loss in ((0.001, 0.1), (0.01, 0.05), (0.1, 0.01))]
    edge = "The best lr is 0.1, the largest tried, for lstm (torch/native): a better one may lie beyond."
    assert edge in told(records)
    inner = [training(loss, None, lr) for lr, loss in ((0.001, 0.1), (0.01, 0.01), (0.1, 0.05))]
    assert not [text for text in told(inner) if "best lr" in text]


def test_unverified_programs_and_failures_are_named() -> None:
    records = [timing(1e-6, cell="mine", verified="none"), timing(2e-6), record(status="oom", reason="x", seq_len=8)]
    assert told(records) == [
        "Not verified against any mathematics, so not ranked: mine (torch/native).",
        "1 of 3 cases gave no numbers: 1 oom.",
    ]


def test_disturbed_and_missing_processes_are_counted() -> None:
    def with_processes(done: int, contaminated: int, **fields: Any) -> Record:
        parts = [{"details": {}, "quantities": {}}] * done
        details = {"contaminated": contaminated, "processes": {"asked": 3, "done": done, "parts": parts}}
        return replace(timing(1e-5, **fields), details=details)

    calm, slow, cut = with_processes(3, 0), with_processes(3, 2, seq_len=128), with_processes(1, 0, seq_len=256)
    assert not [line for line in told([calm]) if "reference kernel" in line or "--resume" in line]
    found = told([calm, slow, cut])
    assert [line.split(" ran")[0] for line in found if "reference kernel" in line] == ["2 of 7 processes"]
    assert [line.split(";")[0] for line in found if "--resume" in line] == [
        "Cases with fewer processes than they ask for: 1"
    ]


def test_gradients_at_initialisation_are_told_once_whatever_training_would_clip() -> None:
    records = [gradient(-math.log(2), settings={"clip": clip}) for clip in (None, 1.0)]
    found = [line for line in told(records) if "the gradient halves" in line]
    assert len(found) == 1 and "clip" not in found[0]
