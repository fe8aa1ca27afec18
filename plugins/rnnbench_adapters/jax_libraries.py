"""Instances of jax libraries taken apart, one way for each library: parameters by name, and a function of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench_adapters.classes import DRAWS, Unusable, arguments, construct

CALLS = ("s, x", "x, s", "*s, x", "x, *s")
BATCH = 2
"""Rows that a library sees which finds its shapes from a first call."""


@dataclass(frozen=True)
class Made:
    """An instance taken apart: its parameters by name, a function of them, and its first state, if it makes one.

    call(params, arguments) -> what the instance gives for one step, on batches. start(batch) -> state, or None.
    unroll(params, state, xs_TBD) -> (state, ys_TBH) where it runs over a whole sequence at once.
    """

    params: Mapping[str, Any]
    call: Callable[[Mapping[str, Any], Sequence[Any]], Any]
    start: Callable[[int], Any] | None = None
    unroll: Callable[[Mapping[str, Any], Any, Any], tuple[Any, Any]] | None = None


HEADS = (
    ("memax", "memax.equinox"),
    ("linen", "flax.linen"),
    ("nnx", "flax.nnx"),
    ("haiku", "haiku"),
    ("equinox", "equinox"),
)
"""Library -> the modules its classes descend from; a class of memax is one of equinox too."""


def library_of(cls: Any) -> str | None:
    """`linen`, `nnx`, `equinox`, `haiku` or `memax` for a class of one of them."""
    modules = [base.__module__ for base in getattr(cls, "__mro__", ())]
    for library, head in HEADS:
        if any(module == head or module.startswith(f"{head}.") for module in modules):
            return library
    return None


def first_state(start: Callable[[int], Any] | None, batch: int, h: int, pair: bool) -> Any:
    """What the class makes, else zeros."""
    import jax.numpy as jnp

    if start is not None:
        return start(batch)
    return (jnp.zeros((batch, h)), jnp.zeros((batch, h))) if pair else jnp.zeros((batch, h))


def given(call: str, state: Any, x: Any) -> tuple[Any, ...]:
    """The arguments of one step, in the order of `call`."""
    parts = tuple(state) if "*" in call and isinstance(state, tuple | list) else (state,)
    return (*parts, x) if call.endswith("x") else (x, *parts)


def _linen(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    import jax
    from flax.errors import InvalidRngError
    from flax.traverse_util import flatten_dict, unflatten_dict

    named = dict(zip(sizes, (d, h), strict=True)) if sizes else {}
    module = cls(**{key: value for key, value in named.items() if key}, **options) if named else cls(d, h, **options)
    key = jax.random.key(seed)
    x = jax.numpy.zeros((BATCH, d))
    maker = getattr(module, "initialize_carry", None)
    start = None if maker is None else lambda batch: maker(key, (batch, d))
    variables, problem = None, None
    for pair, order in itertools.product((False, True), CALLS):
        try:
            state = first_state(start, BATCH, h, pair)
            variables = module.init(key, *given(order, state, x))
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
        try:
            return module.apply({"params": nested, **others}, *given)
        except InvalidRngError as error:
            raise Unusable(DRAWS) from error

    return Made(params, call, start)


def _taken_apart(module: Any) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], Any]]:
    """(arrays of a module of equinox by their names, params -> the module with these)."""
    import equinox  # pyright: ignore[reportMissingImports]
    import jax

    trained, static = equinox.partition(module, equinox.is_inexact_array)
    found, structure = jax.tree_util.tree_flatten_with_path(trained)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in found]

    def joined(params: Mapping[str, Any]) -> Any:
        return equinox.combine(jax.tree.unflatten(structure, [params[name] for name in names]), static)

    return dict(zip(names, (value for _, value in found), strict=True)), joined


def _equinox(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    import jax

    more = {"key": jax.random.key(seed)} if "key" in arguments(cls) else {}
    params, joined = _taken_apart(construct(cls, sizes, d, h, options, **more))

    def call(params: Mapping[str, Any], given: Sequence[Any]) -> Any:
        built = joined(params)
        return jax.vmap(lambda *row: built(*row))(*given)

    return Made(params, call)


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


def _haiku(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    import haiku  # pyright: ignore[reportMissingImports]
    import jax

    named = {key: value for key, value in zip(sizes, (d, h), strict=True) if key} if sizes else {}

    def instance() -> Any:
        return cls(**named, **options) if named else cls(d, h, **options)

    def beginning(batch: int) -> Any:
        return haiku.transform(lambda: instance().initial_state(batch)).apply({}, None)

    one_step = haiku.without_apply_rng(haiku.transform(lambda *arguments: instance()(*arguments)))
    x = jax.numpy.zeros((BATCH, d))
    start = beginning if hasattr(cls, "initial_state") else None
    state = first_state(start, BATCH, h, pair=False)
    found, problem = None, None
    for order in ("x, s", "s, x"):
        try:
            found = one_step.init(jax.random.key(seed), *given(order, state, x))
            break
        except Exception as error:
            problem = problem or error
    if found is None:
        assert problem is not None
        raise problem
    params = {f"{module}.{name}": value for module, inner in found.items() for name, value in inner.items()}

    def call(params: Mapping[str, Any], arguments: Sequence[Any]) -> Any:
        nested: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            module, _, own = name.rpartition(".")
            nested.setdefault(module, {})[own] = value
        return one_step.apply(nested, *arguments)

    return Made(params, call, start)


FRONT = "front.weight"
"""Of a library whose layers take and give the same size: the matrix from D to it, (H, D)."""


def _memax(cls: type, sizes: Sequence[str], d: int, h: int, options: Mapping[str, Any], seed: int) -> Made:
    """Layers of memax take H features and give H: a matrix stands in front, which is drawn like a layer of equinox.

    A state is of one sequence, and beside it stands a flag for where a new one begins, which is never set here.
    """
    import jax
    import jax.numpy as jnp

    if "recurrent_size" not in arguments(cls) or not hasattr(cls, "backward_map"):
        raise Unusable("it is no layer of memax: those are made with `recurrent_size` and have `backward_map`")
    del sizes
    own, front = jax.random.split(jax.random.key(seed))
    same = {name: h for name in ("recurrent_size", "hidden_size") if name in arguments(cls)}
    module = cls(**same, **options, key=own)
    params, join = _taken_apart(module)
    params[FRONT] = jax.random.uniform(front, (h, d), minval=-(d**-0.5), maxval=d**-0.5)

    def over(params: Mapping[str, Any], state: Any, xs: Any) -> tuple[Any, Any]:
        built = join(params)

        def row(state: Any, xs: Any) -> tuple[Any, Any]:
            hs, ys = built(state, (xs @ params[FRONT].T, jnp.zeros(len(xs), bool)))
            return built.latest_recurrent_state(hs), ys

        return jax.vmap(row, in_axes=(0, 1), out_axes=(0, 1))(state, xs)

    def call(params: Mapping[str, Any], arguments: Sequence[Any]) -> Any:
        state, ys = over(params, arguments[0], arguments[1][None])
        return state, ys[0]

    def start(batch: int) -> Any:
        one = module.initialize_carry(jax.random.key(seed))
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)), one)

    return Made(params, call, start, over)


MAKERS: dict[str, Callable[..., Made]] = {
    "linen": _linen,
    "equinox": _equinox,
    "nnx": _nnx,
    "haiku": _haiku,
    "memax": _memax,
}
