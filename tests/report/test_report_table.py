"""What a report shows, to the letter."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from report_records import entry, gradient, memory, record, timing, training, whole_run
from rnnbench.errors import UsageError
from rnnbench.notebook.frame import frame
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.report import FORMATS, Format, latex, render
from rnnbench.report import text as plain_text
from rnnbench.report.series import panels
from rnnbench.report.table import build


@pytest.fixture(autouse=True)
def _wide_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for every line, so that what stands in it can be looked for."""
    monkeypatch.setenv("COLUMNS", "250")


SMALL = [
    timing(10e-6, cell="rnn", seq_len=64),
    timing(20e-6, cell="rnn", seq_len=128),
    timing(10.1e-6, cell="lstm", seq_len=64),
    record(status="failed", reason="it | broke", cell="lstm", seq_len=128),
    timing(30e-6, cell="gru", seq_len=64),
    timing(40e-6, cell="gru", seq_len=128),
]


def block_of(text: str, heading: str) -> str:
    """The part of a plain table that begins with a heading."""
    return next(part for part in text.strip().split("\n\n") if part.startswith(heading))


def best_of(records: Sequence[Record], quantity: str) -> list[str]:
    """Labels and column of every entry that is marked."""
    (block,) = [block for block in build(records, everything=True).blocks if block.quantity == quantity]
    return [
        f"{' '.join(row.labels)} T={length}"
        for row in block.rows
        for length, one in zip(block.columns, row.entries, strict=True)
        if one.best
    ]


def test_plain_table() -> None:
    assert (
        render(SMALL, "table", title="demo")
        == """\
demo
cpu, float32, batch 16, hidden 128, input 32, 1 layer

Cost of long sequences
- Train time per step (T=128): rnn (torch/native) 20.0 µs; gru (torch/native) 40.0 µs. The first is 2.0 times ahead.
- Train first call (T=128): rnn (torch/native), gru (torch/native) 250 ms.

How the run went
- 1 of 6 cases gave no numbers: 1 failed.

train time per step, µs (lower is better)
cell  implementation   T=64   T=128
rnn   torch/native    10.0*   20.0*
lstm  torch/native    10.1*  failed
gru   torch/native     30.0    40.0

train first call, ms (lower is better)
cell  implementation  T=64   T=128
rnn   torch/native     250     250
lstm  torch/native     250  failed
gru   torch/native     250     250

* best of rows that differ only in cell, program and device, and those not told from it

Not ok
- failed ×1: throughput lstm torch/native cpu T=128: it | broke
"""
    )


def test_markdown() -> None:
    assert (
        render(SMALL, "md", title="my_demo_")
        == r"""## my_demo\_

cpu, float32, batch 16, hidden 128, input 32, 1 layer

### Findings

**Cost of long sequences**

- Train time per step (T=128): rnn (torch/native) 20.0 µs; gru (torch/native) 40.0 µs. The first is 2.0 times ahead.
- Train first call (T=128): rnn (torch/native), gru (torch/native) 250 ms.

**How the run went**

- 1 of 6 cases gave no numbers: 1 failed.

### train time per step, µs (lower is better)

| cell | implementation | T=64 | T=128 |
| --- | --- | ---: | ---: |
| rnn | torch/native | **10.0** | **20.0** |
| lstm | torch/native | **10.1** | *failed* |
| gru | torch/native | 30.0 | 40.0 |

### train first call, ms (lower is better)

| cell | implementation | T=64 | T=128 |
| --- | --- | ---: | ---: |
| rnn | torch/native | 250 | 250 |
| lstm | torch/native | 250 | *failed* |
| gru | torch/native | 250 | 250 |

**bold**: best of rows that differ only in cell, program and device, and those not told from it

### Not ok

- failed ×1: throughput lstm torch/native cpu T=128: it \| broke
""".replace("\\\n", "")
    )


