"""Pictures of a run, for papers and for the folder of the run.

A figure is drawn or says why it was not: a picture never costs the table beside it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import UsageError
from rnnbench.record import Record
from rnnbench.report.environment import environment_lines
from rnnbench.report.plots.canvas import PICTURE_FORMATS, RC, PictureFormat, Style
from rnnbench.report.plots.data import curve, held_losses
from rnnbench.report.plots.encoding import cell_marks
from rnnbench.report.plots.figures import Nothing, Page, figure_of, plans
from rnnbench.report.runs import kinds_of
from rnnbench.report.series import Panel, panels
from rnnbench.store.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE_FORMATS", "Picture", "PictureFormat", "Pictures", "Style", "curve", "draw", "draw_one"]
__all__ += ["held_losses", "write_plots"]

DPI = 150
_METADATA: Mapping[str, Mapping[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""Nothing of the day is in a file, so that the same records give the same bytes."""


@dataclass(frozen=True)
class Picture:
    """A figure under the name its file gets. why: it could not be drawn, where it is None."""

    stem: str
    figure: Figure | None
    why: str = ""


@dataclass(frozen=True)
class Pictures:
    """Files written, and name -> why of the figures that could not be drawn."""

    paths: Sequence[Path]
    undrawn: Mapping[str, str]


def draw(
    records: Sequence[Record],
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    style: Style | None = None,
) -> Iterator[Picture]:
    """Draw what the records allow, one figure after the other.

    Args:
        records: Of one run, or of several that were made an axis (see `rnnbench.report.runs`).
        title: Above each figure.
        environment: One environment of `run.json`, or its whole mapping; machine and versions stand in small print.
        style: File format and width.

    Yields:
        Pictures, those that could not be drawn among them.
    """
    import matplotlib as mpl

    grouped = panels(records)
    shown = [series for panel in grouped for series in panel.series]
    page = Page(
        cell_marks(shown), style or Style(), title, "; ".join(environment_lines(environment, kinds_of(records)))
    )
    for plan in plans(grouped, page):
        with mpl.rc_context(dict(RC)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
            try:
                yield Picture(plan.stem, plan.draw())
            except Nothing as reason:
                yield Picture(plan.stem, None, str(reason))
            except Exception as error:  # whatever a record holds, the other figures and the table are not lost
                yield Picture(plan.stem, None, f"{type(error).__name__}: {error}")


def draw_one(panel: Panel, name: str, title: str = "", environment: Mapping[str, Any] | None = None) -> Figure:
    """Draw a quantity of one probe against sequence length, or one of its curves along its own axis.

    Args:
        panel: What the probe found, see `rnnbench.report.series.panels`.
        name: Of the quantity or the curve.
        title: Above the figure.
        environment: As in `draw`.

    Returns:
        A figure that pyplot does not know.

    Raises:
        UsageError: No case has a number for it.
    """
    import matplotlib as mpl

    page = Page(cell_marks(panel.series), Style(), title, "; ".join(environment_lines(environment)))
    with mpl.rc_context(dict(RC)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        try:
            return figure_of(panel, name, page)
        except Nothing as reason:
            raise UsageError(f"{name} cannot be drawn: {reason}.") from None


def write_plots(
    records: Sequence[Record],
    folder: Path,
    title: str = "",
    environment: Mapping[str, Any] | None = None,
    style: Style | None = None,
) -> Pictures:
    """Write the figures of `draw` into a folder; each file is whole or not there."""
    style = style or Style()
    paths, undrawn = [], {}
    for picture in draw(records, title, environment, style):
        try:
            content = None if picture.figure is None else _rendered(picture.figure, style)
        except Exception as error:  # layout and text are checked by matplotlib only when it renders
            content, picture = None, Picture(picture.stem, None, f"{type(error).__name__}: {error}")
        if content is None:
            undrawn[picture.stem] = picture.why
            continue
        path = Path(folder) / f"{picture.stem}.{style.format}"
        write_atomically(path, content)
        paths.append(path)
    return Pictures(paths, undrawn)


def _rendered(figure: Figure, style: Style) -> bytes:
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(dict(RC)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(buffer, format=style.format, dpi=DPI, metadata=_METADATA[style.format])
    return buffer.getvalue()
