"""Everything that determines one measurement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rnnbench.frozen import revive

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


@dataclass(frozen=True)
class Case:
    """One point of the grid under one probe. Sizes are numbers of elements; `seq_len` is in time steps.

    cell, and `settings["task"]` where there is one, are in canonical spelling, `lstm(forget_bias=5)`.
    implementation may be `auto`; the record names what it became. threads None: one per physical core.
    settings: the probe's own settings, JSON values, complete with defaults. probe_version: as in the probe.
    params: the parameter count that hidden_size was solved for, None where the suite gave a size. How a size was asked
    for does not change what is measured, so it is no part of `id`.
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

    @property
    def id(self) -> str:
        """12 hex digits of the hash of all fields but `params`: the same case has the same id everywhere."""
        return digest({key: value for key, value in vars(self).items() if key != "params"})

    @property
    def program_id(self) -> str:
        """Hash of what fixes the program that is verified: all but the probe, its settings, and the seed."""
        ignored = {"probe", "probe_version", "settings", "seed", "dropout", "params"}
        return digest({key: value for key, value in vars(self).items() if key not in ignored})

    @property
    def label(self) -> str:
        """Short text for progress lines and errors."""
        task = self.settings.get("task")
        what = f"{self.probe}[{task}]" if task else self.probe
        return f"{what} {self.cell} {self.backend}/{self.implementation} {self.device} T={self.seq_len}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The inverse of `to_json`; unknown fields, written by a newer version, are dropped."""
        return revive(cls, data)


def digest(data: Any) -> str:
    """12 hex digits of a canonical-JSON hash."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