def test_latex() -> None:
    records = [*SMALL[:4], timing(30e-6, cell="my_cell(a=1 & 50%)", seq_len=64)]
    text = render(records, "latex", title="demo")
    assert text.startswith("% needs \\usepackage{booktabs}\n% demo\n")
    assert (
        r"""\begin{table}
\centering\footnotesize\setlength{\tabcolsep}{3pt}
\caption{train time per step, $\mu$s (lower is better). cpu, float32, batch 16, hidden 128, input 32, 1 layer.}
\label{tab:demo-train-time-per-step}
\smallskip
\begin{tabular}{llrr}
\toprule
cell & implementation & $T=64$ & $T=128$ \\
\midrule
rnn & torch/native & $\mathbf{10.0} \pm 0.10$ & $20.0 \pm 0.20$ \\
lstm & torch/native & $\mathbf{10.1} \pm 0.10$ & failed \\
my\_cell(a=1 \& 50\%) & torch/native & $30.0 \pm 0.30$ &  \\
\bottomrule
\end{tabular}
\par\smallskip \textbf{bold}: best of rows that differ only in cell, program and device, and those not told from it
\end{table}
"""
        in text
    )
    commands = {"begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule", "mu", "mathbf", "pm"}
    commands |= {"footnotesize", "setlength", "tabcolsep", "smallskip", "par", "textbf", "label"}
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    found = set(re.findall(r"\\([A-Za-z]+)", body))
    assert found <= commands, "only booktabs and LaTeX's own"
    assert body.count("{") - body.count("\\{") == body.count("}") - body.count("\\}")


