"""The table every format shows: one block per quantity, rows cell × implementation, columns the sequence lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnbench.case import axis_text
from rnnbench.record import Record
from rnnbench.report.best import BEST, mark_best
from rnnbench.report.blocks import Block, BlockRow, label
from rnnbench.report.card import card
from rnnbench.report.environment import environment_lines
from rnnbench.report.findings import Finding, findings, most_telling
from rnnbench.report.findings.cost import fitted
from rnnbench.report.findings.process import busy
from rnnbench.report.growth import Growth, beyond
from rnnbench.report.hardware import hardware
from rnnbench.report.learned import MEDIAN_OVER, Derived, derived
from rnnbench.report.portable import pooled, shared
from rnnbench.report.problems import problems
from rnnbench.report.relative import relative
from rnnbench.report.runs import kinds_of
from rnnbench.report.samples import GeneratedText, samples
from rnnbench.report.selection import EVERYTHING, Selection
from rnnbench.report.series import (
    MIN_SAMPLES,
    RUN,
    SHOWN_SETTINGS,
    UNCLEAR,
    WIDE,
    Entry,
    Group,
    Panel,
    Series,
    is_wide,
    panels,
)
from rnnbench.report.units import quantity, words
from rnnbench.report.worth import headlines

MAX_EXPONENT_HALF_WIDTH = 0.5
"""Beyond this half-width of its interval an exponent is not told: T and T² could not be told apart."""
MAX_REACH = 4
"""Predictions reach so many times the longest length a row was fitted to."""


@dataclass(frozen=True)
class Table:
    """What a report says. header: facts that hold for all of it, one line each. legend: sign -> what it means. more:
    how many findings there are beside those told. facts: what all rows share, a line of the header.
    """

    title: str
    header: tuple[str, ...]
    blocks: tuple[Block, ...]
    legend: Mapping[str, str]
    problems: tuple[str, ...]
    findings: tuple[Finding, ...]
    samples: tuple[GeneratedText, ...] = ()
    more: int = 0
    facts: str = ""


def build(
    records: Sequence[Record],
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    *,
    everything: bool = False,
    selection: Selection = EVERYTHING,
) -> Table:
    """The table of some records; `everything` shows all quantities instead of the headlines, and all findings."""
    chosen_records = selection.records(records)
    grouped = panels(chosen_records)
    selection.check(grouped)
    grouped = selection.panels(grouped)
    common = _common(grouped)
    whole = everything or bool(selection.quantities)
    shown = [(panel, list(panel.quantities) if whole else headlines(panel)) for panel in grouped]
    blocks = [block for panel, names in shown for block in _blocks(panel, names, common, whole, selection.reference)]
    blocks += hardware(chosen_records, shown)
    if not selection.quantities:
        blocks = [*filter(None, [card(grouped)]), *blocks]
    blocks = [selection.arranged(block) for block in blocks]
    found = findings(grouped)
    chosen = found if everything else most_telling(found)
    header = (
        busy(grouped),
        *environment_lines(environment, kinds_of(records)),
        ", ".join(facts(common)),
        *absences(records, grouped),
        *caveats(records),
    )
    gone = {pair for panel in grouped for pair in panel.absent}
    present = [one for one in records if (one.case.backend, one.case.device) not in gone]
    return Table(
        title=title,
        header=tuple(line for line in header if line),
        blocks=tuple(blocks),
        legend=legend(blocks),
        problems=tuple(problems(present)),
        findings=tuple(chosen),
        samples=samples(grouped),
        more=len(found) - len(chosen),
        facts=", ".join(facts(common)),
    )


def absences(records: Sequence[Record], grouped: Sequence[Panel]) -> list[str]:
    """`cuda: not here (torch: the installed torch is built without CUDA)`, a line for each device nothing ran on."""
    gone = {pair for panel in grouped for pair in panel.absent}
    reasons: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        pair = record.case.backend, record.case.device
        if pair in gone:
            reasons[pair[1]].setdefault(pair[0], record.reason)
    return [
        f"{device}: not here ({'; '.join(f'{backend}: {why}' for backend, why in counts.items())})"
        for device, counts in reasons.items()
    ]


def caveats(records: Sequence[Record]) -> list[str]:
    """`tpu:v5e: compiled for, not run: what the compiler keeps ...`, a line for each device of which a compiler told
    sizes that a reader must know something about.
    """
    sentences: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        plans = record.details.get("compiled")
        for plan in plans.values() if record.ok and isinstance(plans, Mapping) else ():
            found = plan.get("caveats") if isinstance(plan, Mapping) else None
            sentences[record.case.device] |= dict.fromkeys(map(str, found if isinstance(found, list | tuple) else ()))
    return [f"{device}: sizes as its compiler plans them: {'; '.join(one)}" for device, one in sentences.items() if one]


def _blocks(
    panel: Panel, shown: Sequence[str], common: Mapping[str, Any], everything: bool, reference: str
) -> list[Block]:
    blocks = [block for name in shown for block in _blocks_of(panel, name, common, reference)]
    blocks = blocks or [_block(panel, "", common)[0]]
    return [
        *blocks,
        *(_derived(*found) for found in _all_derived(panel)),
        *_growth(panel),
        *_modelled(panel, everything),
    ]


def _blocks_of(panel: Panel, quantity: str, common: Mapping[str, Any], reference: str) -> list[Block]:
    """A quantity's own block and, where its rows were measured in lockstep, their ratios."""
    portable = panel.quantities[quantity].portable
    block, shown = _block(pooled(panel) if portable else panel, quantity, common)
    if not block.rows:
        return []
    if portable:
        return [shared(block)]
    ratios = relative(panel, block, shown, reference)
    return [block, ratios] if ratios else [block]


