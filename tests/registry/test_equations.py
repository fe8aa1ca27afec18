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
    assert [name for name, text in texts.items() if "parameter" not in text and "4H(D" not in text] == []
    assert [name for name, text in texts.items() if "Where frameworks differ: " not in text] == []


REFERENCE = r"arXiv:\d{4}\.\d{5}|arXiv:1\d{3}\.\d{4}|doi:10\.\d{4}/|PMLR \d|JMLR \d|NeurIPS|report \d"
NAMED = r"(arXiv|doi|PMLR|JMLR|NeurIPS|report)[^,;]*, \w"
"""What follows the reference: which of the paper's equations it is, by a number or in words."""
NUMBER = r"(?:equation|section|algorithm|theorem|figure|lemma|appendix)s? [\d.]+(?:(?: and |-)[\d.]+)?"
SEEN = {
    "gru": ["equations 5-8"],
    "gru_v3": ["equations 5-8"],
    "lru": ["equation 7", "lemma 3.2"],
    "ltc": ["algorithm 1"],
    "rglru": ["equations 1-4"],
    "mamba": ["algorithm 2"],
    "retnet": ["equations 6 and 8"],
    "gla": ["equation 3", "section 4.4"],
    "mlstm": ["equations 19-27"],
    "slstm": ["equations 8-17"],
    "rwkv6": ["equations 14-22"],
    "gated_deltanet": ["equation 10"],
    "ttt_linear": ["sections 2.3 and 2.7"],
    "ttt_minibatch": ["sections 2.4 and 2.5"],
}
"""Numbers that were read in the text of the paper. Every other cell names its equation in words: a wrong number is
worse than none. Whoever adds one here has seen it."""


def test_every_shipped_cell_names_authors_year_and_reference():
    sources = {name: cell.source for name, cell in CELLS.items()}
    assert [name for name, text in sources.items() if not re.match(r"[^\W\d].*\b(19|20)\d\d\b", text)] == []
    assert [name for name, text in sources.items() if not re.search(REFERENCE, text)] == []
    assert [name for name, text in sources.items() if not re.search(NAMED, text)] == []


def test_a_number_of_an_equation_is_one_that_was_seen():
    found = {name: re.findall(NUMBER, cell.source) for name, cell in CELLS.items()}
    own = {name: numbers for name, numbers in found.items() if numbers and not name.startswith("dilated_")}
    assert own == SEEN


def test_a_cell_without_a_string_below_it_says_what_its_functions_say():
    def step(ops, p, h, z):
        """h' = h + x."""
        return h + z, h + z

    assert equations(Cell("mine", lambda rng, D, H: ({}, np.zeros(H)), step)) == "step: h' = h + x."
    assert equations(Cell("silent", lambda rng, D, H: ({}, np.zeros(H)), lambda ops, p, h, z: (h, h))) == ""
