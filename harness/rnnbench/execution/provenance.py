"""What the numbers of a run depend on beside its cases: code, plugin files, data, commit.

A run that is resumed adds numbers to those it has. Where something of this has changed in between, they are of another
thing, so the run is not resumed.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.lots.files import with_neighbours
from rnnbench.registry import place
from rnnbench.registry.contents import code, digest_of
from rnnbench.store import RunFolder
from rnnbench.suite import Plan

Contents = Mapping[str, Mapping[str, str]]
Git = Mapping[str, Any] | None
WORDS = {"code": "the code of", "plugins": "the plugin", "modules": "the module", "data": "the data of"}
LOADED = "modules"
"""Of these, which are there depends on what was imported so far: only those that both know are compared."""


def provenance(planned: Plan, plugins: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Digests of contents, by kind: of `code`, the packages that bring plugins; of `plugins`, files that the user
    named, with those beside them; of `modules`, what these import of the user's from elsewhere, a project of his that
    is installed editable, say; of `data`, the files of tasks.
    """
    packages = code()
    beside: dict[str, list[Path]] = defaultdict(list)  # two in different folders may have one name
    for path in plugins:
        beside[path.name] += _neighbours(path)
    known = {file for files in beside.values() for file in files}
    return {
        "code": packages,
        "plugins": {name: digest_of(files) for name, files in beside.items()},
        LOADED: {name: digest_of([file]) for name, file in _modules(packages) if file not in known},
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
        for name in sorted({*kept.get(kind, {}), *now.get(kind, {})})
        if kind in kept and kept[kind].get(name) != now.get(kind, {}).get(name)
        if kind != LOADED or (name in kept[kind] and name in now.get(kind, {}))
    ]
    before = folder.meta.get("git")
    if before and git and before.get("commit") != git["commit"]:
        found.append(f"the commit ({(before.get('commit') or 'none')[:7]}, now {git['commit'][:7]})")
    return found


def _neighbours(path: Path) -> list[Path]:
    """A plugin file, and what it imports from its folder, now or when its functions are called."""
    folder = path.resolve().parent
    imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    beside = {Path(file) for file in imported if isinstance(file, str) and file.startswith(f"{folder}{os.sep}")}
    return sorted(
        {*with_neighbours(path.resolve()), *(file for file in beside if file.suffix == ".py" and file.is_file())}
    )


def _modules(packages: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """(name, file) of what was imported and is the user's. packages: that stand for themselves."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in {*packages, "__main__"} or not isinstance(file, str):
            continue
        if place.is_users(file) and Path(file).is_file():
            yield name, Path(file).resolve()
