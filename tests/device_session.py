"""What to do with a GPU or a TPU for half an hour: every check that needs one, the main suite, and a folder to commit.

    python tests/device_session.py --minutes 30

Each step is a process of its own with a time limit. One that fails or takes too long is told, and the next one begins;
what is most worth knowing comes first. The folder, results/devices/<device>-<time>, is whole after every step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
GRACE = 20.0
"""Seconds between asking a step to stop, which keeps what it has, and killing it."""
LEAST = 10.0
"""Seconds below which a step is not begun."""
Status = Literal["ok", "failed", "timeout", "not reached"]

TARGET = """
import pathlib, sys
import jax, jax.numpy as jnp
print(jax.devices())
jax.block_until_ready(jax.jit(lambda x: jnp.tanh(x @ x))(jnp.ones((256, 256))))
written = [path.name for path in pathlib.Path(sys.argv[1]).rglob("*")]
found = any("gpu_target_config" in name for name in written)
sys.exit(0 if found or jax.default_backend() != "gpu" else f"no description of the target among {written}")
"""
"""A program to compile, beside which XLA writes the description of the GPU to its dump."""
MACHINE = """
import json
from rnnbench.machine.environment import snapshot
from rnnbench.registry import load
versions = {}
for backend in load().backends.values():
    versions |= backend.versions() if backend.missing() is None else {}
print(json.dumps(snapshot(versions), indent=2))
"""


@dataclass(frozen=True)
class Step:
    """argv: run in the root of the checkout, its output in `<name>.log` of the folder. limit: seconds. why: what it
    tells. variables: of its environment.
    """

    name: str
    why: str
    argv: tuple[str, ...]
    limit: float
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class Done:
    """How a step ended. limit: what was left for it."""

    name: str
    status: Status
    seconds: float = 0.0
    limit: float = 0.0
    code: int | None = None


def steps(folder: Path, device: str) -> list[Step]:
    """In the order of their worth per minute."""
    python, rnnbench = sys.executable, (sys.executable, "-m", "rnnbench")
    kind = mark = "tpu" if device == "tpu" else "gpu"
    dumped = str(folder / "xla")
    dump = {"XLA_FLAGS": f"--xla_dump_to={dumped}"}
    here = ("--results", str(folder), "--set", f"device={device}")
    memory = ("--only", "probe=memory,backend=jax")
    return [
        Step("machine", "what this was made on", (python, "-c", MACHINE), 60),
        Step("target", "the device as XLA's compiler is told it", (python, "-c", TARGET, dumped), 120, dump),
        Step("check", "each implementation: interpreted, compiled, run", (*rnnbench, "check", kind, "--json"), 240),
        Step("tests", "all tests that need the device", (python, "-m", "pytest", "-q", "-m", mark, "tests"), 240),
        Step("kernels", "kernels against the oracle", (*rnnbench, "verify", *KERNELS, "--device", device), 240),
        Step("memory", "planned sizes beside the allocator's", (*rnnbench, "run", "long_seq", *memory, *here), 300),
        Step("long_seq", "the main suite, as far as it gets", (*rnnbench, "run", "long_seq", *here), 900),
        Step("smoke", "every probe once", (*rnnbench, "run", "smoke", *here), 180),
    ]


KERNELS = ("pallas", "triton", "native")
"""Implementations whose kernels are written for the device. One that does not run there is told as skipped."""


def session(
    plan: Sequence[Step], folder: Path, seconds: float, tell: Callable[[str], None] = print, grace: float = GRACE
) -> list[Done]:
    """Run the steps in their order until the time is up; `session.json` says after each how all of them stand."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + seconds
    done = [Done(step.name, "not reached") for step in plan]
    _keep(folder, plan, done)
    for index, step in enumerate(plan):
        left = ends - time.monotonic() - grace
        if left < min(LEAST, step.limit):
            tell(f"not reached: {step.name}: no time is left")
            continue
        done[index] = _run(step, folder, min(step.limit, left), grace)
        tell(f"{done[index].status}: {step.name}: {done[index].seconds:.0f} s, see {step.name}.log")
        _keep(folder, plan, done)
    return done


def _run(step: Step, folder: Path, limit: float, grace: float) -> Done:
    """One step in a process group of its own, which nothing of it outlives."""
    started = time.monotonic()
    with (folder / f"{step.name}.log").open("w") as log:
        try:
            process = subprocess.Popen(
                step.argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **step.variables},
                start_new_session=True,
            )
        except OSError as error:
            log.write(f"{error}\n")
            return Done(step.name, "failed", time.monotonic() - started, limit)
        late = _stopped(process, limit, grace)
    status: Status = "timeout" if late else "ok" if process.returncode == 0 else "failed"
    return Done(step.name, status, time.monotonic() - started, limit, process.returncode)


