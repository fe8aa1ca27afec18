"""The machine's own limits, the share of them, and the file they are kept in."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from marks import real_clock
from rnnbench import worker
from rnnbench.backend import Backend, Workload
from rnnbench.case import Case
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.implementation import Implementation
from rnnbench.machine.roofline import limit
from rnnbench.measure.timing import TimingSettings
from rnnbench.model.costs import Cost
from rnnbench.registry import Registry
from rnnbench.worker import ceilings
from rnnbench.worker.ceilings import for_case, measure

ROOF = {"flops_per_second": 1e9, "bytes_per_second": 1e8, "disturbed": 0.0}
CASE = Case("throughput", "rnn", "torch", "eager", "cpu", "float32", 8, 2, 4, 4)


@pytest.mark.parametrize(
    ("flops", "size", "seconds", "share", "binds"),
    [
        (8e8, 1e7, 1.0, 0.8, "compute"),
        (1e8, 9e7, 1.0, 0.9, "bandwidth"),
        (8e8, 1e7, 2.0, 0.4, "latency"),
        (1e9, 1e8, 1.0, 1.0, "compute"),
    ],
)
def test_share_of_the_limit_and_what_binds(flops, size, seconds, share, binds):
    found = limit(Cost(int(flops), int(flops), int(size), 0, 0), seconds, ROOF)
    assert (found.share, found.binds) == (pytest.approx(share), binds)


class Sleeper(Backend):
    """Products of 1000 FLOP in 2 ms, streams of 50 bytes in 1 ms."""

    name = "sleeper"
    missing = devices = versions = preferred = build = lambda *_: None  # type: ignore[assignment]

    def ceilings(self, device, dtype, threads) -> Mapping[str, Workload]:
        return {
            "flops_per_second": Workload(lambda: time.sleep(2e-3), 1000.0),
            "bytes_per_second": Workload(lambda: time.sleep(1e-3), 50.0),
        }


@real_clock
def test_known_work_gives_its_known_rate(monkeypatch):
    monkeypatch.setattr(ceilings, "SETTINGS", TimingSettings(budget=0.1))
    found = measure(Sleeper(), "cpu", "float32", None)
    assert found["flops_per_second"] == pytest.approx(500e3, rel=0.2)
    assert found["bytes_per_second"] == pytest.approx(50e3, rel=0.3)


@pytest.mark.parametrize(("times", "disturbed"), [([1.04, 1.0, 1.03, 2.0], 0), ([1.0, 1.2, 1.1, 1.3], 1), ([1, 1], 1)])
def test_a_ceiling_holds_where_it_was_reached_three_times(monkeypatch, times, disturbed):
    timed = SimpleNamespace(samples=times, contaminated=())
    monkeypatch.setattr(ceilings.timing, "measure", lambda *_: timed)
    found = measure(Sleeper(), "cpu", "float32", None)
    assert found == {"flops_per_second": 1000, "bytes_per_second": 50, "disturbed": disturbed}


def test_a_backend_without_ceilings_says_so():
    class Bare(Sleeper):
        ceilings = Backend.ceilings

    with pytest.raises(CaseError, match="'sleeper' has no way to measure flops_per_second and bytes_per_second"):
        measure(Bare(), "cpu", "float32", None)


class Here(Sleeper):
    """A backend of that name with one device."""

    def __init__(self, name, device="cpu"):
        self.name, self.device = name, device

    def devices(self):
        return {self.device: None}


def _never(*_) -> Any:
    raise AssertionError("a ceiling needs no implementation")


def registry(*backends):
    some = Implementation("any", "", supports=lambda *_: None, build=_never)
    return Registry(
        backends={backend.name: backend for backend in backends},
        implementations={(backend.name, "any"): replace(some, backend=backend.name) for backend in backends},
    )


ONE = registry(Here("torch"))


class Jobs:
    """Counts the jobs it is given, and answers them: all alike, or by backend."""

    def __init__(self, status="ok", ceilings=ROOF, **by_backend):
        self.status, self.ceilings, self.by_backend, self.asked = status, ceilings, by_backend, []

    def __call__(self, kind, case):
        self.asked.append(case.backend)
        found = self.by_backend.get(case.backend, self.ceilings)
        return Outcome("ok", {"status": self.status, "reason": "", "ceilings": found})


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("RNNBENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rnnbench" / "ceilings"


def test_ceilings_are_measured_once_per_machine(cache):
    jobs = Jobs()
    assert for_case(CASE, ONE, jobs, "env", {}) == ROOF
    assert for_case(CASE, ONE, jobs, "env", {}) == ROOF  # another run: from the file
    assert jobs.asked == ["torch"]
    (file,) = cache.iterdir()
    assert file.name == "env-torch-cpu-float32-all.json"
    assert json.loads(file.read_text())["measured"] > 0


@pytest.mark.parametrize("change", [{"dtype": "float64"}, {"device": "cuda"}, {"threads": 2}])
def test_another_dtype_device_or_thread_count_is_measured_apart(cache, change):
    jobs, known, both = Jobs(), {}, registry(Here("torch"), Here("gpus", "cuda"))
    for_case(CASE, both, jobs, "env", known)
    for_case(replace(CASE, seq_len=99, cell="lstm"), both, jobs, "env", known)
    assert len(jobs.asked) == 1
    for_case(replace(CASE, **change), both, jobs, "env", known)
    assert len(jobs.asked) == 2


def test_a_device_has_one_ceiling_whichever_backend_reaches_it(cache):
    """The best product of one and the best stream of another: the limit of the machine, not of a framework."""
    jobs, known = Jobs(torch={**ROOF, "flops_per_second": 3e9}, jax={**ROOF, "bytes_per_second": 3e8}), {}
    both = registry(Here("torch"), Here("jax"))
    for backend in ("torch", "jax"):
        found = for_case(replace(CASE, backend=backend), both, jobs, "env", known)
        assert found == {"flops_per_second": 3e9, "bytes_per_second": 3e8, "disturbed": 0}
    assert jobs.asked == ["torch", "jax"]


def test_only_what_was_disturbed_and_taken_makes_a_ceiling_doubtful(cache):
    slow = {"flops_per_second": 1e8, "bytes_per_second": 1e7, "disturbed": 1.0}
    both = registry(Here("torch"), Here("jax"))
    assert for_case(CASE, both, Jobs(jax=slow), "env", {}) == ROOF


def test_without_an_environment_nothing_is_kept(cache):
    jobs = Jobs()
    for_case(CASE, ONE, jobs, "", {})
    assert not cache.exists()


def test_what_could_not_be_measured_is_asked_once_a_run_and_not_kept(cache):
    jobs, known = Jobs("failed"), {}
    assert for_case(CASE, ONE, jobs, "env", known) is None
    assert for_case(CASE, ONE, jobs, "env", known) is None
    assert len(jobs.asked) == 1
    assert not cache.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"flops_per_second": 1}', json.dumps({**ROOF, "bytes_per_second": 0})]
)
def test_a_damaged_file_is_measured_again(cache, text):
    for_case(CASE, ONE, Jobs(), "env", {})
    (file,) = cache.iterdir()
    file.write_text(text)
    jobs = Jobs()
    assert for_case(CASE, ONE, jobs, "env", {}) == ROOF
    assert jobs.asked


def test_ceilings_of_a_busy_machine_serve_this_run_and_are_not_kept(cache):
    jobs, known = Jobs(ceilings={**ROOF, "disturbed": 1.0}), {}
    assert (
        for_case(CASE, ONE, jobs, "env", known) == for_case(CASE, ONE, jobs, "env", known) == {**ROOF, "disturbed": 1.0}
    )
    assert len(jobs.asked) == 1
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_only_costs_time(cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    assert for_case(CASE, ONE, Jobs(), "env", {}) == ROOF


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_job_measures_the_real_ceilings(backend, monkeypatch):
    """In the worker, as the runner asks for it. Any machine does between 1 GFLOP/s and 1 PFLOP/s here."""
    pytest.importorskip(backend)
    module = pytest.importorskip(f"rnnbench_{backend}.ceilings")
    monkeypatch.setattr(module, "matrix_size", lambda *_: 512)
    monkeypatch.setattr(module, "STREAM", {"cpu": 2**26})
    monkeypatch.setattr(ceilings, "SETTINGS", TimingSettings(budget=0.05))
    implementation = {"torch": "eager", "jax": "scan"}[backend]
    case = replace(CASE, backend=backend, implementation=implementation, threads=1)
    answer = worker.perform({"kind": "ceilings", "case": case.to_json()})
    assert answer["status"] == "ok", answer["reason"]
    assert 1e9 < answer["ceilings"]["flops_per_second"] < 1e15
    assert 1e8 < answer["ceilings"]["bytes_per_second"] < 1e13


@pytest.mark.parametrize("flagged, doubtful", [(0, 0.0), (3, 0.0), (8, 1.0), (10, 1.0)])
def test_a_ceiling_of_a_steadily_busy_machine_is_doubtful_however_well_samples_agree(monkeypatch, flagged, doubtful):
    from types import SimpleNamespace

    from rnnbench.backend import Workload

    timed = SimpleNamespace(samples=(1.0,) * 10, contaminated=tuple(range(flagged)))
    monkeypatch.setattr(ceilings.timing, "measure", lambda *_: timed)
    work = {key: Workload(lambda: None, 1.0) for key in ceilings.KEYS}
    backend = SimpleNamespace(name="fake", ceilings=lambda *_: work)
    assert ceilings.measure(backend, "cpu", "float32", None)["disturbed"] == doubtful  # pyright: ignore[reportArgumentType]
