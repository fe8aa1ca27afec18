"""What the gate asks of a revision, answered with that revision's own code.

This file is copied beside a side's source roots and imported there under another name, because the revision may be
older than the gate. All it relies on: `rnnbench.suite.read` and `plan`, `rnnbench.registry.load`,
`rnnbench.registry.availability.candidates`, and for the measuring itself `rnnbench.worker.perform`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SHORT = 64  # steps over which a program is verified for probes that do not measure it; as in rnnbench.runner


def plan(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"suite", "plugins", "only", "overrides", "project"}` -> the suite's cases and what it takes to run them.

    A suite or plugin that is wrong comes back as `{"problem": sentence, "stage": "read", "load" or "plan"}`. Either has
    `foreign` (see there).
    """
    return _planned(job) | {"foreign": foreign(job["project"])}


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """`rnnbench.worker.perform` as the revision has it, and what is `foreign` after it."""
    from rnnbench.worker import perform as performed

    return performed(job) | {"foreign": foreign(job["project"])}


def foreign(project: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """`[{"module", "file"}]`: the modules of the project that were not imported from its `folder`, one per package.

    Its modules are those that lie in another state of it (`elsewhere`), and those under one of its `names` that one of
    its `distributions` installed, or that nobody says he installed.
    """
    if project is None:
        return []
    installed = _Installed(project)
    found: dict[str, dict[str, str]] = {}
    for name, file in _modules():
        top = name.partition(".")[0]
        if top not in found and not _inside(file, project["folder"]) and _belongs(top, name, file, installed):
            found[top] = {"module": name, "file": file}
    return list(found.values())


def _modules() -> Iterator[tuple[str, str]]:
    """Everything imported from a file, outermost packages first, with its real place."""
    places: dict[str, str] = {}
    for name, module in sorted(sys.modules.items(), key=lambda item: item[0]):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name not in ("__main__", "__mp_main__", __name__):
            folder, _, base = file.rpartition(os.sep)
            real = places.setdefault(folder, os.path.realpath(folder))
            yield name, f"{real}{os.sep}{base}"


def _belongs(top: str, name: str, file: str, installed: _Installed) -> bool:
    project = installed.project
    if _installed(file):
        return top in project["names"] and installed.by_project(top, file)
    if any(_inside(file, other) for other in project["elsewhere"]):
        return True
    return top in project["names"] and ("." in name or file.endswith("__init__.py")) and not _standard(file)


class _Installed:
    """Who installed what. Reading that of all distributions takes a second, so it is read once, and when asked."""

    def __init__(self, project: Mapping[str, Any]) -> None:
        self.project = project
        self._owners: Mapping[str, list[str]] | None = None
        self._ours: dict[str, bool] = {}

    def by_project(self, top: str, file: str) -> bool:
        """Whether what is installed under a name is the project, by its name or by where it was installed from."""
        from importlib.metadata import packages_distributions

        if self._owners is None:
            self._owners = packages_distributions()
        owners = self._owners.get(top, [])
        return any(map(self._is_ours, owners)) or (not owners and not _standard(file))

    def _is_ours(self, owner: str) -> bool:
        from importlib.metadata import distribution

        if owner not in self._ours:
            normal = owner.replace("_", "-").replace(".", "-").lower()
            source = distribution(owner).read_text("direct_url.json") or ""
            elsewhere = any(f"file://{other}" in source for other in self.project["elsewhere"])
            self._ours[owner] = elsewhere or normal in self.project["distributions"]
        return self._ours[owner]


def _installed(file: str) -> bool:
    return any(f"{os.sep}{name}{os.sep}" in file for name in ("site-packages", "dist-packages")) or _standard(file)


def _standard(file: str) -> bool:
    import sysconfig

    inside = any(_inside(file, os.path.realpath(sysconfig.get_path(key))) for key in ("stdlib", "platstdlib"))
    return inside and "site-packages" not in file


def _inside(file: str, folder: str) -> bool:
    return file.startswith(folder.rstrip(os.sep) + os.sep)


def _planned(job: Mapping[str, Any]) -> dict[str, Any]:
    import rnnbench
    from rnnbench import suite
    from rnnbench.errors import UsageError
    from rnnbench.registry import load

    stage, broken = "read", []
    try:
        document = suite.read(Path(job["suite"]))
        files = [*document.plugins, *map(Path, job["plugins"])]
        stage = "load"
        registry = load(files)
        stage, broken = "plan", [f"plugin {plugin.name} is left out: {plugin.problem}" for plugin in registry.broken]
        planned = suite.plan(document, registry, job["only"], job["overrides"])
        entries = [_entry(case, registry) for case in planned.cases]
    except UsageError as error:
        return {"problem": "\n".join([str(error), *broken]), "stage": stage}
    backends = {case.backend: registry.backends[case.backend] for case in planned.cases}
    probes = {case.probe: registry.probes[case.probe] for case in planned.cases}
    return {
        "name": planned.name,
        "hash": planned.hash,
        "timeout": planned.timeout,
        "entries": entries,
        "plugins": [str(Path(file).resolve()) for file in files],
        "preload": {name: list(backend.preload) for name, backend in backends.items()},
        "versions": {key: text for backend in backends.values() for key, text in backend.versions().items()},
        "quantities": sorted({quantity.name for probe in probes.values() for quantity in probe.quantities}),
        "folder": str(Path(job["suite"]).resolve().parent),
        "data": [data.said for data in getattr(planned, "data", {}).values()],
        "broken": broken,
        "rnnbench": str(Path(rnnbench.__file__).parent),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    """What is installed, without the revision's own project, whose metadata the gate has put beside this file."""
    from importlib.metadata import distributions

    path = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
    found = {distribution.name: distribution.version for distribution in distributions(path=path[::-1])}
    return {name: version for name, version in sorted(found.items()) if name}


def _entry(case: Any, registry: Any) -> dict[str, Any]:
    """A case with the implementations to try and how its program is verified."""
    try:
        from rnnbench.registry.availability import candidates
    except ImportError:  # a revision from before the module moved
        from rnnbench.availability import candidates  # pyright: ignore[reportMissingImports]

    names, reason = candidates(case, registry)
    names, reason = _measurable(case, registry, list(names), str(reason))
    data = case.to_json()
    memory = bool(getattr(registry.probes[case.probe], "measures_memory", False))
    try:
        from rnnbench.worker.verdict import verification
    except ImportError:  # a revision from before there was one key for all
        options, key = _verification_of_old(case, data, "implementation" in registry.probes[case.probe].ignores)
    else:
        asked = verification(case, registry.probes[case.probe])
        options, key = dict(asked.options), asked.key
    return {"case": data, "names": names, "reason": reason, "verify": options, "program": key, "memory": memory}


def _measurable(case: Any, registry: Any, names: list[str], reason: str) -> tuple[list[str], str]:
    """The implementations whose kernels no interpreter would run, and the reason where that leaves none."""
    kept = []
    for name in names:
        asked = getattr(registry.implementations[case.backend, name], "interpreter", None)  # none before there were any
        interpreter = asked(case.device) if asked else None
        if interpreter is None:
            kept.append(name)
        else:
            reason = f"{name} runs in {interpreter} on {case.device}, whose times are not the kernel's"
    return kept, "" if kept else reason


def _verification_of_old(case: Any, data: Mapping[str, Any], stepwise: bool) -> tuple[dict[str, Any], str]:
    """Job options and key. A program that differs in anything but its clock is verified by itself."""
    options = {"dtype": "float64", "seq_len": min(case.seq_len, SHORT)} if stepwise else {}
    program = {key: value for key, value in data.items() if key not in ("probe", "probe_version", "seed")}
    if stepwise:
        program |= {"seq_len": None, "dtype": None, "threads": None, "dropout": None}
    return options, json.dumps([program, options], sort_keys=True)
