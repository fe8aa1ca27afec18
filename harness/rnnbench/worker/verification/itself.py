"""A program without portable mathematics, checked against itself.

There is no oracle for a class of another library. What can be known without one: its numbers in float64 are the truth
for its numbers in float32, within what rounding noise does to it; its gradients are those of its own outputs; and it is
a recurrent function at all: causal, row by row, and the same in two halves, the second from the state of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import leaves
from rnnbench.model import Weights
from rnnbench.ops import EPS
from rnnbench.worker.verification.check import Check, judged

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.context import Context

SLACK = 20.0
"""Times what injected noise does, which a program may deviate; as for programs that have an oracle."""
ROUNDINGS = 64.0
"""Two ways to the same number inside one program may differ by this many roundings."""
LONGEST = 64
"""Steps over which a program is checked: the float64 one is built several times."""
STEP = 1e-5
GRADIENT = 1e-6
"""Relative error of a difference quotient of fourth order in float64, with room."""


def verify(context: Context, dtype: str, seq_len: int | None = None) -> dict[str, Any]:
    """The verdict `self`, with its checks; where one fails, status and reason."""
    checks = against_itself(context, dtype, seq_len)
    failed = [check.sentence() for check in checks if not check.passed]
    found = {"verified": "self", "checks": [asdict(check) for check in checks]}
    return found | ({"status": "wrong", "reason": "; ".join(failed[:3])} if failed else {})


def against_itself(context: Context, dtype: str, seq_len: int | None = None) -> list[Check]:
    """All checks of the context's program in `dtype`, over at most `LONGEST` steps of its inputs."""
    xs = context.inputs("verification", seq_len=min(seq_len or context.case.seq_len, LONGEST))
    exact = context.implementation.supports(context.cell, context.case.device, "float64") is None
    subject = _Subject(context, context.weights(), xs)
    program = subject.program(dtype)
    checks = _laws(program, xs, dtype)
    if exact:
        checks += subject.gradient_checks()
        checks += subject.precision_checks(program, dtype) if dtype != "float64" else []
    return checks


def gradient_checks(context: Context, xs: np.ndarray) -> list[Check]:
    """The float64 gradient along a random direction against difference quotients of the program's own outputs."""
    return _Subject(context, context.weights(), xs[:LONGEST]).gradient_checks()


