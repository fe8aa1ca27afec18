"""From a document to the cases of a run."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from rnnbench.case import AXES, CHOSEN, Case, digest
from rnnbench.cluster import ClusterOptions
from rnnbench.errors import nearest
from rnnbench.probe import Probe
from rnnbench.registry import Registry, spelling
from rnnbench.suite.document import Document
from rnnbench.suite.executor import options
from rnnbench.suite.matching import Matching, Point
from rnnbench.suite.names import Names, ParameterCount
from rnnbench.suite.overrides import matches, overridden, selected
from rnnbench.suite.problems import KeyPath, Problems
from rnnbench.suite.schema import FASTEST, ExecutorEntry, Grid, ProbeEntry, validated
from rnnbench.suite.settings import Settings, variants
from rnnbench.task import Task

MAX_CASES = 100_000
Block = dict[str, tuple[Any, ...]]
"""A product of cases: axis -> values, every axis there, in the order of AXES."""
_SEQ_LEN, _BATCH_SIZE, _INPUT_SIZE = (AXES.index(axis) for axis in ("seq_len", "batch_size", "input_size"))
_LAYERS, _DROPOUT = AXES.index("layers"), AXES.index("dropout")
DROPPED = "dropout acts between layers, so a model of one layer has none: those cases are measured as `dropout: 0`"


@dataclass(frozen=True)
class Data:
    """Data files of a task. said: one line, what they were taken for."""

    said: str
    files: tuple[Path, ...]

    def digest(self) -> str:
        """Of what is in the files now. Raises OSError."""
        total = hashlib.blake2b(digest_size=8)
        for path in self.files:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "blake2b").digest())
        return total.hexdigest()


@dataclass(frozen=True)
class Plan:
    """A suite whose every name is known, as cases in the order they run.

    resolved: the suite complete with defaults, as JSON values. executor, timeout: as in the suite. executor_options:
    what the suite asks of it, None where it has none. probes: those that are asked, in the order written. folder: of
    the suite, which data files are relative to. data: by the spelling of each task that has files. notes: sentences on
    what is not run as it is written.
    """

    name: str
    seed: int
    executor: str
    timeout: float
    cases: tuple[Case, ...]
    resolved: dict[str, Any]
    probes: tuple[Probe, ...] = ()
    folder: Path = Path()
    data: Mapping[str, Data] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    executor_options: Any = None

    @property
    def hash(self) -> str:
        """12 hex digits of all that decides what is measured: not how it is told, where it runs, nor where plugins lie.

        The executor stands in it under the name of the one that there always was, so that hashes of before stay true.
        """
        ignored = ("description", "reference")
        decisive = {key: value for key, value in self.resolved.items() if key not in ignored}
        return digest(decisive | {"executor": "forkserver"})


@dataclass(frozen=True)
class _Question:
    """A probe with every combination of its settings and the blocks it runs on."""

    probe: Probe
    variants: Sequence[Settings]
    axes: Block
    blocks: Sequence[Block]

    @property
    def size(self) -> int:
        """Cases before duplicates and exclusions are dropped."""
        return len(self.variants) * sum(math.prod(map(len, block.values())) for block in self.blocks)

    @property
    def resolved(self) -> dict[str, Any]:
        """For the resolved suite: settings that vary as lists, all others as they are."""
        settings = {key: _distinct(variant[key] for variant in self.variants) for key in self.variants[0]}
        single = {key: values[0] if len(values) == 1 else values for key, values in settings.items()}
        return {"version": self.probe.version, "settings": single, "grid": _written(self.axes)}


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value): value for value in values}.values())


def _written(block: Block) -> Block:
    """The axes as a suite writes them: `params` where parameters are matched."""
    sizes = block.get("hidden_size", ())
    if not any(isinstance(size, ParameterCount) for size in sizes):
        return block
    others = {axis: values for axis, values in block.items() if axis != "hidden_size"}
    return others | {"params": tuple(size.count for size in sizes)}


def _settings(document: Document, registry: Registry) -> dict[str, list[str]]:
    """Name of a setting -> the probes of the suite that have it."""
    found: dict[str, list[str]] = {}
    for name in document.data["probes"]:
        if name in registry.probes:
            for field in getattr(registry.probes[name].settings, "__dataclass_fields__", ()):
                found.setdefault(field, []).append(name)
    return found


def plan(document: Document, registry: Registry, only: Sequence[str] = (), overrides: Sequence[str] = ()) -> Plan:
    """Expand a suite. Raises SuiteError with every unknown name and setting, or UsageError for a bad `only`.

    The shortest sequences come first, over all cells; then the probes in the order written, then their settings, then
    the grid with the cells outermost.
    """
    data, locations = overridden(document, overrides, _settings(document, registry))
    problems = Problems(locations)
    suite = validated(data, problems)
    names = Names(registry, problems)
    executor = _executor(suite.executor, names, problems)
    grid = names.axes(suite.grid, ("grid",))
    grid = {axis: grid.get(axis, tuple(registry.backends)) for axis in AXES}
    if not grid["backend"]:
        problems.add(("grid", "backend"), "no plugin brings a backend; install one, or name its file under `plugins:`")
    include = [names.axes(entry, ("grid", "include", index)) for index, entry in enumerate(suite.grid.include)]
    exclude = [names.axes(entry, ("grid", "exclude", index)) for index, entry in enumerate(suite.grid.exclude)]
    blocks = [grid, *({**grid, **entry} for entry in include)]
    asked = [_question(name, entry, blocks, names, problems) for name, entry in suite.probes.items()]
    questions = [question for question in asked if question is not None]
    problems.stop()
    tasks = _Tasks(registry, problems, document.path.parent)
    cases = _cases(questions, exclude, suite.seed, names, problems, tasks)
    cases = _on_machines(cases, executor, registry)
    _check_reference(suite.reference, cases, registry, problems)
    resolved = {
        **{key: getattr(suite, key) for key in ("name", "description", "seed", "timeout", "reference")},
        "executor": _written_executor(suite.executor),
        "grid": {**_written(grid), "include": [*map(_written, include)], "exclude": [*map(_written, exclude)]},
        "probes": {question.probe.name: question.resolved for question in questions},
    }
    return Plan(
        name=suite.name,
        seed=suite.seed,
        executor=suite.executor.name,
        executor_options=executor,
        timeout=suite.timeout,
        cases=selected(cases, only) if only else cases,
        resolved=json.loads(json.dumps(resolved)),
        probes=tuple(question.probe for question in questions),
        folder=document.path.parent,
        data=tasks.data,
        notes=(DROPPED,) if any(_drops_nothing(block) for question in questions for block in question.blocks) else (),
    )


def _executor(entry: ExecutorEntry, names: Names, problems: Problems) -> Any:
    """The options of the executor."""
    if names.known("executor", entry.name, ("executor",)) is None:
        return None
    return options(names.registry.executors[entry.name], entry.model_extra or {}, ("executor",), problems)


def _on_machines(cases: tuple[Case, ...], executor: Any, registry: Registry) -> tuple[Case, ...]:
    """Timed cases once for each machine that the executor is asked for; the others once, anywhere."""
    if not (isinstance(executor, ClusterOptions) and executor.machines):
        return cases
    return tuple(
        replace(case, machine=machine)
        for case in cases
        for machine in (executor.machines if registry.probes[case.probe].quiet else ("",))
    )


def _written_executor(entry: ExecutorEntry) -> Any:
    """As a suite writes it: by its name where it has no options."""
    return {"name": entry.name, **entry.model_extra} if entry.model_extra else entry.name


def _check_reference(reference: str, cases: Sequence[Case], registry: Registry, problems: Problems) -> None:
    """Whether some row of a table will be called that."""
    if reference == FASTEST:  # which needs no look at ten thousand cases
        return
    found: dict[str, None] = {FASTEST: None}
    for cell, backend, implementation in dict.fromkeys((one.cell, one.backend, one.implementation) for one in cases):
        own = [implementation]
        if implementation in CHOSEN:
            own = [name for there, name in registry.implementations if there == backend]
        programs = [f"{backend}/{name}" for name in own]
        found |= dict.fromkeys([cell, *programs, *(f"{cell} {program}" for program in programs)])
    if reference not in found:
        hint = nearest(reference, list(found))
        problems.add(("reference",), f"no row is called {reference!r}; give a cell, a program, or both.{hint}")
    problems.stop()


def _question(
    name: str, entry: ProbeEntry | None, blocks: Sequence[Block], names: Names, problems: Problems
) -> _Question | None:
    path, entry = ("probes", name), entry or ProbeEntry()
    axes = names.axes(entry.grid, (*path, "grid"))
    if names.known("probe", name, path) is None:
        return None
    probe = names.registry.probes[name]
    return _Question(
        probe, variants(probe, entry, path, names, problems), axes, [{**block, **axes} for block in blocks]
    )


def _cases(
    questions: Sequence[_Question], exclude: Sequence[Block], seed: int, names: Names, problems: Problems, tasks: _Tasks
) -> tuple[Case, ...]:
    """All cases in order, each once; raises SuiteError where there are too many, none, or impossible ones."""
    if (count := sum(question.size for question in questions)) > MAX_CASES:
        problems.add(("grid",), f"the lists multiply to {count:,} cases; at most {MAX_CASES:,} are allowed")
    problems.stop()
    matching = Matching(names.registry, problems)
    found: list[tuple[int, int, Case]] = []
    for order, question in enumerate(questions):
        points = _points(question, exclude)
        for settings in question.variants:
            trains = question.probe.uses_task and settings["task"] is not None
            fitted, outputs = tasks.fitted(question.probe, settings, points) if trains else (points, None)
            _check_micro_batches(question.probe, settings, fitted, problems)
            for point, params in matching.solved(fitted, settings, outputs).items():
                found.append((point[_SEQ_LEN], order, _case(question.probe, point, settings, seed, params)))
    if not found:
        problems.add(("grid", "exclude"), "no case is left; exclude less")
    problems.stop()
    return tuple(case for _, _, case in sorted(found, key=itemgetter(0, 1)))


def _check_micro_batches(probe: Probe, settings: Settings, points: Iterable[Point], problems: Problems) -> None:
    """Note a problem for every batch size that cannot be had in equal parts."""
    parts = settings.get("micro_batches", 1)
    for size in sorted({point[_BATCH_SIZE] for point in points if point[_BATCH_SIZE] % parts}):
        path = ("probes", probe.name, "micro_batches")
        problems.add(path, f"found {parts}; it should divide the batch size, {size}")


def _case(probe: Probe, point: Point, settings: Settings, seed: int, params: int | None) -> Case:
    axes = dict(zip(AXES, point, strict=True))
    more = {"seed": seed, "probe_version": probe.version, "settings": settings, "params": params}
    return Case(probe=probe.name, **axes, **more)


def _drops_nothing(block: Block) -> bool:
    return 1 in block["layers"] and any(block["dropout"])


def _points(question: _Question, exclude: Sequence[Block]) -> list[Point]:
    """The grid of a question without what is excluded, with the axes that the probe ignores at one value."""
    points = dict.fromkeys(point for block in question.blocks for point in itertools.product(*block.values()))
    points = dict.fromkeys(map(_without_idle_dropout, points))
    for entry in exclude:
        dropped = [(index, _covered(entry[axis], points, index)) for index, axis in enumerate(AXES) if axis in entry]
        points = {point: None for point in points if not all(point[index] in values for index, values in dropped)}
    fixed = {index: _fixed(axis, question) for index, axis in enumerate(AXES) if axis in question.probe.ignores}
    if fixed:
        points = dict.fromkeys(tuple(fixed.get(index, value) for index, value in enumerate(point)) for point in points)
    return list(points)


def _without_idle_dropout(point: Point) -> Point:
    """Dropout acts between layers: a single layer has none, so that what is the same case is measured once."""
    if point[_LAYERS] != 1 or not point[_DROPOUT]:
        return point
    return (*point[:_DROPOUT], Grid.model_fields["dropout"].default[0], *point[_DROPOUT + 1 :])


def _covered(patterns: Sequence[Any], points: Iterable[Point], index: int) -> set[Any]:
    """The values on one axis that the patterns stand for."""
    values = {point[index] for point in points}
    return {value for value in values if any(matches(pattern, value) for pattern in patterns)}


def _fixed(axis: str, question: _Question) -> Any:
    """The value an ignored axis takes: its default, or the first one written where it has none."""
    default = Grid.model_fields[axis].default
    return default[0] if isinstance(default, tuple) and default else question.blocks[0][axis][0]


class _Tasks:
    """What tasks say about lengths, sizes and their data, asked once each. folder: where relative files lie."""

    def __init__(self, registry: Registry, problems: Problems, folder: Path) -> None:
        self._registry, self._problems, self._folder = registry, problems, folder
        self.data: dict[str, Data] = {}
        self._sizes: dict[tuple[str, str], int | None] = {}
        self._complaints: dict[tuple[str, int], str | None] = {}

    def fitted(self, probe: Probe, settings: Settings, points: Iterable[Point]) -> tuple[list[Point], int | None]:
        """The points with the task's input size, and its outputs; notes a problem for every length it cannot have."""
        spelled, path = settings["task"], ("probes", probe.name, "task")
        task = self._registry.tasks[spelling.parse(spelled)[0]]
        given = {**task.options, **spelling.checked(spelled, "task", task.options)}
        options = task.located(given, self._folder)
        possible = self._possible({point[_SEQ_LEN] for point in points}, task, spelled, options, path)
        if possible and (reason := self._problems.ask(path[:2], "check", lambda: probe.check(settings, task, options))):
            self._problems.add(path[:2], reason)
        if possible and task.files and spelled not in self.data:
            self._problems.ask(path, f"task {spelled}: describe", lambda: self._note(spelled, task, options))
        asked = {"input_size": task.inputs, "output_size": task.outputs}
        if (spelled, "input_size") not in self._sizes and possible:  # of what the check refuses, none may be known
            for name, size in asked.items():
                self._sizes[spelled, name] = self._problems.ask(
                    path, f"task {spelled}: {name}", lambda size=size: size(**options)
                )
        inputs, outputs = (self._sizes.get((spelled, name)) for name in asked)
        fitted = dict.fromkeys((*point[:_INPUT_SIZE], inputs, *point[_INPUT_SIZE + 1 :]) for point in points)
        return list(fitted), outputs

    def _note(self, spelled: str, task: Task, options: Mapping[str, Any]) -> None:
        description = task.describe(**options) if task.describe else ""
        self.data[spelled] = Data(description, tuple(Path(str(options[name])).absolute() for name in task.files))

    def _possible(self, lengths: Iterable[int], task: Task, spelled: str, options: Settings, path: KeyPath) -> bool:
        """Whether the task can have every length; what its check says of all lengths alike is said once."""
        refused: dict[str, list[int]] = {}
        for T in sorted(lengths):
            if (spelled, T) not in self._complaints:
                what = f"task {spelled}: check"
                self._complaints[spelled, T] = self._problems.ask(path, what, lambda T=T: task.check(T, **options))
            if (complaint := self._complaints[spelled, T]) is not None:
                refused.setdefault(complaint, []).append(T)
        for complaint, found in refused.items():
            self._problems.add(path, f"{spelled} at seq_len {', '.join(map(str, found))}: {complaint}")
        return not refused
