"""The committed runs say what they said when they were made, whatever has become of their files and their reader."""

from __future__ import annotations

import doctest
import hashlib
import json
from functools import cache
from pathlib import Path

import pytest

from rnnbench.record import Record
from rnnbench.store import RunFolder, list_runs

ROOT = Path(__file__).resolve().parents[2]
FROZEN = json.loads(Path(__file__).with_name("committed_runs.json").read_text())
RUNS = {f"{path.parent.name}/{path.name}": path for path in list_runs(ROOT / "results")}


@cache
def records(run: str) -> list[Record]:
    return RunFolder.open(RUNS[run]).load()


def said(record: Record) -> list[object]:
    """Everything of a record that a table, a plot or a sentence can show, to ten digits."""
    numbers = [
        [name, *map(digits, (one.value, one.low, one.high)), len(one.samples), one.bound, one.origin, one.exact]
        for name, one in sorted(record.quantities.items())
    ]
    curves = [[name, len(one.x), one.x_name, one.y_name] for name, one in sorted(record.curves.items())]
    head = [record.case.id, record.status, record.reason, record.implementation, record.verified, record.complete]
    return [*head, numbers, curves, sorted(record.notes), record.environment, f"{record.seconds:.10g}"]


def digits(number: float | None) -> str:
    return "" if number is None else f"{number:.10g}"


def digest(found: list[Record]) -> str:
    return hashlib.sha256(json.dumps([said(one) for one in found]).encode()).hexdigest()[:16]


@pytest.mark.parametrize("run", FROZEN)
def test_every_number_interval_reason_and_note_is_the_one_that_was_measured(run):
    found = records(run)
    assert (len(found), digest(found)) == (FROZEN[run]["records"], FROZEN[run]["digest"])


def test_known_numbers_of_long_seq():
    by_id = {one.case.id: one for one in records("long_seq/20261129T151447Z-0003c6732")}
    time = by_id["2ae444c552a4"].quantities["forward.time"]
    assert (time.value, time.low, time.high) == (0.004338233999988006, 0.0035629698873439228, 0.005116778414141468)
    rate = by_id["2ae444c552a4"].quantities["forward.tokens_per_second"]
    assert rate.value == pytest.approx(236040.74837890975, rel=1e-12)
    assert len(rate.samples) == len(time.samples) == 141
    assert rate.samples[0] == pytest.approx(64 * 16 / time.samples[0], rel=1e-6)


def test_the_example_on_the_page_of_the_format_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(ROOT / "harness" / "README.md"), module_relative=False)
    assert found.attempted == 4 and found.failed == 0
