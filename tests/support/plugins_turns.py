"""Entries for isolated jobs that take turns. Each takes a job with `turns` and gives JSON, if it lives to."""

from __future__ import annotations

import os
import signal
import time

import psutil

from rnnbench.measure import lockstep


def sample(job):
    """One measurement after another, of `lengths` samples where nobody stops it; begin and end of each, in seconds."""
    found = []
    with lockstep.joined(**job["turns"]) as place:
        for length in job["lengths"]:
            spans = []
            while len(spans) < length and place.wait():
                spans.append(_span())
            if len(spans) == length:
                place.done()
            found.append(spans)
    return {"spans": found, "taken": place.taken, "cpus": _cpus(), "ancestor": _ancestor()}


def accompany(job):
    """Take turns for as long as there is anybody else."""
    found = []
    with lockstep.joined(**job["turns"]) as place:
        while place.shared:
            spans = []
            while place.wait() and place.shared:
                spans.append(_span())
            found.append(spans)
    return {"spans": found}


def keep_the_turn(job):
    """What a probe without timings does, or a revision that knows of no turns."""
    return {"spans": [[_span()]], "cpus": _cpus()}


def die(job):
    """In the turn after the third sample, and with something to say."""
    with lockstep.joined(**job["turns"]) as place:
        for _ in range(3):
            place.wait()
        os.write(job["turns"]["descriptor"], lockstep.MORE)
        os.kill(os.getpid(), signal.SIGKILL)


def hang(job):
    """In its first turn after it handed over."""
    with lockstep.joined(**job["turns"]) as place:
        place.wait()
        time.sleep(60)


def stop_the_launcher(job):
    """In its first turn: what a driver does that hangs in the kernel."""
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(60)


def _ancestor():
    """The process that this one's launcher was forked from."""
    return psutil.Process(os.getppid()).ppid()


def _cpus():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _span():
    began = time.monotonic()
    time.sleep(0.002)
    return began, time.monotonic()
