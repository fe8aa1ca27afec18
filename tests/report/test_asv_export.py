"""A run becomes points in asv's graphs, checked with the real asv in a repository of three commits."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from report_records import entry, memory, record, timing, training
from rnnbench.errors import UsageError
from rnnbench.quantity import Quantity, Reading
from rnnbench.record import Record
from rnnbench.report.asv import export
from rnnbench.report.asv.scheme import MAX_NAME, PARAM_NAMES, Scheme

asv_results = pytest.importorskip("asv.results")

ENVIRONMENT = {
    "machine": {
        "cpu": "Test CPU @ 2.00GHz",
        "cores_allowed": 2,
        "memory": 8 << 30,
        "architecture": "x86_64",
        "gpus": [],
    },
    "software": {"os": "Linux", "python": "CPython 3.11.7", "versions": {"torch": "2.13.0", "jax": "0.8.1"}},
}
TORCH, JAX = "torch-2.13.0-py3.11-cpu", "jax-0.8.1-py3.11-cpu"
MACHINE = "test-cpu-2.00ghz-2cpu"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits on `main`, an hour apart."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Tester")
    git(folder, "config", "user.email", "tester@example.org")
    for number in range(3):
        (folder / "code.txt").write_text(f"version {number}\n")
        git(folder, "add", "code.txt")
        git(folder, "commit", "-q", "-m", f"version {number}", f"--date=@{1_700_000_000 + 3600 * number} +0000")
    return folder


def commits(folder: Path) -> list[str]:
    return git(folder, "rev-list", "--reverse", "HEAD").splitlines()


def run_json(commit: str | None, dirty: bool = False, suite: dict[str, Any] | None = None) -> dict[str, Any]:
    state = {"commit": commit, "dirty": dirty} if commit else None
    environments = {"env1": ENVIRONMENT}
    return {"suite_name": "demo", "suite": suite or {}, "environments": environments, "git": state}


def a_run(per_step: float) -> list[Record]:
    """Two cells on two frameworks at two lengths; the jax GRU fails at 128 and skips 64, lstm needs 300 steps."""
    records = [
        timing(per_step * cost * slow, cell=cell, backend=backend, implementation=name, seq_len=length)
        for cell, cost in (("lstm", 2.0), ("gru", 1.0))
        for backend, name, slow in (("torch", "native", 1.0), ("jax", "scan", 3.0))
        for length in (64, 128)
    ]
    records[6:] = [
        record(status="skipped", reason="not here", cell="gru", backend="jax", implementation="scan", seq_len=64),
        record(status="failed", reason="it broke", cell="gru", backend="jax", implementation="scan", seq_len=128),
    ]
    records += [memory(1e6), training(0.005, 300), training(0.006, None, cell="gru")]
    return records


def row(path: Path, benchmark: str) -> dict[str, Any]:
    data = json.loads(path.read_text())
    return dict(zip(data["result_columns"], data["results"][benchmark], strict=True))


def test_one_file_per_framework_with_every_lower_is_better_quantity(repository: Path) -> None:
    commit = commits(repository)[0]
    done = export(a_run(1e-5), run_json(commit), repository / "results/asv")
    assert done.folder == repository / "results/asv" / MACHINE
    assert [path.name for path in done.files] == [f"{commit[:8]}-{TORCH}.json", f"{commit[:8]}-{JAX}.json"]
    assert done.notes == ()
    listed = json.loads((repository / "results/asv/benchmarks.json").read_text())
    assert listed.pop("version") == 2
    assert sorted(listed) == [
        "demo.convergence.adding.track_best_validation_loss",
        "demo.convergence.adding.track_final_validation_loss",
        "demo.convergence.adding.track_seconds_to_target",
        "demo.convergence.adding.track_steps_to_target",
        "demo.memory.track_train_peak_memory_process",
        "demo.throughput.track_train_first_call",
        "demo.throughput.track_train_time",
        "demo.throughput.track_train_time_per_step",
    ]
    step = listed["demo.throughput.track_train_time_per_step"]
    assert (step["type"], step["unit"], tuple(step["param_names"])) == ("time", "seconds", PARAM_NAMES)
    config = "'float32, batch 16, hidden 128, input 32, layers 1, dropout 0'"
    programs = ["'torch/native'", "'jax/scan'"]
    assert step["params"] == [["'lstm'", "'gru'"], programs, ["'cpu'"], ["64", "128"], [config]]
    assert step["pretty_name"] == "demo, train time per step"


def test_values_samples_and_statistics_survive(repository: Path) -> None:
    commit = commits(repository)[0]
    torch_file, jax_file = export(a_run(1e-5), run_json(commit), repository / "results/asv").files
    torch_row = row(torch_file, "demo.throughput.track_train_time_per_step")
    assert torch_row["result"] == pytest.approx([2e-5, 2e-5, 1e-5, 1e-5])
    assert torch_row["samples"][0] == pytest.approx([2e-5 * (1 + 0.001 * k) for k in range(-4, 5)])
    assert torch_row["stats_q_25"][0] == pytest.approx(2e-5 * 0.998)
    assert torch_row["stats_repeat"][0] == 9
    assert torch_row["stats_ci_99_a"][0] < 2e-5 < torch_row["stats_ci_99_b"][0]
    jax_row = row(jax_file, "demo.throughput.track_train_time_per_step")
    assert jax_row["result"][:2] == pytest.approx([6e-5, 6e-5])
    assert math.isnan(jax_row["result"][2])  # skipped
    assert jax_row["result"][3] is None  # failed
    solved = row(torch_file, "demo.convergence.adding.track_steps_to_target")
    assert solved["result"] == [300, None]  # the GRU never arrived: no number


def test_real_asv_reads_the_files_and_agrees_on_the_statistics(repository: Path) -> None:
    done = export(a_run(1e-5), run_json(commits(repository)[0]), repository / "results/asv")
    loaded = asv_results.Results.load(str(done.files[0]), machine_name=MACHINE)
    assert loaded.params["framework"] == "torch 2.13.0"
    assert loaded.params["device"] == "cpu"
    assert loaded.date == 1_700_000_000_000
    listed = json.loads((repository / "results/asv/benchmarks.json").read_text())
    name = "demo.throughput.track_train_time_per_step"
    assert name in loaded.get_result_keys({name: listed[name]})
    stats = loaded.get_result_stats(name, listed[name]["params"])
    values = loaded.get_result_value(name, listed[name]["params"])
    assert values[0] == pytest.approx(2e-5)
    assert values[1 * 4 + 2] is None  # gru/scan was never run on torch
    assert stats[0]["number"] == 1


def test_the_same_run_twice_changes_nothing(repository: Path) -> None:
    run = (a_run(1e-5), run_json(commits(repository)[0]), repository / "results/asv")
    export(*run)
    before = {path: path.read_bytes() for path in run[2].rglob("*.json")}
    export(*run)
    assert {path: path.read_bytes() for path in run[2].rglob("*.json")} == before
    assert len(before) == 4


def test_other_runs_of_the_commit_are_kept(repository: Path) -> None:
    commit, results = commits(repository)[0], repository / "results/asv"
    export(a_run(1e-5), run_json(commit), results)
    more = [timing(5e-6, cell="rnn", seq_len=64), timing(4e-6, seq_len=256)]
    other = {**run_json(commit), "suite_name": "other"}
    (path,) = export(more, run_json(commit), results).files
    export([timing(7e-6)], other, results)
    merged = row(path, "demo.throughput.track_train_time_per_step")
    assert merged["params"][0] == ["'lstm'", "'gru'", "'rnn'"]
    assert merged["params"][3] == ["64", "128", "256"]
    values = dict(zip([(c, t) for c in "LGR" for t in (64, 128, 256)], merged["result"], strict=True))
    assert values["L", 64] == pytest.approx(2e-5)
    assert values["L", 256] == pytest.approx(4e-6)
    assert values["R", 64] == pytest.approx(5e-6)
    assert math.isnan(values["G", 256])
    assert row(path, "other.throughput.track_train_time")["result"] == pytest.approx([7e-6 * 64])
    listed = json.loads((results / "benchmarks.json").read_text())
    assert listed["demo.throughput.track_train_time"]["params"][0] == ["'lstm'", "'gru'", "'rnn'"]


def test_neither_a_skip_nor_a_failure_hides_a_number(repository: Path) -> None:
    commit, results = commits(repository)[0], repository / "results/asv"
    export([timing(1e-5, seq_len=length) for length in (64, 128, 256)], run_json(commit), results)
    later = [
        record(status="skipped", reason="x", seq_len=64),
        record(status="failed", reason="x", seq_len=128),
        timing(2e-5, seq_len=256),
    ]
    (path,) = export(later, run_json(commit), results).files
    assert row(path, "demo.throughput.track_train_time_per_step")["result"] == pytest.approx([1e-5, 1e-5, 2e-5])


def suite(**settings: Any) -> dict[str, Any]:
    """A suite complete with defaults, as far as asv's names look at it."""
    return {"probes": {"throughput": {"version": 1, "settings": settings, "grid": {}}}}


