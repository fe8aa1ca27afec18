"""Which devices are there, how to wait for them, and what torch is told about them."""

from __future__ import annotations

import math
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICES = ("cpu", "cuda")
INSTALL = 'torch is not installed: pip install "rnnbench[torch]"'


def missing() -> str | None:
    """None if torch and its array namespace are installed."""
    return None if find_spec("torch") and find_spec("array_api_compat") else INSTALL


def available() -> dict[str, str | None]:
    """Device -> None, or why it is not usable. Looks at files only, so that torch need not be imported."""
    absent = missing()
    return {"cpu": absent, "cuda": absent or _no_cuda()}


def _no_cuda() -> str | None:
    if not _built_for_gpu():
        return "the installed torch is built without CUDA: see https://pytorch.org/get-started for one that has it"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset") in ("", "-1"):
        return "no CUDA device: CUDA_VISIBLE_DEVICES hides them all"
    # Linux and its WSL; the driver creates these.
    if not any(Path("/proc/driver/nvidia/gpus").glob("*")) and not any(
        map(os.path.exists, ("/dev/nvidia0", "/dev/dxg"))
    ):
        return "no CUDA device: no NVIDIA driver is loaded on this machine"
    return None


def _built_for_gpu() -> bool:
    """Read off torch/version.py, as `cuda: Optional[str] = '12.6'`."""
    spec = find_spec("torch")
    assert spec is not None and spec.origin is not None
    text = (Path(spec.origin).parent / "version.py").read_text()
    return re.search(r"^cuda\b.*=\s*['\"]", text, re.MULTILINE) is not None


def synchronizer(device: str) -> Callable[[], None]:
    """What waits for `device`. Raises ValueError for one it knows no way to wait for: never time without waiting."""
    if device == "cpu":
        return lambda: None
    if device == "cuda":
        import torch

        return torch.cuda.synchronize
    raise ValueError(f"no way to wait for device {device!r}; known are {', '.join(DEVICES)}")


def physical_cores() -> int:
    """Physical cores this process may use: affinity counted without hyper-threads, at most the cgroup's CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len({_siblings(cpu) for cpu in os.sched_getaffinity(0)})
    else:
        import psutil

        cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _siblings(cpu: int) -> str:
    """The hyper-threads that share a core with `cpu`; `cpu` alone where the kernel does not say."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """CPUs the control group grants (cgroup v2, cpu.max: `quota period` in µs), rounded up."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no cgroup v2, or `max`
        return 2**31


def configure(threads: int | None) -> None:
    """Make float32 mean float32 and the thread count explicit. These settings belong to the whole process.

    TF32 is off for products and cuDNN (torch's default leaves it on for cuDNN), so that rows of different devices are
    computed alike. cuDNN's autotuner stays off: it would make the first call choose the kernel. Deterministic
    algorithms are not enforced: torch has none for some RNN kernels. Denormals are kept, which is torch's default.
    """
    import torch

    torch.set_num_threads(threads or physical_cores())
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.set_flush_denormal(False)


def settings(device: str) -> dict[str, Any]:
    """What is in force now, asked of torch rather than remembered."""
    import torch

    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "flush_denormal": _flushes_denormals(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    if device == "cpu":
        return found | {
            "onednn": torch.backends.mkldnn.is_available(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
    return found | {
        "device_name": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def _flushes_denormals() -> bool:
    """torch can set the mode but not tell it: see what becomes of the denormal 1e-40."""
    import torch

    return not bool(torch.tensor(1e-40).mul(1.0))
