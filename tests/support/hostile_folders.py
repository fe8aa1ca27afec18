"""Interrupted runs that something has damaged: what it may do to their files, and what resuming them must keep to.

Nothing is measured: jobs are answered, and lots worked, by what plays a worker in this process.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from napping import SUITE, suite
from rnnbench.case import Case
from rnnbench.cluster import Lot
from rnnbench.errors import RnnbenchError
from rnnbench.execution import Execution
from rnnbench.executor import Job, Outcome
from rnnbench.lot_queue import LotQueue
from rnnbench.lots.journal import Journal
from rnnbench.machine.watch import Drift
from rnnbench.part import Conditions, Part
from rnnbench.quantity import Value
from rnnbench.records import Malformed, encode
from rnnbench.registry import Registry, load
from rnnbench.report import render
from rnnbench.store import lines
from rnnbench.suite import Plan, plan, read

ENVIRONMENT = {"machine": {"cpu": "none"}, "software": {"versions": {}}, "state": {}}
GIT = {"commit": "c" * 40, "dirty": False}
ODD = [None, True, 0, -1, 3.5, "x", "", [], {}, [1], {"a": 1}, "1.5", 10**400, [None], float("nan"), float("inf")]
MORE = [
    b"\0" * 9,
    b"\n\n",
    b"\xff\xfe",
    b"[" * 9999,
    b"1" * 5000,
    b"{}\n",
    b"5\n",
    b'"x"\n',
    b"null\n",
    b"\xef\xbb\xbf",
]
KINDS = ("records.jsonl", "run.json", "lots/*.jsonl", "lots/*.jsonl")


class Interrupted(Exception):
    """What stands for the death of the command."""


@dataclass
class Played:
    """A session that measures `left` processes, and then never again."""

    left: float = float("inf")

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        del preload, timeout
        if job["kind"] != "measure":
            return Outcome("ok", {"status": "ok", "reason": "", "verified": "none"})
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return Outcome(
            "ok", {"values": {}, "reason": ""} | encode(_part(Case.from_json(job["case"]), self.left)), seconds=0.1
        )

    def close(self) -> None: ...


class PlayedCluster(LotQueue[str]):
    """Works its lots at once, until it has measured `left` processes: then the command dies."""

    def __init__(self, left: float = float("inf")) -> None:
        super().__init__(1)
        self._left = left

    def begin(self, lot: Lot) -> str:
        journal = Journal(lot.journal)
        if not journal.begun:
            journal.note(lot=lot.id, environment_id="here", environment=ENVIRONMENT, node="a", started=1.0)
            for case in map(Case.from_json, lot.cases):
                journal.note(begins=[case.id])
                if self._left <= 0:
                    break
                self._left -= 1
                journal.write(lines.encode(case, _part(case, self._left)))
            else:
                journal.note(ends="done", why="", at=2.0)
        journal.close()
        return lot.id

    def look(self, seconds: float) -> None:
        if self._left <= 0:
            raise Interrupted
        for id in list(self.tasks):
            self.end(id, "done")

    def stop(self, tasks: Mapping[str, str]) -> None: ...

    def attach(self, ids: Sequence[str]) -> None:
        for id in ids:
            self.end(id, "lost", "it is gone")

    def close(self) -> None: ...


def _part(case: Case, started: float) -> Part:
    number = float(sum(map(ord, case.cell)) + case.settings["replicate"])
    values = {"nap.loss": Value(number / 3), "nap.time": Value(0.2)}
    seen = Conditions(abs(started) if started < 1e9 else float(hash(case.id) % 10**6), 0.1, {"probe": 0.1})
    return Part("ok", values=values, declared=DECLARED, conditions=seen, environment="here")


DECLARED: dict[str, Any] = {}


@dataclass
class Bench:
    """A suite of eight cases in a folder, planned once; its runs are made and resumed by `execute`."""

    folder: Path
    registry: Registry
    files: list[Path]
    plans: dict[bool, Plan]
    packed: bool = False
    made: dict[tuple[bool, int], Path] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, patch: pytest.MonkeyPatch) -> Bench:
        """Make it; nothing is asked of the machine."""
        path = suite(folder, SUITE)
        files = [folder / "plain.py", folder / "naps.py"]
        patch.setattr("rnnbench.machine.environment.snapshot", lambda versions: ENVIRONMENT)
        patch.setattr("rnnbench.machine.environment.git_state", lambda folder: GIT)
        patch.setattr("rnnbench.execution.provenance.code", lambda: {"rnnbench": "0"})
        patch.setattr("rnnbench.lots.drive.PAUSE", 0.0)
        patch.setattr(Drift, "look", _look)
        registry = load(files)
        DECLARED.update({one.name: one for one in registry.probes["nap"].quantities})
        plans = {
            False: plan(read(path), registry, (), ("executor=forkserver",)),
            True: plan(read(path), registry, (), ("executor=local", "executor.jobs=2")),
        }
        return cls(folder, registry, files, plans)

    def execute(self, packed: bool, left: float, resume: Path | None = None) -> Path:
        """Begin a run, or resume one, that dies after so many processes. Raises what the command would end with."""
        executors = self.registry.executors
        executors["forkserver"] = replace(executors["forkserver"], open=lambda: Played(left))
        executors["local"] = replace(executors["local"], cluster=lambda options, folder: PlayedCluster(left))
        with Execution.begin(
            self.plans[packed], self.registry, self.files, self.folder / "results", resume=resume and str(resume)
        ) as execution:
            path = execution.folder.path
            try:
                execution.run()
            except Interrupted:
                if resume:
                    raise
            records = execution.folder.load()
        if resume:
            render(records, "table")
        return path

    def begun(self, packed: bool, left: int) -> Path:
        """A copy of a run that died after so many processes."""
        if (packed, left) not in self.made:
            self.made[packed, left] = self.execute(packed, left).rename(self.folder / f"made-{packed}-{left}")
        copied = self.folder / "results" / "runs" / "naps" / "20261129T000000Z-000abcdef"
        shutil.rmtree(copied.parent, ignore_errors=True)
        shutil.copytree(self.made[packed, left], copied)
        return copied


def _look(self: Drift) -> tuple[float, float]:
    self.readings.append(1e-3)
    return 1e-3, 0.0


def check(bench: Bench, seed: int) -> str:
    """Damage a run and resume it: what was done to it, and what came of that. Raises AssertionError where it is more
    than a sentence, loses what was measured, or leaves a case without its number.
    """
    rng = random.Random(seed)
    packed = rng.random() < 0.6
    run = bench.begun(packed, rng.choice([0, 3, 5, 8] if packed else [1, 3, 8]))
    done = "; ".join(damaged(run, rng) for _ in range(rng.choice([1, 1, 2])))
    planned = {case.id for case in bench.plans[packed].cases}
    measured = set(_measured(run, planned))
    try:
        bench.execute(packed, float("inf"), run)
    except RnnbenchError as error:
        assert len(str(error)) > 20, done
        assert measured <= set(_measured(run, planned)), f"{done}: what was measured is gone"
        return f"{done}: {error}"
    kept = set(_lines_of(run / "records.jsonl", planned))
    assert {id for id, _ in kept} >= planned, f"{done}: cases are missing"
    assert measured <= kept, f"{done}: what was measured is not kept"
    return f"{done}: whole"


def _measured(run: Path, planned: set[str]) -> Iterator[tuple[str, float]]:
    """(case, when it started) of every process that a file of the run tells of, as far as it is to be believed."""
    for path in (run / "records.jsonl", *(run / "lots").glob("*.jsonl")):
        if path.is_file():
            yield from _lines_of(path, planned)


def _lines_of(path: Path, planned: set[str]) -> Iterator[tuple[str, float]]:
    if path.is_symlink() and path.resolve().parent != path.parent.resolve():  # of a device: nothing was measured there
        return
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            found = lines.decode(line, declared={"nap": DECLARED})
        except Malformed:
            continue
        if not line.endswith(b"\n") or found.whole or not line.startswith(f'{{"id":"{found.case.id}"'.encode()):
            continue
        seen = found.parts[0].conditions
        if found.case.id in planned and found.parts[0].status == "ok":
            yield found.case.id, seen.started if seen else 0.0


def damaged(run: Path, rng: random.Random) -> str:
    """Do something to a file of the run: what it was."""
    files = [path for path in run.glob(rng.choice(KINDS)) if path.is_file() and not path.is_symlink()]
    if not files:
        return "nothing"
    path = rng.choice(sorted(files))
    act = rng.choice([*ACTS, spoil, spoil, spoil])
    act(path, rng)
    return f"{act.__name__} {path.relative_to(run)}"


def spoil(path: Path, rng: random.Random) -> None:
    """Another value in one place of one JSON text of the file, or none there."""
    raw = path.read_bytes()
    texts = [raw] if path.name == "run.json" else raw.splitlines()
    if not texts:
        return
    which = rng.randrange(len(texts))
    try:
        value = spoilt(json.loads(texts[which]), rng)
    except (ValueError, IndexError):
        return
    texts[which] = json.dumps(value, separators=(",", ":")).encode()
    path.write_bytes(b"\n".join(texts) + b"\n")


def spoilt(value: Any, rng: random.Random) -> Any:
    """The same with something else in one place, those near the root more often, or without it."""
    value = copy.deepcopy(value)
    path = rng.choice(list(paths(value)))
    *way, last = path[: rng.randint(1, len(path))]
    place = value
    for key in way:
        place = place[key]
    if isinstance(place, dict) and rng.random() < 0.2:
        del place[last]
    else:
        place[last] = rng.choice(ODD)
    return value


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON, of lists the first two."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


def truncate(path: Path, rng: random.Random) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(len(raw) + 1)])


def flip(path: Path, rng: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 30])):
        if raw:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)


def insert(path: Path, rng: random.Random) -> None:
    raw = path.read_bytes()
    at = rng.choice([0, rng.randrange(len(raw) + 1), len(raw)])
    more = [
        b"\0" * 9,
        b"\n\n",
        b"\xff\xfe",
        b"[" * 9999,
        b"1" * 5000,
        b"{}\n",
        b"5\n",
        b'"x"\n',
        b"null\n",
        b"\xef\xbb\xbf",
    ]
    path.write_bytes(raw[:at] + rng.choice(more) + raw[at:])


def remove(path: Path, rng: random.Random) -> None:
    del rng
    path.unlink()


def other_kind(path: Path, rng: random.Random) -> None:
    """A folder, a pipe, or a link to nothing, to itself, or to a device stands there."""
    path.unlink()
    way = rng.randrange(7)
    if way == 0:
        path.mkdir()
    elif way == 1:
        os.mkfifo(path)
    else:
        targets = [path.name, "nowhere", "/dev/zero", "/dev/null", "/proc/kmsg"]
        path.symlink_to(targets[way - 2])


def other_encoding(path: Path, rng: random.Random) -> None:
    text = path.read_text(errors="replace")
    path.write_bytes(text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))


def newer(path: Path, rng: random.Random) -> None:
    """Of a format that nobody knows."""
    raw = path.read_bytes()
    for old in (b'"format":2', b'"format": 2'):
        raw = raw.replace(old, old[:-1] + rng.choice([b"3", b"-1", b'"2"', b"2.0", b"99999999999999999999"]))
    path.write_bytes(raw)


def twice(path: Path, rng: random.Random) -> None:
    """A key stands twice, or a line does."""
    raw = path.read_bytes()
    texts = raw.splitlines(keepends=True)
    if path.name == "run.json" or not texts:
        path.write_bytes(raw.replace(b"{", b'{"cases": [], "format": 2,', 1))
        return
    which = rng.randrange(len(texts))
    doubled = [texts[which], texts[which].replace(b"{", b'{"id":"0123456789ab",', 1)]
    texts.insert(rng.randrange(len(texts) + 1), rng.choice(doubled))
    path.write_bytes(b"".join(texts))


def swap(path: Path, rng: random.Random) -> None:
    """The ids of two lines, or their order."""
    texts = path.read_bytes().splitlines(keepends=True)
    if len(texts) < 2:
        return
    i, j = rng.sample(range(len(texts)), 2)
    if rng.random() < 0.5:
        texts[i], texts[j] = texts[j], texts[i]
    elif texts[i].startswith(b'{"id":') and texts[j].startswith(b'{"id":'):
        texts[i] = texts[j][:20] + texts[i][20:]
    path.write_bytes(b"".join(texts))


def beside(path: Path, rng: random.Random) -> None:
    """The folder of the journals is none."""
    folder = path.parent / "lots" if path.parent.name != "lots" else path.parent
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    if rng.random() < 0.5:
        folder.write_text("x")
    else:
        folder.symlink_to(rng.choice(["/", "lots", "nowhere"]))


ACTS: list[Callable[[Path, random.Random], None]] = [
    truncate,
    flip,
    insert,
    remove,
    other_kind,
    other_encoding,
    newer,
    twice,
    swap,
    beside,
]
