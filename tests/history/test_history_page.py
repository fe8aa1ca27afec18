"""`rnnbench history --format html`: a page of its own, whose plots have the planted change marked."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ruptures")
pytest.importorskip("jinja2")
pytest.importorskip("plotly")

from test_history import PLANTED, Machine, hashes, repository, slow_at_18, store

from report_records import again, entry, record
from rnnbench.history import all_series, commits, history, render, stored_runs

__all__ = ["hashes", "repository", "slow_at_18"]  # fixtures


def views(page: str) -> list[dict[str, Any]]:
    (text,) = re.findall(r'<script type="text/plain" id="numbers-numbers">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_a_planted_slow_down_comes_first_and_is_marked_at_its_commit(repository: Path, slow_at_18: Path) -> None:
    shown = views(render(history(repository, slow_at_18), "demo"))
    first = shown[0]
    assert first["label"].startswith("train ")
    ((x, text),) = first["marks"]
    assert PLANTED - 2 <= x <= PLANTED
    assert re.fullmatch(r"lstm [+-](9|10|11)\.\d%", text)
    assert {line["cell"] for line in first["lines"]} == {"lstm", "gru"}
    assert all(line["x"] == list(range(30)) for line in first["lines"])
    memory = next(view for view in shown if "peak memory" in view["label"])
    assert memory["marks"] == []


def test_the_drift_of_the_machine_is_divided_out_of_points_and_intervals(
    repository: Path, hashes: list[str], tmp_path: Path
) -> None:
    """The machine grows 30 % slower and recovers; what is drawn has the noise alone."""
    machine = Machine(seed=3)
    for number in range(20):
        store(tmp_path, machine.run(number), hashes[number])
    _, runs, _ = stored_runs(tmp_path, commits(repository))
    (series,) = [
        one
        for one in all_series(runs)
        if (one.quantity, one.record.case.cell, one.record.case.seq_len) == ("train.time_per_step", "gru", 64)
    ]
    values = [point.value for point in series.points]
    assert max(values) / min(values) < 1.2
    for point in series.points:
        assert point.low is not None and point.high is not None
        assert point.low == pytest.approx(point.value * 0.99)
        assert point.high == pytest.approx(point.value * 1.01)


def test_changes_and_breaks_are_rows_that_filters_reach(repository: Path, hashes: list[str], tmp_path: Path) -> None:
    for number in range(8):
        steps = entry(100.0 if number < 4 else 101.0, "1", deterministic=True)
        broken = record({"parameters": steps}, cell="gru")
        if number >= 5:
            broken = again(broken, status="failed", reason="it `broke`", values={})
        store(tmp_path, [record({"parameters": steps}, cell="lstm"), broken], hashes[number])
    page = render(history(repository, tmp_path))
    rows = re.findall(r'<tr data-cell="(\w+)" data-place="/cpu" data-axes="[\d,-]+">(.*?)</tr>', page)
    assert [cell for cell, _ in rows] == ["lstm", "gru", "gru"]
    assert "regression" in rows[0][1] and "+1.0%" in rows[0][1] and hashes[4][:10] in rows[0][1]
    assert "failed" in rows[2][1] and hashes[5][:10] in rows[2][1]


def test_a_page_of_few_commits_says_so(repository: Path, hashes: list[str], tmp_path: Path) -> None:
    store(tmp_path, Machine().run(0), hashes[0])
    assert "There are too few commits to see a change." in render(history(repository, tmp_path))


def test_the_page_reaches_for_nothing_outside_and_text_stays_text(
    repository: Path, hashes: list[str], tmp_path: Path
) -> None:
    evil = "</script><script>alert(1)</script>"
    for number in range(2):
        parameters = entry(100.0 + number, "1", deterministic=True)
        store(tmp_path, [record({"parameters": parameters}, cell=evil)], hashes[number])
    page = render(history(repository, tmp_path), evil)
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert evil not in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", own)


def test_the_command_writes_the_page(repository: Path, slow_at_18: Path, tmp_path: Path) -> None:
    output = tmp_path / "history.html"
    command = [sys.executable, "-m", "rnnbench", "history", "demo", "--results", str(slow_at_18), "--format", "html"]
    done = subprocess.run(
        [*command, "--output", str(output)], cwd=repository, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", f"written to {output}\n")
    assert "<h1>" in output.read_text(encoding="utf-8")