@dataclass
class _Subject:
    """The weights and inputs at which a class is asked."""

    context: Context
    weights: Weights
    xs: np.ndarray

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(0)
        model = self.context.model
        shape = (*self.xs.shape[:2], model.outputs)
        self.cotangent = self.rng.standard_normal(shape)

    def program(self, dtype: str, params: Mapping[str, Any] | None = None) -> Program:
        weights = self.weights if params is None else Weights(params, self.weights.states)
        return self.context.program(weights, loss=_projection, dtype=dtype)

    def gradients(self, program: Program, xs: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients of Σ cotangent ∘ outputs by name; `xs` for the inputs."""
        _, found, of_xs = program.loss_and_gradients(program.put({"xs": xs, "cotangent": self.cotangent}))
        named = {name: program.get(value).astype(np.float64) for name, value in found.items()}
        return named | {"xs": program.get(of_xs).astype(np.float64)}

    def value(self, point: Mapping[str, np.ndarray]) -> float:
        """Σ cotangent ∘ outputs in float64 at these parameters and inputs."""
        params = {name: value for name, value in point.items() if name != "xs"}
        return float(np.sum(_flat(self.program("float64", params), point["xs"])[0] * self.cotangent))

    def gradient_checks(self) -> list[Check]:
        """The float64 gradient along a random direction against a difference quotient, extrapolated once."""
        point = {**self.weights.params, "xs": self.xs}
        direction = {name: self.rng.standard_normal(np.shape(value)) for name, value in point.items()}
        gradients = self.gradients(self.program("float64"), self.xs)
        slope = sum(float(np.sum(gradients[name] * direction[name])) for name in point)
        size = sum(float(np.sum(np.abs(gradients[name] * direction[name]))) for name in point)

        def moved(step: float) -> float:
            return self.value({name: value + step * direction[name] for name, value in point.items()})

        once, twice = ((moved(step) - moved(-step)) / (2 * step) for step in (STEP, 2 * STEP))
        quotient = (4 * once - twice) / 3
        unsure = abs(once - twice)  # kinks, as of relu, leave the two apart
        return [Check("gradients against difference quotients", abs(slope - quotient), GRADIENT * size + 4 * unsure)]

    def precision_checks(self, program: Program, dtype: str) -> list[Check]:
        """Outputs, states and gradients in `dtype` against those in float64."""
        exact = self.program("float64")
        true, gradients = _flat(exact, self.xs), self.gradients(exact, self.xs)
        own = self.gradients(program, self.xs)
        got = [*_flat(program, self.xs), *(own[name] for name in gradients)]
        names = ["outputs", *["final states"] * (len(true) - 1), *(f"gradients of {name}" for name in gradients)]
        true += gradients.values()

        def checks(draws: int) -> list[Check]:
            runs = [self._disturbed(EPS[dtype]) for _ in range(draws)]
            each = zip(names, got, true, zip(*runs, strict=True), strict=True)
            return [_near(*one, EPS[dtype]) for one in each]

        return judged(checks)

    def _disturbed(self, eps: float) -> list[np.ndarray]:
        """Outputs, final states and gradients in float64, with one draw of noise in parameters and inputs."""

        def rounded(array: np.ndarray) -> np.ndarray:
            return array * (1 + eps * self.rng.uniform(-1, 1, np.shape(array)))

        noisy = self.program("float64", {name: rounded(value) for name, value in self.weights.params.items()})
        xs = rounded(self.xs)
        return [*_flat(noisy, xs), *self.gradients(noisy, xs).values()]


def _near(name: str, got: np.ndarray, true: np.ndarray, runs: Sequence[np.ndarray], eps: float) -> Check:
    """The root mean square of the deviation, at most `SLACK` times what noise does, or a few roundings."""
    if got.shape != true.shape:
        return Check(f"{name} of shape {got.shape} instead of {true.shape}", float("inf"), 0.0)
    moved = np.stack([run - true for run in runs])
    natural = max(_rms(moved), eps * _rms(true), eps * 1e-3)
    return Check(f"{name} against float64", _rms(got - true), SLACK * natural)


def _laws(program: Program, xs: np.ndarray, dtype: str) -> list[Check]:
    """What makes it a recurrent function."""
    whole = _flat(program, xs)
    allowed = ROUNDINGS * EPS[dtype] * max(1.0, float(np.abs(whole[0]).max()))
    half = max(1, len(xs) // 2)
    later = xs.copy()
    later[half:] = 1 - later[half:]
    causal = np.max(np.abs(_flat(program, later)[0][:half] - whole[0][:half]))
    checks = [
        Check("causality: outputs before a changed input", float(causal), allowed),
        Check("the same call twice: outputs", float(np.max(np.abs(_flat(program, xs)[0] - whole[0]))), allowed),
    ]
    if xs.shape[1] > 1:
        other = xs.copy()
        other[:, 1] = 1 - other[:, 1]
        rows = np.arange(xs.shape[1]) != 1
        moved = np.max(np.abs(_flat(program, other)[0][:, rows] - whole[0][:, rows]))
        checks.append(Check("batch independence: outputs of untouched rows", float(moved), allowed))
    if len(whole) == 1 or len(xs) < 2:  # no state to hand over
        return checks
    placed = program.put({"xs": xs})["xs"]
    middle, first = program.forward(placed[:half])
    final, second = program.forward(placed[half:], middle)
    joined = [np.concatenate([program.get(first), program.get(second)]), *_arrays(program, final)]
    apart = max(
        float(np.max(np.abs(a - b))) if a.shape == b.shape else np.inf for a, b in zip(joined, whole, strict=True)
    )
    checks.append(Check("split law: outputs and state of two halves", apart, allowed))
    kept = program.get(program.forward(placed[:half], final)[1])
    unmoved = float(np.mean(np.all(kept == program.get(first), axis=(0, 2))))
    return [*checks, Check("initial state: rows whose outputs do not move with it", unmoved, 0.0)]


def _projection(ops: Any, outputs: Any, batch: Mapping[str, Any]) -> Any:
    """L = Σ cotangent ∘ outputs."""
    return ops.sum(outputs * batch["cotangent"])


def _flat(program: Program, xs: np.ndarray) -> list[np.ndarray]:
    """Outputs, then the leaves of the final states."""
    states, outputs = program.forward(program.put({"xs": xs})["xs"])
    return [program.get(outputs).astype(np.float64), *_arrays(program, states)]


def _arrays(program: Program, states: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(program.get(leaf)) for state in states for leaf in leaves(state)]


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.abs(array) ** 2)))
