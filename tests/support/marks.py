"""Marks that several test files use."""

import pytest

# What compares times of the real clock: a neighbour's burst passes, a fault stays however often it is tried.
real_clock = pytest.mark.flaky(reruns=4, reruns_delay=1, only_rerun=["AssertionError"])
