"""What pages have from elsewhere: tables, links and found sentences of committed runs in README.md, results/README.md
and suites/README.md, the figure of README.md, and all settings in suites/SETTINGS.md.

`python tests/readme_tables.py` writes all of it again, from the newest run of each suite in results/runs; test_docs.py
compares. A page says what belongs where:

    <!-- report results/runs/smoke/NAME -->                        all tables of the run
    <!-- report results/runs/smoke/NAME | train time | memory -->  the blocks of text that begin so
    <!-- summary results/runs/long_seq/NAME -->                    a row per cell
    <!-- found results/runs/long_seq/NAME -->                      five sentences
    <!-- published results/runs -->                                our figures beside published ones
    <!-- /report -->                                               the end of any of these
"""

from __future__ import annotations

import re
from contextlib import chdir
from functools import cache
from pathlib import Path

from click.testing import CliRunner

import readme_figure
import readme_published
from readme_summary import Rows, found, summary

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "results" / "README.md", ROOT / "suites" / "README.md"]
SETTINGS = ROOT / "suites" / "SETTINGS.md"
TABLES = re.compile(
    r"(?P<open><!-- (?P<kind>report|summary|found|published) (?P<run>\S+)(?: \| (?P<blocks>.*?))? -->\n)"
    r".*?(?=<!-- /report -->)",
    re.DOTALL,
)
RUN = re.compile(r"runs/(?P<suite>\w+)/\d{8}T\d{6}Z-\w+")


def rewritten(page: Path) -> str:
    """The page with all that it shows of runs as the newest ones have it."""
    return TABLES.sub(_shown, RUN.sub(_newest, page.read_text()))


def _newest(found: re.Match[str]) -> str:
    return newest(found["suite"]).removeprefix("results/")


def newest(suite: str) -> str:
    """Path of the newest run of a suite, from the root of the repository."""
    runs = sorted(path.name for path in (ROOT / "results" / "runs" / suite).iterdir())
    return f"results/runs/{suite}/{runs[-1]}"


def _shown(place: re.Match[str]) -> str:
    if place["kind"] == "report":
        return _tables(place)
    if place["kind"] == "published":
        return f"{place['open']}\n{readme_published.table(_newest_report)}\n"
    rows = Rows.of_csv(_report(place["run"], "csv"))
    return place["open"] + "\n" + (summary if place["kind"] == "summary" else found)(rows) + "\n"


def _newest_report(suite: str) -> str | None:
    """The CSV of the newest run of a suite; None where there is none."""
    runs = sorted((ROOT / "results" / "runs" / suite).glob("*Z-*"))
    return _report(str(runs[-1].relative_to(ROOT)), "csv") if runs else None


def _tables(place: re.Match[str]) -> str:
    if place["blocks"]:
        return f"{place['open']}{_blocks(place['run'], place['blocks'].split(' | '))}"
    body = _report(place["run"], "md")
    return f"{place['open']}\n{re.sub('^##', '###', body.strip(), flags=re.MULTILINE)}\n\n"


def _blocks(run: str, names: list[str]) -> str:
    head, *blocks = _report(run, "table").split("\n\n")
    chosen = [block for name in [*names, "* best"] for block in blocks if block.startswith(name)]
    assert len(chosen) == len(names) + 1, f"{run} has no blocks or several of {names}"
    return "\n\n".join(["```text\n" + head, *chosen]).rstrip() + "\n```\n"


@cache
def _report(run: str, form: str) -> str:
    from rnnbench.cli import cli

    with chdir(ROOT):
        return CliRunner().invoke(cli, ["report", run, "--format", form], catch_exceptions=False).stdout


def settings_page() -> str:
    """What `rnnbench describe` says of each shipped probe."""
    from rnnbench.cli.describe_command import probe_text
    from rnnbench.registry import load

    registry = load()
    shipped = [p for p in registry.probes.values() if registry.origins["probe", p.name].name == "probes"]
    head = "# Settings and quantities of the shipped probes\n\nAs `rnnbench describe PROBE` prints them.\n\n"
    return head + "\n".join(f"## {probe.name}\n\n```text\n{probe_text(probe)}```\n" for probe in shipped)


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(rewritten(each))
    readme_figure.FIGURE.write_text(readme_figure.svg(newest("long_seq")))
    SETTINGS.write_text(settings_page())
