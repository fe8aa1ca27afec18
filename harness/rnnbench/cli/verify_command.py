"""`rnnbench verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from rnnbench.case import Case
from rnnbench.cli.completion import names_of
from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.errors import UsageError, nearest
from rnnbench.executor import Session
from rnnbench.part import HARMLESS
from rnnbench.registry import Registry
from rnnbench.registry.availability import Broken, device_problem, support_problem
from rnnbench.registry.targets import absolute, is_target, matching
from rnnbench.runner.answers import understood

DTYPES = ("float64", "float32")
TIMEOUT = 600.0


@click.command("verify")
@click.argument("names", nargs=-1, shell_complete=names_of("cells"))
@plugin_option
@click.option("--device", default="cpu", show_default=True, help="Device to verify on.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(DTYPES), help="Only this dtype.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every check's deviation and tolerance.")
def command(names: Sequence[str], plugins: Sequence[Path], device: str, dtypes: Sequence[str], as_json: bool) -> None:
    r"""Check cells and implementations against the mathematics.

    NAMES are cells (`lstm`), implementations (`native`, `torch/native`) or both; without any, all are checked, or with
    --plugin all that the plugins brought. Asked of each: outputs, final state and gradients against the float64
    oracle; the split law f(x[:t]) then f(x[t:]) = f(x); batch independence; the same numbers from the same seed; one
    compilation for two calls; parity of all implementations on identical weights; the identities that a cell declares,
    cell against cell; and of each backend a step of every optimiser in every dtype against its closed form. Exit code 1
    if anything is wrong.

    \b
    Examples:
      rnnbench verify lstm gru
      rnnbench verify torch/native --dtype float32
      rnnbench verify --plugin my_cell.py
    """
    classes = [absolute(name, Path.cwd()) for name in names if is_target(name)]
    registry = load_plugins([*plugins, *map(Path, classes)])
    names = [found for name in names for found in _expanded(name, registry)]
    _refuse_unknown_device(device, registry)
    cases = [case for case in _cases(registry, device, dtypes or DTYPES) if _wanted(case, names, registry)]
    if not cases:
        what = ", ".join(names) or "any cell"
        raise UsageError(f"no implementation supports {what} on {device!r}; see `rnnbench list`")
    session = registry.executors["forkserver"].open()
    try:
        results = _Results([str(file) for file in registry.files], registry, session)
        for case in cases:
            results.add(case, quiet=as_json)
            results.reduce(case, quiet=as_json)
    finally:
        session.close()
    results.compare(quiet=as_json)
    if as_json:
        click.echo(json.dumps(results.rows, indent=2))
    click.get_current_context().exit(0 if all(row["status"] in HARMLESS for row in results.rows) else 1)


def _telling(verdict: str) -> bool:
    """Whether a verdict says more than that the oracle agrees."""
    return verdict in ("none", "self", "forward") or verdict.startswith("cell ")


def _refuse_unknown_device(device: str, registry: Registry) -> None:
    known = list(dict.fromkeys(name for backend in registry.backends.values() for name in backend.devices()))
    if device.partition(":")[0] not in known:
        raise UsageError(f"no backend knows a device {device!r}; they know {', '.join(known)}.{nearest(device, known)}")


def _expanded(name: str, registry: Registry) -> list[str]:
    """The cells that a class or a pattern of classes became; another name as it is."""
    return matching(name, registry.cells) if is_target(name) else [name]


def _cases(registry: Registry, device: str, dtypes: Sequence[str]) -> Iterator[Case]:
    """Every supported combination; a backend that is not there is left to be skipped with its reason, and one of which
    that cannot be told to fail.
    """
    from rnnbench.worker.conformance import kit_case

    for cell in registry.cells.values():
        for (backend, name), implementation in registry.implementations.items():
            if backend not in registry.backends:
                continue
            for dtype in dtypes:
                reason = support_problem(implementation, cell, device, dtype)
                if reason is None or isinstance(reason, Broken):
                    yield kit_case(cell.name, backend, name, device, dtype)


def _wanted(case: Case, names: Sequence[str], registry: Registry) -> bool:
    """Whether a case is among what the user named, or else among what the user's plugin files brought."""
    full = f"{case.backend}/{case.implementation}"
    cells = [name for name in names if name in registry.cells]
    others = [name for name in names if name not in registry.cells]
    known = {name for key in registry.implementations for name in ("/".join(key), key[1])}
    for name in others:
        if name not in known:
            if name.endswith(".py"):
                raise UsageError(f"{name!r} is a file, not a name: write `--plugin {name}` to load it.")
            everything = [*registry.cells, *sorted(known)]
            hint = nearest(name, everything)
            raise UsageError(f"there is no cell or implementation {name!r}; see `rnnbench list`.{hint}")
    if names:
        return (not cells or case.cell in cells) and (not others or case.implementation in others or full in others)
    asked = any(plugin.asked_for for plugin in registry.plugins)
    origins = (registry.origins["cell", case.cell], registry.origins["implementation", full])
    return not asked or any(plugin.asked_for for plugin in origins)


