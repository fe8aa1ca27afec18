"""One colour and marker for each cell, in every picture and on every page.

Colours are those of Okabe & Ito (2008), told apart by every kind of colour vision; without their yellow, which is too
faint for lines. There are fewer colours than cells, so a marker goes with each: the pair is what names a cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import product, starmap
from typing import NamedTuple

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
"""In matplotlib's words."""
USUAL: Mapping[str, tuple[int, int]] = {
    "rnn": (0, 0),
    "lstm": (1, 1),
    "gru": (2, 2),
    "mingru": (3, 3),
    "minlstm": (4, 4),
    "irnn": (5, 5),
    "lru": (6, 6),
}
"""(colour, marker) of the cells that most papers compare with, so that they look alike in the pictures of all runs."""


class Mark(NamedTuple):
    """How something is drawn. colour: an index of COLOURS, marker: of MARKERS."""

    colour: int
    marker: int


def marks(cells: Iterable[str]) -> dict[str, Mark]:
    """A mark for each cell, in the order given.

    The usual ones keep theirs in every run. Any other cell prefers what the hash of its name says, and a variant what
    its cell has. Where that is taken, it gets the next colour that nobody has; once there is none, another marker.
    """
    names = list(dict.fromkeys(cells))
    found = {name: Mark(*USUAL[name]) for name in names if name in USUAL}
    for name in sorted(name for name in names if name not in USUAL):
        first, taken = _preferred(name), set(found.values())
        unused = [colour for colour in _from(first.colour, len(COLOURS)) if colour not in {one.colour for one in taken}]
        pairs = product(unused or _from(first.colour, len(COLOURS)), _from(first.marker, len(MARKERS)))
        found[name] = next((mark for mark in starmap(Mark, pairs) if mark not in taken), first)
    return {name: found[name] for name in names}


def marks_in_order(values: Iterable[str]) -> dict[str, Mark]:
    """A mark for each value of what a picture studies: the settings of an optimiser, say, which have no names of their
    own.
    """
    return {
        value: Mark(index % len(COLOURS), index % len(MARKERS)) for index, value in enumerate(dict.fromkeys(values))
    }


def _preferred(name: str) -> Mark:
    """Of the cell's name without its options: `lstm(forget_bias=5)` prefers what lstm has."""
    plain = name.partition("(")[0]
    start = int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=4).digest(), "big")
    return Mark(*USUAL.get(plain, (start % len(COLOURS), start // len(COLOURS) % len(MARKERS))))


def _from(start: int, count: int) -> list[int]:
    """All indices below `count`, beginning with `start`."""
    return [(start + step) % count for step in range(count)]
