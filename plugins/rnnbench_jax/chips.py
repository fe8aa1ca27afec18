"""Chips that are not here, but can be compiled for (jax.experimental.topologies)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import ClassVar

from rnnbench import Skipped
from rnnbench_jax.devices import CUDA_PLUGINS, Device, device, installed

GIB = 2**30


@dataclass(frozen=True)
class Chip(ABC):
    """memory: bytes that it has. compiler: the distributions of which one brings XLA's compiler for it. extra: of
    rnnbench, which installs it. caveats: what a reader of its sizes must know.
    """

    memory: int
    compiler: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    caveats: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def devices(self) -> Sequence[Device]:
        """What to compile for, the first is meant. jax runs on the CPU already."""


@dataclass(frozen=True)
class Tpu(Chip):
    """topology: the smallest that XLA takes by that name. Memory is HBM per chip
    (cloud.google.com/tpu/docs/system-architecture-tpu-vm).
    """

    topology: str
    compiler = ("libtpu",)
    extra = "tpu"

    def devices(self) -> Sequence[Device]:
        """Of libtpu's topology."""
        from jax.experimental import topologies

        return topologies.get_topology_desc(platform="tpu", topology_name=self.topology).devices


@dataclass(frozen=True)
class Gpu(Chip):
    """target: name of the description under `targets`, which says what its numbers are from. Memory is what the driver
    reports.
    """

    target: str
    compiler = CUDA_PLUGINS
    extra = "cuda-compiler"
    caveats = (
        "no kernel was tried out, as XLA does where the GPU is there: with other kernels for products, what it needs "
        "beside the arrays may differ",
        "the size of the machine code is not told for a GPU that is not here",
        "no allocator was asked: what its pools and the CUDA context take comes on top",
    )

    @property
    def description(self) -> str:
        """A GpuTargetConfigProto as text."""
        return (files("rnnbench_jax") / "targets" / f"{self.target}.txtpb").read_text()

    def devices(self) -> Sequence[Device]:
        """One GPU of that description."""
        from jax.experimental import topologies

        asked = {"target_config": self.description, "topology": "1x1x1"}
        return topologies.get_topology_desc(platform="cuda", topology_name="", **asked).devices


CHIPS: Mapping[str, Chip] = {
    "cuda:a100": Gpu(85100068864, "a100"),
    "cuda:h100": Gpu(84942979072, "h100"),
    "tpu:v4": Tpu(32 * GIB, "v4:2x2x1"),
    "tpu:v5e": Tpu(16 * GIB, "v5e:2x2"),
    "tpu:v5p": Tpu(95 * GIB, "v5p:2x2x1"),
    "tpu:v6e": Tpu(32 * GIB, "v6e:2x2"),
}


def problem(name: str) -> str | None:
    """None if XLA can compile for that chip here, else one sentence why not."""
    chip = CHIPS[name]
    if any(installed(package) for package in chip.compiler):
        return None
    return f'compiling for a chip that is not here needs its compiler; `pip install "rnnbench[{chip.extra}]"`'


def chip(name: str, threads: int) -> Device:
    """The device of a chip, to compile for. Raises Skipped with the compiler's own reason where it knows none.

    jax itself is started on the CPU, so that it looks for no other device.
    """
    device("cpu", threads)
    try:
        return CHIPS[name].devices()[0]
    except Exception as error:  # whatever a compiler of another version raises
        found = ", ".join(f"{one} {version}" for one in CHIPS[name].compiler if (version := installed(one)))
        reason = " ".join(str(error).split())[:300]
        raise Skipped(f"{found} cannot compile for {name}: {reason}") from error
