"""Is what is about to be timed the function it claims to be?

An implementation is compared with the NumPy float64 oracle on the case's own sizes: outputs, final states, and the
gradients of every parameter and input, of all sequences of the batch over the whole length. The true gradients are
exact (`rnnbench.model.adjoint`). How far apart the two may be is not guessed but measured: the oracle is run again with
rounding noise of the program's dtype in weights, inputs and every time step, and the implementation may deviate by at
most `SLACK` times what that noise does, and by the square root of the number of roundings.

Every program is held against the oracle in float64 and in float32 first, whatever the case's dtype: there a fault
cannot hide behind rounding. A few steps are enough in the one that is not timed; in the case's own it is the whole
length. A program of half precision is held over the whole length in float32, and then against its own float32 run on
the same numbers. All of it on one thread: what several do is looked at where they are timed
(`rnnbench.probes.recheck`).

Where rounding decides of the outputs (a chaotic cell), nothing can be compared at the end of the sequence. Then each
output is checked from the one before it, outputs and gradients as far as they can be told beforehand, and the whole
length with the same program on smaller weights. Such a verdict is `weak`, and so is every other whose tolerance is
above a tenth of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.backend import Optimizer
from rnnbench.errors import Skipped
from rnnbench.model import Model, Weights, adjoint, oracle
from rnnbench.model.reverse import Untraceable
from rnnbench.ops import EPS
from rnnbench.worker.verification import comparison, itself, laws
from rnnbench.worker.verification.check import Check, compared, judged
from rnnbench.worker.verification.comparison import SLACK, backward, forward, forward_checks, gradient_checks
from rnnbench.worker.verification.truth import Truth, calmed, largest
from rnnbench.worker.verification.twin import Twin, TwinTruth, twin_of

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.context import Context
    from rnnbench.task import Loss

__all__ = [
    "EPS",
    "SLACK",
    "Check",
    "against_oracle",
    "compared",
    "mean_projection_loss",
    "projection_loss",
    "verify",
]

WIDE = ("float64", "float32")
"""In these a fault shows; every program is held against the oracle in both, first."""

BESIDE = 64
"""Steps over which it is in a dtype that is not the case's."""

WHOLE = 8192
"""Steps up to which gradients are compared over the whole length."""

STRETCH = 1024
"""Beyond that, the gradients of the first and of the last so many steps are."""

OPERATIONS = 2e10
"""Multiplications that one pass of the oracle may take; of larger batches some sequences are drawn."""

LEAST_ROWS = 4


def projection_loss(ops: Any, outputs: Any, batch: Mapping[str, Any]) -> Any:
    """L = Σ cotangent ∘ outputs: its gradient is the vector-Jacobian product with any cotangent one likes."""
    return ops.sum(outputs * batch["cotangent"])


def mean_projection_loss(ops: Any, outputs: Any, batch: Mapping[str, Any]) -> Any:
    """`projection_loss` over T·B: a mean over time and sequences, which segments and micro-batches can add up."""
    return ops.sum(ops.mean(ops.mean(outputs * batch["cotangent"], axis=1), axis=0))


def against_oracle(
    program: Program,
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    dtype: str,
    segment: int | None = None,
    one_pass: Program | None = None,
) -> list[Check]:
    """Outputs, final states and gradients of `program` (built with `projection_loss`) against the oracle on xs_TBD.

    segment: time steps per segment where the program's gradients are truncated: the truth is then the derivative with
    the state at the start of each segment held constant. one_pass: the same program with `mean_projection_loss`, which
    has another way to its truncated gradients (`rnnbench.model.bptt`): they are compared too.
    """
    cotangent = np.random.default_rng(0).standard_normal((*xs.shape[:2], model.outputs))
    with _single_blas():
        truth = Truth(model, weights, xs, cotangent, segment)
        checks = forward_checks(forward(program, xs), truth, dtype)
        found = [backward(program, xs, cotangent)]
        if one_pass is not None:
            found.append(backward(one_pass, xs, cotangent * (xs.shape[0] * xs.shape[1])))
        return checks + [check for gradients in found for check in gradient_checks(gradients, truth, dtype)]


