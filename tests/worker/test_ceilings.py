"""The machine's own limits, the share of them, and the file they are kept in."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from marks import real_clock
from rnnbench import worker
from rnnbench.backend import Backend, Workload
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.errors import CaseError
from rnnbench.executor import Outcome
from rnnbench.implementation import Implementation
from rnnbench.machine.roofline import limit
from rnnbench.measure.timing import TimingSettings
from rnnbench.model import Model
from rnnbench.model.costs import Cost, count
from rnnbench.registry import Registry
from rnnbench.worker import ceilings
from rnnbench.worker.ceilings import for_case, measure, measure_products

ROOF = {"flops_per_second": 1e9, "bytes_per_second": 1e8, "activations_per_second": 1e8, "disturbed": 0.0}
PRODUCTS = {f"products_per_second.{width}": width * 1e8 for width in (1, 2, 3, 4)} | {"disturbed": 0.0}
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


@pytest.mark.parametrize(
    ("gates", "activations", "seconds", "share", "binds"),
    [
        (1, 0, 9.0, 1.0, "products"),  # 8e8 at 1e8/s, and 1e9 beside them
        (1, 0, 18.0, 0.5, "products"),
        (1, 0, 20.0, 0.45, "latency"),
        (4, 0, 3.0, 1.0, "products"),
        (4, 3e8, 6.0, 1.0, "pointwise"),
        (9, 0, 3.0, 1.0, "products"),  # wider than what is measured: as the widest
    ],
)
def test_what_goes_step_by_step_has_the_speed_of_its_own_shape(gates, activations, seconds, share, binds):
    cost = Cost(int(1.8e9), int(1.8e9), 10, 0, 0, step_flops=int(8e8), gates=gates, step_activations=int(activations))
    found = limit(cost, seconds, ROOF | PRODUCTS)
    assert (found.share, found.binds) == (pytest.approx(share), binds)


def test_without_small_products_all_operations_count_as_those_of_a_large_one():
    cost = Cost(int(1e9), int(1e9), 10, 0, 0, step_flops=int(8e8), gates=1, step_activations=10**9)
    assert limit(cost, 1.0, ROOF).share == pytest.approx(1)


class Played:
    """A clock that work moves on: a product of so many FLOP takes as long as its rate says."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        self.time += 1e-8  # of a read
        return self.time

    def spend(self, seconds):
        self.time += seconds


@pytest.mark.parametrize(("slowed", "share"), [(1, 1.0), (2, 0.5)])
@pytest.mark.parametrize("mode", ["forward", "train"])
def test_a_kernel_that_does_exactly_the_products_is_at_the_limit_and_half_as_fast_at_half_of_it(
    monkeypatch, mode, slowed, share
):
    """The whole way, from a backend's small products to the share of a pass, on a clock that is played."""
    B, H, T = 16, 8, 64
    clock, rate = Played(), 3e9
    monkeypatch.setattr(ceilings.timing, "measure", partial(ceilings.timing.measure, clock=clock))

    class Small(Sleeper):
        def products(self, device, dtype, threads, batch, hidden):
            flops = {k: 2.0 * k * batch * hidden**2 for k in (1, 2, 3, 4)}
            return {
                f"products_per_second.{k}": Workload(
                    lambda flops=flops[k]: clock.spend(1000 * flops / rate), 1000 * one
                )
                for k, one in flops.items()
            }

    found = measure_products(Small(), "cpu", "float32", 1, B, H)
    huge = dict.fromkeys(ceilings.KEYS, 1e30)

    def step(ops, params, h, x):
        h = h @ params["w"]
        return h, h

    model = Model(Cell("product", lambda rng, D, H: ({"w": np.eye(H)}, np.zeros(H)), step=step), H, H)
    cost = count(model, T, B, "float32", mode)
    passes = {"forward": 1, "train": 2}[mode]
    seconds = passes * slowed * T * 2 * B * H**2 / rate
    assert limit(cost, seconds, huge | found).share == pytest.approx(share, rel=0.01)


