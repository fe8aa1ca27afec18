"""The table every format shows: one block per quantity, rows cell × implementation, columns the sequence lengths."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from rnnbench.case import axis_text
from rnnbench.record import Record
from rnnbench.report.environment import environment_lines
from rnnbench.report.findings import findings, fitted
from rnnbench.report.growth import Growth, beyond
from rnnbench.report.learned import MEDIAN_OVER, Derived, derived
from rnnbench.report.problems import problems
from rnnbench.report.samples import Sample, samples
from rnnbench.report.series import RUN, SHOWN_SETTINGS, WIDE, Entry, Panel, Series, is_wide, panels
from rnnbench.report.units import number, words

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "throughput": ("*.time_per_step", "train.limit_share", "train.first_call"),
    "memory": ("*.peak_memory.*",),
    "gradient": (
        "gradient.half_life",
        "gradient.decay_rate",
        "gradient.lyapunov.max",
        "gradient.end.half_life",
        "gradient.clipping_share",
    ),
    "parallelism": ("*.saturation_batch", "*.batch_speedup", "*.best_tokens_per_second"),
    "decode": ("decode.latency_p50", "decode.latency_p99"),
    "capacity": ("memory_capacity", "longest_delay"),
    "convergence": (
        "best_validation_loss",
        "bits_per_character",
        "final_validation_metric",
        "generalisation_gap",
        "test_metric",
        "longest_test_metric",
        "steps_to_target",
    ),
}
"""What people read first of the shipped probes. Of any other probe everything is shown."""
UNDERSTUDIES: Mapping[str, str] = {
    "gradient.decay_rate": "gradient.half_life",
    "final_validation_metric": "test_metric",
}
"""The same fact told in another way: shown only where some row has no number for the other."""
BEST = "best of rows that differ only in cell, program and device, with those inside its interval"
TELLING_GAP = 0.03
"""Share of the loss of chance from which on a gap is worth a block: on endless fresh data there is none but by luck."""


@dataclass(frozen=True)
class Row:
    """labels: one text per axis of the block. entries: one per column."""

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Block:
    """One quantity. caption: what is constant here but not in the whole table. columns: sequence lengths; head: what
    stands above the only one where that is no length.
    """

    probe: str
    task: str | None
    quantity: str
    unit: str
    better: str
    caption: str
    axes: tuple[str, ...]
    columns: tuple[int, ...]
    rows: tuple[Row, ...]
    head: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """Above the columns."""
        return (self.head,) if self.head else tuple(f"T={length}" for length in self.columns)

    @property
    def title(self) -> str:
        """The quantity in words, after its task: `adding: best validation loss`."""
        name = words(self.quantity) or self.probe
        return f"{self.task}: {name}" if self.task else name

    @property
    def values(self) -> list[float]:
        """All numbers shown, for choosing a scale."""
        return [entry.value for row in self.rows for entry in row.entries if entry.value is not None]


@dataclass(frozen=True)
class Table:
    """What a report says. header: facts that hold for all of it, one line each. legend: sign -> what it means."""

    title: str
    header: tuple[str, ...]
    blocks: tuple[Block, ...]
    legend: Mapping[str, str]
    problems: tuple[str, ...]
    findings: tuple[str, ...]
    samples: tuple[Sample, ...] = ()


def build(
    records: Sequence[Record],
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    *,
    everything: bool = False,
) -> Table:
    """The table of some records; `everything` shows all quantities instead of the headlines."""
    grouped = panels(records)
    common = _common(grouped)
    blocks = tuple(block for panel in grouped for block in _blocks(panel, common, everything))
    header = (*environment_lines(environment), ", ".join(facts(common)))
    return Table(
        title=title,
        header=tuple(line for line in header if line),
        blocks=blocks,
        legend=legend(blocks),
        problems=tuple(problems(records)),
        findings=tuple(findings(grouped)),
        samples=samples(grouped),
    )


def _blocks(panel: Panel, common: Mapping[str, Any], everything: bool) -> list[Block]:
    names = [name for name in panel.quantities if everything or _is_shown(panel, name)]
    names.sort(key=lambda name: 0 if everything else _headline_rank(panel.probe, name))
    blocks = [_block(panel, name, common) for name in names]
    blocks = [block for block in blocks if block.rows] or [_block(panel, "", common)]
    return blocks + [_derived(panel, one) for one in derived(panel)] + _modelled(panel, everything)


def _derived(panel: Panel, found: Derived) -> Block:
    """Medians over a grid are marked nowhere: the range over rates is no interval, and its inside says nothing."""
    entries = [entries for _, entries in found.rows]
    if not found.over_grid:
        entries = mark_best([series for series, _ in found.rows], entries, found.better)
    rows = (Row(_labels(panel, series), tuple(row)) for (series, _), row in zip(found.rows, entries, strict=True))
    head = (panel.probe, panel.task, found.quantity, found.unit, found.better, found.caption)
    return Block(*head, panel.axes, found.columns, tuple(rows), found.head)


def _modelled(panel: Panel, everything: bool) -> list[Block]:
    """What to expect at lengths that were not run; of training steps only, unless everything is asked for."""
    names = [name for name in panel.quantities if name.endswith(".time") or ".peak_memory." in name]
    blocks = []
    for name in names if everything else [name for name in names if name.startswith("train.")]:
        models = [(series, model) for series in panel.series if (model := fitted(series, name)) is not None]
        columns = tuple(beyond(panel.lengths[-1]))
        told = (
            Row(_labels(panel, series), tuple(_expected(model, length) for length in columns))
            for series, model in models
        )
        if rows := tuple(row for row in told if any(entry.status == "ok" for entry in row.entries)):
            caption = f"modelled, not run: fitted to T={panel.lengths[0]} to {panel.lengths[-1]}, with 95 % intervals"
            head = (panel.probe, panel.task, f"{name}.modelled", panel.quantities[name][0], "none", caption)
            blocks.append(Block(*head, panel.axes, columns, rows))
    return blocks


def _expected(model: Growth, length: int) -> Entry:
    """A prediction, or `unclear` where its interval leaves a factor of two open."""
    value = model.predict(length)
    if value.low is None or value.high is None or value.high > 2 * value.low:
        return Entry("unclear")
    margin = max(value.high / value.value, value.value / value.low) - 1
    return Entry("ok", value.value, value.low, value.high, count=1, note=f"±{100 * margin:.0f} %")


def _is_shown(panel: Panel, quantity: str) -> bool:
    """Whether a headline, and needed: an understudy comes on where its principal is missing somewhere."""
    if quantity == "generalisation_gap":
        return _has_gap(panel)
    principal = UNDERSTUDIES.get(quantity)
    if principal is None:
        return is_headline(panel.probe, quantity)
    entries = [group.entry(principal) for series in panel.series for group in series.groups.values()]
    return any(entry.status == "missing" for entry in entries)


def _has_gap(panel: Panel) -> bool:
    for group in (group for series in panel.series for group in series.groups.values()):
        gap = group.entry("generalisation_gap").value
        chances = [record.details["chance"] for record in group.records if "chance" in record.details]
        if gap is not None and chances and gap > TELLING_GAP * max(chances):
            return True
    return False


def is_headline(probe: str, quantity: str) -> bool:
    """Whether a quantity belongs into the table people read first."""
    return any(fnmatchcase(quantity, pattern) for pattern in HEADLINES.get(probe, ("*",)))


def _headline_rank(probe: str, quantity: str) -> int:
    patterns = HEADLINES.get(probe, ("*",))
    return next(rank for rank, pattern in enumerate(patterns) if fnmatchcase(quantity, pattern))


def _block(panel: Panel, quantity: str, common: Mapping[str, Any]) -> Block:
    """An empty quantity makes the block of a probe that has no number at all: only its statuses."""
    unit, better = panel.quantities.get(quantity, ("", "none"))
    shown = [(series, entries_of(panel, series, quantity)) for series in panel.series]
    shown = _without_other_kinds(shown)
    entries = mark_best([series for series, _ in shown], [entries for _, entries in shown], better)
    rows = [Row(_labels(panel, series), tuple(row)) for (series, _), row in zip(shown, entries, strict=True)]
    rows += [_absent_row(panel, backend, device) for backend, device in panel.absent] if rows else []
    told = facts({axis: value for axis, value in panel.constants.items() if axis not in common})
    head = (panel.probe, panel.task, quantity, unit, better, ", ".join(told))
    return Block(*head, panel.axes, panel.lengths, tuple(rows))


def entries_of(panel: Panel, series: Series, quantity: str) -> list[Entry]:
    """A row's entries at all lengths of the panel, with what a reader must know of each."""
    entries = []
    for length in panel.lengths:
        group = series.groups.get(length)
        entry = Entry("") if group is None else group.entry(quantity)
        if group is not None and entry.value is not None:
            entry = replace(entry, note=", ".join(filter(None, [entry.note, _note(panel, quantity, group)])))
        entries.append(entry)
    return entries


