"""The gradient probe from settings to numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Batch, Program
from rnnbench.context import Context
from rnnbench.errors import Diverged
from rnnbench.measure.statistics import median_interval
from rnnbench.measurement import Measurement
from rnnbench.probes import training
from rnnbench.probes.gradient import decay, lyapunov
from rnnbench.probes.gradient.observation import Observation, loss_for, observe, parameter_norm
from rnnbench.probes.gradient.quantities import prefix
from rnnbench.probes.gradient.verdict import judge
from rnnbench.quantity import Curve, Value

if TYPE_CHECKING:
    import numpy as np


def measure(context: Context) -> Measurement:
    """‖dL/ds_t‖ for every t, where L = ⟨u, o_T⟩ with a random u, and what else the settings ask for, at each moment.

    Everything is float64, training included, so that both backends give the same numbers. Derivatives are the
    backend's automatic ones of the portable step. Matrices this small only lose by being shared out among threads.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return _measured(context)


def _measured(context: Context) -> Measurement:
    seen: dict[str, list[Observation]] = defaultdict(list)
    norms: list[float] = []
    for draw in range(context.settings.draws):
        for moment, observation in _course(context, draw, norms):
            seen[moment].append(observation)
    values, curves, notes, details = {}, {}, [], {}
    for moment, observations in seen.items():
        found = summarise(observations)
        head = prefix(moment)
        values |= {f"{head}.{name}": value for name, value in found.values.items()}
        curves |= {f"{head}.{name}": curve for name, curve in found.curves.items()}
        notes += found.notes if moment == "start" else [f"{moment} of training: {note}" for note in found.notes]
        details[moment] = found.details
    return Measurement(*_with_training(context, norms, values, curves), notes, details)


