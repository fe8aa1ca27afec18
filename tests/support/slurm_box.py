"""A real Slurm for tests, `tests/slurm/box.sh`: nodes n1 with one core and n2 with two."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from command_line import Answer

ABSENT = 3
"""Exit code of the script where something is not installed or not allowed."""
SCRIPT = Path(__file__).parents[1] / "slurm" / "box.sh"


class NoBox(Exception):
    """It cannot be had on this machine: why."""


@dataclass(frozen=True)
class Box:
    """Enter it by commands. pid: of its first process."""

    pid: int

    def begin(
        self, *command: object, cwd: Path, said: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in the box, in a process group of its own. said: file for what it prints."""
        inner = f"cd {shlex.quote(str(cwd))} && exec {shlex.join(map(str, command))}"
        words = ["nsenter", "--target", str(self.pid), "--net", "--pid", "--mount", "sh", "-c", inner]
        out = said.open("w") if said else subprocess.PIPE
        with contextlib.closing(out) if said else contextlib.nullcontext():  # type: ignore[type-var]
            return subprocess.Popen(
                words, stdout=out, stderr=out, text=True, start_new_session=True, env={**os.environ, **(env or {})}
            )

    def signal(self, process: subprocess.Popen[str], number: int) -> None:
        """Send a signal to a command that was begun here."""
        for child in _children(process.pid):
            os.kill(child, number)

    def ask(self, *command: object, cwd: Path = Path("/"), env: Mapping[str, str] | None = None) -> Answer:
        """Run a command in the box."""
        process = self.begin(*command, cwd=cwd, env=env)
        try:
            out, err = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            process.kill()
            answer = "" if command[0] == "scontrol" else self.ask("scontrol", "show", "jobs").out
            raise AssertionError(f"{command} did not end: {process.communicate()}, {answer}") from None
        return Answer(process.returncode, out, err)

    def rnnbench(self, *arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
        """Run `rnnbench ARGUMENTS` in the box."""
        return self.ask(sys.executable, "-m", "rnnbench", *arguments, cwd=cwd, env=env)

    def jobs(self) -> list[str]:
        """Ids of the jobs that Slurm has not ended."""
        return self.ask("squeue", "--noheader", "--array", "--format=%i").out.split()

    def accounts(self) -> list[list[str]]:
        """Job, state, node, start and end of all jobs that there were."""
        answer = self.ask("sacct", "-X", "--noheader", "--parsable2", "--format=JobID,State,NodeList,Start,End")
        return [line.split("|") for line in answer.out.splitlines()]

    def lose(self, node: str) -> None:
        """End a node with all that runs on it, as a power cut does: its daemons first, so that they tell nothing."""
        daemons, others = [], []
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and (kind := _kind(path, node)):
                (others if kind == "job" else daemons).append(int(path.name))
        stewards = {parent for job in others if _name(parent := _parent(job)) == "slurmstepd"}
        for process in (*daemons, *stewards, *others):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def mend(self, node: str) -> None:
        """Start it again."""
        self.ask("slurmd", "-N", node)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _kind(process: Path, node: str) -> str:
    """Whether it is the `daemon` of a node of the box, or belongs to a `job` there; empty: neither."""
    try:
        words = process.joinpath("cmdline").read_bytes().split(b"\0")
        environment = process.joinpath("environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    if words[:3] == [b"slurmd", b"-N", node.encode()]:
        return "daemon"
    return "job" if f"SLURMD_NODENAME={node}".encode() in environment else ""


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def box(folder: Path) -> Iterator[Box]:
    """A box that lives as long as the block. Raises NoBox."""
    process = subprocess.Popen(
        [SCRIPT, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    try:
        if process.stdout.readline() != "ready\n":
            said = process.stderr.read()
            raise NoBox(said.strip()) if process.wait() == ABSENT else RuntimeError(f"no box: {said}")
        [pid] = _children(process.pid)
        yield Box(pid)
    finally:
        process.communicate()
