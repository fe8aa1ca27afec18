"""Layers and cells of Keras, which computes with torch or with jax: one of them per process, chosen at import.

`KERAS_BACKEND` says which, as ever; where it says nothing, torch is taken if it is there, else jax.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rnnbench_adapters.classes import NO_GRADIENT, ROWS_MIXED, Unusable, described, most_telling, sizes_of

if TYPE_CHECKING:
    import numpy as np

VARIABLE = "KERAS_BACKEND"
FRAMEWORKS = ("torch", "jax")
T, B, D, H = 7, 2, 3, 5
"""Sizes to try at: unequal, so that no axis can be taken for another."""


@dataclass(frozen=True)
class Protocol:
    """How a class is made and called.

    sizes: name of the constructor's argument for H after "", for Keras sees D in the first input. kind: `cell`, which
    takes (x_BD, states) and gives (y, states), or `layer`, a descendant of `keras.layers.RNN`.
    """

    sizes: tuple[str, ...]
    kind: str


def choose() -> None:
    """Let Keras, where it is imported later, compute with a framework that is there."""
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = next((name for name in FRAMEWORKS if find_spec(name)), FRAMEWORKS[0])


def framework() -> str:
    """What the Keras of this process computes with. Raises Unusable where it is neither torch nor jax."""
    import keras  # pyright: ignore[reportMissingImports]

    found = keras.backend.backend()
    if found not in FRAMEWORKS:
        raise Unusable(f"Keras computes with {found} here; set {VARIABLE} to torch or jax")
    return found


def claims(cls: Any) -> bool:
    """Whether this is a layer of Keras."""
    return any(base.__module__.startswith("keras.src.layers") for base in getattr(cls, "__mro__", ()))


def study(cls: type) -> Protocol:
    """How `cls` is made and called. Raises Unusable with one sentence where it cannot be a recurrent cell."""
    import keras  # pyright: ignore[reportMissingImports]

    if issubclass(cls, keras.layers.RNN):
        kind = "layer"
    elif hasattr(cls, "get_initial_state"):
        kind = "cell"
    else:
        raise Unusable(
            "it is neither a layer that descends from keras.layers.RNN nor a cell with `get_initial_state(batch_size)`"
        )
    reasons = []
    for sizes in [("", "units"), *sizes_of(cls)]:
        try:
            _try(cls, Protocol(tuple(sizes), kind))
            return Protocol(tuple(sizes), kind)
        except Unusable as error:
            reasons.append(str(error))
        except Exception as error:
            reasons.append(f"it cannot be made with D = {D} and H = {H}: {described(error)}")
    raise Unusable(most_telling(reasons, None))


def _try(cls: type, protocol: Protocol) -> None:
    """Raises Unusable where it is no recurrent cell."""
    import numpy as np

    made = _Instance(cls, protocol, D, H, {}, "float32")
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((T, B, D)).astype("float32")
    params = [np.asarray(value) for value in made.initial()]

    def outputs(xs: Any, state: Any) -> tuple[Any, list[Any]]:
        ys, after = made.run(params, state, xs if protocol.kind == "layer" else xs[0])
        return _numpy(ys), [_numpy(leaf) for leaf in after]

    first = [np.zeros(shape, "float32") for shape in made.shapes(B)]
    ys, after = outputs(xs, first)
    wanted = (T, B, H) if protocol.kind == "layer" else (B, H)
    if ys.shape != wanted:
        raise Unusable(f"it gives outputs of shape {ys.shape} instead of {wanted}")
    if [leaf.shape for leaf in after] != [leaf.shape for leaf in first]:
        raise Unusable("it gives states of other shapes than it takes")
    if not np.array_equal(outputs(xs, first)[0], ys):
        raise Unusable("it gives other outputs for the same inputs when called again")
    if np.allclose(outputs(xs, after)[0], ys, 0, 1e-6):
        raise Unusable("its output does not depend on the state it is given, so it is no recurrent cell")
    moved = xs.copy()
    moved[:, 0] += 1
    axis = 1 if protocol.kind == "layer" else 0
    if not np.array_equal(outputs(moved, first)[0].take(1, axis), ys.take(1, axis)):
        raise Unusable(ROWS_MIXED)
    if protocol.kind == "layer":
        moved = xs.copy()
        moved[-1] += 1
        if not np.array_equal(outputs(moved, first)[0][:-1], ys[:-1]):
            raise Unusable("it is not causal: outputs before a step move when the step's input does (`go_backwards`?)")
    if not made.has_gradient(params, after, xs if protocol.kind == "layer" else xs[0]):
        raise Unusable(NO_GRADIENT)


class _Instance:
    """One layer or cell in one precision, as a function of the values of its variables."""

    def __init__(
        self, cls: type, protocol: Protocol, d: int, h: int, options: Mapping[str, Any], dtype: str, seed: int = 0
    ) -> None:
        import keras  # pyright: ignore[reportMissingImports]

        named = {key: value for key, value in zip(protocol.sizes, (d, h), strict=True) if key}
        more = {"return_sequences": True, "return_state": True} if protocol.kind == "layer" else {}
        with _seeded(seed):
            keras.utils.clear_session(free_memory=False)  # its names count what was made before
            self.module = cls(**named, **options, **more, dtype=dtype) if named else cls(d, h, **options, dtype=dtype)
            self.layer = protocol.kind == "layer"
            self.module.build((1, 1, d) if self.layer else (1, d))
        known = inspect.signature(self.module.call).parameters
        self.evaluating = {"training": False} if "training" in known else {}
        self.names = [variable.path.partition("/")[2].replace("/", ".") for variable in self.module.trainable_variables]

    def initial(self) -> list[Any]:
        """The values its constructor has drawn."""
        return [_numpy(variable.value) for variable in self.module.trainable_variables]

    def shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Of the leaves of its state."""
        return [tuple(leaf.shape) for leaf in _listed(self.module.get_initial_state(batch_size=batch))]

    def run(self, params: Sequence[Any], state: Sequence[Any], xs: Any) -> tuple[Any, list[Any]]:
        """(outputs, leaves of the state) of one step x_BD, or of a sequence xs_TBD."""
        from keras import ops  # pyright: ignore[reportMissingImports]

        xs, state = ops.convert_to_tensor(xs), [ops.convert_to_tensor(leaf) for leaf in state]  # not all of Keras does
        fixed = [variable.value for variable in self.module.non_trainable_variables]
        if self.layer:
            found, _ = self.module.stateless_call(
                list(params), fixed, _swapped(xs), initial_state=state, **self.evaluating
            )
            ys, *after = found
            return _swapped(ys), after
        (y, after), _ = self.module.stateless_call(list(params), fixed, xs, state, **self.evaluating)
        return y, _listed(after)

    def has_gradient(self, params: Sequence[Any], state: Sequence[Any], xs: Any) -> bool:
        """Whether the output moves any parameter."""
        if framework() == "jax":
            import jax

            found = jax.grad(lambda values: (self.run(values, state, xs)[0] ** 2).sum())(list(params))
            return any(bool((leaf != 0).any()) for leaf in found)
        import torch

        values = [torch.tensor(value).requires_grad_() for value in params]
        with torch.enable_grad():
            ys = self.run(values, [torch.tensor(leaf) for leaf in state], torch.tensor(xs))[0]
            if not ys.requires_grad:
                return False
            found = torch.autograd.grad((ys**2).sum(), values, allow_unused=True)
        return any(leaf is not None and bool(leaf.any()) for leaf in found)


