"""What the numbers of a run depend on beside its cases: code, plugin files, data, commit.

A run that is resumed adds numbers to those it has. Where something of this has changed in between, they are of another
thing, so the run is not resumed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.registry import installed
from rnnbench.store import RunFolder
from rnnbench.suite import Plan

Contents = Mapping[str, Mapping[str, str]]
Git = Mapping[str, Any] | None
WORDS = {"code": "the code of", "plugins": "the plugin", "data": "the data of"}


def provenance(planned: Plan, plugins: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Digests of contents, by kind: of `code`, the packages that bring plugins; of `plugins`, files that the user
    named; of `data`, the files of tasks.
    """
    entries = (point.value.partition(":")[0] for point in installed().values())
    packages = sorted({"rnnbench", *(module.partition(".")[0] for module in entries)})
    return {
        "code": {name: _digest(files) for name in packages if (files := list(_sources(name)))},
        "plugins": {path.name: _digest(_neighbours(path)) for path in plugins},
        "data": {task: source.digest() for task, source in planned.data.items()},
    }


def keep_or_refuse(folder: RunFolder, now: Contents, git: Git) -> None:
    """Note down what a new or empty run is made of; raise UsageError where a run that has numbers was made of other
    things.
    """
    if not any(folder.records(light=True)):
        folder.remember(provenance=now, git=git)
        return
    if changed := changes(folder, now, git):
        raise UsageError(
            f"{folder.path} cannot be resumed: since it was begun, {', '.join(changed)} changed, so what is left to "
            f"measure is not what it holds. Go back to that state, or begin a new run without `--resume`."
        )


def changes(folder: RunFolder, now: Contents, git: Git) -> list[str]:
    """What is no longer as it was when the run was begun, in words."""
    kept = folder.meta.get("provenance", {})
    found = [
        f"{WORDS[kind]} {name}"
        for kind in WORDS
        for name in sorted({*kept.get(kind, {}), *now[kind]})
        if kind in kept and kept[kind].get(name) != now[kind].get(name)
    ]
    before = folder.meta.get("git")
    if before and git and before["commit"] != git["commit"]:
        found.append(f"the commit ({before['commit'][:7]}, now {git['commit'][:7]})")
    return found


def _sources(package: str) -> Iterable[Path]:
    """The Python files of an installed package."""
    spec = find_spec(package)
    if spec is None:
        return []
    places = spec.submodule_search_locations or []
    return sorted(file for place in places for file in Path(place).rglob("*.py")) or [Path(spec.origin or "")]


def _neighbours(path: Path) -> list[Path]:
    """A plugin file, and what it has imported from its folder."""
    folder = path.resolve().parent
    imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    beside = {Path(file) for file in imported if isinstance(file, str) and file.startswith(f"{folder}{os.sep}")}
    return sorted({path.resolve(), *(file for file in beside if file.suffix == ".py" and file.is_file())})


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.blake2b(digest_size=8)
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()
