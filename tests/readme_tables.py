"""The tables in README.md and results/README.md are what `rnnbench report` prints of committed runs.

`python tests/readme_tables.py` writes them again; test_docs.py compares them. A page says what belongs where:

    <!-- report results/runs/smoke/NAME -->                        all of its tables
    <!-- report results/runs/smoke/NAME | train time | memory -->  the blocks of text that begin so
    <!-- /report -->
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "results" / "README.md"]
TABLES = re.compile(
    r"(?P<open><!-- report (?P<run>\S+)(?: \| (?P<blocks>.*?))? -->\n).*?(?=<!-- /report -->)", re.DOTALL
)


def rewritten(page: Path) -> str:
    """The page with all its tables as the runs have them now."""
    return TABLES.sub(_tables, page.read_text())


def _tables(found: re.Match[str]) -> str:
    if found["blocks"]:
        return f"{found['open']}{_blocks(found['run'], found['blocks'].split(' | '))}"
    body = _report(found["run"], "md")
    return f"{found['open']}\n{re.sub('^##', '###', body.strip(), flags=re.MULTILINE)}\n\n"


def _blocks(run: str, names: list[str]) -> str:
    head, *blocks = _report(run, "table").split("\n\n")
    chosen = [block for name in [*names, "* best"] for block in blocks if block.startswith(name)]
    assert len(chosen) == len(names) + 1, f"{run} has no blocks or several of {names}"
    return "\n\n".join(["```text\n" + head, *chosen]).rstrip() + "\n```\n"


def _report(run: str, form: str) -> str:
    command = [sys.executable, "-m", "rnnbench", "report", run, "--format", form]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(rewritten(each))
