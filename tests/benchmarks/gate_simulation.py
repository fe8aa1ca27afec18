"""A simulated machine for the gate's proof: every process is one reading of a clock that drifts, jumps and stumbles.

The logarithm of what a process reads at time t (in processes; one takes about a second) is the sum of

- a wander: Ornstein-Uhlenbeck, standard deviation `wander`, forgotten over `memory` processes,
- a level: one of two clock rates `jump` apart, each kept for 300 processes on average,
- bursts: other work on the machine, arriving once in 100 processes, 5 processes long, 10 to 50 % slower, as a whole
  or in part (each process of a burst is hit with probability ½),
- the process's own spread: Student's t with 5 degrees of freedom, scaled to `between`.

The processes of a pair are read one after the other, as the gate does only where they cannot take turns; in turns, both
would see the same clock, and nothing but their own spread would be left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Machine:
    name: str
    between: float
    wander: float
    memory: float = 120.0
    jump: float = 0.05
    burst_rate: float = 0.01

    def clock(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """What all processes share: log slow-down at each of `length` times."""
        keep = np.exp(-1 / self.memory)
        steps = rng.normal(0, self.wander * np.sqrt(1 - keep**2), length)
        steps[0] = rng.normal(0, self.wander)
        wander = np.empty(length)
        level = 0.0
        for t, step in enumerate(steps):  # an AR(1) recurrence
            level = keep * level + step
            wander[t] = level
        state = (np.cumsum(rng.random(length) < 1 / 300) + rng.integers(2)) % 2
        busy = np.zeros(length)
        for start in np.flatnonzero(rng.random(length) < self.burst_rate):
            busy[start : start + 5] = np.log(rng.uniform(1.1, 1.5))
        return wander + self.jump * state + busy * (rng.random(length) < 0.5)

    def gate(self, rng: np.random.Generator, pairs: int, effects: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms (rows, pairs) of base and head, in the gate's order: in rounds over the rows, ABBA."""
        rows = len(effects)
        clock = self.clock(rng, pairs * rows * 2).reshape(pairs, rows, 2)
        own = rng.standard_t(5, clock.shape) * self.between / np.sqrt(5 / 3)
        logs = clock + own
        swap = (
            np.arange(pairs)[:, None] + np.repeat(rng.integers(2, size=(-(-pairs // 2), rows)), 2, axis=0)[:pairs]
        ) % 2
        base = np.where(swap, logs[..., 1], logs[..., 0])
        head = np.where(swap, logs[..., 0], logs[..., 1]) + np.log1p(effects)
        return base.T, head.T


MACHINES = (
    Machine("quiet", between=0.01, wander=0.01),
    Machine("desktop", between=0.02, wander=0.04),
    Machine("shared", between=0.035, wander=0.08, burst_rate=0.03),
)
