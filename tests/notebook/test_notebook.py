"""What a notebook gets: `rnnbench.load`, `rnnbench.run`, `rnnbench.compare`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import rnnbench
from report_records import memory, record, timing, training
from rnnbench.notebook.frame import curves, frame, samples
from rnnbench.notebook.stored_run import Run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
RECORDS = [
    timing(10e-6, cell="rnn", seq_len=64),
    timing(20e-6, cell="rnn", seq_len=128),
    record(status="oom", reason="needs 3 GiB", cell="rnn", seq_len=256),
    memory(1e6),
    training(0.1, 300, cell="gru"),
    training(0.2, None, cell="lstm"),
]
BACKEND = next((name for name in ("torch", "jax") if importlib.util.find_spec(name)), None)


@pytest.fixture(scope="module")
def smoke() -> Run:
    return rnnbench.load("smoke", results=RESULTS)


def test_a_frame_has_a_row_per_number_and_one_per_case_without():
    found = frame(RECORDS)
    assert len(found) == sum(max(1, len(one.quantities)) for one in RECORDS)
    assert list(found.columns[:4]) == ["probe", "cell", "backend", "implementation"]
    bad = found.loc[found.status != "ok"]
    assert [list(bad[name]) for name in ("status", "reason", "seq_len")] == [["oom"], ["needs 3 GiB"], [256]]
    assert all(bad[name].isna().all() for name in ("quantity", "value", "low", "unit"))
    steps = found[(found.quantity == "train.time_per_step") & (found.cell == "rnn")].set_index("seq_len")
    assert steps.value.to_dict() == pytest.approx({64: 10e-6, 128: 20e-6})
    assert (steps.low < steps.value).all() and (steps.n == 9).all() and set(steps.unit) == {"s"}
    censored = found[(found.quantity == "steps_to_target") & (found.cell == "lstm")]
    assert list(censored.bound) == ["lower"]


def test_settings_are_columns_where_they_vary():
    found = frame([training(0.1, 300), training(0.2, 300, lr=0.1)])
    assert set(found.task) == {"adding"} and "max_steps" not in found.columns
    assert found.groupby("lr").size().shape == (2,)


def test_samples_and_curves_are_long_too(smoke):
    found = samples(RECORDS)
    own = found[(found.quantity == "train.time") & (found.seq_len == 64) & (found.cell == "rnn")]
    assert list(own["sample"]) == list(range(9)) and own.value.median() == pytest.approx(640e-6)
    drawn = smoke.curves()
    assert {"curve", "x_name", "x", "y_name", "y", "cell"} <= set(drawn.columns) and len(drawn) > 10
    assert curves([]).empty and frame([]).empty and samples([]).empty


@pytest.mark.parametrize("name", ["smoke", str(RESULTS / "runs/smoke"), "a path", "latest"])
def test_a_run_is_named_as_on_the_command_line(name, smoke):
    if name == "a path":
        assert rnnbench.load(smoke.path).records == smoke.records
    elif name == "latest":
        assert rnnbench.load(name, results=RESULTS).path.parent.parent == RESULTS / "runs"
    elif name == "smoke":
        assert rnnbench.load(name, results=str(RESULTS)).suite == "smoke"
    else:
        with pytest.raises(rnnbench.UsageError, match="is no run"):
            rnnbench.load(name, results=RESULTS)
    assert rnnbench.load(smoke) is smoke


def test_one_quantity_is_wide(smoke):
    found = smoke.wide("train.time_per_step")
    assert found.index.names[0] == "cell" and found.columns.name == "seq_len"
    assert (found > 0).any(axis=None)
    with pytest.raises(rnnbench.UsageError, match=r"'train.tim'\. Did you mean 'train.time'\? There are: .*train.time"):
        smoke.wide("train.tim")


def test_a_run_shows_itself(smoke):
    page = smoke._repr_html_()
    assert page.count("<table>") >= 3 and page.count("<table>") == page.count("</table>")
    assert repr(smoke).startswith("<Run of smoke: 40 cases (")
    assert str(smoke.table()).strip() and isinstance(smoke.findings, list)
    hostile = Run(smoke.path, [timing(1e-5, cell="<script>")], {"suite_name": "<b>"})
    assert "<script>" not in hostile._repr_html_() and "<b>" not in hostile.table()._repr_html_()


@pytest.mark.parametrize("name", ["train.time_per_step", "a curve"])
def test_a_plot_is_a_figure_that_pyplot_does_not_know(smoke, name):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    if name == "a curve":
        name = "gradient.log_norm"
    figure = smoke.plot(name)
    assert isinstance(figure, Figure) and figure.axes and figure.axes[0].get_lines()
    assert pyplot.get_fignums() == []
    with pytest.raises(rnnbench.UsageError, match=r"no case of .* has a number 'nothing'"):
        smoke.plot("nothing")


def test_two_runs_side_by_side(smoke):
    a = Run(Path("a"), RECORDS, {"suite_name": "demo"})
    b = Run(Path("b"), [timing(20e-6, cell="rnn", seq_len=64), *RECORDS[1:]], {"suite_name": "demo"})
    found = rnnbench.compare(a, b)
    rows = found.frame()
    worse = rows[(rows.verdict == "worse") & (rows.quantity == "train.time_per_step")]
    assert list(worse.ratio) == pytest.approx([2.0])
    page = found._repr_html_()
    assert "train.time_per_step" in page and "worse" in page
    assert "time per step" in str(found)
    assert str(found).splitlines()[1:3] == ["A: a", "B: b"]
    with pytest.raises(rnnbench.UsageError, match="no case is in both"):
        rnnbench.compare(a, smoke)


@pytest.mark.skipif(BACKEND is None, reason="needs torch or jax")
def test_a_suite_is_run_from_a_dict_and_kept(tmp_path, capfd):
    suite = {
        "name": "tiny",
        "grid": {"cell": "rnn", "backend": BACKEND, "seq_len": 4, "hidden_size": 4, "batch_size": 2},
        "probes": {"throughput": {"modes": ["forward"], "processes": 1, "budget": 0.02}},
    }
    found = rnnbench.run(suite, results=tmp_path, seq_len=[4, 8], progress=True)
    assert sorted(found.frame().seq_len.unique()) == [4, 8]
    assert [one.status for one in found.records] == ["ok", "ok"]
    assert rnnbench.load("tiny", results=tmp_path).path == found.path
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("[2/2] throughput rnn ")


def test_a_wrong_suite_measures_nothing(tmp_path):
    with pytest.raises(rnnbench.SuiteError, match="Did you mean 'lstm'"):
        rnnbench.run({"name": "t", "grid": {"cell": "lstmm", "seq_len": 8}, "probes": {"memory": {}}}, results=tmp_path)
    with pytest.raises(rnnbench.SuiteError, match="is not JSON serializable"):
        rnnbench.run({"name": "t", "grid": {"cell": object()}}, results=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_it_is_quick():
    code = "import rnnbench, sys; rnnbench.run, rnnbench.load; print('pandas' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
