"""The `forkserver` executor: every job in a process of its own, forked from one that has the framework imported.

Why not `multiprocessing`'s forkserver: it has one server per process, while torch and jax must never share one (their
CUDA libraries conflict); it hands back neither process group nor output, and its server does not adopt the processes
that a plugin leaves behind. The loop that is needed instead is small; it lives in `rnnbench.isolation.launcher`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.executor import Job, Outcome
from rnnbench.isolation import frames, subreaper

WORKER = ("rnnbench.worker:preload",)
"""Imported, and called, ahead of every job, whatever its backend."""
START_SECONDS = 300.0
"""How long importing a framework may take; a cold network disk takes a minute."""
_GRACE = 15.0  # seconds past its timeout in which a launcher has to report; later, it hangs itself
_COMMAND = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from rnnbench.isolation.launcher import main; main()"
)


_Key = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]
"""Modules to preload, and variables of the environment."""


class LauncherLost(Exception):
    """The launcher ended or hangs; the message says what it was doing."""


@dataclass(frozen=True)
class Interpreter:
    """How a launcher is started, where it is not this very Python with this very path.

    command: a process that calls `rnnbench.isolation.launcher.main()`. variables: environment variables beside those of
    this process. folder: where jobs run, None for the current one. descriptors: open files that jobs inherit under the
    same numbers.
    """

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    descriptors: Sequence[int] = ()


class ForkServer:
    """A session with one launcher per set of preloaded modules and variables, started when needed. One job at a time.

    Variables of the environment that a job wants under `variables` are those of its launcher: what is read when a
    process starts, as the C library does, could not be changed afterwards.
    """

    def __init__(self, always: tuple[str, ...] = WORKER, interpreter: Interpreter | None = None) -> None:
        if not hasattr(os, "fork"):
            raise UsageError(
                f"the executor `forkserver` needs Linux or macOS, this is {sys.platform}. "
                "Use WSL, or the executor `inline` (no timeouts, no protection against crashes)."
            )
        self._always = always
        self._interpreter = interpreter
        self._launchers: dict[_Key, _Launcher] = {}

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        """Run one job. See `rnnbench.executor.Session`; `job["limits"]` may set {address_space: bytes, cpus: numbers}.

        The import of a framework, paid by the first job that preloads it, is in neither its `seconds` nor its timeout.
        """
        return self.start(job, preload, timeout).outcome()

    def start(self, job: Job, preload: tuple[str, ...], timeout: float) -> Running:
        """Begin a job, and do not wait for its end."""
        key = (preload, tuple(sorted(job.get("variables", {}).items())))
        folder = Path.cwd() if self._interpreter is None else self._interpreter.folder or Path.cwd()
        request = json.dumps({"job": dict(job), "cwd": str(folder), "timeout": timeout}).encode()
        began = time.perf_counter()
        try:
            self._launcher(key)
            began = time.perf_counter()
            launcher = self._begin(request, key)
        except LauncherLost as lost:
            return Running(None, began, timeout, str(lost), lambda: None)
        return Running(launcher, began, timeout, "", lambda: self._discard(key))

    def warm(self, preload: tuple[str, ...]) -> None:
        """Start the launcher of later jobs now; where that fails, the first job says why."""
        with contextlib.suppress(LauncherLost):
            self._launcher((preload, ()))

    def close(self) -> None:
        """Stop every launcher; each stops what it started."""
        while self._launchers:
            self._launchers.popitem()[1].stop()

    def _begin(self, request: bytes, key: _Key) -> _Launcher:
        """The launcher that began the job; one that was lost before it could is replaced, once."""
        for _ in range(2):
            launcher = self._launcher(key)
            try:
                if launcher.begin(request):
                    return launcher
            except BaseException:  # also Ctrl-C: what was begun must not go on
                self._discard(key)
                raise
            self._discard(key)
        raise LauncherLost("the process that starts the cases was killed twice before it could start this one")

    def _launcher(self, key: _Key) -> _Launcher:
        if key not in self._launchers:
            preload, variables = key
            interpreter = self._interpreter or this_python()
            interpreter = replace(interpreter, variables={**interpreter.variables, **dict(variables)})
            launcher = _Launcher((*self._always, *preload), interpreter)
            if launcher.lost_threads:
                launcher.stop()
                warnings.warn(
                    f"importing {', '.join(launcher.modules)} starts threads, which do not survive a fork; "
                    "every case now imports it anew, which is correct but slower",
                    RuntimeWarning,
                    stacklevel=2,
                )
                launcher = _Launcher((), interpreter)
            self._launchers[key] = launcher
        return self._launchers[key]

    def _discard(self, key: _Key) -> None:
        if launcher := self._launchers.pop(key, None):
            launcher.stop()


@dataclass(frozen=True)
class Running:
    """A job that was begun. Call `outcome` once, or `abandon`."""

    _launcher: _Launcher | None
    _began: float
    _timeout: float
    _lost: str
    _discard: Callable[[], None]

    def fileno(self) -> int | None:
        """Readable when the job has ended; None where it could not be begun."""
        return self._launcher.fileno() if self._launcher else None

    @property
    def pid(self) -> int | None:
        """Of the launcher, whose child the job is."""
        return self._launcher.pid if self._launcher else None

    @property
    def deadline(self) -> float:
        """When its launcher must have reported, by `time.perf_counter`; one that has not is lost."""
        return self._began + self._timeout + _GRACE

    def outcome(self) -> Outcome:
        """Wait for its end."""
        fields: dict[str, Any] = {"status": "crashed", "reason": self._lost, "result": {}}
        try:
            if self._launcher:
                left = max(0.0, self.deadline - time.perf_counter())
                answer, output = self._launcher.finish(left, self._timeout + _GRACE)
                fields = frames.understood(answer) | {"output": output.decode(errors="replace")}
        except LauncherLost as lost:
            self._discard()
            fields["reason"] = str(lost)
        except BaseException:  # also Ctrl-C: what was begun must not go on
            self._discard()
            raise
        return Outcome(**fields, seconds=time.perf_counter() - self._began)

    def abandon(self) -> None:
        """End it, with its launcher; the next job gets a new one."""
        if self._launcher:
            self._discard()


def this_python() -> Interpreter:
    """Launchers run this very Python with this very path."""
    return Interpreter([sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path)])


class _Launcher:
    """The launcher process seen from the command."""

    def __init__(self, modules: tuple[str, ...], interpreter: Interpreter) -> None:
        self.modules = modules
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            list(interpreter.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, **interpreter.variables, subreaper.MARK: self._mark},
            pass_fds=tuple(interpreter.descriptors),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        try:
            self.lost_threads = self._greet()
        except BaseException:
            self.stop()
            raise

    def _greet(self) -> int:
        what = f"importing {', '.join(self.modules) or 'rnnbench'} ahead of the cases"
        hello = json.dumps({"preload": self.modules, "mark": self._mark}).encode()
        if not self._send(hello):
            raise LauncherLost(f"{what} failed: {self._ending()}")
        reply = self._receive(START_SECONDS, what)
        if reply is None:
            raise LauncherLost(f"{what} failed: {self._ending()}")
        return json.loads(reply)["lost_threads"]

    def fileno(self) -> int:
        """Readable when something was answered, or it is gone."""
        return self._from.fileno()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, request: bytes) -> bool:
        """Hand over a job; False when the launcher was gone before it could begin it."""
        return self._send(request) and self._receive(_GRACE, "starting a case") is not None

    def finish(self, left: float, seconds: float) -> tuple[bytes, bytes]:
        """Answer and output of the job that was begun. left: seconds to wait still, of all that it has."""
        answer = self._receive(left, f"waiting for a case for {seconds:.3g} s")
        output = None if answer is None else self._receive(_GRACE, "ending a case")
        if answer is None or output is None:
            raise LauncherLost(f"the process that started this case was lost: {self._ending()}")
        return answer, output

    def stop(self) -> None:
        """End it, kindly first. Returns when nothing it started is left."""
        clean = False
        try:
            self._to.close()
            clean = self._process.wait(_GRACE) == 0
        except subprocess.TimeoutExpired:
            pass
        finally:
            if not clean:
                self._process.kill()
                self._process.wait()
                subreaper.kill_marked(self._mark)
            self._from.close()

    def _send(self, message: bytes) -> bool:
        try:
            frames.send(self._to.fileno(), message)
        except BrokenPipeError:
            return False
        return True

    def _receive(self, seconds: float, doing: str) -> bytes | None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            # asked again without waiting: after Ctrl-Z and fg the time may be over although the answer is there
            if not (selector.select(None if seconds == float("inf") else seconds) or selector.select(0)):
                raise LauncherLost(f"no sign of life while {doing}")
        return frames.receive(self._from.fileno())

    def _ending(self) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
