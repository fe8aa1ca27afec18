"""Revisions become folders, whatever happens nothing is left, and the user's checkout is only read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gate_repository import Project
from rnnbench.errors import UsageError
from rnnbench.gate.side import prepare
from rnnbench.gate.sources import Project as Sources
from rnnbench.gate.worktrees import Repository, Workspace, project_of, refused, source_roots
from rnnbench.machine.environment import git_state


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(project.temporary))
    project.commit("first", level=1.0)
    project.commit("second", level=2.0)
    return project


@pytest.fixture
def repository(project) -> Repository:
    found = Repository.around(project.suite.parent)
    assert found is not None and found.top == project.folder.resolve()
    return found


def everything_of(project: Project) -> dict[str, str]:
    """Hash of every file of the checkout and of `.git`."""
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def level(folder: Path) -> str:
    return (folder / "bench" / "plain.py").read_text().partition("STEPS = ")[2].partition(",")[0]


def test_two_revisions_lie_side_by_side_and_nothing_is_left(project, repository):
    (project.folder / "stray.txt").write_text("mine")
    before = everything_of(project)
    with Workspace(repository) as workspace:
        base = workspace.checkout("base", repository.revision("HEAD~1"))
        head = workspace.checkout("head", repository.revision("main"))
        assert (level(base), level(head)) == ("1.0", "2.0")
        assert len(str(base)) == len(str(head))  # a path is an argument and an environment: it must not differ
    assert everything_of(project) == before
    assert list(project.temporary.iterdir()) == []


def test_the_working_tree_is_copied_with_what_is_not_committed(project, repository):
    assert not repository.working_tree().dirty
    clean = repository.working_tree()
    assert clean.identity == repository.revision("HEAD").identity and "clean" in clean.label
    (project.folder / ".gitignore").write_text("ignored\n")
    (project.folder / "ignored").write_text("")
    (project.folder / "gone").symlink_to("nowhere")
    project.write(level=3.0)
    dirty = repository.working_tree()
    assert "with uncommitted changes" in dirty.label
    with Workspace(repository) as workspace:
        folder = workspace.checkout("head", dirty)
        project.write(level=4.0)
        assert level(folder) == "3.0"
        assert (folder / "gone").is_symlink() and not (folder / "ignored").exists()
    assert repository.working_tree().identity != dirty.identity


def test_a_file_whose_name_is_no_unicode_is_copied(project, repository):
    name = b"caf\xe9.txt"
    try:
        (project.folder / os.fsdecode(name)).write_text("latin-1")
    except OSError:
        pytest.skip("the file system takes Unicode only")
    dirty = repository.working_tree()
    assert dirty.dirty
    with Workspace(repository) as workspace:
        folder = workspace.checkout("head", dirty)
        assert (folder / os.fsdecode(name)).read_text() == "latin-1"


def test_hooks_do_not_run_and_do_not_misguide(project, repository, monkeypatch):
    """A gate that git's own pre-push hook starts gets GIT_DIR and GIT_INDEX_FILE, which mean another repository."""
    hook = project.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {project.folder}/ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    with Workspace(repository) as workspace:
        assert level(workspace.checkout("base", repository.revision("HEAD~1"))) == "1.0"
    assert not (project.folder / "ran").exists()


