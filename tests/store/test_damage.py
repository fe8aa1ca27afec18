"""Runs of other hands and versions: what cannot be read is left out with a sentence, and never ends another run."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnbench.errors import UsageError
from rnnbench.execution.forecast import Forecast
from rnnbench.machine import environment
from rnnbench.registry import load
from rnnbench.report import render
from rnnbench.store import RunFolder
from rnnbench.store.lines import encode

KEPT = Path(__file__).with_name("format_1")
ODD = [None, True, 0, -1, 3.5, "x", "", [], {}, [1], {"a": 1}, "1.5", 10**400, [None], float("nan"), float("inf")]


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """`run.json` of a run, and its lines in both formats."""
    folder = RunFolder.open(KEPT)
    former = [json.loads(line) for line in (KEPT / "records.jsonl").read_text().splitlines()]
    parts = [(one.case, part) for one in folder.load() for part in one.parts]
    return folder.meta, [former, [json.loads(encode(case, part, folder.quantities)) for case, part in parts]]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON, of lists the first two."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


def spoilt(value: Any, rng: random.Random) -> Any:
    """The same with something else in one place, those near the root more often, or without it."""
    value = copy.deepcopy(value)
    path = rng.choice(list(paths(value)))
    *way, last = path[: rng.randint(1, len(path))]
    place = value
    for key in way:
        place = place[key]
    if isinstance(place, dict) and rng.random() < 0.2:
        del place[last]
    else:
        place[last] = rng.choice(ODD)
    return value


def write(folder: Path, meta: Any, lines: list[Any]) -> Path:
    run = folder / "runs" / "long_seq" / "20261129T000000Z-000abcdef"
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(meta))
    (run / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.mark.parametrize("format", [1, 2])
def test_whatever_stands_in_a_line_the_others_are_read_and_shown(found, tmp_path, format):
    meta, lines = found[0], found[1][format - 1]
    rng = random.Random(format)
    noticed = 0
    for _ in range(30):
        which = rng.randrange(len(lines))
        run = write(tmp_path, meta, [spoilt(line, rng) if k == which else line for k, line in enumerate(lines)])
        folder = RunFolder.open(run)
        records = folder.load()
        render(records, "table")
        noticed += bool(folder.notices)
        assert len(records) >= 3, "one line is spoilt"
        assert all(
            notice.startswith(f"{run / 'records.jsonl'}: line {which + 1} is not a") for notice in folder.notices
        )
    assert 5 < noticed < 30, "some of it is only another number"


def test_whatever_stands_in_run_json_a_new_run_is_estimated_all_the_same(found, tmp_path, monkeypatch):
    meta, lines = found[0], found[1][1]
    rng = random.Random(0)
    here = next(iter(meta["environments"]))
    monkeypatch.setattr(environment, "snapshot", lambda versions: {})
    monkeypatch.setattr(environment, "environment_id", lambda snapshot: here)
    registry = load()
    refused = 0
    for _ in range(30):
        run = write(tmp_path, spoilt(meta, rng), lines)
        assert Forecast(registry, tmp_path).costs is not None
        try:
            render(RunFolder.open(run).load(), "table")
        except UsageError as error:
            refused += 1
            assert str(run / "run.json") in str(error)
    assert 5 < refused < 30


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    run = Path(shutil.copytree(KEPT, tmp_path / "run"))
    (run / "records.jsonl").unlink()
    os.mkfifo(run / "records.jsonl")
    with pytest.raises(UsageError, match=r"records\.jsonl is no file"):
        RunFolder.open(run).load()
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    with pytest.raises(UsageError, match=r"it has no run\.json"):
        RunFolder.open(run)


@pytest.mark.parametrize(
    "details",
    [
        {"ignored": [[]]},
        {"ignored": [3]},
        {"compiled": {"train": 5}},
        {"compiled": {"train": {"caveats": [[]]}}},
        {"compiled": {"train": {"caveats": 5}}},
        {"chance": 10**400},
        {"target": float("nan"), "metric": ["a"]},
        {"forward": {"limit": {"binds": [], "share": -(10**400)}}, "train": {"limit": {"binds": {}}}},
    ],
)
def test_details_of_any_form_are_shown_or_left_out(found, tmp_path, details):
    meta, (*lines, last) = found[0], found[1][1]
    lines = [*(line | {"details": details} for line in lines), last]
    records = RunFolder.open(write(tmp_path, meta, lines)).load()
    for style in ("table", "html"):
        render(records, style)


def test_a_line_under_the_id_of_another_case_is_no_row_of_it(found, tmp_path):
    meta, (first, second, *lines) = found[0], found[1][1]
    other = next(line for line in lines if line["id"] != first["id"])
    run = write(tmp_path, meta, [first | {"id": other["id"]}, second, *lines])
    folder = RunFolder.open(run)
    by_id = {record.case.id: record for record in folder.load()}
    [notice] = folder.notices
    assert f"line 1 is not a record (its id is {other['id']}, and that of its case {first['id']})" in notice
    assert by_id[other["id"]].case.cell == other["case"]["cell"]


def test_settings_beyond_all_numbers_are_named(found, tmp_path):
    meta, (first, *lines) = found[0], found[1][1]
    first = copy.deepcopy(first)
    first["case"]["settings"]["budget"] = 10**400
    folder = RunFolder.open(write(tmp_path, meta, [first, *lines]))
    folder.load()
    [notice] = folder.notices
    assert "line 1 is not a record (case.settings.budget is an integer beyond what a float holds" in notice


def test_of_many_lines_that_are_no_records_the_first_are_named(found, tmp_path):
    run = write(tmp_path, found[0], found[1][1])
    with (run / "records.jsonl").open("ab") as file:
        file.write(b"\n" * 3000)
    folder = RunFolder.open(run)
    folder.load()
    folder.load()
    assert len(folder.notices) == 21
    assert "more lines are no records" in folder.notices[-1]


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="Linux tells of itself there")
def test_a_file_of_the_kernel_is_not_read_to_an_end_it_may_not_have(tmp_path):
    run = Path(shutil.copytree(KEPT, tmp_path / "run"))
    (run / "records.jsonl").unlink()
    (run / "records.jsonl").symlink_to("/proc/self/mounts")
    folder = RunFolder.open(run)
    assert folder.load() == []
    assert folder.notices == []
    (run / "run.json").unlink()
    (run / "run.json").symlink_to("/proc/self/mounts")
    with pytest.raises(UsageError, match=r"run\.json is damaged: it is empty"):
        RunFolder.open(run)
