"""What a suite may say under `probes: {convergence: ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.backend import Schedule
from rnnbench.model.bptt import Bptt, segment_of
from rnnbench.probes import generation
from rnnbench.ranges import Count, Index, NotNegative, Positive, Share

if TYPE_CHECKING:
    from rnnbench.cell import Option
    from rnnbench.task import Task


@dataclass(frozen=True)
class ConvergenceSettings:
    """task: spelled `copy(symbols=8)`. optimizer, lr, momentum, weight_decay, clip, schedule, warmup: see
    `rnnbench.backend.Optimizer`; a schedule runs over max_steps.

    max_steps: training steps, the same budget for every cell. eval_every: steps between evaluations. eval_size:
    sequences of an evaluation: of the validation split, of the training data, and, where the task has no splits of a
    fixed size, of the test; a split that has fewer is evaluated whole, and the test split always.

    stop_when_solved: stop at the first evaluation that reaches the task's target. patience: stop after so many
    evaluations in a row without a lower validation loss; null for never.

    micro_batches: parts of a batch whose gradients are averaged before one step (`rnnbench.model.micro_batches`); must
    divide the batch size. recurrent_dropout: p of DropConnect on hidden-to-hidden weights
    (`rnnbench.backend.ProgramSpec`); dropout between layers is an axis of the grid. embedding: features of a learnt
    table between the inputs and the first layer; null for none. bptt, segment: how gradients go back through time
    (`rnnbench.model.bptt`), and the time steps of a segment.

    test_seq_lens: lengths at which the trained model is tested, beside the one it was trained at. prompt: text that the
    trained model goes on from for sample_length characters, on tasks over text (`rnnbench.probes.generation`); null for
    no text. temperature: what its outputs are divided by before the softmax that characters are drawn from; 0 takes the
    likeliest.

    replicate: which of the independent repetitions (weights and data order) this is; suites write `seeds: 3`.
    """

    task: str
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw"] = "adam"
    lr: Positive = 1e-3
    momentum: Share = 0.9
    weight_decay: NotNegative = 0.0
    clip: Positive | None = 1.0
    schedule: Schedule = "constant"
    warmup: Index = 0
    max_steps: Count = 1000
    eval_every: Count = 50
    eval_size: Count = 256
    stop_when_solved: bool = True
    patience: Count | None = None
    micro_batches: Count = 1
    recurrent_dropout: Share = 0.0
    embedding: Count | None = None
    test_seq_lens: tuple[Count, ...] = ()
    prompt: str | None = None
    temperature: NotNegative = 0.8
    sample_length: Count = 200
    replicate: Index = 0
    bptt: Bptt = "full"
    segment: Count | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", segment_of(self.bptt, self.segment))
        if self.warmup >= self.max_steps:
            raise ValueError(f"warmup {self.warmup} must be below max_steps {self.max_steps}")


def check(settings: Mapping[str, Any], task: Task, options: Mapping[str, Option]) -> str | None:
    """Why these settings do not go with the task, or None."""
    problem = generation.check(settings, task, options)
    if problem is not None:
        return problem
    for length in settings["test_seq_lens"]:
        problem = task.check(length, **options)
        if problem is not None:
            return f"test_seq_lens: {task.name} cannot be tested on {length} time steps: {problem}"
    return None