def _all_derived(panel: Panel) -> Iterator[tuple[Panel, Derived]]:
    """What follows from a panel: of numbers that no machine changes, as pooled from all of them."""
    for portable, rows in ((True, pooled(panel)), (False, panel)):
        yield from ((rows, found) for found in derived(rows) if found.portable == portable)


def _derived(panel: Panel, found: Derived) -> Block:
    """Medians over a grid are marked nowhere: the range over rates is no interval, and its inside says nothing."""
    entries = [entries for _, entries in found.rows]
    if not found.over_grid:
        entries = mark_best([series for series, _ in found.rows], entries, found.better)
    rows = (BlockRow(_labels(panel, series), tuple(row)) for (series, _), row in zip(found.rows, entries, strict=True))
    head = (panel.probe, panel.task, found.quantity, found.unit, found.better, found.caption)
    block = Block(*head, panel.axes, found.columns, tuple(rows), (found.head,) if found.head else ())
    return shared(block) if found.portable else block


def _growth(panel: Panel) -> list[Block]:
    """The exponents of growth with T: a column for each quantity that adds up over the sequence, and was measured."""
    names = [name for name, one in panel.quantities.items() if one.grows and not one.deterministic]
    fits = {name: [fitted(series, name) for series in panel.series] for name in names}
    names = [name for name in names if any(model is not None for model in fits[name])]
    rows = tuple(
        BlockRow(_labels(panel, series), entries)
        for index, series in enumerate(panel.series)
        if any(entries := tuple(_exponent(fits[name][index], panel.quantities[name].unit) for name in names))
    )
    measured = [row for row in rows if any(entry.status for entry in row.entries)]
    if not measured:
        return []
    caption = "α of y = c·T^α with its 95 % interval; where a fixed cost hides the slope, y = a + b·T instead"
    return [
        Block(
            *(panel.probe, panel.task, "growth", "", "none", caption),
            panel.axes,
            tuple(range(len(names))),
            tuple(measured),
            names=tuple(words(name) for name in names),
            heading="growth with the sequence length",
        )
    ]


def _exponent(model: Growth | None, unit: str) -> Entry:
    """`1.02 (0.97–1.07)`, `67 µs + 16 µs·T`, or `unclear` where the interval leaves T and T² open."""
    if model is None:
        return Entry("")
    found = model.exponent
    if model.model == "overhead":
        text = f"{quantity(model.overhead, unit)} + {quantity(model.per_step, unit)}·T"
    elif found.low is None or found.high is None or found.high - found.low > 2 * MAX_EXPONENT_HALF_WIDTH:
        return Entry("unclear")
    else:
        middle, low, high = (f"{value:.2f}" for value in (found.value, found.low, found.high))
        text = middle if low == high else f"{middle} ({low}–{high})"
    return Entry("ok", found.value, found.low, found.high, count=1, text=text)


def _modelled(panel: Panel, everything: bool) -> list[Block]:
    """What to expect at lengths that were not run, where everything is asked for."""
    names = [name for name, one in panel.quantities.items() if one.grows]
    blocks = []
    for name in names if everything else ():
        models = [(series, model) for series in panel.series if (model := fitted(series, name)) is not None]
        columns = tuple(beyond(panel.lengths[-1]))
        modelled = (
            BlockRow(_labels(panel, series), tuple(_expected(model, length) for length in columns))
            for series, model in models
        )
        if rows := tuple(row for row in modelled if any(entry.status == "ok" for entry in row.entries)):
            shortest, longest = min(model.shortest for _, model in models), {model.longest for _, model in models}
            reach = " or ".join(f"{length:g}" for length in sorted(longest))
            caption = f"modelled, not run: fitted to T={shortest:g} to {reach}, with 95 % intervals"
            head = (panel.probe, panel.task, f"{name}.modelled", panel.quantities[name].unit, "none", caption)
            blocks.append(Block(*head, panel.axes, columns, rows))
    return blocks


