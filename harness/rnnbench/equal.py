"""A class of another library that is, with its weights laid out anew, the same function as a portable cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Equal:
    """The portable cell that a class computes at its default options. The class is then verified against its oracle.

    to: the cell, spelled as in suites: `lstm`, `janet(beta=0.0)`.
    weights(params, empty) -> params
        From the class's parameters (NumPy float64, one layer) those of the cell; `empty` are arrays of their shapes.
    gradients(true, like) -> gradients
        From gradients of the cell's parameters those of the class's; `like` are arrays of their shapes.
    states: for each array of the class's state, which array of the cell's it is.

    Example: a class that keeps its matrix transposed.

        >>> import numpy as np
        >>> from rnnbench import Equal
        >>> turned = lambda arrays, _: {"weight": arrays["kernel"].T}
        >>> back = lambda arrays, _: {"kernel": arrays["weight"].T}
        >>> Equal("mine", turned, back, (0,)).weights({"kernel": np.zeros((2, 3))}, {})["weight"].shape
        (3, 2)
    """

    to: str
    weights: Callable[[Arrays, Arrays], dict[str, Any]]
    gradients: Callable[[Arrays, Arrays], dict[str, Any]]
    states: tuple[int, ...]
