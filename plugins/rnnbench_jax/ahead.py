"""A program for a chip that is not here: it is compiled, and nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rnnbench import ProgramSpec, Skipped
from rnnbench_jax.chips import CHIPS
from rnnbench_jax.devices import Device
from rnnbench_jax.program import MATMUL_PRECISION, JaxProgram

if TYPE_CHECKING:
    from rnnbench import Batch, Compiled


class AheadProgram(JaxProgram):
    """A program for a chip that is not here: `compiled` is all it can be asked."""

    def __init__(self, spec: ProgramSpec, device: Device) -> None:
        self.capacity = CHIPS[spec.device].memory
        self._name = spec.device
        super().__init__(spec, device)
        self.memory_kind = "compiled"

    def settings(self) -> dict[str, Any]:
        """The chip, and what XLA was told."""
        return {"device": self._device.device_kind, "matmul_precision": MATMUL_PRECISION, "x64": self._wide}

    def compiled(self, mode: str, batch: Mapping[str, np.ndarray]) -> Compiled | None:
        """As of any program, with what to know of a chip that was not asked."""
        found = super().compiled(mode, batch)
        return found and replace(found, caveats=(*found.caveats, *CHIPS[self._name].caveats))

    def put(self, batch: Mapping[str, np.ndarray]) -> Batch:
        """Raises Skipped: nothing can be put on a device that is not here."""
        del batch
        self._refuse()

    def reset_peak_memory(self) -> None:
        """Raises Skipped."""
        self._refuse()

    def peak_memory(self) -> int:
        """Raises Skipped."""
        self._refuse()

    def _placed(self, array: np.ndarray) -> Any:
        dtype = np.asarray(array).dtype
        if dtype.kind == "c":
            dtype = np.dtype(np.complex128 if self._wide else np.complex64)
        return self._abstract(np.empty(np.shape(array), dtype))

    def _ready(self, function: Callable[..., Any], *arguments: Any) -> NoReturn:
        del function, arguments
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Skipped(f"{self._name} is not here: the case can be compiled for it, not run; ask the probe `memory`")