def test_adding_cells_and_raising_limits_keeps_the_history(repository: Path) -> None:
    commit, results = commits(repository)[0], repository / "results/asv"
    export([timing(1e-5)], run_json(commit, suite={**suite(budget=1.0), "timeout": 60}), results)
    more = [timing(3e-5), timing(1e-5, cell="gru", dtype="float16", batch_size=4)]
    (path,) = export(more, run_json(commit, suite={**suite(budget=1.0), "timeout": 600}), results).files
    step = row(path, "demo.throughput.track_train_time_per_step")
    assert step["params"][0] == ["'lstm'", "'gru'"]
    assert step["result"][0] == pytest.approx(3e-5)
    assert step["params"][4][0] == "'float32, batch 16, hidden 128, input 32, layers 1, dropout 0'"


@pytest.mark.parametrize("change", ["settings", "probe_version"])
def test_another_question_starts_a_new_history(repository: Path, change: str) -> None:
    commit, results = commits(repository)[0], repository / "results/asv"
    export([timing(1e-5), timing(1e-5, cell="gru")], run_json(commit, suite=suite(budget=1.0)), results)
    newer, settings = timing(3e-5), suite(budget=2.0 if change == "settings" else 1.0)
    if change == "probe_version":
        newer = replace(newer, case=replace(newer.case, probe_version=2))
    (path,) = export([newer], run_json(commit, suite=settings), results).files
    assert row(path, "demo.throughput.track_train_time_per_step")["result"] == pytest.approx([3e-5])