def _note(panel: Panel, quantity: str, group: Any) -> str:
    if quantity == "best_validation_loss" and group.tuned is not None:
        return axis_text("lr", group.tuned)
    if panel.probe == "convergence" and quantity.endswith("_to_target"):
        reached, count = group.reached(quantity)
        return f"{reached}/{count} reached"
    mode, _, what = quantity.partition(".")
    return _binding(mode, group) if what == "limit_share" else ""


def _binding(mode: str, group: Any) -> str:
    """What most of the time is due to where all processes of the group agree, `latency` say; else empty."""
    told = {
        details.get(mode, {}).get("limit", {}).get("binds")
        for record in group.records
        for details in (record.details, *(part["details"] for part in record.parts))
    } - {None}
    return told.pop() if len(told) == 1 else ""


def _without_other_kinds(shown: list[tuple[Series, list[Entry]]]) -> list[tuple[Series, list[Entry]]]:
    """Drop rows of devices on which the quantity is never measured (process memory of a GPU): they have another kind.

    A row that lacks it while others of its device have it stays, visibly empty.
    """
    having = {_place(series) for series, entries in shown if any(entry.value is not None for entry in entries)}
    return [item for item in shown if _place(item[0]) in having] if having else shown


def _place(series: Series) -> tuple[Any, Any]:
    return series.axes["implementation"].partition("/")[0], series.axes.get("device")


