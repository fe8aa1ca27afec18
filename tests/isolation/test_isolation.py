"""Every job gets a clean process, every fault becomes a status with a reason, and nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest

from marks import real_clock
from rnnbench.errors import UsageError
from rnnbench.executor import Outcome
from rnnbench.isolation import frames, kernel, rnnbench_executors, subreaper
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.isolation.inline import Inline

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="relies on /proc")


@pytest.fixture(scope="module")
def shared():
    """One session for the whole module: that it still works after all these faults is part of the point.

    In the end no process that any test started, by whatever detour, is left on the machine.
    """
    os.environ["RNNBENCH_TEST"] = uuid.uuid4().hex
    session = ForkServer(always=("plugins_faulty",))
    yield session
    session.close()
    assert [process for process in psutil.process_iter() if started_here(process)] == []
    del os.environ["RNNBENCH_TEST"]


def started_here(process: psutil.Process) -> bool:
    try:
        return process.environ().get("RNNBENCH_TEST") == os.environ["RNNBENCH_TEST"]
    except psutil.Error:
        return False


@pytest.fixture
def session(shared):
    """After each test: the next job works, and only the launchers are left."""
    yield shared
    assert run(shared, "fine", say="next").result["echo"] == "next"
    wait_until(lambda: len(descendants()) <= len(shared._launchers))


def run(session, entry: str, timeout: float = 300.0, preload: tuple[str, ...] = (), **job) -> Outcome:
    return session.run({"entry": f"plugins_faulty:{entry}", **job}, preload, timeout)


def descendants() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def wait_until(condition, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# The faults


def test_a_job_returns_what_its_entry_returned(session):
    outcome = run(session, "fine", say={"nested": [1, 2.5, None, "ü"]})
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.result["echo"] == {"nested": [1, 2.5, None, "ü"]}
    assert outcome.result["pid"] != os.getpid()
    assert outcome.seconds > 0
    assert run(session, "fine", timeout=float("inf")).status == "ok"


def test_infinite_loop_is_killed_and_says_where_it_was(session):
    outcome = run(session, "loop_for_ever", timeout=1.0)
    assert outcome.status == "timeout"
    assert re.fullmatch(
        r"did not finish within 1 s in loop_for_ever \(plugins_faulty.py:\d+\); "
        "raise `timeout:` in the suite if it needs longer",
        outcome.reason,
    )
    assert "about to spin" in outcome.output


def test_a_loop_that_ignores_every_polite_signal_is_killed(session):
    outcome = run(session, "loop_deaf_to_signals", timeout=0.2)
    assert outcome.status == "timeout"


def test_abort(session):
    outcome = run(session, "abort")
    assert outcome.status == "crashed"
    assert outcome.reason.startswith("killed by SIGABRT in abort (plugins_faulty.py:")
    assert outcome.reason.endswith("last output: the last words")


def test_a_failed_allocation_in_native_code_is_oom(session):
    outcome = run(session, "abort_like_cpp")
    assert outcome.status == "oom"
    assert outcome.reason.endswith("last output: what():  std::bad_alloc")


def test_segfault(session):
    outcome = run(session, "segfault")
    assert outcome.status == "crashed"
    assert outcome.reason.startswith("killed by SIGSEGV in string_at (")
    assert "in segfault" in outcome.output


def test_os_exit(session):
    outcome = run(session, "exit_at_once", code=3)
    assert outcome.status == "crashed"
    assert outcome.reason == "called os._exit(3), or a library exit(3); last output: leaving"
    assert run(session, "exit_at_once", code=0).status == "crashed"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("raise_error", "raised RuntimeError: the planted one"),
        ("sys_exit", "raised SystemExit: 3"),
        ("recurse", "raised RecursionError: maximum recursion depth exceeded"),
        ("not_json", "raised TypeError: Object of type object is not JSON serializable"),
        ("no_such_entry", "raised AttributeError: module 'plugins_faulty' has no attribute 'no_such_entry'"),
    ],
)
def test_what_the_worker_lets_through_is_a_crash_with_the_traceback(session, entry, reason):
    outcome = run(session, entry)
    assert outcome.status == "crashed"
    assert outcome.reason.startswith(reason)
    assert "Traceback (most recent call last)" in outcome.output


def test_recursion_in_c(session):
    outcome = run(session, "recurse_in_c")
    assert outcome.status == "crashed"
    assert "SIGSEGV" in outcome.reason or "RecursionError" in outcome.reason


@on_linux
def test_address_space_limit(session):
    limits = {"address_space": 1 << 30}
    outcome = run(session, "allocate", bytes=2 << 30, limits=limits)
    assert (outcome.status, outcome.reason) == ("oom", "raised MemoryError")
    assert run(session, "allocate", bytes=1 << 20, limits=limits).status == "ok"


@on_linux
def test_sigkill_is_blamed_on_the_kernel_only_if_the_kernel_counted_it(session):
    outcome = run(session, "kill_self")
    assert outcome.status == "crashed"
    assert outcome.reason.startswith("killed by SIGKILL from outside at ")


@on_linux
def test_killed_by_the_kernel_for_memory(session):
    limit = 64 << 20
    try:
        group = Path("/sys/fs/cgroup/memory/rnnbench-test")
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs a memory cgroup of its own: {error}")
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        outcome = run(session, "grow_inside_cgroup", cgroup=str(group))
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
    assert outcome.status == "oom"
    assert outcome.reason.startswith("killed by the kernel, out of memory, at ")
    assert outcome.reason.endswith("MiB resident; take a smaller size or free memory")


def test_printing_50_megabytes_blocks_nothing_and_keeps_the_end(session):
    outcome = run(session, "print_much", megabytes=50)
    assert (outcome.status, outcome.result) == ("ok", {"done": True})
    assert len(outcome.output) == 8192
    assert outcome.output.endswith("x\nthe end\n")


def test_threads_and_exit_handlers_do_not_hold_a_job(session):
    outcome = run(session, "start_threads")
    assert (outcome.status, outcome.result) == ("ok", {"threads": 21})


@pytest.mark.parametrize(("seconds", "timeout", "status"), [(0, 20, "ok"), (60, 1.5, "timeout")])
def test_children_left_behind_die_with_the_job(session, seconds, timeout, status):
    before = set(descendants())
    outcome = run(session, "leave_children", timeout=timeout, seconds=seconds)
    assert outcome.status == status
    assert set(descendants()) - before == set()
    assert all(gone(pid) for pid in outcome.result.get("pids", ()))


@on_linux
def test_processes_are_found_by_mark_where_orphans_cannot_be_adopted():
    sleeper = [sys.executable, "-c", "import time; time.sleep(3600)"]
    marked = subprocess.Popen(sleeper, env={**os.environ, subreaper.MARK: "planted"}, start_new_session=True)
    other = subprocess.Popen(sleeper, env={**os.environ, subreaper.MARK: "another"})
    try:
        subreaper.kill_marked("planted")
        assert marked.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


def test_nothing_a_job_changes_reaches_another_job(session):
    clean = dict(run(session, "look").result)
    assert run(session, "soil").status == "ok"
    after = dict(run(session, "look").result)
    assert clean.pop("random") != after.pop("random")
    assert after == clean
    assert clean["cwd"] == str(Path.cwd())
    assert clean["leader"] and clean["sigterm"] and clean["sigchld"] and not clean["soiled"]
    assert clean["stdin"] == ""
    assert clean["threads"] == 1
    if sys.platform == "linux":
        assert len(clean["open"]) == 5  # 0, 1, 2, the result, and the listing itself


def test_a_job_runs_in_the_working_directory_of_the_moment(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(session, "look").result["cwd"] == str(tmp_path)


# The launcher


def test_launcher_killed_between_jobs_is_replaced(session):
    run(session, "fine")
    launcher = session._launchers[(), (), 0]._process
    for pause in (0.0, 0.3):  # before and after the system lets us see its death
        launcher.kill()
        time.sleep(pause)
        assert run(session, "fine").status == "ok"
        assert session._launchers[(), (), 0]._process.pid != launcher.pid
        launcher = session._launchers[(), (), 0]._process


def test_launcher_killed_during_a_job_is_a_crash(session):
    outcome = run(session, "kill_launcher")
    assert outcome.status == "crashed"
    assert outcome.reason == "the process that started this case was lost: it was killed by signal 9"


def test_launcher_killed_while_children_hide(session, tmp_path):
    note = tmp_path / "pids"
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(run(session, "leave_children", note=str(note), seconds=60))
    )
    thread.start()
    wait_until(lambda: note.exists() and note.read_text().endswith("]"))
    launcher = session._launchers[(), (), 0]
    os.kill(launcher._process.pid, signal.SIGKILL)
    thread.join(20)
    assert outcomes[0].status == "crashed"
    wait_until(lambda: all(gone(pid) for pid in json.loads(note.read_text())))
    assert subreaper.marked(launcher._mark) == []


def test_each_preload_has_its_own_launcher(session):
    names = ["fractions", "colorsys"]
    first = run(session, "modules", preload=("fractions",), names=names).result
    second = run(session, "modules", preload=("colorsys",), names=names).result
    assert first == {"fractions": True, "colorsys": False}
    assert second == {"fractions": False, "colorsys": True}


def test_a_preload_that_cannot_be_imported_is_left_to_the_job(session):
    assert run(session, "fine", preload=("no_such_module",)).status == "ok"


def test_a_preload_that_starts_threads_is_not_forked():
    session = ForkServer(always=())
    try:
        with pytest.warns(RuntimeWarning, match="importing plugins_threaded starts threads"):
            outcome = run(session, "modules", preload=("plugins_threaded",), names=["plugins_threaded"])
        assert outcome.result == {"plugins_threaded": False}
    finally:
        session.close()


def test_a_preload_that_kills_the_process_is_reported(session, tmp_path, monkeypatch):
    (tmp_path / "dies_on_import.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = run(session, "fine", preload=("dies_on_import",))
    assert outcome.status == "crashed"
    assert outcome.reason == (
        "importing plugins_faulty, dies_on_import ahead of the cases failed: it was killed by signal 9"
    )


def test_no_warning_is_given_anywhere(tmp_path):
    """Python 3.12 and later warn when a process with threads forks; here that would end up on stderr."""
    script = (
        "import test_isolation as t; session = t.ForkServer(always=('numpy',)); "
        "print(t.run(session, 'numpy_product').result); session.close()"
    )
    environment = {
        **os.environ,
        "PYTHONWARNINGS": "error::DeprecationWarning",
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1] / "support"))),
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=600)
    assert (done.stdout, done.stderr) == ("{'sum': 64000000.0}\n", "")


def test_close_stops_everything_and_can_be_repeated():
    session = ForkServer(always=())
    run(session, "fine")
    pids = [launcher._process.pid for launcher in session._launchers.values()]
    session.close()
    session.close()
    assert all(gone(pid) for pid in pids)


@real_clock
def test_a_job_costs_less_than_an_interpreter_that_imports_what_it_needs(session):
    """What a job costs in seconds is measured by tests/benchmarks/test_cost.py."""

    def interpreter() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import rnnbench.isolation.launcher"], check=True)
        return time.perf_counter() - started

    assert min(run(session, "fine").seconds for _ in range(5)) < min(interpreter() for _ in range(3))


# The parent

PARENT = """
import sys, plugins_faulty, test_isolation as t
session = t.ForkServer(always=("plugins_faulty",))
try:
    print(t.run(session, "leave_children", timeout=100, note=sys.argv[1], seconds=100), flush=True)
