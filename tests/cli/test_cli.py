"""The command line: what is printed where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import rnnbench as rnnbench_package
from command_line import ask
from gate_repository import PLUGIN

SUITE = """
name: tiny
grid: {cell: [gru, mingru], backend: torch, seq_len: [6, 12], hidden_size: 8, batch_size: 4, input_size: 3}
probes:
  throughput: {modes: [forward], budget: 0.02, width: 0.5, processes: 1}
  gradient:
"""


PLAIN = """
name: tiny
plugins: [plain.py]
grid: {cell: [one, two], backend: plain, seq_len: [6, 12], hidden_size: 8, batch_size: 4, input_size: 3}
probes: {pace: , size: }
"""
WAIT = """import pathlib, time
    while context.case.seq_len > 6 and not pathlib.Path(__file__).with_name("go").exists():
        time.sleep(0.02)"""
"""As many cases as `SUITE` has, without a framework. Half of them wait for a file."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "rnnbench", *map(str, arguments)]


def rnnbench(*arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=600, **options)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(params=["plain", pytest.param("torch", marks=pytest.mark.long)])
def waiting(request, suite: Path) -> Path:
    """A suite that is not done before there is a file `go` beside it; the one of torch takes long enough."""
    if request.param == "torch":
        pytest.importorskip("torch")
    else:
        suite.write_text(PLAIN)
        text = PLUGIN.format(level=1e-3, memory=1.0, steps=1, body=WAIT, cells=["one", "two"])
        (suite.parent / "plain.py").write_text(text)
    return suite


def let_go(suite: Path) -> None:
    (suite.parent / "go").touch()


def run_folder(folder: Path) -> Path:
    [run] = (folder / "results" / "runs" / "tiny").iterdir()
    return run


def ids(run: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (run / "records.jsonl").read_text().splitlines()]


def test_a_run_prints_its_table_keeps_its_records_and_reports_progress_to_stderr(suite):
    pytest.importorskip("torch")
    result = ask("run", suite, cwd=suite.parent)
    assert result.code == 0, result.err
    assert "forward time per step" in result.out and "torch/native" in result.out
    assert "[8/8] ok" in result.err and "[8/8]" not in result.out
    run = run_folder(suite.parent)
    assert {"run.json", "records.jsonl", "table.md", "table.csv"} <= {path.name for path in run.iterdir()}
    assert list(run.glob("*.png"))
    assert len(set(ids(run))) == 8
    assert ask("report", "tiny", cwd=suite.parent).out == result.out
    for format_ in ("md", "csv", "json", "latex"):
        assert ask("report", run, "--format", format_, cwd=suite.parent).out
    same = ask("compare", run, "latest", cwd=suite.parent)
    assert same.code == 0, same.err


def test_a_dry_run_lists_the_cases_and_measures_nothing(suite):
    result = ask("run", suite, "--dry-run", "--only", "cell=gru", cwd=suite.parent)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "4 cases"
    assert not (suite.parent / "results").exists()
    cases = json.loads(ask("run", suite, "--dry-run", "--json", "--set", "seq_len=5", cwd=suite.parent).out)
    assert {case["seq_len"] for case in cases} == {5}


def test_an_absent_device_is_a_skipped_row_with_its_reason(suite):
    pytest.importorskip("torch")
    absent = ["--set", "device=tpu", "--set", "backend=jax", "--only", "probe=gradient,seq_len=6"]
    result = ask("run", suite, *absent, "--json", cwd=suite.parent)
    assert result.code == 0, result.err
    records = json.loads(result.out)["records"]
    assert {record["status"] for record in records} == {"skipped"}
    assert all("TPU" in record["reason"] or "tpu" in record["reason"] for record in records)


