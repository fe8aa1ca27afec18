"""One comparison of a verification, as a value that crosses between processes."""

from __future__ import annotations

import json

import numpy as np

from rnnbench.worker.verification.check import Check


def test_a_check_of_numpy_numbers_is_json():
    """What NumPy computes is compared to a NumPy bool, which json refuses."""
    check = Check("outputs", np.float64(1.0), np.float64(2.0), np.float64(3.0))
    assert json.loads(json.dumps([check.passed, check.weak])) == [True, True]
