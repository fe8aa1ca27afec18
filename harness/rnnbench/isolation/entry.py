"""What a job runs, and what became of it when it raised."""

from __future__ import annotations

import importlib
import traceback

from rnnbench.executor import Job
from rnnbench.isolation import frames

PERFORM = "rnnbench.worker:perform"
"""The function a job runs unless it names another one under `entry`."""


def perform(job: Job) -> bytes:
    """Run the job: JSON of the `status`, `reason` and `result` of its Outcome.

    The worker turns a plugin's exceptions into a record itself; what still arrives here (`sys.exit` in a plugin, a
    result that is not JSON) is a crash, with the traceback in the output.
    """
    try:
        module, _, name = job.get("entry", PERFORM).partition(":")
        result = getattr(importlib.import_module(module), name)(job)
        return frames.answer("ok", result=result)
    except BaseException as error:
        traceback.print_exc()
        status = "oom" if isinstance(error, MemoryError) else "crashed"
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        return frames.answer(status, f"raised {text}")
