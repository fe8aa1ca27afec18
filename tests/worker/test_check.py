"""One comparison of a verification, as a value that crosses between processes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rnnbench.worker.verification.check import DRAWS, Check, judged


def test_a_check_of_numpy_numbers_is_json():
    """What NumPy computes is compared to a NumPy bool, which json refuses."""
    check = Check("outputs", np.float64(1.0), np.float64(2.0), np.float64(3.0))
    assert json.loads(json.dumps([check.passed, check.weak])) == [True, True]


@pytest.mark.parametrize(("deviation", "asked"), [(0.5, [1]), (2.0, [1, DRAWS]), (np.inf, [1]), (np.nan, [1])], ids=str)
def test_more_draws_are_asked_for_where_they_could_clear_what_one_condemns(deviation, asked):
    """Eight of them find a tolerance of 4 where one had found 1."""
    seen = []

    def checks(draws):
        seen.append(draws)
        return [Check("outputs", deviation, 1.0 if draws == 1 else 4.0)]

    [found] = judged(checks)
    assert seen == asked
    assert found.passed == np.isfinite(deviation)
