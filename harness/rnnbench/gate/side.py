"""One side of a gate: a revision, an interpreter, and the fresh processes that measure there."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import rnnbench
from rnnbench.errors import UsageError
from rnnbench.executor import Outcome
from rnnbench.gate import worktrees
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.isolation.launched import Interpreter

Name = Literal["base", "head"]

REMOTE = "rnnbench_gate_remote"
PLANNING = 300.0
"""Seconds a revision has to load its plugins and plan the suite."""

_COMMAND = """
import json, sys, types
package, path = json.loads(sys.argv[1])
sys.path[:0] = path
gate = types.ModuleType("rnnbench")
gate.__path__ = [package]
sys.modules["rnnbench"] = gate
from rnnbench.isolation.launcher import main
for name in [name for name in sys.modules if name.partition(".")[0] == "rnnbench"]:
    del sys.modules[name]
main()
"""
"""Starts the gate's own launcher, the same on both sides whatever their revisions, and then forgets where it came from:
every `rnnbench` that a job imports is the revision's."""


class PlanError(UsageError):
    """A revision cannot plan the suite. stage: how far it came: `start`, `read` the file, `load` plugins, `plan`."""

    def __init__(self, message: str, stage: Literal["start", "read", "load", "plan"]) -> None:
        super().__init__(message)
        self.stage = stage


@dataclass(frozen=True)
class Side:
    """name: `base` or `head`. label: for people. identity: the same for the same files. python: interpreter. roots: put
    first on its path. suite: the file there. folder: where jobs run. support: what the gate adds to the path.
    """

    name: Name
    label: str
    identity: str
    python: str
    suite: Path
    roots: tuple[Path, ...]
    folder: Path
    support: Path

    def interpreter(self, *descriptors: int) -> Interpreter:
        """How its processes are started; they inherit the descriptors.

        They write no bytecode, which would change folders that are not theirs. Two of them may share a GPU, so that
        none takes most of its memory ahead, as JAX does.
        """
        package = str(Path(rnnbench.__file__).resolve().parent)
        argument = json.dumps([package, [str(self.support), *map(str, self.roots)]])
        command = [self.python, "-P", "-c", _COMMAND, argument]
        ahead = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        variables = {"PYTHONDONTWRITEBYTECODE": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": ahead}
        return Interpreter(command, variables, self.folder, descriptors)

    def open(self, *descriptors: int) -> ForkServer:
        """A session of fresh processes, which inherit the descriptors."""
        return ForkServer(interpreter=self.interpreter(*descriptors))

    def plan(self, plugins: Sequence[Path], only: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
        """The suite as this revision understands it, see `rnnbench.gate.remote.plan`. Raises PlanError."""
        job = {"suite": str(self.suite), "plugins": list(map(str, plugins)), "only": only, "overrides": overrides}
        session = ForkServer(always=(), interpreter=self.interpreter())
        try:
            outcome = session.run({**job, "entry": f"{REMOTE}:plan"}, (), PLANNING)
        finally:
            session.close()
        if outcome.status != "ok":
            said = f"{self.name}, {self.label}, cannot plan the suite with {self.python}: {_said(outcome)}"
            raise PlanError(said, "start")
        if "problem" in outcome.result:
            checkout = f"{self.support.with_name(self.name)}/"  # will be gone when the message is read
            said = f"in {self.name}, {self.label}: {outcome.result['problem']}".replace(checkout, "")
            raise PlanError(said, outcome.result["stage"])
        return dict(outcome.result)


def prepare(support: Path, project: Path) -> Path:
    """Fill a folder for the path of a side: the questions, and the entry points of the revision's pyproject.toml.

    Entry points are otherwise those of whatever revision is installed, which may lack a plugin or have one too many.
    """
    shutil.copy(Path(__file__).with_name("remote.py"), support / f"{REMOTE}.py")
    metadata = worktrees.pyproject(project).get("project", {})
    if "name" not in metadata or "entry-points" in metadata.get("dynamic", ()):
        return support
    folder = support / f"{metadata['name'].replace('-', '_')}-0.dist-info"
    folder.mkdir()
    number = metadata.get("version") or _installed(metadata["name"])
    head = f"Metadata-Version: 2.1\nName: {metadata['name']}\nVersion: {number}\n"
    (folder / "METADATA").write_text(head, encoding="utf-8")
    groups: Mapping[str, Mapping[str, str]] = metadata.get("entry-points", {})
    lines = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items()) for group, own in groups.items()
    )
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return support


def python_of(path: str | None) -> str:
    """An interpreter the user named, or this one. Raises UsageError where there is none."""
    found = sys.executable if path is None else shutil.which(path)
    if found is None:
        raise UsageError(
            f"there is no interpreter {path!r}; give the python of an environment, `.venv/bin/python` say."
        )
    return str(Path(found).absolute())


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


def _said(outcome: Outcome) -> str:
    """Why it failed, with the last line of what it printed, and what it takes."""
    last = outcome.output.strip().rpartition("\n")[2]
    needs = (
        "It takes Python 3.11 or newer with rnnbench's dependencies, and an rnnbench that the revision can run with."
    )
    return ". ".join(dict.fromkeys(filter(None, (outcome.reason, last, needs))))
