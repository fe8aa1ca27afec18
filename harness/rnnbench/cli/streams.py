"""Streams whose reader may leave: `rnnbench run SUITE | head` measures to its end, and its exit code stands."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any


class Tolerant:
    """A text stream that writes nowhere once its reader is gone; all else is the stream's own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._abandon()
            return len(text)

    def flush(self) -> None:
        """Flush, or pretend to."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._abandon()

    def _abandon(self) -> None:
        """Point the descriptor at nothing, so that what is still buffered is no error when the interpreter ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def end_data() -> None:
    """All data is out: what is printed from now on, by whatever runs while the interpreter ends, is for people."""
    with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.dup2(2, 1)


def tolerate_lost_readers() -> None:
    """Wrap both streams, where there are any."""
    if sys.stdout is not None:
        sys.stdout = Tolerant(sys.stdout)
    if sys.stderr is not None:
        sys.stderr = Tolerant(sys.stderr)
