"""A small registry for the suite's tests: real cells, tasks and probes, none of which is ever run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from annotated_types import Gt

from rnnbench import Backend, Cell, Executor, Implementation, Probe, Task, suite, supports_portable


def _never(*args, **kwargs) -> Any:
    raise AssertionError("planning a suite runs nothing")


class PlannedBackend(Backend):
    """A backend that knows its devices and can build nothing."""

    def __init__(self, name: str, devices: tuple[str, ...]) -> None:
        self.name = name
        self._devices = devices

    def missing(self) -> str | None:
        return "not installed"

    def devices(self) -> Mapping[str, str | None]:
        return dict.fromkeys(self._devices, "absent here")

    versions = preferred = build = _never


@dataclass(frozen=True)
class ThroughputSettings:
    modes: tuple[Literal["forward", "train"], ...] = ("forward", "train")
    budget: float = 1.0


@dataclass(frozen=True)
class NoSettings:
    pass


@dataclass(frozen=True)
class ConvergenceSettings:
    task: str
    optimizer: Literal["sgd", "adam"] = "adam"
    lr: float = 1e-3
    max_steps: Annotated[int, Gt(0)] = 1000
    clip: float | None = None
    nesterov: bool = False
    replicate: int = 0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, found {self.lr}")


def _cell(name: str, **options) -> Cell:
    return Cell(name, init=_never, step=_never, options=options)


def _probe(name: str, settings: type, **more) -> Probe:
    return Probe(name, version=1, settings=settings, quantities=(), measure=_never, **more)


def _task(name: str, inputs, shortest: int, **options) -> Task:
    return Task(
        name,
        input_size=inputs,
        output_size=1,
        batch=_never,
        loss=_never,
        chance=_never,
        solved=_never,
        check=lambda T, **given: None if shortest <= T else f"it needs at least {shortest} steps",
        options=options,
    )


def registry(**changes) -> Any:
    """Four cells, two backends, three tasks, four probes; `changes` replace whole mappings."""
    cells = [_cell("rnn"), _cell("lstm", forget_bias=0.0, peephole=False), _cell("gru"), _cell("lru", r_min=0.5)]
    backends = [PlannedBackend("torch", ("cpu", "cuda")), PlannedBackend("jax", ("cpu", "cuda", "tpu"))]
    tasks = [
        _task("adding", 2, shortest=2),
        _task("copy", lambda symbols: symbols + 2, shortest=21, symbols=8),
        _task("digits", 1, shortest=64),
    ]
    probes = [
        _probe("throughput", ThroughputSettings),
        _probe("memory", NoSettings, ignores=("dropout",)),
        _probe("gradient", NoSettings, ignores=("implementation", "dtype", "batch_size")),
        _probe("convergence", ConvergenceSettings, uses_task=True),
    ]
    implementations = [("torch", "eager"), ("torch", "native"), ("jax", "scan")]
    named: dict[str, Any] = {
        "cells": {cell.name: cell for cell in cells},
        "backends": {backend.name: backend for backend in backends},
        "tasks": {task.name: task for task in tasks},
        "probes": {probe.name: probe for probe in probes},
        "executors": {
            "local": Executor("local", _never),
            "forkserver": Executor("forkserver", _never),
            "inline": Executor("inline", _never),
        },
        "implementations": {
            (backend, name): Implementation(name, backend, supports_portable, _never)
            for backend, name in implementations
        },
    }
    return SimpleNamespace(**(named | changes))


def write(folder: Path, text: str, name: str = "suite.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def planned(folder: Path, text: str, only=(), overrides=(), **changes) -> suite.Plan:
    """Read and plan a suite given as text."""
    return suite.plan(suite.read(write(folder, text)), registry(**changes), only, overrides)


SMALL = """\
name: small
grid:
  cell: [rnn, lstm]
  backend: [torch, jax]
  seq_len: [64, 32]
probes:
  throughput: {}
"""
