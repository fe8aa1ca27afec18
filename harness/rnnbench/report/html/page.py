"""The page itself: everything is text and tables in the HTML, the plots come on top of it by script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.case import AXES, value_text
from rnnbench.errors import UsageError
from rnnbench.part import HARMLESS, STATUSES
from rnnbench.record import Record
from rnnbench.report.environment import environment_line
from rnnbench.report.html import machines, origins
from rnnbench.report.html.derived import with_derived
from rnnbench.report.html.downloads import downloads
from rnnbench.report.html.packing import packed
from rnnbench.report.html.sections import further_findings, sections
from rnnbench.report.html.shell import fill, script_json, to_json, view_json
from rnnbench.report.html.tables import TableColumn
from rnnbench.report.html.theme import Theme
from rnnbench.report.problems import problems
from rnnbench.report.runs import ReportRun, kinds_of, lettered
from rnnbench.report.samples import CAPTION, TITLE, samples
from rnnbench.report.series import RUN, panels
from rnnbench.report.table import BEST
from rnnbench.report.units import quantity

FACTS = ("cell", "backend", "device", "dtype", *AXES[5:10])


def render(runs: Sequence[ReportRun], title: str = "") -> str:
    """The page of one or more runs, complete and without need of a network.

    Raises UsageError where the extra `html` is not installed or there are no records.
    """
    if not any(run.records for run in runs):
        raise UsageError("there are no records to report; the run has not finished any case.")
    stored, runs = runs, lettered(runs)
    records = with_derived([record for run in runs for record in run.records])
    grouped = panels(records)
    alone = {run.letter: panels(with_derived(run.records)) for run in runs} if len(runs) > 1 else {}
    shown = sections(grouped, alone)
    if beside := machines.section(records, grouped):
        shown.append(beside)
    theme = Theme.of(shown, runs)
    return fill(
        "page.html",
        "rnnbench.report.html",
        title=title or ", ".join(dict.fromkeys(run.suite for run in runs if run.suite)) or "report",
        data=script_json(theme.to_json() | {"variants": {one.topic.id: one.variants for one in shown}}),
        numbers={one.topic.id: packed(to_json([view_json(view, theme) for view in one.views])) for one in shown},
        reasons={id: packed(to_json(table.explanations)) for one in shown for id, table in one.tables_by_id.items()},
        summary=[section for section in shown if section.topic.suite],
        position=theme.position,
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
        downloads=downloads([ReportRun(a.records, a.meta, b.letter) for a, b in zip(stored, runs, strict=True)]),
        bad_columns=_columns(
            "status", "probe", "cell", "program", "device", "T", *(["run"] if len(runs) > 1 else []), "reason"
        ),
        meaning_columns=_columns("quantity", "unit", "better", "origin", "meaning"),
        note_columns=_columns("case", "note"),
        size=lambda count: quantity(count, "B"),
    )


def _run_card(run: ReportRun) -> Mapping[str, Any]:
    """What stands above everything: machine, software, suite, command, commit, outcome."""
    statuses = Counter(record.status for record in run.records)
    outcome = ", ".join(f"{statuses[status]} {status}" for status in STATUSES if statuses[status])
    git = run.meta.get("git") or {}
    commit = str(git.get("commit") or "")[:10] + (" with uncommitted changes" if git.get("dirty") else "")
    unfinished = int(run.meta.get("total", len(run.records))) - len(run.records)
    rows = {
        "Machine": "; ".join(filter(None, _machines(run))) or "not recorded",
        "Suite": " ".join(filter(None, [run.suite, run.meta.get("suite_hash") and f"({run.meta['suite_hash']})"])),
        "Made": str(run.meta.get("created", "")).replace("T", " "),
        "Command": " ".join(map(str, run.meta.get("argv", ()))),
        "Commit": commit,
        "Cases": outcome + (f", {unfinished} not yet run" if unfinished > 0 else ""),
    }
    return {"letter": run.letter, "rows": {name: text for name, text in rows.items() if text}}


def _machines(run: ReportRun) -> list[str]:
    """A line for each, behind the kind that was asked for, or where there are several and none was, its id."""
    kinds, several = kinds_of(run.records), len(run.environments) > 1
    names = {id: kinds.get(id, id) if several else "" for id in run.environments}
    lines = {id: environment_line(entry) for id, entry in run.environments.items()}
    return [": ".join(filter(None, [names[id], line])) for id, line in lines.items() if line]


def _facts(records: Sequence[Record]) -> dict[str, str]:
    """The values of each axis over all cases."""
    columns = {name: list(dict.fromkeys(getattr(record.case, name) for record in records)) for name in FACTS}
    columns["implementation"] = list(
        dict.fromkeys(record.implementation for record in records if record.implementation)
    )
    columns["task"] = list(dict.fromkeys(filter(None, (record.case.settings.get("task") for record in records))))
    named = {"seq_len": "sequence length T", "dtype": "number format"}
    shown = {named.get(name, name.replace("_", " ")): _values(values) for name, values in columns.items()}
    return {name: text for name, text in shown.items() if text}


def _values(values: Sequence[Any]) -> str:
    ordered = sorted(values) if all(isinstance(value, (int, float)) for value in values) else values
    return ", ".join(value_text(value) for value in ordered)


def _columns(*titles: str) -> list[TableColumn]:
    return [TableColumn(title, numeric=title == "T") for title in titles]


def _worst_first(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.status in HARMLESS, STATUSES.index(record.status)))
