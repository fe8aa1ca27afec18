"""JSON: the table with every quantity, and the cases below it, for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.record import Record
from rnnbench.report.blocks import Block
from rnnbench.report.runs import untagged
from rnnbench.report.series import Entry
from rnnbench.report.table import Table

ENTRY_FIELDS = ("status", "value", "low", "high", "half_width", "bound", "count", "best", "note")


def render(table: Table, records: Sequence[Record], environment: Mapping[str, Any] | None = None) -> str:
    """`{title, environment, header, blocks, problems, findings, records}`; numbers in SI units.

    blocks: {probe, task, quantity, unit, better, caption, axes, columns, seq_lens, rows: [{labels, entries}]}; an entry
    is null where there is no case; seq_lens: empty where the columns are something else. findings: {topic, text}.
    records: as in `records.jsonl`,
    raw samples and curves included, each with the letter of its `run` where there are several.
    """
    data = {
        "title": table.title,
        "environment": environment or {},
        "header": table.header,
        "blocks": [_block(block) for block in table.blocks],
        "problems": table.problems,
        "findings": [{"topic": one.topic, "text": one.text} for one in table.findings],
        "records": [_record(record) for record in records],
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def _record(record: Record) -> dict[str, Any]:
    letter, stored = untagged(record)
    return stored.to_json() | ({"run": letter} if letter else {})


def _block(block: Block) -> dict[str, Any]:
    names = ("probe", "task", "quantity", "unit", "better", "caption", "axes")
    rows = [{"labels": row.labels, "entries": [_entry(entry) for entry in row.entries]} for row in block.rows]
    return {name: getattr(block, name) for name in names} | {
        "columns": block.heads,
        "seq_lens": () if block.names else block.columns,
        "rows": rows,
    }


def _entry(entry: Entry) -> dict[str, Any] | None:
    if not entry.status:
        return None
    return {name: getattr(entry, name) for name in ENTRY_FIELDS}
