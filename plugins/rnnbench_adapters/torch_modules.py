"""Classes of torch: how they are made and called, found by trying, and the cell that they then are.

Two kinds are known. A *cell* takes one time step, x_BD and a state, and gives back the next state, or an output and the
state. A *layer* takes a whole sequence, in either order of time and batch, and gives back an output for every step,
alone or with a state.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnnbench import tree_map
from rnnbench_adapters.classes import (
    EQUAL_SIZES,
    NO_GRADIENT,
    OVERWRITES,
    RANDOM,
    REMEMBERS,
    ROWS_MIXED,
    Unusable,
    arguments,
    construct,
    described,
    most_telling,
    sizes_of,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

T, B, D, H = 7, 2, 3, 5
"""Sizes to try at: unequal, so that no axis can be taken for another."""
STATE_MAKERS = ("initial_state", "init_state", "init_hidden", "zero_state", "get_initial_state", "initialize_state")
"""Methods that some classes have to make their first state."""
TOLERANCE = 1e-9
"""Two ways to the same numbers in float64 differ by less."""


@dataclass(frozen=True)
class Protocol:
    """How a class is made and called.

    sizes: names of the constructor's arguments for D and H; none where they are its first two. kind: `cell` or `layer`.
    call: `x`, `x, s`, `s, x`, `x, *s` or `*s, x`: the arguments, with the state packed or spread; `x` alone for a layer
    that takes no state. returns: `s` (the state, whose first part is the output), `y, s`, `y, *s` or `y`. start: the
    method that makes the first state, empty where it is zeros. batch_first: of a layer. mode: `train`, or `eval` where
    the class draws random numbers while it is trained.
    """

    sizes: tuple[str, ...]
    kind: str
    call: str
    returns: str
    start: str = ""
    batch_first: bool = False
    mode: str = "train"


def claims(cls: Any) -> bool:
    """Whether this is a class of torch."""
    return any(base.__module__.startswith("torch.nn.modules") for base in getattr(cls, "__mro__", ()))


def study(cls: type) -> Protocol:
    """How `cls` is made and called. Raises Unusable with one sentence where it cannot be a recurrent cell."""
    import torch

    reasons: list[str] = []
    for sizes in sizes_of(cls):
        with seeded(0), torch.no_grad():
            try:
                module = construct(cls, sizes, D, H, {}).double()
            except Exception as error:
                reasons.append(f"it cannot be made with D = {D} and H = {H}: {described(error)}")
                continue
            for attempt in (_study_cell, _study_layer):
                try:
                    return attempt(module, sizes)
                except Unusable as error:
                    reasons.append(str(error))
    _refuse_equal_sizes(cls)
    raise Unusable(most_telling(reasons, cls))


def _refuse_equal_sizes(cls: type) -> None:
    """Raises Unusable where it can be made and called with D = H, and not otherwise."""
    if len(arguments(cls)) > 1 and not _runs(cls, D) and _runs(cls, H):
        raise Unusable(EQUAL_SIZES)


def _runs(cls: type, width: int) -> bool:
    """Whether it can be made for inputs of so many features, and any call with one step or a sequence runs."""
    import torch

    with suppress(Exception), seeded(0), torch.no_grad():
        module = construct(cls, (), width, H, {}).double()
        for x in (torch.zeros(B, width), torch.zeros(T, B, width)):
            for _, state in _starts(module, B, width, H):
                for call in ("x",) if state is None else CALLS:
                    with suppress(Exception):
                        called(module, call, x, state)
                        return True
    return False


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything that a constructor may draw from starts at `seed`, and goes on afterwards where it was.

    Numbers without a type are float64 meanwhile, also those that a module makes inside `forward`.
    """
    import random

    import numpy as np
    import torch

    numpy_state, python_state, dtype = np.random.get_state(), random.getstate(), torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            np.random.set_state(numpy_state)
            random.setstate(python_state)


# --- calls ---------------------------------------------------------------------------------------------------------


def called(module: Any, call: str, x: Any, state: Any) -> Any:
    """The module on x and a state, as `call` says."""
    if call == "x":
        return module(x)
    if call == "x, s":
        return module(x, state)
    if call == "s, x":
        return module(state, x)
    parts = state if isinstance(state, tuple | list) else (state,)
    return module(x, *parts) if call == "x, *s" else module(*parts, x)


