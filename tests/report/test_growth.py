"""Growth with T: exponents, overheads, crossovers and predictions of planted laws."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from report_records import memory, timing
from rnnbench.record import Record
from rnnbench.report.findings import findings
from rnnbench.report.growth import Growth, Measured, crossovers, fit
from rnnbench.report.series import panels
from rnnbench.report.table import build

LENGTHS = (64, 128, 256, 512, 1024)
Law = Callable[[float], float]


def planted(law: Law, lengths: tuple[int, ...] = LENGTHS, noise: float = 0.0, seed: int = 0) -> Growth:
    rng = random.Random(seed)
    found = fit(tuple((float(T), law(T) * math.exp(rng.gauss(0, noise))) for T in lengths))
    assert found is not None
    return found


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_a_planted_power_is_found_and_goes_on_beyond(power: float) -> None:
    found = planted(lambda T: 3e-6 * T**power)
    assert found.model == "power"
    assert (found.exponent.value, found.exponent.low, found.exponent.high) == pytest.approx((power,) * 3)
    expected = found.predict(4096)
    assert (expected.value, expected.low, expected.high) == pytest.approx((3e-6 * 4096**power,) * 3)
    assert expected.origin == "modelled"


def test_an_overhead_is_found_where_a_power_law_fits_badly() -> None:
    """1 ms per call and 10 µs per step: the exponent alone would say T^0.6 and be wrong beyond."""
    found = planted(lambda T: 1e-3 + 1e-5 * T)
    assert found.model == "overhead"
    assert (found.overhead, found.per_step) == pytest.approx((1e-3, 1e-5))
    assert found.exponent.value < 0.9
    assert found.predict(8192).value == pytest.approx(1e-3 + 1e-5 * 8192)


@pytest.mark.parametrize("law", [lambda T: 3e-6 * T**1.2, lambda T: 1e-3 + 1e-5 * T])
def test_95_of_100_prediction_intervals_hold_the_truth(law: Law) -> None:
    """3 % noise; the interval is for a new measurement, which has noise of its own."""
    rng = random.Random(1)
    hits = 0
    for seed in range(400):
        value = planted(law, noise=0.03, seed=seed).predict(2048)
        assert value.low is not None
        assert value.high is not None
        hits += value.low <= law(2048) * math.exp(rng.gauss(0, 0.03)) <= value.high
    assert 0.90 <= hits / 400 <= 0.99


def test_95_of_100_exponent_intervals_hold_the_truth() -> None:
    slopes = [planted(lambda T: 1e-6 * T**1.3, noise=0.05, seed=seed).exponent for seed in range(400)]
    hits = sum(slope.low is not None and slope.high is not None and slope.low <= 1.3 <= slope.high for slope in slopes)
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize(
    "points", [[(64, 1.0), (256, 2.0)], [(64, 1.0), (96, 2.0), (128, 3.0)], [(1, 0.0), (2, 1), (8, 1)]]
)
def test_too_little_for_a_model(points: list[tuple[float, float]]) -> None:
    assert fit(tuple(points)) is None


def measured(law: Law, spread: float | None = 0.01) -> list[Measured]:
    if spread is None:
        return [Measured(T, law(T)) for T in LENGTHS]
    return [Measured(T, law(T), law(T) * (1 - spread), law(T) * (1 + spread)) for T in LENGTHS]


@pytest.mark.parametrize("spread", [None, 0.01])
def test_two_lines_cross_where_they_do(spread: float | None) -> None:
    """6 ms + 10 µs·T and 3 ms + 20 µs·T are equal at T = 300."""
    flat, steep = measured(lambda T: 6e-3 + 1e-5 * T, spread), measured(lambda T: 3e-3 + 2e-5 * T, spread)
    (found,) = crossovers(flat, steep)
    assert found.seq_len == pytest.approx(300, rel=0.01)
    assert (found.low, found.high, found.a_first) == (256, 512, False)
    (mirrored,) = crossovers(steep, flat)
    assert mirrored.a_first


def test_a_crossover_is_between_the_lengths_that_are_clear() -> None:
    """With 20 % intervals nobody leads near T = 300: the bracket is wider, and nothing is guessed."""
    flat, steep = measured(lambda T: 6e-3 + 1e-5 * T, 0.2), measured(lambda T: 3e-3 + 2e-5 * T, 0.2)
    assert crossovers(flat, steep) == []  # at 64, a quarter; at 1024, a third: not clear either side
    flat, steep = measured(lambda T: 6e-3 + 1e-5 * T, 0.08), measured(lambda T: 3e-3 + 2e-5 * T, 0.08)
    (found,) = crossovers(flat, steep)
    assert (found.low, found.high) == (128, 512)


def test_lines_that_do_not_cross_and_ones_that_cross_beyond() -> None:
    assert crossovers(measured(lambda T: 1e-5 * T), measured(lambda T: 2e-5 * T)) == []
    assert crossovers(measured(lambda T: 1e-1 + 1e-5 * T), measured(lambda T: 2e-5 * T)) == []


def test_what_a_report_says() -> None:
    def rows(cell: str, overhead: float, per_step: float) -> list[Record]:
        return [timing(overhead / T + per_step, cell=cell, seq_len=T) for T in LENGTHS]

    records = rows("lru", 6e-3, 1e-5) + rows("lstm", 3e-3, 2e-5)
    sentences = [finding.text for finding in findings(panels(records))]
    assert (
        "Train time, crossovers: lstm (torch/native) is lower up to T≈300 (256–512), lru (torch/native) beyond."
        in sentences
    )
    (growth,) = [block for block in build(records).blocks if block.quantity == "growth"]
    assert growth.heads == ("train time",)
    assert [row.entries[0].text for row in growth.rows] == ["6.00 ms + 10.0 µs·T", "3.00 ms + 20.0 µs·T"]
    (line,) = [text for text in sentences if text.startswith("Modelled, not run: train time at T=4096")]
    assert "lstm (torch/native) 84.9 ms" in line
    assert "train.time.modelled" not in [block.quantity for block in build(records).blocks], "only if asked for"
    (block,) = [block for block in build(records, everything=True).blocks if block.quantity == "train.time.modelled"]
    assert block.columns == (2048, 4096)
    assert "not run" in block.caption
    assert block.rows[1].entries[1].value == pytest.approx(3e-3 + 2e-5 * 4096)


def test_exponents_stand_in_a_table_with_their_intervals() -> None:
    """Time per step constant: 1.00. Growing as T^0.5: 1.50. Noise that leaves T and T² open: unclear."""
    rows = [timing(1e-6, cell="lstm", seq_len=T) for T in LENGTHS]
    rows += [timing(1e-6 * T**0.5, cell="attention", seq_len=T) for T in LENGTHS]
    rows += [timing(1e-6 * k / T, cell="noise", seq_len=T) for T, k in zip(LENGTHS, (1, 8, 6, 60, 60), strict=True)]
    (block,) = [block for block in build(rows).blocks if block.quantity == "growth"]
    texts = {row.labels[0]: row.entries[0].text or row.entries[0].status for row in block.rows}
    assert texts == {"lstm": "1.00", "attention": "1.50", "noise": "unclear"}
    assert [round(row.entries[0].number, 6) for row in block.rows[:2]] == [1.0, 1.5]


def test_memory_has_a_model_and_noise_has_none() -> None:
    sentences = [finding.text for finding in findings(panels([memory(2**20 + 2**14 * T, seq_len=T) for T in LENGTHS]))]
    assert any(text.startswith("Modelled, not run: train peak memory (process) at T=4096: lstm") for text in sentences)
    noisy = [timing(1e-6 * k, seq_len=T) for T, k in zip(LENGTHS, (1, 5, 0.5, 4, 1), strict=True)]
    shown = build(noisy, everything=True).blocks
    assert "train.time.modelled" not in [block.quantity for block in shown], "nothing to say, no row"
    steady = [timing(1e-6, seq_len=T, cell="gru") for T in LENGTHS]
    shown = build([*noisy, *steady], everything=True).blocks
    (block,) = [block for block in shown if block.quantity == "train.time.modelled"]
    assert [row.labels[0] for row in block.rows] == ["gru"]


def test_a_prediction_reaches_as_far_as_the_row_it_rests_on() -> None:
    """One row ran to 1024 and one to 256: 4096 is four times the first and sixteen times the second."""
    rows = [timing(1e-6, cell="long", seq_len=T) for T in LENGTHS]
    rows += [timing(1e-6, cell="short", seq_len=T) for T in LENGTHS if T <= 256]
    shown = build(rows, everything=True).blocks
    (block,) = [block for block in shown if block.quantity == "train.time.modelled"]
    statuses = {row.labels[0]: [entry.status for entry in row.entries] for row in block.rows}
    assert statuses == {"long": ["ok", "ok"]}, "2048 and 4096; neither is within four times 256"
    assert block.caption.startswith("modelled, not run: fitted to T=64 to 256 or 1024")


def test_memory_too_small_to_be_seen_is_no_crossover() -> None:
    """Peaks of 0 bytes at the shortest lengths say nothing about who is lower."""
    nothing = [Measured(T, 0.0 if T < 256 else 2.0 * T) for T in LENGTHS]
    assert crossovers(nothing, measured(lambda T: 1.0 * T, None)) == []
    assert crossovers(measured(lambda T: 1.0 * T, None), nothing) == []
