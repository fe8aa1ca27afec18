"""What a suite may ask of the executor `ray`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rnnbench import ClusterOptions, MachineRequest, UsageError

_ADDRESS = re.compile(r"(ray://)?(?P<host>[^/:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class RayMachine(MachineRequest):
    """resources: of Ray's own, which its nodes were started with, beside those that each lot asks for."""

    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RayOptions(ClusterOptions):
    """Which Ray cluster, and what each lot asks of it.

    Attributes:
        address: `ray://head:10001` from anywhere, or `head:6379` on a node of the cluster. There is no default: a Ray
            that is looked for may be that of a cluster long dead, and one that is started is this machine alone.
        resources: Ray's own resources that each lot asks for, {a100: 1}: so it comes to nodes that were started with
            them.
        machines: Kinds of node, `{a100: {resources: {a100: 1}}, h100: {resources: {h100: 1}}}`: every timed case runs
            on each.
    """

    address: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)
    machines: Mapping[str, RayMachine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            found = f"found {self.address!r}" if self.address else "it needs one"
            raise UsageError(
                f"`address` of a Ray cluster: {found}; write `ray://head:10001`, or `head:6379` on one of its nodes: "
                f"`--set executor.address=ray://head:10001`"
            )

    def resources_of(self, machine: str) -> dict[str, float]:
        """What a lot for this machine asks for; empty: for any."""
        return {**self.resources, **(self.machines[machine].resources if machine else {})}

    @property
    def by_client(self) -> bool:
        """Whether it is reached from anywhere, by a server of Ray's for clients."""
        return self.address.startswith("ray://")

    @property
    def place(self) -> tuple[str, int]:
        """(host, port)."""
        found = _ADDRESS.fullmatch(self.address)
        assert found
        return found["host"].strip("[]"), int(found["port"])
