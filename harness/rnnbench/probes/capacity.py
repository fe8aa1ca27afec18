"""How much of its past an untrained cell keeps in a form that a linear read-out can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnbench.context import Context
from rnnbench.errors import CaseError, Diverged
from rnnbench.measurement import Measurement
from rnnbench.probe import Probe
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.ranges import Index, Positive

if TYPE_CHECKING:
    import numpy as np

SETTLE = 200
"""Steps at least that are run before any is looked at, so that the initial state is forgotten."""
FAINT = 1e-12
"""Directions of the outputs with less than this share of the largest variance are not read: float32 has none of it."""
SAMPLES = 4
"""Time steps per feature that each half of the data needs at least."""
RECALLED = 0.5
"""r² above which a delay counts as recalled."""


@dataclass(frozen=True)
class CapacitySettings:
    """max_delay: the largest k. amplitude: u is uniform in ±amplitude; small ones keep a cell near its linear range.
    replicate: which draw of weights and inputs this is; suites write `seeds: 3`.
    """

    max_delay: Index = 128
    amplitude: Positive = 1.0
    replicate: Index = 0


def measure(context: Context) -> Measurement:
    """MC = Σ_k r²_k: r²_k is the squared correlation of u(t − k) with its best linear read-out of the outputs y_t.

    Jaeger 2001, "Short term memory in echo state networks", GMD report 152, section 2; with k from 0 as in Dambre et
    al. 2012, doi:10.1038/srep00514, whose theorem bounds the sum by the number of outputs H. The scalar u is iid
    uniform and drives all D inputs alike, x_t = u_t/√D · (1, …, 1), so that ‖x_t‖ does not depend on D. B sequences of
    T steps are looked at, after a washout, in float64. Raises Diverged where the outputs leave the finite numbers, and
    CaseError where T·B is too small for H.
    """
    u, ys = _driven(context)
    found = squared_correlations(u, ys, context.settings.max_delay)
    values = {"memory_capacity": Value(float(found.sum()))}
    recalled = [delay for delay, share in enumerate(found) if share > RECALLED]
    notes = []
    if recalled:
        bound = "lower" if recalled[-1] == context.settings.max_delay else None
        values["longest_delay"] = Value(recalled[-1], bound=bound)
    else:
        notes.append(f"no delay has r² above {RECALLED:g}: nothing of the input can be read out at a single delay")
    curve = Curve("delay", "r²", list(range(len(found))), [float(share) for share in found])
    return Measurement(values, {"memory_capacity": curve}, notes)


def _driven(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(u_LB with its washout, outputs ys_TBH without): L − T steps more than T."""
    import numpy as np

    case, settings = context.case, context.settings
    _check_samples(context)
    washout = max(SETTLE, settings.max_delay)
    names = ("replicate", settings.replicate) if settings.replicate else ()
    rng = context.rng("capacity", case.batch_size, settings.max_delay, *names)
    u = rng.uniform(-settings.amplitude, settings.amplitude, (washout + case.seq_len, case.batch_size))
    program = context.program(context.weights(*names), dtype="float64")
    xs = np.repeat(u[..., None], case.input_size, -1) / case.input_size**0.5
    _, outputs = program.forward(program.put({"xs": xs})["xs"])
    ys = program.get(outputs).astype(float)
    finite = np.isfinite(ys).all((1, 2))
    if not finite.all():
        raise Diverged(f"the outputs left the finite numbers at step {int(finite.argmin()) + 1}; lower amplitude")
    return u, ys[washout:]


def _check_samples(context: Context) -> None:
    case, features = context.case, context.model.outputs
    needed = 2 * SAMPLES * features
    if case.batch_size < 2 or case.seq_len * case.batch_size < needed:
        raise CaseError(
            f"the read-outs of {features} outputs need two sequences or more and T·B of at least {needed}, "
            f"found T={case.seq_len}, B={case.batch_size}; raise seq_len or batch_size"
        )


def squared_correlations(u: np.ndarray, ys: np.ndarray, max_delay: int) -> np.ndarray:
    """r²_k for k = 0 … max_delay (max_delay + 1,), out of sample and without bias: u_LB, ys_TBH of its last T steps.

    A read-out fitted and judged on the same samples seems to recall H/samples at any delay, however long, and the sum
    over delays adds that up. So the sequences are halved, and each half gets read-outs w, w' of its own. With outputs
    whitened over both, r²_k = ⟨w_k, w'_k⟩ / var(u): where the read-outs are the same it is their squared correlation,
    and where they fit noise it is noise of mean zero, for the halves are independent. Single values may thus be
    slightly below 0.
    """
    import numpy as np

    T = len(ys)
    targets = np.stack([u[len(u) - T - k : len(u) - k] for k in range(max_delay + 1)], -1)
    targets = targets - targets.mean((0, 1))
    features = _whitened(ys)
    halves = (slice(0, None, 2), slice(1, None, 2))
    first, second = (_read_outs(features[:, half], targets[:, half]) for half in halves)
    return (first * second).sum(0) / targets.var((0, 1))


def _whitened(ys: np.ndarray) -> np.ndarray:
    """ys_TBH as uncorrelated features of variance one, (T, B, rank); directions that hardly vary are left out."""
    import numpy as np

    centred = ys - ys.mean((0, 1))
    flat = centred.reshape(-1, ys.shape[-1])
    variances, directions = np.linalg.eigh(flat.T @ flat / len(flat))
    kept = variances > FAINT * max(variances[-1], FAINT * np.square(ys).mean())  # outputs that never vary have none
    return centred @ (directions[:, kept] / np.sqrt(variances[kept]))


def _read_outs(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Least squares with an intercept: (features, delays)."""
    import numpy as np

    samples = features.shape[0] * features.shape[1]
    x, y = (array.reshape(samples, array.shape[-1]) for array in (features, targets))
    return np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)[0]


CAPACITY = Probe(
    name="capacity",
    version=1,
    settings=CapacitySettings,
    quantities=(
        Quantity(
            "memory_capacity",
            "step",
            "higher",
            "Past inputs that a linear read-out of the untrained cell recalls: Σ r² over delays.",
            headline=3,
            group="short memory",
            title="memory capacity of the untrained cell",
            portable=True,
        ),
        Quantity(
            "longest_delay",
            "step",
            "higher",
            "Largest delay of which a linear read-out of the untrained cell recalls r² > 0.5.",
            headline=13,
            group="short memory",
            title="longest delay of the untrained cell",
            portable=True,
        ),
    ),
    measure=measure,
    ignores=("implementation", "dtype", "dropout", "threads"),
    quiet=False,
    doc="linear memory capacity of the untrained cell: how many past inputs can be read out of its outputs",
)
