"""The reference kernel is the same work every time, and its time tells of the machine alone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from marks import real_clock
from rnnbench.machine.reference import drift, reference_kernel, run_reference
from rnnbench.measure.denormals import denormal_share, flush_to_zero_active


def test_the_kernel_computes_the_same_numbers_every_time() -> None:
    first = reference_kernel()
    assert np.array_equal(first, reference_kernel())
    assert 0.1 < np.std(first) < 1, "the state neither fades nor saturates"
    assert denormal_share(first) == 0


def test_it_is_long_beside_the_clock_and_short_beside_a_case() -> None:
    assert 1e-3 < run_reference() < 1


def test_it_reports_the_median_of_passes_without_the_first() -> None:
    class Scripted:
        """Durations 5, 1, 2: of the counted passes, after one that is not timed at all."""

        times = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])

        def now(self) -> float:
            return next(self.times)

    assert run_reference(Scripted()) == 2.0


@real_clock
def test_it_runs_on_one_thread_whatever_the_thread_settings() -> None:
    """Measured after a while: a pool that is not used spins for some milliseconds when it is made."""
    script = """
import json, time
from rnnbench.machine.reference import reference_kernel
for _ in range(50): reference_kernel()
everyone, this = time.process_time(), time.thread_time()
for _ in range(20): reference_kernel()
everyone, this = time.process_time() - everyone, time.thread_time() - this
print(json.dumps((everyone - this) / this))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) < 0.2, "CPU seconds of other threads, per second of this one"


def test_drift_is_the_relative_slow_down() -> None:
    assert drift(0.011, 0.010) == pytest.approx(0.1)
    assert drift(0.010, 0.010) == 0


TINY = {np.float16: 2.0**-14, np.float32: 2.0**-126, np.float64: 2.0**-1022}


@pytest.mark.parametrize("dtype", TINY)
def test_denormals_are_the_numbers_below_the_smallest_normal_one(dtype: type[np.floating]) -> None:
    tiny = dtype(TINY[dtype])
    below, smallest = np.nextafter(tiny, dtype(0)), np.nextafter(dtype(0), dtype(1))
    assert denormal_share(np.array([below, -below, smallest, -smallest])) == 1
    assert denormal_share(np.array([0.0, -0.0, tiny, -tiny, 1.0, np.inf, -np.inf, np.nan], dtype)) == 0
    assert denormal_share(np.array([[below, 1], [0, tiny]], dtype).T) == 0.25


def test_both_parts_of_a_complex_number_count() -> None:
    assert denormal_share(np.array([1e-40 + 1j, 1 + 0j], np.complex64)) == 0.25


def test_an_empty_array_has_no_denormals() -> None:
    assert denormal_share(np.empty((0, 3), np.float32)) == 0


@pytest.mark.parametrize("array", [np.array([1, 2]), np.array([True]), np.array(["x"])])
def test_integers_have_no_denormals_to_ask_for(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="float"):
        denormal_share(array)


def test_numpy_keeps_denormals_unless_told_otherwise() -> None:
    assert not flush_to_zero_active()


def test_a_flushing_thread_is_recognised_and_its_denormals_still_counted() -> None:
    pytest.importorskip("torch", reason="torch is the way to switch the mode of a thread")
    script = """
import json, numpy as np, torch
from rnnbench.measure.denormals import denormal_share, flush_to_zero_active
able = torch.set_flush_denormal(True)
print(json.dumps([able, flush_to_zero_active(), denormal_share(np.array([1 << 22, 0], np.uint32).view(np.float32))]))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    able, active, share = json.loads(done.stdout)
    if not able:
        pytest.skip("this CPU cannot flush denormals")
    assert active
    assert share == 0.5
