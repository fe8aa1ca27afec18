"""The array namespace that cells, losses and metrics are written in.

`ops` is the Python array-API namespace (https://data-apis.org/array-api) of a framework plus the activations below.
NumPy and JAX speak it natively, torch through array-api-compat. With the NumPy namespace and float64 arrays a cell is
its own oracle; each backend plugin builds the same namespace over its framework.
"""

from __future__ import annotations

from typing import Any

ACTIVATIONS = ("sigmoid", "logsigmoid", "softplus", "silu", "relu", "logsumexp")
"""What every `ops` has beyond the array API. `logsumexp(x, axis)`; the others are elementwise."""

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
"""Spacing of numbers above 1, by dtype."""


class Ops:
    """An array-API module with the activations added; attribute access goes to the activations, then to the module.

    Args:
        module: An array namespace: `numpy`, `jax.numpy`, `array_api_compat.torch`, ...
        **activations: A function for each of `ACTIVATIONS`; `logsumexp(x, axis)`, the others elementwise.

    Raises:
        TypeError: An activation is missing.

    Example:
        >>> from rnnbench import numpy_ops
        >>> ops = numpy_ops()  # an `Ops` over NumPy
        >>> float(ops.relu(ops.asarray(-1.0))), float(ops.exp(0.0))
        (0.0, 1.0)
    """

    def __init__(self, module: Any, **activations: Any) -> None:
        missing = sorted(set(ACTIVATIONS) - set(activations))
        if missing:
            raise TypeError(f"ops over {module.__name__} lacks {', '.join(missing)}")
        self._module = module
        self.__dict__.update(activations)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def numpy_ops() -> Ops:
    """`ops` over NumPy: the oracle's arithmetic, stable for large arguments.

    softplus(x) = max(x, 0) + ln(1 + exp(−|x|)) and sigmoid(x) = exp(−softplus(−x)), so that nothing overflows.

    Returns:
        NumPy with the activations.

    Example:
        >>> import numpy as np
        >>> from rnnbench import numpy_ops
        >>> numpy_ops().sigmoid(np.array([-1000.0, 0.0, 1000.0])).round(12).tolist()
        [0.0, 0.5, 1.0]
    """
    import numpy as np

    def softplus(x: Any) -> Any:
        # max(x, 0) + ln(1 + exp(-|x|)): exp never overflows, and unlike logaddexp NaN passes without a warning.
        return np.maximum(x, np.zeros_like(x)) + np.log1p(np.exp(-np.abs(x)))

    def sigmoid(x: Any) -> Any:
        return np.exp(-softplus(-x))

    def logsumexp(x: Any, axis: int) -> Any:
        return np.logaddexp.reduce(x, axis=axis)

    return Ops(
        np,
        sigmoid=sigmoid,
        logsigmoid=lambda x: -softplus(-x),
        softplus=softplus,
        silu=lambda x: x * sigmoid(x),
        relu=lambda x: np.maximum(x, np.zeros_like(x)),
        logsumexp=logsumexp,
    )
