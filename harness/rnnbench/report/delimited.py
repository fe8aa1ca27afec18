"""CSV: the long form, one row per case and quantity, SI units, nothing aggregated."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rnnbench.record import Record
from rnnbench.report.frame import columns, rows_of


def render(records: Sequence[Record]) -> str:
    """Comma-separated, with a header; see `rnnbench.report.frame` for the columns. Numbers keep all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns(records))
    for head, values in rows_of(records):
        writer.writerows(head + value for value in values)
    return buffer.getvalue()