def mark_best(series: Sequence[Series], rows: Sequence[list[Entry]], better: str) -> list[list[Entry]]:
    """Mark, per column and contest, the best entry and all that lie within its interval or print the same.

    Nothing is marked where there is no contest: no direction, fewer than two numbers, all alike, or a competitor that
    ran but has no such number (a gradient that never halves has no half-life, and is not worse for it). Unverified
    rows do not compete, and a number that may be arbitrarily worse than it looks (a censored one) is never best.
    """
    rows = [list(row) for row in rows]
    if better == "none" or not rows:
        return rows
    contests: dict[Any, list[int]] = defaultdict(list)
    for index, one in enumerate(series):
        if one.verified:
            contests[one.contest].append(index)
    for members in contests.values():
        for column in range(len(rows[0])):
            entrants = [(index, rows[index][column]) for index in members if rows[index][column].ran]
            for index in _winners(entrants, better):
                rows[index][column] = replace(rows[index][column], best=True)
    return rows


def _winners(entrants: list[tuple[int, Entry]], better: str) -> list[int]:
    if len(entrants) < 2 or any(entry.value is None for _, entry in entrants):
        return []
    bad_side = "lower" if better == "lower" else "upper"
    exact = [(index, entry) for index, entry in entrants if entry.bound != bad_side]
    if not exact:
        return []
    sign = 1 if better == "lower" else -1
    _, top = min(exact, key=lambda item: sign * _number(item[1]))
    if any(sign * _number(entry) < sign * _number(top) for _, entry in entrants if entry.bound == bad_side):
        return []  # a run that was cut off early might have come out better
    winners = [index for index, entry in exact if _within(entry, top)]
    return winners if len(winners) < len(entrants) else []


def _number(entry: Entry) -> float:
    return math.nan if entry.value is None else entry.value


def _within(entry: Entry, top: Entry) -> bool:
    """Whether a number lies in the interval of the best, or has the same three digits."""
    low, high = (_number(top) if end is None else end for end in (top.low, top.high))
    return low <= _number(entry) <= high or number(_number(entry)) == number(_number(top))


def _labels(panel: Panel, series: Series) -> tuple[str, ...]:
    labels = [label(series.axes[axis]) for axis in panel.axes]
    if not series.verified:
        labels[panel.axes.index("implementation")] += " (unverified)"
    return tuple(labels)


def label(value: Any) -> str:
    """An axis value as a row label."""
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _absent_row(panel: Panel, backend: str, device: str) -> Row:
    texts = {"cell": "(all)", "implementation": backend, "device": device}
    entries = tuple(Entry("skipped") for _ in panel.lengths)
    return Row(tuple(texts.get(axis, "") for axis in panel.axes), entries)


def _common(grouped: Sequence[Panel]) -> dict[str, Any]:
    """Axes that are the same in all panels."""
    first, *others = [panel.constants for panel in grouped] or [{}]
    missing = object()
    return {axis: value for axis, value in first.items() if all(o.get(axis, missing) == value for o in others)}


def facts(constants: Mapping[str, Any]) -> list[str]:
    """The constants worth printing, in words."""
    shown = {axis: value for axis, value in constants.items() if _worth_showing(axis, value)}
    return [axis_text(axis, value) if axis != "layers" else _layers(value) for axis, value in shown.items()]


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _worth_showing(axis: str, value: Any) -> bool:
    if axis in ("cell", "implementation", "device", "dtype", "batch_size", "hidden_size", "input_size", "layers"):
        return True
    return bool(value) and axis in ("dropout", "threads", "params", "environment", RUN, *SHOWN_SETTINGS)


def _repeated(blocks: Sequence[Block]) -> Iterator[Entry]:
    """Entries that are medians of repetitions; what is a median over a grid has its own caption."""
    for block in blocks:
        if MEDIAN_OVER not in block.quantity:
            yield from (entry for row in block.rows for entry in row.entries if entry.count > 1)


def legend(blocks: Sequence[Block]) -> dict[str, str]:
    """What the signs in some blocks mean."""
    entries = [entry for block in blocks for row in block.rows for entry in row.entries]
    lines = {}
    if any(entry.best for entry in entries):
        lines["*"] = BEST
    counts = sorted({entry.count for entry in _repeated(blocks)})
    if counts:
        many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        lines["m (a–b)"] = f"median and range of {many} repetitions"
    if any(is_wide(entry) for entry in entries):
        lines["x (a–b)"] = f"95 % interval of a single number, where its ends are a factor of {WIDE:g} apart or more"
    if any(entry.bound == "lower" for entry in entries):
        lines[">"] = "at least: the run ended before the true number was known"
    if any(entry.bound == "upper" for entry in entries):
        lines["<"] = "less than: not even the least that was tried"
    if any(entry.status == "missing" for entry in entries):
        lines["–"] = "ran, but has no such number"
    return lines
