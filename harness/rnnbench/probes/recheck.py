"""After the clock has stopped: is what was timed still the function that was verified?

A program that remembers its answers, that works in the background, or that is right only the first few times, passes a
verification and would be timed at its best. So it is asked once more, in the process that timed it and as it was timed,
on inputs it has never seen, and its answer is read at once and held against the oracle.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.errors import Wrong
from rnnbench.model import Pass, Weights

if TYPE_CHECKING:
    import numpy as np

FRESH = 5
"""Calls on inputs that were not seen before."""

SLOWER = 8.0
LOST = 20e-6
"""New inputs cost a little more than old ones. So many times the median and so many seconds more, in the quickest of
all calls, and answers were remembered."""

STEPS = 512
"""Time steps that the oracle repeats."""

ROWS = 4
"""Sequences that the oracle repeats, drawn anew for each check."""

LOSS = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.03, "float16": 0.01}
"""Relative error of a mean over a whole batch that rounding may make."""


def check(context: Context, program: Program, mode: Pass, seconds: float | None) -> None:
    """Raises Wrong where the program, warm as it is, is not the function that was verified.

    seconds: the median that was measured; None where no time is published. Dropout is left to the verification.
    """
    batches = [_fresh(context, number) for number in range(FRESH)]
    answers = {"forward": _forward, "train": _train, "backward": _backward}[mode](program, batches)
    if seconds is not None:
        _not_remembered(min(answer.seconds for answer in answers), seconds)
    if context.cell.portable and not context.case.dropout:
        answers[-1].hold(context, batches[-1])


def _fresh(context: Context, number: int) -> dict[str, np.ndarray]:
    case = context.case
    shape = (case.seq_len, case.batch_size, case.hidden_size)
    return {
        "xs": context.inputs("fresh", number),
        "targets": context.rng("fresh targets", *shape, number).standard_normal(shape),
    }


def _not_remembered(fresh: float, median: float) -> None:
    if fresh > SLOWER * median and fresh - median > LOST:
        raise Wrong(
            f"a call on new inputs takes {fresh / median:.0f} times as long as the calls that were timed: the program "
            f"remembers its answers, and the time is not that of the work"
        )


@dataclass(frozen=True)
class _Outputs:
    """What a forward pass gave, and how long it took."""

    seconds: float
    outputs: np.ndarray
    weights: dict[str, np.ndarray]

    def hold(self, context: Context, batch: dict[str, np.ndarray]) -> None:
        """Against the oracle with the weights that the program has by now."""
        import numpy as np

        from rnnbench.worker.verification.comparison import forward_checks
        from rnnbench.worker.verification.truth import Truth

        rows = np.sort(np.random.default_rng().permutation(context.case.batch_size)[:ROWS])
        weights = Weights(self.weights, context.weights().states)
        truth = Truth(context.model, weights, batch["xs"][:STEPS, rows], np.empty(0))
        steps = truth.predictable(context.case.dtype)
        if not steps or not np.isfinite(truth.run[0]).all():
            return
        got = self.outputs[:STEPS, rows]
        [found] = forward_checks((got, []), truth, context.case.dtype, steps)
        if not found.passed:
            raise Wrong(f"after it was timed, on inputs it had not seen: {found.sentence()}")


def _forward(program: Program, batches: Sequence[dict[str, np.ndarray]]) -> list[_Outputs]:
    """Call after call, then the last outputs are read at once: work put off would not be done yet."""
    inputs = [program.put({"xs": batch["xs"]})["xs"] for batch in batches]
    seconds, outputs = [], None
    for xs in inputs:
        started = time.perf_counter()
        _, outputs = program.forward(xs)
        seconds.append(time.perf_counter() - started)
    read = program.get(outputs).astype(float)
    weights = _parameters(program)
    return [_Outputs(one, read, weights) for one in seconds]


@dataclass(frozen=True)
class _Step:
    """What a training step told, and what it did."""

    seconds: float
    loss: float
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]

    def hold(self, context: Context, batch: dict[str, np.ndarray]) -> None:
        """Its loss is that of the oracle, and it has moved the parameters."""
        import numpy as np

        from rnnbench.model import oracle

        weights = Weights(self.before, context.weights().states)
        with np.errstate(all="ignore"):
            _, outputs = oracle.forward(context.model, weights, batch["xs"])
            true = float(np.mean((outputs - batch["targets"]) ** 2))
        if not np.isfinite(true):
            return
        chaos = _chaos(context, weights, batch["xs"])
        allowed = max(LOSS[context.case.dtype], chaos) * true
        if not abs(self.loss - true) <= allowed:
            raise Wrong(
                f"after it was timed, the loss of a training step on a batch it had not seen is off by "
                f"{abs(self.loss - true):.2g}, at most {allowed:.2g} is accepted"
            )
        if (
            self.before
            and not chaos
            and all(np.array_equal(self.before[name], self.after[name]) for name in self.before)
        ):
            raise Wrong("after it was timed, a training step on a batch it had not seen moves no parameter")


def _chaos(context: Context, weights: Weights, xs: np.ndarray) -> float:
    """What rounding may do to a mean over outputs that it decides: the share that two samples of them differ by."""
    import numpy as np

    from rnnbench.worker.verification.truth import Truth

    some = Truth(context.model, weights, xs[:STEPS, :ROWS], np.empty(0))
    return 0.0 if some.predictable(context.case.dtype) == len(some.xs) else 0.1


def _train(program: Program, batches: Sequence[dict[str, np.ndarray]]) -> list[_Step]:
    found = []
    for batch in batches:
        placed, before = program.put(batch), _parameters(program)
        started = time.perf_counter()
        loss = program.train_step(placed)
        seconds = time.perf_counter() - started
        found.append(_Step(seconds, float(program.get(loss)), before, _parameters(program)))
    return found


@dataclass(frozen=True)
class _Gradients:
    """What the backward pass alone gave, and what the gradients are when asked for by themselves."""

    seconds: float
    alone: Any
    whole: Any

    def hold(self, context: Context, batch: dict[str, np.ndarray]) -> None:
        """Both are the same."""
        import numpy as np

        from rnnbench.ops import EPS

        del batch
        allowed = EPS[context.case.dtype] ** 0.5
        for one, other in zip(self.alone, self.whole, strict=True):
            if not np.linalg.norm(one - other) <= allowed * np.linalg.norm(other):
                raise Wrong("after it was timed, the backward pass alone gives other gradients than the whole pass")


def _backward(program: Program, batches: Sequence[dict[str, np.ndarray]]) -> list[_Gradients]:
    found = []
    for batch in batches[-2:]:  # each holds on to all that its forward pass kept
        placed = program.put(batch)
        again = program.backward(placed)
        started = time.perf_counter()
        gradients, of_xs = again()
        seconds = time.perf_counter() - started
        alone = [program.get(array).astype(float) for array in (*gradients.values(), of_xs)]
        _, gradients, of_xs = program.loss_and_gradients(placed)
        whole = [program.get(array).astype(float) for array in (*gradients.values(), of_xs)]
        found.append(_Gradients(seconds, alone, whole))
    return found


def _parameters(program: Program) -> dict[str, np.ndarray]:
    return {name: array.astype(float) for name, array in program.parameters().items()}
