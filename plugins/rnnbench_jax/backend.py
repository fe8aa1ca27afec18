"""The JAX backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnbench import Backend, Program, ProgramSpec, Skipped, Workload, leaves
from rnnbench_jax import chips
from rnnbench_jax import threads as pool
from rnnbench_jax.devices import CUDA_PLUGINS, cuda_problem, installed, tpu_problem
from rnnbench_jax.devices import device as find_device

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
        """cpu, cuda and tpu, judged by installed packages and device files; `cuda:h100`, `tpu:v5e` and their like to
        compile for.
        """
        here = {"cpu": None, "cuda": cuda_problem(), "tpu": tpu_problem()}
        return here | {name: chips.problem(name) for name in chips.CHIPS}

    def verified_on(self, device: str) -> str:
        """The CPU for a chip that is not here."""
        return "cpu" if device in chips.CHIPS else device

    def versions(self) -> dict[str, str]:
        """jax, what it computes with, and optax."""
        found = {package: installed(package) for package in (*REQUIRED, *CUDA_PLUGINS, "libtpu")}
        return {package: version for package, version in found.items() if version is not None}

    def preferred(self, device: str) -> Sequence[str]:
        """A loop is quicker on a CPU, where the log T passes of a parallel scan find no cores to share them."""
        parallel = ("associative_scan", "chunkwise", "prefix_scan")
        return ("module", "scan", *parallel) if device == "cpu" else ("module", *parallel, "scan")

    def ceilings(self, device: str, dtype: str, threads: int | None) -> Mapping[str, Workload]:
        """A large product, a large stream and a sigmoid, under the settings of a program."""
        from rnnbench_jax import ceilings
        from rnnbench_jax.program import MATMUL_PRECISION

        self._require(device)
        return ceilings.workloads(find_device(device, pool.wanted(threads)), dtype, MATMUL_PRECISION)

    def products(self, device: str, dtype: str, threads: int | None, batch: int, hidden: int) -> Mapping[str, Workload]:
        """Products by one matrix in a loop of XLA's, under the settings of a program."""
        from rnnbench_jax import ceilings
        from rnnbench_jax.program import MATMUL_PRECISION

        self._require(device)
        found = find_device(device, pool.wanted(threads))
        return ceilings.products(found, dtype, MATMUL_PRECISION, batch, hidden)

    def build(self, spec: ProgramSpec) -> Program:
        """Compile nothing yet. Raises Skipped for an absent device or a dtype the cell's state cannot have."""
        from rnnbench_jax.program import JaxProgram

        self._require(spec.device)
        problem = _dtype_problem(spec)
        if problem is not None:
            raise Skipped(problem)
        if spec.device in chips.CHIPS:
            from rnnbench_jax.ahead import AheadProgram

            return AheadProgram(spec, chips.chip(spec.device, pool.wanted(spec.threads)))
        return JaxProgram(spec, find_device(spec.device, pool.wanted(spec.threads)))

    def _require(self, name: str) -> None:
        """Raises Skipped where the device is not there."""
        known = self.devices()
        if name not in known:
            raise Skipped(f"backend 'jax' knows no device {name!r}; it knows {', '.join(known)}")
        problem = self.missing() or known[name]
        if problem is not None:
            raise Skipped(problem)


def _dtype_problem(spec: ProgramSpec) -> str | None:
    """Complex numbers come in pairs of float32 or of float64 only."""
    kinds = {leaf.dtype.kind for state in spec.weights.states for leaf in leaves(state)}
    if "c" in kinds and spec.dtype not in ("float32", "float64"):
        return f"cell {spec.model.cell.name!r} has a complex state, and there is no complex {spec.dtype}; use float32"
    return None
