"""`params: 100_000`: every cell gets the hidden size that gives it so many parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_records import case, timing
from rnnbench import suite
from rnnbench.cell import Cell
from rnnbench.errors import SuiteError
from rnnbench.model import Model, initialise
from rnnbench.registry import Registry, load
from rnnbench.report.series import panels
from rnnbench.report.table import build
from rnnbench.suite.matching import nearest_size
from rnnbench.suite.schema import json_schema

CELLS = ("rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru")
SUITE = """\
name: sized
grid:
  cell: [{cells}]
  backend: torch
  seq_len: {lengths}
  {size}
probes: {probes}
"""


@cache
def shipped() -> Registry:
    return load([])


def plan(
    folder: Path,
    size: str,
    cells: str = "lstm",
    probes: str = "{throughput: {}}",
    lengths: str = "16",
    registry: Any = None,
    **more: Any,
) -> suite.Plan:
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(size=size, cells=cells, probes=probes, lengths=lengths))
    return suite.plan(suite.read(path), registry or shipped(), **more)


def refused(folder: Path, *args: Any, **more: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        plan(folder, *args, **more)
    return str(caught.value).replace(f"{folder}/", "")


def with_cell(cell: Cell) -> Any:
    """The shipped registry and one more cell."""
    return replace(shipped(), cells={**shipped().cells, cell.name: cell})


def counted(cell: str, inputs: int, size: int, **more: Any) -> int:
    return initialise(Model(shipped().cells[cell], inputs, size, **more)).count


@pytest.mark.parametrize("name", CELLS)
def test_the_size_found_is_the_nearest_of_all(name: str) -> None:
    """Against a search through every size, for counts from below that of one unit to that of 60."""
    counts = {size: counted(name, 3, size) for size in range(1, 200)}
    for asked in (1, 50, 500, 1000, counts[17], counts[17] + 1, counts[60] - 1):
        found = nearest_size(lambda size: counted(name, 3, size), asked)
        assert abs(counts[found] - asked) == min(abs(count - asked) for count in counts.values())


@pytest.mark.parametrize("asked", [1_000, 100_000, 1_000_000])
def test_every_shipped_cell_is_within_two_percent(asked: int, tmp_path: Path) -> None:
    """Small models come in coarse steps: on ten inputs a GRU of 13 has 975, an LRU of 16 has 1,040: refused."""
    coarse = {"gru", "lru"} if asked == 1_000 else set()
    for name in coarse:
        assert "no hidden size within 2% of 1,000" in refused(tmp_path, "params: 1000\n  input_size: 10", name)
    cells = [name for name in CELLS if name not in coarse]
    found = plan(tmp_path, f"params: {asked}\n  input_size: 10", ", ".join(cells)).cases
    assert [one.cell for one in found] == cells
    for one in found:
        assert one.params == asked
        assert counted(one.cell, 10, one.hidden_size) == pytest.approx(asked, rel=0.02)


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3)])
def test_a_million_by_the_closed_form(cell: str, gates: int, tmp_path: Path) -> None:
    """gates·(H² + D·H + 2H), two biases each as in torch: the integer next to the positive root."""
    (found,) = plan(tmp_path, "params: 1000000", cell).cases
    half = (32 + 2) / 2
    assert found.hidden_size == round(np.sqrt(half**2 + 1_000_000 / gates) - half)


def test_layers_and_the_head_of_a_task_are_counted(tmp_path: Path) -> None:
    """Two LSTM layers and a head of O rows with biases: 4H(D+H+2) + 4H(2H+2) + O(H+1)."""
    probes = "{throughput: {}, convergence: {task: delayed_recall}}"
    plain, trained = plan(tmp_path, "params: 100000\n  layers: 2", probes=probes).cases
    outputs = shipped().tasks["delayed_recall"].outputs(**shipped().tasks["delayed_recall"].options)
    D, H = trained.input_size, trained.hidden_size
    assert 4 * H * (D + H + 2) + 4 * H * (2 * H + 2) + outputs * (H + 1) == pytest.approx(100_000, rel=0.02)
    assert (plain.input_size, plain.params, trained.params) == (32, 100_000, 100_000)
    assert plain.hidden_size != trained.hidden_size


def test_a_size_asked_for_by_its_count_is_the_same_case(tmp_path: Path) -> None:
    (matched,) = plan(tmp_path, "params: 100000").cases
    (sized,) = plan(tmp_path, f"hidden_size: {matched.hidden_size}").cases
    assert (matched.params, sized.params) == (100_000, None)
    assert (matched.id, matched.program_id) == (sized.id, sized.program_id)


def test_several_counts_multiply_and_two_that_mean_one_size_are_one_case(tmp_path: Path) -> None:
    found = plan(tmp_path, "params: [10000, 100000, 100100]").cases
    assert [(one.params, one.hidden_size) for one in found] == [(10_000, 36), (100_000, 142)]


def test_counts_can_be_set_selected_included_and_given_to_one_probe(tmp_path: Path) -> None:
    sizes = [one.hidden_size for one in plan(tmp_path, "hidden_size: 7", overrides=["params=[10000, 100000]"]).cases]
    assert sizes == [36, 142]
    assert [one.hidden_size for one in plan(tmp_path, "params: 10000", overrides=["hidden_size=7"]).cases] == [7]
    only = plan(tmp_path, "params: [10000, 100000]", only=["params=100000"])
    assert [one.hidden_size for one in only.cases] == [142]
    mixed = plan(tmp_path, "params: 10000\n  include: [{hidden_size: 8}]\n  exclude: [{params: 10000}]")
    assert [one.hidden_size for one in mixed.cases] == [8]
    own = plan(tmp_path, "hidden_size: 8", probes="{throughput: {grid: {params: 10000}}}")
    assert [one.hidden_size for one in own.cases] == [36]


def test_the_resolved_suite_says_what_was_asked_for(tmp_path: Path) -> None:
    matched = plan(tmp_path, "params: 10000")
    assert matched.resolved["grid"]["params"] == [10000]
    assert "hidden_size" not in matched.resolved["grid"]
    assert matched.hash != plan(tmp_path, "hidden_size: 36").hash


def test_the_json_schema_refuses_both_and_takes_either() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for grid, valid in (
        ({"params": 1000}, True),
        ({"params": [1000, 2000]}, True),
        ({"hidden_size": 8}, True),
        ({"params": 1000, "hidden_size": 8}, False),
        ({"params": 0}, False),
    ):
        document = {"name": "x", "grid": {"cell": "lstm", "seq_len": 8, **grid}, "probes": {"throughput": None}}
        assert jsonschema.Draft202012Validator(json_schema()).is_valid(document) == valid, grid


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("params: 100\n  input_size: 32", "lstm with input size 32, 1 layer has no hidden size within 2% of 100"),
        ("params: 100\n  input_size: 32", "the nearest, 1, has 140"),
        ("params: 0", "found 0; it should be greater than or equal to 1"),
        ("params: 1e5", "found 100000.0; it should be a whole number"),
        ("params: many", 'found "many"; it should be a whole number'),
        ("params: []", "at least 1 item"),
        ("params: 1000\n  hidden_size: 8", "`params` and `hidden_size` both say how large; keep one of them"),
    ],
)
def test_an_impossible_count_is_refused_at_its_line(size: str, message: str, tmp_path: Path) -> None:
    found = refused(tmp_path, size)
    assert found.startswith("suite.yaml:6: grid.params")
    assert message in found


def test_an_impossible_count_of_a_task_names_its_head(tmp_path: Path) -> None:
    found = refused(tmp_path, "params: 20", probes="{convergence: {task: adding}}")
    assert "lstm with input size 2, 1 layer and a head of 1 output has no hidden size within 2% of 20" in found


def test_an_embedding_is_counted_where_the_probe_has_one(tmp_path: Path) -> None:
    """D·E of the table, and the first layer sees E features: 9·64 + 4H(64 + H + 2) + 8(H + 1)."""
    probes = "{{convergence: {{task: delayed_recall, embedding: {}}}}}"
    (plain,) = plan(tmp_path, "params: 20000", probes=probes.format("null")).cases
    (embedded,) = plan(tmp_path, "params: 20000", probes=probes.format(64)).cases
    size = embedded.hidden_size
    assert 9 * 64 + 4 * size * (64 + size + 2) + 8 * (size + 1) == pytest.approx(20_000, rel=0.02)
    assert size < plain.hidden_size
    found = refused(tmp_path, "params: 500", probes=probes.format(64))
    assert "lstm with input size 9, embedding 64, 1 layer and a head of 8 outputs has no hidden size" in found


def cell_of(count: Any) -> Cell:
    """A cell of count(D, H) parameters."""
    return Cell("own", init=lambda rng, D, H: ({"w": np.zeros(count(D, H))}, np.zeros(H)), step=lambda *_: (0, 0))


@pytest.mark.parametrize(
    "count",
    [
        lambda D, H: 8 * H,
        lambda D, H: H**3 // 7 + 5,
        lambda D, H: 64 * (H // 8 + 1) ** 2,  # in steps of eight
        lambda D, H: int(500 * np.log(H + 1)) + H,
    ],
    ids=["linear", "cubic", "steps", "logarithmic"],
)
def test_a_count_of_any_shape_is_matched(count: Any, tmp_path: Path) -> None:
    asked = count(32, 321)
    (found,) = plan(tmp_path, f"params: {asked}", "own", registry=with_cell(cell_of(count))).cases
    assert count(32, found.hidden_size) == pytest.approx(asked, rel=0.02)


def test_a_cell_without_parameters_and_one_that_raises_are_problems_of_the_suite(tmp_path: Path) -> None:
    found = refused(tmp_path, "params: 1000", "own", registry=with_cell(cell_of(lambda D, H: 3)))
    assert "own with input size 32, 1 layer has no hidden size within 2% of 1,000 parameters" in found

    def init(rng: Any, D: int, H: int) -> Any:
        raise ValueError("H must be a multiple of 7")

    broken = Cell("own", init=init, step=lambda *_: (0, 0))
    found = refused(tmp_path, "params: 1000", "own", registry=with_cell(broken))
    assert "counting the parameters of own with input size 32, 1 layer raised ValueError: H must be a multiple" in found


def test_a_suite_of_ten_thousand_matched_cases_counts_each_model_once(tmp_path: Path) -> None:
    """Few distinct models, so the expansion stays as quick as without; calls of `init` are what would cost."""
    calls = []

    def init(rng: Any, D: int, H: int) -> Any:
        calls.append(H)
        return {"w": np.zeros((H, H + D))}, np.zeros(H)

    registry = with_cell(Cell("own", init=init, step=lambda *_: (0, 0)))
    lengths = str(list(range(1, 101)))
    sizes = f"params: [10000, 100000]\n  batch_size: {list(range(1, 51))}"
    found = plan(tmp_path, sizes, "own", lengths=lengths, registry=registry)
    assert len(found.cases) == 10_000
    assert len(calls) <= 2 * 6


def test_matched_rows_of_unlike_sizes_compete_and_show_both(tmp_path: Path) -> None:
    sizes = {"lstm": (142, 1e-6), "gru": (166, 2e-6)}
    unmatched = [timing(time, cell=cell, hidden_size=size) for cell, (size, time) in sizes.items()]
    matched = [replace(one, case=replace(one.case, params=100_000)) for one in unmatched]
    (panel,) = panels(matched)
    assert [series.name for series in panel.series] == ["lstm (torch/native)", "gru (torch/native)"]
    table = build(matched)
    (block,) = [block for block in table.blocks if block.quantity == "train.time_per_step"]
    assert [(row.labels, row.entries[0].best) for row in block.rows] == [
        (("lstm", "torch/native", "142"), True),
        (("gru", "torch/native", "166"), False),
    ]
    assert "params 100000" in table.header[-1]
    assert not any(row.entries[0].best for row in build(unmatched).blocks[0].rows)


def test_a_record_without_the_field_is_read_as_before() -> None:
    data = case().to_json()
    del data["params"]
    assert type(case()).from_json(data) == case()