class KerasClass:
    """A class of Keras as the functions of a Cell.

    `init` makes an instance from the seed it is given; `step` and `unroll` find it again by the shapes of the
    parameters, in the precision of their inputs.
    """

    def __init__(self, load: Callable[[], type], protocol: Protocol) -> None:
        self._load, self._protocol = load, protocol
        self._made: dict[Any, Callable[[str], _Instance]] = {}

    def init(self, rng: np.random.Generator, D: int, H: int, **options: Any) -> tuple[dict[str, np.ndarray], Any]:
        """Parameters by their names in Keras, float64, drawn in float32; a first state of zeros."""
        import numpy as np

        seed, kept = int(rng.integers(2**31)), {}

        def instance(dtype: str) -> _Instance:
            if dtype not in kept:
                kept[dtype] = _Instance(self._load(), self._protocol, D, H, options, dtype, seed)
            return kept[dtype]

        made = instance("float32")
        params = {name: value.astype("float64") for name, value in zip(made.names, made.initial(), strict=True)}
        self._made[_key(params)] = instance
        first = tuple(np.zeros(shape[1:]) for shape in made.shapes(1))
        return params, first if len(first) != 1 else first[0]

    def step(self, ops: Any, params: Mapping[str, Any], state: Any, z: Any) -> tuple[Any, Any]:
        """One time step on the framework's arrays."""
        del ops
        return self._run(params, state, z)

    def unroll(self, params: Mapping[str, Any], state: Any, xs: Any) -> tuple[Any, Any]:
        """A whole sequence on the framework's arrays."""
        return self._run(params, state, xs)

    def _run(self, params: Mapping[str, Any], state: Any, xs: Any) -> tuple[Any, Any]:
        made = self._made[_key(params)](str(xs.dtype).rpartition(".")[2])
        leaves = state if isinstance(state, tuple) else (state,)
        single = made.layer and len(xs.shape) == 2
        ys, after = made.run([params[name] for name in made.names], leaves, xs[None] if single else xs)
        return (tuple(after) if isinstance(state, tuple) else after[0]), ys[0] if single else ys


def _listed(state: Any) -> list[Any]:
    return list(state) if isinstance(state, list | tuple) else [state]


def _swapped(array: Any) -> Any:
    """Time first to batch first, and back."""
    return array.swapaxes(0, 1)


def _numpy(array: Any) -> Any:
    import numpy as np

    return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All that Keras may draw from starts at `seed`; Python's and NumPy's generators go on where they were."""
    import random

    import keras  # pyright: ignore[reportMissingImports]
    import numpy as np

    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _key(params: Mapping[str, Any]) -> Any:
    return tuple((name, tuple(value.shape)) for name, value in sorted(params.items()))