def parted(returns: str, out: Any) -> tuple[Any, Any]:
    """(y, state) of what a call gave, as `returns` says."""
    if returns == "y":
        return out, ()
    if returns == "s":
        return leaves_of(out)[0], out
    if returns == "y, s":
        return out[0], out[1]
    return out[0], tuple(out[1:])


def leaves_of(state: Any) -> list[Any]:
    """The tensors in a state, however they are nested."""
    from torch.utils._pytree import tree_leaves

    return tree_leaves(state)


def _shapes(state: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda leaf: tuple(leaf.shape), state)


def _tensors(value: Any) -> bool:
    import torch

    found = leaves_of(value)
    return bool(found) and all(isinstance(leaf, torch.Tensor) for leaf in found)


def _returns(out: Any) -> Iterator[str]:
    """The ways in which an answer may hold an output and a state, likeliest first."""
    if _tensors(out):
        yield "s"
    if isinstance(out, tuple | list) and len(out) == 2 and _tensors(out):
        yield "y, s"
    if isinstance(out, tuple | list) and len(out) > 1 and _tensors(out):
        yield "y, *s"


def _made_by(method: Any, batch: int, d: int) -> Any:
    """What a class's own method for the first state makes, None where it makes no tensors."""
    import torch

    for given in ((batch,), (), (batch, "cpu"), (torch.zeros(batch, d),)) if callable(method) else ():
        with suppress(Exception):
            made = method(*given)
            if _tensors(made):
                return made
    return None


CALLS = ("x, s", "s, x", "x, *s", "*s, x")


def _starts(module: Any, batch: int, d: int, h: int) -> Iterator[tuple[str, Any]]:
    """(method, first state) to try: none, what the class's own methods make, zeros."""
    import torch

    yield "", None
    for name in STATE_MAKERS:
        made = _made_by(getattr(module, name, None), batch, d)
        if made is not None:
            yield name, made
    zeros = torch.zeros(batch, h)
    yield "", zeros
    yield "", (zeros, zeros)


# --- cells ---------------------------------------------------------------------------------------------------------


def _study_cell(module: Any, sizes: Sequence[str]) -> Protocol:
    import torch

    x = torch.randn(B, D, generator=torch.Generator().manual_seed(0))
    broken: list[str] = []
    mixed: list[str] = []
    for start, state in _starts(module, B, D, H):
        for call in ("x",) if state is None else CALLS:
            try:
                out = called(module, call, x, state)
            except Exception:
                continue
            for returns, again in itertools.product(_returns(out), CALLS if state is None else (call,)):
                try:
                    mode = _check_cell(module, x, out, start, state, returns, again)
                except _OtherWay as other:
                    mixed += [str(other)] if str(other) else []
                    continue
                except _OtherStart:
                    raise
                except Unusable as error:
                    broken.append(str(error))
                    continue
                return Protocol(tuple(sizes), "cell", again, returns, start, mode=mode)
    try:
        _mode(module, lambda: leaves_of(module(x))[0])
    except Unusable as error:  # given no state, it keeps its own
        broken.append(str(error))
    except Exception:  # it cannot be called so
        pass
    problem = f"no call with one step of shape (B, D) = ({B}, {D}) gave an output of H = {H} features and a state"
    raise Unusable([*broken, *mixed, problem][0])


class _OtherWay(Exception):
    """The call is not the one of the class."""


class _OtherStart(Unusable):
    """Whichever way it is called, it would start from another state than by itself."""


