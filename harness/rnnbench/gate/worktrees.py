"""Revisions of a repository as folders of their own; the user's checkout is only ever read.

Everything lies in one workspace below the system's temporary folder and goes when the gate ends. The owner holds a lock
on it for as long as it lives, so the next gate knows what a killed one has left, and removes it. Git notes a worktree
in its own `.git/worktrees`; no branch, index, stash, hook or setting is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from rnnbench.errors import UsageError, nearest
from rnnbench.gate import pyproject
from rnnbench.machine.environment import HARMLESS, refused

try:
    import fcntl
except ImportError:  # Windows: nothing is measured there
    fcntl = None

PREFIX = "rnnbench-gate-"
_LOCK = "owner"
_DRAFT = "rnnbench-new-"
"""What a folder is called until it is locked, which takes it some milliseconds."""
_ABANDONED = 600.0
"""Seconds after which nobody is going to lock it."""
_QUIET = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false")
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
)
"""Variables that git sets for its hooks; a gate that is started by a hook must not inherit them."""


@dataclass(frozen=True)
class Revision:
    """A commit, or the working tree as it is now. commit: 40 hex digits; identity: the same for the same files."""

    label: str
    commit: str
    identity: str
    dirty: bool = False


class Repository:
    """The repository a folder lies in."""

    def __init__(self, top: Path) -> None:
        self.top = top

    @classmethod
    def around(cls, folder: Path) -> Self | None:
        """None where there is no repository with a working tree, or no git."""
        if shutil.which("git") is None or not folder.is_dir():
            return None
        done = _git(folder, "rev-parse", "--show-toplevel")
        if problem := refused(done.stderr):
            raise UsageError(problem)
        return cls(Path(done.stdout.rstrip("\n"))) if done.returncode == 0 and done.stdout.strip() else None

    def revision(self, name: str) -> Revision:
        """What a name stands for. Raises UsageError for one that git does not know."""
        done = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if name.startswith("-") or done.returncode:
            raise UsageError(self._unknown(name))
        commit = done.stdout.strip()
        short = self._ask("rev-parse", "--short", commit).strip()
        return Revision(short if commit.startswith(name) else f"{name} ({short})", commit, commit)

    def working_tree(self) -> Revision:
        """The checkout with whatever has not been committed; what git ignores is no part of it."""
        head = self.revision("HEAD")
        if not self._ask("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none"):
            return Revision(f"working tree, clean at {head.commit[:7]}", head.commit, head.commit)
        state = hashlib.blake2b(digest_size=20)
        for path in self.files():
            state.update(os.fsencode(path) + b"\0" + _content(self.top / path) + b"\0")
        label = f"working tree, with uncommitted changes on {head.commit[:7]}"
        return Revision(label, head.commit, state.hexdigest(), dirty=True)

    def files(self) -> list[str]:
        """Tracked files and new ones that are not ignored, as far as they are there, those of submodules among them."""
        listed = self._ask("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        found = []
        for path in dict.fromkeys(filter(None, listed)):
            whole = self.top / path
            if whole.is_file() or whole.is_symlink():
                found.append(path)
            elif (inner := Repository(whole)).is_checked_out():
                found += [f"{path.rstrip('/')}/{file}" for file in inner.files()]
        return found

    def add_worktree(self, path: Path, commit: str) -> None:
        """Check a commit out into a folder of its own."""
        self._ask("worktree", "add", "--detach", str(path), commit)

    def add_submodules(self, path: Path, commit: str) -> None:
        """Check the submodules of a commit out into its worktree, from the checkouts of them that the user has.

        One that is not checked out there is left empty, and told where it is missed (`unfilled`).
        """
        for name, own in self._submodules(commit).items():
            source = Repository(self.top / name)
            if not source.is_checked_out() or _git(source.top, "cat-file", "-e", f"{own}^{{commit}}").returncode:
                continue
            cloned = _git(self.top, "clone", "--quiet", "--shared", "--no-checkout", str(source.top), str(path / name))
            if not cloned.returncode:
                Repository(path / name)._ask("checkout", "--quiet", "--detach", own)
                source.add_submodules(path / name, own)

    def unfilled(self, path: Path, commit: str) -> list[str]:
        """Submodules of a commit that are empty in its worktree."""
        return [name for name in self._submodules(commit) if not any((path / name).glob("*"))]

    def is_checked_out(self) -> bool:
        """Whether this folder is the top of a repository of its own, as that of a submodule is once it is there."""
        done = _git(self.top, "rev-parse", "--show-toplevel") if self.top.is_dir() else None
        return done is not None and not done.returncode and Path(done.stdout.rstrip("\n")) == self.top.resolve()

    def _submodules(self, commit: str) -> dict[str, str]:
        """Path -> commit of each."""
        entries = (entry.split(None, 3) for entry in self._ask("ls-tree", "-r", "-z", commit).split("\0") if entry)
        return {path: own for mode, _, own, path in entries if mode == "160000"}

    def remove_worktree(self, path: Path) -> None:
        """Take it away, also what git notes of one whose folder is gone."""
        _git(self.top, "worktree", "remove", "--force", "--force", str(path))

    def worktrees(self) -> list[Path]:
        """Every folder in which git knows a worktree of this repository."""
        lines = self._ask("worktree", "list", "--porcelain").splitlines()
        return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]

    def _ask(self, *arguments: str) -> str:
        done = _git(self.top, *arguments)
        if done.returncode:
            message = " ".join(done.stderr.split())
            raise UsageError(f"git {arguments[0]} failed in {self.top}: {message or done.returncode}")
        return done.stdout

    def _unknown(self, name: str) -> str:
        if _git(self.top, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
            return f"{self.top} has no commit yet, so there is no revision {name!r} to compare with."
        if _git(self.top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            return (
                f"revision {name!r} is not in {self.top}, which is a shallow clone. Fetch it first: "
                f"`git fetch --unshallow`, or `fetch-depth: 0` where a workflow checks out."
            )
        names = self._ask("for-each-ref", "--format=%(refname:short)").split()
        shown = f" There are {', '.join(names[:10])}." if names else ""
        return f"{self.top} has no revision {name!r}.{nearest(name, names) or shown} Fetch it, or name another one."


class Workspace:
    """A temporary folder that its owner locks; a context manager."""

    def __init__(self, repository: Repository | None) -> None:
        sweep(repository)
        self._repository = repository
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT))  # not yet for others' sweeps: it is not locked
        self._lock = (draft / _LOCK).open("wb")
        _lock(self._lock)
        self._lock.write(json.dumps({"repository": str(repository.top) if repository else None}).encode())
        self._lock.flush()
        self.path = draft.rename(draft.with_name(draft.name.replace(_DRAFT, PREFIX))).resolve()

    def folder(self, name: str) -> Path:
        """An empty folder in it."""
        path = self.path / name
        path.mkdir()
        return path

    def checkout(self, name: str, revision: Revision) -> Path:
        """The files of a revision: a worktree, or a copy of the working tree, which may change meanwhile."""
        assert self._repository is not None
        path = self.path / name
        self._repository.add_worktree(path, revision.commit)
        if not revision.dirty:
            self._repository.add_submodules(path, revision.commit)
            return path
        for child in path.iterdir():
            if child.name != ".git":
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
        for file in self._repository.files():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._repository.top / file, path / file, follow_symlinks=False)
        return path

    def close(self) -> None:
        """Remove everything."""
        _remove(self.path, self._repository)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def sweep(repository: Repository | None) -> None:
    """Remove the workspaces of gates that were killed, and what git still notes of those that are gone already."""
    for path in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # removed by another gate, or no workspace
            if _is_ours(path, stat.S_ISDIR) and _is_ours(path / _LOCK, stat.S_ISREG):
                _remove_if_left(path)
    for path in Path(tempfile.gettempdir()).resolve().glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError):
            _remove_abandoned(path)
    if repository is not None:
        for path in repository.worktrees():
            if path.parent.name.startswith(PREFIX) and not path.exists():
                repository.remove_worktree(path)


def source_roots(folder: Path, project: Path, given: Sequence[str] = ()) -> list[Path]:
    """Folders whose packages a revision brings, below `folder`. given: relative, instead of what pyproject.toml of
    `project` says, or else `src` if there is one, or else the project itself. Raises UsageError for one not there.
    """
    if given:
        missing = [name for name in given if not _is_folder(folder / name)]
        if missing:
            raise UsageError(f"--source-root {missing[0]}: there is no such folder in the revision ({folder.name}).")
        return [(folder / name).resolve() for name in given]
    where = pyproject.read(project).tool.setuptools.folders
    where = where or (["src"] if (project / "src").is_dir() else ["."])
    found = [(project / name).resolve() for name in where if _is_folder(project / name)]
    return [path for path in found if path.is_relative_to(folder.resolve())]  # not what another revision has, too


def project_of(path: Path, top: Path) -> Path:
    """The nearest folder above `path`, within `top`, that has a pyproject.toml; else `top`."""
    return next((parent for parent in _parents(path, top) if (parent / "pyproject.toml").is_file()), top)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _parents(path: Path, top: Path) -> Iterator[Path]:
    return (parent for parent in path.parents if parent.is_relative_to(top))


def _is_ours(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether this very entry, never what a link leads to, is of a kind and belongs to this user."""
    found = path.lstat()
    return found.st_uid == os.getuid() and kind(found.st_mode)


