"""C text to a loaded library, by the system's compiler, once per text, compiler and CPU.

Libraries are kept in `kernels` in the user's cache folder. A file is there whole or not at all: it is written elsewhere
and renamed, and its name holds the hash of its bytes, which is checked before it is loaded. Where the folder cannot be
written, a kernel lives as long as its process.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rnnbench import CaseError, Skipped, cache_folder

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=gnu11", "-O2", "-fno-math-errno", "-fno-trapping-math", "-w", "-shared", "-fPIC", "-pthread")
NATIVE = (("-march=native",), ("-mcpu=native",), ())
"""Flags for this very CPU, as compilers spell them; the first that is understood."""

TIMEOUT = 120.0
"""Seconds a compiler may take: some hundred times what it needs."""

DRAFT = "draft-"
STALE = 24 * 3600.0
"""Seconds after which what an interrupted process left in the folder is removed."""


def compiler() -> list[str] | None:
    """The command of the compiler: $CC, or the first of `COMPILERS` that is there."""
    own: list[str] = []
    with contextlib.suppress(ValueError):  # quotes that do not close: no command
        own = shlex.split(os.environ.get("CC", ""))
    for command in [own, *([name] for name in COMPILERS)]:
        if command and shutil.which(command[0]):
            return command
    return None


def missing_compiler() -> str | None:
    """None, or the sentence of a row that is skipped."""
    if compiler() is not None:
        return None
    return f"it needs a C compiler, and none of {', '.join(COMPILERS)} was found: install one or set CC"


def loaded(text: str, includes: Sequence[str] = ()) -> ctypes.CDLL:
    """The library of a C text. includes: folders of headers.

    Raises Skipped where there is no compiler, CaseError where it fails.
    """
    command = compiler()
    if command is None:
        raise Skipped(f"fused: {missing_compiler()}")
    key = _key(text, command, includes)
    if key not in _LOADED:
        _LOADED[key] = _found_or_made(key, command, text, includes)
    return _LOADED[key]


_LOADED: dict[str, ctypes.CDLL] = {}
"""A library is loaded once per process: XLA takes no second one under the same name."""


def _found_or_made(key: str, command: Sequence[str], text: str, includes: Sequence[str]) -> ctypes.CDLL:
    folder = cache_folder() / "kernels"
    kept = _kept(folder, key)
    if kept is not None:
        return kept
    try:
        with tempfile.TemporaryDirectory(prefix="rnnbench-") as name:
            made = Path(name) / "kernel.so"
            _compile(command, text, made, includes)
            library = _opened(command, made)  # what is loaded stays loaded when its file goes
            _keep(made, folder, key)
            return library
    except OSError as error:
        raise CaseError(f"fused: no folder to compile in ({error}): set TMPDIR to one with room to write in") from None


def _opened(command: Sequence[str], made: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(made))
    except OSError as error:
        raise CaseError(
            f"fused: what the compiler {command[0]} wrote cannot be loaded ({error}): set CC to another, or TMPDIR to "
            "a folder from which programs may run"
        ) from None


def _kept(folder: Path, key: str) -> ctypes.CDLL | None:
    """The library that an earlier call made, if its bytes are what they were and it can be loaded here."""
    for path in sorted(folder.glob(f"{key}-*.so")):
        with contextlib.suppress(OSError):
            if path.stem.endswith(_digest(path.read_bytes())):
                return ctypes.CDLL(str(path))
    return None


def _keep(made: Path, folder: Path, key: str) -> None:
    """Put a library into the cache, whole; nothing is lost where that cannot be done."""
    data = made.read_bytes()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.NamedTemporaryFile(prefix=DRAFT, dir=folder, delete=False) as draft:
            try:
                draft.write(data)
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).replace(folder / f"{key}-{_digest(data)}.so")
            except OSError:
                Path(draft.name).unlink(missing_ok=True)


def _compile(command: Sequence[str], text: str, to: Path, includes: Sequence[str]) -> None:
    source = to.with_suffix(".c")
    source.write_text(text, encoding="utf-8")
    errors = ""
    for native in NATIVE:
        whole = [*command, *FLAGS, *native, *(f"-I{each}" for each in includes), "-o", str(to), str(source), "-lm"]
        try:
            done = subprocess.run(whole, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CaseError(
                f"fused: the compiler {command[0]} does not run ({error}): set CC to one that does"
            ) from None
        if done.returncode == 0 and to.is_file():
            return
        errors = errors or done.stderr
    told = (line for line in errors.splitlines() if "error" in line or "failed" in line)  # ld's reason comes first
    first = next(told, errors).strip()[:200]
    said = "".join(letter for letter in first if letter.isprintable()) or "no message"
    raise CaseError(f"fused: compiler {command[0]} fails on the generated kernel ({said}): set CC to another")


def _sweep(folder: Path) -> None:
    for draft in folder.glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > STALE:
            draft.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _key(text: str, command: Sequence[str], includes: Sequence[str]) -> str:
    parts = (text, *command, _version(tuple(command)), *FLAGS, *includes, _cpu())
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@cache
def _version(command: tuple[str, ...]) -> str:
    """What tells one release of the compiler from the next, without running it."""
    path = Path(shutil.which(command[0]) or command[0]).resolve()
    with contextlib.suppress(OSError):
        return f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
    return str(path)


@cache
def _cpu() -> str:
    """The CPU that the kernel is made for: a cache folder may be shared by machines."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return " ".join(
            dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU")))
        )
    return f"{platform.machine()} {platform.processor()}"
