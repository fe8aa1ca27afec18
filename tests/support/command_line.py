"""The command line in the process of the tests: a second less a call than a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnbench.cli import exit_code


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def ask(*arguments: object, cwd: Path) -> Answer:
    """Run `rnnbench ARGUMENTS` in a folder."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with _inside(cwd, ["rnnbench", *map(str, arguments)]), streams[0], streams[1]:
        code = exit_code()
    return Answer(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _inside(folder: Path, argv: list[str]) -> Iterator[None]:
    before, old, handler = Path.cwd(), sys.argv, signal.getsignal(signal.SIGTERM)
    os.chdir(folder)
    sys.argv = argv
    try:
        yield
    finally:
        os.chdir(before)
        sys.argv = old
        signal.signal(signal.SIGTERM, handler)
