"""What a shell is offered after a tab."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from rnnbench.cli import cli


def offered(*words: str) -> list[str]:
    complete = ShellComplete(cli, {}, "rnnbench", "_RNNBENCH_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_names_of_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "results" / "runs" / "smoke" / "20260101T000000Z-000abcdef"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert offered("ru") == ["run"]
    assert offered("run", "lo") == ["long_seq"]
    assert offered("verify", "lst")[0] == "lstm"
    assert offered("verify", "mingr") == ["mingru"]
    assert offered("describe", "con") == ["convergence"]
    assert offered("list", "ce") == ["cells"]
    assert offered("report", "") == ["latest", "smoke"]
    assert offered("report", "smoke/") == ["smoke/20260101T000000Z-000abcdef"]
    assert offered("run", "smoke", "--resume", "la") == ["latest"]


def test_keys_and_values_of_set_and_only() -> None:
    assert offered("run", "smoke", "--set", "seq") == ["seq_len="]
    assert "probes.convergence.lr=" in offered("run", "smoke", "--set", "probes.con")
    assert offered("run", "smoke", "--set", "cell=ming") == ["cell=mingru"]
    assert offered("run", "smoke", "--only", "dtype=b") == ["dtype=bfloat16"]
    assert offered("run", "smoke", "--only", "back") == ["backend="]
