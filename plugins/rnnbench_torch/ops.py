"""The array namespace over torch."""

from __future__ import annotations

from functools import cache
from typing import Any

from rnnbench import Ops

LINEAR_ABOVE = 40.0
"""torch's softplus returns x itself above a threshold; its default of 20 is off by 2e-9, this one by 4e-18."""


@cache
def torch_ops() -> Ops:
    """`ops` over torch: array-api-compat with the activations of torch.nn.functional."""
    import array_api_compat.torch as xp
    import torch
    from torch.nn import functional

    def softplus(x: Any) -> Any:
        return functional.softplus(x, threshold=LINEAR_ABOVE)

    def logsumexp(x: Any, axis: int) -> Any:
        return torch.logsumexp(x, dim=axis)

    return Ops(
        xp,
        sigmoid=torch.sigmoid,
        logsigmoid=functional.logsigmoid,
        softplus=softplus,
        silu=functional.silu,
        relu=torch.relu,
        logsumexp=logsumexp,
    )
