"""Cells of equal size in parameters: `params: 100_000` becomes the hidden size that gives each cell so many.

Equal hidden sizes are unequal models: an LSTM has four times the weights of a tanh RNN. Comparisons at equal parameter
counts are the custom since Chung et al. 2014 (arXiv:1412.3555, section 4.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from rnnbench.case import AXES
from rnnbench.model import Model, initialise
from rnnbench.registry import Registry, guarded, spelling
from rnnbench.suite.names import ParameterCount
from rnnbench.suite.problems import Problems
from rnnbench.suite.schema import LARGEST

TOLERANCE = 0.02
"""Relative distance from the count asked for that still matches it."""
_FIRST = (8, 16, 24)
"""Sizes that are always counted: cheap, and enough to foretell a count that is quadratic in H, as most are."""
_LEAP = 4
"""A guess goes no further than this many times the largest size counted: too large a model would fill the memory."""
_CELL, _HIDDEN, _INPUTS, _LAYERS = (AXES.index(axis) for axis in ("cell", "hidden_size", "input_size", "layers"))
Point = tuple[Any, ...]
"""One value per axis, in the order of AXES."""


def nearest_size(count: Callable[[int], int], asked: int) -> int:
    """The H from 1 to LARGEST whose count(H) is nearest to `asked`, for a count that does not fall with H.

    The bracket count(low) <= asked < count(high) shrinks to neighbours; guesses come from the parabola through the last
    three counts, so a quadratic count takes two more than the first ones, and any other some more.
    """
    known: dict[int, int] = {}
    low, high = 0, LARGEST + 1
    guesses = iter(_FIRST)
    while high - low > 1:
        guess = next(guesses, 0) or _guess(known, asked)
        guess = min(max(guess, low + 1), high - 1, _LEAP * max(known, default=_LEAP * max(_FIRST)))
        known[guess] = count(guess)
        low, high = (guess, high) if known[guess] <= asked else (low, guess)
    return min((size for size in (low, high) if size in known), key=lambda size: abs(known[size] - asked))


def _guess(known: Mapping[int, int], asked: int) -> int:
    """Where the parabola through the last three points (Newton's form) reaches `asked`; past all of them if nowhere."""
    (x0, y0), (x1, y1), (x2, y2) = list(known.items())[-3:]
    slope = (y1 - y0) / (x1 - x0)
    bend = ((y2 - y1) / (x2 - x1) - slope) / (x2 - x0)
    b, c = slope - bend * (x0 + x1), y0 - slope * x0 + bend * x0 * x1 - asked
    under = b * b - 4 * bend * c
    if under < 0 or b + under**0.5 <= 0:
        return LARGEST
    return int(min(LARGEST, max(0.0, -2 * c / (b + under**0.5))))


@dataclass
class Matching:
    """Solves hidden sizes, one per model; notes a problem for each that has none."""

    registry: Registry
    problems: Problems
    _sizes: dict[tuple[Any, ...], int | None] = field(default_factory=dict)

    def solved(
        self, points: Iterable[Point], settings: Mapping[str, Any], outputs: int | None
    ) -> dict[Point, int | None]:
        """Each point with its hidden size -> the count asked for, None where it had a size; no point stands twice.

        outputs: of the task's linear head, None where there is no task. Settings named like a field of `Model` shape
        the model too.
        """
        shaping = {one.name: settings[one.name] for one in fields(Model) if one.name in settings}
        key = json.dumps(shaping, sort_keys=True)
        found: dict[Point, int | None] = {}
        for point in points:
            asked = point[_HIDDEN]
            if not isinstance(asked, ParameterCount) or point[_INPUTS] is None:  # its problem is noted
                found.setdefault(point, None)
                continue
            model = (point[_CELL], point[_INPUTS], point[_LAYERS], asked, outputs, key)
            if model not in self._sizes:
                self._sizes[model] = self._size(*model[:-1], shaping)
            size = self._sizes[model]
            found.setdefault((*point[:_HIDDEN], size, *point[_HIDDEN + 1 :]), asked.count)
        return found

    def _size(
        self,
        cell: str,
        inputs: int,
        layers: int,
        asked: ParameterCount,
        outputs: int | None,
        shaping: Mapping[str, Any],
    ) -> int | None:
        name, _ = spelling.parse(cell)
        known = self.registry.cells[name]
        options = spelling.checked(cell, "cell", known.options)
        model = Model(known, inputs, 1, layers, outputs, cell_options=options, **shaping)

        @cache
        def count(size: int) -> int:
            return initialise(replace(model, hidden_size=size)).count

        def solved() -> tuple[int, int]:
            size = nearest_size(count, asked.count)
            return size, count(size)

        what = f"{cell} with {_described(inputs, layers, outputs, shaping)}"
        counting = f"counting the parameters of {what}"
        others = guarded.foreign(self.registry, "cell", name)  # whose `init` may end the process that calls it
        ask = (lambda: guarded.answered(counting, solved)) if others else solved
        found = self.problems.ask(asked.path, counting, ask)
        if found is None:
            return None
        size, has = found
        if abs(has - asked.count) <= TOLERANCE * asked.count:
            return size
        self.problems.add(
            asked.path,
            f"{what} has no hidden size within {TOLERANCE:.0%} of {asked.count:,} parameters: "
            f"the nearest, {size}, has {has:,}; ask for that count or a larger one",
        )
        return None


def _described(inputs: int, layers: int, outputs: int | None, shaping: Mapping[str, Any]) -> str:
    """`input size 32, embedding 8, 1 layer and a head of 2 outputs`."""
    more = "".join(f", {name.replace('_', ' ')} {value}" for name, value in shaping.items() if value)
    sizes = f"input size {inputs}{more}, {layers} {'layer' if layers == 1 else 'layers'}"
    return sizes if outputs is None else f"{sizes} and a head of {outputs} {'output' if outputs == 1 else 'outputs'}"