def test_latex_explains_notes_below_the_table() -> None:
    """Two seeds of three reached the target: the count is a letter in the column and a sentence under it."""
    records = [training(0.1, 200, replicate=r) for r in (0, 1)] + [training(0.1, None, replicate=2)]
    text = render(records, "latex")
    assert "\n\\par\\smallskip \\textsuperscript{a} 2/3 reached; m (a--b): median and range of 3 repetitions\n" in text
    assert " 200 (200--1000)\\textsuperscript{a} " in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_is_compiled_without_a_complaint_and_fits_the_page(tmp_path: Path) -> None:
    """Every character that a report may contain, in an article of LaTeX's own narrow format."""
    odd = 'a_b^c~d {e} \\f & 50% #1 $2 <3> |4| µ×±−–‖∂≤≥…“q” "r"'
    records = [*whole_run((64, 256, 1024, 2048)), timing(30e-6, cell="my_cell"), record(status="failed", reason=odd)]
    text = render(records, "latex", title=odd)
    body = f"\\begin{{document}}\n{text}\n{latex.escape(odd)}\n\\end{{document}}"
    source = f"\\documentclass{{article}}\\usepackage{{booktabs}}\n{body}"
    (tmp_path / "report.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=600)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    complaints = re.findall(r"^(?:Overfull|Missing).*", done.stdout, re.MULTILINE)
    assert complaints == []


def test_csv_is_long_and_keeps_every_digit() -> None:
    rows = list(csv.DictReader(io.StringIO(render(SMALL, "csv"))))
    assert len(rows) == 5 * 4 + 1
    step = next(row for row in rows if row["cell"] == "lstm" and row["quantity"] == "train.time_per_step")
    assert float(step["value"]) == 10.1e-6
    assert float(step["half_width"]) == pytest.approx(0.101e-6)
    assert (step["unit"], step["better"], step["backend"], step["samples"]) == ("s", "lower", "torch", "9")
    assert step["id"] == SMALL[2].case.id
    failed = next(row for row in rows if row["status"] == "failed")
    assert (failed["reason"], failed["quantity"], failed["value"]) == ("it | broke", "", "")


def test_json_has_the_table_the_findings_and_the_records() -> None:
    data = json.loads(render(SMALL, "json", title="demo", environment={"machine": {"cpu": "Z80"}}))
    assert data["title"] == "demo"
    assert data["header"][0] == "Z80"
    assert [block["quantity"] for block in data["blocks"]] == [
        "train.time",
        "train.time_per_step",
        "train.tokens_per_second",
        "train.first_call",
    ]
    block = data["blocks"][1]
    assert block["seq_lens"] == [64, 128]
    assert block["rows"][1]["labels"] == ["lstm", "torch/native"]
    assert block["rows"][1]["entries"][0]["half_width"] == pytest.approx(0.101e-6)
    assert block["rows"][1]["entries"][1]["status"] == "failed"
    assert [one["topic"] for one in data["findings"]] == ["cost", "cost", "how the run went"]
    assert [one["id"] for one in data["records"]] == [one.case.id for one in SMALL]
    assert len(data["records"][0]["quantities"]["train.time"]["samples"]) == 9


def test_frame_is_a_dataframe_of_the_same_rows() -> None:
    data = frame(SMALL)
    steps = data[data.quantity == "train.time_per_step"]
    assert steps.groupby("cell").value.median().to_dict() == pytest.approx(
        {"rnn": 15e-6, "lstm": 10.1e-6, "gru": 35e-6}
    )
    assert list(data[data.status != "ok"].reason) == ["it | broke"]


def test_the_header_names_machine_and_versions() -> None:
    environment = {
        "machine": {"cpu": "AMD EPYC 7B13", "cores_allowed": 2, "gpus": [{"name": "H100"}]},
        "software": {"os": "Linux", "python": "CPython 3.11.7", "versions": {"torch": "2.13.0"}},
    }
    line = "AMD EPYC 7B13, 2 cores, H100, Linux, CPython 3.11.7, torch 2.13.0"
    assert render(SMALL, "table", "demo", environment).splitlines()[1] == line
    assert render(SMALL, "table", "demo", {"a": environment}).splitlines()[1] == line
    assert render(SMALL, "table", "demo", {"a": environment, "b": environment}).splitlines()[1] == f"a, b: {line}"


def test_axes_that_vary_become_columns_and_the_others_stay_in_the_header() -> None:
    records = [timing(1e-6, dtype=dtype, hidden_size=size) for dtype in ("float32", "float16") for size in (64, 128)]
    text = render(records, "table")
    assert (
        block_of(text, "train time per step")
        == """\
train time per step, µs (lower is better)
T=64
cell  implementation  dtype    hidden 64  hidden 128
lstm  torch/native    float32       1.00        1.00
lstm  torch/native    float16       1.00        1.00"""
    )
    assert text.splitlines()[0] == "cpu, batch 16, input 32, 1 layer"


def test_settings_that_vary_become_columns() -> None:
    records = [timing(1e-6 * k, settings={"warmup": k, "modes": ["train"]}) for k in (1, 2)]
    assert block_of(render(records, "table"), "train time per step").splitlines()[1:3] == [
        "cell  implementation  warmup  T=64",
        "lstm  torch/native    1       1.00",
    ]


def test_only_rows_that_solve_the_same_problem_compete() -> None:
    records = [
        timing(cost * factor, cell=cell, dtype=dtype)
        for dtype, factor in (("float32", 1.0), ("float16", 0.5))
        for cell, cost in (("rnn", 1e-6), ("lstm", 2e-6))
    ]
    assert best_of(records, "train.time_per_step") == ["rnn torch/native float32 T=64", "rnn torch/native float16 T=64"]


@pytest.mark.parametrize(
    ("quantity", "values", "best"),
    [
        ("lower", [1.0, 2.0, 3.0], ["a"]),
        ("higher", [1.0, 2.0, 3.0], ["c"]),
        ("none", [1.0, 2.0, 3.0], []),
        ("lower", [1.0, 1.004, 3.0], ["a", "b"]),  # b lies within ±0.5 % of a
        ("lower", [1.0, 1.008, 3.0], ["a"]),  # b does not, though the intervals overlap
        ("lower", [1.0, 1.001, 1.002], []),  # all alike: nothing to tell
        ("lower", [1.0], []),  # no contest
    ],
)
def test_best_and_what_cannot_be_told_from_it(quantity: str, values: list[float], best: list[str]) -> None:
    records = [
        record({"q": entry(value, "1", quantity, spread=0.005)}, cell=cell, probe="own")
        for cell, value in zip("abc", values, strict=False)
    ]
    assert [text[0] for text in best_of(records, "q")] == best


def test_a_vague_number_is_not_best_for_being_vague() -> None:
    """8 with an interval from 1 to 9 overlaps 2 ± 1 %, but is not as good."""
    vague = record({"q": entry(8.0, low=1.0, high=9.0)}, cell="vague", probe="own")
    sharp = record({"q": entry(2.0, spread=0.01)}, cell="sharp", probe="own")
    assert best_of([vague, sharp], "q") == ["sharp torch/native T=64"]


def test_what_prints_the_same_is_equally_good() -> None:
    records = [record({"q": entry(v)}, cell=c, probe="own") for c, v in (("a", 1.0001), ("b", 1.0002), ("c", 2.0))]
    assert [text[0] for text in best_of(records, "q")] == ["a", "b"]


def test_a_gradient_that_never_halves_is_not_beaten_by_one_that_does() -> None:
    """It has no half-life, so nobody is best; and the decay rate steps in to tell what it does."""
    records = [gradient(-0.1, cell="rnn"), gradient(-0.01, cell="gru"), gradient(0.02, cell="irnn")]
    assert best_of(records, "gradient.half_life") == []
    text = render(records, "table")
    assert (
        block_of(text, "half-life of the gradient at initialisation,")
        == """\
half-life of the gradient at initialisation, steps (higher is better)
cell  implementation  T=64
rnn   torch/native    6.93
gru   torch/native    69.3
irnn  torch/native       –"""
    )
    assert (
        block_of(text, "decay rate of the gradient at initialisation,").splitlines()[-1]
        == "irnn  torch/native     0.0200"
    )
    assert "decay rate of the gradient" not in render(records[:2], "table")
    assert best_of(records[:2], "gradient.half_life") == ["gru torch/native T=64"]


def test_bounds_are_shown_and_a_censored_number_is_never_best() -> None:
    """Not even where its budget ended below the other's number."""
    records = [training(0.1, None, cell="rnn", budget=200), training(0.005, 300, cell="lstm", budget=1000)]
    records = [replace(one, case=replace(one.case, settings={"task": "adding"})) for one in records]
    assert block_of(render(records, "table"), "adding: steps to target").splitlines()[1:] == [
        "cell  implementation               T=64",
        "rnn   torch/native    >200, 0/1 reached",
        "lstm  torch/native     300, 1/1 reached",
    ]


def test_a_program_that_was_checked_loosely_says_so_in_its_row_and_below() -> None:
    records = [timing(1e-6, cell="rnn", verified="weak"), timing(2e-6, cell="lstm")]
    assert best_of(records, "train.time_per_step") == ["rnn torch/native (weakly verified) T=64"]
    shown = render(records, "table")
    assert "rnn   torch/native (weakly verified)" in shown
    assert "(weakly verified) rounding decides so much of its outputs that a tenth too much would have passed" in shown


def test_unverified_rows_are_labelled_and_not_ranked() -> None:
    records = [timing(1e-6, cell="mine", verified="none"), timing(2e-6, cell="rnn"), timing(3e-6, cell="lstm")]
    assert best_of(records, "train.time_per_step") == ["rnn torch/native T=64"]
    assert "mine  torch/native (unverified)   1.00" in render(records, "table")


@pytest.mark.parametrize("status", ["skipped", "failed", "wrong", "diverged", "timeout", "oom", "crashed"])
def test_every_status_is_a_word_in_the_table_and_a_reason_below(status: str) -> None:
    records = [timing(1e-6), record(status=status, reason="because of the moon", seq_len=128)]
    text = render(records, "table")
    assert block_of(text, "train time per step").splitlines()[-1].split()[-1] == status
    assert f"- {status} ×1: throughput lstm torch/native cpu T=128: because of the moon" in text


def test_a_run_without_any_number_still_shows_its_rows() -> None:
    records = [record(status="failed", reason="no", cell=cell, seq_len=T) for cell in ("rnn", "gru") for T in (8, 16)]
    assert (
        block_of(render(records, "table"), "throughput")
        == """\
throughput
cell  implementation     T=8    T=16
rnn   torch/native    failed  failed
gru   torch/native    failed  failed"""
    )
    for format in get_args(Format):
        assert render(records, format)


def test_an_absent_device_is_told_once_above_the_tables() -> None:
    here = [timing(1e-6, cell=cell) for cell in ("rnn", "gru")]
    gone = [record(status="skipped", reason="no GPU", cell=cell, device="cuda") for cell in ("rnn", "gru")]
    text = render([*here, *gone], "table")
    assert block_of(text, "train time per step").splitlines()[1:] == [
        "cell  implementation  T=64",
        "rnn   torch/native    1.00",
        "gru   torch/native    1.00",
    ]
    assert text.splitlines()[1] == "cuda: not here (torch: no GPU)"
    assert text.count("no GPU") == 1 and "skipped ×" not in text


def test_auto_is_shown_as_what_it_became_even_where_it_failed() -> None:
    records = [
        timing(1e-6, implementation="auto", ran="native"),
        record(status="timeout", reason="slow", implementation="auto", ran="", seq_len=128),
    ]
    assert block_of(render(records, "table"), "train time per step").splitlines()[2:] == [
        "lstm  torch/native    1.00  timeout"
    ]


def test_kinds_of_memory_never_share_a_block() -> None:
    records = [memory(2**20), memory(2**22, kind="allocator", device="cuda")]
    text = render(records, "table")
    assert block_of(text, "train peak memory (process)").splitlines()[2:] == ["lstm  torch/native    cpu     1.00"]
    assert block_of(text, "train peak memory (allocator)").splitlines()[2:] == ["lstm  torch/native    cuda    4.00"]


def test_quantities_of_an_unknown_probe_are_all_shown() -> None:
    quantities = {"energy.per_step": entry(3.0, "J"), "novelty": entry(0.5, "1", "higher")}
    text = render([record(quantities, probe="energy")], "table")
    assert "energy per step, J (lower is better)" in text
    assert "novelty (higher is better)" in text


def replicates(
    losses: Sequence[float | None], steps: Sequence[int | None], lr: float = 0.01, cell: str = "lstm"
) -> list[Record]:
    """One seed per loss; None diverged."""
    records = []
    for replicate, (loss, step) in enumerate(zip(losses, steps, strict=True)):
        one = training(loss or 0.0, step, lr, replicate, cell=cell)
        if loss is None:
            one = replace(one, status="diverged", reason="lower lr", quantities={}, curves={})
        records.append(one)
    return records


def test_replicates_are_median_and_range() -> None:
    text = render(replicates([0.006, 0.004, 0.009], [300, 250, 420]), "table")
    assert "lstm  torch/native    0.00600 (0.00400–0.00900)" in text
    assert "lstm  torch/native    300 (250–420), 3/3 reached" in text
    assert "m (a–b) median and range of 3 repetitions" in text


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([300, None, 250], "300 (250–1000), 2/3 reached"),  # the censored seed lies above the median: it is exact
        ([300, None, None], ">1000 (300–1000), 1/3 reached"),
        ([300, None], ">650 (300–1000), 1/2 reached"),  # at least the mean of 300 and 1000
    ],
)
def test_the_median_of_censored_steps_is_a_bound_where_it_must_be(steps: list[int | None], text: str) -> None:
    records = replicates([0.1] * len(steps), steps)
    assert f"  {text}\n" in render(records, "table")


