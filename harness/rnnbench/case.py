"""Everything that determines one measurement."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

AXES = (
    "cell",
    "backend",
    "implementation",
    "device",
    "dtype",
    "seq_len",
    "batch_size",
    "hidden_size",
    "input_size",
    "layers",
    "dropout",
    "threads",
)
"""The axes of a suite's grid, in the order rows are named."""

AUTO = "auto"
"""The first of the backend's own order that verifies: what a user of the framework gets, the same on every machine."""
BEST = "best"
"""The fastest of all that verify, by a trial on this machine."""
CHOSEN = (AUTO, BEST)
"""What a suite may write in place of an implementation."""


@dataclass(frozen=True)
class Case:
    """One point of the grid under one probe. Sizes are numbers of elements; `seq_len` is in time steps.

    cell, and `settings["task"]` where there is one, are in canonical spelling, `lstm(forget_bias=5)`.
    implementation may be `auto` or `best`; the record names what it became. threads None: one per physical core.
    settings: the probe's own settings, JSON values, complete with defaults. probe_version: as in the probe.
    params: the parameter count that hidden_size was solved for, None where the suite gave a size. How a size was asked
    for does not change what is measured, so it is no part of `id`.
    machine: the entry of the executor's `machines:` that it has to run on; empty: anywhere.

    Example:
        >>> from rnnbench import Case
        >>> case = Case("memory", "lstm", "torch", "auto", "cpu", "float32", 64, 16, hidden_size=128, input_size=32)
        >>> case.label
        'memory lstm torch/auto cpu T=64'
        >>> Case.from_json(case.to_json()) == case
        True
    """

    probe: str
    cell: str
    backend: str
    implementation: str
    device: str
    dtype: str
    seq_len: int
    batch_size: int
    hidden_size: int
    input_size: int
    layers: int = 1
    dropout: float = 0.0
    threads: int | None = None
    seed: int = 0
    probe_version: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    params: int | None = None
    machine: str = ""

    @property
    def id(self) -> str:
        """12 hex digits of the hash of all fields but `params`, and `machine` where it is empty: the same case has the
        same id everywhere.
        """
        ignored = {"params"} if self.machine else {"params", "machine"}
        return digest({key: value for key, value in vars(self).items() if key not in ignored})

    @property
    def program_id(self) -> str:
        """Hash of what fixes the program that is verified: not the probe, its settings, the seed or the machine."""
        ignored = {"probe", "probe_version", "settings", "seed", "dropout", "params", "machine"}
        return digest({key: value for key, value in vars(self).items() if key not in ignored})

    @property
    def label(self) -> str:
        """Short text for an error about this one case; `labels` tells several apart."""
        task = self.settings.get("task")
        what = f"{self.probe}[{task}]" if task else self.probe
        return f"{what} {self.cell} {self.backend}/{self.implementation} {self.device} T={self.seq_len}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; no `machine` where it may run anywhere."""
        return {name: value for name, value in asdict(self).items() if name != "machine" or value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The inverse of `to_json`; unknown fields, written by a newer version, are dropped.

        Raises TypeError where a field without a default is missing.
        """
        return cls(**{name: value for name, value in data.items() if name in cls.__dataclass_fields__})


def labels(cases: Sequence[Case]) -> list[str]:
    """A short text for each case, no two alike unless the cases are.

    Each has probe and task, cell, program, device and T; behind them stands whatever else varies among the cases of its
    probe: `throughput lstm torch/native cpu T=64 hidden 512 float16`. Where fields that no text shows are all that
    differs, the case's id does.
    """
    by_probe: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_probe[case.probe].append(case)
    varying = {probe: _varying(members) for probe, members in by_probe.items()}
    texts = [" ".join([case.label, *_extras(case, varying[case.probe])]) for case in cases]
    ids: dict[str, set[str]] = defaultdict(set)
    for text, case in zip(texts, cases, strict=True):
        ids[text].add(case.id)
    return [text if len(ids[text]) == 1 else f"{text} ({case.id})" for text, case in zip(texts, cases, strict=True)]


def axis_text(axis: str, value: Any) -> str:
    """The value of an axis or setting in words; a dtype speaks for itself.

    Example:
        >>> from rnnbench.case import axis_text
        >>> axis_text("hidden_size", 128), axis_text("lr", 0.01), axis_text("clip", None), axis_text("dtype", "float32")
        ('hidden 128', 'lr 0.01', 'no clip', 'float32')
    """
    if axis in ("cell", "implementation", "device", "dtype"):
        return str(value)
    name = axis.removesuffix("_size")
    return f"no {name}" if value is None else f"{name} {value_text(value)}"


def value_text(value: Any) -> str:
    """The value of an axis as people write it."""
    if isinstance(value, list | tuple):
        return "+".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_IN_LABEL = ("probe", "cell", "backend", "implementation", "device", "seq_len", "settings", "params")


def _varying(cases: Sequence[Case]) -> tuple[list[str], list[str]]:
    """(fields, settings) that differ among some cases and that `Case.label` does not hold."""
    fields = [name for name in Case.__dataclass_fields__ if name not in _IN_LABEL]
    names = dict.fromkeys(name for case in cases for name in case.settings if name != "task")
    return (
        [name for name in fields if len({getattr(case, name) for case in cases}) > 1],
        [name for name in names if len({repr(case.settings.get(name)) for case in cases}) > 1],
    )


def _extras(case: Case, varying: tuple[list[str], list[str]]) -> list[str]:
    fields, settings = varying
    texts = [axis_text(name, getattr(case, name)) for name in fields]
    return texts + [axis_text(name, case.settings[name]) for name in settings if name in case.settings]


def digest(data: Any) -> str:
    """12 hex digits of the BLAKE2 hash of canonical JSON: the same value has the same digest everywhere.

    Args:
        data: JSON values.

    Raises:
        TypeError: Something is not JSON.

    Example:
        >>> from rnnbench.case import digest
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