@dataclass
class _Results:
    """Runs the kit case by case and keeps what parity needs."""

    plugins: Sequence[str]
    registry: Registry
    session: Session
    rows: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)
    """Backends whose optimisers were looked at in every dtype."""

    def add(self, case: Case, quiet: bool) -> None:
        """Run the kit on one combination and print its line."""
        result = self._run(case)
        label = f"{case.backend}/{case.implementation}"
        if result.pop("dtypes", False):
            self.trained.add(case.backend)
        if "outputs" in result:
            self.outputs.setdefault((case.cell, case.dtype), {})[label] = result.pop("outputs")
        self._row({"cell": case.cell, "implementation": label, "dtype": case.dtype, **result}, quiet)

    def reduce(self, case: Case, quiet: bool) -> None:
        """The identities of the cell with others, once on each backend."""
        implementation = self.registry.implementations[case.backend, case.implementation]
        reductions = self.registry.cells[case.cell].reductions
        if not implementation.stepwise or not reductions:
            return
        result = self._run(case, "reductions")
        label = f"{case.backend}/{case.implementation} is {', '.join(reduction.to for reduction in reductions)}"
        self._row({"cell": case.cell, "implementation": label, "dtype": case.dtype, **result}, quiet)

    def _run(self, case: Case, kind: str = "kit") -> dict[str, Any]:
        backend = self.registry.backends[case.backend]
        implementation = self.registry.implementations[case.backend, case.implementation]
        problem = device_problem(backend, case.device)
        problem = problem or support_problem(implementation, self.registry.cells[case.cell], case.device, case.dtype)
        if problem is not None:
            return {"status": "failed" if isinstance(problem, Broken) else "skipped", "reason": problem}
        job = {"kind": kind, "case": case.to_json(), "plugins": list(self.plugins)}
        job |= {"dtypes": case.backend not in self.trained}
        outcome = understood(self.session.run(job, backend.preload, TIMEOUT), kind)
        if outcome.status != "ok":
            return {"status": outcome.status, "reason": outcome.reason}
        return dict(outcome.result)

    def compare(self, quiet: bool) -> None:
        """Parity of all implementations of a cell on identical weights."""
        from rnnbench.worker.conformance import parity

        for (cell, dtype), outputs in self.outputs.items():
            for check in parity(outputs, dtype):
                status = "ok" if check.passed else "wrong"
                reason = "" if check.passed else check.sentence()
                row = {"cell": cell, "implementation": check.name, "dtype": dtype, "status": status, "reason": reason}
                self._row(row, quiet)

    def _row(self, row: Mapping[str, Any], quiet: bool) -> None:
        self.rows.append(dict(row))
        if not quiet:
            verified = f"  verified: {row['verified']}" if _telling(row.get("verified", "")) else ""
            reason = f"  {row['reason']}" if row["reason"] else ""
            head = f"{row['status']:8} {row['cell']:10} {row['implementation']:24} {row['dtype']}"
            click.echo(head + verified + reason)