def test_a_diverged_seed_counts_as_the_worst() -> None:
    text = render(replicates([0.004, 0.008, None], [250, 300, None]), "table")
    assert "0.00800 (0.00400–0.00800), 1 diverged" in text
    assert "300 (250–300), 1 diverged, 2/3 reached" in text
    mostly = render(replicates([0.004, None, None], [250, None, None]), "table")
    assert block_of(mostly, "adding: best validation loss").splitlines()[-1].split()[-1] == "diverged"


def test_the_best_learning_rate_is_chosen_per_cell_by_median_loss_and_named() -> None:
    records = [
        *replicates([0.05, 0.06, 0.07], [None] * 3, 0.001, cell="lstm"),
        *replicates([0.01, 0.02, 0.9], [300, 400, None], 0.01, cell="lstm"),
        *replicates([0.03, 0.03, 0.03], [None] * 3, 0.001, cell="rnn"),
        *replicates([0.001, None, None], [100, None, None], 0.01, cell="rnn"),  # median diverged
    ]
    text = render(records, "table")
    assert "optimizer adam, lr best of 0.001, 0.01, max_steps 1000" in text
    assert block_of(text, "adding: best validation loss").splitlines()[-2:] == [
        "lstm  torch/native    0.0200 (0.0100–0.900), lr 0.01",
        "rnn   torch/native                  0.0300, lr 0.001",
    ]


