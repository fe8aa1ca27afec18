"""Tables as HTML fragments for a notebook: no style sheet, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from rnnbench.report.text import axis_heads, block_scale, entry_text, heading

if TYPE_CHECKING:
    from rnnbench.report.table import Block, Entry, Table
    from rnnbench.report.units import Scale


def table_html(table: Table) -> str:
    """Findings, then a table for each quantity; the best in bold, statuses in italics."""
    findings = [str(finding) for finding in table.findings]
    parts = [f"<p>{escape(line)}</p>" for line in table.header]
    parts += [_list("Findings", findings), *map(_block, table.blocks), _list("Not ok", table.problems)]
    parts += [f"<p><small>{escape(mark)}: {escape(line)}</small></p>" for mark, line in table.legend.items()]
    return "".join(filter(None, parts))


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table of finished cells (HTML); the first `left` columns are flush left."""
    top = "".join(f"<th{_align(column < left)}>{text}</th>" for column, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{_align(column < left)}>{text}</td>" for column, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _align(left: bool) -> str:
    return f' style="text-align: {"left" if left else "right"}"'


def _block(block: Block) -> str:
    scale = block_scale(block)
    head = list(map(escape, [*axis_heads(block), *block.heads]))
    rows = [[*map(escape, row.labels), *(_cell(entry, scale) for entry in row.entries)] for row in block.rows]
    caption = f"<p>{escape(block.caption)}</p>" if block.caption else ""
    return f"<h4>{escape(heading(block, scale))}</h4>{caption}{grid(head, rows, len(block.axes))}"


def _cell(entry: Entry, scale: Scale) -> str:
    text = escape(entry_text(entry, scale))
    if entry.best:
        return f"<b>{text}</b>"
    return f"<i>{text}</i>" if entry.value is None and entry.status not in ("", "missing") else text


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details><summary>{title}</summary><ul>{items}</ul></details>" if lines else ""