def _remove_abandoned(draft: Path) -> None:
    """What a gate left that was killed before its folder had a name: there is nothing but a lock in it."""
    if not _is_ours(draft, stat.S_ISDIR) or time.time() - draft.lstat().st_mtime < _ABANDONED:
        return
    if {entry.name for entry in draft.iterdir()} <= {_LOCK}:
        (draft / _LOCK).unlink(missing_ok=True)
        draft.rmdir()


def _remove_if_left(path: Path) -> None:
    with (path / _LOCK).open("rb+") as lock:
        if _lock(lock):
            top = json.loads(lock.read())["repository"]
            _remove(path, Repository(Path(top)) if top else None)


def _remove(path: Path, repository: Repository | None) -> None:
    for child in path.iterdir() if repository is not None else ():
        if repository is not None and not child.is_symlink() and (child / ".git").is_file():
            repository.remove_worktree(child)
    shutil.rmtree(path, ignore_errors=True)


def _lock(file: BinaryIO) -> bool:
    """Whether it is ours now; the lock goes with the process."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return hashlib.blake2b(path.read_bytes(), digest_size=20).digest() + bytes([path.stat().st_mode & 0o100 != 0])


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return subprocess.run(
        ["git", *HARMLESS, *_QUIET, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        stdin=subprocess.DEVNULL,
        env={**variables, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
    )
