"""Files that are whole or not there, and disk errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from rnnbench.errors import UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def explained(what: str, path: Path) -> Iterator[None]:
    """Turn an OSError into a UsageError: `cannot <what> <path>: <why>. <remedy>`."""
    try:
        yield
    except OSError as error:
        remedy = ""
        if error.errno in _FULL:
            remedy = " Free some space; what was measured is kept, and `--resume` goes on with it."
        elif error.errno in _FORBIDDEN:
            remedy = " Change its permissions, or name another folder with `--results`."
        raise UsageError(f"cannot {what} {path}: {error.strerror or error}.{remedy}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8: after a crash at any moment there is the old one or the new one, never a half.

    Raises UsageError where the disk is full or the folder cannot be written.
    """
    if not path.name:
        raise UsageError(f"cannot write {path}: it names no file.")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with explained("write", path):
        try:
            with draft.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut, where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
