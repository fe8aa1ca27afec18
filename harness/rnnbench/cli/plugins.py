"""Loading plugins for a command, with a word about those that broke."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rnnbench.errors import PluginError
from rnnbench.registry import Registry, installed, load
from rnnbench.registry.guarded import guard
from rnnbench.registry.plugin_files import placed
from rnnbench.registry.targets import is_target

IMPORT_SECONDS = 60.0
"""How long a plugin may take to be imported and tried; one that imports a framework takes seconds."""
STUDY_SECONDS = 300.0
"""How long classes of a library may take to be tried: a pattern may stand for dozens."""
_TRIAL = "rnnbench.worker.trial"
_ADAPTING = "rnnbench.worker.adapting:perform"

plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A plugin file to load beside the installed ones; may be given several times.",
)


def load_plugins(files: Iterable[Path]) -> Registry:
    """The registry; a broken installed plugin is a warning, a broken file that was asked for an error.

    Whatever others wrote is imported and tried in a process of its own first (`rnnbench.worker.trial`). Among `files`
    may be classes, `module:Class`: of each, a plugin file is made that brings it (`rnnbench.adapter`).
    """
    named = [str(file) for file in files]
    files = [placed(Path(name)) for name in named if not is_target(name)]
    points = installed()
    foreign = [name for name, point in points.items() if point.dist is None or point.dist.name != "rnnbench"]
    problems = _tried([{"file": str(file)} for file in files] + [{"installed": name} for name in foreign])
    broken = [f"plugin {file}: {problem}" for file in files if (problem := problems.get(str(file)))]
    if broken:
        raise PluginError("\n".join(broken))
    without = {name: problems[name] for name in foreign if name in problems}
    with contextlib.redirect_stdout(sys.stderr):  # stdout is data, whatever a plugin prints
        classes = [name for name in named if is_target(name)]
        files += adapted(classes, load((), without, points)) if classes else []
        with _unchanged([*files, *foreign]):
            registry = load(files, without, points)
    guard(registry)
    for plugin in registry.broken:
        click.echo(f"warning: plugin {plugin.name} ({plugin.origin}) is left out: {plugin.problem}", err=True)
    return registry


@contextlib.contextmanager
def _unchanged(plugins: Sequence[object]) -> Iterator[None]:
    """Import plugins here: what went well in a process of its own may do otherwise at a second time.

    Raises PluginError where it does not end in time, and where it changes this process.
    """
    if not plugins:
        yield
        return
    from rnnbench.worker.trial import watched

    names = ", ".join(map(str, plugins))
    changed = watched()
    with _limited(IMPORT_SECONDS, f"importing {names} again, which went well at first, did not end within"):
        yield
    if problem := changed():
        raise PluginError(f"one of {names}: the second time, {problem}")


@contextlib.contextmanager
def _limited(seconds: float, what: str) -> Iterator[None]:
    """Raise PluginError in what takes longer, in Python and on the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise PluginError(f"{what} {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _tried(jobs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The problem of each plugin that has one, by file or name."""
    if not jobs or not hasattr(os, "fork"):
        return {}
    problems: dict[str, str] = {}
    for job, (result, problem) in zip(jobs, in_own_process(f"{_TRIAL}:perform", jobs, _TRIAL), strict=True):
        if problem := problem or said(result, "problem"):
            problems[job.get("file") or job["installed"]] = problem
    return problems


def in_own_process(
    entry: str, jobs: Sequence[Mapping[str, str]], *always: str, seconds: float | None = None
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """(what `entry` returned, or what went wrong) of each job, each in a fresh process with a time limit,
    `IMPORT_SECONDS` where none is given.
    """
    from rnnbench.isolation.forkserver import ForkServer

    session = ForkServer(always=always)
    try:
        for job in jobs:
            outcome = session.run({"entry": entry, **job}, (), seconds or IMPORT_SECONDS)
            problem = ""
            if outcome.status == "timeout":
                problem = outcome.reason.partition("; raise `timeout:`")[0] + " of importing and trying it"
            elif outcome.status != "ok":
                problem = f"importing and trying it ended the process: {outcome.reason}"
            yield outcome.result, problem
    finally:
        session.close()


def said(result: Mapping[str, Any], field: str) -> str:
    """A text in an answer. Raises PluginError where there is none: what was imported there has changed the answer."""
    found = result.get(field)
    if not isinstance(found, str):
        raise PluginError(_REPLACED.format(field=field, found=repr(found)[:40]))
    return found


def _texts(result: Mapping[str, Any], field: str) -> Mapping[str, str]:
    """Texts by name, likewise."""
    found = result.get(field)
    if not isinstance(found, Mapping) or not all(isinstance(text, str) for text in found.values()):
        raise PluginError(_REPLACED.format(field=field, found=repr(found)[:40]))
    return found


_REPLACED = "its answer is none of rnnbench's (`{field}` is {found}): what was imported there has replaced it"


def adapted(classes: Sequence[str], registry: Registry) -> list[Path]:
    """Plugin files that bring these classes. Raises PluginError for one that cannot be brought.

    Of a pattern, the classes that cannot are a warning each, as long as there are others.
    """
    files = []
    for target in classes:
        plugins, problems = _studied(target, registry)
        if not plugins:
            raise PluginError("\n".join(f"{name}: {problem}" for name, problem in problems.items()))
        for name, problem in problems.items():
            click.echo(f"warning: {name} is left out: {problem}", err=True)
        files += [_kept(name, text) for name, text in plugins.items()]
    return files


def _studied(target: str, registry: Registry) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(text of a plugin file by cell, sentence by class that cannot be brought), of the first adapter that knows it."""
    if not registry.adapters:
        raise PluginError(f"{target}: no plugin brings an adapter for classes of other libraries")
    problems: Mapping[str, str] = {}
    for adapter in registry.adapters.values():
        [(result, problem)] = in_own_process(
            _ADAPTING, [{"target": target, "study": adapter.study}], seconds=STUDY_SECONDS
        )
        if problem:
            problems = {target: problem}
            continue
        plugins, left_out = _texts(result, "plugins"), _texts(result, "problems")
        if plugins:
            return plugins, left_out
        problems = {**problems, **left_out}
    return {}, problems


def _kept(name: str, text: str) -> Path:
    """The plugin file of a class in the user's cache folder, named after what is in it."""
    from rnnbench.cache import cache_folder

    folder = cache_folder() / "classes"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    stem = re.sub(r"\W", "_", name)
    file = folder / f"{stem}_{digest}.py"
    if not file.exists():
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(text)
        partial.replace(file)
    return file
