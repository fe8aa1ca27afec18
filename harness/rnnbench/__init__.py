"""rnnbench: benchmarks recurrent cells across frameworks and hardware.

All that a plugin or a notebook needs is importable from here; see plugins/README.md. Importing it imports no framework.
The contract that plugins are written against comes with it; what belongs to the machine is imported when it is asked
for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnnbench import scans
from rnnbench.adapter import Adapter, Library
from rnnbench.backend import (
    DTYPES,
    OPTIMIZERS,
    Backend,
    Compiled,
    Optimizer,
    Program,
    ProgramSpec,
    Schedule,
    Workload,
)
from rnnbench.cache import cache_folder
from rnnbench.case import AXES, Case
from rnnbench.cell import Array, Cell, Opened, Option, Params, State, leaves, tree_map
from rnnbench.cluster import Cluster, ClusterOptions, Lot, LotOptions, MachineRequest, ShippedFile, Standing
from rnnbench.context import Context
from rnnbench.equal import Equal
from rnnbench.errors import (
    CaseError,
    Diverged,
    OutOfMemory,
    PluginError,
    RnnbenchError,
    Skipped,
    SuiteError,
    UsageError,
    nearest,
)
from rnnbench.executor import Executor, Job, LockstepSession, Outcome, Pace, Request, Session
from rnnbench.hooks import hookimpl
from rnnbench.implementation import (
    Implementation,
    Unroll,
    any_of,
    chunk_implementations,
    module_implementation,
    prefix_unroll,
    supports_chunks,
    supports_linear,
    supports_portable,
    supports_scan,
    supports_step,
)
from rnnbench.measurement import Measurement
from rnnbench.model import (
    Model,
    Pass,
    States,
    Weights,
    advance_model,
    batched,
    bptt,
    initialise,
    layer_params,
    micro_batches,
    run_model,
)
from rnnbench.model.seeds import rng_for, seed_for
from rnnbench.ops import ACTIVATIONS, EPS, Ops, numpy_ops
from rnnbench.part import STATUSES, Conditions, Part, Status
from rnnbench.probe import Probe
from rnnbench.quantity import Curve, Level, Quantity, Ratio, Reading, Value
from rnnbench.ranges import Count, Index, NotNegative, Positive, Share
from rnnbench.record import Record
from rnnbench.reduction import Reduction
from rnnbench.task import Batch, Loss, Task, mean_square
from rnnbench.timings import Interval, Timing, View

if TYPE_CHECKING:
    from rnnbench.lot_queue import LotQueue
    from rnnbench.lots import perform_lot
    from rnnbench.measure import process_memory, timing
    from rnnbench.measure.statistics import median_interval, quantile_interval
    from rnnbench.measure.timing import TimingSettings
    from rnnbench.notebook import Run, RunComparison, compare, load, run
    from rnnbench.probes.gradient import lyapunov
    from rnnbench.probes.work import random_batch, unit_of_work
    from rnnbench.registry.plugin_files import import_file
    from rnnbench.worker import perform

__version__ = "0.1.0"

_LAZY = {
    "LotQueue": "rnnbench.lot_queue",
    "Run": "rnnbench.notebook",
    "RunComparison": "rnnbench.notebook",
    "TimingSettings": "rnnbench.measure.timing",
    "compare": "rnnbench.notebook",
    "import_file": "rnnbench.registry.plugin_files",
    "load": "rnnbench.notebook",
    "lyapunov": "rnnbench.probes.gradient",
    "median_interval": "rnnbench.measure.statistics",
    "perform": "rnnbench.worker",
    "perform_lot": "rnnbench.lots",
    "process_memory": "rnnbench.measure",
    "quantile_interval": "rnnbench.measure.statistics",
    "random_batch": "rnnbench.probes.work",
    "run": "rnnbench.notebook",
    "timing": "rnnbench.measure",
    "unit_of_work": "rnnbench.probes.work",
}
"""Name -> the module it is imported from when it is first asked for (PEP 562)."""

__all__ = [
    "ACTIVATIONS",
    "AXES",
    "DTYPES",
    "EPS",
    "OPTIMIZERS",
    "STATUSES",
    "Adapter",
    "Array",
    "Backend",
    "Batch",
    "Case",
    "CaseError",
    "Cell",
    "Cluster",
    "ClusterOptions",
    "Compiled",
    "Conditions",
    "Context",
    "Count",
    "Curve",
    "Diverged",
    "Equal",
    "Executor",
    "Implementation",
    "Index",
    "Interval",
    "Job",
    "Level",
    "Library",
    "LockstepSession",
    "Loss",
    "Lot",
    "LotOptions",
    "LotQueue",
    "MachineRequest",
    "Measurement",
    "Model",
    "NotNegative",
    "Opened",
    "Ops",
    "Optimizer",
    "Option",
    "OutOfMemory",
    "Outcome",
    "Pace",
    "Params",
    "Part",
    "Pass",
    "PluginError",
    "Positive",
    "Probe",
    "Program",
    "ProgramSpec",
    "Quantity",
    "Ratio",
    "Reading",
    "Record",
    "Reduction",
    "Request",
    "RnnbenchError",
    "Run",
    "RunComparison",
    "Schedule",
    "Session",
    "Share",
    "ShippedFile",
    "Skipped",
    "Standing",
    "State",
    "States",
    "Status",
    "SuiteError",
    "Task",
    "Timing",
    "TimingSettings",
    "Unroll",
    "UsageError",
    "Value",
    "View",
    "Weights",
    "Workload",
    "advance_model",
    "any_of",
    "batched",
    "bptt",
    "cache_folder",
    "chunk_implementations",
    "compare",
    "hookimpl",
    "import_file",
    "initialise",
    "layer_params",
    "leaves",
    "load",
    "lyapunov",
    "mean_square",
    "median_interval",
    "micro_batches",
    "module_implementation",
    "nearest",
    "numpy_ops",
    "perform",
    "perform_lot",
    "prefix_unroll",
    "process_memory",
    "quantile_interval",
    "random_batch",
    "rng_for",
    "run",
    "run_model",
    "scans",
    "seed_for",
    "supports_chunks",
    "supports_linear",
    "supports_portable",
    "supports_scan",
    "supports_step",
    "timing",
    "tree_map",
    "unit_of_work",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        hint = "" if name.startswith("_") else nearest(name, __all__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{hint}")
    source = import_module(_LAZY[name])
    found = getattr(source, name, None) or import_module(f"{source.__name__}.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
