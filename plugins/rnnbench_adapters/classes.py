"""What all libraries' classes have in common: the constructor's arguments, and the sentences about what cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnnbench import Option

INPUTS = ("input_size", "input_dim", "in_features", "in_size", "d_input", "in_dim", "n_inputs", "D")
HIDDEN = (
    "hidden_size", "hidden_dim", "hidden_features", "features", "units", "d_hidden", "state_size", "n_hidden",
    "out_features", "num_units", "output_size", "H",
)  # fmt: skip
"""Names that constructors give to D and H."""
NOT_OPTIONS = {
    "batch_first", "bidirectional", "carry_init", "device", "dtype", "dropout", "layers", "n_layers", "name",
    "num_layers", "param_dtype", "parent", "proj_size", "return_sequences", "return_state",
}  # fmt: skip
"""Arguments that a suite has axes for, or that make another protocol of a class."""


class Unusable(Exception):
    """A class cannot be a recurrent cell, for the reason that the message says in one sentence."""


NO_GRADIENT = "it has no gradient: its output does not reach any of its parameters, as after `.detach()` or rounding"
ROWS_MIXED = "a changed row of the batch moves the outputs of another, so its rows are not independent"
EQUAL_SIZES = "it needs D = H; wrap it in a class with a projection from D"
OVERWRITES = "it writes into the state that it is given, which the gradient still needs; give a new one back"
RANDOM = "it draws random numbers: it gives other outputs for the same inputs when called again, also after `.eval()`"
DRAWS = "it draws random numbers in a step, so that it gives other outputs for the same inputs when called again"
REMEMBERS = (
    "it keeps something between calls: it gives other outputs for the same inputs when called again; give the "
    "state back and take it as an argument"
)


def arguments(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's arguments without `self`, `*args` and `**kwargs`; none where there is no signature."""
    wild = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for function in (cls, cls.__init__):  # a metaclass may hide the signature of the class
        try:
            found = inspect.signature(function).parameters
        except (TypeError, ValueError):
            continue
        named = {name: one for name, one in found.items() if one.kind not in wild and name != "self"}
        if named:
            return named
    return {}


def sizes_of(cls: type) -> Iterator[tuple[str, ...]]:
    """Ways to give D and H to the constructor, likeliest first: two names, or none for its first two arguments."""
    known = arguments(cls)
    d, h = (next((name for name in names if name in known), None) for names in (INPUTS, HIDDEN))
    if d and h:
        yield (d, h)
    yield ()
    if len(known) > 1:
        first, second, *_ = known
        yield (second, first)  # H before D


def construct(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], **more: Any) -> Any:
    """An instance of D inputs and H units."""
    if not sizes:
        return cls(d, h, **options, **more)
    return cls(**dict(zip(sizes, (d, h), strict=True)), **options, **more)


def options_of(cls: type, sizes: Sequence[str]) -> dict[str, Option]:
    """What a suite may set of the constructor: its arguments whose default is a bool, a number or a text."""
    known = arguments(cls)
    taken = {*(sizes or list(known)[:2]), *NOT_OPTIONS}
    return {
        name: parameter.default
        for name, parameter in known.items()
        if name not in taken and type(parameter.default) in (bool, int, float, str)
    }


def described(error: BaseException) -> str:
    """`Type: message` on one line, shortened."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def most_telling(reasons: Sequence[str], cls: type | None) -> str:
    """A law that is broken says more than a call that fails, and a call that fails more than no instance."""
    weights = {"it cannot be made": 2, "no call": 1, ROWS_MIXED: 1}
    weight = {reason: next((w for head, w in weights.items() if reason.startswith(head)), 0) for reason in reasons}
    best = min(reasons, key=lambda reason: weight[reason])
    needed = [name for name, one in arguments(cls).items() if one.default is one.empty] if cls else []
    if weight[best] == 2 and len(needed) == 1 and needed[0] in (*INPUTS, *HIDDEN, "size", "dim"):
        return (
            f"it is made with one size, {needed[0]!r}, so it needs D = H; wrap it in a class with a projection from D"
        )
    if weight[best] == 2 and len(needed) not in (0, 2):
        return f"its constructor needs {', '.join(needed)}; wrap it in a class that is made with D and H alone"
    return best
