"""Which devices look usable, told without importing jax, and the device itself once it is wanted."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Any

from rnnbench import CaseError, Skipped
from rnnbench_jax.threads import pool_of

Device = Any
"""A jax.Device, which is a class only once jax is imported."""
CUDA_PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
_PLATFORMS = {"cpu": "cpu", "cuda": "cuda,cpu", "tpu": "tpu,cpu"}
_DEBUGGING = ("jax_debug_nans", "jax_debug_infs", "jax_enable_checks", "jax_check_tracer_leaks")


def installed(package: str) -> str | None:
    """Version of an installed distribution, None if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cuda_problem() -> str | None:
    """None if jax can be expected to find an NVIDIA GPU, else one sentence why not."""
    if not any(installed(package) for package in CUDA_PLUGINS):
        return 'jax has no CUDA support here; `pip install "jax[cuda13]"`, or cuda12 for an older driver'
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")):
        return "no NVIDIA driver is loaded (there is no /dev/nvidiactl)"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    return None


def tpu_problem() -> str | None:
    """None if jax can be expected to find a TPU, else one sentence why not."""
    if not any(Path("/dev").glob("accel[0-9]*")) and not any(Path("/dev").glob("vfio/[0-9]*")):
        return "no TPU is attached to this machine"
    if installed("libtpu") is None:
        return 'jax has no TPU support here; `pip install "jax[tpu]"`'
    return None


def device(name: str, threads: int) -> Device:
    """The first device of that name. Raises Skipped with jax's own reason where there is none.

    threads: size of the CPU's pool, if this call is the first of the process to start jax's client.

    jax starts every platform it knows at once, and a GPU that is only there takes most of its memory with it; so the
    first call of a process says which platform is meant, unless JAX_PLATFORMS does.
    """
    import jax

    if jax.config.values["jax_disable_jit"]:
        raise CaseError(
            "JAX_DISABLE_JIT is set: jax would run operation by operation, and its times would say nothing; unset it"
        )
    for flag in _DEBUGGING:
        if jax.config.values[flag]:
            raise CaseError(
                f"{flag.upper()} is set: jax would look at every result or trace twice, and its times would say "
                "nothing; unset it"
            )
    jax.config.update("jax_enable_compilation_cache", False)  # a first call is told with its compilation
    if not jax.config.values["jax_platforms"]:
        jax.config.update("jax_platforms", _PLATFORMS[name])
    try:
        with pool_of(threads):
            return jax.devices(name)[0]
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise Skipped(f"jax finds no device {name!r}: {reason}") from error
