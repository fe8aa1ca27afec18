"""Appending lines so that whatever happens, those written before are whole."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from rnnbench.errors import UsageError
from rnnbench.store.files import explained, write_atomically

try:
    import fcntl
except ImportError:  # Windows: reports are read there, nothing is measured
    fcntl = None


class Writer:
    """The only process that appends to a file of lines, from construction to `close`.

    A line goes out in one write and is synced before `append` returns. On opening, what a killed process left behind
    without a newline is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.notices: list[str] = []
        self._path = path
        with explained("write", path):
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                self._lock()
                self._mend()
                self._size = os.fstat(self._fd).st_size
            except BaseException:
                os.close(self._fd)
                raise

    def append(self, line: bytes) -> None:
        """Write one line, newline included.

        Raises UsageError where the disk is full; then nothing of it stays. Also where something else has removed or
        changed the file since the last line: no record is lost unnoticed.
        """
        self._check(line)
        size = self._size
        with explained("write", self._path):
            try:
                written = os.write(self._fd, line)
                if written < len(line):  # the disk was full in the middle: the next write says so
                    written += os.write(self._fd, line[written:])
                if written < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._fd)
                self._size = size + len(line)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, size)
                raise

    def clear(self) -> None:
        """Begin the file anew."""
        with explained("write", self._path):
            os.ftruncate(self._fd, 0)
        self._size = 0

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._fd)

    def _check(self, line: bytes) -> None:
        """Raise UsageError where the file is no longer what was written."""
        found = os.fstat(self._fd)
        try:
            same = self._path.stat().st_ino == found.st_ino
        except OSError:
            same = False
        if not same:
            raise UsageError(
                f"{self._path} was removed or replaced while the run was writing it. What was measured until now is in "
                f"{self._rescued(line)}."
            )
        if found.st_size != self._size:
            raise UsageError(
                f"{self._path} was changed by something else while the run was writing it: it has {found.st_size} "
                f"bytes and should have {self._size}. The run stops here, since records may be lost: let nothing that "
                f"is measured write to the results."
            )

    def _rescued(self, line: bytes) -> Path:
        """A file with everything that was written, in the nearest folder that is still there."""
        folder = next((parent for parent in self._path.parents if parent.is_dir()), Path.cwd())
        kept = folder / f"rescued-{self._path.parent.name}.jsonl"
        write_atomically(kept, os.pread(self._fd, self._size, 0) + line)
        return kept

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{self._path.parent} is being written by another process. Wait for it to end, or start a new run."
            ) from None
        except OSError as error:  # some network disks
            self.notices.append(f"{self._path} cannot be locked ({error.strerror}): do not resume it twice at once")

    def _mend(self) -> None:
        """Cut off a last line without a newline."""
        size = os.fstat(self._fd).st_size
        whole = size
        while whole and not _ends_line(self._fd, whole):
            start = max(0, whole - (1 << 16))
            whole = start + os.pread(self._fd, whole - start, start).rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._fd, whole)
            os.fsync(self._fd)
            self.notices.append(
                f"{self._path}: the last line was incomplete ({size - whole} bytes) and is cut off; its case runs again"
            )


def _ends_line(fd: int, size: int) -> bool:
    return os.pread(fd, 1, size - 1) == b"\n"