def test_what_a_killed_gate_left_is_removed_by_the_next_and_a_living_one_is_let_be(project, repository):
    code = (
        "import sys, pathlib; from rnnbench.gate.worktrees import *\n"
        "repository = Repository(pathlib.Path(sys.argv[1])); workspace = Workspace(repository)\n"
        "workspace.checkout('base', repository.revision('HEAD~1')); print(workspace.path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(project.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=project.variables,
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    with Workspace(repository):
        assert (path / "base").is_dir() and len(repository.worktrees()) == 2
    process.kill()
    process.communicate()
    assert (path / "base").is_dir()
    with Workspace(repository):
        assert not path.exists() and len(repository.worktrees()) == 1


def test_a_folder_that_a_killed_gate_had_not_yet_named_is_removed_once_nobody_can_lock_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["old", "empty", "young", "theirs"]
    old, empty, young, theirs = (tmp_path / f"rnnbench-new-{name}" for name in names)
    for folder in (old, empty, young, theirs):
        folder.mkdir()
    for folder in (old, young, theirs):
        (folder / "owner").touch()
    (theirs / "thesis.tex").touch()
    for folder in (old, empty, theirs):
        os.utime(folder, (1e9, 1e9))
    with Workspace(None):
        assert {path.name for path in tmp_path.glob("rnnbench-new-*")} == {young.name, theirs.name}


def test_a_worktree_whose_folder_went_with_a_reboot_is_forgotten_and_the_users_own_is_not(project, repository):
    own = project.folder.with_name("own")
    project.git("worktree", "add", "--quiet", str(own), "HEAD~1", "--detach")
    (own / ".git").rename(own / "unplugged")
    lost = project.temporary / "rnnbench-gate-lost" / "base"
    project.git("worktree", "add", "--quiet", "--detach", str(lost), "HEAD~1")
    subprocess.run(["rm", "-r", str(lost.parent)], check=True)
    with Workspace(repository):
        assert repository.worktrees() == [project.folder.resolve(), own.resolve()]


@pytest.mark.parametrize(
    ("name", "said"),
    [("mian", "Did you mean 'main'"), ("0123abc", "no revision '0123abc'"), ("--help", "no revision '--help'")],
)
def test_an_unknown_revision_is_refused(repository, name, said):
    with pytest.raises(UsageError, match=said):
        repository.revision(name)


def test_a_shallow_clone_says_how_to_get_the_rest(project, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{project.folder}", str(clone)], check=True)
    with pytest.raises(UsageError, match="fetch-depth: 0"):
        Repository(clone).revision("HEAD~1")


def test_a_repository_without_a_commit_says_so(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(UsageError, match="no commit yet"):
        Repository(tmp_path).revision("HEAD")


def test_no_repository_is_none(tmp_path):
    assert Repository.around(tmp_path) is None
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare")], check=True)
    assert Repository.around(tmp_path / "bare") is None


def test_submodules_come_along_from_the_users_checkout_and_missing_ones_are_named(project, repository, tmp_path):
    other = tmp_path / "other"
    for words in (["init", "-q", str(other)], ["-C", str(other), "config", "user.email", "a@b"],
                  ["-C", str(other), "config", "user.name", "a"]):  # fmt: skip
        subprocess.run(["git", *words], check=True)
    (other / "plug.py").write_text("one = 1\n")
    subprocess.run(["git", "-C", str(other), "add", "."], check=True)
    subprocess.run(["git", "-C", str(other), "commit", "-qm", "a"], check=True)
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "ext")
    project.git("commit", "-qam", "with a submodule")
    with Workspace(repository) as workspace:
        base = workspace.checkout("base", repository.revision("main"))
        assert (base / "ext" / "plug.py").read_text() == "one = 1\n"
        assert repository.unfilled(base, "main") == []
    (project.folder / "ext" / "plug.py").write_text("one = 2\n")
    with Workspace(repository) as workspace:
        tree = repository.working_tree()
        head = workspace.checkout("head", tree)
        assert tree.dirty and (head / "ext" / "plug.py").read_text() == "one = 2\n"
    project.git("submodule", "deinit", "--force", "ext")
    with Workspace(repository) as workspace:
        base = workspace.checkout("base", repository.revision("main"))
        assert repository.unfilled(base, "main") == ["ext"]


def test_a_link_named_like_a_workspace_is_never_followed(project, repository, tmp_path):
    theirs = tmp_path / "theirs"
    (theirs / "head").mkdir(parents=True)
    (theirs / "owner").write_text(json.dumps({"repository": str(project.folder)}))
    (project.temporary / "rnnbench-gate-x").symlink_to(theirs)
    left = project.temporary / "rnnbench-gate-y"
    left.mkdir()
    (left / "owner").write_text(json.dumps({"repository": str(project.folder)}))
    (left / "head").symlink_to(project.folder)
    with Workspace(repository):
        assert not left.exists()
    assert (theirs / "owner").exists() and (theirs / "head").exists()
    assert project.suite.exists()


def test_the_users_own_programs_for_git_do_not_run(project, repository):
    """fsmonitor is a program that git asks at every status."""
    seen = project.cache.with_name("asked")
    program = project.cache.with_name("monitor")
    program.write_text(f"#!/bin/sh\ntouch {seen}\n")
    program.chmod(0o700)
    project.git("config", "core.fsmonitor", str(program))
    assert repository.working_tree() and not seen.exists()
    assert git_state(project.folder) is not None and not seen.exists()


def test_a_repository_of_another_user_is_told_as_git_tells_it():
    said = "fatal: detected dubious ownership in repository at '/x'\n\n\tgit config --global --add safe.directory /x\n"
    assert "git config --global --add safe.directory /x (it belongs to another user" in (refused(said) or "")
    assert refused("fatal: not a git repository") is None


# What goes on the path


def roots(folder: Path, *given: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in source_roots(folder, folder, given)]


def test_source_roots_come_from_setuptools_or_the_usual_places(tmp_path):
    for name in ("src", "harness", "plugins"):
        (tmp_path / name).mkdir()
    assert roots(tmp_path) == ["src"]
    (tmp_path / "pyproject.toml").write_text(
        '[tool.setuptools.packages.find]\nwhere = ["harness", "plugins", "gone"]\n'
    )
    assert roots(tmp_path) == ["harness", "plugins"]
    assert roots(tmp_path, "src") == ["src"]
    (tmp_path / "pyproject.toml").write_text('[tool.setuptools]\npackages = ["one"]\npackage-dir = {"" = "plugins"}\n')
    assert roots(tmp_path) == ["plugins"]
    with pytest.raises(UsageError, match="--source-root lib: there is no such folder"):
        roots(tmp_path, "lib")
    (tmp_path / "src").rmdir()
    (tmp_path / "pyproject.toml").unlink()
    assert roots(tmp_path) == ["."]


def test_the_nearest_project_counts_and_broken_toml_is_named(tmp_path):
    suite = tmp_path / "part" / "suites" / "own.yaml"
    suite.parent.mkdir(parents=True)
    assert project_of(suite, tmp_path) == tmp_path
    (tmp_path / "part" / "pyproject.toml").write_text("[tool")
    assert project_of(suite, tmp_path) == tmp_path / "part"
    with pytest.raises(UsageError, match=r"part/pyproject\.toml cannot be read"):
        source_roots(tmp_path, tmp_path / "part")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("project = 5", "project: found 5; give a table."),
        ("[[project]]", "project: found [{}]; give a table."),
        ("[tool]\nsetuptools = [1]", "tool.setuptools: found"),
        ("[tool.setuptools]\npackage-dir = 3", "tool.setuptools.package-dir: found 3; give a table."),
        ("[tool.setuptools.packages.find]\nwhere = 7", "tool.setuptools.packages.find.where: found 7; give an array."),
        ('[project]\nname = "a\\u0000b"', "project.name: found"),
        (f'[project]\nname = "{"a" * 5000}"', "project.name: found"),
        ('[project]\nname = "a"\nentry-points = {rnnbench = 1}', "project.entry-points.rnnbench: found 1"),
        (f'[project]\nname = "a"\nentry-points.{"k" * 5000} = 1', f"project.entry-points.{'k' * 78}…: found"),
        ("x = " + "[" * 5000, "cannot be read: its arrays or tables are nested too deep"),
        (f"[{'a.' * 20_000}a]", "cannot be read: line 1 has 40,003 letters"),
        ("#\n" * 500_001, "cannot be read: it has more than 1,000,000 bytes"),
    ],
)
def test_a_project_of_the_wrong_form_is_named_with_file_and_key(tmp_path, text, said):
    (tmp_path / "pyproject.toml").write_text(text)
    for read in (lambda: source_roots(tmp_path, tmp_path), lambda: prepare(project_folder(tmp_path), tmp_path)):
        with pytest.raises(UsageError, match=rf"pyproject\.toml:? {re.escape(said)}"):
            read()


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "folder"])
def test_a_project_that_is_no_regular_file_is_not_waited_for(tmp_path, place):
    path = tmp_path / "pyproject.toml"
    if place == "pipe":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    else:
        path.symlink_to(place)
    with pytest.raises(UsageError, match=r"pyproject\.toml cannot be read: it is no regular file"):
        source_roots(tmp_path, tmp_path)
    assert Sources(tmp_path).distributions == ()


