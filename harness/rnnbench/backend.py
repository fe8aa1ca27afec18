"""A framework with its devices, and the programs it builds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.cell import Array
from rnnbench.implementation import Implementation
from rnnbench.model import Model, States, Weights
from rnnbench.model.bptt import Bptt
from rnnbench.task import Batch, Loss, mean_square

if TYPE_CHECKING:
    import numpy as np

Schedule = Literal["constant", "cosine", "linear"]

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam", "adamw")
DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Optimizer:
    """How parameters are updated; every backend gives the same numbers for the same values.

    sgd: p -= lr·g. momentum: v = momentum·v + g, p -= lr·v. rmsprop (Tieleman & Hinton 2012): decay 0.99, eps 1e-8
    outside the root. adam (Kingma & Ba 2015), adamw (Loshchilov & Hutter 2019, decoupled decay): betas 0.9, 0.999, eps
    1e-8. weight_decay: L2 for all but adamw: g += weight_decay·p before the update. clip: global norm of the gradient
    is scaled down to it, None for no clipping.

    schedule, warmup: the learning rate of step t = 0, 1, ..., max_steps − 1, with W = warmup and
    u = (t − W) / (max_steps − W), the share of the steps after the warm-up that is over:

        lr_t = lr·(t + 1)/W             t < W, a linear warm-up (Goyal et al. 2017, arXiv:1706.02677, section 2.2)
        lr_t = lr                       constant
        lr_t = lr·(1 + cos πu)/2        cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, no restarts)
        lr_t = lr·(1 − u)               linear

    Raises ValueError for a schedule other than constant without `max_steps`, or with none left after its warm-up.

    Example:
        >>> from rnnbench import Optimizer
        >>> Optimizer("sgd", lr=1.0, schedule="linear", warmup=2, max_steps=6).rates()
        (0.5, 1.0, 1.0, 0.75, 0.5, 0.25)
    """

    name: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Schedule = "constant"
    warmup: int = 0
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if self.schedule != "constant" and (self.max_steps is None or self.max_steps <= self.warmup):
            raise ValueError(
                f"schedule {self.schedule} needs max_steps above warmup, found max_steps {self.max_steps} and "
                f"warmup {self.warmup}"
            )

    def rate(self, t: int) -> float:
        """lr_t of step t, counted from 0."""
        if t < self.warmup:
            return self.lr * (t + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        assert self.max_steps is not None
        u = (t - self.warmup) / (self.max_steps - self.warmup)
        return self.lr * (1 - u if self.schedule == "linear" else (1 + math.cos(math.pi * u)) / 2)

    def rates(self) -> tuple[float, ...]:
        """lr_0, lr_1, ... up to where it stays: one table for every backend, of which the last entry goes on for ever.

        A single entry where nothing changes.
        """
        last = self.warmup if self.schedule == "constant" else (self.max_steps or 1) - 1
        return tuple(self.rate(t) for t in range(last + 1))


@dataclass(frozen=True)
class ProgramSpec:
    """All a backend needs to build a program.

    model.recurrent_dropout is p of DropConnect on the recurrent matrices (Merity, Keskar & Socher 2018,
    arXiv:1708.02182, section 2, after Wan et al. 2013): in a training step each entry is multiplied by 0 with
    probability p and by 1/(1−p) otherwise. One mask per optimiser step, the same at every time step, in every segment
    and every micro-batch. It acts on parameters before they are used, so every implementation can be trained with it.

    Attributes:
        model: What is built.
        weights: Its initial parameters and states, float64 NumPy.
        implementation: How the cell is run over time.
        device: One of `Backend.devices`.
        dtype: One of `DTYPES`.
        loss: What training minimises.
        metric: What `Program.evaluate` tells beside it; None for nothing.
        optimizer: How a training step updates.
        seed: Of dropout.
        threads: Of the CPU; None for the framework's own choice.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, Implementation, Model, ProgramSpec, initialise, supports_portable
        >>> model = Model(Cell("mine", lambda rng, D, H: ({"W": np.ones((H, D))}, np.zeros(H))), 3, 4)
        >>> loop = Implementation("mine", "torch", supports_portable, build=lambda cell, device, dtype: None)
        >>> ProgramSpec(model, initialise(model, 0), loop, "cpu", "float32").optimizer.name
        'adam'
    """

    model: Model
    weights: Weights
    implementation: Implementation
    device: str
    dtype: str
    loss: Loss = mean_square
    metric: Loss | None = None
    optimizer: Optimizer = field(default_factory=Optimizer)
    seed: int = 0
    threads: int | None = None
    bptt: Bptt = "full"
    segment: int | None = None
    """Time steps per segment where `bptt` is not full: see `rnnbench.model.bptt`."""
    micro_batches: int = 1
    """Parts of a batch whose gradients are taken one after the other before a step: `rnnbench.model.micro_batches`."""


@dataclass(frozen=True)
class Workload:
    """A call that keeps one unit of the machine busy and returns when the device is done; amount: FLOP or bytes.

    Example:
        >>> from rnnbench import Workload
        >>> Workload(lambda: None, amount=2e9).amount
        2000000000.0
    """

    call: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Compiled:
    """What a compiler tells of one pass without running it.

    seconds: of the compilation. peak: bytes that the pass takes above its arguments (parameters, states, batch).
    total: bytes that have to be in the device's memory for it, arguments and code included. capacity: bytes the device
    has, None where that is not known. sizes: as the compiler names them. complete: false where the compiler leaves out
    what it keeps in memory on the chip: `peak` is a lower bound then, `total` what it puts into the device's memory.
    caveats: sentences that a reader of the sizes must know.

    Example:
        >>> from rnnbench import Compiled
        >>> Compiled(seconds=2.5, peak=4096, total=8192, capacity=None, sizes={"temp_size_in_bytes": 4096}).complete
        True
    """

    seconds: float
    peak: int
    total: int
    capacity: int | None
    sizes: Mapping[str, int]
    complete: bool = True
    caveats: tuple[str, ...] = ()


class Program(ABC):
    """One model on one device.

    LAW: every method returns only when the device is done with what was asked. Methods that hand back arrays hand back
    the framework's own arrays on the device; `get` copies one to NumPy.
    """

    memory_kind: str = "process"
    """What `peak_memory` counts: `process` (resident set of this process) or `allocator` (the device's allocator).
    `compiled`: the device is not here, there is nothing but what `compiled` tells, and whatever would run raises
    Skipped.
    """

    @abstractmethod
    def put(self, batch: Mapping[str, np.ndarray]) -> Batch:
        """NumPy arrays onto the device: floating ones in the program's dtype, integers and booleans as they are.

        Args:
            batch: `xs` (T, B, D), and whatever else the loss wants, by name.

        Returns:
            The same names, with the framework's arrays.

        Raises:
            OutOfMemory: The device has no room for it.
        """

    def put_all(self, batches: Sequence[Mapping[str, np.ndarray]]) -> list[Batch]:
        """`put` for many batches, waiting for the device only at the end where a backend can."""
        return [self.put(batch) for batch in batches]

    @abstractmethod
    def get(self, array: Array) -> np.ndarray:
        """A device array as NumPy of the same shape (bfloat16 comes back as float32)."""

    @abstractmethod
    def forward(self, xs: Array, states: States | None = None) -> tuple[States, Array]:
        """Inference. No gradients are kept, dropout is off.

        Args:
            xs: (T, B, D), on the device.
            states: One per layer, with a batch axis; the model's initial states where they are left out.

        Returns:
            (final states, outputs of shape (T, B, O), or (T, B, H) without a head).
        """

    @abstractmethod
    def loss_and_gradients(self, batch: Batch) -> tuple[Array, dict[str, Array], Array]:
        """dL/dθ and dL/dx with dropout off; truncated where the spec says so.

        Args:
            batch: On the device.

        Returns:
            (loss, a scalar; gradient of each parameter by name; gradient of xs, (T, B, D)).
        """

    @abstractmethod
    def backward(self, batch: Batch) -> Callable[[], tuple[dict[str, Array], Array]]:
        """Run the forward pass of `loss_and_gradients` and keep what its backward needs.

        Returns a call that runs the backward pass alone, from the loss to the gradients of every parameter and of xs
        (dropout off), as often as one likes and always to the same numbers: (gradient of each parameter, gradient of
        xs). What is kept lives as long as the call. Always the full gradient, whatever the spec's `bptt`.
        """

    @abstractmethod
    def train_step(self, batch: Batch) -> Array:
        """Forward, backward as the spec's `bptt` says, and one optimiser step, in place: the loss before the step.

        The gradient is that of the whole batch, in as many parts as the spec's `micro_batches` says.
        """

    @abstractmethod
    def train_steps(self, batches: Sequence[Batch]) -> Array:
        """`train_step` on each batch, waiting for the device only at the end.

        Returns:
            The loss before each step, (len(batches),).
        """

    @abstractmethod
    def evaluate(self, batch: Batch) -> dict[str, float]:
        """`loss` and, where the program has one, `metric` on a batch, dropout off."""

    @abstractmethod
    def log_gradient_norms(self, xs: Array, cotangent: Array) -> np.ndarray:
        """ln ‖dL/ds_t‖ for L = Σ_h cotangent_BH · y_T,BH, as float64 (T, B); row k−1 holds lag k, that is t = T − k.

        s_t is the whole recurrent state of all layers after t steps (complex entries count by modulus); s_0 is the
        initial state, at lag T. Backpropagated step by step through `advance_model`, renormalised to unit length at
        every step with the logarithm kept, so 0.5^4096 neither underflows nor is lost. −inf where the gradient is
        exactly zero, NaN or +inf from the step on where it stops being finite.
        """

    @abstractmethod
    def state_jacobians(self, xs: Array, states: States | None = None) -> tuple[States, np.ndarray]:
        """(states after xs_TBD, ∂s_t/∂s_{t−1} for every t and sequence as (T, B, n, n)), in the program's dtype.

        s_t is the whole recurrent state of all layers as n real numbers: layer by layer, leaf by leaf, a complex entry
        as its real part followed by its imaginary part. Row i, column j: entry i of s_t by entry j of s_{t−1}. Through
        `advance_model`, dropout off. From the initial states unless others are given, so that a long sequence can be
        asked for in pieces; T·B·n² numbers come back at once.
        """

    @abstractmethod
    def parameters(self) -> dict[str, np.ndarray]:
        """The current parameters as NumPy, under the names of `Weights.params`."""

    @abstractmethod
    def compilations(self) -> int:
        """How many times the framework has compiled for this program so far; 0 where nothing is compiled."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""

    @abstractmethod
    def reset_peak_memory(self) -> None:
        """Start a new high-water mark."""

    @abstractmethod
    def peak_memory(self) -> int:
        """Bytes at the high-water mark since the reset, above what was in use at the reset."""

    def compiled(self, mode: str, batch: Mapping[str, np.ndarray]) -> Compiled | None:
        """Compile a pass on such a batch without running it.

        Args:
            mode: `forward` or `train`.
            batch: NumPy arrays; only shapes and dtypes matter.

        Returns:
            What the compiler tells, None where none tells its sizes.
        """
        del mode, batch
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of the framework that change speed or numbers: threads, matmul precision, TF32, denormals, ..."""


class Backend(ABC):
    """A framework. Everything but `build` runs in the parent process and must not import the framework."""

    name: str
    preload: tuple[str, ...] = ()
    """Modules imported once, ahead of the fresh process of every case. Importing them must not start threads."""

    @abstractmethod
    def missing(self) -> str | None:
        """None if the framework is installed, else one sentence that says how to install it."""

    @abstractmethod
    def devices(self) -> Mapping[str, str | None]:
        """Every device this backend knows, with None if it looks usable here, else one sentence why not."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Installed versions of the framework and what it computes with, from package metadata."""

    @abstractmethod
    def preferred(self, device: str) -> Sequence[str]:
        """Names of implementations in the order `auto` tries them."""

    def verified_on(self, device: str) -> str:
        """The device on which a case of `device` is verified: another one only where `device` cannot run here."""
        return device

    def ceilings(self, device: str, dtype: str, threads: int | None) -> Mapping[str, Workload]:
        """Work that shows what the device can do at best, set up in this process as `build` would set it up.

        `flops_per_second`: a square product of 2n³ FLOP, large enough to fill the device. `bytes_per_second`: an array
        larger than any cache, read and written once. `activations_per_second`: a sigmoid of as many numbers as a cache
        holds. Empty where the backend has nothing to offer.
        """
        del device, dtype, threads
        return {}

    def products(self, device: str, dtype: str, threads: int | None, batch: int, hidden: int) -> Mapping[str, Workload]:
        """Work that shows what the device can do at best with the small products of a recurrent step.

        `products_per_second.k` for k of 1, 2, 3, 4: products (batch, hidden) by (hidden, k·hidden), 2k·batch·hidden²
        FLOP each, as many in a call as make its dispatch short beside them, all by one matrix. Empty where the backend
        has nothing to offer.
        """
        del device, dtype, threads, batch, hidden
        return {}

    @abstractmethod
    def build(self, spec: ProgramSpec) -> Program:
        """Build the program in this process. Raises `rnnbench.errors.Skipped` for a device that is not there."""