def _check_cell(module: Any, x: Any, out: Any, start: str, state: Any, returns: str, call: str) -> str:
    """The mode in which the call works.

    Raises _OtherWay where it is not the way, Unusable where no way can be right.
    """
    import torch

    def go(rows: Any, before: Any) -> tuple[Any, Any]:
        try:
            return parted(returns, called(module, call, rows, before))
        except Exception as error:
            raise _OtherWay from error

    y, first = parted(returns, out)
    if not _tensors(first) or tuple(getattr(y, "shape", ())) != (B, H):
        raise _OtherWay
    if any(leaf.ndim == 0 or leaf.shape[0] != B for leaf in leaves_of(first)):
        raise _OtherWay
    if any(not leaf.dtype.is_floating_point and not leaf.is_complex() for leaf in leaves_of(first)):
        raise _OtherWay("its state holds whole numbers or truth values; make them floats")
    kept = [leaf.clone() for leaf in leaves_of(first)]
    go(x, first)
    if not all(map(torch.equal, kept, leaves_of(first))):
        raise Unusable(OVERWRITES)
    mode = _mode(module, lambda: go(x, first)[0])
    second, after = go(x, first)
    if second.shape != y.shape or _shapes(after) != _shapes(first):
        raise _OtherWay
    moved = x.clone()
    moved[0] += 1
    if not torch.equal(go(moved, first)[0][1], second[1]):
        raise _OtherWay(ROWS_MIXED)  # or the first axis is time, of a layer
    if torch.allclose(second, y, 0, 1e-12):
        raise Unusable("its output does not depend on the state it is given, so it is no recurrent cell")
    _check_gradient(module, lambda: go(x, first)[0])
    if state is None and not start:
        _check_zeros(y, lambda: go(x, _zeros(first))[0])
    return mode


def _zeros(state: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda leaf: leaf * 0, state)


def _check_zeros(y: Any, from_zeros: Callable[[], Any]) -> None:
    """Without a state, the class starts from zeros."""
    import torch

    if not torch.allclose(y, from_zeros(), 0, TOLERANCE):
        raise _OtherStart(
            "it starts from a state other than zeros, which cannot be seen from outside; give it a method "
            f"`{STATE_MAKERS[0]}(batch_size)`"
        )


def _mode(module: Any, call: Callable[[], Any]) -> str:
    """`train` where two calls give the same, else `eval`. Raises Unusable where they do in neither."""
    import torch

    for mode in ("train", "eval"):
        module.train(mode == "train")
        if torch.equal(call(), call()):
            return mode
    drawn = []
    for _ in range(2):  # from the same seed, random numbers are the same
        torch.manual_seed(1)
        drawn.append(call())
    raise Unusable(RANDOM if torch.equal(*drawn) else REMEMBERS)


def _check_gradient(module: Any, call: Callable[[], Any]) -> None:
    """Raises Unusable where the output reaches none of the parameters."""
    import torch

    trained = [value for value in module.parameters() if value.requires_grad]
    if not trained:
        return
    with torch.enable_grad():
        y = call()
        if not y.requires_grad:
            raise Unusable(NO_GRADIENT)
        found = torch.autograd.grad((y**2).sum(), trained, allow_unused=True)
    if not any(gradient is not None and bool(gradient.any()) for gradient in found):
        raise Unusable(NO_GRADIENT)


# --- layers --------------------------------------------------------------------------------------------------------


def _study_layer(module: Any, sizes: Sequence[str]) -> Protocol:
    import torch

    xs = torch.randn(T, B, D, generator=torch.Generator().manual_seed(0))

    def outputs(sequence: Any) -> Any:
        found = module(sequence)
        return found[0] if isinstance(found, tuple | list) else found

    try:
        ys = outputs(xs)
    except Exception as error:
        raise Unusable(f"no call worked; with a sequence of shape {tuple(xs.shape)}: {described(error)}") from error
    if not isinstance(ys, torch.Tensor) or tuple(ys.shape) != (T, B, H):
        shape = tuple(ys.shape) if isinstance(ys, torch.Tensor) else type(ys).__name__
        raise Unusable(
            f"for a sequence of shape {tuple(xs.shape)} it gives outputs of shape {shape} instead of {(T, B, H)}; it "
            "must give one output of H features for every step"
        )
    mode = _mode(module, lambda: outputs(xs))
    batch_first = _batch_first(outputs, xs, outputs(xs))
    _check_gradient(module, lambda: outputs(xs))
    call, returns = _stateful(module, xs, module(xs), batch_first) or ("x", "y")
    return Protocol(tuple(sizes), "layer", call, returns, batch_first=batch_first, mode=mode)


