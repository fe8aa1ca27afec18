"""The command `rnnbench`. Before anything is imported, Ctrl-C becomes a quiet end with exit code 130."""

import os
import signal

_handler = signal.getsignal(signal.SIGINT)
if _handler is signal.default_int_handler:  # a background job inherits an ignored one, and keeps it
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def main() -> None:
    """Run the command line and exit; from here on Ctrl-C is KeyboardInterrupt, so that a run can keep what it has."""
    from rnnbench.cli import main as command_line

    signal.signal(signal.SIGINT, _handler)
    command_line()
