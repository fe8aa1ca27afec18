"""What the gate asks of a revision, answered with that revision's own code.

This file is copied beside a side's source roots and imported there under another name, because the revision may be
older than the gate. All it relies on: `rnnbench.suite.read` and `plan`, `rnnbench.registry.load`,
`rnnbench.registry.availability.candidates`, and for the measuring itself `rnnbench.worker.perform`.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

SHORT = 64  # steps over which a program is verified for probes that do not measure it; as in rnnbench.runner


def plan(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"suite", "plugins", "only", "overrides"}` -> the suite's cases and what it takes to run them, as JSON.

    A suite or plugin that is wrong comes back as `{"problem": sentence, "stage": "read", "load" or "plan"}`.
    """
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
        "broken": broken,
        "rnnbench": str(Path(rnnbench.__file__).parent),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    """What is installed, without the revision's own project, whose metadata the gate has put beside this file."""
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
    data = case.to_json()
    try:
        from rnnbench.worker.verdict import verification
    except ImportError:  # a revision from before there was one key for all
        options, key = _verification_of_old(case, data, "implementation" in registry.probes[case.probe].ignores)
    else:
        asked = verification(case, registry.probes[case.probe])
        options, key = dict(asked.options), asked.key
    return {"case": data, "names": names, "reason": reason, "verify": options, "program": key}


def _verification_of_old(case: Any, data: Mapping[str, Any], stepwise: bool) -> tuple[dict[str, Any], str]:
    """Job options and key. A program that differs in anything but its clock is verified by itself."""
    options = {"dtype": "float64", "seq_len": min(case.seq_len, SHORT)} if stepwise else {}
    program = {key: value for key, value in data.items() if key not in ("probe", "probe_version", "seed")}
    if stepwise:
        program |= {"seq_len": None, "dtype": None, "threads": None, "dropout": None}
    return options, json.dumps([program, options], sort_keys=True)
