"""Measuring a suite from a notebook or a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.notebook.stored_run import Run, load

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.record import Record


def run(
    suite: str | Path | Mapping[str, Any],
    *,
    plugins: Iterable[str | Path] = (),
    only: Sequence[str] = (),
    results: str | Path = "results",
    progress: bool = False,
    **overrides: Any,
) -> Run:
    """Measure a suite, each case in a fresh process, and load the run.

    Args:
        suite: A YAML file, the name of a suite that comes with rnnbench, or what such a file would hold as a dict.
        plugins: Files to load beside the installed plugins; cells defined in the notebook itself are unknown to the
            fresh processes and have to be written to a file.
        only: Keep only cases like this, as `--only` has it: `["cell=lstm|gru", "backend=torch"]`.
        results: The folder that holds `runs/`; the run is kept below it.
        progress: Write a line per case to stderr.
        **overrides: Changes of the suite, as `--set` has them: `seq_len=[64, 128]`, `profile="quick"`; dotted keys as
            `**{"probes.throughput.budget": 2}`.

    Returns:
        The run, failed cases among its records. An interrupt (KeyboardInterrupt) keeps what was measured:
        `rnnbench.load("latest")`.

    Raises:
        UsageError: The suite, a plugin or an override is wrong, or no backend of the suite is installed. Nothing was
            measured.

    Example:
        >>> import rnnbench
        >>> rnnbench.run({"name": "tiny", "grid": {"cell": "lstmm", "seq_len": 8}, "probes": {"throughput": {}}})
        Traceback (most recent call last):
        rnnbench.errors.SuiteError: ...unknown cell "lstmm"... Did you mean 'lstm'?...
    """
    from rnnbench.execution import Execution
    from rnnbench.registry import load as registry_of
    from rnnbench.suite import plan, read, read_mapping

    document = read_mapping(suite) if isinstance(suite, Mapping) else read(Path(suite))
    files = [*document.plugins, *map(Path, plugins)]
    registry = registry_of(files)
    changes = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    planned = plan(document, registry, only, changes)
    with Execution.begin(planned, registry, files, Path(results), argv=["rnnbench.run", planned.name]) as execution:
        execution.run(Lines(execution.cases) if progress else None)
        folder = execution.folder.path
    return load(folder)


class Lines:
    """Tells stderr of each case that has ended."""

    def __init__(self, cases: Sequence[Case]) -> None:
        from rnnbench.case import labels

        self._labels = dict(zip((case.id for case in cases), labels(cases), strict=True))
        self._seen: set[str] = set()

    def started(self, case: Case) -> None:
        """Nothing: a line per case is enough."""

    def ended(self, record: Record) -> None:
        """`[3/12] throughput lstm torch/native cpu T=64: ok`."""
        self._seen.add(record.case.id)
        outcome = f"{record.status}: {record.reason}" if record.reason else record.status
        sys.stderr.write(f"[{len(self._seen)}/{len(self._labels)}] {self._labels[record.case.id]}: {outcome}\n")
