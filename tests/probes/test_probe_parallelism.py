"""Where more at once stops paying: curves with a known answer, then real programs."""

from math import exp

import pytest

from marks import real_clock
from rnnbench import registry
from rnnbench.case import Case
from rnnbench.errors import CaseError, OutOfMemory
from rnnbench.probes import parallelism, work
from rnnbench.probes.parallelism import PARALLELISM, ParallelismSettings, measure, saturation, speedup
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.quantity import Value
from rnnbench.worker import answers
from rnnbench.worker.resolve import resolve

SETTINGS = {"modes": ["forward"], "batch_sizes": [1, 8, 64], "threads": [1, 2], "budget": 0.02, "width": 0.5}


@pytest.fixture(scope="module")
def plugins():
    return registry.load()


def context(plugins, backend="torch", implementation="eager", threads=None, probe="parallelism", **settings):
    pytest.importorskip(backend)
    given = {**SETTINGS, **settings} if probe == "parallelism" else settings
    case = Case(probe, "gru", backend, implementation, "cpu", "float32", 6, 2, 8, 4, threads=threads, settings=given)
    return resolve(case, plugins)


def test_saturation_of_a_curve_that_grows_and_then_is_flat():
    found = saturation({1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0, 16: 100.0, 32: 100.0})
    assert found.value == pytest.approx(8 * 2**0.5)  # 90 is half way from 80 to 100, so half way from 8 to 16 in log
    assert found.bound is None


def test_saturation_at_a_measured_size_is_that_size():
    assert saturation({1: 50.0, 4: 90.0, 16: 100.0}).value == pytest.approx(4)


def test_a_curve_that_still_grows_gives_a_lower_bound():
    found = saturation({1: 1.0, 2: 2.0, 4: 4.0})
    assert (found.bound, found.value > 2) == ("lower", True)


def test_a_curve_that_is_flat_from_the_start_gives_an_upper_bound():
    found = saturation({2: 95.0, 4: 100.0, 8: 98.0})
    assert (found.bound, found.value) == ("upper", 2)


def test_a_best_that_was_reached_early_is_no_bound():
    assert saturation({1: 10.0, 2: 100.0, 4: 60.0}).bound is None


def test_a_speedup_is_known_as_well_as_both_rates_together():
    """Margins of 3 and 4 % make one of 5 %."""
    best, first = Value(400.0, 400 * exp(-0.03), 400 * exp(0.03)), Value(100.0, 100 * exp(-0.04), 100 * exp(0.04))
    found = speedup(best, first)
    assert found.value == pytest.approx(4.0)
    assert (found.low, found.high) == (pytest.approx(4 * exp(-0.05)), pytest.approx(4 * exp(0.05)))


def test_a_first_rate_that_is_the_best_is_its_own_single():
    assert speedup(only := Value(3.0, 2.0, 4.0), only) == Value(1.0, 1.0, 1.0)


@pytest.mark.parametrize("sizes", [(4,), (4, 2), (2, 2), (0, 1)])
def test_batch_sizes_that_are_no_axis_are_refused(sizes):
    with pytest.raises(ValueError, match="batch_sizes must be 2 or more positive numbers, ascending"):
        ParallelismSettings(batch_sizes=sizes)


@real_clock
@pytest.mark.parametrize(("backend", "implementation"), [("torch", "eager"), ("jax", "scan")])
def test_a_recurrent_program_gains_from_the_batch(plugins, backend, implementation):
    """8 units leave a core idle at batch 1: 64 sequences together take less than 64 times as long, by far."""
    found = measure(context(plugins, backend, implementation, threads=1))
    answers.part(found, {quantity.name: quantity for quantity in PARALLELISM.quantities})
    assert found.value("forward.batch_speedup").value > 3
    curve = found.curves["forward.tokens_per_second_by_batch"]
    assert list(curve.x) == [1, 8, 64]
    assert found.value("forward.best_tokens_per_second").value in curve.y


def test_torch_runs_with_each_number_of_threads(plugins, monkeypatch):
    monkeypatch.setattr(parallelism, "_cores", lambda: 2)
    found = measure(context(plugins))
    assert list(found.curves["forward.tokens_per_second_by_threads"].x) == [1, 2]
    assert found.value("forward.parallel_speedup").value >= 1


