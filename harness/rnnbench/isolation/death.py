"""From the way a process died to one sentence a user can act on."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

_FAULT = "Fatal Python error: "
_FRAME = re.compile(r'^Current thread [^\n]*\n  File "([^"]+)", line (\d+) in (.+)$', re.MULTILINE)
_ALLOCATION = ("std::bad_alloc", "Cannot allocate memory", "MemoryError")


def timed_out(seconds: float, output: str) -> str:
    """The reason of a `timeout`."""
    return f"did not finish within {seconds:g} s{_place(output)}; raise `timeout:` in the suite if it needs longer"


def died(wait_status: int, output: str, ooms: int | None, peak_bytes: int) -> tuple[str, str]:
    """(status, reason) of a process that ended without a result.

    wait_status: as `os.waitpid` gave it. ooms: by how much the kernel's count of out-of-memory kills rose meanwhile,
    None where it keeps none. peak_bytes: high-water mark of the resident set.
    """
    code = os.waitstatus_to_exitcode(wait_status)
    if code == -signal.SIGKILL:
        return _killed(ooms, peak_bytes)
    how = f"killed by {_name(-code)}" if code < 0 else f"called os._exit({code}), or a library exit({code})"
    last = _last_line(output)
    status = "oom" if any(word in last for word in _ALLOCATION) else "crashed"
    return status, f"{how}{_place(output)}{last and f'; last output: {last}'}"


def _killed(ooms: int | None, peak_bytes: int) -> tuple[str, str]:
    peak = f"at {peak_bytes / 2**20:.0f} MiB resident"
    if ooms is None:
        return "oom", f"killed by the kernel, probably out of memory, {peak}; take a smaller size or free memory"
    if ooms > 0:
        return "oom", f"killed by the kernel, out of memory, {peak}; take a smaller size or free memory"
    return "crashed", (
        f"killed by SIGKILL from outside {peak}; the kernel counted no out-of-memory kill, so a process or a person "
        "sent it (a batch system, a memory watchdog)"
    )


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _place(output: str) -> str:
    """Where Python was, from the last traceback that faulthandler wrote."""
    frames = _FRAME.findall(output)
    if not frames:
        return ""
    file, line, function = frames[-1]
    return f" in {function} ({Path(file).name}:{line})"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.partition(_FAULT)[0].splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
