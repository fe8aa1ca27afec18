"""What of the known implementations and libraries is installed, can be imported, runs here, and was verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from typing import Any

from rnnbench.adapter import Adapter, Library
from rnnbench.backend import Backend
from rnnbench.cell import Cell
from rnnbench.executor import Session
from rnnbench.implementation import Implementation
from rnnbench.registry import Registry
from rnnbench.registry.availability import device_problem, support_problem
from rnnbench.runner.answers import understood
from rnnbench.worker.conformance import kit_case

DEVICE, DTYPE = "cpu", "float32"
SECONDS = 120.0
"""How long an import, or a verification at small sizes, may take."""
YES, NOT_TRIED = "yes", "not tried"
NO_ANSWER = "its import changes what the process that tries it answers"
LICENCES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
}
"""SPDX's names of what metadata calls otherwise."""


@dataclass(frozen=True)
class Installation:
    """One implementation or library. installed, imports, runs, verified: `yes`, `no`, `not tried` or `wrong`.

    about: why one of them is not `yes`, and how to find out; what was verified.
    """

    name: str
    installed: str
    imports: str
    runs: str
    verified: str
    licence: str = ""
    version: str = ""
    about: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class InstallationCheck:
    """Asks a session, whose jobs run in processes of their own, about all that a registry knows."""

    registry: Registry
    session: Session

    def names(self) -> list[str]:
        """Of all rows, in their order."""
        known = [f"{backend}/{name}" for backend, name in self.registry.implementations]
        return known + [library.distribution for adapter in self._adapters() for library in adapter.libraries]

    def rows(self) -> Iterator[Installation]:
        """Implementations, then libraries whose classes can be brought."""
        imports: dict[str, str] = {}
        for (backend, _), implementation in self.registry.implementations.items():
            yield self._implementation(self.registry.backends.get(backend), implementation, imports)
        for adapter in self._adapters():
            for library in adapter.libraries:
                yield self._library(adapter, library)

    def _adapters(self) -> Iterator[Adapter]:
        yield from self.registry.adapters.values()

    def _implementation(
        self, backend: Backend | None, implementation: Implementation, imports: dict[str, str]
    ) -> Installation:
        name = f"{implementation.backend}/{implementation.name}"
        problem = "its backend is not there" if backend is None else backend.missing()
        if problem is not None or backend is None:
            return _absent(name, problem or "")
        package, version = next(iter(backend.versions().items()), ("", ""))
        if kernels := implementation.distribution:
            package, version = kernels, version_of(kernels)
            if not version:
                return _absent(name, f"pip install {kernels}")
        known = {"licence": licence(package), "version": f"{package} {version}".strip()}
        if package not in imports:
            imports[package] = self._imported(package)
        if problem := imports[package]:
            return Installation(name, YES, "no", "no", NOT_TRIED, **known, about=problem)
        how = f"`rnnbench verify {name}`"
        cell, problem = self._cell(backend, implementation)
        if cell is None:
            return Installation(name, YES, YES, NOT_TRIED, NOT_TRIED, **known, about=problem)
        if implementation.slow_to_build:
            about = f"it takes long to build: {how}"
            return Installation(name, YES, YES, NOT_TRIED, NOT_TRIED, **known, about=about)
        runs, verified, about = self._verified(backend, implementation, cell)
        return Installation(name, YES, YES, runs, verified, **known, about=about)

    def _cell(self, backend: Backend, implementation: Implementation) -> tuple[Cell | None, str]:
        """The first cell that it runs here, or why it runs none."""
        reason = device_problem(backend, DEVICE)
        if reason is not None:
            return None, reason
        for cell in self.registry.cells.values():
            reason = support_problem(implementation, cell, DEVICE, DTYPE)
            if reason is None:
                return cell, ""
        return None, f"none of the cells that are loaded is one for it: {reason}"

    def _verified(self, backend: Backend, implementation: Implementation, cell: Cell) -> tuple[str, str, str]:
        """(whether it runs, whether it is right, what was found): all that `rnnbench verify` asks of one cell."""
        case = kit_case(cell.name, backend.name, implementation.name, DEVICE, DTYPE)
        files = [str(file) for file in self.registry.files]
        found, problem = self._job({"kind": "kit", "case": case.to_json(), "plugins": files}, backend.preload)
        if problem:
            return "no", NOT_TRIED, problem
        if found["status"] != "ok":
            runs = YES if found["status"] == "wrong" else "no"
            return runs, found["status"] if runs == YES else NOT_TRIED, found["reason"]
        interpreter = implementation.interpreter(DEVICE)
        about = f"{cell.name} in {DTYPE}, {len(found.get('checks', ()))} checks"
        return YES, YES, about if interpreter is None else f"{about}, in {interpreter}: nothing of it is timed here"

    def _library(self, adapter: Adapter, library: Library) -> Installation:
        version = version_of(library.distribution)
        if not version:
            return _absent(library.distribution, f"pip install {library.distribution}")
        known = {"licence": licence(library.distribution), "version": version}
        found, problem = self._job({"entry": adapter.study, "target": library.example, "cells": {}})
        problems = found.get("problems", {})
        problem = problem or (
            "; ".join(map(str, problems.values())) if isinstance(problems, Mapping) else str(problems)
        )
        if not problem:
            how = f"`rnnbench verify {library.example}`"
            return Installation(library.distribution, YES, YES, YES, NOT_TRIED, **known, about=how)
        cause = self._imported(library.module)
        about = cause or f"{library.example}: {problem}"
        return Installation(library.distribution, YES, "no" if cause else YES, "no", NOT_TRIED, **known, about=about)

    def _imported(self, module: str) -> str:
        """Why a module cannot be imported; empty where it can."""
        found, problem = self._job({"entry": "rnnbench.worker.importing:perform", "module": module})
        return problem or str(found.get("problem", NO_ANSWER))

    def _job(self, job: Mapping[str, Any], preload: tuple[str, ...] = ()) -> tuple[Mapping[str, Any], str]:
        """(what a job returned, why it did not)."""
        outcome = self.session.run(job, preload, SECONDS)
        if "kind" in job:
            outcome = understood(outcome, job["kind"])
        return (outcome.result, "") if outcome.status == "ok" else ({}, outcome.reason or outcome.status)


def _absent(name: str, about: str) -> Installation:
    return Installation(name, "no", "no", "no", NOT_TRIED, about=about)


def version_of(distribution: str) -> str:
    """Of an installed distribution; empty where it is not there."""
    found = _metadata(distribution)
    return "" if found is None else found["Version"]


def licence(distribution: str) -> str:
    """What its metadata say: the expression, the name where it is one, or its classifier; empty where it is silent."""
    found = _metadata(distribution)
    if found is None:
        return ""
    classifiers = [text for text in found.get_all("Classifier", []) if text.startswith("License ::")]
    named = (text for field in ("License-Expression", "License") for text in found.get_all(field, []))
    name = next(filter(None, named), "").strip()
    if (not name or "\n" in name) and classifiers:
        name = classifiers[0].rpartition(" :: ")[2]
    name = name.partition("\n")[0]
    return LICENCES.get(name, name)


def _metadata(distribution: str) -> PackageMetadata | None:
    try:
        return metadata(distribution)
    except (PackageNotFoundError, ValueError):
        return None
