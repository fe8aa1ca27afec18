"""The folder of one run: `run.json` says what was asked for, `records.jsonl` what came of it."""

from __future__ import annotations

import gc
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import rnnbench
from rnnbench.errors import UsageError
from rnnbench.machine.environment import environment_id
from rnnbench.record import Record
from rnnbench.records import Malformed, levelled, merge
from rnnbench.store import declarations
from rnnbench.store.files import explained, sync_folder
from rnnbench.store.judging import judged
from rnnbench.store.lines import DecodedLine, InvalidRecord, Quantities, decode, encode, without_measurements
from rnnbench.store.meta import FORMAT, read_meta, write_meta
from rnnbench.store.names import META, RECORDS, new_folder
from rnnbench.store.writer import Writer

if TYPE_CHECKING:
    from rnnbench.suite import Plan

MIN_FREE = 16 << 20
"""Bytes of free disk below which a run is not started."""
_TOLD = 20
"""Most lines that are left out with a sentence each."""
_ID = re.compile(rb'\{"id": ?"([0-9a-f]{12})"')


class RunFolder:
    """A run, opened for reading by `open`, for writing by `create` and `resume`; a context manager.

    path: the folder. meta: `run.json`: format, suite_name, suite, suite_hash, cases (ids), total, environments (id ->
    snapshot), probes (`rnnbench.store.declarations`), versions, git, argv, created (ISO 8601, UTC). environment: id of
    the environment that is being written, `""` when reading. notices: what was wrong with the file and was worked
    around, one sentence each.
    """

    def __init__(self, path: Path, meta: dict[str, Any], environment: str = "", writer: Writer | None = None) -> None:
        self.path = path
        self.meta = meta
        self.environment = environment
        self.notices: list[str] = writer.notices if writer else []
        self._writer = writer
        self._left_out: set[int] = set()

    @classmethod
    def create(
        cls,
        results: Path,
        planned: Plan,
        environment: Mapping[str, Any] | None,
        git: Mapping[str, Any] | None = None,
        argv: Sequence[str] | None = None,
    ) -> Self:
        """A new folder below `results`, locked and ready for records.

        environment: as `rnnbench.machine.environment.snapshot` gives it; None where nothing is measured on this
        machine, and records bring theirs. argv: the command, by default this process's.
        Raises UsageError where it cannot be written or the disk is nearly full, before anything is measured.
        """
        now = datetime.now(UTC)
        path = new_folder(results, planned.name, now)
        identity = environment_id(environment) if environment else ""
        meta = {
            "format": FORMAT,
            "suite_name": planned.name,
            "suite_hash": planned.hash,
            "created": now.isoformat(timespec="seconds"),
            "argv": list(sys.argv if argv is None else argv),
            "versions": {"rnnbench": rnnbench.__version__, "python": platform.python_version()},
            "git": git,
            "suite": planned.resolved,
            "probes": declarations.to_json(planned.probes),
            "environments": {identity: environment} if environment else {},
            "total": len(planned.cases),
            "cases": [case.id for case in planned.cases],
        }
        try:
            _check_space(path)
            write_meta(path, meta)
            writer = Writer(path / RECORDS)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # nothing is in it yet
            raise
        sync_folder(path)
        sync_folder(path.parent)
        return cls(path, meta, identity, writer)

    @classmethod
    def open(cls, path: Path) -> Self:
        """A run to read: its folder, or a file in it. Raises UsageError for a newer format and anything else."""
        with explained("read", path):
            folder = path.parent if path.is_file() else path
        return cls(folder, read_meta(folder))

    @classmethod
    def resume(cls, path: Path, planned: Plan, environment: Mapping[str, Any] | None) -> Self:
        """A run to go on with; a torn last line is cut off.

        Raises UsageError when another process is writing it, or when it was made of other cases than `planned`.
        """
        folder = cls.open(path).path
        identity = environment_id(environment) if environment else ""
        writer = Writer(folder / RECORDS)
        try:
            meta = read_meta(folder)  # again, now that nobody else can change it
            _check_same_cases(folder, meta, planned)
            _check_space(folder)
            before = dict(meta, environments=dict(meta["environments"]))
            if environment:
                meta["environments"].setdefault(identity, environment)
            meta.setdefault("probes", declarations.to_json(planned.probes))
            meta["format"] = FORMAT  # what is added from here on
            if meta != before:
                write_meta(folder, meta)
        except BaseException:
            writer.close()
            raise
        return cls(folder, meta, identity, writer)

    def remember(self, **facts: Any) -> None:
        """Put facts about the run itself into `run.json`. Raises UsageError for a folder opened for reading."""
        if self._writer is None:
            raise UsageError(f"{self.path} was opened for reading; go on with it by `--resume`.")
        self.meta |= facts
        write_meta(self.path, self.meta)

    @cached_property
    def quantities(self) -> Quantities:
        """What its probes declared, by probe and name; of a run that did not keep it, what this rnnbench ships.

        Raises UsageError where `run.json` does not hold declarations.
        """
        declared = self.meta.get("probes")
        if declared is None:
            return declarations.shipped()
        try:
            return declarations.from_json(declared)
        except Malformed as error:
            raise UsageError(f"{self.path / META} is damaged: its `probes` are no declarations ({error}).") from None

    def append(self, record: Record) -> Record:
        """Keep the latest process of a record: it is on the disk when this returns. Gives back what was kept.

        A process that is not strict JSON (a NaN outside a curve, an object) is kept without its measurements: `failed`,
        and the reason says where the fault is. Raises UsageError when the disk is full; earlier lines stay whole.
        """
        if self._writer is None:
            raise UsageError(f"{self.path} was opened for reading; go on with it by `--resume`.")
        *before, latest = record.parts
        try:
            line = encode(record.case, latest, self.quantities)
        except InvalidRecord as error:
            latest = without_measurements(latest, str(error))
            line = encode(record.case, latest, self.quantities)
            record = merge(record.case, [*record.left_out, *before, latest])
        self._writer.append(line)
        return record

    def records(self, light: bool = False) -> Iterator[Record]:
        """What the processes of every case say together, one case at a time, in the order of the suite.

        light: without raw data (`samples` and the `x` and `y` of curves are empty), which is most of the memory. Lines
        that are no records are left out and named in `notices`; the other lines of their case stand.
        """
        path = self.path / RECORDS
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no file, so there are no records to read. Restore it, or run the suite anew.")
        with explained("read", path), path.open("rb") as file:
            whole = os.fstat(file.fileno()).st_size > 0  # a file of the kernel has no size, and may have no end
            places = self._places(file) if whole else {}
            for identity in dict.fromkeys([*self.meta["cases"], *places]):
                record = self._record(file, places.get(identity, ()), light)
                if record is not None:
                    yield record

    def _record(self, file: BinaryIO, places: Sequence[tuple[int, int]], light: bool) -> Record | None:
        """What the lines at these places say, those before one that holds the whole case left out."""
        found: list[DecodedLine] = []
        for number, offset in reversed(places):
            file.seek(offset)
            line = self._decoded(number, file.readline(), light)
            if line is not None:
                found.insert(0, line)
                if line.whole:
                    break
        return merge(found[-1].case, [part for line in found for part in line.parts], not light) if found else None

    def _places(self, file: BinaryIO) -> dict[str, list[tuple[int, int]]]:
        """Case -> (number, offset) of its lines. The id is read off the beginning of a line, where `encode` puts it."""
        places: dict[str, list[tuple[int, int]]] = {}
        offset = 0
        for number, line in enumerate(file, 1):
            if identity := self._identity(number, line):
                places.setdefault(identity, []).append((number, offset))
            offset += len(line)
        return places

    def _identity(self, number: int, line: bytes) -> str | None:
        """The id of the line's case, without reading the line where it can be helped."""
        if match := _ID.match(line):
            return match[1].decode()
        found = self._decoded(number, line, light=True)
        return None if found is None else found.case.id

    def _decoded(self, number: int, line: bytes, light: bool) -> DecodedLine | None:
        try:
            found = decode(line, light, self.quantities, str(self.meta["versions"].get("rnnbench", "")))
            if not found.whole and (match := _ID.match(line)) and match[1].decode() != found.case.id:
                raise Malformed(f"its id is {match[1].decode()}, and that of its case {found.case.id}")
            return found
        except Malformed as error:
            self._notice(number, "" if not line.endswith(b"\n") else str(error))
            return None

    def load(self, light: bool = False) -> list[Record]:
        """All of `records` at once, those of programs that took turns beside each other (`rnnbench.records.levelled`).

        In half the time: the garbage collector is paused, as there is no garbage. Of a folder that is being written,
        what something else has changed in it is set back first, and told in `notices`.
        """
        if self._writer is not None:
            self._writer.check()
        paused = gc.isenabled()
        gc.disable()
        try:
            return judged(levelled(list(self.records(light))))
        finally:
            if paused:
                gc.enable()

    def done(self) -> set[str]:
        """Ids of the cases that have a complete record."""
        return {record.case.id for record in self.records(light=True) if record.complete}

    def incomplete(self) -> dict[str, Record]:
        """By id, the records of cases some of whose processes have not run yet."""
        return {record.case.id: record for record in self.records() if not record.complete}

    def kept(self) -> set[tuple[str, float]]:
        """(id of its case, when it started) of every process that is kept, those that others replaced among them."""
        with explained("read", self.path / RECORDS), (self.path / RECORDS).open("rb") as file:
            whole = os.fstat(file.fileno()).st_size > 0  # as in `records`
            numbered = enumerate(file, 1) if whole else ()
            lines = [self._decoded(number, line, light=True) for number, line in numbered]
        return {
            (line.case.id, part.conditions.started) for line in lines if line for part in line.parts if part.conditions
        }

    def discard_empty(self) -> None:
        """Remove it where nothing was ever kept in it."""
        self.close()
        if not (self.path / RECORDS).stat().st_size:
            shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Let others write. Can be repeated."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _notice(self, number: int, problem: str) -> None:
        """problem: what is wrong with the line; empty where its end is missing."""
        torn = "is incomplete (the run was cut off there, or is being written)"
        what = f"is not a record ({problem})" if problem else torn
        if number in self._left_out:
            return
        self._left_out.add(number)
        if len(self._left_out) <= _TOLD:
            self.notices.append(f"{self.path / RECORDS}: line {number} {what} and was left out")
        elif len(self._left_out) == _TOLD + 1:
            self.notices.append(f"{self.path / RECORDS}: more lines are no records, and were left out")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE:
        raise UsageError(
            f"only {free / 2**20:.1f} MiB are free in {folder}, a run wants {MIN_FREE >> 20} MiB. "
            "Free some space, or name another folder with `--results`."
        )


def _check_same_cases(folder: Path, meta: Mapping[str, Any], planned: Plan) -> None:
    kept, asked = set(meta["cases"]), {case.id for case in planned.cases}
    if kept != asked:
        raise UsageError(
            f"{folder} was made of other cases: {len(asked - kept)} of the suite's are not in it, {len(kept - asked)} "
            "of its are not in the suite. Resume with the suite, `--only` and `--set` it began with, or begin anew."
        )
