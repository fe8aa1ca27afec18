"""The equations of every shipped cell are found where they are written."""

from __future__ import annotations

import re

import numpy as np

from rnnbench import Cell
from rnnbench.registry.equations import equations
from rnnbench_cells import CELLS


def test_every_shipped_cell_has_its_equations_shapes_and_parameters():
    texts = {name: equations(cell) for name, cell in CELLS.items()}
    assert [name for name, text in texts.items() if "=" not in text and "`" not in text] == []
    assert texts["mgu"].startswith("f = σ(W_f x + U_f h + b_f)")
    assert "arXiv" not in texts["mgu"]
    later = [name for name in CELLS if name not in ("rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru")]
    assert [name for name in later if "parameter" not in texts[name] and "4H(D" not in texts[name]] == []
    assert [name for name in later if "Where frameworks differ" not in texts[name]] == []


REFERENCE = r"arXiv:\d{4}\.\d{5}|arXiv:1\d{3}\.\d{4}|doi:10\.\d{4}/|PMLR \d|JMLR \d|NeurIPS|report \d"
PLACE = r"(equation|section|algorithm|theorem|figure|lemma)s? \d|appendix"
WHOLE = ("rnn", "irnn", "lstm")
"""Of these the paper as a whole is named: no number of an equation was checked."""


def test_every_shipped_cell_names_authors_year_and_reference():
    sources = {name: cell.source for name, cell in CELLS.items()}
    assert [name for name, text in sources.items() if not re.match(r"[^\W\d].*\b(19|20)\d\d\b", text)] == []
    assert [name for name, text in sources.items() if not re.search(REFERENCE, text)] == []
    assert sorted(name for name, text in sources.items() if not re.search(PLACE, text)) == sorted(WHOLE)


def test_a_cell_without_a_string_below_it_says_what_its_functions_say():
    def step(ops, p, h, z):
        """h' = h + x."""
        return h + z, h + z

    assert equations(Cell("mine", lambda rng, D, H: ({}, np.zeros(H)), step)) == "step: h' = h + x."
    assert equations(Cell("silent", lambda rng, D, H: ({}, np.zeros(H)), lambda ops, p, h, z: (h, h))) == ""
