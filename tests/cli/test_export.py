"""`rnnbench export asv`: which runs it takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnnbench.cli import cli
from rnnbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def export(*words: str):
    return CliRunner().invoke(cli, ["export", "asv", *words])


@pytest.mark.parametrize("words", [(), ("latest", "--all")])
def test_runs_are_named_or_all_are_meant(words, tmp_path):
    result = export(*words, "--results", str(tmp_path))
    assert isinstance(result.exception, UsageError) and "or give `--all`" in str(result.exception)


def test_init_writes_a_configuration_that_asv_reads_and_overwrites_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "not the top of one" in str(export("--init", "--results", "bench/results").exception)
    (tmp_path / ".git").mkdir()
    assert export("--init", "--results", "bench/results").exit_code == 0
    config = pytest.importorskip("asv.config").Config.load()
    assert (config.results_dir, config.project) == (str(Path("bench/results/asv")), tmp_path.name)
    assert "already there" in str(export("--init", "--results", "bench/results").exception)


def test_all_names_the_runs_it_has_to_leave_out(tmp_path):
    """Of a commit that is not in the repository around the results: there is none."""
    shutil.copytree(ROOT / "results/runs/text", tmp_path / "runs/text")
    result = export("--all", "--results", str(tmp_path))
    assert "is left out: commit 80384c09" in result.stderr
    assert isinstance(result.exception, UsageError) and "no run in" in str(result.exception)
