"""The process that has a framework imported, single-threaded, and forks a clean child of itself for every job.

Runs as its own interpreter in its own session, so it never sees the terminal's Ctrl-C; it stops at the end of its
standard input, which also comes when the command is killed. It speaks `rnnbench.isolation.frames`:

- in, once: JSON {preload, mark, control}; out: JSON {lost_threads}, how many threads a fork would lose;
- in, per job: JSON {job, cwd, timeout}; out: an empty message when the child is forked (from then on the job has
  begun), then JSON {status, reason, result}, then the end of what the job printed, then JSON {stops}, how often
  something has stopped it. Meanwhile, in: JSON {expired: seconds}, to end a job that took so long;
- in: JSON {fork: count}, and as many descriptors over the socket `control`, the first of which is a connection that
  speaks the same; out: JSON {pid, descriptors}, of a launcher that was forked from this one and listens there.

Everything the job leaves behind is killed before the answer goes out.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Mapping
from typing import Any, Literal

import psutil

from rnnbench.isolation import child, death, frames, kernel, subreaper
from rnnbench.isolation.job_process import JobProcess

KEPT_OUTPUT = 8 << 10
"""Bytes of a job's output that go into its Outcome."""
_LAST_WORDS = 1.0  # seconds a timed-out job gets to write where it was

Event = Literal["result", "exit", "timeout", "abandoned"]


def main() -> None:
    """Serve jobs until standard input ends."""
    requests, replies = _take_over_streams()
    with contextlib.suppress(BrokenPipeError):  # the command is gone, and so is everyone who would read an error
        hello = json.loads(frames.receive(requests) or b"null")
        if hello is None:
            return
        kernel.adopt_orphans()
        kernel.die_with_parent(signal.SIGKILL)  # a preload that hangs cannot notice the end of standard input
        _preload(hello["preload"])
        kernel.die_with_parent(0)
        frames.send(replies, json.dumps({"lost_threads": _threads_a_fork_loses()}).encode())
        try:
            Launcher(requests, replies, hello["mark"], socket.socket(fileno=hello["control"])).serve()
        finally:
            subreaper.reap(hello["mark"])  # what launchers forked from this one have left


def _take_over_streams() -> tuple[int, int]:
    """Move the two pipes away from 0 and 1, where any import could read or print."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return requests, replies


def _preload(modules: list[str]) -> None:
    """Import `module`, and call `module:function`, with what is imported by then."""
    for entry in modules:
        module, _, function = entry.partition(":")
        with contextlib.suppress(Exception):  # the job meets the same error where it can be reported
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
    gc.collect()
    gc.freeze()  # keep the children's collector off the shared pages


def _threads_a_fork_loses() -> int:
    """Threads left beside this one by a trial fork; OpenBLAS, for one, ends its own before any fork and starts anew."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return psutil.Process().num_threads() - 1


def _collect_ended() -> None:
    """Launchers forked from this one that have ended would stay as zombies."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Launcher:
    """Serves one job after the other. control: over which descriptors come, for launchers to be forked from this."""

    def __init__(self, requests: int, replies: int, mark: str, control: socket.socket | None = None) -> None:
        self._requests, self._replies, self._mark, self._control = requests, replies, mark, control
        self._exits, self._signalled = os.pipe()
        for fd in (self._exits, self._signalled):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the requests end, or end in the middle of a job."""
        while (message := frames.receive(self._requests)) is not None:
            request = json.loads(message)
            if "expired" in request:  # it had ended already
                continue
            if "fork" in request:
                self._fork_launcher(request["fork"])
                continue
            ooms = kernel.oom_kills()
            process = self._fork(request)
            try:
                frames.send(self._replies, b"")
                event, seconds = self._supervise(process, request["timeout"])
            finally:
                process.end()
                subreaper.reap(self._mark)
                process.drain()
            if event == "abandoned":
                return
            self._answer(event, process, seconds, ooms)

    def _fork_launcher(self, count: int) -> None:
        """Fork a launcher that serves the first descriptor and hands the others down to its jobs."""
        assert self._control
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, count)
        _collect_ended()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._become_forked(*descriptors)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        frames.send(self._replies, json.dumps({"pid": pid, "descriptors": descriptors}).encode())

    def _become_forked(self, connection: int, *inherited: int) -> None:
        """Serve the connection until nobody is there any more. A session of its own, so that no signal meets both."""
        assert self._control
        signal.set_wakeup_fd(-1)
        for descriptor in (self._requests, self._replies, self._exits, self._signalled):
            os.close(descriptor)
        self._control.close()
        os.setsid()
        kernel.adopt_orphans()
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        Launcher(connection, connection, self._mark).serve()

    def _fork(self, request: Mapping[str, Any]) -> JobProcess:
        results, output = os.pipe(), os.pipe()
        launcher = os.getpid()
        pid = os.fork()
        if pid == 0:
            own = {self._requests, self._replies, self._exits, self._signalled, results[0], output[0]}
            own |= {self._control.fileno()} if self._control else set()
            child.run(request, results[1], output[1], own, launcher)
        os.close(results[1])
        os.close(output[1])
        return JobProcess(pid, results[0], output[0])

    def _supervise(self, process: JobProcess, timeout: float) -> tuple[Event, float]:
        """What ended it, and after how many seconds where it was ended."""
        event, allowed = self._watch(process, timeout)
        if event != "timeout":
            return event, timeout
        os.kill(process.pid, signal.SIGABRT)  # faulthandler writes where it was
        last, _ = self._watch(process, _LAST_WORDS)
        return "abandoned" if last == "abandoned" else "timeout", allowed

    def _watch(self, process: JobProcess, seconds: float) -> tuple[Event, float]:
        """Read what the job writes until something happens: what, and how many seconds it may take at the most."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for fd in (self._requests, self._exits, *process.open_pipes):
                selector.register(fd, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                for key, _ in selector.select(None if left == float("inf") else max(left, 0)):
                    if key.fd == self._requests:
                        message = frames.receive(self._requests)
                        if message is None:
                            return "abandoned", seconds
                        return "timeout", json.loads(message)["expired"]  # nothing else is sent during a job
                    if key.fd == self._exits:
                        os.read(self._exits, 512)
                    elif not process.read(key.fd):
                        selector.unregister(key.fd)
                if process.answer is not None:
                    return "result", seconds
                if process.exited():
                    return "exit", seconds
                if left <= 0:
                    return "timeout", seconds

    def _answer(self, event: Event, process: JobProcess, timeout: float, ooms: int | None) -> None:
        output = process.printed()
        answer = process.answer
        if answer is None:
            if event == "timeout":
                status, reason = "timeout", death.timed_out(timeout, output)
            else:
                now = kernel.oom_kills()
                rise = None if ooms is None or now is None else now - ooms
                status, reason = death.died(process.wait_status, output, rise, process.peak_bytes)
            answer = frames.answer(status, reason)
        frames.send(self._replies, answer)
        frames.send(self._replies, output.encode()[-KEPT_OUTPUT:])
        frames.send(self._replies, json.dumps({"stops": process.stops}).encode())
