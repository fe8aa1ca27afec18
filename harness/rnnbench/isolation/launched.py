"""Launcher processes (`rnnbench.isolation.launcher`) seen from the command, and the jobs that run in them."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.executor import Outcome
from rnnbench.isolation import frames, subreaper

START_SECONDS = 300.0
"""How long importing a framework may take; a cold network disk takes a minute."""
GRACE = 15.0
"""Seconds past its timeout in which a launcher has to report; later, it hangs itself."""
_COMMAND = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from rnnbench.isolation.launcher import main; main()"
)


_LIVE: set[int] = set()
"""The launchers of this process, by their numbers."""
_CHANGING = threading.Lock()  # held while one is started, which is a child before it is known, and while others die


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


def this_python() -> Interpreter:
    """Launchers run this very Python with this very path."""
    return Interpreter([sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path)])


class Connection:
    """To a launcher that serves one job at a time. to, source: descriptors to write requests to, and of its answers."""

    def __init__(self, to: int, source: int, pid: int) -> None:
        self._to, self._from = to, source
        self.pid = pid

    def fileno(self) -> int:
        """Readable when something was answered, or it is gone."""
        return self._from

    def begin(self, request: bytes) -> bool:
        """Hand over a job; False when the launcher was gone before it could begin it."""
        return self.send(request) and self.receive(GRACE, "starting a case") is not None

    def expire(self, seconds: float) -> None:
        """Have the job that was begun ended, for it took longer than so many seconds."""
        self.send(json.dumps({"expired": seconds}).encode())

    def finish(self, left: float, seconds: float) -> tuple[bytes, bytes, int]:
        """Answer and output of the job that was begun, and how often it was stopped. left: seconds to wait still, of
        all that it has.
        """
        answer = self.receive(left, f"waiting for a case for {seconds:.3g} s")
        output = None if answer is None else self.receive(GRACE, "ending a case")
        reply = None if output is None else self.receive(GRACE, "ending a case")
        if answer is None or output is None or reply is None:
            raise LauncherLost(f"the process that started this case was lost: {self.ending()}")
        return answer, output, json.loads(reply)["stops"]

    def send(self, message: bytes) -> bool:
        """Whether there was somebody to read it."""
        try:
            frames.send(self._to, message)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, seconds: float, doing: str) -> bytes | None:
        """The next message; None where it has ended. Raises LauncherLost where there is none in time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            # asked again without waiting: after Ctrl-Z and fg the time may be over although the answer is there
            if not (selector.select(None if seconds == float("inf") else seconds) or selector.select(0)):
                raise LauncherLost(f"no sign of life while {doing}")
        try:
            return frames.receive(self._from)
        except ConnectionResetError:
            return None

    def ending(self) -> str:
        """How it ended, in words."""
        return "it closed its output"

    def stop(self) -> None:
        """End it."""
        raise NotImplementedError


class LauncherProcess(Connection):
    """A launcher process. Raises LauncherLost where it does not come up."""

    def __init__(self, modules: tuple[str, ...], interpreter: Interpreter) -> None:
        self.modules = modules
        self._mark = uuid.uuid4().hex
        self._control, theirs = socket.socketpair()
        with _CHANGING:
            self._process = subprocess.Popen(
                list(interpreter.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env={**os.environ, **interpreter.variables, subreaper.MARK: self._mark},
                pass_fds=(*interpreter.descriptors, theirs.fileno()),
            )
            _LIVE.add(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        super().__init__(self._stdin.fileno(), self._stdout.fileno(), self._process.pid)
        try:
            self.lost_threads = self._greet(theirs.fileno())
        except BaseException:
            self.stop()
            raise
        finally:
            theirs.close()

    def _greet(self, control: int) -> int:
        what = f"importing {', '.join(self.modules) or 'rnnbench'} ahead of the cases"
        hello = json.dumps({"preload": self.modules, "mark": self._mark, "control": control}).encode()
        if not self.send(hello):
            raise LauncherLost(f"{what} failed: {self.ending()}")
        reply = self.receive(START_SECONDS, what)
        if reply is None:
            raise LauncherLost(f"{what} failed: {self.ending()}")
        return json.loads(reply)["lost_threads"]

    def fork(self, *inherited: socket.socket) -> tuple[Forked, list[int]]:
        """A launcher forked from this one, and the descriptors under which its jobs inherit what is given.

        It costs next to nothing, for what this one has imported is there. Raises LauncherLost.
        """
        own, theirs = socket.socketpair()
        with theirs:
            handed = [theirs, *inherited]
            if not self.send(json.dumps({"fork": len(handed)}).encode()):
                raise LauncherLost(f"the process that starts the cases was lost: {self.ending()}")
            socket.send_fds(self._control, [b"f"], [each.fileno() for each in handed])
            reply = self.receive(GRACE, "forking")
        if reply is None:
            own.close()
            raise LauncherLost(f"the process that starts the cases was lost: {self.ending()}")
        found = json.loads(reply)
        return Forked(own, found["pid"]), found["descriptors"][1:]

    def stop(self) -> None:
        """Close its input, and kill it where that does not end it. Returns when nothing it started is left."""
        clean = False
        try:
            self._control.close()
            self._stdin.close()
            clean = self._process.wait(GRACE) == 0
        except subprocess.TimeoutExpired:
            pass
        finally:
            if not clean:
                self._process.kill()
                self._process.wait()
                subreaper.kill_marked(self._mark)
            _LIVE.discard(self._process.pid)
            if not clean:
                reap_adopted()
            self._stdout.close()

    def ending(self) -> str:
        """How it ended, in words."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"


def reap_adopted() -> None:
    """Kill what jobs have left below this process, see `rnnbench.isolation.subreaper.reap_adopted`."""
    with _CHANGING:
        subreaper.reap_adopted(_LIVE)


class Forked(Connection):
    """A launcher that was forked from another. What it leaves behind ends with that one."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        super().__init__(connection.fileno(), connection.fileno(), pid)
        self._connection = connection

    def stop(self) -> None:
        """End it: it ends its job when nobody is there any more."""
        self._connection.close()


@dataclass
class Running:
    """A job that was begun. Call `outcome` once, or `abandon`.

    launcher: where it runs, None where it could not be begun, for the reason `lost`. timeout: seconds after which the
    launcher must have ended it. discard: ends the launcher.
    """

    _launcher: Connection | None
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
        return self._began + self._timeout + GRACE

    def expire(self, seconds: float) -> None:
        """Have it ended now, as one that took longer than so many seconds."""
        if self._launcher:
            self._launcher.expire(seconds)
            self._timeout = time.perf_counter() - self._began

    def outcome(self) -> Outcome:
        """Wait for its end."""
        fields: dict[str, Any] = {"status": "crashed", "reason": self._lost, "result": {}}
        try:
            if self._launcher:
                left = max(0.0, self.deadline - time.perf_counter())
                answer, output, stops = self._launcher.finish(left, self._timeout + GRACE)
                fields = frames.understood(answer) | {"output": output.decode(errors="replace"), "stops": stops}
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
