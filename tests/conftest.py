"""What holds for every test."""

import os
import signal

import pytest

from quick_processes import VARIABLES
from rnnbench.machine import cores

# A background job of a shell ignores SIGINT, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Numbers of the default run are of no interest; those of benchmarks (`long`) are."""
    if config.option.markexpr == "not long":
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than cores, for many a test waits for processes that sleep or are given up."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores.usable() + 1