class Sleeper(Backend):
    """Products of 1000 FLOP in 2 ms, streams of 50 bytes in 1 ms, 20 activations in 1 ms."""

    name = "sleeper"
    missing = devices = versions = preferred = build = lambda *_: None  # type: ignore[assignment]

    def ceilings(self, device, dtype, threads) -> Mapping[str, Workload]:
        return {
            "flops_per_second": Workload(lambda: time.sleep(2e-3), 1000.0),
            "bytes_per_second": Workload(lambda: time.sleep(1e-3), 50.0),
            "activations_per_second": Workload(lambda: time.sleep(1e-3), 20.0),
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
    known = {"flops_per_second": 1000, "bytes_per_second": 50, "activations_per_second": 20}
    assert found == known | {"disturbed": disturbed}


def test_a_backend_without_ceilings_says_so():
    class Bare(Sleeper):
        ceilings = Backend.ceilings

    with pytest.raises(
        CaseError, match="'sleeper' has no way to measure flops_per_second and bytes_per_second and act"
    ):
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
    """Counts the jobs it is given, and answers them: all alike, or by backend; small products where it has some."""

    def __init__(self, status="ok", ceilings=ROOF, products=None, **by_backend):
        self.status, self.ceilings, self.by_backend, self.asked = status, ceilings, by_backend, []
        self.products, self.shapes = products, []

    def __call__(self, kind, case):
        if kind == "products":
            self.shapes.append((case.backend, case.batch_size, case.hidden_size))
            return Outcome("ok", {"status": "ok" if self.products else "failed", "ceilings": self.products})
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
        assert found == ROOF | {"flops_per_second": 3e9, "bytes_per_second": 3e8}
    assert jobs.asked == ["torch", "jax"]


def test_only_what_was_disturbed_and_taken_makes_a_ceiling_doubtful(cache):
    slow = {"flops_per_second": 1e8, "bytes_per_second": 1e7, "activations_per_second": 1e6, "disturbed": 1.0}
    both = registry(Here("torch"), Here("jax"))
    assert for_case(CASE, both, Jobs(jax=slow), "env", {}) == ROOF


def test_small_products_are_measured_once_per_batch_and_hidden_size(cache):
    jobs, known = Jobs(products=PRODUCTS), {}
    assert for_case(CASE, ONE, jobs, "env", known) == ROOF | PRODUCTS
    for_case(replace(CASE, seq_len=99, cell="lstm"), ONE, jobs, "env", known)
    for_case(replace(CASE, batch_size=3), ONE, jobs, "env", known)
    for_case(CASE, ONE, jobs, "env", {})  # another run: from the file
    assert (jobs.shapes, jobs.asked) == ([("torch", 2, 4), ("torch", 3, 4)], ["torch"])
    assert {file.name for file in cache.iterdir()} == {
        "env-torch-cpu-float32-all.json",
        "env-torch-cpu-float32-all-B2-H4.json",
        "env-torch-cpu-float32-all-B3-H4.json",
    }


@pytest.mark.parametrize(
    ("hidden", "size"), [(1, 1), (2, 2), (3, 3), (5, 6), (33, 32), (56, 64), (78, 64), (79, 96), (111, 128), (591, 512)]
)
def test_hidden_sizes_share_a_few_shapes(hidden, size):
    assert ceilings.nearest(hidden) == size
    assert 0.8 < size / hidden < 1.25


def test_doubtful_small_products_make_the_ceilings_doubtful(cache):
    found = for_case(CASE, ONE, Jobs(products=PRODUCTS | {"disturbed": 1.0}), "env", {})
    assert found == ROOF | PRODUCTS | {"disturbed": 1.0}


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
    """In the worker, as the runner asks for it. Any machine, however busy, does 1 GFLOP/s to 1 PFLOP/s here."""
    pytest.importorskip(backend)
    module = pytest.importorskip(f"rnnbench_{backend}.ceilings")
    monkeypatch.setattr(module, "matrix_size", lambda *_: 512)
    monkeypatch.setattr(module, "STREAM", {"cpu": 2**26})
    monkeypatch.setattr(ceilings, "SETTINGS", TimingSettings(budget=0.05))
    monkeypatch.setattr(ceilings, "SMALL", TimingSettings(budget=0.02))
    implementation = {"torch": "eager", "jax": "scan"}[backend]
    case = replace(CASE, backend=backend, implementation=implementation, threads=1)
    answer = worker.perform({"kind": "ceilings", "case": case.to_json()})
    assert answer["status"] == "ok", answer["reason"]
    assert 1e9 < answer["ceilings"]["flops_per_second"] < 1e15
    assert 1e7 < answer["ceilings"]["bytes_per_second"] < 1e13
    assert 1e7 < answer["ceilings"]["activations_per_second"] < 1e13
    monkeypatch.setattr(module, "ENOUGH", {"cpu": 2**16})
    answer = worker.perform({"kind": "products", "case": replace(case, hidden_size=32).to_json()})
    assert answer["status"] == "ok", answer["reason"]
    assert all(1e6 < answer["ceilings"][f"products_per_second.{width}"] < 1e15 for width in (1, 2, 3, 4))


@pytest.mark.parametrize("flagged, doubtful", [(0, 0.0), (3, 0.0), (8, 1.0), (10, 1.0)])
def test_a_ceiling_of_a_steadily_busy_machine_is_doubtful_however_well_samples_agree(monkeypatch, flagged, doubtful):
    from types import SimpleNamespace

    from rnnbench.backend import Workload

    timed = SimpleNamespace(samples=(1.0,) * 10, contaminated=tuple(range(flagged)))
    monkeypatch.setattr(ceilings.timing, "measure", lambda *_: timed)
    work = {key: Workload(lambda: None, 1.0) for key in ceilings.KEYS}
    backend = SimpleNamespace(name="fake", ceilings=lambda *_: work)
    assert ceilings.measure(backend, "cpu", "float32", None)["disturbed"] == doubtful  # pyright: ignore[reportArgumentType]
