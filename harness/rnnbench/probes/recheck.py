"""After the clock has stopped: is what was timed still the function that was verified?

A program that remembers its answers, that works in the background, or that is right only the first few times, passes a
verification and would be timed at its best. So it is asked once more, in the process that timed it and as it was timed,
on inputs it has never seen, and its answer is read at once and held against the oracle.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.errors import Wrong
from rnnbench.model import Pass, Weights

if TYPE_CHECKING:
    import numpy as np

    from rnnbench.model.adjoint import Noise

    Batch = Mapping[str, np.ndarray]

FRESH = 3
"""Calls on inputs that were not seen before."""

AGAIN = 2
"""Forward passes more on the last of them: what is wrong every other time is asked at both."""

SLOWER = 1.5
LOST = 20e-6
"""So many times the median and so many seconds more, in the quickest of all calls, and it is looked at whether a second
call on the same inputs is quicker than the first."""

REMEMBERED = 1.5
"""So many times as long as the second, next to it, a first call has to take then. New inputs cost a little more than
old ones, and what else runs on the machine hits either."""

PAIRS, HONEST = 12, 3
"""Of so many such pairs, so many that are level clear the program: beside other work one pair in five is not, where
nothing is remembered, and ten of twelve one time in 100,000."""

LEAST_STEPS = 64
"""The oracle repeats between so many steps and all, drawn anew for each check: short ones are more frequent."""

ROWS, MOST_ROWS = 4, 16
"""Sequences that the oracle repeats, drawn anew for each check: the fewer steps, the more of them, for the same work.
One that is left out of so many turns more of a gradient than `ALONG` allows."""

LOSS = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.03, "float16": 0.01}
"""Relative error of a mean over a whole batch that rounding may make."""

SPIKE = 1e6
"""Factor on the targets of what the oracle repeats: nothing else counts in the loss of that batch, nor in the step that
Adam takes on it, whatever it remembers."""

MAX_GRADIENT_ERROR = 0.05
"""Relative error, in the norm of each array, of gradients that are the oracle's: rounding makes far less of it, and
what is left of the sequences that do not count."""

OUTWEIGHS = 1e3
"""A gradient so many times as large as usual decides alone where Adam goes."""

ALONG = 0.99
"""Share of Σ|∂L/∂θ|, for each array, that goes to parameters which have moved against their gradient."""


def check(context: Context, program: Program, mode: Pass, seconds: float | None) -> None:
    """Raises Wrong where the program, warm as it is, is not the function that was verified.

    program: trains with Adam. seconds: the median that was measured; None where no time is published. Dropout is left
    to the verification.
    """
    held = context.cell.portable and not context.case.dropout
    part = _Part.drawn(context)
    first = _fresh(context)
    batches = [_rolled(first, number) for number in range(FRESH)]
    if held and mode != "forward" and _wide(context):
        batches[-1] = part.spiked(batches[-1])
    answers = {"forward": _forward, "train": _train, "backward": _backward}[mode](program, batches)
    fresh = min(answer.seconds for answer in answers)
    if seconds is not None:
        later = (_rolled(first, FRESH + number) for number in range(PAIRS))
        refuse_memory((_call(program, mode, program.put(batch)) for batch in later), fresh, seconds)
    if held:
        try:
            answers[-1].hold(context, batches[-1], part)
        except Wrong:
            if mode != "train" or not _wide(context):
                raise
            # gradients of before may have been as large, in a cell that explodes, and Adam remembers them
            part = replace(part, spike=SPIKE**2)
            batch = part.spiked(_rolled(first, FRESH))
            _train(program, [batch])[0].hold(context, batch, part)


def _wide(context: Context) -> bool:
    return context.case.dtype in ("float64", "float32")


def _fresh(context: Context) -> Batch:
    case = context.case
    shape = (case.seq_len, case.batch_size, context.model.outputs)
    return {
        "xs": context.inputs("fresh"),
        "targets": context.rng("fresh targets", *shape).standard_normal(shape),
    }


def _rolled(batch: Batch, turns: int) -> Batch:
    """Other numbers in every place, for a tenth of the price of drawing them."""
    import numpy as np

    return {name: np.roll(array, (turns, turns), axis=(0, 1)) for name, array in batch.items()}


@dataclass(frozen=True)
class _Part:
    """What the oracle repeats of a batch: the first `steps` steps of the sequences `rows`. spike: see `SPIKE`."""

    steps: int
    rows: np.ndarray
    spike: float = SPIKE

    @classmethod
    def drawn(cls, context: Context) -> _Part:
        import numpy as np

        case, rng = context.case, np.random.default_rng()
        least = min(LEAST_STEPS, case.seq_len)
        steps = round(least * (case.seq_len / least) ** rng.uniform())
        rows = min(MOST_ROWS, max(ROWS, MOST_ROWS * LEAST_STEPS // steps))
        return cls(steps, np.sort(rng.permutation(case.batch_size)[:rows]))

    def of(self, array: np.ndarray) -> np.ndarray:
        """Its share of an array (T, B, ...)."""
        return array[: self.steps, self.rows]

    def spiked(self, batch: Batch) -> Batch:
        """The batch with its targets so large that the rest plays no part."""
        targets = batch["targets"].copy()
        targets[: self.steps, self.rows] *= self.spike
        return {**batch, "targets": targets}


def refuse_memory(calls: Iterable[Callable[[], object]], fresh: float, seconds: float) -> None:
    """Raises Wrong where calls on new inputs are slow beside those that were timed, and second ones on them quick.

    calls: each on inputs that were not seen before. fresh: seconds of the quickest call on such. seconds: the median
    that was measured.
    """
    if fresh <= SLOWER * seconds or fresh - seconds <= LOST:
        return
    ratios: list[float] = []
    for call in calls:
        first, second = _seconds(call), _seconds(call)
        ratios.append(first / second)
        if sum(ratio <= REMEMBERED for ratio in ratios) == HONEST:
            return
    raise Wrong(
        f"a call on new inputs takes {fresh / seconds:.1f} times as long as the calls that were timed, and "
        f"{median(ratios):.1f} times as long as a second one on the same inputs: the program remembers its answers, "
        f"and the time is not that of the work"
    )


def _call(program: Program, mode: Pass, placed: Batch) -> Callable[[], object]:
    if mode == "backward":
        return program.backward(placed)
    return (lambda: program.forward(placed["xs"])) if mode == "forward" else (lambda: program.train_step(placed))


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@dataclass(frozen=True)
class _Outputs:
    """What a forward pass gave, each time that it was asked again on the last inputs, and how long it took."""

    seconds: float
    outputs: Sequence[np.ndarray]
    weights: dict[str, np.ndarray]

    def hold(self, context: Context, batch: Batch, part: _Part) -> None:
        """Against the oracle with the weights that the program has by now."""
        import numpy as np

        from rnnbench.worker.verification.comparison import forward_checks
        from rnnbench.worker.verification.truth import Truth

        weights = Weights(self.weights, context.weights().states)
        truth = Truth(context.model, weights, part.of(batch["xs"]), np.empty(0))
        steps = truth.predictable(context.case.dtype)
        if not steps or not np.isfinite(truth.run[0]).all():
            return
        for outputs in self.outputs:
            [found] = forward_checks((part.of(outputs), []), truth, context.case.dtype, steps)
            if not found.passed:
                raise Wrong(f"after it was timed, on inputs it had not seen: {found.sentence()}")


def _forward(program: Program, batches: Sequence[Batch]) -> list[_Outputs]:
    """Call after call, then the last outputs are read at once: work put off would not be done yet."""
    inputs = [program.put({"xs": batch["xs"]})["xs"] for batch in batches]
    seconds, outputs = [], deque(maxlen=1 + AGAIN)
    for xs in (*inputs, *(inputs[-1] for _ in range(AGAIN))):
        started = time.perf_counter()
        _, ys = program.forward(xs)
        seconds.append(time.perf_counter() - started)
        outputs.append(ys)
    read = [program.get(ys).astype(float) for ys in reversed(outputs)]
    weights = _parameters(program)
    return [_Outputs(one, read, weights) for one in seconds[: len(inputs)]]


@dataclass(frozen=True)
class _Step:
    """What a training step told, and what it did."""

    seconds: float
    loss: float
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]

    def hold(self, context: Context, batch: Batch, part: _Part) -> None:
        """Its loss is that of the oracle, and the parameters have moved against their gradients."""
        import numpy as np

        weights = Weights(self.before, context.weights().states)
        with np.errstate(all="ignore"):
            if _wide(context) and self._held_in_part(context, weights, batch, part):
                return
            self._loss_held(context, weights, batch, part)

    def _held_in_part(self, context: Context, weights: Weights, batch: Batch, part: _Part) -> bool:
        """By the part whose targets were made large; False where rounding decides of the outputs there."""
        import numpy as np

        from rnnbench.model.reverse import Untraceable
        from rnnbench.worker.verification.truth import Truth

        xs, targets = part.of(batch["xs"]), part.of(batch["targets"])
        truth = Truth(context.model, weights, xs, -targets / part.spike, _cut(context))
        if not np.isfinite(truth.run[0]).all() or truth.predictable(context.case.dtype) < len(xs):
            return False
        error = np.sum((truth.run[0] - targets) ** 2) / batch["targets"].size
        self._close(float(error), LOSS[context.case.dtype])
        try:
            gradients = truth.back.gradients
        except Untraceable:
            return True
        if not _against(self.before, self.after, gradients):
            return True
        # a cell whose gradients grow so fast that all steps count after all?
        whole = _whole_gradients(context, weights, batch, part.spike)
        suspect = _against(self.before, self.after, whole)
        if (
            suspect
            and _outweighs(suspect, whole, context, weights, batch, part)
            and not _decided_by_rounding(suspect, context, weights, batch, whole, part.spike)
        ):
            raise Wrong(
                f"after it was timed, a training step on a batch it had not seen moves {suspect} another way than its "
                f"gradient says"
            )
        return True

    def _loss_held(self, context: Context, weights: Weights, batch: Batch, part: _Part) -> None:
        import numpy as np

        from rnnbench.model import oracle

        _, outputs = oracle.forward(context.model, weights, batch["xs"])
        true = float(np.mean((outputs - batch["targets"]) ** 2))
        if not np.isfinite(true):
            return
        chaos = _chaos(context, weights, part.of(batch["xs"]))
        self._close(true, max(LOSS[context.case.dtype], chaos))
        if not chaos and all(np.array_equal(self.before[name], self.after[name]) for name in self.before):
            raise Wrong("after it was timed, a training step on a batch it had not seen moves no parameter")

    def _close(self, true: float, allowed: float) -> None:
        if not abs(self.loss - true) <= allowed * true:
            raise Wrong(
                f"after it was timed, the loss of a training step on a batch it had not seen is off by "
                f"{abs(self.loss - true):.2g}, at most {allowed * true:.2g} is accepted"
            )


def _against(before: Batch, after: Batch, gradients: Batch) -> str:
    """The name of an array that has not moved against its gradient; empty where all have.

    A step of Adam on a gradient far above all before it has one length in every entry, and the gradient's sign
    (Kingma & Ba 2015, section 2.1). Arrays whose gradient is small beside that of others are left out.
    """
    import numpy as np

    trained = [name for name in before if name in gradients]
    largest = max((float(np.abs(gradients[name]).max(initial=0.0)) for name in trained), default=0.0)
    for name, start in before.items():
        if name not in gradients:
            if not np.array_equal(start, after[name]):
                return f"{name}, which is frozen,"
            continue
        size = np.abs(gradients[name])
        if not np.isfinite(largest) or size.max(initial=0.0) <= 1e-3 * largest:
            continue
        moved = np.sign(after[name] - start) == -np.sign(gradients[name])
        if not np.sum(size * moved) >= ALONG * np.sum(size):
            return name
    return ""


def _outweighs(name: str, spiked: Batch, context: Context, weights: Weights, batch: Batch, part: _Part) -> bool:
    """Whether a gradient is far above that of the batch without its large targets: in a cell that explodes the steps
    before were as large, and Adam remembers them. The oracle says so, for the program itself is under suspicion.
    """
    import numpy as np

    if name not in spiked:
        return True
    targets = batch["targets"].copy()
    targets[: part.steps, part.rows] /= part.spike
    plain = _whole_gradients(context, weights, {**batch, "targets": targets}, part.spike)[name]
    return bool(np.linalg.norm(spiked[name]) >= OUTWEIGHS * np.linalg.norm(plain))


def _decided_by_rounding(
    name: str, context: Context, weights: Weights, batch: Batch, exact: Batch, spike: float
) -> bool:
    """Whether rounding as large as a verification accepts turns as much of a gradient as was found turned."""
    import numpy as np

    from rnnbench.model.adjoint import Noise
    from rnnbench.ops import EPS
    from rnnbench.worker.verification.check import DRAWS
    from rnnbench.worker.verification.comparison import SLACK

    if name not in exact:
        return False

    def turned(draw: int) -> bool:
        noise = Noise(SLACK * EPS[context.case.dtype], draw)
        rounded = _whole_gradients(context, weights, batch, spike, noise)[name]
        kept = np.abs(exact[name]) * (np.sign(rounded) == np.sign(exact[name]))
        return not np.sum(kept) >= ALONG * np.sum(np.abs(exact[name]))

    return any(turned(draw) for draw in range(1, DRAWS + 1))


def _whole_gradients(
    context: Context, weights: Weights, batch: Batch, spike: float, noise: Noise | None = None
) -> Batch:
    from rnnbench.model.adjoint import ForwardPass

    run = ForwardPass(context.model, weights, batch["xs"], noise)
    return run.back((run.outputs - batch["targets"]) / spike, _cut(context)).gradients


def _cut(context: Context) -> int | None:
    """The segment at whose borders the gradient of the state is cut."""
    bptt, segment = context.bptt
    return segment if bptt == "truncated" else None


def _chaos(context: Context, weights: Weights, xs: np.ndarray) -> float:
    """What rounding may do to a mean over outputs that it decides: the share that two samples of them differ by."""
    import numpy as np

    from rnnbench.worker.verification.truth import Truth

    some = Truth(context.model, weights, xs, np.empty(0))
    return 0.0 if some.predictable(context.case.dtype) == len(xs) else 0.1


def _train(program: Program, batches: Sequence[Batch]) -> list[_Step]:
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
    """What the backward pass alone gave, and what the gradients are when asked for by themselves; by parameter, and
    `xs`.
    """

    seconds: float
    alone: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    def hold(self, context: Context, batch: Batch, part: _Part) -> None:
        """Both are the same, and those of the oracle."""
        import numpy as np

        from rnnbench.ops import EPS

        allowed = EPS[context.case.dtype] ** 0.5
        for name, one in self.alone.items():
            if not np.linalg.norm(one - self.whole[name]) <= allowed * np.linalg.norm(self.whole[name]):
                raise Wrong("after it was timed, the backward pass alone gives other gradients than the whole pass")
        if _wide(context):
            with np.errstate(all="ignore"):
                self._held_in_part(context, batch, part)

    def _held_in_part(self, context: Context, batch: Batch, part: _Part) -> None:
        """By the part whose targets were made large; not where rounding decides of the outputs there."""
        import numpy as np

        from rnnbench.model.reverse import Untraceable
        from rnnbench.worker.verification.check import DRAWS
        from rnnbench.worker.verification.truth import Truth

        weights = Weights(self.weights, context.weights().states)
        xs, targets = part.of(batch["xs"]), part.of(batch["targets"])
        truth = Truth(context.model, weights, xs, -targets / part.spike, _cut(context))
        if not np.isfinite(truth.run[0]).all() or truth.predictable(context.case.dtype) < len(xs):
            return
        got = {name: array * batch["targets"].size / (2 * part.spike) for name, array in self.whole.items()}
        got["xs"] = part.of(got["xs"])
        try:
            off = _off(got, truth.back.gradients)
        except Untraceable:
            return
        if not off:
            return
        # a cell whose gradients grow so fast that all steps count after all, or that rounding decides?
        exact = self._exact(context, batch, part)
        if (off := _off(got, exact)) and not any(
            _off(self._exact(context, batch, part, draw), exact) == off for draw in range(1, DRAWS + 1)
        ):
            raise Wrong(f"after it was timed, on a batch it had not seen, the gradient of {off} is not the oracle's")

    def _exact(self, context: Context, batch: Batch, part: _Part, draw: int = 0) -> Batch:
        """The oracle's gradients of the whole batch; with a draw, as rounding that a verification accepts has them."""
        from rnnbench.model.adjoint import Noise
        from rnnbench.ops import EPS
        from rnnbench.worker.verification.comparison import SLACK

        weights = Weights(self.weights, context.weights().states)
        noise = Noise(SLACK * EPS[context.case.dtype], draw) if draw else None
        found = _whole_gradients(context, weights, batch, part.spike, noise)
        return {**found, "xs": part.of(found["xs"])}