def test_jax_says_how_its_threads_can_be_compared(plugins, monkeypatch):
    monkeypatch.setattr(parallelism, "_cores", lambda: 64)  # at most one of the counts can be its own
    found = measure(context(plugins, "jax", "scan"))
    assert "forward.parallel_speedup" not in found.values
    assert any("write `threads: [1, 2]` in the grid" in note for note in found.notes)


def test_with_threads_fixed_by_the_case_there_is_no_second_curve(plugins):
    assert list(measure(context(plugins, threads=1)).curves) == ["forward.tokens_per_second_by_batch"]


def test_a_batch_that_does_not_fit_ends_the_curve(plugins, monkeypatch):
    real = parallelism._rate

    def rate(context, program, mode, batch_size):
        if batch_size > 8:
            raise OutOfMemory("full")
        return real(context, program, mode, batch_size)

    monkeypatch.setattr(parallelism, "_rate", rate)
    found = measure(context(plugins, threads=1))
    assert list(found.curves["forward.tokens_per_second_by_batch"].x) == [1, 8]
    assert any("from 64 on were left out: full" in note for note in found.notes)


@real_clock
@pytest.mark.parametrize(
    ("backend", "implementation"),
    [("torch", "eager"), ("torch", "native"), pytest.param("jax", "scan", marks=pytest.mark.long)],
)
def test_backward_alone_is_timed_beside_the_others(plugins, backend, implementation):
    """And gives the gradients of the whole, however often it runs."""
    import numpy as np

    here = context(
        plugins, backend, implementation, 1, "throughput", modes=["forward", "backward", "train"], budget=0.1
    )
    found = THROUGHPUT.measure(here)
    answers.part(found, {quantity.name: quantity for quantity in THROUGHPUT.quantities})
    assert found.value("backward.time").value < 1.25 * found.value("train.time").value, "with room for other work"
    program = here.program()
    batch = program.put(work.random_batch(here))
    _, expected, of_inputs = program.loss_and_gradients(batch)
    backward = program.backward(batch)
    for _ in range(3):
        gradients, xs_gradient = backward()
        np.testing.assert_allclose(program.get(xs_gradient), program.get(of_inputs), rtol=1e-4, atol=1e-7)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(program.get(gradient), program.get(expected[name]), rtol=1e-4, atol=1e-7)


def test_a_backward_pass_that_changes_what_it_was_kept_for_is_not_timed(plugins, monkeypatch):
    from rnnbench_torch.program import TorchProgram

    original = TorchProgram.backward

    def drifting(self, batch):
        again, runs = original(self, batch), iter(range(1, 99))

        def backward():
            (gradients, xs_gradient), factor = again(), next(runs)
            return {name: factor * gradient for name, gradient in gradients.items()}, xs_gradient

        return backward

    monkeypatch.setattr(TorchProgram, "backward", drifting)
    with pytest.raises(CaseError, match="other gradients each time"):
        here = context(plugins, probe="throughput")
        work.unit_of_work(here, here.program(), "backward")


def test_the_share_of_the_limit_is_in_the_record_where_ceilings_are_known(plugins):
    from dataclasses import replace

    here = context(plugins, threads=1, probe="throughput", modes=["forward"], budget=0.05)
    without = THROUGHPUT.measure(here)
    assert without.value("forward.flops").origin == "counted"
    assert "forward.limit_share" not in without.values
    assert any("ceilings are not known" in note for note in without.notes)
    found = THROUGHPUT.measure(replace(here, ceilings={"flops_per_second": 1e12, "bytes_per_second": 1e11}))
    cost, time = found.details["forward"]["cost"], found.value("forward.time").value
    share = found.value("forward.limit_share")
    assert share.value == pytest.approx(max(cost["flops"] / 1e12, cost["bytes"] / 1e11) / time)
    assert share.low is not None
    assert share.low <= share.value
    assert found.details["forward"]["limit"]["binds"] == "latency"  # six dispatched steps of eight units


def test_inputs_that_take_turns_are_the_same_numbers_in_other_places():
    import numpy as np

    xs = np.random.default_rng(0).standard_normal((5, 3, 2))
    first, *others = [batch["xs"] for batch in work._turned({"xs": xs}, 3)]
    np.testing.assert_array_equal(first, xs)
    for other in others:
        assert not (other == xs).all(axis=-1).any(), "no step of any sequence stays where it was"
        np.testing.assert_array_equal(np.sort(other, axis=None), np.sort(xs, axis=None))