def test_a_setting_with_several_values_is_in_the_parameters_however_few_are_run() -> None:
    settings = {"task": "adding", "lr": [0.1, 0.01], "clip": 1.0, "replicate": [0, 1]}
    scheme = Scheme.of("demo", {"probes": {"convergence": {"settings": settings}}})
    one = training(0.1, 300).case
    cases = [replace(one, settings={"task": "adding", "lr": lr, "clip": 1.0, "replicate": 1}) for lr in (0.1, 0.01)]
    assert [scheme.combination(case)[-1].rpartition(", ")[2] for case in cases] == ["lr 0.1", "lr 0.01"]
    assert len({scheme.version(case) for case in cases}) == 1
    assert len({scheme.benchmark(case, "best_validation_loss", "1") for case in cases}) == 1


def test_sizes_solved_for_a_parameter_count_are_one_configuration() -> None:
    scheme = Scheme.of("demo", {})
    cases = [
        replace(timing(1e-5).case, cell=cell, hidden_size=H, params=10_000) for cell, H in (("rnn", 90), ("gru", 50))
    ]
    (config,) = {scheme.combination(case)[-1] for case in cases}
    assert "params 10000" in config and "hidden" not in config


def test_names_are_what_asv_and_a_file_system_can_have() -> None:
    scheme = Scheme.of("my-suite", {})
    case = replace(training(0.1, 300).case, settings={"task": f"text(file=/{'long/' * 60}path)"})
    names = [scheme.benchmark(case, quantity, "1").name for quantity in ("final_validation_loss", "x" * 200)]
    assert all(len(name) <= MAX_NAME and name.isascii() and "-" not in name and "/" not in name for name in names)
    assert names[0].endswith(".track_final_validation_loss")  # asv finds benchmarks by this
    other = replace(case, settings={"task": f"text(file=/{'long/' * 60}other)"})
    assert scheme.benchmark(other, "final_validation_loss", "1").name != names[0]


def test_a_row_that_asv_rm_has_emptied_is_filled_again(repository: Path) -> None:
    """asv drops columns of None from the end of a row when it saves it."""
    run = ([timing(1e-5)], run_json(commits(repository)[0]), repository / "results/asv")
    (path,) = export(*run).files
    before, data = path.read_bytes(), json.loads(path.read_text())
    columns = data["result_columns"]
    data["results"] = {name: row[: columns.index("stats_ci_99_a")] for name, row in data["results"].items()}
    for emptied in data["results"].values():
        emptied[columns.index("result")] = None
    path.write_text(json.dumps(data))
    export(*run)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [{"params": None}, {"result": [1.0, 2.0, 3.0]}, {"params": [["'lstm'"]], "samples": [1]}]
)
def test_a_row_of_another_program_is_not_overwritten(repository: Path, damage: dict[str, Any]) -> None:
    run = ([timing(1e-5)], run_json(commits(repository)[0]), repository / "results/asv")
    (path,) = export(*run).files
    data = json.loads(path.read_text())
    for one in data["results"].values():
        for column, value in damage.items():
            one[data["result_columns"].index(column)] = value
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="is not as asv writes it"):
        export(*run)
    assert json.loads(path.read_text()) == data


def test_replicates_become_samples_of_one_point(repository: Path) -> None:
    run = [training(loss, 300, replicate=k) for k, loss in enumerate((0.005, 0.004, 0.009))]
    (path,) = export(run, run_json(commits(repository)[0]), repository / "results/asv").files
    found = row(path, "demo.convergence.adding.track_best_validation_loss")
    assert found["result"] == [0.005]
    assert found["samples"] == [[0.005, 0.004, 0.009]]


