"""Entries for isolated jobs that do what a broken plugin does. Each takes a job and gives JSON, if it lives to."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def fine(job):
    return {"pid": os.getpid(), "echo": job.get("say")}


def sleep(job):
    time.sleep(job["seconds"])
    return {}


def loop_for_ever(job):
    print("about to spin", flush=True)
    while True:
        pass


def loop_deaf_to_signals(job):
    for signum in (signal.SIGABRT, signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    while True:
        pass


def abort(job):
    print("the last words")
    os.abort()


def abort_like_cpp(job):
    """What the C++ runtime does when nobody catches a failed allocation."""
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def segfault(job):
    return {"read": ctypes.string_at(0).decode()}


def recurse_in_c(job):
    sys.setrecursionlimit(10**9)
    value: list = []
    for _ in range(2_000_000):
        value = [value]
    return {"length": len(repr(value))}


def exit_at_once(job):
    print("leaving")
    os._exit(job["code"])


def sys_exit(job):
    sys.exit(3)


def raise_error(job):
    raise RuntimeError("the planted one")


def not_json(job):
    return {"handle": object()}


def recurse(job):
    return recurse(job)


def allocate(job):
    return {"bytes": len(bytearray(job["bytes"]))}


def grow_inside_cgroup(job):
    """Move into a memory cgroup made by the test, then take more than it allows: the kernel's own kill."""
    (Path(job["cgroup"]) / "cgroup.procs").write_text(str(os.getpid()))
    hoard = []
    while True:
        hoard.append(b"x" * (8 << 20))


def kill_self(job):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_launcher(job):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def hide(job):
    """Leave a process that nothing tells from somebody else's; then, if asked, kill the launcher."""
    hidden = subprocess.Popen(["sleep", "3600"], start_new_session=True, env={})
    Path(job["note"]).write_text(json.dumps(hidden.pid))
    if job["kill"]:
        kill_launcher(job)
    return {}


def be_stopped(job):
    """A child stops this process and lets it go on, so many times."""
    child = os.fork()
    if child == 0:
        for _ in range(job["times"]):
            os.kill(os.getppid(), signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(os.getppid(), signal.SIGCONT)
            time.sleep(0.05)
        os._exit(0)
    os.waitpid(child, 0)
    return {}


def print_much(job):
    line = "x" * 99
    for _ in range(job["megabytes"] * 10_000):
        print(line)
    print("the end")
    return {"done": True}


def start_threads(job):
    """Threads that never end, and an exit handler that would wait for ever."""
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(3600,)).start()
    atexit.register(time.sleep, 3600)
    return {"threads": threading.active_count()}


def leave_children(job):
    """Children in this group, in sessions of their own, forked without exec, and orphaned twice over."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(3600)"]
    pids = [subprocess.Popen(sleeper).pid, subprocess.Popen(sleeper, start_new_session=True).pid]
    pids.append(os.fork())
    if pids[-1] == 0:
        time.sleep(3600)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    if "note" in job:
        Path(job["note"]).write_text(json.dumps([os.getpid(), os.getppid(), *pids]))
    time.sleep(job.get("seconds", 0))
    return {"pids": pids}


def soil(job):
    """Change everything a process can change about itself."""
    os.environ["RNNBENCH_SOILED"] = "1"
    os.chdir("/")
    os.umask(0o777)
    random.seed(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.modules["json"] = None  # type: ignore[assignment]
    sys.path.clear()
    sys.stdout.close()
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return {}


def look(job):
    """What a fresh process sees of itself."""
    mask = os.umask(0)
    os.umask(mask)
    return {
        "soiled": "RNNBENCH_SOILED" in os.environ,
        "cwd": str(Path.cwd()),
        "umask": mask,
        "random": random.random(),
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "sigchld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "threads": threading.active_count(),
        "stdin": sys.stdin.read(),
        "leader": os.getsid(0) == os.getpid() == os.getpgrp(),
        "open": sorted(map(str, Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else [],
        "json": json is sys.modules["json"],
    }


def torch_threads(job):
    import torch

    product = torch.ones(300, 300) @ torch.ones(300, 300)
    return {"threads": torch.get_num_threads(), "sum": float(product.sum())}


def jax_product(job):
    import jax
    import jax.numpy as jnp

    return {"sum": float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((300, 300)))), "torch": "torch" in sys.modules}


def modules(job):
    return {name: name in sys.modules for name in job["names"]}


def numpy_product(job):
    import numpy as np

    return {"sum": float((np.ones((400, 400)) @ np.ones((400, 400))).sum())}


def write_everywhere(job):
    """Garbage, as long as it says it is, into whatever is open; then it goes on as if nothing were."""
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(fd, (7).to_bytes(8, "big") + b"garbage")
    return {"echo": "fine"}
