"""A planted allocation in a fresh process is reported within 2 %, whatever the process held and freed before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.measure import process_memory

MIB = 2**20

linux = pytest.mark.skipif(not process_memory.resettable(), reason="the kernel cannot reset this process's peak")


def in_fresh_process(script: str, *arguments: object) -> dict[str, float]:
    """Run a script that prints one JSON object."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


PLANT = """
import json, sys
import numpy as np
from rnnbench.measure import process_memory

size, past = (int(a) * 2**20 for a in sys.argv[1:])
if past:
    np.ones(past, np.uint8)  # touched and freed at once: the old peak must not show
before = process_memory.reset_peak()
block = np.ones(size, np.uint8)
held = process_memory.resident_bytes() - before
del block
print(json.dumps({"peak": process_memory.peak_bytes() - before, "held": held,
                  "left": process_memory.resident_bytes() - before}))
"""

HOARD = """
import json
from rnnbench.measure import process_memory

def blocks():  # small enough to come from the heap, which glibc keeps when they are freed out of order
    return [bytearray(b"x" * 65536) for _ in range(1024)]

kept, pin = blocks(), None
pin = bytearray(b"x" * 65536)  # at the top of the heap: nothing below it goes back by itself
del kept
untrimmed = process_memory.resident_bytes()
before = process_memory.reset_peak()
again = blocks()
print(json.dumps({"given_back": untrimmed - before, "peak": process_memory.peak_bytes() - before}))
"""


@linux
@pytest.mark.parametrize("past", [0, 512])
@pytest.mark.parametrize("size", [64, 256, 1024])
def test_a_planted_allocation_is_reported_within_two_percent(size: int, past: int) -> None:
    found = in_fresh_process(PLANT, size, past)
    assert found["peak"] / MIB == pytest.approx(size, rel=0.02)
    assert found["held"] / MIB == pytest.approx(size, rel=0.02)
    assert abs(found["left"]) / MIB < 0.02 * size


@linux
def test_memory_the_allocator_had_kept_is_given_back_before_the_peak_is_reset() -> None:
    found = in_fresh_process(HOARD)
    assert found["peak"] / MIB == pytest.approx(64, rel=0.05)
    assert found["given_back"] / MIB > 50, "the plant failed: glibc had kept nothing, so this test proves nothing"


def test_the_peak_is_never_below_what_is_resident() -> None:
    before = process_memory.reset_peak()
    assert before > 5 * MIB
    assert process_memory.peak_bytes() >= process_memory.resident_bytes() - MIB


def test_without_a_resettable_mark_the_peak_is_that_of_the_whole_life(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = process_memory.peak_bytes()
    for name in ("_CLEAR", "_ROLLUP", "_STATUS"):
        monkeypatch.setattr(process_memory, name, tmp_path / "absent")
    assert not process_memory.resettable()
    assert 0 < process_memory.reset_peak() <= process_memory.peak_bytes()
    assert process_memory.peak_bytes() >= known - 4 * MIB
