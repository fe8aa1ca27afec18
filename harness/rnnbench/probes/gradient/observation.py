"""What is looked at in one program at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Program
from rnnbench.cell import Array, leaves
from rnnbench.context import Context
from rnnbench.model import Weights
from rnnbench.probes.gradient import lyapunov, saturation
from rnnbench.task import Batch, Loss, mean_square

if TYPE_CHECKING:
    import numpy as np

CHUNK = 2**21
"""Numbers in the Jacobians that are on the device at once: 16 MiB, and some tens of times that while made."""
FACTORS = 2**23
"""Numbers in the triangular factors that are kept for singular values: 64 MiB."""


@dataclass(frozen=True)
class Observation:
    """log_norms, input_log_norms: (T, B), by lag 1..T and 0..T−1. parameter_norm: None without a task."""

    log_norms: np.ndarray
    input_log_norms: np.ndarray
    parameter_norm: float | None
    spectra: tuple[lyapunov.Spectrum, ...]
    saturation: saturation.Saturation


def loss_for(task_loss: Loss | None) -> Loss:
    """The task's loss, or L = Σ cotangent ∘ last output for a batch that carries a cotangent."""

    def loss(ops: Any, outputs: Array, batch: Batch) -> Array:
        if "cotangent" in batch:
            return ops.sum(outputs[-1] * batch["cotangent"])
        return (task_loss or mean_square)(ops, outputs, batch)

    return loss


def observe(context: Context, program: Program, batch: Mapping[str, np.ndarray], draw: int) -> Observation:
    """Look at the program with the parameters it has now, on a batch of which only `xs` counts where there is no task.

    L = ⟨u, o_T⟩ with a random u and the last outputs o_T (of the head, where there is one).
    """
    names = ("cotangent", *(("draw", draw) if draw else ()))
    params, model = program.parameters(), context.model
    xs = batch["xs"]
    u = context.rng(*names).standard_normal((xs.shape[1], model.outputs))
    v = u @ params["head.weight"] if model.output_size else u
    placed = program.put({"xs": xs, "cotangent": u, "v": v})
    _, _, by_inputs = program.loss_and_gradients({"xs": placed["xs"], "cotangent": placed["cotangent"]})
    weights = Weights(params, context.weights().states)
    return Observation(
        log_norms=program.log_gradient_norms(placed["xs"], placed["v"]),
        input_log_norms=log_lengths(program.get(by_inputs))[::-1],
        parameter_norm=None if context.task is None else parameter_norm(program, program.put(batch)),
        spectra=_spectra(context, program, placed["xs"], weights, draw),
        saturation=saturation.observe(model, weights, xs),
    )


def log_lengths(vectors: np.ndarray) -> np.ndarray:
    """ln of the Euclidean lengths over the last axis; −∞ for zero. Scaled first: squares underflow below 1e-154."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        largest = np.abs(vectors).max(axis=-1)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        return np.log(np.linalg.norm(vectors / scale[..., None], axis=-1)) + np.log(scale)


def parameter_norm(program: Program, batch: Batch) -> float:
    """‖dL/dθ‖ over all parameters together, of the loss the program trains on; what clipping compares with `clip`."""
    import numpy as np

    _, gradients, _ = program.loss_and_gradients(batch)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm([np.linalg.norm(program.get(gradient)) for gradient in gradients.values()]))


def _spectra(
    context: Context, program: Program, xs: Array, weights: Weights, draw: int
) -> tuple[lyapunov.Spectrum, ...]:
    wanted = context.settings.lyapunov
    if not wanted:
        return ()
    n = state_entries(weights)
    directions = n if wanted == -1 else min(wanted, n)
    factors = max(1, FACTORS // n**2) if directions == n else 0
    rng = context.rng("tangents", n, draw)
    count = min(context.settings.trajectories, xs.shape[1])
    return tuple(
        lyapunov.follow(jacobians(program, xs[:, row : row + 1], n), directions, rng, factors) for row in range(count)
    )


def state_entries(weights: Weights) -> int:
    """Real numbers in the whole recurrent state of one sequence."""
    import numpy as np

    all_leaves = [leaf for state in weights.states for leaf in leaves(state)]
    return sum(np.size(leaf) * (2 if np.iscomplexobj(leaf) else 1) for leaf in all_leaves)


def jacobians(program: Program, xs: Array, n: int) -> Iterator[np.ndarray]:
    """∂s_t/∂s_{t−1} (n, n) along the one sequence of xs_T1D, up to the first that is not finite."""
    import numpy as np

    states, steps = None, max(1, CHUNK // n**2)
    for start in range(0, len(xs), steps):
        states, found = program.state_jacobians(xs[start : start + steps], states)
        for jacobian in found[:, 0]:
            if not np.all(np.isfinite(jacobian)):
                return
            yield jacobian