except KeyboardInterrupt:
    print("interrupted", len(t.descendants()), flush=True)
    print(t.run(session, "fine", say="again").result["echo"], flush=True)
    session.close()
"""


@pytest.fixture
def parent(tmp_path):
    """A command in the middle of a job, with the pids of all it started."""
    note = tmp_path / "pids"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1] / "support"))),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(note)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        wait_until(lambda: note.exists() and note.read_text().endswith("]"))
        yield process, json.loads(note.read_text())
    finally:
        process.kill()
        process.communicate()


@on_linux
def test_parent_killed_takes_everything_along(parent):
    process, pids = parent
    process.kill()
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_interrupt_kills_the_job_and_reaches_the_caller(parent):
    process, pids = parent
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert output == "interrupted 0\nagain\n"
    assert process.returncode == 0
    assert all(gone(pid) for pid in pids)


@on_linux
def test_the_terminal_cannot_reach_the_job(parent):
    process, pids = parent
    assert os.getpgid(process.pid) not in {os.getpgid(pid) for pid in pids}


@on_linux
@pytest.mark.parametrize("times", [0, 3])
def test_how_often_something_stopped_the_process_is_told(session, times):
    assert run(session, "be_stopped", times=times).stops == times


ADOPTING = """
import sys, plugins_faulty, test_isolation as t
t.kernel.adopt_orphans()
session = {"inline": t.Inline, "forkserver": t.ForkServer}[sys.argv[1]]()
print(t.run(session, "hide", note=sys.argv[2], kill=sys.argv[1] == "forkserver").status)
session.close()
print(len(t.descendants()))
"""


@on_linux
@pytest.mark.parametrize("executor, status", [("inline", "ok"), ("forkserver", "crashed")])
def test_a_hidden_child_ends_with_the_command_whoever_would_have_reaped_it(tmp_path, executor, status):
    """It has no mark and a session of its own, and the launcher is dead or was never there."""
    note = tmp_path / "pid"
    places = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1] / "support")))
    command = [sys.executable, "-c", ADOPTING, executor, str(note)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": places})
    assert done.stdout == f"{status}\n0\n", done.stderr
    assert gone(json.loads(note.read_text()))


@on_linux
def test_a_process_that_is_not_the_command_line_keeps_its_children():
    assert not kernel.adopts_orphans()
    with subprocess.Popen(["sleep", "3600"]) as own:
        subreaper.reap_adopted(())
        assert own.poll() is None
        own.kill()


# The frameworks


def test_torch_is_preloaded_and_keeps_its_thread_count(session):
    pytest.importorskip("torch")
    script = "import torch; print(torch.get_num_threads())"
    alone = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    outcome = run(session, "torch_threads", preload=("torch",))
    assert outcome.status == "ok", outcome.reason
    assert outcome.result["threads"] == int(alone)
    assert outcome.result["sum"] == 300.0**3
    assert run(session, "modules", preload=("torch",), names=["torch"]).result == {"torch": True}


def test_jax_is_preloaded_without_torch(session):
    pytest.importorskip("jax")
    outcome = run(session, "jax_product", preload=("jax",), timeout=300)
    assert outcome.status == "ok", outcome.reason
    assert outcome.result == {"sum": 300.0**3, "torch": False}
    assert outcome.output == ""


# The rest


def test_executors_are_named_and_open():
    executors = {executor.name: executor for executor in rnnbench_executors()}
    assert set(executors) == {"local", "forkserver", "inline"}
    for executor in executors.values():
        assert executor.doc
        executor.open().close()


def test_importing_the_plugin_is_light():
    script = "import sys, {}; print(*sorted(sys.modules))"
    base, plugin = (
        set(subprocess.check_output([sys.executable, "-c", script.format(name)], text=True).split())
        for name in ("rnnbench", "rnnbench.isolation")
    )
    assert plugin - base == {"rnnbench.isolation"}


def test_inline_runs_in_this_process(capsys):
    session = Inline()
    outcome = run(session, "fine", say=1)
    assert outcome.result == {"pid": os.getpid(), "echo": 1}
    assert run(session, "raise_error").reason == "raised RuntimeError: the planted one"
    session.close()
    assert capsys.readouterr().out == ""


def test_forkserver_without_fork_is_a_usage_error(monkeypatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(UsageError, match="needs Linux or macOS"):
        ForkServer()


def test_frames_survive_any_cut():
    readable, writable = os.pipe()
    for payload in (b"", b"x", bytes(range(256)) * 100):
        frames.send(writable, payload)
        assert frames.receive(readable) == payload
    os.write(writable, b"\0\0\0\0\0\0\0\x05abc")
    os.close(writable)
    assert frames.receive(readable) is None
    os.close(readable)
    whole = b"\0\0\0\0\0\0\0\x03abc"
    assert [frames.complete(whole[:n]) for n in range(len(whole))] == [None] * len(whole)
    assert frames.complete(whole) == b"abc"


# What a job writes over the channel


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"\xff\x00garbage",
        b"[]",
        b'{"status": "ok"}',
        b'{"status": 1, "reason": "", "result": {}}',
        b'{"status": "ok", "reason": "", "result": []}',
        b"[" * 100_000,
    ],
)
def test_a_garbled_answer_is_a_crash_with_a_reason(message):
    found = frames.understood(message)
    assert found["status"] == "crashed" and "written over the channel" in found["reason"] and len(found["reason"]) < 300


def test_an_answer_comes_back_without_what_does_not_belong():
    assert frames.understood(frames.answer("ok", result={"a": 1})) == {"status": "ok", "reason": "", "result": {"a": 1}}
    assert set(frames.understood(b'{"status": "ok", "reason": "", "result": {}, "seconds": 3}')) == {
        "status",
        "reason",
        "result",
    }


def test_a_job_that_writes_to_every_descriptor_crashes_alone(session):
    outcome = run(session, "write_everywhere")
    assert outcome.status == "crashed" and outcome.reason


def test_kills_are_those_of_the_own_cgroup(tmp_path):
    """Another job's kill is not taken for ours."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "vmstat").write_text("nr_free_pages 1\noom_kill 7\n")
    assert kernel.oom_kills(proc, cgroups) == 7
    (proc / "self/cgroup").write_text("1:memory:/old\n0::/job/ours\n")
    assert kernel.oom_kills(proc, cgroups) == 7, "no cgroup v2 that counts"
    (cgroups / "job/ours").mkdir(parents=True)
    (cgroups / "job/ours/memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert kernel.oom_kills(proc, cgroups) == 2
    assert kernel.oom_kills(tmp_path / "nothing", cgroups) is None
