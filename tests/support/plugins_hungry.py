"""torch implementations that need known memory or time per step, and one that is killed beyond a length."""

from __future__ import annotations

import os
import signal
import time

from rnnbench import Implementation, hookimpl
from rnnbench.implementation import supports_portable

BYTES_PER_STEP = 2**20
SECONDS_PER_STEP = 2e-3
DEADLY = 100
"""Steps beyond which the process is killed, as the kernel does where memory runs out."""


def _planted(kind: str):
    def build(cell, device, dtype):
        import torch

        from rnnbench_torch import eager

        unroll = eager.build(cell, device, dtype)

        def hungry(params, state, xs):
            T = len(xs)
            if kind == "deadly" and T > DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "slow":
                time.sleep(T * SECONDS_PER_STEP)
            held = torch.ones(T * BYTES_PER_STEP // 4 if kind == "hungry" else 0)
            state, ys = unroll(params, state, xs)
            return state, ys + 0 * held[:1].sum()

        return hungry

    return build


@hookimpl
def rnnbench_implementations():
    return [
        Implementation(kind, "torch", supports=supports_portable, build=_planted(kind))
        for kind in ("hungry", "slow", "deadly")
    ]
