"""What a suite may say under `probes: {gradient: ...}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from rnnbench.ranges import Count, NotNegative, Positive, Share

Moment = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class GradientSettings:
    """lyapunov: exponents to compute, −1 for the full spectrum, 0 for none; the cost grows with the cube of the number
    of state entries. trajectories: sequences of the batch along which they are computed. draws: independent draws of
    weights and data; quantiles and intervals are over all of them.

    at: when to measure: at initialisation, after half of the training steps, after all. task: what to train on, spelled
    `adding`; it also provides the inputs, which are standard normal without one. steps: training steps, with
    optimizer, lr, momentum, weight_decay, clip as in `rnnbench.backend.Optimizer`.
    """

    lyapunov: Annotated[int, Ge(-1)] = 0
    trajectories: Count = 1
    draws: Count = 1
    at: tuple[Moment, ...] = ("start",)
    task: str | None = None
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw"] = "adam"
    lr: Positive = 1e-3
    momentum: Share = 0.9
    weight_decay: NotNegative = 0.0
    clip: Positive | None = None
    steps: Annotated[int, Ge(2)] = 200

    def __post_init__(self) -> None:
        if self.lyapunov < -1:
            raise ValueError("`lyapunov` is a number of exponents, -1 for all of them, 0 for none")
        if min(self.trajectories, self.draws) < 1 or self.steps < 2:
            raise ValueError("`trajectories` and `draws` must be at least 1, `steps` at least 2")
        if not self.at or len(set(self.at)) < len(self.at):
            raise ValueError("`at` needs at least one of start, middle, end, each at most once")
        if self.trained and self.task is None:
            raise ValueError("measuring at the middle or end of training needs a `task`, for instance adding")
        if self.lr <= 0 or (self.clip is not None and self.clip <= 0):
            raise ValueError("`lr` and `clip` must be positive; clip: null switches clipping off")

    @property
    def trained(self) -> bool:
        """Whether any training is asked for."""
        return self.at != ("start",)
