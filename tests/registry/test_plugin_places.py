"""Plugin files that are no files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnbench.errors import PluginError, SuiteError
from rnnbench.registry import load
from rnnbench.suite import read


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    (tmp_path / "loop.py").symlink_to("loop.py")
    os.mkfifo(tmp_path / "pipe.py")
    return tmp_path


@pytest.mark.parametrize(("name", "said"), [("loop.py", "cannot be looked at"), ("pipe.py", "no regular file")])
def test_what_is_no_file_is_one_sentence_and_waited_for_by_nobody(odd, name, said):
    with pytest.raises(PluginError, match=said):
        load([odd / name])
    (odd / "own.yaml").write_text(
        f"name: own\nplugins: [{name}]\ngrid: {{cell: gru, seq_len: 4}}\nprobes: {{memory: }}\n"
    )
    with pytest.raises(SuiteError, match=r"own\.yaml:2: plugins\[0\]"):
        read(odd / "own.yaml")
