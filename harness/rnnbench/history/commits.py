"""The order of commits, as git tells it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.errors import UsageError
from rnnbench.machine.environment import HARMLESS


@dataclass(frozen=True)
class Commit:
    """A commit of the history. position: along the first parents, 0 is the oldest."""

    hash: str
    subject: str
    position: int


def commits(repository: Path, since: str | None = None) -> dict[str, Commit]:
    """hash -> commit, oldest first: HEAD, its first parent, that one's first parent and so on. With `since`, that
    revision and what came after it; where it is on a branch of its own, from where the branch began.

    Raises UsageError outside a repository, before the first commit, and for a revision that is none.
    """
    # commits of branches that ran side by side have no order, and any made up shows changes that never happened
    lines = _git(repository, ["log", "--first-parent", "--reverse", "--format=%H%x09%s", "HEAD"]).splitlines()
    if since is not None:
        after = ["rev-list", "--first-parent", "--count", "HEAD", f"^{_resolve(repository, since)}"]
        lines = lines[-1 - int(_git(repository, after)) :]
    pairs = [line.partition("\t") for line in lines]
    return {name: Commit(name, subject, position) for position, (name, _, subject) in enumerate(pairs)}


def _resolve(repository: Path, revision: str) -> str:
    try:
        return _git(
            repository, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
        ).strip()
    except UsageError:
        _git(repository, ["rev-parse", "--verify", "HEAD"])  # where the repository is at fault, say that instead
        raise UsageError(
            f"{revision!r} is no revision of the repository around {repository}; give a commit, a tag or a branch"
        ) from None


def _git(repository: Path, words: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["git", *HARMLESS, "-C", str(repository), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except FileNotFoundError:
        raise UsageError("the history needs git to order its runs, and there is no git here") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()
        raise UsageError(
            f"git could not read the history around {repository} ({reason[0] if reason else 'no reason given'}). Run "
            "this in a clone of the repository that was measured, with its whole history (`git fetch --unshallow`)."
        ) from None
    return done.stdout
