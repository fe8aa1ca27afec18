"""The documentation is executed: every example file is written, every console line is run."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

import readme_figure
import readme_tables
from command_line import Answer, ask
from rnnbench import Record, load

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|yaml|console|toml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^# (\S+\.(?:py|yaml))$", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def rnnbench(command: str, folder: Path, measured: bool = False) -> Answer:
    """Run a documented command line, of rnnbench or of a Python file, with the interpreter of the tests.

    By default in their process, but for the one that forks workers, which a process with threads should not.
    """
    [program, *arguments] = shlex.split(command)
    assert program in ("rnnbench", "python")
    if measured or "futures" in arguments:
        command_line = [sys.executable, *(["-m", "rnnbench"] if program == "rnnbench" else []), *arguments]
        done = subprocess.run(command_line, cwd=folder, capture_output=True, text=True, timeout=600)
        return Answer(done.returncode, done.stdout, done.stderr)
    if program == "rnnbench":
        return ask(*arguments, cwd=folder)
    with chdir(folder):
        runpy.run_path(arguments[0], run_name="__main__")
    return Answer(0, "", "")


def narrowed(command: str, measured: bool) -> str:
    """A command as it is written, or in the default run `verify` with stepwise implementations in float32 alone, since
    the others compile for half a minute, and a training of one cell, elsewhere by one worker.
    """
    if measured:
        return command
    if command.startswith("rnnbench run running_mean.yaml"):
        return f"{command} --only cell=leaky".replace("at_most=2", "at_most=1")
    if not (plain := re.fullmatch(r"rnnbench verify (?:\w+ )?--plugin ((\w+)\.py)", command)):
        return command
    stepwise = {"torch_gru": "", "leaky": " eager", "mycell": " eager", "ema": " scan"}.get(plain[2], " eager scan")
    return f"rnnbench verify {plain[2]}{stepwise} --plugin {plain[1]} --dtype float32"


@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_plugin_guide_does_what_it_says(tmp_path, measured):
    pytest.importorskip("torch")
    commands = 0
    for language, text in blocks(ROOT / "plugins" / "README.md"):
        if language in ("python", "yaml"):
            name = NAMED.match(text)
            assert name, f"an example without a file name in its first line:\n{text}"
            (tmp_path / name[1]).write_text(text)
        elif language == "console":
            result = rnnbench(narrowed(text.strip().removeprefix("$ "), measured), tmp_path, measured)
            assert result.code == 0, result.out + result.err
            commands += 1
    assert commands == 9
    alone, pooled = (load(run).records for run in sorted((tmp_path / "results/runs/running_mean").iterdir()))
    assert [record.details.get("packed") for record in (*alone, *pooled)] == [None] * len(alone) + [True] * len(alone)
    assert [losses(record) for record in pooled] == [losses(record) for record in alone]


def losses(record: Record) -> dict[str, float]:
    """Bit for bit the same wherever a case runs."""
    found = {name: one.value for name, one in record.quantities.items() if one.quantity.portable}
    assert len(found) >= 4
    return found


def test_the_executor_over_futures_takes_few_lines():
    [text] = [text for _, text in blocks(ROOT / "plugins" / "README.md") if text.startswith("# futures.py")]
    assert sum(map(bool, text.splitlines())) <= 35
    assert all(
        line.startswith(("from rnnbench import", "from concurrent")) for line in text.splitlines() if "import" in line
    )


COMMANDS = {"README.md": 2, "suites/README.md": 2}
"""Pages with `console` examples beside the plugin guide, and how many commands those hold."""


@pytest.mark.parametrize("page", COMMANDS)
@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_page_does_what_it_says(tmp_path, page, measured):
    """Its console examples, the long ones in full or planned only. The two `sh` commands install and run all this."""
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    commands = 0
    for language, text in blocks(ROOT / page):
        if language in ("python", "yaml"):
            (tmp_path / NAMED.match(text)[1]).write_text(text)  # type: ignore[index]
        elif language == "console":
            for line in text.strip().splitlines():
                planned = line.startswith("$ rnnbench run") and not measured and "--dry-run" not in line
                command = narrowed(line.removeprefix("$ "), measured)
                result = rnnbench(command + " --dry-run" * planned, tmp_path, measured)
                assert result.code == 0, result.out + result.err
                commands += 1
    assert commands == COMMANDS[page]


def test_the_two_commands_are_those_that_are_tested():
    [block] = [text for language, text in blocks(ROOT / "README.md") if language == "sh"]
    assert max(map(len, block.splitlines())) <= 90
    commands = [text for text in re.split(r"^# .*\n", block, flags=re.MULTILINE) if text]
    assert len(commands) == 2 and all(text.startswith("python3 -m venv") for text in commands)
    assert "rnnbench run long_seq" in commands[0] and "sh tests/check.sh" in commands[1]
    assert "sh tests/check.sh" in (ROOT / ".ci" / "run").read_text()


def test_the_first_screen_of_the_front_page_fits_a_laptop():
    """800 pixels hold a heading, the purpose, a block of six lines, a table of six rows, and beside it a figure that is
    no higher. The cell stands next.
    """
    text = (ROOT / "README.md").read_text()
    first, _, rest = text.partition("<!-- /report -->")
    assert len(first.splitlines()) <= 30
    assert sum(line.startswith("| ") for line in first.splitlines()) <= 2 + 6
    assert re.search(
        r'<img align="right" width="400" alt="[^"]+" src="results/training_time.svg">\n\n<!-- summary', first
    )
    [width, height] = re.findall(r' (?:width|height)="([\d.]+)pt"', readme_figure.FIGURE.read_text()[:600])
    assert 400 * float(height) / float(width) <= 276, "the figure is higher than the table: words would stand beside it"
    assert 0 < rest.index("```python") < rest.index("## ")
    [cell] = [text for language, text in blocks(ROOT / "README.md") if language == "python"]
    assert sum(map(bool, cell.splitlines())) <= 15


def test_the_figure_of_the_front_page_is_that_of_the_newest_run():
    """`python tests/readme_tables.py` draws it again."""
    shown = readme_figure.description(readme_tables.newest("long_seq"))
    assert shown.count("T=") >= 12
    assert f"<dc:description>{shown}</dc:description>" in readme_figure.FIGURE.read_text()


PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "harness/README.md",
        "suites/README.md",
        "results/README.md",
        "plugins/README.md",
    )
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


def test_every_page_that_explains_is_linked_from_the_front():
    front = (ROOT / "README.md").read_text()
    assert all(f"]({page.relative_to(ROOT)}" in front for page in PAGES[1:])


def test_the_page_of_settings_is_what_describe_says():
    """`python tests/readme_tables.py` writes it again."""
    assert readme_tables.SETTINGS.read_text() == readme_tables.settings_page()


@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_new_cell_passes_verify_as_it_is(tmp_path, measured):
    pytest.importorskip("torch")
    assert rnnbench("rnnbench new cell mycell", tmp_path).code == 0
    lines = (tmp_path / "mycell.py").read_text().split('"""')[2].strip().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 20
    result = rnnbench(narrowed("rnnbench verify --plugin mycell.py", measured), tmp_path, measured)
    assert result.code == 0, result.out + result.err
    assert "mycell     torch/eager" in result.out
    again = rnnbench("rnnbench new cell mycell", tmp_path)
    assert again.code == 2 and "already there" in again.err


@pytest.mark.parametrize("page", readme_tables.PAGES, ids=lambda page: page.parent.name)
def test_the_tables_of_a_page_are_those_of_its_runs(page):
    """`python tests/readme_tables.py` writes them again."""
    assert readme_tables.TABLES.search(page.read_text())
    assert readme_tables.rewritten(page) == page.read_text()


def test_a_table_that_was_touched_up_is_told(tmp_path):
    text = readme_tables.PAGES[0].read_text()
    number = re.search(r"^\| gru \| (\S+) × ", text, re.MULTILINE)
    assert number
    page = tmp_path / "README.md"
    page.write_text(text[: number.start(1)] + "0.5" + text[number.end(1) :])
    assert readme_tables.rewritten(page) == text
