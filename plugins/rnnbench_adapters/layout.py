"""With which layout of weights is a class the same function as a portable cell?

Searched, not known. The arrays of both are cut into blocks (`rnnbench_adapters.blocks`). Where all blocks of a kind
hold the same numbers, and recurrent ones a symmetric matrix, no order and no transposition matters: there two cells
that are one function agree, and two that do not agree have no layout. From there, each block is moved by itself: a
block of the class and one of the cell that move the outputs alike are the same. What was found counts if outputs and
states of random weights then agree in float64. Beside order and transposition are tried: one minus a gate, and a
constant 1 inside one.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rnnbench import Cell, Equal, leaves, numpy_ops, tree_map
from rnnbench_adapters import from_class
from rnnbench_adapters.blocks import Block, Kind, cut
from rnnbench_adapters.classes import Unusable
from rnnbench_adapters.loading import name_of
from rnnbench_adapters.outputs import Outputs, outputs_of

T, B, D, H = 6, 2, 3, 4
EQUAL = 1e-12
"""Outputs in float64 that differ by no more are those of the same function."""
MAX_SAME_EFFECT = 1e-9
"""Relative: two blocks that move the outputs by the same."""
TRIES = 512
"""Ways to pair blocks that move the outputs alike."""


@dataclass(frozen=True)
class Pair:
    """A block of the class that is added into a block of the cell, perhaps transposed, perhaps with the other sign."""

    own: Block
    cell: Block
    transposed: bool = False
    sign: float = 1.0


@dataclass(frozen=True)
class Layout:
    """How the weights of a class become those of a portable cell.

    shift: a vector block of the cell to which 1 is added. states: for each array of the class's state, which of the
    cell's it is.
    """

    pairs: tuple[Pair, ...]
    shift: Block | None = None
    states: tuple[int, ...] = ()

    def weights(self, params: Mapping[str, np.ndarray], empty: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The cell's parameters. empty: arrays of their shapes."""
        found = {name: np.zeros(np.shape(value)) for name, value in empty.items()}
        size = _units(empty, self)
        for pair in self.pairs:
            value = pair.own.of(params, size)
            pair.cell.of(found, size)[...] += pair.sign * (value.T if pair.transposed else value)
        if self.shift is not None:
            self.shift.of(found, size)[...] += 1.0
        return found

    def gradients(self, true: Mapping[str, np.ndarray], like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients of the class's parameters from those of the cell's. like: arrays of the class's shapes."""
        found = {name: np.zeros(np.shape(value)) for name, value in like.items()}
        size = _units(true, self)
        for pair in self.pairs:
            value = pair.cell.of(true, size)
            pair.own.of(found, size)[...] += pair.sign * (value.T if pair.transposed else value)
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """Of what `to_json` gave."""
        pairs = tuple(
            Pair(Block(**pair["own"]), Block(**pair["cell"]), pair["transposed"], pair["sign"])
            for pair in data["pairs"]
        )
        shift = None if data["shift"] is None else Block(**data["shift"])
        return cls(pairs, shift, tuple(data["states"]))


def _units(arrays: Mapping[str, np.ndarray], layout: Layout) -> int:
    """H, from the arrays of the cell."""
    for pair in layout.pairs:
        block = pair.cell
        if block.kind != "number":
            array = arrays[block.array]
            return (array.size if block.kind == "vector" else array.shape[block.axis]) // block.count
    raise Unusable("the cell has no blocks of H rows")


@dataclass(frozen=True)
class Found:
    """A layout, or how far both are apart: the first step at which they differ, and by how much, `where`."""

    layout: Layout | None
    step: int = 0
    error: float = 0.0
    where: str = ""


def equal(to: str, data: Mapping[str, Any]) -> Equal:
    """The identity as a Cell holds it. data: a layout as plain values."""
    layout = Layout.from_json(data)
    return Equal(to, layout.weights, layout.gradients, layout.states)


def perform(target: str, portable: Cell) -> dict[str, Any]:
    """`{"equal": whether a layout makes them one function, "sentence": which, or where they first differ}`.

    Raises Unusable where the two cannot be held beside each other.
    """
    cell = from_class(target)
    search, options = Search(cell), shared(cell, portable)
    found = search.beside(portable, options)
    spelled = portable.name + ("(" + ", ".join(f"{k}={v}" for k, v in options.items()) + ")" if options else "")
    return {
        "equal": found.layout is not None,
        "sentence": described(name_of(target), spelled, portable, found),
    }


def shared(cell: Cell, portable: Cell) -> dict[str, Any]:
    """Options of both of one name that differ by default: the cell is then held to the class's."""
    return {
        name: value
        for name, value in cell.options.items()
        if name in portable.options and portable.options[name] != value and type(portable.options[name]) is type(value)
    }


def nearest(cell: Cell, cells: Mapping[str, Cell]) -> tuple[str, Layout] | None:
    """(spelling, layout) of a portable cell that `cell` is, of those with a name like its own first; None of none."""
    try:
        search = Search(cell)
    except Unusable:
        return None
    own = cell.name.rpartition(":")[2].lower().removesuffix("cell")
    for name in sorted(cells, key=lambda name: -difflib.SequenceMatcher(None, own, name).ratio()):
        options = shared(cell, cells[name])
        try:
            found = search.beside(cells[name], options)
        except Exception:  # a portable cell that these sizes or options do not suit
            continue
        if found.layout is not None:
            given = ",".join(f"{key}={value}" for key, value in options.items())
            return f"{name}({given})" if given else name, found.layout
    return None


GATES = {"gru": "rzn", "gru_v3": "rzn", "lstm": "ifgo"}
"""What the blocks of rows of a portable cell are called."""


def described(name: str, spelled: str, portable: Cell, found: Found) -> str:
    """One sentence."""
    layout = found.layout
    if layout is None:
        if not found.error:
            return f"{name} is not {spelled}: {found.where}"
        return (
            f"{name} is not {spelled}: with no layout of its weights do they agree; {found.where}, they first differ "
            f"at step {found.step + 1}, by {found.error:.2g}"
        )
    theirs = cut(portable.init(np.random.default_rng(0), D, H)[0], D, H)
    clauses = [f"{name} is {spelled}"]
    inputs, recurrent = (_order(layout, portable.name, kind) for kind in ("input", "recurrent"))
    clauses += [f"gates in the order {', '.join(inputs)}"] if len(inputs) > 1 else []
    if len(recurrent) > 1 and recurrent != inputs:
        clauses.append(f"on the recurrent side {', '.join(recurrent)}")
    squares = [pair for pair in layout.pairs if pair.own.kind == "recurrent"]
    turned = [pair for pair in squares if pair.transposed != bool(pair.own.axis)]
    clauses += ["recurrent matrices transposed"] if turned and len(turned) == len(squares) else []
    minus = [_letter(pair.cell, portable.name) for pair in layout.pairs if pair.sign < 0 and pair.cell.kind == "input"]
    clauses += [f"{gate} is one minus its gate" for gate in minus]
    clauses += [f"1 is added inside {_letter(layout.shift, portable.name)}"] if layout.shift is not None else []
    added = {pair.cell for pair in layout.pairs if [other.cell for other in layout.pairs].count(pair.cell) > 1}
    clauses += ["its two biases are added up"] if added else []
    filled = {pair.cell for pair in layout.pairs}
    empty: dict[str, list[str]] = {}
    for block in theirs:
        if block not in filled:
            empty.setdefault(block.array, []).append(_letter(block, portable.name))
    for array, gates in empty.items():
        whole = len(gates) == sum(block.array == array for block in theirs)
        clauses.append(f"it has no {array}" if whole else f"of {array} it has no {', '.join(gates)}")
    return "; ".join(clauses)


def _order(layout: Layout, cell: str, kind: str) -> list[str]:
    """The cell's gates in the order of the class's blocks."""
    return [_letter(pair.cell, cell) for pair in layout.pairs if pair.own.kind == kind]


def _letter(block: Block, cell: str) -> str:
    """What a block of the cell is called."""
    if block.count == len(GATES.get(cell, "")):
        return GATES[cell][block.index]
    return f"{block.array}[{block.index}]" if block.count > 1 else block.array


def find(cell: Cell, portable: Cell, options: Mapping[str, Any] | None = None) -> Found:
    """Under which layout `cell`, a class, does what `portable` does. Raises Unusable where they cannot be compared."""
    return Search(cell).beside(portable, options)


class Search:
    """One class, held beside any number of portable cells."""

    def __init__(self, cell: Cell) -> None:
        rng = np.random.default_rng(7)
        self.params, state = cell.init(rng, D, H)
        self.params = {name: np.array(value, float) for name, value in self.params.items()}
        self.blocks = cut(self.params, D, H)
        self.xs = rng.standard_normal((T, B, D))
        self.run: Outputs = outputs_of(cell, state, self.xs)
        self.filling = _Filling(rng)
        self._known: dict[Any, np.ndarray] = {}

    def beside(self, portable: Cell, options: Mapping[str, Any] | None = None) -> Found:
        """The layout with which both are one function, or where they part."""
        other = _Portable(portable, options or {}, self.xs)
        for kind in ("input", "recurrent"):
            own, theirs = (sum(block.kind == kind for block in blocks) for blocks in (self.blocks, other.blocks))
            if own != theirs:
                raise Unusable(f"it has {own} {kind} blocks of H rows, and {portable.name} has {theirs}")
        best: Found | None = None
        for guess in _guesses(other.blocks):
            found = self._under(guess, other)
            if found.layout is not None:
                return found
            if best is None or (found.step, -found.error) > (best.step, -best.error):
                best = found
        assert best is not None
        return best

    def _outputs(self, bias: float, moved: Block | None = None) -> np.ndarray:
        """The class's outputs where all gates are alike, or one block is moved."""
        key = (bias, moved)
        if key not in self._known:
            with np.errstate(all="ignore"):
                self._known[key] = self.run(self.filling.arrays(self.params, self.blocks, bias, moved))[0]
        return self._known[key]

    def _under(self, guess: _Guess, other: _Portable) -> Found:
        alike = self._outputs(guess.bias)
        theirs = other.outputs(self.filling, guess)
        parted = _parted(alike, theirs, EQUAL)
        if parted is not None:
            return Found(None, *parted, "where all gates are alike")
        moves = {block: self._outputs(guess.bias, block) - alike for block in self.blocks}
        options: list[list[tuple[Block, bool]]] = []
        for block, move in moves.items():
            fits = [
                (one, transposed)
                for one in other.blocks
                if one.kind == block.kind
                for transposed in ((False, True) if block.kind == "recurrent" else (False,))
                if _same(move, other.outputs(self.filling, guess, one, transposed) - theirs)
            ]
            if not fits:
                return Found(None, 0, 0.0, f"{block.array!r} does what no array of it does")
            options.append(fits)
        return self._paired(guess, other, list(moves), options)

    def _paired(
        self, guess: _Guess, other: _Portable, blocks: Sequence[Block], options: Sequence[Sequence[tuple[Block, bool]]]
    ) -> Found:
        """Of all ways to pair blocks that move the outputs alike, one with which random weights give the same."""
        drawn = self.filling.drawn(self.params)
        own, finals = self.run(drawn)
        best = Found(None, 0, np.inf, "on random weights")
        for choice in itertools.islice(_choices(blocks, options), TRIES):
            pairs = tuple(
                Pair(block, one, transposed, guess.sign(one))
                for block, (one, transposed) in zip(blocks, choice, strict=True)
            )
            layout = Layout(pairs, guess.shift)
            theirs, states = other.run(layout.weights(drawn, other.params))
            parted = _parted(own, theirs, EQUAL)
            if parted is None:
                order = _states(finals, states)
                if order is None:
                    return Found(None, T - 1, 0.0, "in its states alone, which the cell does not have")
                return Found(replace(layout, states=order))
            if (parted[0], -parted[1]) > (best.step, -best.error):
                best = Found(None, *parted, "on random weights")
        return best


@dataclass(frozen=True)
class _Guess:
    """What is tried beside order: a gate that is one minus the class's, a constant inside one, biases filled or not."""

    bias: float
    negated: tuple[Block, ...] = ()
    shift: Block | None = None

    def sign(self, block: Block) -> float:
        return -1.0 if block in self.negated else 1.0


def _guesses(blocks: Sequence[Block]) -> Iterator[_Guess]:
    """Likeliest first. A gate is what lies at the same place in all stacks of the same height."""
    heights = {block.count for block in blocks if block.count > 1}
    gates = [
        tuple(block for block in blocks if block.count == count and block.index == index)
        for count in heights
        for index in range(count)
    ]
    shifts = [block for block in blocks if block.kind == "vector"]
    for bias in (0.0, 0.3):
        yield _Guess(bias)
        yield from (_Guess(bias, gate) for gate in gates)
        yield from (_Guess(bias, (), shift) for shift in shifts)
    for gate, shift in itertools.product(gates, shifts):
        yield _Guess(0.0, gate, shift)


class _Filling:
    """Numbers for blocks: the same in all of a kind, symmetric in recurrent ones; others where one is moved."""

    def __init__(self, rng: np.random.Generator) -> None:
        square = rng.normal(0, 0.5, (H, H))
        self.alike = {
            "input": rng.normal(0, 0.5, (H, D)),
            "recurrent": (square + square.T) / 2,
            "vector": rng.normal(0, 1.0, H),
            "number": np.array([0.4]),
        }
        self.moved = {
            "input": rng.normal(0, 0.5, (H, D)),
            "recurrent": rng.normal(0, 0.5, (H, H)),
            "vector": rng.normal(0, 0.5, H),
            "number": np.array([0.2]),
        }
        self.rng = rng

    def value(self, kind: Kind, bias: float) -> np.ndarray:
        return self.alike[kind] * (bias if kind == "vector" else 1.0)

    def arrays(
        self, like: Mapping[str, np.ndarray], blocks: Sequence[Block], bias: float, moved: Block | None = None
    ) -> dict[str, np.ndarray]:
        """Arrays in which all gates are alike but for the block that is moved."""
        found = {name: np.zeros(np.shape(value)) for name, value in like.items()}
        for block in blocks:
            value = self.value(block.kind, bias) + (self.moved[block.kind] if block == moved else 0.0)
            block.of(found, H)[...] = value
        return found

    def drawn(self, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Random arrays; single numbers stay near the half, where few functions are undefined."""
        return {
            name: self.rng.normal(0, 0.7, np.shape(value))
            if np.size(value) > 1
            else 0.4 + 0.2 * np.ones(np.shape(value))
            for name, value in like.items()
        }


class _Portable:
    """A portable cell in NumPy on the same inputs."""

    def __init__(self, cell: Cell, options: Mapping[str, Any], xs: np.ndarray) -> None:
        self.cell, self.xs = cell.bound(options), xs
        self.params, self.state = self.cell.init(np.random.default_rng(0), D, H, **options)
        self.blocks = cut(self.params, D, H)
        self._known: dict[Any, np.ndarray] = {}

    def outputs(
        self, filling: _Filling, guess: _Guess, moved: Block | None = None, transposed: bool = False
    ) -> np.ndarray:
        key = (guess, moved, transposed)
        if key not in self._known:
            arrays = filling.arrays(self.params, self.blocks, guess.bias)
            if moved is not None:
                more = filling.moved[moved.kind]
                moved.of(arrays, H)[...] += more.T if transposed else more
            for block in guess.negated:
                view = block.of(arrays, H)
                view[...] = -view
            if guess.shift is not None:
                guess.shift.of(arrays, H)[...] += 1.0
            self._known[key] = self.run(arrays)[0]
        return self._known[key]

    def run(self, params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        ops, cell = numpy_ops(), self.cell
        first = cell.initial(self.state, D)
        state = tree_map(lambda leaf: np.broadcast_to(leaf, (B, *leaf.shape)), first)
        with np.errstate(all="ignore"):
            opened = cell.open(ops, params, state, self.xs)
            after, ys = opened.state, []
            for t in range(T):
                after, y = cell.advance(ops, opened.params, after, tree_map(lambda part, t=t: part[t], opened.zs))
                ys.append(y)
        return np.stack(ys), list(leaves(after))


def _choices(
    blocks: Sequence[Block], options: Sequence[Sequence[tuple[Block, bool]]]
) -> Iterator[tuple[tuple[Block, bool], ...]]:
    """Pairings in which no two matrices or numbers of the class go to one of the cell; vectors may be added up.

    Of vectors that may go to the same places, each first takes one that no other has.
    """

    def extended(done: tuple[tuple[Block, bool], ...]) -> Iterator[tuple[tuple[Block, bool], ...]]:
        at = len(done)
        if at == len(blocks):
            yield done
            return
        used = {one for one, _ in done}
        free = [fit for fit in options[at] if fit[0] not in used]
        taken = [fit for fit in options[at] if fit[0] in used] if blocks[at].kind == "vector" else []
        for fit in [*free, *taken]:
            yield from extended((*done, fit))

    yield from extended(())


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two moves are one, and are moves at all."""
    size = float(np.abs(one).max())
    return np.isfinite(size) and size > EQUAL and float(np.abs(one - other).max()) <= MAX_SAME_EFFECT * size + EQUAL


def _parted(one: np.ndarray, other: np.ndarray, tolerance: float) -> tuple[int, float] | None:
    """(the first step at which they differ, from 0, by how much), None where they do not."""
    if one.shape != other.shape:
        return 0, np.inf
    with np.errstate(all="ignore"):
        errors = np.abs(one - other).max(axis=(1, 2))
    beyond = ~(errors <= tolerance)
    if not beyond.any():
        return None
    step = int(np.argmax(beyond))
    return step, float(errors[step])


def _states(own: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> tuple[int, ...] | None:
    """For each array of the class's state, the one of the cell's with the same numbers."""
    found = []
    for leaf in own:
        fits = [
            index
            for index, other in enumerate(theirs)
            if leaf.size == other.size and np.abs(leaf.reshape(other.shape) - other).max() <= EQUAL
        ]
        if not fits:
            return None
        found.append(fits[0])
    return tuple(found)
