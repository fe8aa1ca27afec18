"""What measured code must not change is noticed, and what it cannot be kept from is not told as tampering."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rnnbench.errors import UsageError
from rnnbench.gate import floor
from rnnbench.gate.seal import Seal


@pytest.fixture
def seal(tmp_path: Path, monkeypatch) -> Seal:
    monkeypatch.setenv("RNNBENCH_CACHE", str(tmp_path / "cache"))
    for side in ("base", "head"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "cell.py").write_text("one = 1\n")
    floor.keep("here", {"train.time": {"floor": 0.02}}, "own")
    return Seal({"base": tmp_path / "base", "head": tmp_path / "head"}, floor.path())


def test_nothing_is_told_of_what_a_side_writes_beside_its_files(seal):
    for side in seal.folders.values():
        (side / "log.txt").write_text("of a run")
        (side / "built.so").write_text("by both")
        (side / "submodule" / ".git").mkdir(parents=True)
        (side / "submodule" / ".git" / "index").write_text("refreshed")
    (seal.folders["head"] / "own.py").write_text("made by itself\n")
    assert seal.broken() == []


@pytest.mark.parametrize("side", ["base", "head"])
def test_a_file_that_was_changed_and_set_back_is_told(seal, side):
    path = seal.folders[side] / "cell.py"
    before = path.stat()
    path.write_text("one = 2\n")
    path.write_text("one = 1\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert seal.broken() == [f"cell.py of {side} changed while it was measured"]


def test_a_module_that_appears_in_base_alone_is_told(seal):
    (seal.folders["base"] / "json.py").write_text("slower = True\n")
    assert seal.broken() == ["json.py appeared in base while it was measured"]


def test_floors_that_were_raised_are_set_back_and_told(seal):
    before = floor.path().read_bytes()
    floor.keep("here", {"train.time": {"floor": 9.0}}, "own")
    assert seal.broken() == [f"the floors in {floor.path()} changed while this gate ran, and were set back"]
    assert floor.path().read_bytes() == before
    assert seal.broken() == []


@pytest.mark.parametrize("content", ['{"here": {"train.time": {"floor": 9.0, "method": "in turns"}}}', '{"here": 5}'])
def test_floors_past_belief_are_refused(seal, content):
    assert floor.read("here") == {"train.time": 0.02}
    floor.path().write_text(content)
    assert json.loads(content)
    with pytest.raises(UsageError, match=r"floor\.json"):
        floor.read("here")
