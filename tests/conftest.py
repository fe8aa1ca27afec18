"""What holds for every test."""

import compileall
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quick_processes import VARIABLES
from rnnbench.case import Case
from rnnbench.machine import cores
from rnnbench.registry import Registry
from rnnbench.worker import ceilings
from shared_launchers import Waiting, shared

# A background job of a shell ignores SIGINT, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Numbers of the default run are of no interest; those of benchmarks (`long`) are."""
    if config.option.markexpr == "not long":
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        for sources in (
            "harness",
            "plugins",
        ):  # which every process of the tests would compile anew: a third of a start
            compileall.compile_dir(Path(__file__).parents[1] / sources, quiet=2)


@pytest.fixture(scope="session", autouse=True)
def ceilings_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a busy machine every run measures the machine's limits again, since none is kept; here the first one's serve
    all commands that run in the process of the tests.
    """
    if request.config.option.markexpr != "not long":
        yield
        return
    known, each = {}, ceilings.for_case

    def once(case: Case, registry: Registry, job: ceilings.Job, environment: str, _: Any) -> ceilings.Ceilings | None:
        return each(case, registry, job, environment, known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceilings, "for_case", once)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than cores, for many a test waits for processes that sleep or are given up."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores.usable() + 1


@pytest.fixture(scope="session")
def waiting_launchers() -> Iterator[Waiting]:
    waiting = Waiting()
    yield waiting
    waiting.stop()


@pytest.fixture(scope="module", autouse=True)
def launchers_once(request: pytest.FixtureRequest, waiting_launchers: Waiting) -> Iterator[None]:
    """Sessions of commands that run in the process of the tests share launchers; tests of these have their own."""
    if request.config.option.markexpr != "not long" or request.path.parent.name == "isolation":
        waiting_launchers.stop()
        yield
        return
    with shared(waiting_launchers):
        yield