def test_ctrl_c_keeps_everything_and_resume_goes_on(waiting):
    suite = waiting
    process = subprocess.Popen(
        command("run", suite), cwd=suite.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "[2/8]" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors
    run = run_folder(suite.parent)
    kept = ids(run)
    assert 2 <= len(kept) < 8
    assert f"--resume {run.relative_to(suite.parent)}" in errors
    let_go(suite)
    result = ask("run", suite, "--resume", "latest", cwd=suite.parent)
    assert result.code == 0, result.err
    assert ids(run)[: len(kept)] == kept
    assert len(ids(run)) == len(set(ids(run))) == 8


def test_a_killed_run_leaves_no_process_and_resumes(waiting):
    suite = waiting
    process = subprocess.Popen(command("run", suite), cwd=suite.parent, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "[1/8]" in line:
            break
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=300)
    assert alive == []
    let_go(suite)
    result = ask("run", suite, "--resume", "latest", cwd=suite.parent)
    assert result.code == 0, result.err
    run = run_folder(suite.parent)
    assert len(ids(run)) == len(set(ids(run))) == 8


def test_a_run_goes_on_when_its_working_folder_is_deleted(waiting, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    process = subprocess.Popen(
        command("run", waiting, "--results", tmp_path / "results"), cwd=gone, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "[1/8]" in line:
            break
    gone.rmdir()
    let_go(waiting)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert len(ids(run_folder(tmp_path))) == 8


def test_two_runs_at_once_do_not_disturb_each_other(waiting):
    suite = waiting
    let_go(suite)
    only = ("--only", "seq_len=6")
    both = [
        subprocess.Popen(command("run", suite, *only), cwd=suite.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    runs = list((suite.parent / "results" / "runs" / "tiny").iterdir())
    assert [len(ids(run)) for run in runs] == [4, 4]


FAILING = """
from dataclasses import dataclass
from rnnbench import Measurement, Probe, Quantity, hookimpl

@dataclass(frozen=True)
class Settings:
    pass

def measure(context):
    if context.case.seq_len == 6:
        raise ValueError("planted")
    return Measurement()

@hookimpl
def rnnbench_probes():
    return [Probe("picky", 1, Settings, (), measure)]
"""


@pytest.fixture
def picky(waiting):
    (waiting.parent / "picky.py").write_text(FAILING)
    text = waiting.read_text().replace("gradient:", "picky:").replace(", size:", ", picky:")
    plain = "plugins: [plain.py]\n"
    waiting.write_text(
        text.replace(plain, "plugins: [plain.py, picky.py]\n") if plain in text else text + "plugins: [picky.py]\n"
    )
    return waiting


def test_a_case_that_raises_is_a_row_and_the_others_go_on(picky):
    suite = picky
    result = ask("run", suite, "--only", "probe=picky", "--json", cwd=suite.parent)
    assert result.code == 1
    records = json.loads(result.out)["records"]
    assert sorted(record["status"] for record in records) == ["failed", "failed", "ok", "ok"]
    assert {r["reason"] for r in records if r["status"] == "failed"} == {"ValueError: planted (picky.py:11)"}


MISTAKES = {
    "unknown key": (["run", "tiny.yaml"], SUITE.replace("seq_len", "seq_lens"), "tiny.yaml:3: grid.seq_lens"),
    "unknown cell": (["run", "tiny.yaml"], SUITE.replace("mingru", "mingro"), "Did you mean 'mingru'"),
    "tag": (["run", "tiny.yaml"], "!!python/object/apply:os.system ['touch owned']", "tiny.yaml:1"),
    "no such file": (["run", "tinny.yaml"], SUITE, "tiny.yaml"),
    "bad filter": (["run", "tiny.yaml", "--only", "cell=lstm"], SUITE, "gru"),
    "bad override": (["run", "tiny.yaml", "--set", "seq_len=0"], SUITE, "seq_len"),
    "unknown run": (["report", "nothing"], SUITE, "nothing"),
    "unknown verb": (["rum"], SUITE, "rum"),
    "unknown name": (["verify", "lstn"], SUITE, "Did you mean 'lstm'"),
    "bad name": (["new", "cell", "my-cell"], SUITE, "my-cell"),
    "missing plugin": (["list", "--plugin", "no.py"], SUITE, "no.py"),
}


@pytest.mark.parametrize("arguments, text, message", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_exit_code_2_with_a_message_and_no_traceback(suite, arguments, text, message):
    suite.write_text(text)
    result = ask(*arguments, cwd=suite.parent)
    assert result.code == 2, result.err
    assert message in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    assert {path.name for path in suite.parent.iterdir()} == {"tiny.yaml"}


def test_listing_imports_nothing_heavy_in_any_process(tmp_path):
    """What it takes beside its imports is measured by tests/benchmarks/test_cost.py."""
    result = rnnbench("list", cwd=tmp_path, env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0 and "lstm" in result.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert {"rnnbench", "rnnbench_torch", "numpy"} <= imported
    heavy = {"torch", "jax", "pandas", "matplotlib", "pydantic", "rich", "yaml", "scipy", "sklearn", "jinja2", "plotly"}
    assert imported.isdisjoint(heavy)


def test_list_says_what_is_there_and_why_something_is_not(tmp_path):
    found = json.loads(ask("list", "--json", cwd=tmp_path).out)
    assert {row["name"] for row in found["cells"]} >= {"rnn", "lstm", "gru"}
    cuda = next(row for row in found["devices"] if row["name"] == "torch/cuda")
    assert cuda["available"] == "yes" or " " in cuda["available"]
    assert next(row for row in found["cells"] if row["name"] == "lstm")["plugin"].startswith("cells (rnnbench ")


def without_a_reader(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    read, write = os.pipe()
    os.close(read)
    try:
        return subprocess.run(
            command(*arguments), cwd=cwd, stdout=write, stderr=subprocess.PIPE, text=True, timeout=600
        )
    finally:
        os.close(write)


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["schema"],
        *(pytest.param(words, marks=pytest.mark.long) for words in (["--help"], ["--version"], ["help", "run"])),
    ],
)
def test_a_reader_that_has_had_enough_is_no_error(words, tmp_path):
    result = without_a_reader(*words, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_case_that_failed_is_exit_code_1_also_where_nobody_reads_the_table(picky):
    result = without_a_reader("run", picky, "--only", "probe=picky", cwd=picky.parent)
    assert result.returncode == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize("moment", [0.03, *(pytest.param(moment, marks=pytest.mark.long) for moment in (0.0, 0.1))])
def test_ctrl_c_while_it_starts_is_quiet(moment, tmp_path):
    """SIGINT comes so many seconds after the first line of the command."""
    script = "import os, sys, rnnbench_start; os.write(1, b'.'); sys.argv = ['rnnbench', 'list']; rnnbench_start.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(rnnbench_package.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.read(1) == b"."
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode in (0, 130), errors
    if process.returncode == 130:
        assert errors.strip() == b""


@pytest.mark.parametrize(
    "words",
    [
        ["run", "smoke"],
        ["gate", "smoke", "--base", "main"],
        *(pytest.param(words, marks=pytest.mark.long) for words in (["list"], ["new", "workflow"])),
    ],
)
def test_a_folder_that_was_deleted_is_told(tmp_path, words):
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$0" -m rnnbench "$@"'
    result = subprocess.run(
        ["sh", "-c", script, sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 2
    assert "has been deleted" in result.stderr and "Traceback" not in result.stderr


WITHOUT = """
import contextlib, importlib.metadata, importlib.util, io, json, sys
find, distribution = importlib.util.find_spec, importlib.metadata.distribution
def find_spec(name, *package):
    return None if name.split(".")[0] in {absent} else find(name, *package)
def found(name):
    if name in {absent}:
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)
importlib.util.find_spec, importlib.metadata.distribution = find_spec, found
from rnnbench.cli import exit_code
answers, commands = [], sys.argv[1:]
for command in commands:
    sys.argv = ["rnnbench", *command.split()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        answers.append((exit_code(), told.getvalue()))
print(json.dumps(answers))
"""
"""Commands one after the other in one process."""


@pytest.mark.parametrize("absent", [("torch", "jax"), ("torch",), ("jax",)])
def test_without_a_framework_the_rest_works_and_run_says_what_to_install(suite, absent):
    commands = ["list", "run tiny.yaml --dry-run", *(f"run tiny.yaml --set backend={name}" for name in absent)]
    script = [sys.executable, "-c", WITHOUT.replace("{absent}", repr(absent)), *commands]
    done = subprocess.run(script, cwd=suite.parent, capture_output=True, text=True, timeout=600, check=True)
    listed, planned, *refused = json.loads(done.stdout)
    assert (listed[0], planned[0]) == (0, 0)
    for name, (code, told) in zip(absent, refused, strict=True):
        assert code == 2
        assert f'pip install "rnnbench[{name}]"' in told
