"""Sentences about training: how far back, with which optimiser, over all tasks, on unseen data, at other lengths."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from rnnbench.case import axis_text
from rnnbench.report import units
from rnnbench.report.learned import STEPS, longest_solved
from rnnbench.report.profiles import profiles
from rnnbench.report.series import Entry, Panel, Series
from rnnbench.report.wording import listed, steps_text

GAP, VALIDATION = "generalisation_gap", "best_validation_loss"
REMEDIES = ("dropout", "recurrent_dropout", "weight_decay")
"""What is tried against overfitting: axes and settings whose smallest value is the baseline."""


def recall(panels: Sequence[Panel]) -> Iterator[str]:
    """Per cell the longest T whose target the median seed reached, of several."""
    for panel in panels:
        if STEPS not in panel.quantities or len(panel.lengths) < 2:
            continue
        programs: dict[tuple[str, Any, Any], list[str]] = defaultdict(list)
        for series in panel.series:
            entry = longest_solved(series)
            if entry.value is not None and len(series.groups) > 1:
                programs[str(series.axes["cell"]), entry.value, entry.bound].append(series.program)
        told = [
            f"{_longest(value, bound)} for {cell} ({', '.join(names)})"
            for (cell, value, bound), names in sorted(programs.items(), key=lambda item: _recall_rank(item[0]))
        ]
        if told:
            tried = ", ".join(map(str, panel.lengths))
            yield f"{panel.task}, longest of T={tried} whose target the median seed reached: {listed(told)}."


def _recall_rank(key: tuple[str, Any, Any]) -> tuple[float, str]:
    cell, value, bound = key
    return (math.inf if bound == "upper" else -value), cell


def _longest(value: float, bound: str | None) -> str:
    return "none" if bound == "upper" else f"at least {value:g}" if bound == "lower" else f"{value:g}"


def optimizers(panels: Sequence[Panel]) -> Iterator[str]:
    """The optimiser that reached the target in the fewest steps, per cell, where several were tried."""
    for panel in panels:
        if STEPS not in panel.quantities or "optimizer" not in panel.axes:
            continue
        for length in panel.lengths:
            told = [text for rows in _alike_but("optimizer", panel, length) if (text := _first(rows, length))]
            if told:
                yield f"{panel.task}, T={length}, first optimiser to reach the target: {listed(told, '; ')}."


def _first(rows: Sequence[Series], length: int) -> str:
    """`lstm (jax/scan): adam in 150 steps (3/3 seeds), then rmsprop in 250`; `adam in 200 steps (1/1 seeds) or rmsprop
    in 250 (1/1), not told apart` where the seeds do not tell them apart.
    """
    if len(rows) < 2:
        return ""
    name = rows[0].without(["optimizer"]).name
    exact = [(row, row.groups[length].entry(STEPS)) for row in rows]
    exact = sorted(
        ((r, e) for r, e in exact if e.value is not None and e.bound is None), key=lambda item: item[1].number
    )
    if not exact:
        return f"{name}: none of {', '.join(str(row.axes['optimizer']) for row in rows)}"
    (first, best), *others = exact
    as_quick = [row for row, entry in others if not _clear(best, entry)]
    reached, count = first.groups[length].reached(STEPS)
    text = f"{name}: {first.axes['optimizer']} in {steps_text(units.number(best.number))} ({reached}/{count} seeds)"
    for row in as_quick:
        reached, count = row.groups[length].reached(STEPS)
        number = units.number(row.groups[length].entry(STEPS).number)
        text += f" or {row.axes['optimizer']} in {number} ({reached}/{count})"
    text += ", not told apart" if as_quick else ""
    later = [(row, entry) for row, entry in others if row not in as_quick]
    return text + (f", then {later[0][0].axes['optimizer']} in {units.number(later[0][1].number)}" if later else "")


def profile(panels: Sequence[Panel]) -> Iterator[str]:
    """The two ends of the performance profile: who is soonest most often, and who solves most."""
    found = profiles(panels)
    if not found:
        return
    soonest = max(found, key=lambda one: (one.share(1.0), one.solved))
    most = max(found, key=lambda one: (one.solved, one.share(1.0)))
    first = _percent(soonest.share(1.0))
    text = f"Over {found[0].problems} problems {soonest.series.name} is soonest at the target on {first}"
    if most is soonest:
        yield f"{text} and solves {_percent(most.solved)}, no program more."
    else:
        twice = _percent(most.share(2.0))
        yield f"{text}; {most.series.name} solves most, {_percent(most.solved)}, {twice} within twice the best's steps."


def gaps(panels: Sequence[Panel]) -> Iterator[str]:
    """What dropout and weight decay do to the gap between validation and training, where seeds tell it apart."""
    for panel in panels:
        for remedy in (axis for axis in REMEDIES if axis in panel.axes and GAP in panel.quantities):
            others = [axis for axis in REMEDIES if axis in panel.axes and axis != remedy]
            for length in panel.lengths:
                alike = _alike_but(remedy, panel, length)
                alike = [rows for rows in alike if all(_is_least(rows[0], axis, panel) for axis in others)]
                told = [text for rows in alike if (text := _narrowed(rows, remedy, length))]
                if told:
                    yield f"{panel.task}, T={length}: {listed(told, '; ')}."


def _narrowed(rows: Sequence[Series], remedy: str, length: int) -> str:
    """`dropout 0.5 narrows the gap of lstm (jax/scan) from 1.2 (1.1–1.3) to 0.7 (0.6–0.8)`; empty where unclear."""
    base, *treated = sorted(rows, key=lambda row: row.axes[remedy] or 0.0)
    before = base.groups[length].entry(GAP)
    clear = [(row, row.groups[length].entry(GAP)) for row in treated]
    clear = [(row, after) for row, after in clear if _several(before, after) and _clear(before, after)]
    if not clear:
        return ""
    row, after = min(clear, key=lambda item: item[1].number)
    does = "narrows" if after.number < before.number else "widens"
    change = f"from {_ranged(before)} to {_ranged(after)}"
    text = f"{axis_text(remedy, row.axes[remedy])} {does} the gap of {base.without([remedy]).name} {change}"
    losses = [one.groups[length].entry(VALIDATION) for one in (base, row)]
    if any(entry.value is None for entry in losses):
        return text
    return f"{text} (best validation loss {' to '.join(units.number(entry.number) for entry in losses)})"


def _is_least(series: Series, axis: str, panel: Panel) -> bool:
    """Whether a row has as little of a remedy as any: one is judged at a time."""
    return (series.axes[axis] or 0.0) == min(one.axes[axis] or 0.0 for one in panel.series)


def lengths(panels: Sequence[Panel]) -> Iterator[str]:
    """What is left of a trained cell's metric, or its loss, at longer sequences than it was trained on."""
    for panel in panels:
        for length in panel.lengths:
            for curve in ("test_metric", "test_loss"):
                by_longest: dict[int, list[tuple[Series, float, float]]] = defaultdict(list)
                for series in panel.series:
                    if far := _far(series, length, curve):
                        by_longest[far[0]].append((series, *far[1:]))
                for longest, found in by_longest.items():
                    yield _lengths_sentence(panel, length, longest, curve, found)
                if by_longest:
                    break