def verify(
    context: Context, dtype: str | None = None, seq_len: int | None = None, vouched: bool = False
) -> dict[str, Any]:
    """The check that comes before any timing: `verified`, `checks`, `looked_at`, and where it fails status and reason.

    dtype, seq_len: other than the case's, and then only in that dtype. vouched: the same program was found right over a
    few steps in float64 by an earlier verification, which had said `vouches`; that part is left out. Raises Wrong where
    the mathematics is no function, Diverged where it leaves the numbers of the dtype.
    """
    twin = None if context.cell.portable else twin_of(laws.plain(context))
    if not context.cell.portable and twin is None:
        return _without_mathematics(context, dtype or context.case.dtype, seq_len)
    with _single_blas():
        return _Verification(laws.plain(context), dtype, seq_len, vouched, twin).result()


def _without_mathematics(context: Context, dtype: str, seq_len: int | None) -> dict[str, Any]:
    """The program against itself, or `none` where its backend makes none: its probes ask for something else."""
    if context.cell.init is None:
        return {"verified": "none", "checks": []}
    try:
        return itself.verify(context, dtype, seq_len)
    except NotImplementedError:
        return {"verified": "none", "checks": []}


@dataclass
class _Verification:
    """One program, dtype after dtype: on one thread, and in the case's own dtype on as many as it is timed with."""

    context: Context
    only: str | None
    seq_len: int | None
    vouched: bool = False
    twin: Twin | None = None
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sensitive: bool = False

    def result(self) -> dict[str, Any]:
        """As `verify` returns it."""
        own, self.context = self.context, laws.on_one_thread(self.context)
        xs = self._inputs()
        laws.functions(self.context, xs)
        stages = [self.only] if self.only else self._stages()
        dtype = stages[0]
        for dtype in stages:
            last = dtype == stages[-1]
            self.context = own if last else self.context
            if self._known(dtype, xs):
                continue
            if dtype in WIDE or len(stages) == 1:
                self._against_oracle(dtype, xs if last or dtype == self._widest else xs[:BESIDE], last)
            else:
                self._half(dtype, xs)
            if not all(check.passed for check in self.checks):
                break
        failed = [check for check in self.checks if not check.passed]
        weak = self.sensitive or any(check.weak for check in self.checks)
        found = {
            "verified": "weak" if weak else self._verdict,
            "checks": [asdict(check) for check in self.checks],
            "looked_at": {
                "dtypes": stages,
                "steps": len(xs),
                "sequences": xs.shape[1],
                "notes": self.notes,
                "weights": self.context.weights().digest,
            },
        }
        if not failed:
            few = "float64" in stages and len(xs) >= BESIDE
            return found | ({"vouches": True} if few and not weak else {})
        reason = "; ".join(dict.fromkeys(check.sentence() for check in failed[:3]))
        where = "" if dtype == self.context.case.dtype or self.only else f" (in {dtype})"
        return found | {"status": "wrong", "reason": reason + where}

    @property
    def _verdict(self) -> str:
        """What a program is called that passes."""
        if not self._differentiable:
            return "forward"
        return "oracle" if self.twin is None else f"cell {self.twin.equal.to}"

    @property
    def _differentiable(self) -> bool:
        """Whether there are gradients to be compared."""
        return self.context.implementation.differentiable

    def _known(self, dtype: str, xs: np.ndarray) -> bool:
        """Whether the few steps in float64 are vouched for, and nothing else is asked of that dtype."""
        few = len(xs) <= BESIDE if self.only else dtype != self.context.case.dtype
        return self.vouched and dtype == "float64" and few

    def _stages(self) -> list[str]:
        """Both wide dtypes that the implementation has, and the case's own last."""
        own = self.context.case.dtype
        return [*(one for one in WIDE if one != own and self._supports(one)), own]

    def _supports(self, dtype: str) -> bool:
        return not self.context.implementation.supports(self.context.cell, self.context.case.device, dtype)

    @property
    def _widest(self) -> str:
        """The dtype whose run over the whole length half precision is held against."""
        own = self.context.case.dtype
        return own if own in WIDE else "float32"

    def _inputs(self) -> np.ndarray:
        return self.context.inputs("verification", seq_len=self.seq_len)

    def _program(
        self, weights: Weights, dtype: str, loss: Loss = projection_loss, optimizer: Optimizer | None = None
    ) -> Program:
        return self.context.program(weights, dtype=dtype, loss=loss, optimizer=optimizer)

    def _cotangent(self, xs: np.ndarray, length: int, rows: np.ndarray, last: bool = False) -> np.ndarray:
        """Standard normal in the sequences and steps that are looked at, 0 elsewhere."""
        model = self.context.model
        width = model.outputs
        found = np.zeros((*xs.shape[:2], width))
        span = slice(len(xs) - length, None) if last else slice(0, length)
        found[span, rows] = np.random.default_rng(0).standard_normal((length, len(rows), width))
        return found

    def _rows(self, xs: np.ndarray, weights: Weights) -> np.ndarray:
        """All sequences, or as many as the oracle can be asked about, drawn at random."""
        T, B = xs.shape[:2]
        affordable = int(OPERATIONS / (T * max(1, weights.count)))
        if affordable >= B:
            return np.arange(B)
        rows = self.context.rng("verified rows", B).permutation(B)[: max(LEAST_ROWS, affordable)]
        self.notes.append(f"{len(rows)} of {B} sequences were compared")
        return np.sort(rows)

    def _against_oracle(self, dtype: str, xs: np.ndarray, last: bool) -> None:
        """One dtype; `last`: the case's own, in which what is timed besides is looked at too."""
        weights = self.context.weights()
        try:
            program = self._program(weights, dtype)
        except Skipped:
            if last:
                raise
            self.notes.append(f"{dtype} cannot be had here")
            return
        rows = self._rows(xs, weights)
        cotangent = self._cotangent(xs, len(xs) if len(xs) <= WHOLE else 0, rows)
        truth = self._truth(weights, xs, rows, cotangent)
        got = _rows_of(forward(program, xs), rows)
        comparison.overflow(truth, dtype, gradients=False)
        steps = truth.predictable(dtype)
        if steps < len(xs):
            self._chaotic(program, truth, got, xs, rows, dtype, steps, last)
            return
        self.checks += forward_checks(got, truth, dtype)
        if not self._differentiable:
            return
        if len(xs) > WHOLE:
            self._stretches(program, truth, xs, rows, dtype)
            return
        self._whole(program, truth, xs, cotangent, rows, dtype, last)

    def _truth(self, weights: Weights, xs: np.ndarray, rows: np.ndarray, cotangent: np.ndarray) -> Truth:
        bptt, segment = self.context.bptt
        cut = segment if bptt == "truncated" else None
        asked = cotangent[:, rows] if cotangent.any() else np.empty(0)
        if self.twin is not None:
            return TwinTruth.of_class(self.twin, weights, xs[:, rows], asked, cut)
        return Truth(self.context.model, weights, xs[:, rows], asked, cut)

    def _whole(
        self,
        program: Program,
        truth: Truth,
        xs: np.ndarray,
        cotangent: np.ndarray,
        rows: np.ndarray,
        dtype: str,
        last: bool,
    ) -> None:
        got = _some(backward(program, xs, cotangent), rows)
        try:
            comparison.overflow(truth, dtype, gradients=True)
        except Untraceable as unknown:
            if self.twin is not None:
                self.notes.append(
                    f"gradients were compared with the program's own outputs, for {unknown} has no derivative"
                )
                self.checks += itself.gradient_checks(self.context, xs)
                return
            self.notes.append(f"gradients were compared along single directions, for {unknown} has no known derivative")
            expected = partial(comparison.directional_checks, truth=truth, dtype=dtype)
            checks, true = expected(got), got
        else:
            expected = partial(gradient_checks, truth=truth, dtype=dtype)
            checks, true = expected(got), truth.back.gradients
        self.checks += checks
        if last and all(check.passed for check in checks):
            self._timed(truth.given, xs, cotangent, rows, dtype, true, checks, expected)

    def _timed(
        self,
        weights: Weights,
        xs: np.ndarray,
        cotangent: np.ndarray,
        rows: np.ndarray,
        dtype: str,
        true: comparison.Gradients,
        checks: list[Check],
        expected: Callable[..., list[Check]],
    ) -> None:
        """What is timed besides `forward`: `train_step`, in one pass and in parts, and the backward pass alone."""
        modes = self.context.case.settings.get("modes")
        context, batch = self.context, {"xs": xs, "cotangent": cotangent * (xs.shape[0] * xs.shape[1])}
        if "train" in (modes or ("train",)) and context.case.probe not in ("decode",):
            lr = laws.step_size(weights.params, true)
            program = self._program(weights, dtype, loss=mean_projection_loss, optimizer=Optimizer("sgd", lr=lr))
            if context.bptt[0] == "truncated":
                self.checks += expected(
                    _some(backward(program, xs, batch["cotangent"]), rows), name="one-pass gradients"
                )
            found, blur = laws.stepped(program, batch, lr)
            self.checks += laws.step_checks(found, blur, true, checks, dtype)
        if "backward" in (modes or ()):
            program = self._program(weights, dtype)
            got = laws.kept_backward(program, {"xs": xs, "cotangent": cotangent})
            self.checks += expected(_some(got, rows), name="gradients of the backward pass alone")

    def _stretches(self, program: Program, some: Truth, xs: np.ndarray, rows: np.ndarray, dtype: str) -> None:
        """Gradients of what happens in the first steps; and of the inputs of the last ones, from the state reached."""
        self.notes.append(f"gradients were compared over the first and the last {STRETCH} of {len(xs)} steps")
        cotangent = self._cotangent(xs, STRETCH, rows)
        first = self._truth(some.given, xs, rows, cotangent).first(STRETCH)
        got = _some(backward(program, xs, cotangent), rows)
        self.checks += gradient_checks(got | {"xs": got["xs"][:STRETCH]}, first, dtype)
        start = len(xs) - STRETCH
        states, _ = oracle.forward(some.model, some.weights, some.xs[:start])
        cotangent = self._cotangent(xs, STRETCH, rows, last=True)

        def end(noise: adjoint.Noise | None = None) -> np.ndarray:
            arrays = some.model, some.weights, some.xs[start:], cotangent[start:, rows]
            return adjoint.gradients(*arrays, first.segment, noise, states).gradients["xs"]

        got, true = _some(backward(program, xs, cotangent), rows)["xs"][start:], end()

        def checks(draws: int) -> list[Check]:
            noises = [adjoint.Noise(EPS[dtype], 2 + draw) for draw in range(draws)]
            moved = np.sqrt(np.mean([np.linalg.norm(end(noise) - true) ** 2 for noise in noises]))
            tolerance = SLACK * (moved + EPS[dtype] * np.sqrt(STRETCH) * np.linalg.norm(true))
            return [compared(f"gradients of the last {STRETCH} inputs", got, true, float(tolerance))]

        self.checks += judged(checks)

    def _chaotic(
        self,
        program: Program,
        some: Truth,
        got: tuple[np.ndarray, list[np.ndarray]],
        xs: np.ndarray,
        rows: np.ndarray,
        dtype: str,
        steps: int,
        last: bool,
    ) -> None:
        """Rounding decides of the outputs from step `steps` on."""
        self.sensitive = True
        self.notes.append(f"in {dtype}, rounding decides of the outputs after {steps} steps")
        self.checks += forward_checks(got, some, dtype, max(1, steps))
        forced = comparison.forced_check(got[0], some, dtype)
        self.checks += [forced] if forced else []
        self._finite(got[0], some, dtype)
        if self._differentiable:
            self._first_gradients(program, some, xs, rows, dtype, steps)
        if not all(check.passed for check in self.checks):
            return  # wrong, however far its gradients go
        if len(xs) <= WHOLE and self._differentiable:
            comparison.overflow(some, dtype, gradients=True)
        if not self.only and dtype != "float64" and self._supports("float64"):
            self._against_oracle("float64", xs, last=False)  # it is predictable for longer there
        calm = calmed(some, dtype)
        if calm is None:
            self.notes.append("no smaller weights make it predictable: only its first steps were compared")
            return
        program, cotangent = self._program(calm, dtype), self._cotangent(xs, len(xs) if len(xs) <= WHOLE else 0, rows)
        truth = self._truth(calm, xs, rows, cotangent)
        self.checks += forward_checks(_rows_of(forward(program, xs), rows), truth, dtype)
        if len(xs) <= WHOLE and self._differentiable:
            self._whole(program, truth, xs, cotangent, rows, dtype, last)

    def _first_gradients(
        self, program: Program, some: Truth, xs: np.ndarray, rows: np.ndarray, dtype: str, steps: int
    ) -> None:
        """Those of the first half of the steps over which outputs can be predicted."""
        early = max(1, steps // 2)
        cotangent = self._cotangent(xs, early, rows)
        first = self._truth(some.given, xs, rows, cotangent).first(early)
        found = _some(backward(program, xs, cotangent), rows)
        self.checks += gradient_checks(found | {"xs": found["xs"][:early]}, first, dtype)

    def _finite(self, got: np.ndarray, some: Truth, dtype: str) -> None:
        beyond = ~np.isfinite(got)
        if beyond.any():
            size = largest([some.run[0]])
            self.checks.append(Check(f"outputs that are no numbers in {dtype}", float(beyond.sum()), 0.0, size))

    def _half(self, dtype: str, xs: np.ndarray) -> None:
        """A program of half precision against its float32 run on the same numbers."""
        weights = self.context.weights()
        short = Weights({name: _rounded(array, dtype) for name, array in weights.params.items()}, weights.states)
        xs = _rounded(xs, dtype)
        rows = self._rows(xs, weights)
        wide, half = self._program(short, "float32"), self._program(short, dtype)
        cotangent = np.zeros(0)
        if len(xs) <= WHOLE and self._differentiable:
            cotangent = _rounded(self._cotangent(xs, len(xs), rows), dtype)
            scale = 8.0 / max(largest(backward(wide, xs, cotangent).values()), 1e-30)
            cotangent = _rounded(cotangent * scale, dtype)
        truth = self._truth(short, xs, rows, cotangent)
        comparison.overflow(truth, dtype, gradients=False)
        true, got = (_rows_of(forward(one, xs), rows)[0] for one in (wide, half))
        with np.errstate(all="ignore"):
            natural = truth.disturbed(dtype)[0]
        self.checks.append(comparison.outputs_along(got, true, natural, dtype))
        if not self._differentiable:
            return
        if len(xs) > WHOLE:
            self.notes.append(f"gradients of {dtype} were not compared over {len(xs)} steps")
            return
        true, got = (_some(backward(one, xs, cotangent), rows) for one in (wide, half))
        size, moved = {"steps": len(xs), "sequences": xs.shape[1]}, dict(truth.moved(dtype))
        if "head.bias" in moved:  # the sum of what is asked, which no noise of the cell reaches
            moved["head.bias"] = moved["head.bias"] + EPS[dtype] / 4 * np.sqrt((cotangent**2).sum(axis=(0, 1)))
        checks = comparison.half_checks(got, true, moved, dtype, **size, name="gradients")
        self.checks += checks
        if all(check.passed for check in checks):
            expected = partial(comparison.half_checks, wide=true, natural=moved, dtype=dtype, **size)
            self._timed(short, xs, cotangent, rows, dtype, true, checks, expected)


def _some(gradients: comparison.Gradients, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Gradients of the inputs in these sequences alone; that of a parameter is of all."""
    return {**gradients, "xs": gradients["xs"][:, rows]}


def _rows_of(found: tuple[np.ndarray, list[np.ndarray]], rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    outputs, finals = found
    return outputs[:, rows], [leaf[rows] for leaf in finals]


def _rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers of half precision, as float64."""
    if np.iscomplexobj(array):
        return array
    if dtype == "float16":
        return array.astype(np.float16).astype(np.float64)
    bits = array.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)  # to nearest, ties to even
    return bits.view(np.float32).astype(np.float64)


def _single_blas() -> Any:
    """Matrices as small as these only lose by being shared out among threads."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")
