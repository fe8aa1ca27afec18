"""What of a run a report shows, and along which axis its columns go."""

from __future__ import annotations

import csv
import io

import pytest

from report_records import memory, timing
from rnnbench.errors import UsageError
from rnnbench.report import render
from rnnbench.report.selection import Selection
from rnnbench.report.table import build

THREADS = [
    timing(cost / threads, cell=cell, dtype=dtype, threads=threads)
    for threads in (1, 2)
    for dtype in ("float32", "bfloat16")
    for cell, cost in (("lstm", 20e-6), ("gru", 30e-6))
]


@pytest.fixture(autouse=True)
def _wide_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def test_a_numeric_axis_stands_above_the_columns_where_there_is_one_length() -> None:
    text = render(THREADS, "table")
    assert (
        "cell  implementation  dtype     threads 1  threads 2\nlstm  torch/native    float32       20.0*      10.0*"
        in text
    )


def test_columns_and_rows_by_choice() -> None:
    records = [*THREADS, *(timing(9e-6, cell="lstm", seq_len=128, threads=threads) for threads in (1, 2))]
    chosen = Selection(columns="threads", rows=("dtype", "cell"))
    (block,) = [one for one in build(records, selection=chosen).blocks if one.quantity == "train.time_per_step"]
    assert block.axes == ("dtype", "cell", "implementation", "T") and block.heads == ("threads 1", "threads 2")
    assert block.rows[0].labels[:2] == ("float32", "lstm")
    with pytest.raises(UsageError, match="--columns layers: that does not vary here; what does: seq_len, "):
        build(records, selection=Selection(columns="layers"))


def test_cells_cases_and_quantities_are_chosen_in_every_format() -> None:
    records = [*THREADS, memory(2**20, cell="lstm")]
    lstm = Selection(cells=("lstm",), only=("threads=2",), quantities=("train.time*",))
    rows = list(csv.DictReader(io.StringIO(render(records, "csv", selection=lstm))))
    assert {(row["cell"], row["threads"]) for row in rows} == {("lstm", "2")}
    assert {row["quantity"] for row in rows} == {"train.time", "train.time_per_step"}
    for format in ("table", "md", "latex"):
        text = render(records, format, selection=lstm)
        assert "train time per step" in text and "first call" not in text and "gru" not in text
    with pytest.raises(UsageError, match="--quantity forward"):
        render(records, "table", selection=Selection(quantities=("forward.*",)))
    with pytest.raises(UsageError, match="no case has it"):
        render(records, "table", selection=Selection(cells=("lstn",)))


def test_one_latex_table_of_chosen_quantities_with_a_label() -> None:
    records = [
        timing(cost, cell=cell, seq_len=T) for T in (64, 128) for cell, cost in (("lstm", 20e-6), ("gru", 30e-6))
    ]
    chosen = Selection(quantities=("train.time_per_step", "train.first_call"))
    text = render(records, "latex", title="paper", selection=chosen, one=True, siunitx=True)
    assert text.count(r"\begin{table}") == 1 and r"\label{tab:paper-results}" in text
    assert r"{\bfseries \num{20.0 +- 0.20}}" in text and r"\num{30.0 +- 0.30}" in text
    assert text.startswith("% needs \\usepackage{booktabs,siunitx}")


@pytest.mark.parametrize("width", [80, 120])
def test_a_pipe_gets_tables_that_fit(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    from report_records import whole_run

    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, render(whole_run(), "table").splitlines())) <= width