def test_tasks_have_blocks_of_their_own() -> None:
    one = training(0.1, None)
    other = training(0.2, None, settings={**one.case.settings, "task": "copy(symbols=4)"})
    titles = [block.title for block in build([one, other]).blocks]
    assert titles[1::2] == ["adding: best validation loss", "copy(symbols=4): best validation loss"]


@pytest.mark.parametrize("differs", [{}, {"seq_len": 128}, {"backend": "jax", "implementation": "scan"}])
def test_two_environments_never_share_a_row_nor_a_ranking_in_silence(differs: dict[str, Any]) -> None:
    """The same case twice, two lengths of a program, two frameworks: each row says where it ran."""
    records = [timing(1e-6, environment="old"), timing(2e-6, environment="new", **differs)]
    lines = block_of(render(records, "table"), "train time per step").splitlines()
    assert [line.split().count(name) for line, name in zip(lines[-2:], ("old", "new"), strict=True)] == [1, 1]


def test_the_interval_of_a_single_number_is_shown_where_it_is_wide() -> None:
    made = [record({"q": entry(v, low=a, high=b)}, cell=c, probe="own") for c, v, a, b in WIDE_AND_NARROW]
    text = render(made, "table")
    shown = [line.split("torch/native")[1].strip() for line in block_of(text, "q").splitlines()[-3:]]
    assert shown == ["22.0 (4.00–34.0)", "22.0", "1.00* (-1.00–2.00)"]
    assert "x (a–b) 95 % interval of a single number, where its ends are a factor of 1.5 apart or more" in text
    tex = render(made, "latex")
    assert "22.0 (4.00--34.0)" in tex and r"$22.0 \pm 2.0$" in tex


