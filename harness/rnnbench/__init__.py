"""rnnbench: benchmarks recurrent cells across frameworks and hardware.

What a plugin needs is here; see plugins/README.md.
"""

from rnnbench.backend import Backend, Optimizer, Program, ProgramSpec
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.executor import Executor, Outcome
from rnnbench.hooks import hookimpl
from rnnbench.implementation import Implementation, any_of, supports_linear, supports_portable
from rnnbench.model import Model, Weights
from rnnbench.probe import Probe
from rnnbench.quantity import Curve, Measurement, Quantity, Value
from rnnbench.record import Record
from rnnbench.task import Task

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Case",
    "Cell",
    "Curve",
    "Executor",
    "Implementation",
    "Measurement",
    "Model",
    "Optimizer",
    "Outcome",
    "Probe",
    "Program",
    "ProgramSpec",
    "Quantity",
    "Record",
    "Task",
    "Value",
    "Weights",
    "any_of",
    "hookimpl",
    "supports_linear",
    "supports_portable",
]
