"""With which layout of weights is a class the same function as a portable cell?

Searched, not known: the class's arrays are cut into blocks of H rows, one for each gate; the order of the gates on the
input side and on the recurrent side, the transposition of the recurrent matrices, the sign of one gate (z or 1 − z) and
what becomes of the biases are tried until the outputs of both agree in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnbench import Cell, numpy_ops, tree_map
from rnnbench_adapters import from_class
from rnnbench_adapters.classes import Unusable
from rnnbench_adapters.loading import name_of

T, B, D, H = 6, 2, 3, 4
EQUAL = 1e-12
"""Outputs in float64 that differ by no more are those of the same function."""


@dataclass(frozen=True)
class Blocks:
    """What a class holds, gate by gate: (H, D) and (H, H) matrices as they are, biases of either side or of none."""

    inputs: Sequence[np.ndarray]
    recurrent: Sequence[np.ndarray]
    input_biases: Sequence[np.ndarray | None]
    recurrent_biases: Sequence[np.ndarray | None]
    single_bias: np.ndarray | None = None


@dataclass(frozen=True)
class Layout:
    """How the portable cell's rows are filled.

    inputs, recurrent: for each gate of the cell, which block of the class; transposed: recurrent blocks are (in, out).
    negated: the gate whose rows have the other sign, so that it is one minus the class's. single: the gate that a bias
    of H entries belongs to, on the recurrent side. error: of outputs over the steps that agree, or of the first step.
    steps: outputs that agree; T where the two are one function.
    """

    inputs: tuple[int, ...]
    recurrent: tuple[int, ...]
    transposed: bool
    negated: int | None
    single: int | None
    error: float
    steps: int

    @property
    def equal(self) -> bool:
        """Whether the two are one function with this layout."""
        return self.steps == T


GATES = {"rnn": "h", "irnn": "h", "gru": "rzn", "lstm": "ifgo"}
"""What the blocks of rows of a portable cell are called."""
NAMES = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


def perform(target: str, portable: Cell) -> dict[str, Any]:
    """`{"equal": whether a layout makes them one function, "sentence": which, or where they first differ}`.

    Raises Unusable where the two cannot be held beside each other.
    """
    gates = gates_of(portable)
    found, blocks = find(from_class(target), portable, len(gates))
    return {"equal": found.equal, "sentence": described(name_of(target), portable.name, gates, found, blocks)}


def gates_of(portable: Cell) -> str:
    """A letter for each block of rows of a cell whose weights are named as torch names them. Raises Unusable."""
    params, _ = portable.init(np.random.default_rng(0), D, H)
    if not {"weight_ih", "weight_hh"} <= set(params) <= NAMES:
        raise Unusable(f"the weights of {portable.name!r} are not stacked gate by gate in weight_ih and weight_hh")
    count = len(params["weight_hh"]) // H
    return GATES.get(portable.name, "".join(chr(ord("a") + gate) for gate in range(count)))


def find(cell: Cell, portable: Cell, gates: int) -> tuple[Layout, Blocks]:
    """The layout under which `cell`, a class, does what `portable` does with weights named as torch names them.

    Raises Unusable where the class's arrays are no blocks of that many gates.
    """
    params, xs, ys = _sample(cell)
    blocks = _blocks(params, gates)
    best: Layout | None = None
    for guess in _guesses(blocks, gates):
        inputs, recurrent, transposed, negated, single = guess
        weights = _weights(blocks, *guess)
        error, steps = _compared(portable, weights, xs, ys)
        layout = Layout(inputs, recurrent, transposed, negated, single, error, steps)
        if layout.equal:
            return layout, blocks
        if best is None or (layout.steps, -layout.error) > (best.steps, -best.error):
            best = layout
    assert best is not None
    return best, blocks


def described(name: str, portable: str, gates: Sequence[str], layout: Layout, blocks: Blocks) -> str:
    """One sentence."""
    if not layout.equal:
        return (
            f"{name} is not {portable}: with no layout of its weights do they agree; the nearest first differs at step "
            f"{layout.steps + 1}, by {layout.error:.2g}"
        )
    own = [gates[layout.inputs.index(block)] for block in range(len(gates))]
    said = (
        [f"{name} is {portable}", f"gates in the order {', '.join(own)}"]
        if len(gates) > 1
        else [f"{name} is {portable}"]
    )
    if layout.recurrent != layout.inputs:
        said.append(f"on the recurrent side {', '.join(gates[layout.recurrent.index(b)] for b in range(len(gates)))}")
    said += ["recurrent matrices transposed"] if layout.transposed else []
    said += [f"{gates[layout.negated]} is one minus its gate"] if layout.negated is not None else []
    if all(bias is None for bias in blocks.recurrent_biases):
        single = "none" if layout.single is None else f"one, of {gates[layout.single]}"
        said.append(f"recurrent biases: {single}")
    return "; ".join(said)


def _sample(cell: Cell) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(parameters drawn anew, all of them, inputs, outputs of the class)."""
    rng = np.random.default_rng(7)
    params, state = cell.init(rng, D, H)
    drawn = {name: rng.normal(0, 0.7, np.shape(value)) for name, value in params.items()}
    xs = rng.standard_normal((T, B, D))
    first = tree_map(lambda leaf: np.broadcast_to(leaf, (B, *leaf.shape)).copy(), state)
    return drawn, xs, _torch(cell, drawn, first, xs) if cell.framework == "torch" else _jax(cell, drawn, first, xs)


