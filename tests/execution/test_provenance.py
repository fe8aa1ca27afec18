"""A run is resumed as what it was begun, or not at all."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rnnbench import import_file
from rnnbench.errors import UsageError
from rnnbench.execution import Execution
from rnnbench.execution.provenance import changes, keep_or_refuse, provenance
from rnnbench.registry import load
from rnnbench.suite import plan, read

SUITE = """
name: own
plugins: [plug.py]
grid: {cell: gru, seq_len: 6}
probes:
  convergence: {task: "arrays(file=1984)"}
"""


PLUGIN = """
import rnnbench

@rnnbench.hookimpl
def rnnbench_cells():
    return [rnnbench.Cell("mine", init=None)]
"""


class Folder:
    """Stands in for the folder of a run."""

    path = Path("results/runs/one")

    def __init__(self, records: int = 0) -> None:
        self.meta: dict[str, Any] = {}
        self.count = records

    def records(self, light: bool) -> list[int]:
        return [1] * self.count

    def remember(self, **facts: Any) -> None:
        self.meta |= facts


@pytest.fixture
def suite(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "1984").open("wb") as file:
        np.savez(file, xs=rng.normal(size=(60, 6, 2)), targets=np.arange(60) % 3)
    neighbour = f"beside_{re.sub(r'[^a-z0-9]', '_', tmp_path.name)}"  # two plugins cannot have neighbours of one name
    (folder / "plug.py").write_text(f"import {neighbour}\n{PLUGIN}")
    (folder / f"{neighbour}.py").write_text("one = 1\n")
    (folder / "own.yaml").write_text(SUITE)
    return folder / "own.yaml"


def made_of(suite: Path) -> dict[str, dict[str, str]]:
    document = read(suite)
    return provenance(plan(document, load(document.plugins)), document.plugins)


def test_data_files_are_those_beside_the_suite_whatever_folder_it_is_run_from(suite, tmp_path, monkeypatch):
    """And a file may be called as a number is."""
    for here in (tmp_path, suite.parent):
        monkeypatch.chdir(here)
        document = read(suite.relative_to(here))
        planned = plan(document, load(document.plugins))
        [(task, data)] = planned.data.items()
        assert task == "arrays(file=1984)"
        assert "1984: 3 classes at the last step of a sequence; 60 sequences of 6 steps with 2 features" in data.said
        assert {case.settings["task"] for case in planned.cases} == {task}


def test_code_plugins_data_and_commit_that_changed_are_named(suite, monkeypatch):
    git = {"commit": "a" * 40, "dirty": False}
    folder, now = Folder(), made_of(suite)
    assert {"rnnbench", "rnnbench_cells", "rnnbench_tasks"} <= now["code"].keys()
    keep_or_refuse(cast("Any", folder), now, git)
    folder.count = 1
    keep_or_refuse(cast("Any", folder), made_of(suite), git)
    plugin = suite.with_name("plug.py")
    before = plugin.read_text()
    plugin.write_text(before + "# slower\n")
    with suite.with_name("1984").open("wb") as file:
        np.savez(file, xs=np.random.default_rng(1).normal(size=(60, 6, 2)), targets=np.arange(60) % 3)
    said = r"the plugin plug\.py, the data of arrays\(file=1984\), the commit \(aaaaaaa, now bbbbbbb\) changed"
    with pytest.raises(UsageError, match=said):
        keep_or_refuse(cast("Any", folder), made_of(suite), {"commit": "b" * 40, "dirty": False})
    plugin.write_text(before)
    assert made_of(suite)["plugins"] == now["plugins"]
    next(suite.parent.glob("beside_*.py")).write_text("one = 2\n")
    assert made_of(suite)["plugins"] != now["plugins"], "a neighbour that it imports is a part of it"
    other = now | {"code": now["code"] | {"rnnbench_cells": "0"}}
    with pytest.raises(UsageError, match="the code of rnnbench_cells changed"):
        keep_or_refuse(cast("Any", folder), other, git)


def test_what_a_plugin_imports_later_or_from_elsewhere_is_a_part_of_it(tmp_path, monkeypatch):
    """A file beside it that a function imports; a project of the user's on the path; a second file of its name."""
    project, beside = f"project_{tmp_path.name}", f"later_{tmp_path.name}"
    for name in (project, beside):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for folder in ("a", "b", "elsewhere"):
        (tmp_path / folder).mkdir()
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    parts = [tmp_path / "a" / f"{beside}.py", tmp_path / "elsewhere" / f"{project}.py", tmp_path / "b" / "plug.py"]
    for part in parts:
        part.write_text("one = 1\n")
    plugin = tmp_path / "a" / "plug.py"
    plugin.write_text(f"import {project}\ndef step():\n    import {beside}\n")
    import_file(plugin)
    planned = cast("Any", SimpleNamespace(data={}))
    before = provenance(planned, [plugin, parts[2]])
    folder = Folder(1)
    folder.meta["provenance"] = before
    monkeypatch.setitem(sys.modules, "imported_meanwhile", SimpleNamespace(__file__=str(parts[0])))
    assert changes(cast("Any", folder), provenance(planned, [plugin, parts[2]]), None) == []
    for part, said in zip(parts, ("the plugin plug.py", f"the module {project}", "the plugin plug.py"), strict=True):
        text = part.read_text()
        part.write_text("one = 2\n")
        assert changes(cast("Any", folder), provenance(planned, [plugin, parts[2]]), None) == [said]
        part.write_text(text)


def test_a_clone_that_was_moved_is_the_same(suite, tmp_path):
    before = made_of(suite)
    moved = suite.parent.rename(tmp_path / "moved") / suite.name
    document = read(moved)
    now = provenance(plan(document, load()), document.plugins)
    assert (now["plugins"], now["data"]) == (before["plugins"], before["data"])


def test_a_run_without_numbers_takes_what_is_there_now(suite):
    folder = Folder()
    folder.meta = {"git": {"commit": "a" * 40}, "provenance": {"plugins": {"plug.py": "0"}}}
    git = {"commit": "b" * 40, "dirty": False}
    keep_or_refuse(cast("Any", folder), made_of(suite), git)
    assert folder.meta["git"] == git


def test_what_changes_while_a_run_goes_on_is_told(suite):
    document = read(suite)
    planned, folder = plan(document, load(document.plugins)), Folder(1)
    files = tuple(map(str, document.plugins))
    execution = Execution(planned, load(), files, cast("Any", folder), (), {}, cast("Any", None))
    folder.meta["provenance"] = made_of(suite)
    assert execution.changed() == []
    data = suite.with_name("1984")
    before = data.read_bytes()
    data.write_bytes(before + b" ")
    assert execution.changed() == ["the data of arrays(file=1984)"]
    data.unlink()
    assert execution.changed() == [str(data)]
    data.write_bytes(before)
    document.plugins[0].write_text(document.plugins[0].read_text() + "# slower\n")
    assert execution.changed() == ["the plugin plug.py"]
    document.plugins[0].unlink()
    assert execution.changed() == [str(document.plugins[0])]
