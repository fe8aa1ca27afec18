"""What the C library's allocator does to times: memory that is given back has to be faulted in again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rnnbench.machine import allocator

CALLS = """
import resource
import numpy as np

def call():
    np.empty(6 << 20).fill(1.0)  # 48 MiB, more than any threshold that the allocator finds by itself

call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    call()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 4)
"""


def faults(variables: dict[str, str]) -> float:
    """Page faults of a call that works on 48 MiB of its own, in a process with these variables alone."""
    done = subprocess.run([sys.executable, "-c", CALLS], env=variables, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are glibc's")
def test_a_call_in_a_process_that_is_timed_faults_no_page_in_again():
    assert faults({}) > 20  # of 2 MiB each at the most
    assert round(faults(allocator.KEEPING)) == 0  # but for one of the loop itself


def test_what_the_user_has_set_stays_for_times_and_not_for_memory():
    assert allocator.variables(memory=False, environment={}) == allocator.KEEPING
    assert allocator.variables(memory=False, environment={"MALLOC_ARENA_MAX": "2"}) == {}
    assert allocator.variables(memory=True, environment={"MALLOC_ARENA_MAX": "2"}) == allocator.RETURNING
    assert allocator.variables(memory=True, environment=allocator.RETURNING) == {}  # they share their processes


def test_a_record_says_what_a_process_ran_with():
    assert allocator.settings({"MALLOC_ARENA_MAX": "1", "PATH": "/bin"}) == {"MALLOC_ARENA_MAX": "1"}