def _stopped(process: subprocess.Popen[bytes], limit: float, grace: float) -> bool:
    """Wait for the end; whether it had to be asked for. Ctrl-C first, on which a run keeps what it has."""
    late = False
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        late = True
        process.send_signal(signal.SIGINT)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        process.wait()
    return late


def _keep(folder: Path, plan: Sequence[Step], done: Sequence[Done]) -> None:
    steps = [{**asdict(one), "why": step.why, "command": _command(step)} for one, step in zip(done, plan, strict=True)]
    part = folder / "session.json.part"
    part.write_text(json.dumps(steps, indent=2) + "\n")
    part.replace(folder / "session.json")


def _command(step: Step) -> str:
    """As one would type it, without this machine's paths."""
    words = [
        "python" if word == sys.executable else Path(word).name if word.startswith("/") else word for word in step.argv
    ]
    return shlex.join("..." if "\n" in word else word for word in words)


def comparison(folder: Path) -> list[dict[str, Any]]:
    """What jax's allocator had in use at most beside what XLA had planned, per program, length and pass of all runs in
    a folder: `ratio` is allocator over plan.
    """
    import rnnbench

    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in sorted(path.parent for path in folder.glob("runs/*/*/run.json")):
        for record in rnnbench.load(run).records:
            for name, reading in record.quantities.items():
                mode, _, kind = name.partition(".peak_memory.")
                if kind in ("allocator", "compiled"):
                    case = record.case
                    key = (case.cell, record.implementation, case.device, case.seq_len, mode)
                    found.setdefault(key, {})[kind] = reading.value
    names = ("cell", "implementation", "device", "seq_len", "mode")
    return [
        {**dict(zip(names, key, strict=True)), **sizes, "ratio": sizes["allocator"] / sizes["compiled"]}
        for key, sizes in found.items()
        if {"allocator", "compiled"} <= sizes.keys() and sizes["compiled"]
    ]


def finish(folder: Path) -> None:
    """Put beside each other what the steps have left."""
    rows = comparison(folder)
    (folder / "memory.json").write_text(json.dumps(rows, indent=2) + "\n")
    for path in sorted((folder / "xla").rglob("*gpu_target_config*"))[:1]:
        path.replace(folder / "target.txtpb")
    shutil.rmtree(folder / "xla", ignore_errors=True)


def plan_text(plan: Sequence[Step], seconds: float) -> str:
    """The steps with their limits, for people."""
    lines = [
        f"{step.name:9} at most {step.limit / 60:4.1f} min  {step.why}\n          {_command(step)}" for step in plan
    ]
    return "\n".join([*lines, f"all together at most {seconds / 60:g} min"])


def problem(device: str) -> str | None:
    """None if some backend can use the device, else why none can."""
    from rnnbench.registry import load
    from rnnbench.registry.availability import device_problem

    found = {backend.name: device_problem(backend, device) for backend in load().backends.values()}
    return None if None in found.values() else "; ".join(f"{name}: {why}" for name, why in found.items())


def main() -> int:
    """0 where every step went well, 1 where one did not, 2 where there is no such device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="for all of it (default 30)")
    parser.add_argument("--device", default="cuda", choices=("cuda", "tpu", "cpu"), help="cpu: a rehearsal")
    parser.add_argument("--output", type=Path, help="folder (default results/devices/<device>-<time>)")
    parser.add_argument("--only", nargs="*", help="these steps alone")
    parser.add_argument("--dry-run", action="store_true", help="print the steps and run nothing")
    options = parser.parse_args()
    name = f"{options.device}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    folder = (options.output or ROOT / "results" / "devices" / name).resolve()
    plan = steps(folder, options.device)
    if unknown := set(options.only or ()) - {step.name for step in plan}:
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in plan)}")
    plan = [step for step in plan if not options.only or step.name in options.only]
    if options.dry_run:
        print(plan_text(plan, 60 * options.minutes))
        return 0
    if (reason := problem(options.device)) is not None:
        print(f"error: no device {options.device!r} here: {reason}", file=sys.stderr)
        return 2
    done = session(plan, folder, 60 * options.minutes)
    finish(folder)
    print(f"commit {folder}")
    return int(any(one.status != "ok" for one in done))


if __name__ == "__main__":
    sys.exit(main())
