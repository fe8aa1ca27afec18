"""What holds for every test."""

import os
import signal

import pytest

# A background job of a shell ignores SIGINT, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """XLA spends a third of the time of small programs on making them fast, which only benchmarks (`long`) want."""
    if config.option.markexpr == "not long":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
