"""What every page of ours stands on: one template, one script, and a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.report.html.marked import marked
from rnnbench.report.html.packing import packed
from rnnbench.report.html.theme import Theme, key
from rnnbench.report.html.views import PlotView, Trace

DIGITS = 6
"""Significant digits of numbers that are only drawn; the raw data keep all."""
_HERE = "rnnbench.report.html"
SCRIPTS = ("kit", "plots", "filters", "tables", "explanations", "state", "start")
"""Files of the page's script, in the order in which they need each other."""


def fill(template: str, package: str, **values: Any) -> str:
    """A page, complete and without need of a network. template: a file of `package`; it may import `macros.html`.

    Raises UsageError where the extra `html` is not installed.
    """
    jinja2, plotly = _libraries()
    page = script()
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _file(name, package if name == template else _HERE)),
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["marked"] = marked
    common = {"policy": _policy([plotly, page]), "style": _file("page.css"), "script": page, "plotly": packed(plotly)}
    return environment.get_template(template).render(key=key, **common, **values)


def _libraries() -> tuple[Any, str]:
    """(jinja2, the text of plotly.js)."""
    try:
        import jinja2
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UsageError(
            f"the html report needs the package {error.name}, which is not installed: pip install 'rnnbench[html]'."
        ) from error
    return jinja2, get_plotlyjs()


def _file(name: str, package: str = "rnnbench.report.html") -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def script() -> str:
    """The script of a page, one file after the other in one scope."""
    parts = "\n".join(_file(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _policy(scripts: Iterable[str]) -> str:
    """The page may run its own scripts and nothing else, and may not reach for anything outside."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def script_json(data: Any) -> str:
    """JSON that is safe inside a script element."""
    return to_json(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def to_json(data: Any) -> str:
    """As short as it gets."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def view_json(view: PlotView, theme: Theme) -> dict[str, Any]:
    """A view as the script draws it."""
    names = (
        "group",
        "label",
        "kind",
        "x_title",
        "y_title",
        "x_log",
        "y_log",
        "levels",
        "floor",
        "studied",
        "ticks",
        "marks",
    )
    labels = view.labels
    lines = [
        _line(line)
        | {"label": labels[line.cell, line.program], "axes": theme.position(line.axes)}
        | ({"tint": line.setting, "program": line.base} if view.studied else {"tint": line.cell})
        for line in view.lines
    ]
    return {name: getattr(view, name) for name in names} | {"lines": lines}


def _line(line: Trace) -> dict[str, Any]:
    columns = {name: [_drawn(value) for value in getattr(line, name)] for name in ("x", "y", "low", "high")}
    bound = {"bound": line.bounds} if line.bounds else {}
    return {"place": key(line.place), "cell": line.cell, "program": line.program, **columns, **bound}


def _drawn(value: float | None) -> float | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}")
