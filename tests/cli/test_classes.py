"""One command, no plugin file: a class named where a cell stands is brought, verified and measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnnbench.cli import cli, plugins
from rnnbench.errors import PluginError
from rnnbench.registry import targets

pytest.importorskip("torch")

SUPPORT = Path(__file__).parents[1] / "support/torch_classes.py"
SUITE = """
name: s
grid: {cell: gru, backend: torch, seq_len: 6, batch_size: 3, hidden_size: 5, threads: 1}
probes:
  throughput: {processes: 1, budget: 0.01}
  memory: {modes: [train]}
  gradient: {}
  convergence: {task: adding, lr: 0.01, max_steps: 4, eval_every: 2, eval_size: 8}
"""


@pytest.fixture(scope="module", autouse=True)
def studied_quickly(tmp_path_factory):
    """One cache, and torch is imported once for all classes that are tried: their processes are forked from one."""
    cache, in_own_process = str(tmp_path_factory.mktemp("cache")), plugins.in_own_process

    def forked(entry, jobs, *always, seconds=None):
        return in_own_process(entry, jobs, *(always or ("torch",)), seconds=seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "in_own_process", forked)
        patch.setenv("RNNBENCH_CACHE", cache)
        patch.setenv("XDG_CACHE_HOME", cache)
        yield


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.py").write_text(SUPPORT.read_text())
    (tmp_path / "s.yaml").write_text(SUITE)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_class_of_a_file_gives_all_rows(folder):
    target = f"{folder}/models/mine.py:Leaky(alpha=0.25)"
    result = run("run", folder / "s.yaml", "--cell", target, "--results", folder / "r", "--json")
    assert result.exit_code == 0, result.output
    records = {record["case"]["probe"]: record for record in json.loads(result.stdout)["records"]}
    assert set(records) == {"throughput", "memory", "gradient", "convergence"}
    for record in records.values():
        assert (record["status"], record["verified"]) == ("ok", "self"), record["reason"]
        assert record["case"]["cell"] == "mine.py:Leaky(alpha=0.25)"


def test_a_suite_may_name_a_file_beside_it_and_match_parameters(folder):
    text = SUITE.replace("cell: gru", "cell: ['models/mine.py:BatchFirst', gru]").replace(
        "hidden_size: 5", "params: 6000"
    )
    (folder / "s.yaml").write_text(text)
    result = run("run", folder / "s.yaml", "--dry-run", "--json", "--only", "probe=throughput")
    assert result.exit_code == 0, result.output
    sizes = {case["cell"]: case["hidden_size"] for case in json.loads(result.stdout)}
    assert sizes["mine.py:BatchFirst"] < sizes["gru"]


def test_a_pattern_brings_what_can_be_brought_and_names_the_rest(folder):
    (folder / "s.yaml").write_text(SUITE.replace("cell: gru", "cell: ['models/mine.py:L*', 'models/mine.py:S*']"))
    result = run("run", folder / "s.yaml", "--dry-run", "--json", "--only", "probe=memory")
    cells = [case["cell"] for case in json.loads(result.stdout)]
    assert cells == ["mine.py:Leaky", "mine.py:Spread", "mine.py:StateFirst", "mine.py:StoppedGru"]
    assert "warning: " in result.stderr
    assert "mine.py:LearnedStart is left out: it starts from a state other than zeros" in result.stderr


def test_a_class_that_cannot_be_brought_ends_the_command_before_a_run(folder):
    with pytest.raises(PluginError, match=r"mine.py:Noisy: it draws random numbers"):
        run("run", folder / "s.yaml", "--cell", f"{folder}/models/mine.py:Noisy", "--results", folder / "r")
    with pytest.raises(PluginError, match="ModuleNotFoundError: No module named 'nowhere'"):
        run("run", folder / "s.yaml", "--cell", "nowhere:Cell", "--results", folder / "r")
    assert not (folder / "r").exists()


def test_a_class_that_is_a_portable_cell_is_verified_against_it(folder):
    target = f"{folder}/models/mine.py:Renamed"
    result = run("run", folder / "s.yaml", "--cell", target, "--results", folder / "r", "--json")
    assert result.exit_code == 0, result.output
    for record in json.loads(result.stdout)["records"]:
        assert (record["status"], record["verified"]) == ("ok", "cell gru"), record["reason"]


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("StoppedGru", "gradients of layers.0.inner.weight_hh are off by"),
        ("HalfDetached", "gradients against difference quotients are off by"),
    ],
)
def test_a_gradient_that_stops_on_its_way_is_a_row_that_is_wrong(folder, name, off):
    """Of a class that is a portable cell forward only, and of one that is none."""
    target = f"{folder}/models/mine.py:{name}"
    result = run(
        "run", folder / "s.yaml", "--cell", target, "--results", folder / "r", "--json", "--only", "probe=memory"
    )
    [record] = json.loads(result.stdout)["records"]
    assert record["status"] == "wrong"
    assert off in record["reason"]


def test_verify_takes_a_class(folder):
    result = run("verify", f"{folder}/models/mine.py:BatchFirst", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:3] for line in lines[:2]] == [
        ["ok", "mine.py:BatchFirst", "torch/eager"],
        ["ok", "mine.py:BatchFirst", "torch/module"],
    ]
    assert "parity of torch/module with torch/eager" in result.stdout


def test_names_of_classes():
    assert targets.is_target("torchrecurrent:MGUCell")
    assert targets.is_target("a/b.py:C(x=1)")
    assert not targets.is_target("lstm(forget_bias=5)")
    assert targets.cell_name("a/b.py:C") == "b.py:C"
    assert targets.absolute("a/b.py:C", Path("/x")) == "/x/a/b.py:C"
    assert targets.absolute("torch.nn:GRUCell", Path("/x")) == "torch.nn:GRUCell"
    assert targets.named_in(["gru", "m:C(a=1)", "m:C", "m:*"], Path()) == ["m:C", "m:*"]
