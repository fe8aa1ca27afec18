"""A question in a process of its own: forked from one that has built nothing yet."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnbench.errors import CaseError, Diverged, OutOfMemory, Skipped, Wrong

STATUSES = {error.status: error for error in (CaseError, Wrong, Skipped, Diverged, OutOfMemory)}


def possible() -> bool:
    """Whether a fork would lose no thread: a framework that runs some would hang in it."""
    tasks = Path("/proc/self/task")
    return (len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()) == 1


def call(function: Callable[[], Any]) -> Any:
    """What `function` returns (plain values) when it is called in a fork of this process.

    Raises the CaseError that it raised, OutOfMemory where the fork died, CaseError for whatever else a plugin raises.
    """
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_send, args=(sender, function), daemon=True)
    process.start()
    sender.close()
    try:
        status, found = receiver.recv()
    except EOFError:
        process.join()
        raise OutOfMemory(f"its process died with exit code {process.exitcode}, probably for its memory") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if status == "ok":
        return found
    raise STATUSES.get(status, CaseError)(found)


def _send(sender: Any, function: Callable[[], Any]) -> None:
    try:
        sender.send(("ok", function()))
    except CaseError as error:
        sender.send((error.status, str(error)))
    except MemoryError as error:
        sender.send((OutOfMemory.status, f"out of memory ({error or 'MemoryError'}); use a smaller case"))
    except Exception as error:
        sender.send((CaseError.status, f"{type(error).__name__}: {error}"))