@pytest.mark.parametrize("where", ["n" * 400, "../..", "/etc"])
def test_folders_that_cannot_be_or_lie_outside_the_revision_are_no_source_roots(tmp_path, where):
    (tmp_path / "pyproject.toml").write_text(f'[tool.setuptools.packages.find]\nwhere = ["lib", "{where}"]\n')
    (tmp_path / "lib").mkdir()
    assert source_roots(tmp_path, tmp_path) == [tmp_path / "lib"]


def test_entry_points_are_those_of_the_revision_not_of_what_is_installed(tmp_path):
    """The project calls itself rnnbench: what the environment has under that name must not show."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "rnnbench"\nversion = "9.9"\n[project.entry-points.rnnbench]\nprobes = "rnnbench.probes"\n'
    )
    support = prepare(project_folder(tmp_path), tmp_path)
    code = (
        "import sys, json, importlib.metadata as m; sys.path.insert(0, sys.argv[1])\n"
        "print(json.dumps([m.version('rnnbench'), [p.value for p in m.entry_points(group='rnnbench')]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(support)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["9.9", ["rnnbench.probes"]]


def project_folder(folder: Path) -> Path:
    (folder / "support").mkdir()
    return folder / "support"


def test_the_folder_of_another_user_is_not_looked_at(project, repository, monkeypatch):
    stale = project.temporary / "rnnbench-gate-theirs"
    stale.mkdir()
    (stale / "owner").write_text(json.dumps({"repository": str(project.folder)}))
    monkeypatch.setattr(os, "getuid", lambda: -1)
    with Workspace(repository):
        assert stale.is_dir()
