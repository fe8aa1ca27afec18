"""Does the cell learn a task, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rnnbench.backend import Batch, Program
from rnnbench.clock import SYSTEM
from rnnbench.context import Context
from rnnbench.errors import Diverged
from rnnbench.probe import Probe
from rnnbench.probes import training
from rnnbench.quantity import Curve, Measurement, Quantity, Value
from rnnbench.segments import Bptt, settled
from rnnbench.task import Task

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ConvergenceSettings:
    """task: spelled `copy(symbols=8)`. optimizer, lr, momentum, weight_decay, clip: see `rnnbench.backend.Optimizer`.

    max_steps: training steps, the same budget for every cell. eval_every: steps between evaluations. eval_size:
    sequences of the validation set that are drawn. stop_when_solved: stop at the first evaluation that reaches the
    task's target. replicate: which of the independent repetitions (weights and data order) this is; suites write
    `seeds: 3`. bptt, segment: how gradients go back through time (`rnnbench.segments`), and the time steps of a
    segment.
    """

    task: str
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw"] = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = 1.0
    max_steps: int = 1000
    eval_every: int = 50
    eval_size: int = 256
    stop_when_solved: bool = True
    replicate: int = 0
    bptt: Bptt = "full"
    segment: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", settled(self.bptt, self.segment))


@dataclass
class _Course:
    """How far training has come."""

    steps: int = 0
    seconds: float = 0.0
    train: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    metric: float | None = None
    solved_at: tuple[int, float] | None = None


def measure(context: Context) -> Measurement:
    """Train with evaluations in between; the clock runs during training steps only."""
    task, options, settings = training.task_of(context), context.task_options or {}, context.settings
    program = _program(context, task)
    course = _Course()
    target = task.solved(context.case.seq_len, **options)
    count = max(1, round(settings.eval_size / context.case.batch_size))
    validation = [program.put(batch) for batch in training.validation_batches(context, count)]
    batches = training.training_batches(context, settings.replicate)
    _evaluate(program, validation, course, target)
    while course.steps < settings.max_steps:
        count = min(settings.eval_every, settings.max_steps - course.steps)
        _train(program, [program.put(next(batches)) for _ in range(count)], course)
        _evaluate(program, validation, course, target)
        if course.solved_at and settings.stop_when_solved:
            break
    return _measurement(context, task, course, program)


def _program(context: Context, task: Task) -> Program:
    weights = context.weights("replicate", context.settings.replicate)
    optimizer = training.optimizer(context.settings)
    return context.program(weights, loss=task.loss, metric=task.metric, optimizer=optimizer)


def _train(program: Program, chunk: list[Batch], course: _Course) -> None:
    """Train on a chunk. The very first step compiles: its time is taken to be that of the others of its chunk."""
    import numpy as np

    first = [] if course.steps else [program.get(program.train_steps(chunk[:1]))]
    rest = chunk[len(first) :]
    program.synchronize()
    started = SYSTEM.now()
    losses = [program.get(program.train_steps(rest))] if rest else []
    seconds = SYSTEM.now() - started
    course.seconds += seconds * len(chunk) / max(1, len(rest))
    _note_losses(course, np.concatenate([*first, *losses]))


def _note_losses(course: _Course, losses: np.ndarray) -> None:
    """Append the losses of a chunk, or raise Diverged at the first one that is not finite."""
    import numpy as np

    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        step = course.steps + int(bad[0]) + 1
        raise Diverged(f"the training loss became {losses[bad[0]]} at step {step}; lower lr or set clip")
    stride = max(1, len(losses) // 10)
    for start in range(0, len(losses), stride):
        course.train.append((course.steps + start + 1, float(losses[start : start + stride].mean())))
    course.steps += len(losses)


def _evaluate(program: Program, validation: list[Batch], course: _Course, target: float) -> None:
    """Mean validation loss and metric; notes when the target is first reached."""
    results = [program.evaluate(batch) for batch in validation]
    loss = sum(result["loss"] for result in results) / len(results)
    if loss != loss or loss in (float("inf"), float("-inf")):
        raise Diverged(f"the validation loss became {loss} at step {course.steps}; lower lr or set clip")
    course.validation.append((course.steps, loss))
    if "metric" in results[0]:
        course.metric = sum(result["metric"] for result in results) / len(results)
    if loss <= target and course.solved_at is None:
        course.solved_at = (course.steps, course.seconds)


def _measurement(context: Context, task: Task, course: _Course, program: Program) -> Measurement:
    losses = [loss for _, loss in course.validation]
    options = context.task_options or {}
    chance, target = task.chance(context.case.seq_len, **options), task.solved(context.case.seq_len, **options)
    steps, seconds = course.solved_at or (course.steps, course.seconds)
    bound = None if course.solved_at else "lower"
    values = {
        "steps_to_target": Value(steps, bound=bound),
        "seconds_to_target": Value(seconds, bound=bound),
        "final_validation_loss": Value(losses[-1]),
        "best_validation_loss": Value(min(losses)),
        "loss_over_chance": Value(min(losses) / chance),
        "seconds_per_training_step": Value(course.seconds / course.steps),
    }
    if course.metric is not None:
        values["final_validation_metric"] = Value(course.metric)
    curves = {
        "train_loss": Curve("step", "loss", *zip(*course.train, strict=True)),
        "validation_loss": Curve("step", "loss", *zip(*course.validation, strict=True)),
    }
    details = {"chance": chance, "target": target, "metric": task.metric_name, "parameters": _count(program)}
    return Measurement(values, curves, details=details | {"settings": program.settings()})


def _count(program: Program) -> int:
    return sum(array.size for array in program.parameters().values())


CONVERGENCE = Probe(
    name="convergence",
    version=1,
    settings=ConvergenceSettings,
    quantities=(
        Quantity("steps_to_target", "step", "lower", "Training steps to the first evaluation at or below the target."),
        Quantity(
            "seconds_to_target", "s", "lower", "Seconds of training steps (evaluation and data excluded) to target."
        ),
        Quantity("final_validation_loss", "1", "lower", "Validation loss after the last training step."),
        Quantity("best_validation_loss", "1", "lower", "Lowest validation loss of any evaluation."),
        Quantity("loss_over_chance", "1", "lower", "Best validation loss over the loss of a predictor without memory."),
        Quantity(
            "final_validation_metric", "1", "higher", "The task's metric (its accuracy, say) after the last step."
        ),
        Quantity("seconds_per_training_step", "s", "lower", "Mean time of a training step on this task."),
    ),
    measure=measure,
    uses_task=True,
    doc="training on a task: steps and seconds to target, validation loss, learning curves",
)
