"""Sentences about what truncation saves and what can be done at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from rnnbench.report import units
from rnnbench.report.series import Panel, Series
from rnnbench.report.wording import listed

SATURATION, BEST = "saturation_batch", "best_tokens_per_second"


def truncation(panels: Sequence[Panel]) -> Iterator[str]:
    """Time and memory of a gradient that is recomputed or cut, over those of the full one, at the longest length."""
    for panel in panels:
        if "bptt" not in panel.axes:
            continue
        for quantity in panel.quantities:
            if quantity == "train.time" or quantity.startswith("train.peak_memory."):
                for full, others in _against_full(panel):
                    yield from _ratios(quantity, full, others)


def _against_full(panel: Panel) -> Iterator[tuple[Series, list[Series]]]:
    """Each row with the full gradient, and the rows that differ from it in nothing but how far back theirs goes."""
    for full in panel.series:
        if full.axes["bptt"] == "full":
            alike = full.but("bptt", "segment")
            yield full, [row for row in panel.series if row is not full and row.but("bptt", "segment") == alike]


def _ratios(quantity: str, full: Series, others: Sequence[Series]) -> Iterator[str]:
    base = dict(full.points(quantity))
    told = []
    for row in others:
        shared = [(length, entry) for length, entry in row.points(quantity) if length in base]
        if shared:
            length, entry = shared[-1]
            ratio = units.factor(entry.number / base[length].number)
            told.append(f"{row.axes['bptt']} in segments of {row.axes.get('segment')} {ratio} times (T={length})")
    if told:
        name = full.without(["bptt", "segment"]).name
        yield f"{units.words(quantity).capitalize()} of {name}, over that of the full gradient: {listed(told)}."


def saturation(panels: Sequence[Panel]) -> Iterator[str]:
    """From which batch on tokens/s hardly grow, and what a parallel scan brings a cell at its best batch."""
    for panel in panels:
        for quantity in panel.quantities:
            mode, _, what = quantity.rpartition(".")
            if what == SATURATION:
                yield from _saturated(mode, panel)
            elif what == BEST:
                yield from _scanned(mode, panel)


def _saturated(mode: str, panel: Panel) -> Iterator[str]:
    told = []
    for row in panel.series:
        if points := list(row.points(f"{mode}.{SATURATION}")):
            length, entry = points[-1]
            where = ("over " if entry.bound == "lower" else "") + units.number(entry.number, 2)
            told.append((entry.number, f"{where} for {row.name} (T={length})"))
    if told:
        texts = [text for _, text in sorted(told, reverse=True)]
        yield f"Tokens/s of {mode} stop growing near a batch of {listed(texts)}."


def _scanned(mode: str, panel: Panel) -> Iterator[str]:
    """Per problem, cell, device and framework the best parallel scan against the best of the other programs."""
    best: dict[tuple[Any, ...], dict[bool, tuple[float, str]]] = defaultdict(dict)
    for row in panel.series:
        framework, _, name = str(row.axes["implementation"]).partition("/")
        for length, entry in row.points(f"{mode}.{BEST}") if row.verified else ():
            found = best[length, framework, *row.but("implementation").items()]
            scans = name.endswith("associative_scan")
            found[scans] = max(found.get(scans, (0.0, "")), (entry.number, row.program))
    told = []
    for (length, _, (_, cell), *_), found in best.items():
        if len(found) == 2:
            (scan, with_scan), (step, without) = found[True], found[False]
            told.append(f"{cell} {units.factor(scan / step)} times ({with_scan} over {without}, T={length})")
    if told:
        yield f"Tokens/s of {mode} by a parallel scan over step by step, each at its best batch: {listed(told)}."


COSTS = (truncation, saturation)
