"""CSV: the long form, one row per case and quantity, SI units, nothing aggregated."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rnnbench.record import Record
from rnnbench.report.long_form import columns, rows_of


def render(records: Sequence[Record]) -> str:
    """Comma-separated, with the columns of `rnnbench.report.long_form` and a header. Numbers keep all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns(records))
    for head, values in rows_of(records):
        writer.writerows(head + value for value in values)
    return buffer.getvalue()