def _off(got: Batch, true: Batch) -> str:
    """The name of an array that is not this one; empty where all are. What is small beside others is left out."""
    import numpy as np

    sizes = {name: float(np.linalg.norm(array)) for name, array in true.items() if name in got}
    least = 1e-3 * max((size for name, size in sizes.items() if name != "xs"), default=0.0)
    for name, size in sizes.items():
        if size > least and not np.linalg.norm(got[name] - true[name]) <= MAX_GRADIENT_ERROR * size:
            return name
    return ""


def _backward(program: Program, batches: Sequence[Batch]) -> list[_Gradients]:
    found = []
    for batch in batches[-2:]:  # each holds on to all that its forward pass kept
        placed = program.put(batch)
        again = program.backward(placed)
        started = time.perf_counter()
        gradients, of_xs = again()
        seconds = time.perf_counter() - started
        alone = _read(program, {**gradients, "xs": of_xs})
        _, gradients, of_xs = program.loss_and_gradients(placed)
        found.append(_Gradients(seconds, alone, _read(program, {**gradients, "xs": of_xs}), _parameters(program)))
    return found


def _read(program: Program, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: program.get(array).astype(float) for name, array in arrays.items()}


def _parameters(program: Program) -> dict[str, np.ndarray]:
    return {name: array.astype(float) for name, array in program.parameters().items()}
