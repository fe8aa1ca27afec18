"""`rnnbench gate` on real repositories, with real processes and numbers that are known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from site import getsitepackages

import pytest

import rnnbench
from gate_repository import LEARN, PACE, SUITE, Project
from rnnbench.cli import gate_command, main
from rnnbench.errors import UsageError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict]:
    """By quantity."""
    assert done.stdout, done.stderr
    return {row["quantity"]: row for row in json.loads(done.stdout)["rows"]}


def nothing_left(project: Project) -> bool:
    return (
        len(project.git("worktree", "list").splitlines()) == 1
        and project.git("status", "--porcelain", "--ignored") == ""
        and list(project.temporary.iterdir()) == []
    )


@dataclass(frozen=True)
class Slowdown:
    """A gate over a head whose numbers are 12 % above the base's, each side reading its own revision's file: it was
    cancelled, gone on with and killed, and gone on with again.
    """

    project: Project
    cancelled: tuple[int, str, bool]  # exit code, what it printed, whether nothing was left
    kept: list[str]
    samples: list[str]
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def slowdown(tmp_path_factory) -> Slowdown:
    project = Project(tmp_path_factory.mktemp("slowdown"))
    project.commit(suite=PACE)
    project.commit(suite=PACE, level=1.12e-3)
    arguments = ("bench/own.yaml", "--base", "main~1")
    process = subprocess.Popen(
        project.command(*arguments), cwd=project.folder, env=project.variables, stdout=subprocess.PIPE, text=True
    )
    samples = wait_for_samples(project, 3)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=600)
    cancelled = process.returncode, printed, nothing_left(project)
    kept = samples.read_text().splitlines()
    process = subprocess.Popen(
        project.command(*arguments, "--resume"), cwd=project.folder, env=project.variables, stdout=subprocess.DEVNULL
    )
    wait_for_samples(project, len(kept) + 2)
    process.kill()
    process.communicate()
    done = project.gate(*arguments, "--resume", "--markdown", project.cache.with_name("page.md"))
    return Slowdown(project, cancelled, kept, samples.read_text().splitlines(), done)


def test_a_slowdown_in_the_users_own_plugin_is_found_and_nothing_is_left(slowdown):
    project, done = slowdown.project, slowdown.done
    assert done.returncode == 1, done.stderr
    assert "regressed  pace one plain/auto cpu T=4" in done.stdout
    assert "head: working tree, clean at" in done.stderr
    page = project.cache.with_name("page.md").read_text()
    assert page.startswith("## 🔴 own:") and "| 🔴 regressed | pace one" in page
    assert nothing_left(project)


def test_a_gate_that_is_cancelled_or_killed_keeps_its_samples_and_goes_on(slowdown):
    code, printed, clean = slowdown.cancelled
    assert code == 130 and "interrupted" in printed and clean
    assert slowdown.samples[: len(slowdown.kept)] == slowdown.kept
    assert sum(json.loads(line)["kind"] == "sample" for line in slowdown.samples) >= 16


def test_exact_numbers_are_compared_exactly_and_uncommitted_changes_are_seen(project):
    project.commit()
    project.write(memory=100.0001)
    found = project.gate("bench/own.yaml", "--base", "HEAD", "--json")
    assert found.returncode == 1, found.stderr
    assert rows(found)["size.bytes"]["verdict"] == "regressed"
    assert rows(found)["forward.compilations"]["verdict"] == "equivalent"
    assert "with uncommitted changes" in found.stderr
    back = project.gate("bench/own.yaml", "--base", "HEAD", "--json", "--tolerance", "size.bytes=0.01")
    assert back.returncode == 0 and rows(back)["size.bytes"]["verdict"] == "equivalent"


def test_a_number_that_is_not_finite_is_a_failure_with_a_report(project):
    project.commit()
    project.write(memory="float('nan')")
    done = project.gate("bench/own.yaml", "--base", "HEAD", "--json")
    assert done.returncode == 1, done.stderr
    status = rows(done)["status"]
    assert status["verdict"] == "regressed"
    assert status["reason"].startswith(
        "ok in base, in head failed: size.bytes.value is nan, a record holds finite numbers only"
    )


@pytest.mark.parametrize(
    ("raised", "code", "traced"),
    [(ValueError("a bug"), 2, True), (UsageError("a remedy"), 2, False), (KeyboardInterrupt(), 130, False)],
    ids=["a bug", "bad input", "Ctrl-C"],
)
def test_no_exception_ends_with_the_code_of_a_regression(monkeypatch, capsys, raised, code, traced):
    def fail(*_):
        raise raised

    monkeypatch.setattr(gate_command, "_stored", fail)
    monkeypatch.setattr(os, "_exit", os._exit)  # `main` replaces it for good
    monkeypatch.setattr(sys, "argv", ["rnnbench", "gate", "one", "other"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert ("Traceback" in capsys.readouterr().err) == traced


def test_statuses_new_cases_and_repairs(project):
    broken = 'if context.case.cell == "one": raise ValueError("no more")'
    two = SUITE.replace("[one]", "[one, two]")
    project.commit()
    project.commit(body=broken, cells=["one", "two"], suite=two)
    done = project.gate(project.suite, "--base", "main~1", "--json")
    assert done.returncode == 1, done.stderr
    assert rows(done)["status"]["verdict"] == "regressed"
    assert "ok in base, in head failed: ValueError: no more (plain.py" in rows(done)["status"]["reason"]
    assert json.loads(done.stdout)["new"] == ["size two plain/auto cpu T=4"]
    repaired = project.gate(project.suite, "--base", "main", "--head", "main~1", "--json")
    assert repaired.returncode == 0, repaired.stderr
    assert rows(repaired)["status"]["verdict"] == "improved"
    assert json.loads(repaired.stdout)["removed"] == ["size two plain/auto cpu T=4"]
    assert any("suite differs" in note for note in json.loads(repaired.stdout)["notes"])


def test_training_is_paired_by_seed(project):
    """Steps depend on the seed; the same seeds on both sides give the same steps, and three pairs are enough."""
    project.commit(suite=LEARN)
    done = project.gate(project.suite, "--base", "HEAD", "--json")
    row = rows(done)["learn.steps"]
    assert (row["verdict"], row["judgement"]["pairs"]) == ("equivalent", 3)
    assert row["samples"][0] == [10, 11, 12]


def wait_for_samples(project: Project, count: int) -> Path:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for path in project.cache.glob("gate/*/samples.jsonl"):
            if len(path.read_text().splitlines()) >= count:
                return path
        time.sleep(0.02)
    raise AssertionError("no samples came")


@pytest.mark.long
def test_the_floor_of_equal_revisions_is_stored_and_raises_the_tolerance(project):
    project.commit(suite=PACE)
    done = project.gate(project.suite, "--aa", "--max-pairs", "8", "--json")
    assert done.returncode == 0, done.stderr
    [floors] = json.loads((project.cache / "floor.json").read_text()).values()
    measured = abs(rows(done)["pace.time"]["judgement"]["estimate"])
    assert floors["pace.time"]["floor"] == pytest.approx(measured) and floors["pace.rate"]["pairs"] == 8
    floors["pace.time"]["floor"] = 0.5
    text = (project.cache / "floor.json").read_text()
    [environment] = json.loads(text)
    (project.cache / "floor.json").write_text(json.dumps({environment: floors}))
    later = project.gate(project.suite, "--base", "HEAD", "--max-pairs", "8", "--json")
    assert rows(later)["pace.time"]["judgement"]["tolerance"] == 0.5
    assert rows(later)["pace.time"]["reason"] == "tolerance 50.0%: this machine's A/A floor; 3.0% was asked for"
    del floors["pace.time"]["method"]  # measured by a gate whose processes did not take turns
    (project.cache / "floor.json").write_text(json.dumps({environment: floors}))
    strict = project.gate(project.suite, "--base", "HEAD", "--max-pairs", "8", "--json")
    assert rows(strict)["pace.time"]["judgement"]["tolerance"] < 0.5


def test_a_budget_that_is_spent_is_inconclusive_and_no_alarm(project):
    project.commit(suite=PACE)
    project.commit(suite=PACE, level=2e-3)
    done = project.gate(project.suite, "--base", "main~1", "--budget", "0.1")
    assert done.returncode == 0, done.stderr
    assert "inconclusive" in done.stdout or "no pair was measured in 0.1 seconds" in done.stdout


def test_another_interpreter_on_the_same_files(project):
    """Two environments: here a second path to the same one, which needs no revision and no repository."""
    project.commit()
    outside = project.folder.with_name("outside")
    outside.mkdir()
    for path in (project.suite, project.suite.with_name("plain.py")):
        (outside / path.name).write_text(path.read_text())
    command = ("own.yaml", "--base-python", sys.executable, "--json")
    done = project.gate(*command, cwd=outside)
    assert done.returncode == 0, done.stderr
    assert rows(done)["size.bytes"]["verdict"] == "equivalent"
    resumed = project.gate(*command, "--resume", cwd=outside)
    assert resumed.returncode == 0, resumed.stderr
    (outside / "plain.py").write_text((outside / "plain.py").read_text() + "# another")
    changed = project.gate(*command, "--resume", cwd=outside)
    assert changed.returncode == 2 and "no gate to go on with" in changed.stderr


def test_packages_of_a_revision_come_before_those_installed(project):
    """The repository carries an rnnbench plugin package by entry point, in `src`; each side imports its own."""
    package = project.folder / "src" / "own_plain"
    package.mkdir(parents=True)
    (project.folder / "pyproject.toml").write_text(
        '[project]\nname = "own-plain"\nversion = "1"\n[project.entry-points.rnnbench]\nplain = "own_plain"\n'
    )
    for memory in (100.0, 90.0):
        project.write(memory=memory)
        project.suite.with_name("plain.py").rename(package / "__init__.py")
        project.suite.write_text(SUITE.replace("plugins: [plain.py]\n", ""))
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", "a change")
    done = project.gate(project.suite, "--base", "main~1", "--head", "main", "--json")
    assert done.returncode == 0, done.stderr
    row = rows(done)["size.bytes"]
    assert (row["verdict"], row["base"], row["head"]) == ("improved", 100.0, 90.0)


def test_rnnbench_itself_runs_from_the_revision_even_one_that_knows_no_gate(project):
    """The base is this rnnbench without its gate; in head its core says something else, which its plugin reports."""
    here = Path(rnnbench.__file__).parents[2]
    for name in ("harness", "plugins"):
        shutil.copytree(here / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(here / "pyproject.toml", project.folder)
    shutil.rmtree(project.folder / "harness" / "rnnbench" / "gate")
    memory = "sum(__import__(name).PLANTED for name in ('rnnbench', 'rnnbench_cells'))"
    for number in (50.0, 51.0):
        for package in ("harness/rnnbench", "plugins/rnnbench_cells"):
            with (project.folder / package / "__init__.py").open("a") as file:
                file.write(f"\nPLANTED = {number}\n")
        project.commit(memory=memory)
    done = project.gate(project.suite, "--base", "main~1", "--json")
    assert done.returncode == 1, done.stderr
    row = rows(done)["size.bytes"]
    assert (row["base"], row["head"]) == (100.0, 102.0)


GONE = {"suite": SUITE.replace("[one]", "[one, two]"), "cells": ["one", "two"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda project: project.write(**GONE | {"cells": ["one"]}), 'unknown cell "two"'),
        (lambda project: project.suite.with_name("plain.py").write_text("raise OSError('no disk')"), "no disk"),
        (lambda project: project.suite.with_name("plain.py").write_text("import os; os._exit(3)"), "cannot plan"),
    ],
    ids=["a cell is gone", "the plugin raises", "the plugin ends the process"],
)
def test_head_that_cannot_plan_what_base_can_has_lost_every_case(project, change, said):
    """Its code is broken, which is a regression of all that base has; the error is told as it came."""
    project.commit(**GONE)
    change(project)
    done = project.gate(project.suite, "--base", "HEAD", "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    found = report["rows"]
    assert [(row["case"].split()[1], row["verdict"]) for row in found] == [("one", "regressed"), ("two", "regressed")]
    assert all("missing in head" in row["reason"] for row in found)
    assert said in report["notes"][-1] and said in done.stderr


@pytest.mark.parametrize("suite", ["name: [own", SUITE.replace("[one]", "[oen]")], ids=["no YAML", "a name of no cell"])
def test_a_suite_that_head_itself_made_invalid_is_a_usage_error(project, suite):
    project.commit()
    project.write(suite)
    done = project.gate(project.suite, "--base", "HEAD")
    assert (done.returncode, done.stdout) == (2, "")
    assert "in head, working tree" in done.stderr and "own.yaml" in done.stderr


def test_two_environments_are_compared_and_named(project, tmp_path):
    """The same files, under two interpreters whose `abacus` differs; its version is the number that is reported."""
    pythons = [environment(tmp_path / f"environment{number}", f"1.{number}") for number in (0, 1)]
    project.commit(memory="float(__import__('importlib.metadata').metadata.version('abacus'))")
    done = project.gate(project.suite, "--base-python", pythons[0], "--head-python", pythons[1], "--json")
    assert done.returncode == 1, done.stderr
    row = rows(done)["size.bytes"]
    assert (row["verdict"], row["base"], row["head"]) == ("regressed", 1.0, 1.1)
    report = json.loads(done.stdout)
    assert report["base"].endswith(f" on {pythons[0]}") and report["head"].endswith(f" on {pythons[1]}")
    [note] = [note for note in report["notes"] if note.startswith("environments:")]
    assert note.endswith("they differ in abacus 1.0 → 1.1")


def environment(folder: Path, version: str) -> Path:
    """A virtual environment that sees what is installed here, and has a package `abacus` of its own."""
    venv.create(folder, symlinks=True, with_pip=False)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text("".join(f"import site; site.addsitedir({p!r})\n" for p in getsitepackages()))
    metadata = packages / f"abacus-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: abacus\nVersion: {version}\n")
    return folder / "bin" / "python"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base", "mian"], "Did you mean 'main'"),
        ([], "give --base REV"),
        (["--base", "main~1"], "bench/own.yaml is not in base"),
        (["--base", "main", "--tolerance", "0"], "write a share above 0"),
        (["--base", "main", "--resume"], "no gate to go on with"),
        (["--base", "main", "--only", "cell=tow"], "no case has it; there are: one"),
        (["--base", "main", "--tolerance", "size.byte=0.1"], "Did you mean 'size.bytes'"),
        (["--base", "main", "--head-python", "/no/python"], "no interpreter '/no/python'"),
        (["--base", "main", "--source-root", "lib"], "--source-root lib"),
        (["other", "third", "--base", "main"], "give one suite or two runs"),
        (["other", "--base", "main"], "--base: two stored runs"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(refusing, arguments, said):
    done = refusing.gate(refusing.suite, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert nothing_left(refusing)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("refusing"))
    project.git("commit", "--quiet", "--allow-empty", "--message", "empty")
    project.commit()
    return project
