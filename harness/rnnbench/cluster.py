"""How many cases are run elsewhere: lots of them travel to a cluster, and what was measured comes back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Protocol

import annotated_types

LotState = Literal["pending", "running", "done", "lost", "cancelled"]
"""What a cluster says of a lot. `lost`: it ended, or is gone, without an answer."""


@dataclass(frozen=True)
class ShippedFile:
    """A file that travels with a lot.

    path: relative to the folder that the worker unpacks the lot in. sha256: of the contents, 64 hex digits. content:
    the contents in base64.

    Example:
        >>> from rnnbench import ShippedFile
        >>> file = ShippedFile.of("plugins/0/mine.py", b"import numpy")
        >>> file.contents
        b'import numpy'
    """

    path: str
    sha256: str
    content: str

    @classmethod
    def of(cls, path: str, contents: bytes) -> ShippedFile:
        """The file with these contents."""
        return cls(path, hashlib.sha256(contents).hexdigest(), base64.b64encode(contents).decode())

    @property
    def contents(self) -> bytes:
        """What is in it. Raises ValueError where that is not what was sent."""
        contents = base64.b64decode(self.content)
        if hashlib.sha256(contents).hexdigest() != self.sha256:
            raise ValueError(f"{self.path} arrived damaged: its sha256 is not {self.sha256}")
        return contents


@dataclass(frozen=True)
class Lot:
    """Cases that travel together, with all that their worker needs: `rnnbench.perform_lot` runs them there.

    Attributes:
        id: A name that no other lot has.
        cases: `Case.to_json` of each, in the order they run.
        files: Plugin files, the files beside them that they import, and data files.
        plugins: Paths of those of the files that are plugins.
        folder: Path of the suite's folder, which data files are relative to.
        timeout: Seconds that one job of a case may take.
        version: Of the rnnbench that sends it. A worker with another one refuses it.
        code: Package -> digest of its sources, likewise.
        versions: Package -> version, of the frameworks as the sender has them, likewise; a build, `+cpu`, may differ.
        quiet: Whether its cases are timed: they want a whole node. Others are packed, a core each.
        cpus: Cores it asks for; None: all of its node.
        gpus: GPUs it asks for.
        seconds: Expected work.
        earlier: Lines of records to go on with, see `rnnbench.store.lines`.
        journal: File that the worker appends records to where it sees its folder; empty: none.
        environment: Id of the environment that its records name, where that is the sender's own machine; empty: the
            worker's.
        trials: Which implementations are fastest, where a case asks for `best`, by a trial of the sender's: what is
            packed has no quiet machine to find it out. JSON, by what is alike for the cases that one trial serves.
        machine: Entry of `machines:` that it has to run on; empty: anywhere.

    Example:
        >>> from rnnbench import Lot
        >>> lot = Lot("lot-1", cases=[], seconds=60.0)
        >>> Lot.from_json(lot.to_json()).seconds
        60.0
    """

    id: str
    cases: Sequence[Mapping[str, Any]]
    files: Sequence[ShippedFile] = ()
    plugins: Sequence[str] = ()
    folder: str = "suite"
    timeout: float = 300.0
    version: str = ""
    code: Mapping[str, str] | None = None
    versions: Mapping[str, str] | None = None
    quiet: bool = True
    cpus: int | None = None
    gpus: int = 0
    seconds: float = 0.0
    earlier: Sequence[str] = ()
    journal: str = ""
    environment: str = ""
    trials: Mapping[str, Any] | None = None
    machine: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lot:
        """The inverse of `to_json`."""
        return cls(**{**data, "files": [ShippedFile(**file) for file in data.get("files", ())]})


@dataclass(frozen=True)
class LotOptions:
    """What every executor that makes lots can be asked for.

    Attributes:
        lot_minutes: Expected work of a lot, at the most; one is never smaller than a case. Where it is known how many
            are at work at once, lots are smaller, so that all of them have some.
        retries: How often the cases of a lot that was lost are tried again.

    Example:
        >>> from rnnbench import LotOptions
        >>> LotOptions(retries=0).lot_minutes
        20.0
    """

    lot_minutes: Annotated[float, annotated_types.Gt(0)] = 20.0
    retries: Annotated[int, annotated_types.Ge(0)] = 1


@dataclass(frozen=True)
class MachineRequest:
    """What lots ask for to come to one kind of machine; a cluster has a child with what it understands.

    Example:
        >>> from dataclasses import dataclass
        >>> from rnnbench import MachineRequest
        >>> @dataclass(frozen=True)
        ... class Nodes(MachineRequest):
        ...     constraint: str = ""
        >>> Nodes("a100").constraint
        'a100'
    """

    __pydantic_config__: ClassVar[Mapping[str, str | bool]] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class ClusterOptions(LotOptions):
    """What every cluster can be asked for; options of a cluster of one's own are a child of this.

    Attributes:
        cpus: Cores of a lot that is not timed; timed ones get a whole node.
        gpus: GPUs of each lot that has cases for one.
        at_most: Lots at work at once; None: as many as there is room for.
        machines: Kinds of machine by name, each with what it asks for: every timed case runs once on each, the others
            run once, anywhere. A cluster that can tell machines apart declares it with its own child of
            `MachineRequest`, and looks a lot's up by `Lot.machine`.

    Example:
        >>> from rnnbench import ClusterOptions
        >>> options = ClusterOptions(gpus=1, at_most=8)
        >>> options.gpus, options.lot_minutes
        (1, 20.0)
    """

    cpus: Annotated[int, annotated_types.Ge(1)] = 1
    gpus: Annotated[int, annotated_types.Ge(0)] = 0
    at_most: Annotated[int, annotated_types.Ge(1)] | None = None
    machines: Mapping[str, MachineRequest] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How a lot stands. id: the engine's. why: of `lost` and `cancelled`, what the engine says of it.

    Example:
        >>> from rnnbench import Standing
        >>> Standing("41_0", "lost", "NODE_FAIL").why
        'NODE_FAIL'
    """

    id: str
    state: LotState
    why: str = ""


class Cluster(Protocol):
    """An opened executor that runs lots elsewhere, many at once. None of its methods is called from two threads."""

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """Hand lots over: `rnnbench.perform_lot(lot.to_json())` is to be called once for each, on a worker.

        Returns:
            The engine's ids, in order; they are kept in `run.json`.

        Raises:
            UsageError: The engine does not take them: what it said, and what to do.
        """
        ...

    def poll(self, seconds: float) -> Iterable[Standing]:
        """How all lots stand that were submitted or attached and were not yet told to be over.

        seconds: how long to wait at the most for something to change.
        """
        ...

    def result(self, id: str) -> Mapping[str, Any]:
        """What `rnnbench.perform_lot` returned for a lot that is `done`."""
        ...

    def cancel(self, ids: Sequence[str]) -> None:
        """End these lots, whatever they do."""
        ...

    def attach(self, ids: Sequence[str]) -> None:
        """Go on with lots that a process of before has submitted. Those that the engine forgot are `lost`."""
        ...

    def close(self) -> None:
        """Let go of the engine; what was submitted and not cancelled goes on, where it can."""
        ...
