"""Marks that several test files use."""

import pytest

# What compares times of the real clock: a neighbour's burst passes, a fault stays however often it is tried.
real_clock = pytest.mark.flaky(reruns=4, reruns_delay=1, only_rerun=["AssertionError"])

# What compares resident memory to a quarter of a MiB: pages that a library gives back late stay or go by chance.
resident_memory = pytest.mark.flaky(reruns=4, only_rerun=["AssertionError"])
