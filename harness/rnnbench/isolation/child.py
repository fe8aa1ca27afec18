"""The forked process of one job, from its first instruction to its last."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from rnnbench.isolation import entry, frames, kernel


def run(request: Mapping[str, Any], result_fd: int, output_fd: int, parents: Iterable[int], launcher: int) -> NoReturn:
    """Run the job of `request` and write its answer to `result_fd`.

    parents: descriptors that belong to the launcher alone. Leaves by `os._exit`, so that no thread and no exit handler
    of a plugin can hold it up.
    """
    code = 1
    try:
        _detach(launcher)
        for fd in parents:
            os.close(fd)
        _redirect(output_fd)
        _work_in(request["cwd"])
        _limit(request["job"].get("limits", {}))
        answer = entry.perform(request["job"])
        _flush()
        frames.send(result_fd, answer)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _detach(launcher: int) -> None:
    """A session of its own, default signals, and death together with the launcher."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != launcher:  # it died before we asked
        os._exit(1)


def _redirect(output_fd: int) -> None:
    """Python, C and faulthandler all print into the pipe, line by line, so that a crash loses nothing."""
    for fd in (1, 2):
        os.dup2(output_fd, fd)
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr is by lines already
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    os.close(output_fd)
    faulthandler.enable(file=2)


def _work_in(folder: str) -> None:
    """Change to the folder; to that for temporary files where it has been deleted meanwhile."""
    try:
        os.chdir(folder)
    except FileNotFoundError:
        os.chdir(tempfile.gettempdir())


def _limit(limits: Mapping[str, Any]) -> None:
    """`address_space`: bytes of virtual memory; `cpus`: numbers of the CPUs to run on, also for threads started later.
    Core files are never written: a crash is explained by its output.
    """
    if "cpus" in limits:
        os.sched_setaffinity(0, limits["cpus"])
    wanted = {resource.RLIMIT_CORE: 0}
    if "address_space" in limits:
        wanted[resource.RLIMIT_AS] = limits["address_space"]
    for which, soft in wanted.items():
        resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a plugin may have closed or replaced it
            stream.flush()
