"""Tables on ratios: numbers taken in lockstep stand beside the fastest row, and are told apart by their ratio."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from report_records import entry, record
from rnnbench.errors import UsageError
from rnnbench.quantity import Level
from rnnbench.record import Record
from rnnbench.report.findings.ratios import apart, ratio_text
from rnnbench.report.selection import Selection
from rnnbench.report.series import Entry, panels
from rnnbench.report.table import Table, build
from rnnbench.report.text import render

STUDENT = 2.0


def row(cell: str, seconds: float, error: float | None = 0.005, scale: str = "g", T: int = 64) -> Record:
    """A row whose own interval is wide, and whose place beside the others is well known."""
    time = replace(entry(seconds, spread=0.2), samples=tuple([seconds] * 20))
    one = record({"forward.time_per_step": time}, cell=cell, seq_len=T)
    reading = one.quantities["forward.time_per_step"]
    level = Level(scale, math.log(seconds), error, STUDENT)
    return replace(one, quantities={"forward.time_per_step": replace(reading, level=level)})


def without_level(one: Record) -> Record:
    return replace(one, quantities={name: replace(found, level=None) for name, found in one.quantities.items()})


def blocks(table: Table) -> dict[str, list[list[Entry]]]:
    return {block.quantity: [list(one.entries) for one in block.rows] for block in table.blocks}


def test_ratios_to_the_fastest_row_of_each_column_with_their_intervals():
    table = build([row("lstm", 2.0), row("gru", 1.0), row("lstm", 3.0, T=256), row("gru", 6.0, T=256)])
    found = blocks(table)["forward.time_per_step.relative"]
    assert [one.value for entries in found for one in entries] == pytest.approx([2.0, 1.0, 1.0, 2.0])
    (slower, _), (fastest, _) = found
    assert slower.low == pytest.approx(2.0 * math.exp(-STUDENT * math.hypot(0.005, 0.005)))
    assert (fastest.low, fastest.high, fastest.best) == (1.0, 1.0, True)
    assert "2.00, ±1.4 %" in render(table)
    assert "the fastest row of a column = 1" in render(table)


def test_rows_are_told_apart_by_their_ratio_though_their_own_intervals_overlap():
    three, two, one = (row(cell, s) for cell, s in (("lstm", 1.10), ("gru", 1.03), ("rnn", 1.0)))
    found = blocks(build([three, two, one]))["forward.time_per_step"]
    assert [entries[0].best for entries in found] == [False, False, True]
    wide = [
        replace(each, quantities={k: replace(v, level=None) for k, v in each.quantities.items()})
        for each in (three, two, one)
    ]
    found = blocks(build(wide))["forward.time_per_step"]
    assert not any(entries[0].best for entries in found), "all within the interval of the best"


def test_what_is_within_the_interval_of_the_ratio_is_as_good():
    found = blocks(build([row("lstm", 1.01), row("gru", 1.0), row("rnn", 1.2)]))["forward.time_per_step"]
    assert [entries[0].best for entries in found] == [True, True, False]


def test_a_named_reference_is_one():
    rows = [row("lstm", 2.0), row("gru", 1.0)]
    table = build(rows, selection=Selection(reference="lstm"))
    found = blocks(table)["forward.time_per_step.relative"]
    assert [entries[0].value for entries in found] == pytest.approx([1.0, 0.5])
    assert "lstm = 1" in render(table)
    by_program = blocks(build(rows, selection=Selection(reference="lstm torch/native")))[
        "forward.time_per_step.relative"
    ]
    assert [entries[0].value for entries in by_program] == pytest.approx([1.0, 0.5])


def test_a_row_that_took_no_turns_with_the_others_has_no_ratio():
    found = blocks(build([row("lstm", 2.0), row("gru", 1.0), row("rnn", 1.5, scale="elsewhere")]))
    assert [entries[0].status for entries in found["forward.time_per_step.relative"]] == ["ok", "ok", "missing"]


def test_without_turns_there_is_no_such_table():
    plain = record({"forward.time_per_step": entry(1.0, spread=0.1)})
    assert "forward.time_per_step.relative" not in blocks(build([plain, record(cell="gru")]))


def test_a_single_round_ranks_nobody():
    found = blocks(build([row("lstm", 2.0, error=None), row("gru", 1.0, error=None)]))
    assert [entries[0].value for entries in found["forward.time_per_step.relative"]] == pytest.approx([2.0, 1.0])
    [panel] = panels([row("lstm", 2.0, error=None), row("gru", 1.0, error=None)])
    a, b = (series.groups[64].entry("forward.time_per_step") for series in panel.series)
    assert not apart(a, b) and ratio_text(a, b) == ""


def test_sentences_say_the_ratio_that_is_known():
    [panel] = panels([row("lstm", 1.5), row("gru", 1.0)])
    a, b = (series.groups[64].entry("forward.time_per_step") for series in panel.series)
    assert ratio_text(a, b) == "1.5 (1.48–1.52)" or ratio_text(a, b) == "1.5"
    assert apart(a, b)


def test_a_reference_that_is_no_row_is_refused_with_the_near_name():
    with pytest.raises(UsageError, match=r"reference 'lstn': no row is called that; .* Did you mean 'lstm'"):
        build([row("lstm", 2.0), row("gru", 1.0)], selection=Selection(reference="lstn"))
