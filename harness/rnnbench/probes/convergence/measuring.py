"""Train with evaluations in between, then test what has been learnt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.errors import CaseError, Skipped
from rnnbench.measure.clock import SYSTEM
from rnnbench.measurement import Measurement
from rnnbench.probes import generation, recheck, training
from rnnbench.probes.convergence.learning_curve import LearningCurve
from rnnbench.probes.convergence.sample import Sample, draw
from rnnbench.quantity import Curve, Value
from rnnbench.task import Task


@dataclass
class _Findings:
    """What there is to say, as it comes in; seconds: what they went into."""

    values: dict[str, Value] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def measure(context: Context) -> Measurement:
    """Train with evaluations in between; the clock runs during training steps only."""
    _check(context)
    found = _Findings()
    started = SYSTEM.now()
    program = _program(context)
    found.seconds["build"] = SYSTEM.now() - started
    curve = _trained(context, program, found)
    recheck.check(context, program, "forward", None)
    _report(context, curve, found)
    started = SYSTEM.now()
    _test(context, program, found)
    found.seconds["test"] = SYSTEM.now() - started
    started = SYSTEM.now()
    _write(context, program, found)
    found.seconds["write"] = SYSTEM.now() - started
    counts = {"parameters": sum(array.size for array in program.parameters().values())}
    found.details |= counts | {"settings": program.settings(), "seconds": found.seconds}
    return Measurement(found.values, found.curves, found.notes, found.details)


def _check(context: Context) -> None:
    """Raise Skipped or CaseError for what the settings and the case cannot be together."""
    settings, case = context.settings, context.case
    if settings.recurrent_dropout and not context.cell.recurrent:
        raise Skipped(
            f"cell {context.cell.name!r} has no recurrent matrix whose entries could be dropped "
            f"(`Cell.recurrent`); leave recurrent_dropout at 0 for it"
        )
    if case.batch_size % settings.micro_batches:
        raise CaseError(f"micro_batches {settings.micro_batches} must divide the batch size {case.batch_size}")


def _program(context: Context) -> Program:
    task, settings = training.task_of(context), context.settings
    optimizer = replace(
        training.optimizer(settings),
        schedule=settings.schedule,
        warmup=settings.warmup,
        max_steps=settings.max_steps,
    )
    weights = context.weights("replicate", settings.replicate)
    return context.program(weights, loss=task.loss, metric=task.metric, optimizer=optimizer)


def _trained(context: Context, program: Program, found: _Findings) -> LearningCurve:
    """The whole curve of training. The first evaluation and the first step compile; they are no part of the share."""
    settings, task = context.settings, training.task_of(context)
    started = SYSTEM.now()
    samples = [draw(context, program, split, settings.eval_size) for split in ("validation", "train")]
    curve = LearningCurve(task.solved(context.case.seq_len, **(context.task_options or {})))
    batches = training.training_batches(context, settings.replicate)
    curve.evaluate(program, *samples)
    begun = SYSTEM.now()
    data = 0.0
    while curve.stopped(settings) is None:
        count = min(settings.eval_every, settings.max_steps - curve.steps)
        drawing = SYSTEM.now()
        chunk = program.put_all(list(islice(batches, count)))
        data += SYSTEM.now() - drawing
        curve.train(program, chunk)
        curve.evaluate(program, *samples)
    whole = SYSTEM.now() - begun - curve.first_step
    found.seconds |= {"first_calls": begun - started + curve.first_step, "data": data, "train": curve.clocked}
    found.seconds["evaluate"] = whole - data - curve.clocked
    if curve.clocked:
        found.values["train_share"] = Value(curve.clocked / whole)
    found.notes += [note for note in map(Sample.note, samples) if note]
    found.details["evaluated"] = {sample.split: sample.size for sample in samples}
    found.details["available"] = {sample.split: sample.available for sample in samples}
    return curve


def _report(context: Context, curve: LearningCurve, found: _Findings) -> None:
    """What the curve says: how soon the target, how low the losses, and why it ended."""
    task, case, options = training.task_of(context), context.case, context.task_options or {}
    chance = task.chance(case.seq_len, **options)
    steps, clocked = curve.solved_at or (curve.steps, curve.clocked)
    bound = None if curve.solved_at else "lower"
    last, best, tokens = curve.last, curve.best, case.seq_len * case.batch_size
    found.values |= {
        "steps_to_target": Value(steps, bound=bound),
        "tokens_to_target": Value(steps * tokens, bound=bound),
        "seconds_to_target": Value(curve.seconds(steps, clocked), bound=bound),
        "final_validation_loss": Value(last.validation),
        "best_validation_loss": Value(best.validation),
        "loss_over_chance": Value(best.validation / chance),
        "generalisation_gap": Value(last.gap),
        "gap_at_best": Value(best.gap),
        "seconds_per_training_step": Value(curve.seconds(curve.steps, curve.clocked) / curve.steps),
    }
    if last.metric is not None:
        _keep_metric("final_validation_metric", last.metric, task, found)
    found.curves |= _curves(curve)
    found.details |= {"chance": chance, "target": curve.target, "metric": task.metric_name}
    found.details |= {"stopped": curve.stopped(context.settings), "best_step": best.step}
    found.details["budget"] = {
        "max_steps": context.settings.max_steps,
        "steps": curve.steps,
        "sequences": curve.steps * case.batch_size,
        "tokens": curve.steps * tokens,
    }


def _keep_metric(name: str, metric: float, task: Task, found: _Findings) -> None:
    """Keep a metric, or say that it has no value here, where the loss has one."""
    if math.isfinite(metric):
        found.values[name] = Value(metric)
        return
    found.notes.append(
        f"{name.replace('_', ' ')}: {task.metric_name or 'the metric'} is {metric} and was left out; for these targets "
        f"it may be undefined, as R² is for equal ones"
    )


def _points(metrics: Iterable[float | None]) -> list[float | None]:
    """Metrics for a curve, None for those without a value."""
    return [metric if metric is not None and math.isfinite(metric) else None for metric in metrics]


def _curves(curve: LearningCurve) -> dict[str, Curve]:
    steps = [one.step for one in curve.evaluations]
    curves = {
        "train_loss": Curve("step", "loss", *zip(*curve.losses, strict=True)),
        "validation_loss": Curve("step", "loss", steps, [one.validation for one in curve.evaluations]),
        "evaluated_train_loss": Curve("step", "loss", steps, [one.train for one in curve.evaluations]),
    }
    if curve.last.metric is not None:
        metrics = _points(one.metric for one in curve.evaluations)
        curves["validation_metric"] = Curve("step", "metric", steps, metrics)
    return curves


def _write(context: Context, program: Program, found: _Findings) -> None:
    """Of a task over text: bits per character of the test split, and what the model writes after the prompt."""
    if training.task_of(context).encode is None:
        return
    found.values["bits_per_character"] = Value(found.values["test_loss"].value / math.log(2))
    if context.settings.prompt is not None:
        written = generation.sample(context, program)
        found.values |= {name: written.value(name) for name in written.values}
        found.details |= written.details


def _test(context: Context, program: Program, found: _Findings) -> None:
    """The final weights on the test split, at the training length and at `test_seq_lens`."""
    settings, own = context.settings, context.case.seq_len
    sample = draw(context, program, "test", None)
    tested = {own: sample.evaluate(program)}
    found.details["evaluated"] |= {"test": sample.size}
    _keep_test("test", tested[own], context, found)
    if not settings.test_seq_lens:
        return
    for length in sorted({own, *settings.test_seq_lens} - {own}):
        tested[length] = draw(context, program, "test", None, length).evaluate(program)
    _keep_test("longest_test", tested[max(settings.test_seq_lens)], context, found)
    lengths = sorted(tested)
    for name in tested[own]:
        values = [tested[length][name] for length in lengths]
        found.curves[f"test_{name}"] = Curve("T", name, lengths, _points(values) if name == "metric" else values)


def _keep_test(prefix: str, tested: Mapping[str, float], context: Context, found: _Findings) -> None:
    """Loss, and metric where it has a value, of the final weights on a test split."""
    found.values[f"{prefix}_loss"] = Value(tested["loss"])
    if "metric" in tested:
        _keep_metric(f"{prefix}_metric", tested["metric"], training.task_of(context), found)
