"""What did not go well, each reason once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rnnbench.part import HARMLESS, STATUSES
from rnnbench.record import Record

SHOWN = 20
"""Reasons listed; the rest are counted."""


def problems(records: Iterable[Record]) -> list[str]:
    """`failed ×2: throughput lstm torch/native cpu T=64, 128: what happened`, worst first, last what is at no fault."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if not record.ok:
            groups[record.status, record.reason].append(record)
    ranked = sorted(groups.items(), key=lambda item: (item[0][0] in HARMLESS, STATUSES.index(item[0][0])))
    lines = [f"{status} ×{len(group)}: {_cases(group)}: {reason}" for (status, reason), group in ranked[:SHOWN]]
    if len(ranked) > SHOWN:
        lines.append(f"and {len(ranked) - SHOWN} further reasons; the csv format has them all")
    return lines


def _cases(group: Sequence[Record]) -> str:
    """The cases of one reason, axis by axis."""
    cases = [record.case for record in group]
    programs = [f"{record.case.backend}/{record.implementation or record.case.implementation}" for record in group]
    lengths = sorted({case.seq_len for case in cases})
    span = ", ".join(map(str, lengths)) if len(lengths) <= 3 else f"{lengths[0]}–{lengths[-1]}"
    return " ".join(
        [
            _few([case.probe for case in cases], "probes"),
            _few([case.cell for case in cases], "cells"),
            _few(programs, "implementations"),
            _few([case.device for case in cases], "devices"),
            f"T={span}",
        ]
    )


def _few(values: Sequence[str], noun: str) -> str:
    distinct = list(dict.fromkeys(values))
    return ", ".join(distinct) if len(distinct) <= 3 else f"({len(distinct)} {noun})"
