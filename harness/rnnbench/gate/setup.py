"""From what the user asked for to two sides that can measure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.case import digest
from rnnbench.errors import UsageError
from rnnbench.gate.pairs import SideSettings
from rnnbench.gate.side import Name, PlanError, Side, prepare, python_of
from rnnbench.gate.sources import Project
from rnnbench.gate.subjects import MatchedSubjects, PlannedCase, match
from rnnbench.gate.worktrees import Repository, Revision, Workspace, project_of, source_roots

SUBMODULES = "the submodules"


@dataclass(frozen=True)
class GateRequest:
    """What to compare. base, head: revisions, None for the working tree; same: both sides are `head` (A/A). pythons:
    None for this one. roots: source roots relative to the repository. build: command that makes, in each checkout, what
    no commit holds. only, overrides: as in `rnnbench run`.
    """

    suite: Path
    base: str | None = None
    head: str | None = None
    same: bool = False
    base_python: str | None = None
    head_python: str | None = None
    roots: Sequence[str] = ()
    build: str | None = None
    plugins: Sequence[Path] = ()
    only: Sequence[str] = ()
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Prepared:
    """Both sides, ready. key: equal for the same revisions and options."""

    base: Side
    head: Side
    notes: tuple[str, ...]
    key: str

    @property
    def sides(self) -> dict[Name, Side]:
        """Both by name."""
        return {"base": self.base, "head": self.head}

    @property
    def checkouts(self) -> dict[Name, Path]:
        """The folders of the revisions; none where both sides run the files where they are."""
        return {name: side.project.folder for name, side in self.sides.items() if side.project is not None}

    @property
    def same_suite(self) -> bool:
        """Whether both revisions have the very same suite file."""
        return self.base.suite.read_bytes() == self.head.suite.read_bytes()


@dataclass(frozen=True)
class Planned:
    """What both sides plan. suite: its name; sides: both, with the source roots it takes; raw: both answers of
    `rnnbench.gate.remote.plan`. problem: why head, whose code is broken, plans nothing; then every case of base is in
    `matching.removed`.
    """

    suite: str
    matching: MatchedSubjects
    sides: dict[Name, Side]
    plans: dict[Name, SideSettings]
    raw: dict[Name, dict[str, Any]]
    problem: str = ""

    def key(self, prepared: Prepared) -> str:
        """Equal for the same comparison, so that an interrupted one can be found again: also of the same packages, and
        of the same plugin files, which need not be part of a revision.
        """
        contents = (
            [answer["python"], answer["packages"], [_contents(Path(file)) for file in answer["plugins"]]]
            for answer in self.raw.values()
        )
        return digest([prepared.key, *contents])


def repository_of(suite: Path) -> Repository | None:
    """The repository of the suite, or of the current folder."""
    folder = next((parent for parent in suite.resolve().parents if parent.is_dir()), Path("/"))
    return Repository.around(folder) or Repository.around(Path.cwd())


def prepare_sides(request: GateRequest, repository: Repository | None, workspace: Workspace) -> Prepared:
    """Check both revisions out. Raises UsageError for everything that is not there."""
    if repository is None:
        return _in_place(request, workspace)
    head = repository.revision(request.head) if request.head else repository.working_tree()
    base = repository.revision(request.base) if request.base and not request.same else head
    notes = ["both sides are the same revision"] if base.identity == head.identity and not request.same else []
    if _inside(request.suite, repository) is None:
        notes.append("the suite is not part of the repository: both revisions run the same file")
    sides = (
        _side("base", base, request.base_python, request, repository, workspace),
        _side("head", head, request.head_python, request, repository, workspace),
    )
    notes += [*_unfilled(repository, sides[0], base), *_unfilled(repository, sides[1], head)]
    return _prepared(
        *sides,
        notes,
        request,
        str(repository.top),
    )


def plan_sides(prepared: Prepared, request: GateRequest, repository: Repository | None) -> Planned:
    """Have both revisions plan the suite. Raises UsageError where base cannot, where head has no valid suite to plan,
    or where they share no case.
    """
    raw: dict[Name, dict[str, Any]] = {}
    sides: dict[Name, Side] = {}
    for name, side in prepared.sides.items():
        plugins = [_there(path, side, repository) for path in request.plugins]
        try:
            sides[name], raw[name] = side.plan(plugins, request.only, request.overrides)
        except PlanError as error:
            if left := [note for note in prepared.notes if note.startswith(f"{name}: {SUBMODULES}")]:
                raise PlanError("\n".join([str(error), *left]), error.stage) from None
            if name == "base" or not _broken(prepared, error):
                raise
            return _nothing_left(prepared, raw["base"], str(error))
    base, head = (_entries(raw[name]) for name in ("base", "head"))
    matching = match(base, head)
    if not matching.subjects:
        raise UsageError(
            f"no case is in both suites, so there is nothing to compare: base ({prepared.base.label}) has "
            f"{len(base)} others, head ({prepared.head.label}) {len(head)}. Compare revisions with a common suite, or "
            f"give a suite file from outside the repository."
        )
    plans: dict[Name, SideSettings] = {
        name: SideSettings(answer["preload"], answer["plugins"], answer["timeout"], answer["folder"])
        for name, answer in raw.items()
    }
    notes = [*prepared.notes, *_differences(prepared, raw), *matching.notes]
    return Planned(raw["head"]["name"], replace(matching, notes=tuple(notes)), sides, plans, raw)


def _unfilled(repository: Repository, side: Side, revision: Revision) -> list[str]:
    """A note on the submodules that a side lacks."""
    checkout = side.support.with_name(side.name)
    missing = repository.unfilled(checkout, revision.commit)
    remedy = "check them out by `git submodule update --init --recursive`"
    return [f"{side.name}: {SUBMODULES} {', '.join(missing)} are empty; {remedy}"] if missing else []


def _broken(prepared: Prepared, error: PlanError) -> bool:
    """Whether head's code, and not its suite or its interpreter, is why it cannot plan what base can."""
    if error.stage == "start":
        return prepared.base.python == prepared.head.python
    return error.stage == "load" or (error.stage == "plan" and prepared.same_suite)