def _batch_first(outputs: Callable[[Any], Any], xs: Any, ys: Any) -> bool:
    """Which axis is time: the one along which a changed entry moves what comes after it, and nothing before."""

    def reach(axis: int) -> list[int]:
        """The indices along `axis` where the outputs move with the entry before the last."""
        index = xs.shape[axis] - 2
        changed = xs.clone()
        changed.select(axis, index).add_(1)
        moved = outputs(changed) != ys
        return [i for i in range(xs.shape[axis]) if bool(moved.select(axis, i).any())]

    along = {axis: reach(axis) for axis in (0, 1)}
    middle = {axis: xs.shape[axis] - 2 for axis in (0, 1)}
    for axis in (0, 1):
        if along[axis] == [middle[axis], middle[axis] + 1] and along[1 - axis] == [middle[1 - axis]]:
            return axis == 1
    if all(along[axis] == [middle[axis]] for axis in (0, 1)):
        raise Unusable("its output at a step does not depend on earlier steps, so it is not recurrent")
    raise Unusable(
        "it is not causal: outputs before a step move when the step's input does, so no state can be handed "
        "over (a bidirectional or normalising layer)"
    )


def _stateful(module: Any, xs: Any, out: Any, batch_first: bool) -> tuple[str, str] | None:
    """(call, returns) where a state is handed back and taken, and a sequence in two halves is the whole one."""
    import torch

    axis = 1 if batch_first else 0
    if not isinstance(out, tuple | list) or len(out) < 2:
        return None
    length = xs.shape[axis]
    head, tail = xs.split([length - 1, 1], dim=axis)
    for returns in ("y, s", "y, *s"):
        if returns == "y, s" and len(out) != 2:
            continue
        for call in CALLS:
            with suppress(Exception):
                _, state = parted(returns, module(head))
                y, final = parted(returns, called(module, call, tail, state))
                whole, last = parted(returns, out)
                same = torch.allclose(y, whole.narrow(axis, length - 1, 1), 0, TOLERANCE)
                if same and _shapes(final) == _shapes(last) and _shapes(state) == _shapes(last):
                    started = called(module, call, xs, _zeros(state))
                    if torch.allclose(parted(returns, started)[0], whole, 0, TOLERANCE):
                        return call, returns
    return None


# --- the cell ------------------------------------------------------------------------------------------------------