def _torch(cell: Cell, params: Mapping[str, Any], state: Any, xs: np.ndarray) -> np.ndarray:
    import torch

    if cell.step is None:
        raise Unusable("it takes no state, so it cannot be run step by step")
    tensors = {name: torch.tensor(value) for name, value in params.items()}
    state, ys = tree_map(torch.tensor, state), []
    with torch.no_grad():
        for x in torch.tensor(xs):
            state, y = cell.step(None, tensors, state, x)
            ys.append(y.numpy())
    return np.stack(ys)


def _jax(cell: Cell, params: Mapping[str, Any], state: Any, xs: np.ndarray) -> np.ndarray:
    import jax

    assert cell.step is not None
    with jax.enable_x64(True):
        arrays = {name: jax.numpy.asarray(value) for name, value in params.items()}
        state, ys = tree_map(jax.numpy.asarray, state), []
        for x in jax.numpy.asarray(xs):
            state, y = cell.step(None, arrays, state, x)
            ys.append(np.asarray(y))
    return np.stack(ys)


def _blocks(params: Mapping[str, np.ndarray], gates: int) -> Blocks:
    """The arrays of a class cut into gates. D and H differ, so shapes tell which is which."""
    inputs, recurrent, singles = [], [], []
    biases: dict[str, list[np.ndarray]] = {"i": [], "h": []}
    for name, value in params.items():
        if value.ndim == 2 and D in value.shape and value.size % (D * H) == 0:
            rows = value if value.shape[1] == D else value.T
            inputs += np.split(rows, len(rows) // H)
        elif value.ndim == 2 and H in value.shape and value.size % (H * H) == 0:
            rows = value if value.shape[1] == H else value.T
            recurrent += np.split(rows, len(rows) // H)
        elif value.ndim == 1 and value.size == gates * H and (gates > 1 or "kernel" not in _neighbours(name, params)):
            biases["i" if not biases["i"] else "h"] += np.split(value, gates)
        elif value.ndim == 1 and value.size == H:
            singles.append((name, value))
        else:
            raise Unusable(f"its array {name!r} of shape {value.shape} is no stack of gates of H rows")
    if len(inputs) != gates or len(recurrent) != gates:
        raise Unusable(
            f"it has {len(inputs)} input and {len(recurrent)} recurrent blocks of H rows, not {gates} of each"
        )
    named = _named_biases(params, singles)
    if named is not None:
        return Blocks(inputs, recurrent, *named)
    if len(singles) > 1:
        raise Unusable(f"it has {len(singles)} biases of H entries whose gates its names do not tell")
    none: list[np.ndarray | None] = [None] * gates
    single = singles[0][1] if singles else None
    return Blocks(inputs, recurrent, biases["i"] or none, biases["h"] or none, single)


def _neighbours(name: str, params: Mapping[str, np.ndarray]) -> set[str]:
    """The last names of the arrays that lie where this one does."""
    head = name.rpartition(".")[0]
    return {other.rpartition(".")[2] for other in params if head and other.rpartition(".")[0] == head}


def _named_biases(
    params: Mapping[str, np.ndarray], singles: Sequence[tuple[str, np.ndarray]]
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]] | None:
    """Biases that lie beside the matrix of their gate, `hn.bias` beside `hn.kernel`: those of inputs, of states."""
    kernels = [name for name, value in params.items() if value.ndim == 2]
    if not singles or not all(
        name.rpartition(".")[0] in {k.rpartition(".")[0] for k in kernels} for name, _ in singles
    ):
        return None
    if len({name.rpartition(".")[0] for name in kernels}) != len(kernels):
        return None
    of = {name.rpartition(".")[0]: value for name, value in singles}
    sides: tuple[list[np.ndarray | None], list[np.ndarray | None]] = ([], [])
    for name in kernels:
        sides[0 if D in params[name].shape else 1].append(of.get(name.rpartition(".")[0]))
    return sides


Guess = tuple[tuple[int, ...], tuple[int, ...], bool, int | None, int | None]


def _guesses(blocks: Blocks, gates: int) -> Iterator[Guess]:
    """Likeliest first: one order on both sides, then two."""
    orders = list(itertools.permutations(range(gates)))
    signs = [None, *range(gates)] if gates > 1 else [None]
    singles = list(range(gates)) if blocks.single_bias is not None else [None]
    rest = list(itertools.product((False, True), signs, singles))
    for order in orders:
        yield from ((order, order, *more) for more in rest)
    for one, other in itertools.permutations(orders, 2):
        yield from ((one, other, *more) for more in rest if more[1] is None)


def _weights(
    blocks: Blocks,
    inputs: Sequence[int],
    recurrent: Sequence[int],
    transposed: bool,
    negated: int | None,
    single: int | None,
) -> dict[str, np.ndarray]:
    """The portable cell's parameters under a guess."""

    def sign(gate: int) -> float:
        return -1.0 if gate == negated else 1.0

    def bias(found: Sequence[np.ndarray | None], order: Sequence[int]) -> list[np.ndarray]:
        return [sign(gate) * (np.zeros(H) if (b := found[block]) is None else b) for gate, block in enumerate(order)]

    states = [blocks.recurrent[block].T if transposed else blocks.recurrent[block] for block in recurrent]
    of_states = bias(blocks.recurrent_biases, recurrent)
    if single is not None and blocks.single_bias is not None:
        of_states[single] = of_states[single] + sign(single) * blocks.single_bias
    return {
        "weight_ih": np.concatenate([sign(gate) * blocks.inputs[block] for gate, block in enumerate(inputs)]),
        "weight_hh": np.concatenate([sign(gate) * block for gate, block in enumerate(states)]),
        "bias_ih": np.concatenate(bias(blocks.input_biases, inputs)),
        "bias_hh": np.concatenate(of_states),
    }


def _compared(portable: Cell, params: Mapping[str, Any], xs: np.ndarray, ys: np.ndarray) -> tuple[float, int]:
    """(error, steps that agree): of the step that first differs, or of all."""
    ops = numpy_ops()
    _, state = portable.init(np.random.default_rng(0), D, H)
    state = tree_map(lambda leaf: np.broadcast_to(leaf, (B, *leaf.shape)), state)
    zs, worst = portable.projected(ops, params, xs), 0.0
    for t in range(T):
        state, y = portable.advance(ops, params, state, tree_map(lambda part, t=t: part[t], zs))
        error = float(np.abs(y - ys[t]).max())
        if not error <= EQUAL:
            return error, t
        worst = max(worst, error)
    return worst, T
