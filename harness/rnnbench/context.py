"""What a probe is given: one case with its names looked up, and the programs it can build from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Optimizer, Program, ProgramSpec
from rnnbench.case import Case
from rnnbench.cell import Cell, Option
from rnnbench.model import Model, Weights, initialise
from rnnbench.model.bptt import Bptt, bptt_of
from rnnbench.model.seeds import rng_for, seed_for
from rnnbench.task import Loss, Task, mean_square

if TYPE_CHECKING:
    import numpy as np

    from rnnbench.backend import Backend
    from rnnbench.implementation import Implementation


@dataclass(frozen=True)
class Context:
    """One case, looked up. `settings` is an instance of the probe's settings class. Sizes are those of the case.

    Random streams are named, never counted, and no name contains the backend, implementation or device: weights and
    data are the same numbers everywhere.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Case, Cell, Context
        >>> cell = Cell("mine", init=lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> case = Case("memory", "mine", "torch", "eager", "cpu", "float32", 8, 2, hidden_size=4, input_size=3)
        >>> context = Context(case, cell, {}, backend=None, implementation=None, settings=None)
        >>> context.inputs().shape, context.weights().count
        ((8, 2, 3), 12)
    """

    case: Case
    cell: Cell
    cell_options: Mapping[str, Option]
    backend: Backend
    implementation: Implementation
    settings: Any
    task: Task | None = None
    task_options: Mapping[str, Option] | None = None
    ceilings: Mapping[str, float] | None = None
    """`flops_per_second` and `bytes_per_second` of the case's device at best, None where they are not known."""
    twin: tuple[Cell, Mapping[str, Option]] | None = None
    """The portable cell that the case's cell, a class of a library, is equal to, and its options."""
    cores: int | None = None
    """Physical cores this process may use: the threads of a program whose case names none."""

    @property
    def model(self) -> Model:
        """The model of this case: with a head where there is a task, without one elsewhere.

        The probe's settings may ask for an `embedding` and a `recurrent_dropout`.
        """
        case = self.case
        outputs = None if self.task is None else self.task.outputs(**(self.task_options or {}))
        return Model(
            cell=self.cell,
            input_size=case.input_size,
            hidden_size=case.hidden_size,
            layers=case.layers,
            output_size=outputs,
            dropout=case.dropout,
            cell_options=self.cell_options,
            recurrent_dropout=case.settings.get("recurrent_dropout", 0.0),
            embedding=case.settings.get("embedding"),
        )

    @property
    def bptt(self) -> tuple[Bptt, int | None]:
        """How gradients go back through time, and the length of a segment: `rnnbench.model.bptt`."""
        return bptt_of(self.case.settings)

    @property
    def modes(self) -> tuple[Any, ...]:
        """The passes that the settings ask for and the implementation has: forward alone, where it has no gradients."""
        asked = self.settings.modes
        return asked if self.implementation.differentiable else tuple(mode for mode in asked if mode == "forward")

    def weights(self, *names: object) -> Weights:
        """The initial weights of the model.

        Args:
            *names: Single out a replicate; the same names give the same numbers on every backend.

        Returns:
            float64 NumPy parameters, and a state without batch axis per layer.
        """
        return initialise(self.model, self.case.seed, *names)

    def program(
        self,
        weights: Weights | None = None,
        *,
        loss: Loss = mean_square,
        metric: Loss | None = None,
        optimizer: Optimizer | None = None,
        dtype: str | None = None,
    ) -> Program:
        """Build the model on the case's backend and device, to be trained with the `bptt` of the case's settings.

        Args:
            weights: Initial weights; by default those of `weights()`.
            loss: What training minimises, and gradients are of.
            metric: What `Program.evaluate` tells beside the loss.
            optimizer: How a training step updates; Adam with its defaults where it is left out.
            dtype: Another one than the case's.

        Returns:
            A program whose calls return when the device is done.

        Raises:
            Skipped: The device is not there, or the implementation cannot run the cell on it.
            OutOfMemory: The model does not fit.
        """
        case = self.case
        bptt, segment = self.bptt
        spec = ProgramSpec(
            model=self.model,
            weights=self.weights() if weights is None else weights,
            implementation=self.implementation,
            device=case.device,
            dtype=dtype or case.dtype,
            loss=loss,
            metric=metric,
            optimizer=optimizer or Optimizer(),
            seed=seed_for(case.seed, "program") % 2**31,
            threads=case.threads or self.cores,
            bptt=bptt,
            segment=segment,
            micro_batches=case.settings.get("micro_batches", 1),
        )
        return self.backend.build(spec)

    def rng(self, *names: object) -> np.random.Generator:
        """A random stream of this case's seed, by name: the same names give the same stream everywhere."""
        return rng_for(self.case.seed, *names)

    def inputs(self, *names: object, seq_len: int | None = None) -> np.ndarray:
        """Standard normal inputs. Zeros would be unlike any data, and some kernels are faster on them.

        Args:
            *names: Single out a draw.
            seq_len: T, by default the case's.

        Returns:
            xs, (T, B, D), float64.
        """
        case = self.case
        shape = (seq_len or case.seq_len, case.batch_size, case.input_size)
        return self.rng("inputs", *shape, *names).standard_normal(shape)
