"""One unit of the work that probes look at, so that all mean the same by `forward`, `backward` and `train`, and how far
it stays below what the machine can do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.errors import CaseError
from rnnbench.machine.roofline import limit
from rnnbench.model import Pass
from rnnbench.quantity import Quantity, Value

if TYPE_CHECKING:
    from rnnbench.model.costs import Cost

Mode = Literal["forward", "train"]
MODES: tuple[Mode, ...] = ("forward", "train")

PASSES: dict[Pass, str] = {
    "forward": "a forward pass",
    "backward": "a backward pass alone (gradients of parameters and inputs)",
    "train": "a training step (forward, backward, optimiser)",
}
"""Everything that can be timed, in words."""

ROTATION = 2
"""Different batches that calls take in turn, so that no shortcut can live off one input. A backward pass alone holds on
to all that the forward pass of each kept.
"""


def unit_of_work(context: Context, program: Program, mode: Pass) -> Callable[[], object]:
    """A call that does one forward pass, one backward pass, or one training step (forward, backward, optimiser step).

    xs_TBD and the targets of the mean-square loss are standard normal, on the device before the clock starts. The input
    projection is always inside. The forward passes that a backward pass starts from are done here, before any clock.

    Args:
        context: Of the case.
        program: What runs it.
        mode: `forward`, `backward` or `train`.

    Returns:
        A call that returns when the device is done.

    Raises:
        CaseError: A backward pass by itself gives other gradients each time.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Case, Cell, Context, unit_of_work
        >>> cell = Cell("mine", lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> case = Case("memory", "mine", "torch", "eager", "cpu", "float32", 8, 2, hidden_size=4, input_size=3)
        >>> context = Context(case, cell, {}, backend=None, implementation=None, settings=None)
        >>> class Doubling:
        ...     def put(self, batch):
        ...         return batch
        ...     def forward(self, xs):
        ...         return (), 2 * xs
        >>> call = unit_of_work(context, Doubling(), "forward")
        >>> call()[1].shape
        (8, 2, 3)
    """
    if mode == "backward":
        passes = [program.backward(program.put(batch)) for batch in _turned(random_batch(context), ROTATION)]
        _check_repeatable(program, passes[0], context.case.dtype)
        rotation = itertools.cycle(passes)
        return lambda: next(rotation)()
    if mode == "forward":
        turned = _turned({"xs": context.inputs(0)}, ROTATION)
        inputs = itertools.cycle([program.put(batch)["xs"] for batch in turned])
        return lambda: program.forward(next(inputs))
    batches = itertools.cycle([program.put(batch) for batch in _turned(random_batch(context), ROTATION)])
    return lambda: program.train_step(next(batches))


class Read:
    """Calls whose results are read: a runtime that waits for nothing when it is asked to has to work then."""

    def __init__(self, program: Program, mode: Pass, call: Callable[[], object]) -> None:
        self._program, self._mode, self._call = program, mode, call
        self._result: Any = None

    def call(self) -> None:
        """One unit of work."""
        self._result = self._call()

    def wait(self) -> None:
        """Until the device has nothing left to do and one array of the latest result is here."""
        self._program.synchronize()
        if self._result is None:
            return
        if self._mode == "train":
            self._program.get(self._result)
        else:
            _, array = self._result  # (states, outputs), or (gradients by name, gradient of xs)
            self._program.get(array)


def _check_repeatable(program: Program, backward: Callable[[], object], dtype: str) -> None:
    """A backward pass that writes into what it was kept for gives other gradients the next time, and is no measurement.

    Raises CaseError where two runs differ by more than the order of sums can explain.
    """
    import numpy as np

    from rnnbench.ops import EPS

    first, second = ([program.get(array).astype(float) for array in _flat(backward())] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        if not np.abs(one - other).max() <= EPS[dtype] ** 0.5 * np.abs(one).max():
            raise CaseError(
                "the backward pass alone gives other gradients each time it runs, so it cannot be timed by itself; "
                "time `train` instead"
            )


def _flat(gradients: Any) -> list[Any]:
    """Every array of (gradient of each parameter, gradient of xs)."""
    of_parameters, of_inputs = gradients
    return [*of_parameters.values(), of_inputs]


def random_batch(context: Context) -> dict:
    """xs_TBD and targets like the outputs, standard normal, float64; by name, not by count.

    Args:
        context: Of the case.

    Returns:
        `xs` (T, B, D) and `targets` (T, B, O), or (T, B, H) without a head.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Case, Cell, Context, random_batch
        >>> cell = Cell("mine", lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> case = Case("memory", "mine", "torch", "eager", "cpu", "float32", 8, 2, hidden_size=4, input_size=3)
        >>> context = Context(case, cell, {}, backend=None, implementation=None, settings=None)
        >>> {name: array.shape for name, array in random_batch(context).items()}
        {'xs': (8, 2, 3), 'targets': (8, 2, 4)}
    """
    case = context.case
    shape = (case.seq_len, case.batch_size, context.model.outputs)
    return {"xs": context.inputs(0), "targets": context.rng("targets", *shape, 0).standard_normal(shape)}


def _turned(batch: dict, count: int) -> Iterator[dict]:
    """The batch, and it again with everything in another place: other inputs, for a tenth of the price of drawing."""
    import numpy as np

    for turns in range(count):
        yield {name: np.roll(array, (turns, turns), axis=(0, 1)) for name, array in batch.items()}


IMPOSSIBLE = 1.05
"""A share of a clean ceiling above this is no number: oneDNN's lstm reaches 1.03 of the best product."""


@dataclass(frozen=True)
class Shared:
    """What is known of a pass beside its time: quantities, notes and details, for the record."""

    values: dict[str, Value] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def share_of_limit(context: Context, name: str, mode: Pass, time: Value, seq_len: int | None = None) -> Shared:
    """`<name>.flops`, and `<name>.limit_share` where the ceilings are known, of a pass that took `time`.

    details: the cost, and `limit`: ceilings, seconds at each, what binds (`rnnbench.machine.roofline`).
    """
    from rnnbench.model.costs import count

    case = context.case
    try:
        cost = count(context.model, seq_len or case.seq_len, case.batch_size, case.dtype, mode, context.weights())
    except CaseError as error:
        return Shared(notes=[f"{name}: {error}"])
    values = {f"{name}.flops": Value(float(cost.flops), origin="counted")}
    details: dict[str, Any] = {"cost": asdict(cost)}
    if context.ceilings is None:
        return Shared(values, [f"{name}: no share of the limit, for the machine's ceilings are not known"], details)
    found = limit(cost, time.value, context.ceilings)
    if found.share <= IMPOSSIBLE or context.ceilings.get("disturbed"):
        values[f"{name}.limit_share"] = _share(cost, time, context)
    details["limit"] = asdict(found) | {"ceilings": dict(context.ceilings)}
    notes = []
    if context.ceilings.get("disturbed"):
        notes.append(
            f"{name}: the machine was busy when its ceilings were measured: the share of the limit may be too high"
        )
    elif found.share > IMPOSSIBLE:
        notes.append(
            f"{name}: no share of the limit: it would be {found.share:.0%}, more than this machine can do. Either the "
            f"ceiling was measured too low (delete it, see `rnnbench.worker.ceilings`) or the work is not done"
        )
    elif found.share > 1:
        notes.append(f"{name}: {found.share:.0%} of the limit: what it works on must have stayed in a cache")
    return Shared(values, notes, details)


def _share(cost: Cost, time: Value, context: Context) -> Value:
    """The share with the interval that the time's own makes; the longer the time, the lower the share."""
    assert context.ceilings is not None
    low, high = (
        None if bound is None else limit(cost, bound, context.ceilings).share for bound in (time.high, time.low)
    )
    return Value(limit(cost, time.value, context.ceilings).share, low, high)


def limit_quantities(name: str, what: str, headline: int | None = None) -> tuple[Quantity, ...]:
    """What `share_of_limit` may return. headline: of the share."""
    return (
        Quantity(
            f"{name}.flops",
            "1",
            "none",
            f"Operations of {what}, counted from the cell.",
            deterministic=True,
            portable=True,
        ),
        Quantity(
            f"{name}.limit_share",
            "1",
            "higher",
            f"Least time of {what} by the machine's own ceilings, over its median time: 1 is the machine's limit.",
            headline=headline,
            group="cost",
            remark=f"{name}.limit.binds",
        ),
    )
