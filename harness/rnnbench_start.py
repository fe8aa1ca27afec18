"""The command `rnnbench`. Before anything is imported, Ctrl-C becomes a quiet end with exit code 130.

What comes before this file is Python's own start, which a signal ends as Python does.
"""

# `signal` itself takes milliseconds to import, in which Ctrl-C would be a traceback.
import _signal as signal  # pyright: ignore[reportMissingImports]
import os

_handler = signal.getsignal(signal.SIGINT)
_interruptible = _handler is signal.default_int_handler  # a background job inherits an ignored one, and keeps it


def _end_quietly() -> None:
    if _interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))


_end_quietly()


def main() -> None:
    """Run the command line and exit; while it runs Ctrl-C is KeyboardInterrupt, so that a run can keep what it has."""
    from rnnbench.cli import main as command_line

    try:
        signal.signal(signal.SIGINT, _handler)
        command_line()
    except KeyboardInterrupt:  # as the command was about to begin, or to end
        os._exit(130)
    finally:
        _end_quietly()
