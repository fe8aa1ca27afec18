"""The table in LaTeX: one `table` per quantity, rules of booktabs, numbers with the half-width of their interval."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnbench.report.series import is_wide
from rnnbench.report.table import Block, Entry, Table, legend
from rnnbench.report.text import axis_heads, block_scale, entry_text, heading, stripes
from rnnbench.report.units import Scale, number

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "µ": r"$\mu$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "‖": r"$\Vert$",
    "∂": r"$\partial$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    '"': "''",
    **{char: "\\" + char for char in "&%$#_{}"},
}

PAGE = 82
"""Characters that fit beside each other in \\footnotesize on a page of LaTeX's article, which is narrower than most."""
_COMMAND = re.compile(r"\\[A-Za-z]+|[\\${} ]")
"""What takes no room of its own on the page."""


def render(table: Table) -> str:
    """A fragment for a document that loads the package booktabs, and no other; findings come as comments."""
    head = ["% needs \\usepackage{booktabs}", *(comment(line) for line in (table.title, *table.header) if line)]
    notes = [*(f"not ok: {line}" for line in table.problems), *table.findings]
    parts = ["\n".join(head), *(_block(table, block) for block in table.blocks), "\n".join(map(comment, notes))]
    return "\n\n".join(filter(None, parts)) + "\n"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A tabular of finished cells; the first `left` columns are flush left."""
    lines = [" & ".join(row) + r" \\" for row in rows]
    columns = "l" * left + "r" * (len(head) - left)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def escape(text: str) -> str:
    """Text for LaTeX's text mode, without packages."""
    return "".join(_ESCAPES.get(char, char) for char in " ".join(text.split()))


def comment(text: str) -> str:
    """A comment of one line."""
    return "% " + " ".join(text.split())


def _block(table: Table, block: Block) -> str:
    scale = block_scale(block)
    marks = _marks(block)
    head = [
        *map(escape, axis_heads(block)),
        *(f"${head}$" if head.startswith("T=") else escape(head) for head in block.heads),
    ]
    rows = [[*map(escape, row.labels), *(_cell(entry, scale, marks) for entry in row.entries)] for row in block.rows]
    caption = ". ".join(filter(None, [heading(block, scale), block.caption, *table.header[-1:]]))
    notes = [rf"\textsuperscript{{{mark}}} {escape(note)}" for note, mark in marks.items()]
    notes += [rf"{_sign(mark)}: {escape(line)}" for mark, line in legend([block]).items()]
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(caption)}.}}",
        r"\smallskip",
        _tabulars(head, rows, len(block.axes)),
        rf"\par\smallskip {'; '.join(notes)}" if notes else "",
        r"\end{table}",
    ]
    return "\n".join(filter(None, lines))


def _sign(mark: str) -> str:
    return r"\textbf{bold}" if mark == "*" else escape(mark)


def _tabulars(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """One tabular, or several below each other where the columns are too many for a page."""
    widths = [max(len(_COMMAND.sub("", row[column])) for row in (head, *rows)) for column in range(len(head))]
    parts = [
        grid([head[column] for column in stripe], [[row[column] for column in stripe] for row in rows], left)
        for stripe in stripes(widths, left, PAGE)
    ]
    return "\n\\par\\smallskip\n".join(parts)


def _marks(block: Block) -> dict[str, str]:
    """Notes of the numbers as letters, explained below the table: words would make the columns too wide for a page."""
    notes = dict.fromkeys(note for row in block.rows for entry in row.entries if (note := _note(entry)))
    return {note: chr(ord("a") + index % 26) * (1 + index // 26) for index, note in enumerate(notes)}


def _note(entry: Entry) -> str:
    """The entry's note, unless it is the half-width, which stands beside the number already."""
    return "" if entry.half_width and not is_wide(entry) and entry.note.startswith("±") else entry.note


def _cell(entry: Entry, scale: Scale, marks: Mapping[str, str]) -> str:
    """Value ± half-width in mathematics; replicates keep their range, and a single number an interval that is wide,
    neither of which is symmetric.
    """
    mark = rf"\textsuperscript{{{marks[_note(entry)]}}}" if _note(entry) else ""
    if entry.value is None or entry.count > 1 or not entry.half_width or is_wide(entry):
        text = escape(entry_text(replace(entry, note=""), scale))
        return (rf"\textbf{{{text}}}" if entry.best else text) + mark
    value = scale(entry.value)
    value = rf"\mathbf{{{value}}}" if entry.best else value
    sign = {"lower": "> ", "upper": "< "}.get(entry.bound or "", "")
    return rf"${sign}{value} \pm {number(entry.half_width / scale.factor, 2)}${mark}"
