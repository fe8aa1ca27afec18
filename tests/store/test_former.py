"""Runs of format 1, whose lines held whole records, are read, gone on with and told apart from damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rnnbench.records.merging import spread
from rnnbench.store import RunFolder
from rnnbench.store.lines import encode
from rnnbench.timings import View

KEPT = Path(__file__).with_name("format_1")
THRICE, SKIPPED, MEMORY, TRAINING = "05934e182a1b", "b967a60da88a", "598dabdb3c0d", "a158e4ea3215"
PARTS = ("details", "processes", "parts")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "format_1"))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


def test_what_three_lines_of_a_case_said_together_is_one_record_of_three_processes():
    by_id = {one.case.id: one for one in RunFolder.open(KEPT).load()}
    record, last = by_id[THRICE], [line for line in lines(KEPT) if line["id"] == THRICE][-1]
    assert list(by_id) == [THRICE, SKIPPED, MEMORY, TRAINING]
    assert (len(record.parts), record.asked, record.complete) == (3, 3, True)
    for name, kept in last["quantities"].items():
        one = record.quantities[name]
        known = last["details"]["processes"]["spread"][name]
        found = (one.value, one.low, one.high, *spread(record, name), *one.samples)
        expected = (kept["value"], kept["low"], kept["high"], known["between"], known["within"], *kept["samples"])
        assert [x for x in found if x is not None] == pytest.approx([x for x in expected if x is not None], rel=1e-9)
    assert list(record.notes) == last["notes"]
    steps = record.case.seq_len
    assert record.parts[1].values["forward.time_per_step"] == View("forward", 1 / steps)
    first = last["details"]["processes"]["parts"][0]
    assert record.parts[0].timings["forward"].contaminated == tuple(first["details"]["forward"]["contaminated"])
    assert "contaminated" not in record.parts[0].details["forward"] and "cost" in record.parts[0].details["forward"]
    assert record.conditions is not None
    assert record.conditions.contaminated == last["details"]["contaminated"]
    assert (record.started, record.seconds) == pytest.approx((last["started"], last["seconds"]))
    assert by_id[SKIPPED].status == "skipped" and not by_id[SKIPPED].quantities
    assert by_id[MEMORY].parts[0].peak_memory and by_id[TRAINING].curves["train_loss"].x


def test_written_again_they_are_a_fraction_and_say_the_same(run):
    folder = RunFolder.open(run)
    records = folder.load()
    known = folder.quantities
    again = b"".join(encode(one.case, part, known) for one in records for part in one.parts)
    assert len(again) < 0.4 * (run / "records.jsonl").stat().st_size
    (run / "records.jsonl").write_bytes(again)
    found = RunFolder.open(run).load()
    assert [one.quantities for one in found] == [one.quantities for one in records]
    assert [(one.status, one.notes, one.curves, one.conditions) for one in found] == [
        (one.status, one.notes, one.curves, one.conditions) for one in records
    ]


def test_lines_of_both_formats_stand_beside_each_other(run):
    """A run that was begun by an older rnnbench and is gone on with."""
    folder = RunFolder.open(run)
    (whole,) = [one for one in folder.load() if one.case.id == THRICE]
    kept = lines(run)
    first = next(line for line in kept if line["id"] == THRICE)  # one process of three
    text = json.dumps(first) + "\n" + json.dumps(kept[0]) + "\n"
    added = b"".join(encode(whole.case, part, folder.quantities) for part in whole.parts[1:])
    (run / "records.jsonl").write_bytes(text.encode() + added)
    found = next(one for one in RunFolder.open(run).load() if one.case.id == THRICE)
    assert found.quantities == whole.quantities and found.complete and len(found.parts) == 3


def changed(line: dict[str, Any], path: tuple[Any, ...], value: Any) -> str:
    place = line
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(line)


FAULTS = [
    (("status",), "great", "status: input should be 'ok', 'skipped'"),
    (("status",), None, "status"),
    (("seconds",), "long", "seconds: input should be a valid number"),
    (("details",), None, "details: input should be an object"),
    (("case", "settings"), [1], "case.settings"),
    (("case", "seq_len"), "64", "case.seq_len: input should be a valid integer"),
    (("quantities", "forward.time", "value"), "fast", "quantities.forward.time.value: input should be a valid number"),
    (("quantities", "forward.time", "value"), float("nan"), "forward.time.value is nan"),
    (("details", "processes"), 5, "input should be"),
    (PARTS, [], "details.processes.parts: there is none"),
    ((*PARTS, 0, "quantities", "mine"), {"value": 1.0}, "mine is none of the record's quantities"),
    ((*PARTS, 0, "harness", "reference"), 3, "parts.0.harness.reference"),
    (("curves",), {"c": {"x_name": "a", "y_name": "b", "x": [1], "y": "no"}}, "curves.c.y"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=[f"{path[-1]}={value}" for path, value, _ in FAULTS])
def test_a_line_that_was_changed_by_hand_is_left_out_and_the_one_before_stands(run, path, value, message):
    kept = lines(run)
    number = max(index for index, line in enumerate(kept) if line["id"] == THRICE)
    text = [json.dumps(line) for line in kept]
    text[number] = changed(kept[number], path, value)
    (run / "records.jsonl").write_text("\n".join(text) + "\n")
    folder = RunFolder.open(run)
    record = next(one for one in folder.load() if one.case.id == THRICE)
    assert len(record.parts) == 2
    (notice,) = folder.notices
    assert f"line {number + 1} is not a record (" in notice and message in notice