def _far(series: Series, length: int, name: str) -> tuple[int, float, float] | None:
    """(longest length tested, the curve's median at the training length, and there)."""
    group = series.groups.get(length)
    records = [record for record in (group.good if group else ()) if name in record.curves]
    points = [record.curves[name].points for record in records]
    points = [one for one in points if length in one and max(one) > length]
    if not points:
        return None
    longest = min(max(one) for one in points)
    own, far = (statistics.median(one[T] for one in points) for T in (length, longest))
    return int(longest), own, far


def _lengths_sentence(
    panel: Panel, length: int, longest: int, curve: str, found: Sequence[tuple[Series, float, float]]
) -> str:
    sign = -1 if curve == "test_metric" else 1
    metrics = [record.details.get("metric") for series, *_ in found for record in series.groups[length].records]
    what = (metrics[0] or "metric") if curve == "test_metric" else "loss"
    told = [
        f"{series.name} {units.number(own)} to {units.number(far)}"
        for series, own, far in sorted(found, key=lambda item: sign * item[2])
    ]
    where = f"trained at T={length} and tested at T={longest}"
    return f"{panel.task}, {where}, {what} from the one to the other: {listed(told)}."


def capacity(panels: Sequence[Panel]) -> Iterator[str]:
    """How many past inputs an untrained cell keeps within a linear read-out's reach, the most first."""
    for panel in panels:
        found = [
            (series, points[-1][1]) for series in panel.series if (points := list(series.points("memory_capacity")))
        ]
        told = [
            f"{series.name} {units.number(entry.number)}"
            for series, entry in sorted(found, key=lambda item: -item[1].number)
        ]
        if told:
            size = panel.constants.get("hidden_size")
            most = f", of {size} at most but for the estimate's noise" if size else ""
            yield f"Untrained, a linear read-out recalls so many past inputs{most}: {listed(told)}."


def _alike_but(axis: str, panel: Panel, length: int) -> list[list[Series]]:
    """Verified rows that ran at this length and differ in one axis alone."""
    found: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified and length in series.groups:
            found[tuple(series.but(axis).items())].append(series)
    return list(found.values())


def training_share(panels: Sequence[Panel]) -> Iterator[str]:
    """How much of the time of training went into training steps."""
    entries = (record.quantities.get("train_share") for panel in panels for record in panel.ran)
    shares = [entry.value for entry in entries if entry is not None]
    if shares:
        median, least = statistics.median(shares), min(shares)
        yield (
            f"Training steps took {_percent(median)} of the time of training (median; {_percent(least)} at the least); "
            f"data and evaluation took the rest."
        )


def _several(*entries: Entry) -> bool:
    return all(entry.value is not None and entry.count > 1 for entry in entries)


def _clear(a: Entry, b: Entry) -> bool:
    """Whether the ranges of two entries have nothing in common; single runs have none, and are never told apart."""
    if not _several(a, b) or a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low


def _ranged(entry: Entry) -> str:
    low, high = (units.number(entry.number if end is None else end) for end in (entry.low, entry.high))
    return f"{units.number(entry.number)} ({low}–{high})"


def _percent(share: float) -> str:
    return f"{units.number(100 * share, 2)} %"


LEARNING = (recall, optimizers, profile, gaps, lengths, capacity, training_share)
"""In the order in which they are told."""
