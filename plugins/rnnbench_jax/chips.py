"""TPUs that are not here, but can be compiled for (jax.experimental.topologies)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnbench import Skipped
from rnnbench_jax.devices import Device, device, installed

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """topology: the smallest that XLA takes by that name; its first device is meant. memory: bytes of HBM per chip
    (cloud.google.com/tpu/docs/system-architecture-tpu-vm).
    """

    topology: str
    memory: int


CHIPS: Mapping[str, Chip] = {
    "tpu:v4": Chip("v4:2x2x1", 32 * GIB),
    "tpu:v5e": Chip("v5e:2x2", 16 * GIB),
    "tpu:v5p": Chip("v5p:2x2x1", 95 * GIB),
    "tpu:v6e": Chip("v6e:2x2", 32 * GIB),
}


def problem() -> str | None:
    """None if XLA can compile for TPUs here, else one sentence why not."""
    if installed("libtpu") is None:
        return 'compiling for a TPU that is not here needs its compiler; `pip install "rnnbench[tpu]"`'
    return None


def chip(name: str, threads: int) -> Device:
    """The device of a chip, to compile for. Raises Skipped with the compiler's own reason where it knows none.

    jax itself is started on the CPU, so that it does not look for a TPU.
    """
    from jax.experimental import topologies

    device("cpu", threads)
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=CHIPS[name].topology).devices[0]
    except Exception as error:  # whatever libtpu of another version raises
        raise Skipped(f"libtpu {installed('libtpu')} cannot compile for {name}: {str(error)[:300]}") from error
