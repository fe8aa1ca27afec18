"""Records as tidy pandas DataFrames: one row per number, one column per fact."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.case import AXES
from rnnbench.record import Record

SETTINGS_ALWAYS = ("task",)
"""Settings that have a column even where they do not vary."""


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """One row per case and quantity; a case without numbers has one row, whose status and reason say why.

    Columns: probe, every axis of the grid (`implementation` is what ran, or what was asked for where nothing did),
    seed, the settings that vary within a probe under their own names, then quantity, unit, better, value, low and high
    (ends of the 95 % interval), n (samples), bound, origin, status, reason, verified, id. Values are in SI units.
    """
    heads = _heads(records)
    rows = []
    for record, head in zip(records, heads, strict=True):
        tail = {"status": record.status, "reason": record.reason, "verified": record.verified, "id": record.case.id}
        rows += [head | value | tail for value in _values(record)]
    return _table(rows, heads, (*_VALUE, "status", "reason", "verified", "id"))


def curves(records: Sequence[Record]) -> pd.DataFrame:
    """One row per point of a curve: the case's columns as in `frame`, curve, x_name, x, y_name, y (NaN: no number)."""
    heads = _heads(records)
    rows = [
        head | {"curve": name, "x_name": one.x_name, "x": x, "y_name": one.y_name, "y": y, "id": record.case.id}
        for record, head in zip(records, heads, strict=True)
        for name, one in record.curves.items()
        for x, y in zip(one.x, one.y, strict=True)
    ]
    return _table(rows, heads, ("curve", "x_name", "x", "y_name", "y", "id"))


def samples(records: Sequence[Record]) -> pd.DataFrame:
    """One row per raw sample: the case's columns as in `frame`, quantity, unit, sample (its index), value."""
    heads = _heads(records)
    rows = [
        head | {"quantity": name, "unit": one.unit, "sample": index, "value": value, "id": record.case.id}
        for record, head in zip(records, heads, strict=True)
        for name, one in record.quantities.items()
        for index, value in enumerate(one.samples)
    ]
    return _table(rows, heads, ("quantity", "unit", "sample", "value", "id"))


_VALUE = ("quantity", "unit", "better", "value", "low", "high", "n", "bound", "origin")


def _values(record: Record) -> list[dict[str, Any]]:
    """The columns of each quantity; of a record without numbers a single row of nothing."""
    found = []
    for name, one in record.quantities.items():
        numbers = (one.value, one.low, one.high, len(one.samples), one.bound, one.origin)
        row: dict[str, Any] = dict(zip(_VALUE, (name, one.unit, one.better, *numbers), strict=True))
        found.append(row)
    return found or [dict.fromkeys(_VALUE)]


def _heads(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What all rows of a record share."""
    names = _settings([record.case.settings for record in records], [record.case.probe for record in records])
    placed = any(record.case.machine for record in records)
    heads = []
    for record in records:
        case = record.case
        axes = {axis: getattr(case, axis) for axis in AXES}
        axes["implementation"] = record.implementation or case.implementation
        settings = {name: _plain(case.settings.get(name)) for name in names}
        machine = {"machine": case.machine} if placed else {}
        heads.append({"probe": case.probe, **axes, "seed": case.seed, **machine, **settings})
    return heads


def _settings(settings: Sequence[Mapping[str, Any]], probes: Sequence[str]) -> list[str]:
    """The settings that vary within some probe, in the order they come. An axis or a fact of a row keeps its name."""
    values: dict[str, dict[str, set[str]]] = {}
    for probe, own in zip(probes, settings, strict=True):
        for name, value in own.items():
            values.setdefault(name, {}).setdefault(probe, set()).add(json.dumps(value, sort_keys=True))
    taken = {"probe", *AXES, "seed"}
    return [
        name
        for name, by_probe in values.items()
        if name not in taken and (name in SETTINGS_ALWAYS or any(len(found) > 1 for found in by_probe.values()))
    ]


def _table(rows: list[dict[str, Any]], heads: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    head = list(heads[0]) if heads else ["probe", *AXES, "seed"]
    return pd.DataFrame(rows, columns=[*head, *columns])


def _plain(value: Any) -> Hashable:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict, tuple)) else value