def test_uncommitted_changes_are_labelled(repository: Path) -> None:
    commit, results = commits(repository)[0], repository / "results/asv"
    (clean,) = export([timing(1e-5)], run_json(commit), results).files
    done = export([timing(2e-5)], run_json(commit, dirty=True), results)
    assert done.files[0] != clean
    assert json.loads(done.files[0].read_text())["params"]["tree"] == "dirty"
    assert done.notes == (
        f"the run measured uncommitted changes on top of {commit[:8]}: it is kept apart as `tree: dirty`",
    )


@pytest.mark.parametrize(
    ("commit", "complaint"), [(None, "names no git commit"), ("0" * 40, "is not in a git repository around")]
)
def test_a_run_without_a_place_in_history_is_refused(repository: Path, commit: str | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        export([timing(1e-5)], run_json(commit), repository / "results/asv")


def test_nothing_to_draw_is_said(repository: Path) -> None:
    only_higher = [record({"score": entry(1.0, "1", "higher")})]
    with pytest.raises(UsageError, match="nothing to draw"):
        export(only_higher, run_json(commits(repository)[0]), repository / "results/asv")


@pytest.mark.parametrize("text", ['{"version": 1}', "not json"])
def test_a_foreign_file_is_not_overwritten(repository: Path, text: str) -> None:
    results = repository / "results/asv"
    results.mkdir(parents=True)
    (results / "benchmarks.json").write_text(text)
    with pytest.raises(UsageError, match=r"benchmarks\.json"):
        export([timing(1e-5)], run_json(commits(repository)[0]), results)
    assert (results / "benchmarks.json").read_text() == text


def test_asv_publish_draws_three_commits(repository: Path) -> None:
    """The graph of every cell, implementation and length has its three points, in the order of the commits."""
    for number, commit in enumerate(commits(repository)):
        export(a_run(1e-5 * (1 + number)), run_json(commit), repository / "results/asv")
    config = {
        "version": 1,
        "project": "demo",
        "repo": ".",
        "branches": ["main"],
        "benchmark_dir": "none",
        "results_dir": "results/asv",
        "html_dir": "html",
    }
    (repository / "asv.conf.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "asv", "publish", "--no-pull"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Couldn't find" not in done.stdout + done.stderr
    graphs = list((repository / "html/graphs").rglob("demo.throughput.track_train_time_per_step.json"))
    by_framework = {"torch" if "torch" in str(path) else "jax": path for path in graphs if "summary" not in str(path)}
    points = json.loads(by_framework["torch"].read_text())
    lstm_native_64 = [values[0] for _, values in points]
    assert lstm_native_64 == pytest.approx([2e-5, 4e-5, 6e-5])
    assert len({revision for revision, _ in points}) == 3
    jax_points = json.loads(by_framework["jax"].read_text())
    assert [values[2] for _, values in jax_points] == pytest.approx([6e-5, 12e-5, 18e-5])
    index = json.loads((repository / "html/index.json").read_text())
    assert index["params"]["framework"] == ["jax 0.8.1", "torch 2.13.0"]
    assert index["benchmarks"]["demo.throughput.track_train_time"]["params"][3] == ["64", "128"]
    assert MACHINE in index["machines"]


def test_the_kept_runs_are_in_the_kept_history() -> None:
    """`rnnbench export asv --all` puts new ones there."""
    root = Path(__file__).resolve().parents[2] / "results"
    kept = [json.loads(path.read_text()) for path in sorted((root / "runs").glob("*/*/run.json"))]
    listed = {name.partition(".")[0] for name in json.loads((root / "asv/benchmarks.json").read_text())}
    assert {one["suite_name"] for one in kept} <= listed
    for one in kept:
        files = list((root / "asv").glob(f"*/{one['git']['commit'][:8]}-*.json"))
        rows = [json.loads(path.read_text())["results"] for path in files]
        assert any(name.startswith(f"{one['suite_name']}.") for results in rows for name in results)


def test_a_probe_of_a_plugin_has_its_benchmark(repository: Path) -> None:
    """Nothing here is known to the export."""
    joules = Quantity("energy.per_step", "J", "lower", "Of one step.", headline=1, group="cost")
    made = record({}, probe="energy", seq_len=64)
    made = replace(made, quantities={"energy.per_step": Reading(2.5, quantity=joules)})
    folder = repository / "results/asv"
    export([made], run_json(commits(repository)[0]), folder)
    listed = json.loads((folder / "benchmarks.json").read_text())
    [(name, found)] = [(name, one) for name, one in listed.items() if name != "version"]
    assert (name, found["unit"], found["type"]) == ("demo.energy.track_energy_per_step", "J", "track")
