"""One side of a gate: a revision, an interpreter, and the fresh processes that measure there."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import rnnbench
from rnnbench.errors import UsageError
from rnnbench.executor import Outcome
from rnnbench.gate import pyproject, sources
from rnnbench.gate.answers import Stage, check_plan
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.isolation.launched import Interpreter
from rnnbench.machine import waiting
from rnnbench.records import Malformed
from rnnbench.runner.answers import understood

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

    def __init__(self, message: str, stage: Stage) -> None:
        super().__init__(message)
        self.stage: Stage = stage


@dataclass(frozen=True)
class Side:
    """name: `base` or `head`. label: for people. identity: the same for the same files. python: interpreter. roots: put
    first on its path. suite: the file there. folder: where jobs run. support: what the gate adds to the path. project:
    what has to be imported from its own files; None where both sides run the same.
    """

    name: Name
    label: str
    identity: str
    python: str
    suite: Path
    roots: tuple[Path, ...]
    folder: Path
    support: Path
    project: sources.Project | None = None

    def interpreter(self, *descriptors: int) -> Interpreter:
        """How its processes are started; they inherit the descriptors.

        They write no bytecode, which would change folders that are not theirs. Two of them may share a GPU, so that
        none takes most of its memory ahead, as JAX does.
        """
        package = str(Path(rnnbench.__file__).resolve().parent)
        argument = json.dumps([package, [str(self.support), *map(str, self.roots)]])
        command = [self.python, "-P", "-c", _COMMAND, argument]
        shared = {name: os.environ.get(name, value) for name, value in waiting.SHARED_DEVICE.items()}
        variables = {"PYTHONDONTWRITEBYTECODE": "1", **shared}
        return Interpreter(command, variables, self.folder, descriptors)

    def open(self, *descriptors: int) -> ForkServer:
        """A session of fresh processes, which inherit the descriptors."""
        return ForkServer(interpreter=self.interpreter(*descriptors))

    @property
    def question(self) -> dict[str, Any]:
        """The part of every job that has it say what it imported from elsewhere."""
        return {"project": self.project.to_json() if self.project else None}

    def understood(self, outcome: Outcome, kind: str) -> Outcome:
        """The outcome of a job, see `rnnbench.runner.answers.understood`.

        Raises UsageError where it ran what is not its revision's.
        """
        found = understood(outcome, kind)
        foreign = found.result.get("foreign")
        if isinstance(foreign, list) and foreign:
            raise UsageError(sources.refusal(foreign[0], f"{self.name}, {self.label},"))
        return found

    def plan(
        self, plugins: Sequence[Path], only: Sequence[str], overrides: Sequence[str]
    ) -> tuple[Side, dict[str, Any]]:
        """The suite as this revision understands it, see `rnnbench.gate.remote.plan`, and this side with the source
        roots that it takes. Raises PlanError, and UsageError where it cannot be had to import its own files.
        """
        job = {"suite": str(self.suite), "plugins": list(map(str, plugins)), "only": only, "overrides": overrides}
        side, answer = self, self._answer(job)
        while self.project is not None and answer["foreign"]:
            links = self.support / "links"
            more = sources.roots(self.project, answer["foreign"], links, f"{self.name}, {self.label},")
            if set(more) <= set(side.roots):  # they are on the path already, and something comes before it
                raise UsageError(sources.refusal(answer["foreign"][0], f"{self.name}, {self.label},"))
            side = replace(side, roots=(*side.roots, *(root for root in more if root not in side.roots)))
            answer = side._answer(job)
        if "problem" in answer:
            checkout = f"{self.support.with_name(self.name)}/"  # will be gone when the message is read
            message = f"in {self.name}, {self.label}: {answer['problem']}{_untracked(answer['problem'])}"
            raise PlanError(message.replace(checkout, ""), answer["stage"])
        return side, answer

    def _answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        session = ForkServer(always=(), interpreter=self.interpreter())
        try:
            outcome = session.run({**job, **self.question, "entry": f"{REMOTE}:plan"}, (), PLANNING)
        finally:
            session.close()
        if outcome.status != "ok":
            message = f"{self.name}, {self.label}, cannot plan the suite with {self.python}: {_output_of(outcome)}"
            raise PlanError(message, "start")
        try:
            check_plan(outcome.result)
        except Malformed as error:
            raise PlanError(
                f"{self.name}, {self.label}, answers with no plan ({error}): what it imports has replaced the answer",
                "start",
            ) from None
        return dict(outcome.result)


def _untracked(problem: str) -> str:
    """A hint where a module is missing: a file that a build makes is in no commit."""
    if "No module named" not in problem and "cannot import name" not in problem:
        return ""
    return "\nIf it is made by a build, and so in no commit, say by which: `--build COMMAND`, run in each checkout."


def prepare(support: Path, project: Path) -> Path:
    """Fill a folder for the path of a side: the questions, and the entry points of the revision's pyproject.toml.

    Entry points are otherwise those of whatever revision is installed, which may lack a plugin or have one too many.
    """
    shutil.copy(Path(__file__).with_name("remote.py"), support / f"{REMOTE}.py")
    metadata = pyproject.read(project).project
    if metadata.name is None or "entry-points" in metadata.dynamic:
        return support
    folder = support / f"{metadata.name.replace('-', '_')}-0.dist-info"
    folder.mkdir()
    number = metadata.version or _installed(metadata.name)
    head = f"Metadata-Version: 2.1\nName: {metadata.name}\nVersion: {number}\n"
    (folder / "METADATA").write_text(head, encoding="utf-8")
    lines = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())
        for group, own in metadata.entry_points.items()
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


def _output_of(outcome: Outcome) -> str:
    """Why it failed, with the last line of what it printed, and what it takes."""
    last = outcome.output.strip().rpartition("\n")[2]
    needs = (
        "It takes Python 3.11 or newer with rnnbench's dependencies, and an rnnbench that the revision can run with."
    )
    return ". ".join(dict.fromkeys(filter(None, (outcome.reason, last, needs))))
