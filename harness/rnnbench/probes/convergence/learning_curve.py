"""The learning curve: losses over the steps of training, and how long they took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rnnbench.errors import Diverged
from rnnbench.measure.clock import SYSTEM

if TYPE_CHECKING:
    import numpy as np

    from rnnbench.backend import Batch, Program
    from rnnbench.probes.convergence.sample import Sample
    from rnnbench.probes.convergence.settings import ConvergenceSettings

Stopped = Literal["solved", "patience", "budget"]
POINTS = 10
"""Points of the curve of the training loss between two evaluations."""


@dataclass(frozen=True)
class Evaluation:
    """Losses in evaluation mode after so many steps: of the validation split, and of training data."""

    step: int
    validation: float
    train: float
    metric: float | None

    @property
    def gap(self) -> float:
        """What the model knows of its training data and not of others."""
        return self.validation - self.train


@dataclass
class LearningCurve:
    """Losses so far.

    target: validation loss that counts as solved. steps: taken. first_step: seconds of the first one, which compiles.
    clocked: seconds of all others. solved_at: steps and clocked seconds when the target was first reached.
    """

    target: float
    steps: int = 0
    first_step: float = 0.0
    clocked: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    solved_at: tuple[int, float] | None = None

    @property
    def last(self) -> Evaluation:
        """After the last step."""
        return self.evaluations[-1]

    @property
    def best(self) -> Evaluation:
        """The first with the lowest validation loss."""
        return min(self.evaluations, key=lambda one: one.validation)

    def seconds(self, steps: int, clocked: float) -> float:
        """What `steps` steps take without compilation, of which all but the first took `clocked` seconds.

        The first one is taken to be as long as the others are on average; alone, it is what it took.
        """
        if not steps:
            return 0.0
        return clocked + (self.clocked / (self.steps - 1) if self.steps > 1 else self.first_step)

    def train(self, program: Program, chunk: list[Batch]) -> None:
        """Take the steps of a chunk."""
        import numpy as np

        first = []
        if not self.steps:
            started = SYSTEM.now()
            first = [program.get(program.train_steps(chunk[:1]))]
            self.first_step = SYSTEM.now() - started
        rest = chunk[len(first) :]
        program.synchronize()
        started = SYSTEM.now()
        losses = [program.get(program.train_steps(rest))] if rest else []
        self.clocked += SYSTEM.now() - started if rest else 0.0
        self._note(np.concatenate([*first, *losses]))

    def _note(self, losses: np.ndarray) -> None:
        """Append the losses of a chunk, or raise Diverged at the first one that is not finite."""
        import numpy as np

        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            step = self.steps + int(bad[0]) + 1
            raise Diverged(f"the training loss became {losses[bad[0]]} at step {step}; lower lr or set clip")
        stride = max(1, len(losses) // POINTS)
        for start in range(0, len(losses), stride):
            self.losses.append((self.steps + start + 1, float(losses[start : start + stride].mean())))
        self.steps += len(losses)

    def evaluate(self, program: Program, validation: Sample, train: Sample) -> None:
        """Look at both samples; notes when the target is first reached."""
        found = validation.evaluate(program)
        loss = found["loss"]
        if not math.isfinite(loss):
            raise Diverged(f"the validation loss became {loss} at step {self.steps}; lower lr or set clip")
        known = train.evaluate(program)["loss"]
        self.evaluations.append(Evaluation(self.steps, loss, known, found.get("metric")))
        if loss <= self.target and self.solved_at is None:
            self.solved_at = (self.steps, self.clocked)

    def stopped(self, settings: ConvergenceSettings) -> Stopped | None:
        """Why there is nothing left to do, None where there is."""
        if self.solved_at and settings.stop_when_solved and self.steps:
            return "solved"
        if self.steps >= settings.max_steps:
            return "budget"
        waited = len(self.evaluations) - 1 - self.evaluations.index(self.best)
        return "patience" if settings.patience is not None and waited >= settings.patience else None