def _nothing_left(prepared: Prepared, base: dict[str, Any], problem: str) -> Planned:
    matching = match(_entries(base), [])
    return Planned(base["name"], replace(matching, notes=prepared.notes), {}, {}, {"base": base}, problem)


def _entries(answer: dict[str, Any]) -> list[PlannedCase]:
    return [PlannedCase.from_json(entry) for entry in answer["entries"]]


def _differences(prepared: Prepared, raw: dict[Name, dict[str, Any]]) -> list[str]:
    """What else differs between the sides, in sentences."""
    notes = [f"data: {line}" for line in raw["head"]["data"]]
    if not prepared.same_suite:
        notes.append("the suite differs between the revisions: only the cases of both are compared")
    if prepared.base.python != prepared.head.python:
        notes.append(_environments(prepared, raw))
    return notes + sorted({f"{side}: {text}" for side, answer in raw.items() for text in answer["broken"]})


def _environments(prepared: Prepared, raw: dict[Name, dict[str, Any]]) -> str:
    """`environments: base CPython 3.12.1 (/a/python), head ...; they differ in numpy 2.4.5 → 2.4.6, x 1.0 → none`."""
    interpreters = (f"{name} {raw[name]['python']} ({side.python})" for name, side in prepared.sides.items())
    base, head = ({"python": raw[name]["python"], **raw[name]["packages"]} for name in ("base", "head"))
    names = sorted(name for name in base.keys() | head.keys() if base.get(name) != head.get(name))
    changes = ", ".join(f"{name} {base.get(name, 'none')} → {head.get(name, 'none')}" for name in names)
    return f"environments: {', '.join(interpreters)}; they differ in {changes or 'no installed package'}"


