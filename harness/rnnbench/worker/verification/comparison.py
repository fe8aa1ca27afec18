"""A program beside the truth: outputs, final states and gradients, of all sequences and all steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import Cell, State, leaves, tree_map
from rnnbench.errors import Diverged
from rnnbench.model import Weights, batched, oracle
from rnnbench.model.adjoint import Noise
from rnnbench.model.bptt import spans
from rnnbench.model.oracle import OPS
from rnnbench.ops import EPS
from rnnbench.worker.verification.check import Check, compared, judged
from rnnbench.worker.verification.truth import LIMITS, TINY, Truth, largest

if TYPE_CHECKING:
    from rnnbench.backend import Program

SLACK = 20.0
"""Of the shipped cells at T=300 and T=2048, outputs came to at most 1.3 times the injected noise and gradients, which
are sums of many roundings, to 9 times; planted faults are beyond 100 times."""

HALF_SLACK = 2.0
"""In half precision, where the noise is twice what rounding can do, and arrays are compared as wholes. The shipped
cells come to a third of it."""

FLIPS = 3.0
"""Where derivatives jump, rounding decides of a few units on which side they are. Each is one of the batch's units: in
float32 the share of so many of them is allowed. float64, in which no unit is that close, has no such allowance."""

Gradients = Mapping[str, np.ndarray]


def forward(program: Program, xs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """(outputs_TBO, leaves of the final states), as float64 or complex128."""
    states, outputs = program.forward(program.put({"xs": xs})["xs"])
    return _wide(program.get(outputs)), [_wide(program.get(leaf)) for state in states for leaf in leaves(state)]


def backward(program: Program, xs: np.ndarray, cotangent: np.ndarray) -> Gradients:
    """Gradients of Σ cotangent ∘ outputs by name; `xs` for the inputs."""
    _, gradients, xs_gradient = program.loss_and_gradients(program.put({"xs": xs, "cotangent": cotangent}))
    return named(program, gradients, xs_gradient)


def named(program: Program, gradients: Mapping[str, Any], xs_gradient: Any) -> Gradients:
    """Gradients as the framework holds them, in NumPy."""
    found = {name: _wide(program.get(gradient)) for name, gradient in gradients.items()}
    return found | {"xs": _wide(program.get(xs_gradient))}


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def forward_checks(
    got: tuple[np.ndarray, Sequence[np.ndarray]], truth: Truth, dtype: str, steps: int | None = None
) -> list[Check]:
    """Time step by time step: early steps, which noise has had no time to disturb, are held to more than late ones.

    steps: only so many are looked at, and then not the final states.
    """
    return judged(lambda draws: _forward_checks(got, truth.drawn(draws), dtype, steps))


def _forward_checks(
    got: tuple[np.ndarray, Sequence[np.ndarray]], truth: Truth, dtype: str, steps: int | None
) -> list[Check]:
    eps, (true, finals), (_, moved) = EPS[dtype], truth.run, truth.disturbed(dtype)
    outputs, states = got
    if outputs.shape != true.shape:
        return [Check(f"outputs of shape {outputs.shape} instead of {true.shape}", float("inf"), 0.0)]
    size = np.abs(true).max(initial=1e-3)
    tolerance = (SLACK * (truth.natural(dtype) + eps * size) + TINY[dtype])[:steps]
    checks = [_worst_step("outputs", np.abs(outputs - true)[:steps].max(axis=(1, 2)), tolerance, float(size))]
    if steps is None:
        triples = zip(states, finals, moved, strict=True)
        checks += [_state_check(*triple, eps) for triple in triples]
    return checks


def _worst_step(name: str, deviation: np.ndarray, tolerance: np.ndarray, size: float) -> Check:
    with np.errstate(all="ignore"):
        worst = int(np.argmax(np.where(np.isfinite(deviation), deviation / tolerance, np.inf)))
    return Check(name, float(deviation[worst]), float(tolerance[worst]), size)


def _state_check(got: np.ndarray, true: np.ndarray, moved: np.ndarray, eps: float) -> Check:
    if got.shape != true.shape:
        return Check(f"final states of shape {got.shape} instead of {true.shape}", float("inf"), 0.0)
    size = float(np.abs(true).max(initial=1e-3))
    tolerance = SLACK * (np.abs(moved).max(initial=0.0) + eps * size)
    return Check("final states", float(np.abs(got - true).max(initial=0.0)), float(tolerance), size)


def gradient_checks(got: Gradients, truth: Truth, dtype: str, name: str = "gradients") -> list[Check]:
    """Every array by its relative error, and the gradient of the inputs step by step as well."""
    return judged(lambda draws: _gradient_checks(got, truth.drawn(draws), dtype, name))


def _gradient_checks(got: Gradients, truth: Truth, dtype: str, name: str) -> list[Check]:
    back, moved = truth.back, truth.moved(dtype)
    flips = FLIPS / np.sqrt(truth.xs.shape[1] * truth.model.hidden_size) if back.kinked and dtype != "float64" else 0.0
    roundings = EPS[dtype] * np.sqrt(len(truth.xs))
    checks = []
    for array, true in back.gradients.items():
        size, least = float(np.linalg.norm(true)), TINY[dtype] * np.sqrt(true.size)
        tolerance = SLACK * (float(np.linalg.norm(moved[array])) + roundings * size + least)
        checks.append(_lenient(compared(f"{name} of {array}", got[array], true, tolerance), flips * size))
    if checks[-1].deviation < np.inf:
        stepwise = _stepwise(f"{name} of xs by step", got["xs"], back.gradients["xs"], moved["xs"], roundings)
        checks.append(_lenient(stepwise, np.sqrt(len(truth.xs)) * flips * stepwise.size))
    return checks


def _lenient(check: Check, more: float) -> Check:
    """The check with a wider tolerance, where it needs one."""
    return check if check.passed else replace(check, tolerance=check.tolerance + more)


def _stepwise(name: str, got: np.ndarray, true: np.ndarray, moved: np.ndarray, roundings: float) -> Check:
    """‖Δ dL/dx_t‖ for the worst t. Errors are carried back, so noise counts from its largest later on."""
    sizes = np.sqrt((np.abs(true) ** 2).sum(axis=(1, 2)))
    natural = np.maximum.accumulate(np.sqrt((np.abs(moved) ** 2).sum(axis=(1, 2)))[::-1])[::-1]
    carried = np.maximum.accumulate(sizes[::-1])[::-1]
    tolerance = SLACK * (natural + roundings * carried)
    deviation = np.sqrt((np.abs(got - true) ** 2).sum(axis=(1, 2)))
    return _worst_step(name, deviation, np.maximum(tolerance, 1e-300), float(sizes.max(initial=0.0)))


def directional_checks(got: Gradients, truth: Truth, dtype: str, name: str = "gradients") -> list[Check]:
    """Every array along random directions, against difference quotients: where no derivative is known exactly.

    Of two steps of the quotient the change between them says how unsure it is.
    """
    point = {**truth.weights.params, "xs": truth.xs}
    rng, checks = np.random.default_rng(1), []

    def loss(at: Mapping[str, np.ndarray]) -> float:
        params = {array: value for array, value in at.items() if array != "xs"}
        weights = Weights(params, truth.weights.states)
        cuts = spans(len(truth.xs), truth.segment or len(truth.xs))
        return float(np.sum(oracle.pieces(truth.model, weights, at["xs"], cuts, truth.starts) * truth.cotangent))

    for array, gradient in got.items():
        direction = rng.standard_normal(gradient.shape)
        scale = max(float(np.sqrt(np.mean(point[array] ** 2))), 1e-3)
        slopes = [oracle.central_difference(loss, point, {array: direction}, scale * size) for size in (1e-5, 1e-6)]
        size = float(np.linalg.norm(gradient * direction))
        tolerance = SLACK * (EPS[dtype] * np.sqrt(len(truth.xs)) * size + abs(slopes[0] - slopes[1]))
        deviation = abs(float(np.sum(gradient * direction)) - slopes[1])
        checks.append(Check(f"{name} of {array}", deviation, float(tolerance), size))
    return checks


def half_checks(
    got: Gradients, wide: Gradients, natural: Gradients, dtype: str, steps: int, sequences: int, name: str
) -> list[Check]:
    """Gradients of a half-precision run against those of the float32 run on the same numbers.

    natural: by how much roundings of the dtype move each. Beside the error of the whole array, its length along the
    true one is held: roundings point anywhere, a factor points along.

    The gradient of a bias is a sum over n = steps · sequences, which XLA rounds after every term: with partial sums
    that grow as √k, by some √n / 4 times what a rounding of each term does. Products of matrices are summed in float32.
    """
    roundings, in_sums = EPS[dtype] / 4 * np.sqrt(steps), 1 + np.sqrt(steps * sequences) / 2
    checks = []
    for array, true in wide.items():
        size, moved = float(np.linalg.norm(true)), natural[array] * (in_sums if true.ndim < 2 else 1.0)
        error = float(np.linalg.norm(moved)) + roundings * size + TINY[dtype] * np.sqrt(true.size)
        whole = compared(f"{name} of {array}", got[array], true, HALF_SLACK * error)
        checks.append(replace(whole, size=0.0))
        if size and whole.deviation < np.inf:
            along = abs(float(np.vdot(true, moved).real)) / size
            tolerance = HALF_SLACK * (along + error / np.sqrt(true.size) + EPS[dtype] * size)
            deviation = abs(float(np.vdot(true, got[array] - true).real)) / size
            checks.append(Check(f"{name} of {array} along their direction", deviation, tolerance, size))
    return checks


def outputs_along(got: np.ndarray, wide: np.ndarray, natural: np.ndarray, dtype: str, name: str = "outputs") -> Check:
    """Outputs of a half-precision run against those of the float32 run, for the worst step; natural (T, B, O)."""
    if got.shape != wide.shape:
        return Check(f"{name} of shape {got.shape} instead of {wide.shape}", float("inf"), 0.0)
    norms = [np.sqrt((array**2).sum(axis=(1, 2))) for array in (got - wide, natural, wide)]
    size = max(float(norms[2].max(initial=0.0)), 1e-3)
    tolerance = HALF_SLACK * (np.maximum.accumulate(norms[1]) + EPS[dtype] * size)
    return _worst_step(name, norms[0], tolerance, size)


def overflow(truth: Truth, dtype: str, gradients: bool) -> None:
    """Raises Diverged where the true numbers leave those that the dtype has."""
    with np.errstate(all="ignore"):
        outputs, finals = truth.run
        for what, arrays in (("the outputs", [outputs]), ("the states", finals)):
            if largest(arrays) > LIMITS[dtype]:
                step = _first_beyond(outputs, LIMITS[dtype])
                raise Diverged(f"{what} leave the numbers of {dtype} {step}; nothing can be compared or timed there")
        if gradients and largest(truth.back.gradients.values()) > LIMITS[dtype]:
            raise Diverged(
                f"the gradients over {len(truth.xs)} steps leave the numbers of {dtype}: the cell explodes; "
                f"shorten the sequence or scale the recurrent weights down"
            )


def _first_beyond(outputs: np.ndarray, limit: float) -> str:
    beyond = ~(np.abs(outputs).max(axis=(1, 2)) <= limit)
    return f"at step {int(np.argmax(beyond)) + 1}" if beyond.any() else "on the way"


def forced_check(got: np.ndarray, truth: Truth, dtype: str) -> Check | None:
    """Each output from the state that the program's own output before it stands for: no error is carried on.

    Only for one layer without a read-out, all of whose state is its output; None for others.
    """
    model, xs = truth.model, truth.xs
    if (
        model.layers != 1
        or model.output_size is not None
        or model.embedding is not None
        or model.cell.carries
        or got.shape[:2] != xs.shape[:2]
    ):
        return None
    cell, eps = model.cell, EPS[dtype]
    params = {name.removeprefix("layers.0."): array for name, array in truth.weights.params.items()}
    [state] = batched(truth.weights.states, xs.shape[1], np.broadcast_to)
    if not _shown(cell, params, state, xs):
        return None
    noise = Noise(eps, 3)
    rounded = {name: noise(array) for name, array in params.items()}
    params, rounded = cell.derived(OPS, params), cell.derived(OPS, rounded)
    zs, noisy_zs = cell.projected(OPS, params, xs), tree_map(noise, cell.projected(OPS, rounded, noise(xs)))
    deviation, natural = np.zeros(len(xs)), 0.0
    for t in range(len(xs)):
        own = tree_map(lambda _, t=t: got[t - 1], state) if t else state
        _, y = cell.advance(OPS, params, own, tree_map(lambda part, t=t: part[t], zs))
        _, noisy = cell.advance(OPS, rounded, tree_map(noise, own), tree_map(lambda part, t=t: part[t], noisy_zs))
        deviation[t] = np.abs(got[t] - y).max()
        natural = max(natural, float(np.abs(noise(noisy) - y).max()))
    size = float(np.abs(got).max(initial=1e-3))
    tolerance = np.full(len(xs), SLACK * (natural + eps * size))
    return _worst_step("outputs, each from the one before,", deviation, tolerance, size)


def _shown(cell: Cell, params: Gradients, state: State, xs: np.ndarray) -> bool:
    """Whether every leaf of the state is the output."""
    params = cell.derived(OPS, params)
    z = tree_map(lambda part: part[0], cell.projected(OPS, params, xs[:1]))
    after, y = cell.advance(OPS, params, state, z)
    return all(np.array_equal(leaf, y) for leaf in leaves(after))
