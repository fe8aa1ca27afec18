"""What can go wrong, as values a user can act on.

`UsageError` and its children end the command with exit code 2 and their message, never a traceback. The others
are raised inside a case and become the status of its record.
"""

from __future__ import annotations


class RnnbenchError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(RnnbenchError):
    """The user asked for something impossible. The message says what was found, what is allowed, and what to do."""


class SuiteError(UsageError):
    """A suite file is malformed. The message starts with `file:line:`."""


class PluginError(UsageError):
    """A plugin is broken or two plugins clash. The message names the plugin and the remedy."""


class CaseError(RnnbenchError):
    """Base of the errors that become a record's status rather than end the run."""

    status = "failed"


class Skipped(CaseError):
    """The case cannot run here, for a reason that is nobody's fault (device absent, unsupported combination)."""

    status = "skipped"


class Diverged(CaseError):
    """Training left the finite numbers. The message names the step."""

    status = "diverged"


class OutOfMemory(CaseError):
    """The device or the process ran out of memory."""

    status = "oom"


def nearest(name: str, allowed: object) -> str:
    """`" Did you mean 'x'?"` when one of `allowed` is close to `name`, else the empty string."""
    import difflib

    names = [str(a) for a in allowed]  # type: ignore[attr-defined]
    close = difflib.get_close_matches(str(name), names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
