"""Classes of jax libraries: how they are made and called, found by trying, and the cell that they then are.

Each library has its own way to hold parameters; `Made` hides it. A class takes one time step: a state (its *carry*) and
x, in either order, and gives back both the next state and an output, or the state alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench_adapters.classes import (
    DRAWS,
    EQUAL_SIZES,
    HIDDEN,
    NO_GRADIENT,
    ROWS_MIXED,
    Unusable,
    arguments,
    described,
    most_telling,
    sizes_of,
)
from rnnbench_adapters.jax_libraries import CALLS, MAKERS, Made, first_state, given, library_of

if TYPE_CHECKING:
    import numpy as np

B, D, H = 2, 3, 5
"""Sizes to try at: unequal, so that no axis can be taken for another."""


@dataclass(frozen=True)
class Protocol:
    """How a class is made and called.

    library: `linen`, `nnx`, `equinox`, `haiku` or `memax`. sizes: names of the constructor's arguments for D and H, ""
    where it takes no D; none where they are its first two. call: the arguments, with the state packed or spread.
    returns: `s` (the state, whose first part is the output), `s, y` or `y, s`. pair: whether a first state that the
    class does not make itself is two arrays of zeros rather than one. whole: whether it also runs over a whole sequence
    at once.
    """

    library: str
    sizes: tuple[str, ...]
    call: str
    returns: str
    pair: bool = False
    whole: bool = False


def study(cls: type) -> Protocol:
    """How `cls` is made and called. Raises Unusable with one sentence where it cannot be a recurrent cell."""
    import jax

    library = library_of(cls)
    assert library is not None
    reasons = []
    with jax.enable_x64(True):
        for sizes in _sizes(cls, library):
            try:
                made = MAKERS[library](cls, sizes, D, H, {}, 0)
                return _study(made, library, sizes)
            except Unusable as error:
                reasons.append(str(error))
            except Exception as error:
                reasons.append(f"it cannot be made with D = {D} and H = {H}: {described(error)}")
        if not _runs(cls, library, D) and _runs(cls, library, H):
            raise Unusable(EQUAL_SIZES)
    raise Unusable(most_telling(reasons, cls))


def _runs(cls: type, library: str, width: int) -> bool:
    """Whether it can be made for inputs of so many features, and any call with one step runs."""
    import jax

    x = jax.numpy.zeros((B, width))
    for sizes in _sizes(cls, library):
        with suppress(Exception):
            made = MAKERS[library](cls, sizes, width, H, {}, 0)
            for pair, call in itertools.product((False, True), CALLS):
                with suppress(Exception):
                    made.call(made.params, given(call, first_state(made.start, B, H, pair), x))
                    return True
    return False


def _sizes(cls: type, library: str) -> Iterator[tuple[str, ...]]:
    if library == "memax":  # one size, which its maker knows
        yield ()
        return
    if library in ("linen", "haiku"):  # their modules see D in the first input
        names = [name for name in HIDDEN if name in arguments(cls)]
        yield from [("", name) for name in names]
    yield from sizes_of(cls)


def _study(made: Made, library: str, sizes: Sequence[str]) -> Protocol:
    import jax

    x = jax.random.normal(jax.random.key(1), (B, D))
    broken: list[str] = []
    ran = False
    first = f"no call with one step of shape (B, D) = ({B}, {D}) worked"
    for pair, call in itertools.product((False, True), CALLS):
        state = first_state(made.start, B, H, pair)
        try:
            out = made.call(made.params, given(call, state, x))
        except Unusable as error:
            broken.insert(0, str(error))
            continue
        except Exception as error:
            broken.append(f"{first}: {described(error)}")
            continue
        ran = True
        for returns in ("s", "s, y", "y, s") if call.endswith("x") else ("s", "y, s", "s, y"):
            try:
                _check(made, call, returns, state, x, out)
            except _OtherWay:
                continue
            except Unusable as error:
                broken.insert(0, str(error))
                continue
            return Protocol(library, tuple(sizes), call, returns, pair, made.unroll is not None)
    problem = f"no call with one step of shape (B, D) = ({B}, {D}) gave an output of H = {H} features and a state"
    raise Unusable(most_telling([problem, *broken] if ran else [*broken, problem], None))


class _OtherWay(Exception):
    """The call is not the one of the class."""


def _parted(returns: str, out: Any) -> tuple[Any, Any]:
    """(y, state)."""
    import jax

    if returns == "s":
        return jax.tree.leaves(out)[0], out
    try:
        first, second = out
    except (TypeError, ValueError) as error:
        raise _OtherWay from error
    return (second, first) if returns == "s, y" else (first, second)


def _check(made: Made, call: str, returns: str, state: Any, x: Any, out: Any) -> None:
    """Raises _OtherWay where this is not the way, Unusable where no way can be right."""
    import jax
    import numpy as np

    def shapes(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: tuple(leaf.shape), tree)

    y, after = _parted(returns, out)
    if getattr(y, "shape", None) != (B, H) or jax.tree.structure(after) != jax.tree.structure(state):
        raise _OtherWay
    if shapes(after) != shapes(state):
        raise _OtherWay
    again, _ = _parted(returns, made.call(made.params, given(call, state, x)))
    if not np.array_equal(again, y):
        raise Unusable(DRAWS)
    moved, _ = _parted(returns, made.call(made.params, given(call, after, x)))
    if np.allclose(moved, y, 0, 1e-12):
        raise Unusable("its output does not depend on the state it is given, so it is no recurrent cell")
    other, _ = _parted(returns, made.call(made.params, given(call, state, x.at[0].add(1.0))))
    if not np.array_equal(other[1], y[1]):
        raise Unusable(ROWS_MIXED)
    if made.params and not _has_gradient(made, call, returns, after, x):
        raise Unusable(NO_GRADIENT)


def _has_gradient(made: Made, call: str, returns: str, state: Any, x: Any) -> bool:
    """Whether the output moves any parameter."""
    import jax
    import jax.numpy as jnp

    def loss(params: Mapping[str, Any]) -> Any:
        return jnp.sum(_parted(returns, made.call(params, given(call, state, x)))[0] ** 2)

    return any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(jax.grad(loss)(dict(made.params))))


# --- the cell --------------------------------------------------------------------------------------------------------


class JaxClass:
    """A class of a jax library as the functions of a Cell.

    `init` makes an instance from the seed it is given; `step` finds it again by the shapes of the parameters.
    """

    def __init__(self, load: Callable[[], type], protocol: Protocol) -> None:
        self._load, self._protocol = load, protocol
        self._made: dict[Any, tuple[Made, Any, tuple[Any, ...]]] = {}

    def init(self, rng: np.random.Generator, D: int, H: int, **options: Any) -> tuple[dict[str, np.ndarray], Any]:
        """Parameters by their names in the library, float64; the first state without a batch axis."""
        import jax
        import numpy as np

        protocol = self._protocol
        with jax.enable_x64(True):
            seed = int(rng.integers(2**31))
            made = MAKERS[protocol.library](self._load(), protocol.sizes, D, H, options, seed)
            leaves, structure = jax.tree.flatten(first_state(made.start, 1, H, protocol.pair))
            params = {name: np.array(value, np.float64) for name, value in made.params.items()}
            first = tuple(_wide(np.asarray(leaf[0])) for leaf in leaves)
            kinds = tuple(leaf.dtype for leaf in leaves)
        self._made[_key(params)] = made, structure, kinds
        return params, first if len(first) != 1 else first[0]

    def step(self, ops: Any, params: Mapping[str, Any], state: Any, z: Any) -> tuple[Any, Any]:
        """One time step on jax's arrays."""
        del ops
        made, carry = self._entered(params, state)
        y, after = _parted(self._protocol.returns, made.call(params, given(self._protocol.call, carry, z)))
        return _left(after, state), y.astype(z.dtype)

    def unroll(self, params: Mapping[str, Any], state: Any, xs: Any) -> tuple[Any, Any]:
        """A whole sequence on jax's arrays."""
        made, carry = self._entered(params, state)
        assert made.unroll is not None
        after, ys = made.unroll(params, carry, xs)
        return _left(after, state), ys.astype(xs.dtype)

    def _entered(self, params: Mapping[str, Any], state: Any) -> tuple[Made, Any]:
        """(the instance, the state as it takes it): counters and flags are floats outside."""
        import jax
        import jax.numpy as jnp

        made, structure, kinds = self._made[_key(params)]
        leaves = state if isinstance(state, tuple) else (state,)
        own = [
            leaf if jnp.issubdtype(kind, jnp.inexact) else leaf.astype(kind)
            for leaf, kind in zip(leaves, kinds, strict=True)
        ]
        return made, jax.tree.unflatten(structure, own)


def _left(after: Any, state: Any) -> Any:
    """The next state in the form and precision of the one before."""
    import jax

    leaves = state if isinstance(state, tuple) else (state,)
    new = tuple(leaf.astype(old.dtype) for leaf, old in zip(jax.tree.leaves(after), leaves, strict=True))
    return new if isinstance(state, tuple) else new[0]


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype("complex128" if array.dtype.kind == "c" else "float64")


def _key(params: Mapping[str, Any]) -> Any:
    return tuple((name, tuple(value.shape)) for name, value in sorted(params.items()))
