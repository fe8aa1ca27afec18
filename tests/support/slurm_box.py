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

    def ask(self, *command: object, cwd: Path = Path("/"), env: Mapping[str, str] | None = None) -> Answer:
        """Run a command in the box."""
        process = self.begin(*command, cwd=cwd, env=env)
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            told = "" if command[0] == "scontrol" else self.ask("scontrol", "show", "jobs").out
            raise AssertionError(f"{command} did not end: {process.communicate()}, {told}") from None
        return Answer(process.returncode, out, err)

    def rnnbench(self, *arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
        """Run `rnnbench ARGUMENTS` in the box."""
        return self.ask(sys.executable, "-m", "rnnbench", *arguments, cwd=cwd, env=env)

    def jobs(self) -> list[str]:
        """Ids of the jobs that Slurm has not ended."""
        return self.ask("squeue", "--noheader", "--array", "--format=%i").out.split()

    def accounts(self) -> list[list[str]]:
        """Job, state, node, start and end of all jobs that there were."""
        told = self.ask("sacct", "-X", "--noheader", "--parsable2", "--format=JobID,State,NodeList,Start,End")
        return [line.split("|") for line in told.out.splitlines()]

    def lose(self, node: str) -> None:
        """End a node with all that runs on it, as a power cut does."""
        processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _is_on(path, node)]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def mend(self, node: str) -> None:
        """Start it again."""
        self.ask("slurmd", "-N", node)


def _is_on(process: Path, node: str) -> bool:
    """Whether it is the daemon of a node of the box, or belongs to a job there."""
    try:
        words = process.joinpath("cmdline").read_bytes().split(b"\0")
        environment = process.joinpath("environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:3] == [b"slurmd", b"-N", node.encode()] or f"SLURMD_NODENAME={node}".encode() in environment


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
        [pid] = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        yield Box(pid)
    finally:
        process.communicate()
