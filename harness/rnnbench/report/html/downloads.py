"""The raw data inside the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnbench.report import delimited
from rnnbench.report.html.packing import packed
from rnnbench.report.runs import ReportRun


class Download(NamedTuple):
    """One file. size: of its text, in bytes. packed: its gzip in base64."""

    name: str
    doc: str
    size: int
    packed: str


def downloads(runs: Sequence[ReportRun]) -> list[Download]:
    """Per run its records, merged, its `run.json`, and one row per case and quantity as CSV."""
    return [download for run in runs for download in _of(run, f"-{run.letter}" if len(runs) > 1 else "")]


def _of(run: ReportRun, mark: str) -> Iterable[Download]:
    lines = "".join(json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) + "\n" for record in run.records)
    yield _packed(f"records{mark}.jsonl", "every case with raw samples and curves", lines)
    yield _packed(f"table{mark}.csv", "one row per case and quantity", delimited.render(run.records))
    if run.meta:
        meta = json.dumps(run.meta, ensure_ascii=False, indent=1)
        yield _packed(f"run{mark}.json", "the suite as resolved, environment, versions, commit", meta)


def _packed(name: str, doc: str, text: str) -> Download:
    return Download(name, doc, len(text.encode()), packed(text))
