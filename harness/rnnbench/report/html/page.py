"""The page itself: everything is text and tables in the HTML, the plots come on top of it by script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from rnnbench.case import AXES, value_text
from rnnbench.errors import UsageError
from rnnbench.record import STATUSES, Record
from rnnbench.report.environment import environment_line
from rnnbench.report.html import origins
from rnnbench.report.html.derived import with_derived
from rnnbench.report.html.downloads import downloads
from rnnbench.report.html.looks import Looks, key
from rnnbench.report.html.marked import marked
from rnnbench.report.html.packing import packed
from rnnbench.report.html.sections import further_findings, sections
from rnnbench.report.html.tables import Column
from rnnbench.report.html.views import Line, View
from rnnbench.report.problems import problems
from rnnbench.report.runs import Run, lettered
from rnnbench.report.samples import CAPTION, TITLE, samples
from rnnbench.report.series import RUN, panels
from rnnbench.report.table import BEST
from rnnbench.report.units import quantity

DIGITS = 6
"""Significant digits of numbers that are only drawn; the raw data keep all."""
SCRIPTS = ("kit", "plots", "filters", "tables", "explanations", "state", "start")
"""Files of the page's script, in the order in which they need each other."""
FACTS = ("cell", "backend", "device", "dtype", *AXES[5:10])


def render(runs: Sequence[Run], title: str = "") -> str:
    """The page of one or more runs, complete and without need of a network.

    Raises UsageError where the extra `html` is not installed or there are no records.
    """
    jinja2, plotly = _libraries()
    if not any(run.records for run in runs):
        raise UsageError("there are no records to report; the run has not finished any case.")
    stored, runs = runs, lettered(runs)
    records = with_derived([record for run in runs for record in run.records])
    grouped = panels(records)
    alone = {run.letter: panels(with_derived(run.records)) for run in runs} if len(runs) > 1 else {}
    shown = sections(grouped, alone)
    page, looks = script(), Looks.of(shown, runs)
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["marked"] = marked
    return environment.from_string(_file("page.html")).render(
        title=title or ", ".join(dict.fromkeys(run.suite for run in runs if run.suite)) or "report",
        policy=_policy([plotly, page]),
        style=_file("page.css"),
        script=page,
        data=_script_json(looks.to_json() | {"variants": {one.topic.id: one.variants for one in shown}}),
        numbers={one.topic.id: packed(_json([_view(view, looks) for view in one.views])) for one in shown},
        reasons={one.topic.id: packed(_json(one.table.explanations)) for one in shown if one.table},
        summary=[section for section in shown if section.topic.suite],
        position=looks.position,
        plotly=packed(plotly),
        runs=[_run_card(run) for run in runs],
        facts=_facts(records),
        sections=shown,
        samples=samples(grouped),
        samples_title=TITLE,
        samples_caption=CAPTION,
        further=further_findings(grouped, shown),
        problems=problems(records),
        bad=[record for record in _worst_first(records) if not record.ok],
        several=len(runs) > 1,
        axis=RUN,
        best=BEST,
        meanings=origins.meanings(records),
        how=origins.facts(records),
        notes=origins.notes(records),
        downloads=downloads([Run(a.records, a.meta, b.letter) for a, b in zip(stored, runs, strict=True)]),
        bad_columns=_columns(
            "status", "probe", "cell", "program", "device", "T", *(["run"] if len(runs) > 1 else []), "reason"
        ),
        meaning_columns=_columns("quantity", "unit", "better", "origin", "meaning"),
        note_columns=_columns("case", "note"),
        key=key,
        size=lambda count: quantity(count, "B"),
    )


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


def _file(name: str) -> str:
    return resources.files("rnnbench.report.html").joinpath(name).read_text(encoding="utf-8")


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


def _script_json(data: Any) -> str:
    """JSON that is safe inside a script element."""
    return _json(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _view(view: View, looks: Looks) -> dict[str, Any]:
    names = ("group", "label", "kind", "x_title", "y_title", "x_log", "y_log", "levels", "floor", "studied")
    labels = view.labels
    lines = [
        _line(line)
        | {"label": labels[line.cell, line.program], "axes": looks.position(line.axes)}
        | ({"tint": line.setting, "program": line.base} if view.studied else {"tint": line.cell})
        for line in view.lines
    ]
    return {name: getattr(view, name) for name in names} | {"lines": lines}


def _line(line: Line) -> dict[str, Any]:
    columns = {name: [_drawn(value) for value in getattr(line, name)] for name in ("x", "y", "low", "high")}
    bound = {"bound": line.bounds} if line.bounds else {}
    return {"place": key(line.place), "cell": line.cell, "program": line.program, **columns, **bound}


def _drawn(value: float | None) -> float | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}")


def _run_card(run: Run) -> Mapping[str, Any]:
    """What stands above everything: machine, software, suite, command, commit, outcome."""
    statuses = Counter(record.status for record in run.records)
    outcome = ", ".join(f"{statuses[status]} {status}" for status in STATUSES if statuses[status])
    git = run.meta.get("git") or {}
    commit = str(git.get("commit") or "")[:10] + (" with uncommitted changes" if git.get("dirty") else "")
    unfinished = int(run.meta.get("total", len(run.records))) - len(run.records)
    rows = {
        "Machine": "; ".join(filter(None, map(environment_line, run.environments.values()))) or "not recorded",
        "Suite": " ".join(filter(None, [run.suite, run.meta.get("suite_hash") and f"({run.meta['suite_hash']})"])),
        "Made": str(run.meta.get("created", "")).replace("T", " "),
        "Command": " ".join(map(str, run.meta.get("argv", ()))),
        "Commit": commit,
        "Cases": outcome + (f", {unfinished} not yet run" if unfinished > 0 else ""),
    }
    return {"letter": run.letter, "rows": {name: text for name, text in rows.items() if text}}


def _facts(records: Sequence[Record]) -> dict[str, str]:
    """The values of each axis over all cases."""
    columns = {name: list(dict.fromkeys(getattr(record.case, name) for record in records)) for name in FACTS}
    columns["implementation"] = list(
        dict.fromkeys(record.implementation for record in records if record.implementation)
    )
    columns["task"] = list(dict.fromkeys(filter(None, (record.case.settings.get("task") for record in records))))
    named = {"seq_len": "sequence length T", "dtype": "number format"}
    told = {named.get(name, name.replace("_", " ")): _values(values) for name, values in columns.items()}
    return {name: text for name, text in told.items() if text}


def _values(values: Sequence[Any]) -> str:
    ordered = sorted(values) if all(isinstance(value, (int, float)) for value in values) else values
    return ", ".join(value_text(value) for value in ordered)


def _columns(*titles: str) -> list[Column]:
    return [Column(title, numeric=title == "T") for title in titles]


def _worst_first(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.status == "skipped", STATUSES.index(record.status)))
