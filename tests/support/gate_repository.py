"""Repositories for the gate's tests: a user's plugin file beside a suite, whose numbers are known.

The plugin brings a whole backend without a framework, so that a fresh process costs little, and three probes: `pace`
reports a time drawn anew in every process, LEVEL seconds with one percent of noise; `size` an exact number; `learn` a
number of steps that depends on the seed alone, and is censored at 100.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from command_line import Answer, ask

PLUGIN = """
import os
from dataclasses import dataclass

import numpy as np

import rnnbench
from rnnbench import Backend, Cell, Implementation, Measurement, Probe, Quantity, Value

LEVEL, MEMORY, STEPS = {level}, {memory}, {steps}


class Plain(Backend):
    name = "plain"

    def missing(self):
        return None

    def devices(self):
        return {{"cpu": None}}

    def versions(self):
        return {{}}

    def preferred(self, device):
        return ("plain",)

    def build(self, spec):
        raise AssertionError("its cells are not portable, so nothing is verified")


@dataclass(frozen=True)
class LearnSettings:
    replicate: int = 0


@dataclass(frozen=True)
class NoSettings:
    pass


def pace(context):
    rng = np.random.default_rng(int.from_bytes(os.urandom(8), "big"))
    time = LEVEL * np.exp(rng.normal(0, 0.01))
    return Measurement({{"pace.time": Value(time), "pace.rate": Value(1 / time)}})


def size(context):
    {body}
    return Measurement({{"size.bytes": Value(MEMORY)}}, details={{"forward": {{"compilations": 1}}}})


def learn(context):
    steps = STEPS + context.settings.replicate % 3
    return Measurement({{"learn.steps": Value(min(steps, 100), bound="lower" if steps > 100 else None)}})


def quantity(name, unit, better, exact=False):
    return Quantity(name, unit, better, name, deterministic=exact)


PACE = (quantity("pace.time", "s", "lower"), quantity("pace.rate", "1/s", "higher"))


@rnnbench.hookimpl
def rnnbench_backends():
    return [Plain()]


@rnnbench.hookimpl
def rnnbench_cells():
    return [Cell(name, init=None) for name in {cells}]


@rnnbench.hookimpl
def rnnbench_implementations():
    return [Implementation("plain", "plain", lambda cell, device, dtype: None, None)]


@rnnbench.hookimpl
def rnnbench_probes():
    return [Probe("pace", 1, NoSettings, PACE, pace),
            Probe("size", 1, NoSettings, (quantity("size.bytes", "B", "lower", True),), size),
            Probe("learn", 1, LearnSettings, (quantity("learn.steps", "step", "lower"),), learn)]
"""

SUITE = """
name: own
plugins: [plain.py]
timeout: 200
grid: {cell: [one], backend: plain, seq_len: 4, hidden_size: 2, batch_size: 1, input_size: 1}
probes:
  size:
"""
PACE = SUITE.replace("  size:", "  pace:")
LEARN = SUITE.replace("  size:", "  learn: {seeds: 3}")


class Project:
    """A git repository in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.cache = folder / "cache"
        self.suite = self.folder / "bench" / "own.yaml"
        self.suite.parent.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "someone")
        self.git("config", "user.email", "someone@example.org")

    def write(self, suite: str = SUITE, **settings: Any) -> None:
        known = {"level": 1e-3, "memory": 100.0, "steps": 10, "body": "pass", "cells": ["one"]}
        self.suite.write_text(suite)
        self.suite.with_name("plain.py").write_text(PLUGIN.format(**known | settings))

    def commit(self, message: str = "a change", **settings: Any) -> str:
        self.write(**settings)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "rnnbench", "gate", *map(str, arguments)]

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, "RNNBENCH_CACHE": str(self.cache), "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary)}

    @property
    def temporary(self) -> Path:
        folder = self.cache.with_name("tmp")
        folder.mkdir(exist_ok=True)
        return folder

    def gate(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`rnnbench gate ARGUMENTS` in the process of the tests."""
        answer = self._ask("gate", *arguments, cwd=cwd or self.folder)
        return subprocess.CompletedProcess(["gate", *map(str, arguments)], answer.code, answer.out, answer.err)

    def run(self, results: Path) -> Path:
        """The folder of a run of the suite as it is now."""
        before = set(results.glob("runs/own/*"))
        answer = self._ask("run", self.suite, "--results", results, cwd=self.folder)
        assert answer.code == 0, answer.err
        [folder] = set(results.glob("runs/own/*")) - before
        return folder

    def _ask(self, *arguments: object, cwd: Path) -> Answer:
        variables, folder = mock.patch.dict(os.environ, self.variables), str(self.temporary)
        with variables, mock.patch.object(tempfile, "tempdir", folder):
            return ask(*arguments, cwd=cwd)