def _side(
    name: Name,
    revision: Revision,
    python: str | None,
    request: GateRequest,
    repository: Repository,
    workspace: Workspace,
) -> Side:
    folder = workspace.checkout(name, revision)
    if request.build:
        built(request.build, folder, python_of(python), f"{name}, {revision.label}")
    inside = _inside(request.suite, repository)
    suite = folder / inside if inside else request.suite.absolute()
    if not suite.is_file():
        where = f"{name}, {revision.label}" if inside else "there"
        raise UsageError(
            f"the suite {inside or request.suite} is not in {where}. Name one that both revisions have, or a file "
            f"outside the repository, which then both run."
        )
    project = project_of(suite, folder) if inside else folder
    here = _inside(Path.cwd(), repository)
    running = folder / here if here and (folder / here).is_dir() else folder
    on = f" on {python or python_of(None)}" if request.base_python or request.head_python else ""
    return Side(
        name,
        revision.label + on,
        revision.identity,
        python_of(python),
        suite,
        tuple(source_roots(folder, project, request.roots)),
        running,
        prepare(workspace.folder(f"{name}.path"), project),
        Project(folder, (repository.top,), fixed=bool(request.roots)),
    )


def built(command: str, folder: Path, python: str, side: str) -> None:
    """Run the user's build command in a checkout, with the side's interpreter first on PATH. Raises UsageError."""
    path = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-10:])
        raise UsageError(f"`--build` in {side}: `{command}` ended with {done.returncode}:\n{last}")


def _in_place(request: GateRequest, workspace: Workspace) -> Prepared:
    """Two environments, and no repository: both run the files where they are."""
    if request.base or request.head or not (request.same or request.base_python or request.head_python):
        raise UsageError(
            f"{request.suite} is in no git repository with a working tree, so there are no revisions to compare. Run "
            f"the gate inside one, compare two environments by `--base-python`, or two stored runs."
        )
    suite = request.suite.absolute()
    if not suite.is_file():
        raise UsageError(f"there is no suite {request.suite}.")
    roots = tuple(source_roots(Path.cwd(), Path.cwd(), request.roots)) if request.roots else ()
    files = [file for root in roots for file in sorted(root.rglob("*.py")) if file.is_file()]
    identity = digest([_contents(suite), *map(_contents, files)])
    pythons: list[tuple[Name, str]] = [
        ("base", request.base_python or python_of(None)),
        ("head", request.head_python or python_of(None)),
    ]
    sides = [
        Side(name, f"files on {python}", identity, python_of(python), suite, roots, Path.cwd(), prepare(folder, folder))
        for name, python in pythons
        for folder in [workspace.folder(f"{name}.path")]
    ]
    return _prepared(sides[0], sides[1], [], request, "")


def _prepared(base: Side, head: Side, notes: Sequence[str], request: GateRequest, top: str) -> Prepared:
    sides = [[side.identity, side.python] for side in (base, head)]
    options = [
        list(request.roots),
        request.build,
        list(map(str, request.plugins)),
        list(request.only),
        list(request.overrides),
    ]
    key = digest([top, str(request.suite.absolute()), _contents(head.suite), sides, options, request.same])
    return Prepared(base, head, tuple(notes), key)


def _contents(path: Path) -> str:
    return digest(path.read_text(encoding="utf-8", errors="replace"))


def _inside(path: Path, repository: Repository) -> Path | None:
    """Relative to the repository, None for what lies outside; a link counts where it stands."""
    place = path.parent.resolve() / path.name
    return place.relative_to(repository.top) if place.is_relative_to(repository.top) else None


def _there(path: Path, side: Side, repository: Repository | None) -> Path:
    """A plugin file as the revision has it; one from outside the repository is the same for both."""
    inside = _inside(path, repository) if repository else None
    checkout = side.support.with_name(side.name)
    return checkout / inside if inside else path.absolute()
