"""The machine's own limits, the share of them, and the file they are kept in."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from rnnbench import ceilings, worker
from rnnbench.backend import Backend, Workload
from rnnbench.case import Case
from rnnbench.ceilings import for_case, limit, measure
from rnnbench.costs import Cost
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.timing import TimingSettings

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


def test_known_work_gives_its_known_rate(monkeypatch):
    monkeypatch.setattr(ceilings, "SETTINGS", TimingSettings(budget=0.1))
    found = measure(Sleeper(), "cpu", "float32", None)
    assert found["flops_per_second"] == pytest.approx(500e3, rel=0.2)
    assert found["bytes_per_second"] == pytest.approx(50e3, rel=0.3)


def test_a_backend_without_ceilings_says_so():
    class Bare(Sleeper):
        ceilings = Backend.ceilings

    with pytest.raises(CaseError, match="'sleeper' has no way to measure flops_per_second and bytes_per_second"):
        measure(Bare(), "cpu", "float32", None)


class Jobs:
    """Counts the jobs it is given, and answers them."""

    def __init__(self, status="ok", ceilings=ROOF):
        self.status, self.ceilings, self.asked = status, ceilings, []

    def __call__(self, kind, case):
        self.asked.append(kind)
        return Outcome("ok", {"status": self.status, "reason": "", "ceilings": self.ceilings})


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rnnbench" / "ceilings"


def test_ceilings_are_measured_once_per_machine(cache):
    jobs = Jobs()
    assert for_case(CASE, jobs, "env", {}) == ROOF
    assert for_case(CASE, jobs, "env", {}) == ROOF  # another run: from the file
    assert jobs.asked == ["ceilings"]
    (file,) = cache.iterdir()
    assert file.name == "env-torch-cpu-float32-all.json"
    assert json.loads(file.read_text())["measured"] > 0


@pytest.mark.parametrize("change", [{"backend": "jax"}, {"dtype": "float64"}, {"device": "cuda"}, {"threads": 2}])
def test_another_backend_dtype_device_or_thread_count_is_measured_apart(cache, change):
    jobs, known = Jobs(), {}
    for_case(CASE, jobs, "env", known)
    for_case(replace(CASE, seq_len=99, cell="lstm"), jobs, "env", known)
    assert len(jobs.asked) == 1
    for_case(replace(CASE, **change), jobs, "env", known)
    assert len(jobs.asked) == 2


def test_without_an_environment_nothing_is_kept(cache):
    jobs = Jobs()
    for_case(CASE, jobs, "", {})
    assert not cache.exists()


def test_what_could_not_be_measured_is_asked_once_a_run_and_not_kept(cache):
    jobs, known = Jobs("failed"), {}
    assert for_case(CASE, jobs, "env", known) is None
    assert for_case(CASE, jobs, "env", known) is None
    assert len(jobs.asked) == 1
    assert not cache.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"flops_per_second": 1}', json.dumps({**ROOF, "bytes_per_second": 0})]
)
def test_a_damaged_file_is_measured_again(cache, text):
    for_case(CASE, Jobs(), "env", {})
    (file,) = cache.iterdir()
    file.write_text(text)
    jobs = Jobs()
    assert for_case(CASE, jobs, "env", {}) == ROOF
    assert jobs.asked


def test_ceilings_of_a_busy_machine_serve_this_run_and_are_not_kept(cache):
    jobs, known = Jobs(ceilings={**ROOF, "disturbed": 1.0}), {}
    assert for_case(CASE, jobs, "env", known) == for_case(CASE, jobs, "env", known) == {**ROOF, "disturbed": 1.0}
    assert len(jobs.asked) == 1
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_only_costs_time(cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    assert for_case(CASE, Jobs(), "env", {}) == ROOF


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