def test_an_interval_wider_than_tenfold_is_no_number() -> None:
    vague = record({"q": entry(22.0, low=4.0, high=340.0)}, cell="vague", probe="own")
    others = [record({"q": entry(v, spread=0.01)}, cell=c, probe="own") for c, v in (("a", 20.0), ("b", 40.0))]
    text = render([vague, *others], "table")
    assert "unclear (4.00–340)" in text and "unclear (a–b) the 95 % interval spans more than a factor of 10" in text
    assert "Q (T=64): a (torch/native) 20.0 s; b (torch/native) 40.0 s. The first is 2.0 times ahead." in text
    assert best_of([vague, *others], "q") == ["a torch/native T=64"]


@pytest.mark.parametrize("samples", [[89e-6], [89e-6, 89e-6, 89e-6], [89e-6] * 20])
def test_a_timing_of_few_samples_or_without_spread_is_in_no_ranking(samples: list[float]) -> None:
    one = entry(89e-6, low=89e-6, high=89e-6, samples=samples)
    few = record({"train.time_per_step": one, "train.limit_share": entry(0.5, "1", "higher", low=0.5, high=0.5)})
    others = [timing(cost, cell=cell) for cell, cost in (("gru", 100e-6), ("rnn", 300e-6))]
    text = render([few, *others], "table")
    assert f"lstm  torch/native    ~89.0 (n={len(samples)})" in text and f"~0.500 (n={len(samples)})" in text
    assert best_of([few, *others], "train.time_per_step") == ["gru torch/native T=64"]
    before_tables = text.partition("train time per step, µs")[0]
    assert (
        "gru (torch/native) 100 µs; rnn (torch/native) 300 µs. The first is 3.0" in before_tables
        and "89" not in before_tables
    )
    assert "~x (n=k) from k samples: fewer than the 6 that an interval needs, or all alike; not ranked" in text


WIDE_AND_NARROW = [("wide", 22.0, 4.0, 34.0), ("narrow", 22.0, 20.0, 24.0), ("around zero", 1.0, -1.0, 2.0)]


def test_a_narrow_window_gets_stripes_that_repeat_the_labels() -> None:
    records = [timing(1e-6, seq_len=length) for length in (64, 128, 255)]
    lines = plain_text.render(build(records), width=34).splitlines()
    assert max(map(len, lines)) <= 34
    assert [line for line in lines if line.startswith("cell")] == [
        "cell  implementation  T=64  T=128",
        "cell  implementation  T=255",
    ] * 2  # one table for the time per step, one for the first call


def test_colours_change_no_width() -> None:
    table = build(SMALL, "demo")
    coloured = plain_text.render(table, style=plain_text.coloured)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain_text.render(table)


def test_a_terminal_gets_colours_and_a_pipe_does_not() -> None:
    code = (
        "import sys; sys.path[:0] = ['tests/report', 'tests/support']; from test_report_table import SMALL; "
        "from rnnbench.report import render; print(render(SMALL, 'table'))"
    )
    main, side = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    subprocess.run([sys.executable, "-c", code], stdout=side, check=True, env=environment)
    os.close(side)
    assert b"\x1b[1;32m10.0*" in os.read(main, 65536)
    os.close(main)
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_run_in_every_format(format: Any) -> None:
    text = render(whole_run((64, 256, 1024)), format, title="long_seq")
    assert text.endswith("\n")
    assert "mingru" in text


