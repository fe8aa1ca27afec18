"""What holds for every test."""

import os
import signal

import pytest

# A background job of a shell ignores SIGINT, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """What only benchmarks (`long`) want is off: XLA spends a third of the time of small programs on making them fast,
    and threads of OpenMP that wait for one which has no core take four times the CPU time of the work itself.
    """
    if config.option.markexpr == "not long":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
