"""Classes of jax libraries: how they are made and called, found by trying, and the cell that they then are.

Each library has its own way to hold parameters; `Made` hides it. A class takes one time step: a state (its *carry*) and
x, in either order, and gives back both the next state and an output, or the state alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench_adapters.classes import HIDDEN, Unusable, arguments, construct, described, most_telling, sizes_of

if TYPE_CHECKING:
    import numpy as np

B, D, H = 2, 3, 5
"""Sizes to try at: unequal, so that no axis can be taken for another."""
CALLS = ("s, x", "x, s", "*s, x", "x, *s")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Protocol:
    """How a class is made and called.

    library: `linen`, `nnx` or `equinox`. sizes: names of the constructor's arguments for D and H, "" where it takes no
    D; none where they are its first two. call: the arguments, with the state packed or spread. returns: `s` (the state,
    whose first part is the output), `s, y` or `y, s`. pair: whether a first state that the class does not make itself
    is two arrays of zeros rather than one.
    """

    library: str
    sizes: tuple[str, ...]
    call: str
    returns: str
    pair: bool = False


@dataclass(frozen=True)
class Made:
    """An instance taken apart: its parameters by name, a function of them, and its first state, if it makes one.

    call(params, arguments) -> what the instance gives for them, on batches. start(batch) -> state, or None.
    """

    params: Mapping[str, Any]
    call: Callable[[Mapping[str, Any], Sequence[Any]], Any]
    start: Callable[[int], Any] | None = None


def library_of(cls: Any) -> str | None:
    """`linen`, `nnx` or `equinox` for a class of one of them."""
    modules = [base.__module__ for base in getattr(cls, "__mro__", ())]
    for library, head in (("linen", "flax.linen"), ("nnx", "flax.nnx"), ("equinox", "equinox")):
        if any(module == head or module.startswith(f"{head}.") for module in modules):
            return library
    return None


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
    raise Unusable(most_telling(reasons, cls))


def _sizes(cls: type, library: str) -> Iterator[tuple[str, ...]]:
    if library == "linen":  # its modules see D in the first input
        names = [name for name in HIDDEN if name in arguments(cls)]
        yield from [("", name) for name in names]
    yield from sizes_of(cls)


def _study(made: Made, library: str, sizes: Sequence[str]) -> Protocol:
    import jax

    x = jax.random.normal(jax.random.key(1), (B, D))
    broken: list[str] = []
    first = f"no call with one step of shape (B, D) = ({B}, {D}) worked"
    for pair, call in itertools.product((False, True), CALLS):
        state = _start(made, B, H, pair)
        try:
            out = made.call(made.params, _arguments(call, state, x))
        except Exception as error:
            broken.append(f"{first}: {described(error)}")
            continue
        for returns in ("s", "s, y", "y, s") if call.endswith("x") else ("s", "y, s", "s, y"):
            try:
                _check(made, call, returns, state, x, out)
            except _OtherWay:
                continue
            except Unusable as error:
                broken.insert(0, str(error))
                continue
            return Protocol(library, tuple(sizes), call, returns, pair)
    problem = f"no call with one step of shape (B, D) = ({B}, {D}) gave an output of H = {H} features and a state"
    raise Unusable(most_telling([*broken, problem], None))


class _OtherWay(Exception):
    """The call is not the one of the class."""


def _start(made: Made, batch: int, h: int, pair: bool) -> Any:
    import jax.numpy as jnp

    if made.start is not None:
        return made.start(batch)
    return (jnp.zeros((batch, h)), jnp.zeros((batch, h))) if pair else jnp.zeros((batch, h))


def _arguments(call: str, state: Any, x: Any) -> tuple[Any, ...]:
    parts = tuple(state) if "*" in call and isinstance(state, tuple | list) else (state,)
    return (*parts, x) if call.endswith("x") else (x, *parts)


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
    again, _ = _parted(returns, made.call(made.params, _arguments(call, state, x)))
    if not np.array_equal(again, y):
        raise Unusable("it gives other outputs for the same inputs when called again: it draws random numbers")
    moved, _ = _parted(returns, made.call(made.params, _arguments(call, after, x)))
    if np.allclose(moved, y, 0, 1e-12):
        raise Unusable("its output does not depend on the state it is given, so it is no recurrent cell")


# --- one way to take an instance apart for each library --------------------------------------------------------------


def _linen(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict

    named = dict(zip(sizes, (d, h), strict=True)) if sizes else {}
    module = cls(**{key: value for key, value in named.items() if key}, **options) if named else cls(d, h, **options)
    key = jax.random.key(seed)
    x = jax.numpy.zeros((B, d))
    maker = getattr(module, "initialize_carry", None)
    start = None if maker is None else lambda batch: maker(key, (batch, d))
    variables, problem = None, None
    for pair, order in itertools.product((False, True), CALLS):
        try:
            state = _start(Made({}, lambda *_: None, start), B, h, pair)
            variables = module.init(key, *_arguments(order, state, x))
            break
        except Exception as error:
            problem = problem or error
    if variables is None:
        assert problem is not None
        raise problem
    others = {name: value for name, value in variables.items() if name != "params"}
    params = {".".join(path): value for path, value in flatten_dict(variables.get("params", {})).items()}

    def call(params: Mapping[str, Any], given: Sequence[Any]) -> Any:
        nested = unflatten_dict({tuple(name.split(".")): value for name, value in params.items()})
        return module.apply({"params": nested, **others}, *given)

    return Made(params, call, start)


def _equinox(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    import equinox
    import jax

    more = {"key": jax.random.key(seed)} if "key" in arguments(cls) else {}
    module = construct(cls, sizes, d, h, options, **more)
    trained, static = equinox.partition(module, equinox.is_inexact_array)
    found, structure = jax.tree_util.tree_flatten_with_path(trained)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in found]

    def call(params: Mapping[str, Any], given: Sequence[Any]) -> Any:
        built = equinox.combine(jax.tree.unflatten(structure, [params[name] for name in names]), static)
        return jax.vmap(lambda *row: built(*row))(*given)

    return Made(dict(zip(names, (value for _, value in found), strict=True)), call)


def _nnx(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    from flax import nnx

    rngs = nnx.Rngs(seed)
    module = construct(cls, sizes, d, h, options, **({"rngs": rngs} if "rngs" in arguments(cls) else {}))
    graph, trained, rest = nnx.split(module, nnx.Param, ...)
    flat = dict(nnx.to_flat_state(trained))
    paths = {".".join(map(str, path)): path for path in flat}

    def call(params: Mapping[str, Any], given: Sequence[Any]) -> Any:
        state = nnx.from_flat_state([(path, flat[path].replace(params[name])) for name, path in paths.items()])
        return nnx.merge(graph, state, rest)(*given)

    maker = getattr(module, "initialize_carry", None)
    start = None if maker is None else lambda batch: maker((batch, d), nnx.Rngs(seed))
    return Made({name: flat[path][...] for name, path in paths.items()}, call, start)


MAKERS: dict[str, Callable[..., Made]] = {"linen": _linen, "equinox": _equinox, "nnx": _nnx}


# --- the cell --------------------------------------------------------------------------------------------------------


class JaxClass:
    """A class of a jax library as the functions of a Cell.

    `init` makes an instance from the seed it is given; `step` finds it again by the shapes of the parameters.
    """

    def __init__(self, load: Callable[[], type], protocol: Protocol) -> None:
        self._load, self._protocol = load, protocol
        self._made: dict[Any, tuple[Made, Any]] = {}

    def init(self, rng: np.random.Generator, D: int, H: int, **options: Any) -> tuple[dict[str, np.ndarray], Any]:
        """Parameters by their names in the library, float64; the first state without a batch axis."""
        import jax
        import numpy as np

        protocol = self._protocol
        with jax.enable_x64(True):
            seed = int(rng.integers(2**31))
            made = MAKERS[protocol.library](self._load(), protocol.sizes, D, H, options, seed)
            leaves, structure = jax.tree.flatten(_start(made, 1, H, protocol.pair))
            params = {name: np.array(value, np.float64) for name, value in made.params.items()}
            first = tuple(np.array(leaf[0], np.float64) for leaf in leaves)
        self._made[_key(params)] = made, structure
        return params, first if len(first) != 1 else first[0]

    def step(self, ops: Any, params: Mapping[str, Any], state: Any, z: Any) -> tuple[Any, Any]:
        """One time step on jax's arrays."""
        import jax

        del ops
        made, structure = self._made[_key(params)]
        leaves = state if isinstance(state, tuple) else (state,)
        carry = jax.tree.unflatten(structure, leaves)
        y, after = _parted(self._protocol.returns, made.call(params, _arguments(self._protocol.call, carry, z)))
        new = tuple(leaf.astype(old.dtype) for leaf, old in zip(jax.tree.leaves(after), leaves, strict=True))
        return (new if isinstance(state, tuple) else new[0]), y.astype(leaves[0].dtype)


def _key(params: Mapping[str, Any]) -> Any:
    return tuple((name, tuple(value.shape)) for name, value in sorted(params.items()))
