"""Records in long form: one row per case and quantity.

Columns: id, the case's fields (`implementation` is what ran, `requested` what the suite said; `machine` where some case
was for one), its settings as
`settings.<name>`, status, reason, verified, environment, started (s since the epoch), seconds, then the quantity: name,
unit, better, value, low, high, half_width, bound, origin and the number of samples. SI units throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rnnbench.case import AXES
from rnnbench.quantity import Reading
from rnnbench.record import Record

CASE_COLUMNS = ("probe", "probe_version", *AXES, "params", "seed")
RECORD_COLUMNS = ("status", "reason", "verified", "environment", "started", "seconds")
VALUE_COLUMNS = ("quantity", "unit", "better", "value", "low", "high", "half_width", "bound", "origin", "samples")
_AXES_THEN_REQUESTED = (*CASE_COLUMNS, "requested")


def columns(records: Sequence[Record]) -> list[str]:
    """The names of the columns."""
    settings = [f"settings.{name}" for name in _settings(records)]
    return ["id", *_fields(records), *settings, *RECORD_COLUMNS, *VALUE_COLUMNS]


def rows_of(records: Sequence[Record]) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    """(what all rows of a record share, the rest of each of its rows); None where there is nothing."""
    fields, names = _fields(records), _settings(records)
    for record in records:
        values = [_value(name, entry) for name, entry in record.quantities.items()]
        yield _head(record, fields, names), values or [(None,) * len(VALUE_COLUMNS)]


def _fields(records: Sequence[Record]) -> tuple[str, ...]:
    placed = any(record.case.machine for record in records)
    return (*_AXES_THEN_REQUESTED, "machine") if placed else _AXES_THEN_REQUESTED


def _settings(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record.case.settings))


def _head(record: Record, fields: Sequence[str], settings: Sequence[str]) -> tuple[Any, ...]:
    case = record.case
    known = vars(case) | {
        "implementation": record.implementation or case.implementation,
        "requested": case.implementation,
    }
    return (
        case.id,
        *(known[name] for name in fields),
        *(_plain(case.settings.get(name)) for name in settings),
        *(getattr(record, name) for name in RECORD_COLUMNS),
    )


def _value(name: str, entry: Reading) -> tuple[Any, ...]:
    low, high = entry.low, entry.high
    half_width = None if low is None or high is None else (high - low) / 2
    samples = len(entry.samples)
    return name, entry.unit, entry.better, entry.value, low, high, half_width, entry.bound, entry.origin, samples


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict, tuple)) else value
