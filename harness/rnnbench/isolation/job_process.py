"""A forked child as its launcher sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from rnnbench.isolation import frames

_TAIL = 64 << 10  # bytes of output held: a deep faulthandler dump is longer than what is kept of it in the end


class JobProcess:
    """The child's number, how it ended, and the two pipes it writes. stops: how often something has stopped it.

    Output comes through a pipe that is read all the time, and not through a file, so that a job can print for ever
    without filling a disk or waiting for a reader.
    """

    def __init__(self, pid: int, result_fd: int, output_fd: int) -> None:
        self.pid = pid
        self.wait_status: int = 0
        self.peak_bytes: int = 0
        self.stops: int = 0
        self._reaped = self._stopped = False
        self._received = {result_fd: bytearray(), output_fd: bytearray()}
        self._result, self._output = self._received.values()
        for fd in self._received:
            os.set_blocking(fd, False)

    @property
    def open_pipes(self) -> tuple[int, ...]:
        """The descriptors to watch and hand to `read`."""
        return tuple(self._received)

    @property
    def answer(self) -> bytes | None:
        """The job's answer, None while it is not complete."""
        return frames.complete(self._result)

    def printed(self) -> str:
        """The end of the output, without faulthandler's long list of extension modules."""
        lines = self._output.decode(errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("Extension modules:"))

    def read(self, fd: int) -> bool:
        """Take what is there; False when there is nothing, or nothing any more."""
        try:
            chunk = os.read(fd, 1 << 16)
        except BlockingIOError:
            return False
        self._received[fd] += chunk
        del self._output[:-_TAIL]
        return bool(chunk)

    def exited(self, wait: bool = False) -> bool:
        """Whether the child has ended."""
        if not self._reaped:
            pid, status, usage = os.wait4(self.pid, 0 if wait else os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid and (os.WIFSTOPPED(status) or os.WIFCONTINUED(status)):
                self._halted(os.WIFSTOPPED(status))
            elif pid:
                self._reaped, self.wait_status = True, status
                self.peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self._reaped

    def _halted(self, stopped: bool) -> None:
        """It was stopped, or goes on; of a short stop only the end may be seen."""
        self.stops += stopped or not self._stopped
        self._stopped = stopped

    def end(self) -> None:
        """Kill the child and its process group, unless it was reaped and its number may be someone else's by now."""
        if not self._reaped:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
            self.exited(wait=True)

    def drain(self) -> None:
        """Read the rest and close, once nothing is left that could write."""
        for fd in self._received:
            while self.read(fd):
                pass
            os.close(fd)
