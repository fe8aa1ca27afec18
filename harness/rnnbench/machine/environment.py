"""Where a number was made: machine, software, and the state they were in.

A snapshot has three parts. `machine` and `software` are stable and make up `environment_id`; `state` is what differs
from one minute to the next. What the system does not tell is None, never a guess. Names of hosts, users and folders
are left out, so that a record can be published.
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.case import digest
from rnnbench.machine import cores
from rnnbench.measure.disturbance import stolen_seconds

TOOL_TIMEOUT = 10.0
"""Seconds to wait for nvidia-smi or git: the first takes seconds where the driver has to wake up, and hangs with it."""

THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "KMP_AFFINITY", "OMP_PROC_BIND", "OMP_WAIT_POLICY"),
    *("XLA_FLAGS", "JAX_DISABLE_JIT", "JAX_COMPILATION_CACHE_DIR", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64"),
    *("JAX_DISABLE_MOST_OPTIMIZATIONS", "JAX_DEBUG_NANS", "JAX_DEBUG_INFS", "JAX_ENABLE_CHECKS"),
    *("JAX_CHECK_TRACER_LEAKS", "JAX_DEFAULT_PRNG_IMPL", "JAX_NUMPY_DTYPE_PROMOTION", "TORCHDYNAMO_DISABLE"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG", "ONEDNN_MAX_CPU_ISA"),
    *("TORCH_COMPILE_DISABLE", "CUDA_LAUNCH_BLOCKING", "TF_CUDNN_DETERMINISTIC"),
    *("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    *("GOMP_CPU_AFFINITY", "OMP_PLACES", "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "NPROC"),
)
"""Environment variables that change how fast the same code runs, or its numbers."""

MOMENTARY = ("time", "load_average", "steal_seconds")
"""What of the state is another at every look."""

HARMLESS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""For every git call: no program of the user's configuration or of the repository's runs unasked."""

GPU_FIELDS = {
    "name": "name",
    "driver": "driver_version",
    "memory_mib": "memory.total",
    "persistence": "persistence_mode",
    "clock_mhz": "clocks.sm",
    "clock_max_mhz": "clocks.max.sm",
    "memory_clock_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "throttle_reasons": "clocks_throttle_reasons.active",
}
"""Our name -> nvidia-smi's. Throttle reasons are a bit mask; 0x1 is idle, anything from 0x4 on holds the clock down."""

_STABLE_GPU = ("name", "driver", "memory_mib", "clock_max_mhz")
_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def snapshot(versions: Mapping[str, str], folder: Path | None = None) -> dict[str, Any]:
    """Everything as JSON values. versions: package -> version, of the backends; `folder` is asked for its git commit.

    Takes some 10 ms, and as long as nvidia-smi takes where there is one.
    """
    gpus = nvidia()
    return {
        "machine": machine() | {"gpus": [{key: gpu.get(key) for key in _STABLE_GPU} for gpu in gpus]},
        "software": {
            "os": platform.system(),
            "kernel": platform.release(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "versions": {"numpy": importlib.metadata.version("numpy"), **dict(sorted(versions.items()))},
        },
        "state": {
            "time": time.time(),
            "load_average": list(os.getloadavg()),
            "steal_seconds": stolen_seconds(),
            "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
            "gpus": gpus,
            "git": git_state(folder or Path.cwd()),
        },
    }


def environment_id(environment: Mapping[str, Any]) -> str:
    """12 hex digits that are equal for two snapshots whenever their machine and software are."""
    return digest([environment["machine"], environment["software"]])


def machine() -> dict[str, Any]:
    """Processor and memory. Sizes are bytes; `cores_allowed` respects affinity, `cpu_quota` is the container's limit in
    cores; `memory` is rounded to 64 MiB, of which virtual machines vary from boot to boot.
    """
    import psutil

    information = _cpuinfo()
    return {
        "architecture": platform.machine(),
        "cpu": information.get("model name") or platform.processor() or None,
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(logical=True),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cpu_quota": cores.quota(_CGROUP),
        "memory": _rounded(psutil.virtual_memory().total),
        "memory_limit": _number(_first_line(_CGROUP / "memory.max")),
        "governor": _first_line(_CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
        "virtual": "hypervisor" in information["flags"].split() if "flags" in information else None,
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """`{"commit": 40 hex digits, "dirty": changed tracked files}`; None without git, repository, or first commit."""
    described = _output(
        ["git", *HARMLESS, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        {"GIT_OPTIONAL_LOCKS": "0"},  # only look: others may be committing in this folder
    )
    match = re.fullmatch(r"([0-9a-f]{40,64})(-dirty)?", (described or "").strip())
    return {"commit": match[1], "dirty": match[2] is not None} if match else None


def git_refusal(folder: Path) -> str | None:
    """What git says where it will not look at a repository because somebody else owns it; None otherwise."""
    if shutil.which("git") is None:
        return None
    command = ["git", *HARMLESS, "-C", str(folder), "rev-parse", "--show-toplevel"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return refused(done.stderr)


def refused(message: str) -> str | None:
    """What to do where git will not look at a folder that somebody else owns, None where it is about something else."""
    if "dubious ownership" not in message:
        return None
    return (
        f"git does not read this repository: {' '.join(message.split())} (it belongs to another user, as often in a "
        f"container: run the command that git names, or as that user)"
    )


def nvidia() -> list[dict[str, Any]]:
    """One entry per NVIDIA GPU with the keys of `GPU_FIELDS`; empty without nvidia-smi or where it fails."""
    query = f"--query-gpu={','.join(GPU_FIELDS.values())}"
    text = _output(["nvidia-smi", query, "--format=csv,noheader,nounits"])
    rows = csv.reader((text or "").splitlines(), skipinitialspace=True)
    return [
        {key: _number_or_text(cell) for key, cell in zip(GPU_FIELDS, row, strict=True)}
        for row in rows
        if len(row) == len(GPU_FIELDS)
    ]


def _number_or_text(text: str) -> str | float | None:
    """A cell of nvidia-smi: a number, a word, or None for `[N/A]` and its like."""
    number = _number(text)
    return None if text.startswith("[") else text if number is None else number


def available_memory() -> float:
    """Bytes that can be taken without swapping: of the machine or, where that is less, of this process's container."""
    import psutil

    available = float(psutil.virtual_memory().available)
    limit, used = (_number(_first_line(_CGROUP / f"memory.{name}")) for name in ("max", "current"))
    if limit is None or used is None:
        return available
    return min(available, limit - used + _page_cache())


def _page_cache() -> float:
    """Bytes of files that the container holds in memory and would give back."""
    try:
        found = re.search(r"^inactive_file (\d+)$", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return float(found[1]) if found else 0.0


def _turbo() -> bool | None:
    """Whether the clock may rise above its nominal rate, where the driver tells."""
    no_turbo = _first_line(_CPU / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _first_line(_CPU / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo; on macOS, its brand."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        brand = _output(["sysctl", "-n", "machdep.cpu.brand_string"])
        return {"model name": brand.strip()} if brand else {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _rounded(size: int, unit: int = 64 * 2**20) -> int:
    return round(size / unit) * unit


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return int(value) if value is not None and value.is_integer() else value


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError:
        return None


def _output(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str | None:
    """What a command printed; None if it is not installed, fails, or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    environment = {**os.environ, "LC_ALL": "C", **(variables or {})}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_TIMEOUT, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
