"""The JAX backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnbench.backend import Backend, Program, ProgramSpec
from rnnbench.cell import leaves
from rnnbench.errors import Skipped
from rnnbench_jax import threads
from rnnbench_jax.devices import CUDA_PLUGINS, cuda_problem, device, installed, tpu_problem

REQUIRED = ("jax", "jaxlib", "optax")


class JaxBackend(Backend):
    """jax with XLA, on the CPU, NVIDIA GPUs and TPUs."""

    name = "jax"
    preload = ("jax", "jax.numpy", "optax")

    def missing(self) -> str | None:
        """None, or the packages that are not installed and the command that installs them."""
        absent = [package for package in REQUIRED if installed(package) is None]
        return f'{", ".join(absent)} not installed: pip install "rnnbench[jax]"' if absent else None

    def devices(self) -> Mapping[str, str | None]:
        """cpu, cuda and tpu, judged by installed packages and device files."""
        return {"cpu": None, "cuda": cuda_problem(), "tpu": tpu_problem()}

    def versions(self) -> dict[str, str]:
        """jax, what it computes with, and optax."""
        found = {package: installed(package) for package in (*REQUIRED, *CUDA_PLUGINS, "libtpu")}
        return {package: version for package, version in found.items() if version is not None}

    def preferred(self, device: str) -> Sequence[str]:
        """A loop is quicker on a CPU, where the log T passes of a parallel scan find no cores to share them."""
        return ("scan", "associative_scan") if device == "cpu" else ("associative_scan", "scan")

    def build(self, spec: ProgramSpec) -> Program:
        """Compile nothing yet. Raises Skipped for an absent device or a dtype the cell's state cannot have."""
        from rnnbench_jax.program import JaxProgram

        known = self.devices()
        if spec.device not in known:
            raise Skipped(f"backend 'jax' knows no device {spec.device!r}; it knows {', '.join(known)}")
        problem = self.missing() or known[spec.device] or _dtype_problem(spec)
        if problem is not None:
            raise Skipped(problem)
        return JaxProgram(spec, device(spec.device, threads.wanted(spec.threads)))


def _dtype_problem(spec: ProgramSpec) -> str | None:
    """Complex numbers come in pairs of float32 or of float64 only."""
    kinds = {leaf.dtype.kind for state in spec.weights.states for leaf in leaves(state)}
    if "c" in kinds and spec.dtype not in ("float32", "float64"):
        return f"cell {spec.model.cell.name!r} has a complex state, and there is no complex {spec.dtype}; use float32"
    return None
