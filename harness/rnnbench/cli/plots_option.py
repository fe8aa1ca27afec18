"""`rnnbench report --plots`: the figures of stored runs, as a paper wants them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import click

from rnnbench.cli.runs import LoadedRuns
from rnnbench.errors import UsageError

_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
"""A point is TeX's."""
_NARROWEST, _WIDEST = 1.5, 40.0
"""Inches."""


def write(loaded: LoadedRuns, folder: Path, format_: str | None, width: str | None) -> None:
    """Write the figures and print their paths; what cannot be drawn is told on stderr.

    Raises UsageError for a format that is none of pictures, and for a width that is none.
    """
    from rnnbench.report.plots import PICTURE_FORMATS, PictureFormat, Style, write_plots
    from rnnbench.report.runs import lettered

    if format_ is not None and format_ not in PICTURE_FORMATS:
        raise UsageError(
            f"--plots writes {', '.join(PICTURE_FORMATS)}, not {format_}; leave --plots out for {format_}."
        )
    style = Style(cast("PictureFormat", format_ or "png"), None if width is None else inches(width))
    folder.mkdir(parents=True, exist_ok=True)
    runs = lettered(loaded.runs)
    records = [record for run in runs for record in run.records]
    if not records:
        raise UsageError("there are no records to draw; the run has not finished any case.")
    pictures = write_plots(records, folder, loaded.title, loaded.environment, style)
    for path in pictures.paths:
        click.echo(str(path))
    for stem, why in pictures.undrawn.items():
        click.echo(f"{stem} is not drawn: {why}", err=True)
    if not pictures.paths and not pictures.undrawn:
        click.echo("there is nothing to draw: no quantity at two lengths, and no curve", err=True)


def inches(text: str) -> float:
    """A length: `3.25in`, `8.3cm`, `84mm`, `241pt`. Raises UsageError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text)
    size = float(found[1]) * _INCHES.get(found[2] or "in", 0.0) if found else 0.0
    if not _NARROWEST <= size <= _WIDEST:
        raise UsageError(
            f"--width {text!r}: a width is a number with {', '.join(_INCHES)}, from {_NARROWEST:g}in to {_WIDEST:g}in: "
            "`3.25in` is a column of many papers."
        )
    return size
