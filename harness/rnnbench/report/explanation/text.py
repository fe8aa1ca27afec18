"""An explanation as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rnnbench.measure.statistics import quantile
from rnnbench.report.explanation.facts import Explanation
from rnnbench.report.explanation.process import ProcessFacts
from rnnbench.report.units import Scale, bounded, scale_for, words

BINS = 10
BAR = 40
"""Characters of the longest bar of a histogram."""
MOST = 0.98
"""Share of the samples that the bins span; the slowest few have a line of their own, or one outlier would be all of
the picture."""


def render(found: Explanation, width: int = 80) -> str:
    """The parts of an explanation, each under its heading."""
    case = found.record.case
    program = f"{case.backend}/{found.record.implementation or case.implementation}"
    head = f"{case.cell} {program}, {case.device}, T={case.seq_len}: {words(found.quantity)} (`{found.quantity}`)"
    parts = [f"{head}\n{_number(found)}", _list("How it was made", found.made, width)]
    if found.reading is not None:
        parts += [_processes(found), _samples(found)]
    parts += [_list("Notes", found.notes, width), _list("What binds", [found.binds] if found.binds else [], width)]
    parts += [_list("What to do", found.advice, width)]
    return "\n\n".join(filter(None, parts)) + "\n"


def histogram(samples: Sequence[float], scale: Scale) -> list[str]:
    """Lines `low – high | bar count`, of equal width, and one for what lies beyond."""
    low, high = min(samples), quantile(samples, MOST)
    if not low < high:
        return [f"all {len(samples)} are {scale(low)} {scale.unit}".rstrip()]
    step = (high - low) / BINS
    counts = [0] * BINS
    beyond = 0
    for sample in samples:
        if sample > high:
            beyond += 1
        else:
            counts[min(int((sample - low) / step), BINS - 1)] += 1
    edges = [scale(low + step * index) for index in range(BINS + 1)]
    names = [f"{edges[index]} – {edges[index + 1]}" for index in range(BINS)]
    rows = [*zip(names, counts, strict=True), *([(f"> {edges[-1]}", beyond)] if beyond else [])]
    wide, most = max(len(name) for name, _ in rows), max(count for _, count in rows)
    return [f"{name:>{wide}} | {'#' * round(BAR * count / most)} {count}".rstrip() for name, count in rows]


def _number(found: Explanation) -> str:
    reading = found.reading
    if reading is None:
        return f"  no number: {found.record.status}"
    text = bounded(reading.value, reading.bound, reading.unit, found.quantity)
    if reading.low is not None and reading.high is not None:
        scale = scale_for(reading.unit, [reading.value], found.quantity)
        text += f", 95 % interval {scale(reading.low)} to {scale(reading.high)} {scale.unit}".rstrip()
    doc = reading.quantity.doc
    return f"  {text}\n  {doc}" if doc else f"  {text}"


def _processes(found: Explanation) -> str:
    assert found.reading is not None
    if not any(one.count for one in found.processes):
        return ""
    scale = scale_for(found.reading.unit, [found.reading.value], found.quantity)
    unit = f", {scale.unit}" if scale.unit else ""
    head = ["", f"median{unit}", "95 % interval", "samples", "disturbed", "reference"]
    rows = [[str(index), *_row(one, scale)] for index, one in enumerate(found.processes, 1)]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    note = "reference: how much slower the reference kernel was beside it than in its median over the run"
    footnotes = [note] if any(one.slowdown is not None for one in found.processes) else []
    return "\n".join(["Processes", *(f"  {line}".rstrip() for line in [*lines, *footnotes])])


def _row(one: ProcessFacts, scale: Scale) -> list[str]:
    if one.median is None:
        return [one.status, "", "", "", ""]
    ends = "" if one.low is None or one.high is None else f"{scale(one.low)}–{scale(one.high)}"
    disturbed = "" if one.disturbed is None else f"{one.disturbed:.0%}"
    slowdown = "" if one.slowdown is None else f"{one.slowdown:+.1%}"
    return [scale(one.median), ends, str(one.count), disturbed, slowdown]


def _samples(found: Explanation) -> str:
    assert found.reading is not None
    if len(set(found.samples)) < 2:
        return ""
    scale = scale_for(found.reading.unit, [found.reading.value], found.quantity)
    lines = histogram(found.samples, scale)
    unit = f" ({scale.unit})" if scale.unit else ""
    return "\n".join([f"Samples{unit}", *(f"  {line}" for line in lines)])


def _list(title: str, lines: Sequence[str], width: int) -> str:
    return "\n".join([title, *_items(lines, width)]) if lines else ""


def _items(lines: Sequence[str], width: int) -> Iterator[str]:
    for line in lines:
        yield textwrap.fill(line, width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
