"""One model on one jax device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench import (
    Array,
    Batch,
    Compiled,
    OutOfMemory,
    Program,
    ProgramSpec,
    States,
    batched,
    layer_params,
    process_memory,
    tree_map,
)
from rnnbench_jax import lowered, threads
from rnnbench_jax.devices import Device
from rnnbench_jax.functions import Training, functions
from rnnbench_jax.stacked import TOGETHER, Stacked, register, stack
from rnnbench_jax.state_gradients import accumulated

if TYPE_CHECKING:
    import jax

MATMUL_PRECISION = "highest"
"""float32 means float32 on a GPU and a TPU too, not TF32 or bfloat16 passes."""

ON_CHIP = (
    "what a TPU's compiler keeps in memory on the chip is in none of its sizes: more may be in use at once than they "
    "say, and training can seem to need less than a forward pass"
)
"""Of a TPU's compiler."""


class JaxProgram(Program):
    """Everything jitted; every method blocks until its outputs are ready."""

    capacity: int | None = None
    """Bytes of the device's memory, where they are known without asking it."""

    def __init__(self, spec: ProgramSpec, device: Device) -> None:
        import jax.numpy as jnp

        self._device = device
        self._wide = spec.dtype == "float64"
        self._dtype = np.dtype(jnp.dtype(spec.dtype))
        self._in_use_at_reset = 0
        self.memory_kind = "process" if device.platform == "cpu" else "allocator"
        self._functions = functions(spec)
        with self._scope():
            self._initial = tuple(tree_map(self._placed, state) for state in spec.weights.states)
            params = {name: self._placed(array) for name, array in spec.weights.params.items()}
            self._training = Training(_prepared(spec, params))

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """64-bit types for float64 programs only, and memory that ran out as an error of ours."""
        import jax

        with jax.enable_x64(self._wide), jax.default_matmul_precision(MATMUL_PRECISION):
            try:
                yield
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise OutOfMemory(f"{self._device}: {' '.join(str(error).split())[:300]}") from error

    def _placed(self, array: np.ndarray) -> Array:
        """On the device in the program's dtype (complex: of the same precision; others as they are), never aliased."""
        import jax

        return jax.device_put(np.array(array, self._dtype_of(np.asarray(array))), self._device)

    def _dtype_of(self, array: np.ndarray) -> np.dtype:
        """What an array becomes on the device."""
        if array.dtype.kind == "c":
            return np.dtype(np.complex128 if self._wide else np.complex64)
        return self._dtype if array.dtype.kind == "f" else array.dtype

    def put(self, batch: Mapping[str, np.ndarray]) -> Batch:
        """Copies on the device; 64-bit integers become 32-bit ones unless the program is float64, as ever in jax."""
        return self._ready(lambda: {name: self._placed(array) for name, array in batch.items()})

    def put_all(self, batches: Sequence[Mapping[str, np.ndarray]]) -> list[Batch]:
        """Several by one call: to place an array takes as long as a short training step, whatever its size."""
        import jax

        def placed(group: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Array]:
            own = stack(group).items()  # copies already, which nobody else will write into
            return {
                name: jax.device_put(array.astype(self._dtype_of(array), copy=False), self._device)
                for name, array in own
            }

        register()
        groups = [batches[start : start + TOGETHER] for start in range(0, len(batches), TOGETHER)]
        together = zip(self._ready(lambda: [placed(group) for group in groups]), groups, strict=True)
        return [Stacked(arrays, np.int32(index)) for arrays, group in together for index in range(len(group))]

    def get(self, array: Array) -> np.ndarray:
        """A copy: memory of jax seen through NumPy could not be used up by the next training step."""
        copy = np.array(array)
        return copy.astype(np.float32) if copy.dtype.name == "bfloat16" else copy

    def forward(self, xs: Array, states: States | None = None) -> tuple[States, Array]:
        """Final states and outputs."""
        if states is None:
            return self._ready(self._functions.begin, self._training.params, self._initial, xs)
        return self._ready(self._functions.resume, self._training.params, states, xs)

    def loss_and_gradients(self, batch: Batch) -> tuple[Array, dict[str, Array], Array]:
        """By reverse mode through the implementation, or by its own custom_vjp."""
        return self._ready(self._functions.gradients, self._training.params, self._initial, batch)

    def backward(self, batch: Batch) -> Callable[[], tuple[dict[str, Array], Array]]:
        """What `jax.vjp` keeps is computed by one compiled call, and pulled back by another."""
        pullback = self._ready(self._functions.keep, self._training.params, self._initial, batch)
        return lambda: self._ready(self._functions.pull, pullback)

    def train_step(self, batch: Batch) -> Array:
        """One compiled call; parameters and optimiser state are donated to it."""
        return self._ready(self._trained, batch)

    def train_steps(self, batches: Sequence[Batch]) -> Array:
        """Dispatched one after the other without waiting: one compilation serves any number of batches."""
        import jax.numpy as jnp

        return self._ready(lambda: jnp.stack([self._trained(batch) for batch in batches]))

    def evaluate(self, batch: Batch) -> dict[str, float]:
        """Loss and metric from one forward pass."""
        found = self._ready(self._functions.evaluate, self._training.params, self._initial, batch)
        return {name: float(value) for name, value in found.items()}

    def log_gradient_norms(self, xs: Array, cotangent: Array) -> np.ndarray:
        """A reverse scan over the stored states; logarithms are taken and summed in float64 on the host."""
        growth = self._functions.growth
        return accumulated(self.get(self._ready(growth, self._training.params, self._initial, xs, cotangent)))

    def state_jacobians(self, xs: Array, states: States | None = None) -> tuple[States, np.ndarray]:
        """A scan for the trajectory, then forward mode for all steps and sequences at once."""
        reached, found = self._ready(self._jacobians, xs, states)
        return reached, self.get(found)

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the current parameters."""
        return {name: self.get(array) for name, array in self._training.params.items()}

    def compilations(self) -> int:
        """Entries in the caches of this program's jitted functions."""
        return self._functions.compilations()

    def synchronize(self) -> None:
        """Wait for every array there is, whoever asked for it."""
        import jax

        jax.block_until_ready(jax.live_arrays())

    def reset_peak_memory(self) -> None:
        """On a CPU the kernel's mark; that of a device's allocator cannot be reset, so its level now is remembered."""
        if self.memory_kind == "process":
            self._in_use_at_reset = process_memory.reset_peak()
        else:
            self._in_use_at_reset = self._device.memory_stats()["bytes_in_use"]

    def peak_memory(self) -> int:
        """On a GPU or TPU an earlier call of this process may have set the mark: ask the hungriest question last."""
        if self.memory_kind == "process":
            peak = process_memory.peak_bytes()
        else:
            peak = self._device.memory_stats()["peak_bytes_in_use"]
        return max(0, peak - self._in_use_at_reset)

    def compiled(self, mode: str, batch: Mapping[str, np.ndarray]) -> Compiled | None:
        """By XLA's own count of buffers; `cost_analysis` is not asked, for it counts the body of a loop once."""
        with self._scope():
            found = lowered.compile(self._lowered(mode, batch), self.capacity)
        if found is None or self._device.platform != "tpu":
            return found
        return replace(found, complete=False, caveats=(ON_CHIP,))

    def settings(self) -> dict[str, Any]:
        """`threads`: of XLA's pool on the CPU. `denormals`: what became of one in a compiled product just now."""
        return {
            "device": self._device.device_kind,
            "threads": threads.running(),
            "matmul_precision": MATMUL_PRECISION,
            "x64": self._wide,
            "denormals": self._ready(self._denormals),
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        }

    def _lowered(self, mode: str, batch: Mapping[str, np.ndarray]) -> jax.stages.Lowered:
        """A pass on abstract arrays of the shapes of its arguments."""
        import jax

        placed = {name: self._abstract(array) for name, array in batch.items()}
        initial = jax.tree.map(self._abstract, self._initial)
        params = jax.tree.map(self._abstract, self._training.params)
        if mode == "forward":
            return self._functions.begin.lower(params, initial, placed["xs"])
        training = jax.tree.map(self._abstract, jax.eval_shape(self._functions.start, params))
        return self._functions.train.lower(training, initial, placed)

    def _abstract(self, array: Any) -> jax.ShapeDtypeStruct:
        """An array on the device by shape and dtype alone."""
        import jax

        dtype = self._dtype if array.dtype.kind == "f" else array.dtype
        return jax.ShapeDtypeStruct(array.shape, dtype, sharding=jax.sharding.SingleDeviceSharding(self._device))

    def _jacobians(self, xs: Array, states: States | None) -> tuple[States, Array]:
        import jax.numpy as jnp

        states = batched(self._initial, xs.shape[1], jnp.broadcast_to) if states is None else states
        return self._functions.jacobians(self._training.params, states, xs)

    def _trained(self, batch: Batch) -> Array:
        if self._training.memory is None:
            self._training = self._functions.start(self._training.params)
        self._training, loss = self._functions.train(self._training, self._initial, batch)
        return loss

    def _ready(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of `function` once it, and all that training has changed, is there."""
        import jax

        with self._scope():
            answer = function(*arguments)
            jax.block_until_ready(self._training)
            return jax.block_until_ready(answer)

    def _denormals(self) -> str:
        import jax

        tiny = np.finfo(np.float32).tiny
        half = jax.jit(lambda x: x / 2)(jax.device_put(tiny, self._device))
        return "kept" if float(half) else "flushed to zero"


def _prepared(spec: ProgramSpec, params: dict[str, Array]) -> dict[str, Array]:
    """The parameters laid out as the implementation wants them."""
    prepare = spec.implementation.prepare
    if prepare is None:
        return params
    layers = {
        f"layers.{layer}.{name}": array
        for layer in range(spec.model.layers)
        for name, array in prepare(layer_params(params, layer)).items()
    }
    return {**params, **layers}
