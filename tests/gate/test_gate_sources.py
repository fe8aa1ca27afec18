"""Each side of a gate imports its own files, wherever they lie, or the gate says that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from gate_repository import Project as Checkout
from rnnbench.errors import UsageError
from rnnbench.gate import remote
from rnnbench.gate.sources import Project, roots

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")


def written(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


@pytest.mark.parametrize(
    ("files", "module", "imported", "root"),
    [
        (["python/mylib/__init__.py"], "mylib", "python/mylib/__init__.py", "python"),
        (["src/kernel.c", "mylib/__init__.py"], "mylib", "mylib/__init__.py", "."),
        (["packages/a/src/mylib/__init__.py"], "mylib", "packages/a/src/mylib/__init__.py", "packages/a/src"),
        (["lib/one.py"], "one", "lib/one.py", "lib"),
        (["py/ns/mylib/__init__.py"], "ns.mylib", "py/ns/mylib/__init__.py", "py"),
    ],
)
def test_a_package_of_the_checkout_has_the_same_place_in_a_revision(tmp_path, files, module, imported, root):
    top, tree = written(tmp_path / "top", *files), written(tmp_path / "tree", *files)
    foreign = [{"module": module, "file": str(top / imported)}]
    assert roots(Project(tree, (top,)), foreign, tmp_path / "links", "base") == [(tree / root).resolve()]


def test_a_package_in_a_folder_of_another_name_is_linked(tmp_path):
    top, tree = (written(tmp_path / name, "code/core/__init__.py", "code/core/sub.py") for name in ("top", "tree"))
    foreign = [{"module": "mylib", "file": str(top / "code/core/__init__.py")}]
    assert roots(Project(tree, (top,)), foreign, tmp_path / "links", "base") == [tmp_path / "links"]
    assert (tmp_path / "links" / "mylib").resolve() == tree / "code/core"


def test_an_installed_copy_is_found_by_its_place_in_the_package_and_not_in_what_a_build_left(tmp_path):
    tree = written(tmp_path / "tree", "lib/mylib/__init__.py", "build/lib/mylib/__init__.py")
    foreign = [{"module": "mylib", "file": "/env/lib/python3.11/site-packages/mylib/__init__.py"}]
    assert roots(Project(tree), foreign, tmp_path / "links", "base") == [tree / "lib"]
    written(tree, "other/mylib/__init__.py")
    with pytest.raises(UsageError, match=r"base imported mylib from /env.*--source-root DIR.*--build COMMAND"):
        roots(Project(tree), foreign, tmp_path / "links", "base")
    with pytest.raises(UsageError, match="--source-root"):
        roots(Project(tree, fixed=True), foreign, tmp_path / "links", "base")


def test_names_and_distributions_of_a_project(tmp_path):
    tree = written(tmp_path, "src/mylib/__init__.py", "src/mylib/cells.py", "src/one.py", "py/ns/part/__init__.py")
    (tree / "pyproject.toml").write_text('[project]\nname = "My_Lib"\n')
    written(tree, "tools/setup.cfg", "vendor/numpy/__init__.py")
    (tree / "tools/setup.cfg").write_text("[metadata]\nname = mytools\n")
    (tree / "vendor/pyproject.toml").write_text('[project]\nname = "numpy"\n')
    project = Project(tree)
    assert {"mylib", "one", "part", "ns"} <= set(project.names) and "cells" not in project.names
    assert project.distributions == ("my-lib", "mytools")


def test_only_modules_of_the_project_are_foreign(tmp_path, monkeypatch):
    """What somebody else's distribution brings is theirs, whatever a folder of the project is called."""
    tree = written(tmp_path / "tree", "mylib/__init__.py", "numpy/__init__.py", "json/__init__.py")
    top = written(tmp_path / "top", "mylib/__init__.py")
    asked = Project(tree, (top,)).to_json()
    assert remote.foreign(asked) == []
    for folder, there in ((tree, []), (top, ["mylib"])):
        module = types.ModuleType("mylib")
        module.__file__ = str(folder / "mylib/__init__.py")
        monkeypatch.setitem(sys.modules, "mylib", module)
        assert [one["module"] for one in remote.foreign(asked)] == there
    assert remote.foreign(None) == []


def test_a_regression_in_a_package_that_the_environment_takes_from_the_checkout_is_found(tmp_path):
    """As an editable install of `python/` does: both sides imported the checkout, and the gate was green."""
    project = Checkout(tmp_path)
    package = project.folder / "python" / "mylib"
    package.mkdir(parents=True)
    for size in (100.0, 150.0):
        (package / "__init__.py").write_text(f"SIZE = {size}\n")
        project.commit(memory="__import__('mylib').SIZE")
    variables = {**project.variables, "PYTHONPATH": str(package.parent)}
    command = project.command("bench/own.yaml", "--base", "main~1", "--head", "main")
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 1, done.stderr
    assert "size.bytes  100 B  150 B" in done.stdout


def test_what_no_commit_holds_is_built_in_each_checkout(tmp_path):
    project = Checkout(tmp_path)
    (project.folder / ".gitignore").write_text("made.py\n")
    for size in (100.0, 150.0):
        (project.folder / "size.txt").write_text(str(size))
        project.commit(memory="__import__('made').SIZE")
    (project.folder / "made.py").write_text("SIZE = 1\n")  # only in the checkout
    missing = project.gate("bench/own.yaml", "--base", "main~1")
    assert missing.returncode == 2 and "No module named 'made'" in missing.stderr
    assert "say by which: `--build COMMAND`" in missing.stderr
    build = "python -c \"print('SIZE =', open('size.txt').read())\" > made.py"
    done = project.gate("bench/own.yaml", "--base", "main~1", "--build", build, "--json")
    assert done.returncode == 1, done.stderr
    broken = project.gate("bench/own.yaml", "--base", "main~1", "--build", "echo no compiler; exit 3")
    assert broken.returncode == 2 and "ended with 3:\nno compiler" in broken.stderr


def test_measured_code_that_writes_into_base_is_told_and_red(tmp_path):
    project = Checkout(tmp_path)
    project.commit()
    project.commit(
        body='path = __import__("pathlib").Path(__file__).parents[2] / "base" / "bench" / "plain.py"; '
        'path.write_text(path.read_text() + "# slower")'
    )
    done = project.gate("bench/own.yaml", "--base", "main~1")
    assert done.returncode == 1, done.stderr
    assert "tampered with: bench/plain.py of base changed while it was measured" in done.stdout


def test_a_gate_that_could_compare_nothing_is_not_green(tmp_path):
    project = Checkout(tmp_path)
    project.commit(body='raise ValueError("on both sides")')
    done = project.gate("bench/own.yaml", "--base", "HEAD")
    assert done.returncode == 2
    assert "nothing was compared" in done.stderr and "not compared" in done.stdout