def test_backends_stay_together_whatever_finished_first() -> None:
    made = (("rnn", "torch", "native"), ("rnn", "jax", "scan"), ("lru", "jax", "scan"), ("lru", "torch", "eager"))
    records = [timing(1e-6, cell=cell, backend=backend, implementation=name) for cell, backend, name in made]
    (rows,) = [panel.series for panel in panels(records)]
    assert [one.name for one in rows] == ["rnn (torch/native)", "rnn (jax/scan)", "lru (torch/eager)", "lru (jax/scan)"]


def test_the_order_of_rows_is_the_order_of_the_suite_not_of_the_records() -> None:
    """Breadth first: a cell's longer lengths come after the next cell's shorter ones."""
    records = [timing(1e-6, cell=c, seq_len=T) for T in (64, 128) for c in ("rnn", "lstm")]
    (panel,) = panels(records)
    assert [series.axes["cell"] for series in panel.series] == ["rnn", "lstm"]


def test_bad_requests_say_what_is_allowed() -> None:
    with pytest.raises(UsageError, match="no report format 'markdwon'"):
        render(SMALL, "markdwon")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no records to report"):
        render([], "table")


def test_importing_the_reports_is_cheap() -> None:
    code = (
        "import sys, rnnbench.report; "
        "heavy = {'pandas', 'matplotlib', 'numpy', 'rich', 'torch', 'jax'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_time_of_a_report_grows_with_the_records_and_no_faster() -> None:
    """Five times the records, five times as long; anything quadratic takes 25 times as long."""

    def seconds(settings: int) -> float:
        records = [
            timing(1e-5, cell=cell, seq_len=length, hidden_size=size, settings={"a": a})
            for a in range(settings)
            for cell in ("rnn", "lstm", "gru", "lru", "mingru")
            for size in (64, 128)
            for length in (64, 128, 256, 512, 1024)
        ]
        started = time.process_time()
        render(records, "table")
        return time.process_time() - started

    seconds(1)  # imports
    assert min(seconds(50) for _ in range(2)) < 16 * min(seconds(10) for _ in range(3))


def test_the_share_of_the_limit_says_what_binds_where_all_processes_agree() -> None:
    def shares(*binds: str) -> str:
        one = record({"train.limit_share": entry(0.25, "1", "higher")})
        parts = [replace(one.parts[0], details={"train": {"limit": {"binds": word}}}) for word in binds]
        return render([merge(one.case, parts)], "table")

    assert "0.250, latency" in shares("latency", "latency")
    assert "latency" not in shares("latency", "compute")


def test_an_axis_that_a_probe_ignores_is_not_told() -> None:
    """`parallelism` tries every batch size: that of the case says nothing about it."""

    def heading_of(*ignored: str) -> str:
        quantity = {"train.saturation_batch": entry(64, "1", "lower")}
        return render([record(quantity, probe="parallelism", details={"ignored": list(ignored)})], "table")

    assert "batch 16" in heading_of()
    assert "batch 16" not in heading_of("batch_size") and "hidden 128" in heading_of("batch_size")


def test_a_compilers_lower_bound_is_never_best_and_never_first_in_a_sentence() -> None:
    """Fault: an lstm's training step, 0.64 MiB of HBM and the rest on the chip, was marked as the least of all."""

    def planned(size: float, bound: str | None, **fields: Any) -> Record:
        mib = entry(size * 2**20, "B", deterministic=True, bound=bound, origin="compiled")
        plan = {"train": {"caveats": ["more may be in use"] if bound else []}}
        return record(
            {"train.peak_memory.compiled": mib}, probe="memory", device="tpu:v5e", details={"compiled": plan}, **fields
        )

    sizes = {"lstm": 0.64, "gru": 4.0}
    bounded = render([planned(size, "lower", cell=cell) for cell, size in sizes.items()], "table")
    assert ">0.64" in bounded and "*" not in bounded and "lstm at least" not in bounded
    assert "tpu:v5e: sizes as its compiler plans them: more may be in use" in bounded.splitlines()
    exact = render([planned(size, None, cell=cell) for cell, size in sizes.items()], "table")
    assert "0.640*" in exact.replace(" ", "") and "plans them" not in exact  # control