def _course(context: Context, draw: int, norms: list[float]) -> Iterator[tuple[str, Observation]]:
    """Train one draw of the weights, with a look at each moment asked for; appends the norm of every step's gradient.

    Raises Diverged where training leaves the finite numbers.
    """
    settings = context.settings
    program, batch = _program(context, draw), _looked_at(context, draw)
    batches = training.training_batches(context, draw) if settings.trained else iter(())
    steps = {"start": 0, "middle": settings.steps // 2, "end": settings.steps}
    taken = 0
    for moment in (name for name in steps if name in settings.at):
        while taken < steps[moment]:
            taken += 1
            norms.append(_trained(program, program.put(next(batches)), taken))
        yield moment, observe(context, program, batch, draw)


def _program(context: Context, draw: int) -> Program:
    names = ("draw", draw) if draw else ()
    loss = loss_for(None if context.task is None else training.task_of(context).loss)
    return context.program(
        context.weights(*names), loss=loss, optimizer=training.optimizer(context.settings), dtype="float64"
    )


def _looked_at(context: Context, draw: int) -> Mapping[str, np.ndarray]:
    """The task's validation data, the same for every draw, or else standard normal inputs."""
    if context.task is not None:
        return training.validation_batches(context, 1)[0]
    return {"xs": context.inputs(*(("draw", draw) if draw else ()))}


def _trained(program: Program, batch: Batch, step: int) -> float:
    """One training step: the norm of its gradient before clipping."""
    norm = parameter_norm(program, batch)
    loss = float(program.get(program.train_step(batch)))
    if not (math.isfinite(norm) and math.isfinite(loss)):
        what = "training loss" if not math.isfinite(loss) else "gradient"
        raise Diverged(f"the {what} left the finite numbers at step {step}; lower lr or set clip")
    return norm


def _with_training(
    context: Context, norms: Sequence[float], values: dict[str, Value], curves: dict[str, Curve]
) -> tuple[dict[str, Value], dict[str, Curve]]:
    """What the training steps add: their gradients' norms, and the share that clipping shortened."""
    if not norms:
        return values, curves
    clip = context.settings.clip
    if clip is not None:
        values = values | {"gradient.clipping_share": Value(sum(norm > clip for norm in norms) / len(norms))}
    each = len(norms) // context.settings.draws
    return values, curves | {"gradient.training_norm": Curve("step", "‖dL/dθ‖", list(range(1, each + 1)), norms[:each])}


def summarise(observations: Sequence[Observation]) -> Measurement:
    """One moment over all draws, under names without prefix; the verdict is in the notes and details."""
    import numpy as np

    log_norms = np.concatenate([one.log_norms for one in observations], axis=1)
    found, values, curves, notes = decay.summarise(
        log_norms, len(observations), all(one.saturation.one_orbit for one in observations)
    )
    by_inputs = np.concatenate([one.input_log_norms for one in observations], axis=1)
    if (by_input := decay.reach(by_inputs, 0)).value >= 0:
        values["input_reach"] = by_input
    else:
        notes.append("no input acts on the outputs: there is no lag from which one would reach")
    curves |= decay.curves(by_inputs, 0, "input_log_norm", "ln ‖dL/dx‖")
    spectra = lyapunov.apart([spectrum for one in observations for spectrum in one.spectra])
    spectrum_values, spectrum_curves, spectrum_notes = _spectrum(spectra)
    values |= spectrum_values | _shares(observations)
    sizes = observations[0].saturation.sizes
    verdict = judge(found, len(log_norms), values.get("lyapunov.max"), sizes)
    values["horizon"] = Value(verdict.horizon, bound="lower" if verdict.open else None)
    if verdict.kind != "chaotic" or not _surely_positive(values.get("lyapunov.max")):
        values.pop("lyapunov.dimension", None)  # of an attractor, which takes chaos and a bounded state
    details: dict[str, Any] = {"verdict": verdict.kind, "sentence": verdict.sentence}
    details["saturation"] = observations[0].saturation.sites
    return Measurement(values, curves | spectrum_curves, [verdict.sentence, *notes, *spectrum_notes], details)


def _surely_positive(value: Value | None) -> bool:
    return value is not None and value.low is not None and value.low > 0


def _shares(observations: Sequence[Observation]) -> dict[str, Value]:
    """Saturation and the parameters' gradient: medians over the draws."""
    values = {}
    for name, samples in (
        ("saturation", [one.saturation.share for one in observations]),
        ("parameter_norm", [one.parameter_norm for one in observations]),
    ):
        known = [sample for sample in samples if sample is not None and math.isfinite(sample)]
        if known:
            interval = median_interval(known)
            low, high = (interval.low, interval.high) if len(known) > 1 else (None, None)
            values[name] = Value(interval.value, low, high, tuple(known))
    return values


def _spectrum(spectra: Sequence[lyapunov.Spectrum]) -> tuple[dict[str, Value], dict[str, Curve], list[str]]:
    """Exponents with intervals, the two ways to the volume's growth, the dimension, and singular values."""
    import numpy as np

    if not spectra:
        return {}, {}, []
    if any(len(s.growth) < 2 for s in spectra):
        return {}, {}, ["no Lyapunov exponents: the state left the finite numbers at once"]
    exponents, widths = lyapunov.exponents(spectra)
    lost = int(np.isneginf(exponents).sum())
    notes = [f"{lost} of {len(exponents)} directions of the state are forgotten exactly"] if lost else []
    values = {"lyapunov.lost": Value(float(lost))}
    log_det = lyapunov.mean_log_det(spectra)
    if lost < len(exponents):
        top, width = float(exponents[0]), float(widths[0])
        known = math.isfinite(width)
        values["lyapunov.max"] = Value(top, top - width, top + width) if known else Value(top)
    if not lost:
        values["lyapunov.sum"] = Value(float(exponents.sum()))
    if log_det is not None and math.isfinite(log_det) and not lost:
        values["lyapunov.log_det"] = Value(log_det)
    if (dimension := lyapunov.kaplan_yorke(exponents)) is not None:
        values["lyapunov.dimension"] = Value(dimension)
    curves = {"lyapunov": _ranked(exponents, "λ, 1/step")}
    if factors := spectra[0].factors:
        logs = lyapunov.log_singular_values(factors) / len(factors)
        alive = logs[np.isfinite(logs)]
        values |= (
            {"singular.max": Value(float(alive[0])), "singular.min": Value(float(alive[-1]))} if len(alive) else {}
        )
        curves["singular"] = _ranked(logs, f"ln σ of {len(factors)} steps' product, per step")
    return values, curves, notes


def _ranked(values: np.ndarray, name: str) -> Curve:
    """Values by rank from 1; None for −∞."""
    import numpy as np

    return Curve("rank", name, list(range(1, len(values) + 1)), [float(v) if np.isfinite(v) else None for v in values])
