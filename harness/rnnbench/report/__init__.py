"""Reports: the same records as a table, findings, plots and files for other programs.

Importing this module is cheap; pandas and matplotlib are imported where they are used.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rnnbench.errors import UsageError, nearest
from rnnbench.record import Record

if TYPE_CHECKING:
    from rnnbench.report.selection import Selection

Format = Literal["table", "md", "csv", "json", "latex", "html"]
FORMATS: tuple[str, ...] = get_args(Format)

__all__ = ["FORMATS", "Format", "compare", "render", "write_views"]


def render(
    records: Sequence[Record],
    format: Format,
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    *,
    selection: Selection | None = None,
    everything: bool = False,
    one: bool = False,
    siunitx: bool = False,
) -> str:
    """The records in one format, as text that ends in a newline.

    table: for a terminal, coloured and no wider than it when stdout is one. md: GitHub's Markdown. latex: booktabs.
    csv: long form, one row per case and quantity. json: the table, findings and records. html: one page that needs
    nothing else; `rnnbench.report.html.render` makes one of several runs. environment: one environment of `run.json`,
    or all of them by id. selection: which cases and quantities, and what the columns are. everything: every
    quantity and finding, as json always has. Raises UsageError for an unknown format and where there are no records.
    """
    from rnnbench.report.selection import EVERYTHING

    _check(records, format)
    chosen = selection or EVERYTHING
    if format == "csv":
        from rnnbench.report import delimited

        return delimited.render(chosen.narrowed(records))
    if format == "html":
        from rnnbench.report import html

        return html.render([html.ReportRun(chosen.narrowed(records), {"environments": environment or {}})], title)
    from rnnbench.report import json_, latex, markdown, text
    from rnnbench.report.table import build

    table = build(records, title, environment, everything=everything or format == "json", selection=chosen)
    if format == "json":
        return json_.render(table, chosen.narrowed(records), environment)
    if format == "md":
        return markdown.render(table)
    if format == "latex":
        return latex.render(table, one=one, siunitx=siunitx, everything=everything)
    return text.render(table, *_window(text.coloured))


def write_views(
    records: Sequence[Record],
    folder: Path,
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    selection: Selection | None = None,
) -> list[Path]:
    """Write `table.md`, `table.csv` and the plots into a folder; returns what was written.

    Each file is whole or as it was before. A plot that cannot be drawn is named in `table.md` with the reason.
    """
    from rnnbench.report.plots import write_plots
    from rnnbench.store.files import write_atomically

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = write_plots(records, folder, title, environment)
    page = render(records, "md", title, environment, selection=selection)
    page += "".join(f"\n![{path.stem.replace('_', ' ')}]({path.name})\n" for path in pictures.paths)
    page += "".join(f"\n{stem.replace('_', ' ')} is not drawn: {why}.\n" for stem, why in pictures.undrawn.items())
    texts = {"table.md": page, "table.csv": render(records, "csv", title, environment)}
    for name, content in texts.items():
        write_atomically(folder / name, content)
    return [*(folder / name for name in texts), *pictures.paths]


def compare(
    records_a: Sequence[Record],
    records_b: Sequence[Record],
    name_a: str = "A",
    name_b: str = "B",
    format: Format = "table",
    *,
    environments: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None] = (None, None),
    selection: Selection | None = None,
    everything: bool = False,
) -> str:
    """What changed from A to B, case by case, with intervals: see `rnnbench.report.comparison`.

    environments: id -> snapshot of each run, by which differences are named. selection: which cases and quantities.
    everything: what did not change too. Raises UsageError where no case is in both.
    """
    _check([*records_a[:1], *records_b[:1]], format)
    if format == "html":
        raise UsageError("a comparison has no html format; `rnnbench report A B --format html` shows both runs.")
    from rnnbench.report import comparison, text
    from rnnbench.report.selection import EVERYTHING

    chosen = selection or EVERYTHING
    sides = chosen.narrowed(records_a), chosen.narrowed(records_b)
    found = comparison.compare(*sides, name_a, name_b, *environments)
    if chosen.quantities:
        found = replace(found, changes=tuple(replace(change, headline=True) for change in found.changes))
    return comparison.render(found, format, *_window(text.coloured), everything)


def _check(records: Sequence[Record], format: str) -> None:
    if format not in FORMATS:
        hint = nearest(format, FORMATS)
        raise UsageError(f"there is no report format {format!r}; use one of {', '.join(FORMATS)}.{hint}")
    if not records:
        raise UsageError("there are no records to report; the run has not finished any case.")


PIPE_WIDTH = 100
"""Columns of a table in a file or pipe, where $COLUMNS does not say otherwise."""


def _window(style: Any) -> tuple[int, Any]:
    """(width, style) of the terminal on stdout; without a style where stdout is a file or pipe."""
    if not sys.stdout.isatty():
        return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns if os.environ.get("COLUMNS") else PIPE_WIDTH, None
    return shutil.get_terminal_size().columns, None if os.environ.get("NO_COLOR") else style
