"""One model on one torch device."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnbench import (
    OutOfMemory,
    Program,
    ProgramSpec,
    States,
    advance_model,
    batched,
    bptt,
    layer_params,
    micro_batches,
    process_memory,
    run_model,
    seed_for,
    tree_map,
)
from rnnbench_torch import devices, optimizers, segments
from rnnbench_torch.arrays import to_numpy, to_torch
from rnnbench_torch.ops import torch_ops
from rnnbench_torch.state_gradients import log_norms
from rnnbench_torch.state_jacobians import jacobians
from rnnbench_torch.weight_drop import WeightDrop

if TYPE_CHECKING:
    import numpy as np
    import torch

    from rnnbench import Batch

Found = tuple["torch.Tensor", list["torch.Tensor"], list["torch.Tensor"]]
"""(loss, gradient of each parameter, gradient of xs: one tensor, or none where it was not asked for)"""


class TorchProgram(Program):
    """Parameters are leaf tensors that require gradients; inference runs under `torch.no_grad`.

    `inference_mode` was no faster for any implementation, and its tensors could not be used for training later on.
    """

    def __init__(self, spec: ProgramSpec) -> None:
        self._wait = devices.synchronizer(spec.device)
        self.memory_kind = "process" if spec.device == "cpu" else "allocator"
        self._spec = spec
        self._memory_before = 0
        self._compilations_before = _compilations()
        with self._asked():
            self._params = _place_parameters(spec)
            self._trainable = {n: param for n, param in self._params.items() if n not in spec.model.frozen}
            self._states = tuple(tree_map(self._place, state) for state in spec.weights.states)
            self._unroll = spec.implementation.build(spec.model.cell, spec.device, spec.dtype)
            self._dropout = _dropout(spec.model.dropout, spec.seed, spec.device)
            self._weight_drop = _weight_drop(spec, self._params)
            self._segments_masked = itertools.count()
            self._update = optimizers.build(spec.optimizer, list(self._trainable.values()))

    def put(self, batch: Mapping[str, np.ndarray]) -> Batch:
        """Copy NumPy arrays onto the device."""
        with self._asked():
            return {name: self._place(array) for name, array in batch.items()}

    def get(self, array: torch.Tensor) -> np.ndarray:
        """Copy a tensor to NumPy."""
        with self._asked():
            return to_numpy(array)

    def forward(self, xs: torch.Tensor, states: States | None = None) -> tuple[States, torch.Tensor]:
        """Inference: (final states, outputs)."""
        import torch

        with self._asked(), torch.no_grad():
            return self._run(xs, states)

    def loss_and_gradients(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """(loss, gradient of each parameter, gradient of xs), dropout off."""
        with self._asked():
            xs = batch["xs"].detach().requires_grad_()
            loss, gradients, [xs_gradient] = self._trained({**batch, "xs": xs}, dropout=0.0)
            return loss, dict(zip(self._trainable, gradients, strict=True)), xs_gradient

    def backward(self, batch: Batch) -> Callable[[], tuple[dict[str, torch.Tensor], torch.Tensor]]:
        """By a graph that is kept. cuDNN copies what it keeps at each call, since its backward uses it up."""
        import torch

        with self._asked(), _reusable_graphs(self.compilations()):
            xs = batch["xs"].detach().requires_grad_()
            loss = self._loss({**batch, "xs": xs})
            inputs = [*self._trainable.values(), xs]
            torch.autograd.grad(loss, inputs, retain_graph=True, materialize_grads=True)  # may compile

        def again() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
            with self._asked():
                *gradients, xs_gradient = torch.autograd.grad(loss, inputs, retain_graph=True, materialize_grads=True)
                return dict(zip(self._trainable, gradients, strict=True)), xs_gradient

        return again

    def train_step(self, batch: Batch) -> torch.Tensor:
        """One optimiser step in place: the loss before it."""
        with self._asked():
            return self._train_step(batch)

    def train_steps(self, batches: Sequence[Batch]) -> torch.Tensor:
        """One optimiser step per batch without waiting in between: their losses."""
        import torch

        with self._asked():
            return torch.stack([self._train_step(batch) for batch in batches])

    def evaluate(self, batch: Batch) -> dict[str, float]:
        """`loss`, and `metric` where there is one, dropout off."""
        import torch

        ops = torch_ops()
        with self._asked(), torch.no_grad():
            _, outputs = self._run(batch["xs"])
            found = {"loss": float(self._spec.loss(ops, outputs, batch))}
            if self._spec.metric is not None:
                found["metric"] = float(self._spec.metric(ops, outputs, batch))
            return found

    def log_gradient_norms(self, xs: torch.Tensor, cotangent: torch.Tensor) -> np.ndarray:
        """ln ‖dL/ds_{T−k}‖ in row k − 1, float64 (T, B)."""
        params = {name: param.detach() for name, param in self._params.items()}
        model, ops = self._spec.model, torch_ops()
        with self._asked():
            initial = self._initial(xs.shape[1])
            return to_numpy(log_norms(lambda s, x: advance_model(model, ops, params, s, x), initial, xs, cotangent))

    def state_jacobians(self, xs: torch.Tensor, states: States | None = None) -> tuple[States, np.ndarray]:
        """(states after xs, ∂s_t/∂s_{t−1} over real entries as (T, B, n, n))."""
        params = {name: param.detach() for name, param in self._params.items()}
        model, ops = self._spec.model, torch_ops()
        with self._asked():
            states = self._initial(xs.shape[1]) if states is None else states
            states, found = jacobians(lambda s, x: advance_model(model, ops, params, s, x)[0], states, xs)
            return states, to_numpy(found)

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the current parameters."""
        return {name: to_numpy(param).copy() for name, param in self._params.items()}

    def compilations(self) -> int:
        """Graphs dynamo has compiled in this process since the program was built."""
        return _compilations() - self._compilations_before

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""
        self._wait()

    def reset_peak_memory(self) -> None:
        """Start a new high-water mark, of the process on cpu, of torch's allocator on cuda."""
        self.synchronize()
        if self.memory_kind == "process":
            self._memory_before = process_memory.reset_peak()
            return
        import torch

        torch.cuda.reset_peak_memory_stats()
        self._memory_before = torch.cuda.memory_allocated()

    def peak_memory(self) -> int:
        """Bytes at the high-water mark above what was in use at the reset."""
        self.synchronize()
        if self.memory_kind == "process":
            return max(0, process_memory.peak_bytes() - self._memory_before)
        import torch

        return max(0, torch.cuda.max_memory_allocated() - self._memory_before)

    def settings(self) -> dict[str, Any]:
        """Threads, precision, TF32, denormals as they are now."""
        return devices.settings(self._spec.device)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Around all work: wait for the device at the end, and name the lack of memory."""
        with named_out_of_memory(self._spec.device):
            yield
            self.synchronize()

    def _place(self, array: np.ndarray) -> torch.Tensor:
        return to_torch(array, self._spec.device, self._spec.dtype)

    def _initial(self, batch_size: int) -> States:
        import torch

        return batched(self._states, batch_size, torch.broadcast_to)

    def _run(
        self, xs: torch.Tensor, states: States | None = None, dropout: Callable[[Any], Any] | None = None
    ) -> tuple[States, torch.Tensor]:
        states = self._initial(xs.shape[1]) if states is None else states
        return run_model(self._spec.model, self._unroll, self._params, states, xs, dropout)

    def _loss(self, batch: Batch, dropout: Callable[[Any], Any] | None = None) -> torch.Tensor:
        _, outputs = self._run(batch["xs"], dropout=dropout)
        return self._spec.loss(torch_ops(), outputs, batch)

    def _train_step(self, batch: Batch) -> torch.Tensor:
        with self._weight_drop.drawn() as masks:
            loss, gradients = self._accumulated(batch)
        named = zip(self._trainable, gradients, strict=True)
        self._update([gradient * masks[name] if name in masks else gradient for name, gradient in named])
        return loss

    def _accumulated(self, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(loss, gradients) of the whole batch, one micro-batch after the other.

        Parts of half precision are summed in float32: a small one would be lost in the rounding of the sum.
        """
        spec, rate = self._spec, self._spec.model.dropout
        if spec.micro_batches == 1:
            loss, gradients, _ = self._trained(batch, rate)
            return loss, gradients
        weighing = micro_batches.required(spec.loss, batch, self._width)
        parts = micro_batches.split(batch, batch["xs"].shape[1] // spec.micro_batches)
        weights = micro_batches.shares(torch_ops(), parts, weighing)
        total, gradients = None, None
        for part, weight in zip(parts, weights, strict=True):
            loss, found, _ = self._trained(part, rate)
            total = _wide(loss) * weight if total is None else total + _wide(loss) * weight
            if gradients is None:
                gradients = [_wide(gradient) * weight for gradient in found]
            else:
                for one, more in zip(gradients, found, strict=True):
                    one += _wide(more) * weight
        assert total is not None
        assert gradients is not None
        return total, gradients

    def _trained(self, batch: Batch, dropout: float) -> Found:
        """(loss, gradients, gradients of xs if it requires one) as `bptt` says."""
        spec, params, states = self._spec, list(self._trainable.values()), self._initial(batch["xs"].shape[1])
        if spec.bptt == "full":
            return _found(self._loss(batch, self._dropout if dropout else None), params, batch["xs"])
        assert spec.segment is not None  # as of every other kind
        masks = self._masks(len(bptt.spans(batch["xs"].shape[0], spec.segment)), dropout)
        if spec.bptt == "checkpointed":
            _, outputs = segments.checkpointed(self._run, batch["xs"], states, spec.segment, masks)
            return _found(spec.loss(torch_ops(), outputs, batch), params, batch["xs"])
        cut = segments.Truncated(self._run, partial(spec.loss, torch_ops()), params, spec.segment)
        way = cut.one_pass if bptt.additive(spec.loss, batch, self._width, spec.segment) else cut.two_passes
        return way(batch, states, masks)

    @property
    def _width(self) -> int:
        """Outputs at each step."""
        return self._spec.model.outputs

    def _masks(self, count: int, rate: float) -> list[segments.Masks]:
        """Dropout for each segment of one sequence, which a second run of the segment can have again."""
        names = [(self._spec.seed, "segment", next(self._segments_masked)) for _ in range(count if rate else 0)]
        dropouts = [partial(_dropout, rate, seed_for(*name), self._spec.device) for name in names]
        return dropouts or [lambda: None] * count


def _place_parameters(spec: ProgramSpec) -> dict[str, torch.Tensor]:
    """Leaf tensors on the device, each layer laid out as the implementation likes it."""
    params = {name: to_torch(array, spec.device, spec.dtype) for name, array in spec.weights.params.items()}
    if spec.implementation.prepare is not None:
        for layer in range(spec.model.layers):
            prepared = spec.implementation.prepare(layer_params(params, layer))
            params.update({f"layers.{layer}.{name}": param for name, param in prepared.items()})
    frozen = spec.model.frozen
    return {name: param.detach().requires_grad_(name not in frozen) for name, param in params.items()}


def _found(loss: torch.Tensor, params: list[torch.Tensor], xs: torch.Tensor) -> Found:
    """The gradients of a loss whose graph is there; zeros for an input that it does not depend on."""
    import torch

    inputs = [*params, xs] if xs.requires_grad else params
    if not inputs:  # all parameters are frozen
        return loss.detach(), [], []
    gradients = torch.autograd.grad(loss, inputs, materialize_grads=True)
    return loss.detach(), list(gradients[: len(params)]), list(gradients[len(params) :])


@contextmanager
def _reusable_graphs(compiled: int) -> Iterator[None]:
    """Graphs that dynamo compiles inside can be run backward more than once.

    A compiled backward otherwise takes over the memory of what the forward kept ("donated buffers"), and writes into it
    ("inplace buffers"; seen with torch 2.13: every further run gave other gradients). What was compiled so before is
    compiled anew.
    """
    import torch._dynamo
    import torch._functorch.config as functorch
    import torch._inductor.config as inductor

    if compiled:
        torch._dynamo.reset()
    with functorch.patch(donated_buffer=False), inductor.patch(inplace_buffers=False):
        yield


def _dropout(rate: float, seed: int, device: str) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Inverted dropout with a generator of its own, so that no other user of randomness moves its masks."""
    if rate == 0:
        return None
    import torch

    generator = torch.Generator(device).manual_seed(seed)

    def dropout(ys: torch.Tensor) -> torch.Tensor:
        return ys * torch.empty_like(ys).bernoulli_(1 - rate, generator=generator).div_(1 - rate)

    return dropout


def _weight_drop(spec: ProgramSpec, params: Mapping[str, torch.Tensor]) -> WeightDrop:
    model, seed = spec.model, seed_for(spec.seed, "recurrent dropout")
    return WeightDrop(params, model.recurrent, model.recurrent_dropout, seed, spec.device)


def _compilations() -> int:
    """Graphs dynamo has compiled in this process; 0 without importing it where nothing has."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return 0 if dynamo is None else dynamo.counters["stats"]["unique_graphs"]


@contextmanager
def named_out_of_memory(device: str) -> Iterator[None]:
    """Turn what torch raises when memory runs out into `OutOfMemory`. torch's CPU allocator has no error of its own."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_advice(device, error)) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemory(_advice(device, error)) from error


def _advice(device: str, error: BaseException) -> str:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return f"out of memory on {device}; use a smaller batch, hidden size or sequence length ({first_line})"


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """At least float32."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
