"""The table in LaTeX: one `table` per quantity, rules of booktabs, numbers with the half-width of their interval."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.table import Block, Entry, Table
from rnnbench.report.text import axis_heads, block_scale, entry_text, heading
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
    '"': r"\textquotedbl{}",
    **{char: "\\" + char for char in "&%$#_{}"},
}


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
    head = [*map(escape, axis_heads(block)), *(f"$T={length}$" for length in block.columns)]
    rows = [[*map(escape, row.labels), *(_cell(entry, scale) for entry in row.entries)] for row in block.rows]
    caption = ". ".join(filter(None, [heading(block, scale), block.caption, *table.header[-1:]]))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption)}.}}",
            grid(head, rows, len(block.axes)),
            r"\end{table}",
        ]
    )


def _cell(entry: Entry, scale: Scale) -> str:
    """Value ± half-width in mathematics; replicates keep their range, which is no symmetric interval."""
    if entry.value is None or entry.count > 1 or not entry.half_width:
        text = escape(entry_text(entry, scale))
        return rf"\textbf{{{text}}}" if entry.best else text
    value = scale(entry.value)
    value = rf"\mathbf{{{value}}}" if entry.best else value
    sign = {"lower": "> ", "upper": "< "}.get(entry.bound or "", "")
    note = f" {escape(entry.note)}" if entry.note else ""
    return rf"${sign}{value} \pm {number(entry.half_width / scale.factor, 2)}${note}"
