"""Appending lines so that whatever happens, those written before are whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
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
    without a newline is cut off. Until `close`, a copy without a name lies on the same disk: from it is undone what
    something else does to the file.

    notices: what was found wrong and worked around, one sentence each.
    """

    def __init__(self, path: Path) -> None:
        self.notices: list[str] = []
        self._path = path
        with explained("write", path):
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is no regular file; remove it, or begin a new run.")
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            with tempfile.TemporaryFile(dir=path.parent) as nameless:
                self._copy = os.dup(nameless.fileno())
            try:
                self._lock()
                self._mend()
                self._duplicate()
                self._seal()
            except BaseException:
                self.close()
                raise

    def append(self, line: bytes) -> None:
        """Write one line, newline included.

        Raises UsageError where the disk is full; then nothing of it stays. Also where something else has removed the
        file: what was written until now, this line included, is then kept elsewhere.
        """
        self.check(line)
        size = os.fstat(self._fd).st_size
        with explained("write", self._path):
            try:
                _write(self._fd, line)
                os.fsync(self._fd)
                _write(self._copy, line)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, size)
                    os.ftruncate(self._copy, size)
                    os.lseek(self._copy, size, os.SEEK_SET)
                raise
            finally:
                self._seal()

    def check(self, line: bytes = b"") -> None:
        """Set the file back, with a notice, where something else has changed it. Raises UsageError where it is gone.

        line: kept elsewhere too in that case.
        """
        if not self._named():
            raise UsageError(
                f"{self._path} was removed or replaced while the run was writing it. What was measured until now is in "
                f"{self._rescued(line)}."
            )
        if self._facts() == self._sealed:
            return
        kept = self._kept()
        if self._path.read_bytes() != kept:
            with explained("write", self._path):
                os.ftruncate(self._fd, 0)
                _write(self._fd, kept)
                os.fsync(self._fd)
            self.notices.append(
                f"{self._path} was changed by something else while the run was writing it, and set back: let nothing "
                f"that is measured write to the results"
            )
        self._seal()

    def clear(self) -> None:
        """Begin the file anew."""
        with explained("write", self._path):
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._copy, 0)
            os.lseek(self._copy, 0, os.SEEK_SET)
        self._seal()

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._fd)
        os.close(self._copy)

    def _named(self) -> bool:
        """Whether the path still leads to the file that is being written."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def _seal(self) -> None:
        self._sealed = self._facts()

    def _facts(self) -> tuple[int, int]:
        """What cannot stay when somebody writes to the file: its size and the time of its last change."""
        found = os.fstat(self._fd)
        return found.st_size, found.st_ctime_ns

    def _duplicate(self) -> None:
        done, size = 0, os.fstat(self._fd).st_size  # a file of the kernel has no size, and may have no end
        while done < size and (chunk := os.pread(self._fd, 1 << 20, done)):
            _write(self._copy, chunk)
            done += len(chunk)

    def _kept(self) -> bytes:
        """Everything that was written."""
        with os.fdopen(os.dup(self._copy), "rb") as copy:
            copy.seek(0)
            return copy.read()

    def _rescued(self, line: bytes) -> Path:
        """A file with everything that was written, in the nearest folder that is still there."""
        folder = next((parent for parent in self._path.parents if parent.is_dir()), Path.cwd())
        kept = folder / f"rescued-{self._path.parent.name}.jsonl"
        write_atomically(kept, self._kept() + line)
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


def _write(fd: int, content: bytes) -> None:
    """All of it. Raises OSError where the disk is full in the middle."""
    while content:
        content = content[os.write(fd, content) :]


def _ends_line(fd: int, size: int) -> bool:
    return os.pread(fd, 1, size - 1) == b"\n"
