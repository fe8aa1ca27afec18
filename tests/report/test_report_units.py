"""SI numbers as people read them."""

from __future__ import annotations

import pytest

from rnnbench.report.units import number, quantity, scale_for, words


@pytest.mark.parametrize(
    ("value", "unit", "name", "text"),
    [
        (12.34e-6, "s", "", "12.3 µs"),
        (1e-9, "s", "", "1.00 ns"),
        (3e-11, "s", "", "0.0300 ns"),
        (0.5, "s", "", "500 ms"),
        (7200.0, "s", "", "7200 s"),
        (999.9e-6, "s", "", "1.00 ms"),
        (4.56 * 2**20, "B", "", "4.56 MiB"),
        (0.0, "B", "", "0 B"),
        (1023.0, "B", "", "1023 B"),
        (1234.0, "1/s", "train.tokens_per_second", "1.23 k tokens/s"),
        (12.0, "1/s", "train.tokens_per_second", "12.0 tokens/s"),
        (3.0, "1/s", "rate", "3.00 1/s"),
        (3e6, "1/s", "rate", "3.00 M/s"),
        (2e9, "FLOP/s", "", "2.00 GFLOP/s"),
        (60.0, "step", "", "60 steps"),
        (1.5, "step", "", "1.50 steps"),
        (-0.077, "1/step", "", "-0.0770 1/step"),
        (0.25, "1", "", "0.250"),
        (0.25, "parsec", "", "0.250 parsec"),
    ],
)
def test_a_number_with_its_unit(value: float, unit: str, name: str, text: str) -> None:
    assert quantity(value, unit, name) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (9.999, "10.0"),
        (99.95, "100"),
        (123456.0, "123456"),
        (1234567.0, "1.23e6"),
        (0.00123, "0.00123"),
        (0.000123, "1.23e-4"),
        (1e-67, "1.00e-67"),
        (-12.34, "-12.3"),
        (float("inf"), "inf"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_one_scale_for_a_block_goes_by_the_middle_of_its_values() -> None:
    scale = scale_for("s", [1e-6, 20e-6, 3e-3])
    assert scale.unit == "µs"
    assert [scale(value) for value in (1e-6, 20e-6, 3e-3)] == ["1.00", "20.0", "3000"]


def test_names_in_words() -> None:
    assert words("train.time_per_step") == "train time per step"
    assert words("train.peak_memory.process") == "train peak memory (process)"
    assert words("steps_to_target") == "steps to target"