def _expected(model: Growth, length: int) -> Entry:
    """A prediction, or `unclear` where its interval leaves a factor of two open."""
    value = model.predict(length)
    if length > MAX_REACH * model.longest or value.low is None or value.high is None or value.high > 2 * value.low:
        return Entry("unclear")
    margin = max(value.high / value.value, value.value / value.low) - 1
    return Entry("ok", value.value, value.low, value.high, count=1, note=f"±{100 * margin:.0f} %")


def _block(panel: Panel, quantity: str, common: Mapping[str, Any]) -> tuple[Block, list[Series]]:
    """The block of a quantity and the series of its rows.

    An empty quantity makes the block of a probe that has no number at all: only its statuses.
    """
    declared = panel.quantities.get(quantity)
    unit, better = (declared.unit, declared.better) if declared else ("", "none")
    shown = [(series, entries_of(panel, series, quantity)) for series in panel.series]
    shown = _without_other_kinds(shown)
    entries = mark_best([series for series, _ in shown], [entries for _, entries in shown], better)
    rows = [BlockRow(_labels(panel, series), tuple(row)) for (series, _), row in zip(shown, entries, strict=True)]
    constants = facts({axis: value for axis, value in panel.constants.items() if axis not in common})
    head = (panel.probe, panel.task, quantity, unit, better, ", ".join(constants))
    heading = panel.words(quantity) if quantity else ""
    return Block(*head, panel.axes, panel.lengths, tuple(rows), heading=heading), [series for series, _ in shown]


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


def _note(panel: Panel, quantity: str, group: Group) -> str:
    declared = panel.quantities[quantity]
    if quantity == panel.criterion and group.tuned is not None:
        return axis_text(panel.tuned, group.tuned)
    if declared.goal:
        reached, count = group.reached(quantity)
        return f"{reached}/{count} reached"
    return _remark(declared.remark, group) if declared.remark else ""


def _remark(path: str, group: Group) -> str:
    """The word at this place of the details, where all processes of the group agree on it; else empty."""
    values = {
        _at(details, path)
        for record in group.records
        for details in (record.details, *(part.details for part in record.parts))
    } - {""}
    return values.pop() if len(values) == 1 else ""


def _at(details: Any, path: str) -> str:
    for key in path.split("."):
        details = details.get(key) if isinstance(details, Mapping) else None
    return "" if details is None else str(details)


def _without_other_kinds(shown: list[tuple[Series, list[Entry]]]) -> list[tuple[Series, list[Entry]]]:
    """Drop rows of devices on which the quantity is never measured (process memory of a GPU): they have another kind.

    A row that lacks it while others of its device have it stays, visibly empty.
    """
    having = {_place(series) for series, entries in shown if any(entry.value is not None for entry in entries)}
    return [item for item in shown if _place(item[0]) in having] if having else shown


def _place(series: Series) -> tuple[Any, Any]:
    return series.axes["implementation"].partition("/")[0], series.axes.get("device")


def _labels(panel: Panel, series: Series) -> tuple[str, ...]:
    labels = [label(series.axes[axis]) for axis in panel.axes]
    if series.doubt:
        labels[panel.axes.index("implementation")] += f" ({series.doubt})"
    return tuple(labels)


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
    entries = [entry for block in blocks for row in block.rows for entry in row.entries if not entry.text]
    lines = {}
    if any(entry.best for entry in entries):
        lines["*"] = BEST
    counts = sorted({entry.count for entry in _repeated(blocks)})
    if counts:
        many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        lines["m (a–b)"] = f"median and range of {many} repetitions"
    if any(is_wide(entry) and not entry.unclear for entry in entries):
        lines["x (a–b)"] = f"95 % interval of a single number, where its ends are a factor of {WIDE:g} apart or more"
    if any(entry.few for entry in entries):
        lines["~x (n=k)"] = (
            f"from k samples: fewer than the {MIN_SAMPLES} that an interval needs, or all alike; not ranked"
        )
    if any(entry.unclear for entry in entries):
        lines["unclear (a–b)"] = (
            f"the 95 % interval spans more than a factor of {UNCLEAR:g}: more processes or a quieter machine tell"
        )
    if any(entry.bound == "lower" for entry in entries):
        lines[">"] = "at least: the run ended before the true number was known, or a compiler does not tell all of it"
    if any(entry.bound == "upper" for entry in entries):
        lines["<"] = "less than: not even the least that was tried"
    if any("(weakly verified)" in text for block in blocks for row in block.rows for text in row.labels):
        lines["(weakly verified)"] = "rounding decides so much of its outputs that a tenth too much would have passed"
    if any(entry.status == "missing" for entry in entries):
        lines["–"] = "ran, but has no such number"
    return lines
