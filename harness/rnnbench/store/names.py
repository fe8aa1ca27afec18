"""Naming and finding runs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rnnbench.errors import UsageError, nearest
from rnnbench.store.files import explained

META = "run.json"
RECORDS = "records.jsonl"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{3})[0-9a-f]{6}")
_SHOWN = 10


def new_folder(results: Path, suite: str, now: datetime) -> Path:
    """Make and return `results/runs/<suite>/<time>-<counter><random>`; names sort in the order of creation.

    The clock is only where the name comes from: when it steps backwards, or twice in one second, the latest time there
    is used again and the counter goes up. The random digits keep two runs apart that start at once.
    """
    if not re.fullmatch(r"[\w][\w.-]*", suite):
        raise UsageError(f"{suite!r} cannot name a folder of runs. Use letters, digits, `_`, `-` and `.` in `name:`.")
    parent = results / "runs" / suite
    with explained("make a folder in", parent):
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = parent / _next_name([entry.name for entry in parent.iterdir()], now)
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path


def _next_name(names: Sequence[str], now: datetime) -> str:
    time, counter = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}", 0
    latest = _NAME.fullmatch(max(filter(_NAME.fullmatch, names), default=""))
    if latest and latest[1] >= time:
        time, counter = latest[1], int(latest[2]) + 1
    return f"{time}-{counter:03d}{secrets.token_hex(3)}"


def list_runs(results: Path, suite: str = "*") -> list[Path]:
    """Folders of runs below `results`, oldest first; of one suite, or of all."""
    found = (path.parent for path in (results / "runs").glob(f"{suite}/*/{META}"))
    return sorted(found, key=lambda path: (path.name, path.parent.name))


def find_run(results: Path, spec: str | Path, *, empty: bool = False) -> Path:
    """The folder of the run that `spec` names: a path, `latest`, a suite (its latest run), a folder's name, or
    `suite/name`. Raises UsageError, listing what is there, for anything else.

    empty: whether `latest` and a suite may mean a run without records, one that was interrupted in its first case.
    """
    path = Path(spec)
    with explained("look for runs in", results):
        folder = path if path.is_dir() else path.parent
        if path.exists() and (folder / META).is_file():
            return folder
        runs = list_runs(results)
        text = str(spec)
        for run in reversed(runs):
            if text in (run.name, f"{run.parent.name}/{run.name}"):
                return run
            if text in ("latest", run.parent.name) and (empty or _has_records(run)):
                return run
    if runs and text in ("latest", *(run.parent.name for run in runs)):
        raise UsageError(
            f"no run that {text!r} names in {results / 'runs'} has any record: all were interrupted first."
        )
    raise UsageError(_unknown(text, results, runs))


def _has_records(run: Path) -> bool:
    records = run / RECORDS
    return records.is_file() and records.stat().st_size > 0


def _unknown(spec: str, results: Path, runs: Sequence[Path]) -> str:
    if not runs:
        return f"{spec!r} is no run: there are none in {results / 'runs'} yet. `rnnbench run SUITE` makes one."
    suites = sorted({run.parent.name for run in runs})
    shown = ", ".join(f"{run.parent.name}/{run.name}" for run in reversed(runs[-_SHOWN:]))
    more = f" and {len(runs) - _SHOWN} older" if len(runs) > _SHOWN else ""
    hint = nearest(spec, ["latest", *suites]) or nearest(Path(spec).name, suites)
    allowed = f"a run's folder, `latest`, or a suite ({', '.join(suites)})"
    return f"{spec!r} is no run. Give {allowed}.{hint} Runs: {shown}{more}."
