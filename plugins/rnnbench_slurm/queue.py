"""What Slurm says of jobs: `squeue` of those it has in mind, `sacct` of those it has forgotten."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnbench import UsageError

SECONDS = 60.0
"""After which a command of Slurm is taken to hang."""
MOST = 200
"""Jobs that one command names."""
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_ENDED = "--format=JobID,State,ExitCode"
OVER = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)


class Unanswered(UsageError):
    """A command of Slurm failed, or did not end: what it said."""


@dataclass(frozen=True)
class Seen:
    """A job as Slurm shows it. name: of the job. state: in Slurm's words. reason: why it waits, or ended."""

    name: str
    state: str
    reason: str

    @property
    def over(self) -> bool:
        """Whether it is at work no more, and will not be."""
        return self.state in OVER


def jobs() -> dict[str, Seen]:
    """Jobs of this user, by id (`17`, or `17_3` in an array), with those that ended not long ago."""
    lines = _output_of(
        "squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%r|%j"
    )
    found = {}
    for line in lines:
        id, state, reason, name = line.split("|", 3)
        found[id] = Seen(name, state, "" if reason == "None" else reason)
    return found


def ended(ids: Sequence[str]) -> dict[str, Seen]:
    """How jobs ended that `squeue` shows no more; nothing of any where there is no accounting."""
    if not ids:
        return {}
    try:
        lines = _output_of("sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={','.join(ids)}", _ENDED)
    except Unanswered:
        return {}
    rows = [line.split("|", 2) for line in lines]
    return {id: Seen("", state.partition(" ")[0], f"exit code {code}") for id, state, code in rows}


def cancel(ids: Iterable[str]) -> None:
    """`scancel` them; those that ended meanwhile are none of its business."""
    left = list(ids)
    while left:
        now, left = left[:MOST], left[MOST:]
        _output_of("scancel", "--quiet", *now)


def partitions() -> dict[str, float]:
    """Partition -> minutes that its jobs may take, the default one under the empty name too."""
    found: dict[str, float] = {}
    try:
        lines = _output_of("sinfo", "--noheader", "--format=%P|%l")
    except Unanswered as error:
        raise UsageError(f"no Slurm answers here: {error}. Run this on a login node of the cluster.") from None
    for line in lines:
        name, limit = line.split("|")
        found[name.removesuffix("*")] = minutes(limit)
        if name.endswith("*"):
            found[""] = minutes(limit)
    return found


def minutes(limit: str) -> float:
    """A time as Slurm writes it: `[days-]hours:minutes:seconds`, or `infinite`.

    Example:
        >>> from rnnbench_slurm.queue import minutes
        >>> minutes("1-02:30:00"), minutes("15:00"), minutes("infinite")
        (1590.0, 15.0, inf)
    """
    days, _, clock = limit.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        hours, mins, seconds = [0] * (3 - len(parts)) + parts
        return 1440.0 * int(days or 0) + 60.0 * hours + mins + seconds / 60
    except ValueError:  # infinite, n/a
        return float("inf")


def _output_of(*command: str) -> list[str]:
    """Lines of its output. In a session of its own: Ctrl-C is for rnnbench."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, start_new_session=True)
    except FileNotFoundError:
        raise Unanswered(f"there is no `{command[0]}`") from None
    except subprocess.TimeoutExpired:
        raise Unanswered(f"`{command[0]}` did not end within {SECONDS:g} s") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise Unanswered(f"`{command[0]}` failed: {said}")
    return done.stdout.splitlines()
