"""The documentation is executed: every example file is written, every console line is run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import readme_tables

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|yaml|console|toml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^# (\S+\.(?:py|yaml))$", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def rnnbench(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a documented command line with the interpreter of the tests."""
    [program, *arguments] = shlex.split(command)
    assert program == "rnnbench"
    command_line = [sys.executable, "-m", "rnnbench", *arguments]
    return subprocess.run(command_line, cwd=folder, capture_output=True, text=True, timeout=300)


def test_the_plugin_guide_does_what_it_says(tmp_path):
    pytest.importorskip("torch")
    commands = 0
    for language, text in blocks(ROOT / "plugins" / "README.md"):
        if language in ("python", "yaml"):
            name = NAMED.match(text)
            assert name, f"an example without a file name in its first line:\n{text}"
            (tmp_path / name[1]).write_text(text)
        elif language == "console":
            result = rnnbench(text.strip().removeprefix("$ "), tmp_path)
            assert result.returncode == 0, result.stdout + result.stderr
            commands += 1
    assert commands == 5


@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_front_page_does_what_it_says(tmp_path, measured):
    """Its console examples, the long one in full or planned only. Its two commands install and run all this."""
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    shutil.copytree(ROOT / "suites", tmp_path / "suites")
    commands = 0
    for language, text in blocks(ROOT / "README.md"):
        if language in ("python", "yaml"):
            (tmp_path / NAMED.match(text)[1]).write_text(text)  # type: ignore[index]
        elif language == "console":
            for line in text.strip().splitlines():
                planned = line.startswith("$ rnnbench run") and not measured and "--dry-run" not in line
                result = rnnbench(line.removeprefix("$ ") + " --dry-run" * planned, tmp_path)
                assert result.returncode == 0, result.stdout + result.stderr
                commands += 1
    assert commands == 4


def test_a_new_cell_passes_verify_as_it_is(tmp_path):
    pytest.importorskip("torch")
    assert rnnbench("rnnbench new cell mycell", tmp_path).returncode == 0
    lines = (tmp_path / "mycell.py").read_text().split('"""')[2].strip().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 20
    result = rnnbench("rnnbench verify --plugin mycell.py", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "mycell     torch/eager" in result.stdout
    again = rnnbench("rnnbench new cell mycell", tmp_path)
    assert again.returncode == 2 and "already there" in again.stderr


@pytest.mark.parametrize("page", readme_tables.PAGES, ids=lambda page: page.parent.name)
def test_the_tables_of_a_page_are_those_of_its_runs(page):
    """`python tests/readme_tables.py` writes them again."""
    assert readme_tables.TABLES.search(page.read_text())
    assert readme_tables.rewritten(page) == page.read_text()


def test_a_table_that_was_touched_up_is_told(tmp_path):
    text = readme_tables.PAGES[0].read_text()
    number = re.search(r"^gru +torch/native +cpu +(\S+)", text, re.MULTILINE)
    assert number
    page = tmp_path / "README.md"
    page.write_text(text[: number.start(1)] + "1.00" + text[number.end(1) :])
    assert readme_tables.rewritten(page) == text