@dataclass
class Skeleton:
    """A module whose parameters are put in from outside, and the form of its state.

    spec: how its leaves are nested. axes: of each leaf, which axis is the batch.
    """

    module: Any
    protocol: Protocol
    spec: Any
    axes: tuple[int, ...]
    bound: Any = None
    copies: dict[tuple[Any, Any], Skeleton] = field(default_factory=dict)

    def on(self, like: torch.Tensor) -> Skeleton:
        """A copy with its buffers on the device and in the precision of a tensor."""
        import copy

        key = (like.device, like.dtype)
        if key not in self.copies:
            module = copy.deepcopy(self.module).to(device=like.device, dtype=like.dtype)
            self.copies[key] = Skeleton(module, self.protocol, self.spec, self.axes)
        return self.copies[key]

    def bind(self, params: Mapping[str, torch.Tensor]) -> None:
        """Let the module compute with these tensors. Kept for as long as it is asked with the same ones."""
        if self.bound is params:
            return
        for name, tensor in params.items():
            path, _, own = name.rpartition(".")
            self.module.get_submodule(path)._parameters[own] = tensor
        self.bound = params

    def nested(self, state: Any) -> Any:
        """The state as the module takes it."""
        leaves = state if isinstance(state, tuple) else (state,)
        moved = [leaf.movedim(0, axis) if axis else leaf for leaf, axis in zip(leaves, self.axes, strict=True)]
        return self.spec.unflatten(moved)

    def flat(self, state: Any) -> Any:
        """The state as rnnbench takes it: one tensor or a tuple, the batch in front."""
        leaves = leaves_of(state)
        moved = tuple(leaf.movedim(axis, 0) if axis else leaf for leaf, axis in zip(leaves, self.axes, strict=True))
        return moved[0] if len(moved) == 1 else moved

    def step(self, state: Any, x: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """One time step: (state, x_BD) -> (state, y_BH)."""
        if self.protocol.kind == "layer":
            state, ys = self.unroll(state, x[None])
            return state, ys[0]
        y, after = parted(self.protocol.returns, called(self.module, self.protocol.call, x, self.nested(state)))
        return self.flat(after), y

    def unroll(self, state: Any, xs: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """A layer over xs_TBD: (state, ys_TBH)."""
        protocol = self.protocol
        xs = xs.transpose(0, 1) if protocol.batch_first else xs
        before = None if protocol.call == "x" else self.nested(state)
        ys, after = parted(protocol.returns, called(self.module, protocol.call, xs, before))
        ys = ys.transpose(0, 1) if protocol.batch_first else ys
        return (() if protocol.call == "x" else self.flat(after)), ys


class TorchClass:
    """A class of torch as the functions of a Cell.

    `init` makes an instance from the seed it is given; its parameters become the cell's, its buffers and constants stay
    in a skeleton of it, which `step` and `unroll` find again by the shapes of the parameters.
    """

    def __init__(self, load: Callable[[], type], protocol: Protocol) -> None:
        self._load, self._protocol = load, protocol
        self._skeletons: dict[Any, Skeleton] = {}
        self._last: tuple[Any, Skeleton] | None = None

    def init(self, rng: np.random.Generator, D: int, H: int, **options: Any) -> tuple[dict[str, np.ndarray], Any]:
        """Parameters by their names in the module, float64; the first state without a batch axis."""
        import torch

        with seeded(int(rng.integers(2**32))), torch.no_grad():
            module = construct(self._load(), self._protocol.sizes, D, H, options).double()
            module.train(self._protocol.mode == "train")
            skeleton, state = _skeleton(module, self._protocol, D, H)
        trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
        params = {name: value.detach().numpy().copy() for name, value in trained.items()}
        self._skeletons[_key(params)] = skeleton
        self._last = None
        return params, state

    def step(self, ops: Any, params: Mapping[str, Any], state: Any, z: Any) -> tuple[Any, Any]:
        """One time step on torch's tensors."""
        del ops
        return self._bound(params, z).step(state, z)

    def unroll(self, params: Mapping[str, Any], state: Any, xs: Any) -> tuple[Any, Any]:
        """A whole sequence on torch's tensors."""
        return self._bound(params, xs).unroll(state, xs)

    def _bound(self, params: Mapping[str, Any], like: Any) -> Skeleton:
        if self._last is None or self._last[0] is not params:
            skeleton = self._skeletons[_key(params)].on(like)
            skeleton.bind(params)
            self._last = (params, skeleton)
        return self._last[1]


def _key(params: Mapping[str, Any]) -> Any:
    return tuple((name, tuple(value.shape)) for name, value in sorted(params.items()))


def _skeleton(module: Any, protocol: Protocol, d: int, h: int) -> tuple[Skeleton, Any]:
    """The module's skeleton and its first state as NumPy, without a batch axis."""
    import torch
    from torch.utils._pytree import tree_flatten

    if protocol.call == "x":
        return Skeleton(module, protocol, None, ()), ()
    few, more = (_some_state(module, protocol, d, h, batch) for batch in (2, 3))
    pairs = zip(leaves_of(few), leaves_of(more), strict=True)
    axes = tuple(next(i for i in range(a.ndim) if a.shape[i] != b.shape[i]) for a, b in pairs)
    skeleton = Skeleton(module, protocol, tree_flatten(few)[1], axes)
    state = skeleton.flat(few)
    first = tree_map(lambda leaf: (leaf if protocol.start else torch.zeros_like(leaf))[0].numpy().copy(), state)
    return skeleton, first


def _some_state(module: Any, protocol: Protocol, d: int, h: int, batch: int) -> Any:
    """A state of the right form: what the class starts from where it has a method for it, else any."""
    import torch

    if protocol.start:
        return _made_by(getattr(module, protocol.start), batch, d)
    if protocol.kind == "layer":
        shape = (batch, 4, d) if protocol.batch_first else (4, batch, d)
        return parted(protocol.returns, module(torch.zeros(shape)))[1]
    x = torch.zeros(batch, d)
    for start, state in _starts(module, batch, d, h):
        call = "x" if state is None else protocol.call
        with suppress(Exception):
            if not start:
                return parted(protocol.returns, called(module, call, x, state))[1]
    raise Unusable("no first state was found for it")
