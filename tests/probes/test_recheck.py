"""What is right when it is verified and wrong when it is timed carries no time."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median

import pytest

from marks import real_clock
from rnnbench import Implementation
from rnnbench.case import Case
from rnnbench.errors import CaseError, Wrong
from rnnbench.measure.timing import LOOKS
from rnnbench.probes import convergence, decode, parallelism, recheck, throughput, work
from rnnbench.quantity import Value
from rnnbench.registry import load
from rnnbench.worker.resolve import resolve
from rnnbench.worker.verification import verify

pytest.importorskip("torch")

CASE = Case(
    "throughput", "gru", "torch", "native", "cpu", "float32", 64, 8, 32, 8, threads=1,
    settings={"modes": ["forward", "train"], "processes": 1, "budget": 0.02, "width": 0.5},
)  # fmt: skip


def _honest():
    from rnnbench_torch import native

    return native.build(load().cells["gru"], "cpu", "float32")


def _remembers_shapes(run):
    kept = {}

    def unroll(params, state, xs):
        import torch

        key = (tuple(xs.shape), xs.dtype)
        if torch.is_grad_enabled() or key not in kept:
            kept[key] = run(params, state, xs)
        return kept[key]

    return unroll


def _remembers_inputs(run):
    kept = {}

    def unroll(params, state, xs):
        import torch

        if torch.is_grad_enabled():
            return run(params, state, xs)
        if id(xs) not in kept:
            kept[id(xs)] = (xs, run(params, state, xs))
        return kept[id(xs)][1]

    return unroll


def _when_warm(lie):
    """Honest for four calls, then `lie(run, params, state, xs)`."""

    @functools.wraps(lie)
    def change(run):
        calls = itertools.count(1)
        return lambda *given: run(*given) if next(calls) <= 4 else lie(run, *given)

    return change


POOL = ThreadPoolExecutor(1)


@_when_warm
def _works_later(run, params, state, xs):
    import torch

    if torch.is_grad_enabled():
        return run(params, state, xs)
    ys = torch.zeros(*xs.shape[:2], 32, dtype=xs.dtype)

    def work():
        time.sleep(0.002)  # as long as the work of a large case takes
        with torch.no_grad():
            ys.copy_(run(params, state, xs)[1])

    POOL.submit(work)
    return state, ys


@_when_warm
def _cheats_when_warm(run, *given):
    final, ys = run(*given)
    return final, ys * 0


@_when_warm
def _forgets_when_warm(run, *given):
    """Right outputs, but training sees the last step alone."""
    import torch

    final, ys = run(*given)
    return final, torch.cat([ys[:-1].detach(), ys[-1:]]) if torch.is_grad_enabled() else ys


@_when_warm
def _swaps_rows_when_warm(run, *given):
    final, ys = run(*given)
    return final, ys.flip(1)


@_when_warm
def _leaves_out_the_last_row_when_warm(run, *given):
    import torch

    final, ys = run(*given)
    return final, torch.cat([ys[:, :-1], 0 * ys[:, -1:]], dim=1)


@_when_warm
def _trains_without_the_last_row_when_warm(run, *given):
    """Right outputs; a row more or less in the mean over a batch is hardly seen in its gradient."""
    import torch

    final, ys = run(*given)
    return final, torch.cat([ys[:, :-1], ys[:, -1:].detach()], dim=1) if torch.is_grad_enabled() else ys


@_when_warm
def _rounds_when_warm(run, params, state, xs):
    """The recurrent matrix in half precision."""
    coarse = params["weight_hh"].bfloat16().to(xs.dtype)
    return run({**params, "weight_hh": coarse}, state, xs)


def _cheats_every_other_time(run):
    """Right while it is verified, which asks each program a few times only."""
    calls = itertools.count(1)

    def unroll(*given):
        final, ys = run(*given)
        number = next(calls)
        return final, ys * 0 if number > 4 and number % 2 else ys

    return unroll


def _right_on_one_input(run):
    """The first of each shape: where verification's seed is known, or is the only one that is ever used."""
    kept = {}

    def unroll(params, state, xs):
        import torch

        final, ys = run(params, state, xs)
        known = kept.setdefault((tuple(xs.shape), xs.dtype), xs.detach().clone())
        return final, ys if torch.equal(known, xs) else 1.01 * ys

    return unroll


@_when_warm
def _stretches_rows_when_warm(run, *given):
    """Right outputs; the gradients of five sequences are half as large again."""
    import torch

    final, ys = run(*given)
    if torch.is_grad_enabled():
        factor = torch.ones(ys.shape[1], 1)
        factor[:5] = 1.5
        ys = factor * ys - ((factor - 1) * ys).detach()
    return final, ys


def _planted(change) -> Implementation:
    return Implementation("planted", "torch", lambda *_: None, lambda cell, device, dtype: change(_honest()))


LIES = [
    _remembers_shapes,
    _remembers_inputs,
    _works_later,
    _cheats_when_warm,
    _forgets_when_warm,
    _swaps_rows_when_warm,
    _right_on_one_input,
    _leaves_out_the_last_row_when_warm,
    _trains_without_the_last_row_when_warm,
    _rounds_when_warm,
    _cheats_every_other_time,
]


def _refusal(context) -> str:
    try:
        throughput.measure(context)
    except Wrong as wrong:
        return str(wrong)
    return ""


@real_clock
@pytest.mark.parametrize("lie", LIES)
def test_a_program_that_is_another_once_it_is_warm_is_wrong(lie):
    context = replace(resolve(CASE, load()), implementation=_planted(lie))
    assert verify(context).get("status") is None  # it is not found out there
    refusal = _refusal(context)
    assert "after it was timed" in refusal or "remembers its answers" in refusal


@real_clock
@pytest.mark.parametrize("lie", [None, _forgets_when_warm, _stretches_rows_when_warm])
def test_a_backward_pass_that_is_timed_alone_is_held_against_the_oracle_too(lie):
    context = resolve(replace(CASE, settings={**CASE.settings, "modes": ["backward"]}), load())
    if lie is not None:
        context = replace(context, implementation=_planted(lie))
    assert ("is not the oracle's" in _refusal(context)) == (lie is not None)


@pytest.mark.parametrize("cell", ["irnn(gain=1.5)", "rnn(gain=3)", "lru"])
def test_an_honest_backward_pass_is_timed_where_gradients_grow_and_fade(cell):
    implementation = "associative_scan" if cell == "lru" else "native" if cell.startswith("rnn") else "eager"
    context = resolve(replace(CASE, cell=cell, implementation=implementation, seq_len=96), load())
    recheck.check(context, context.program(), "backward", None)


@pytest.mark.parametrize("honest", [True, False])
def test_a_step_that_is_remembered_is_not_decoded(monkeypatch, honest):
    """A step that is worked out takes a millisecond here, one that is remembered a microsecond."""
    worked = []

    def counted(run):
        def unroll(params, state, xs):
            worked.append(1)
            return run(params, state, xs)

        return unroll if honest else _remembers_steps(unroll)

    def ticking(call, *_):
        before = len(worked)
        call()
        return 1e-3 if len(worked) > before else 1e-6

    monkeypatch.setattr(recheck, "_seconds", ticking)
    monkeypatch.setattr(decode, "_elapsed", ticking)
    case = replace(CASE, probe="decode", settings={"processes": 1, "budget": 1.0})
    context = replace(resolve(case, load()), implementation=_planted(counted))
    program = context.program()
    xs = context.inputs(seq_len=decode.STEPS + 1)
    stream = decode.Stream(program, [program.put({"x": x[None]})["x"] for x in xs])
    seconds = median([ticking(stream.step) for _ in range(4 * decode.STEPS)])
    assert seconds == (1e-3 if honest else 1e-6)
    caught = contextlib.nullcontext() if honest else pytest.raises(Wrong, match="remembers its answers")
    with caught:
        decode._refuse_memory(program, stream, context, seconds)


def _remembers_steps(run):
    """By where its inputs lie, states too: the chain from one start is soon known by heart."""
    kept = {}

    def unroll(params, state, xs):
        key = (xs.data_ptr(), tuple(leaf.data_ptr() for leaf in (state if isinstance(state, tuple) else (state,))))
        if key not in kept:
            kept[key] = (xs, state, run(params, state, xs))
        return kept[key][2]

    return unroll


@pytest.mark.parametrize("cell", ["gru", "rnn(gain=10)"])
def test_an_honest_one_is_timed(cell):
    found = throughput.measure(resolve(replace(CASE, cell=cell), load()))
    assert found.value("train.time").value > 0


def test_every_batch_size_of_a_sweep_is_looked_at():
    settings = {"modes": ["forward"], "batch_sizes": [4, 8, 16], "threads": [], "budget": 0.02, "width": 0.5}
    context = resolve(replace(CASE, probe="parallelism", settings=settings), load())

    def zeros_above_eight(run):
        def unroll(params, state, xs):
            final, ys = run(params, state, xs)
            return final, ys * (xs.shape[1] <= 8)

        return unroll

    def last_step_alone_above_eight(run):
        def unroll(params, state, xs):
            import torch

            final, ys = run(params, state, xs)
            return final, ys if xs.shape[1] <= 8 else torch.cat([ys[:-1].detach(), ys[-1:]])

        return unroll

    assert parallelism.measure(context).values
    training = resolve(replace(CASE, probe="parallelism", settings={**settings, "modes": ["train"]}), load())
    with pytest.raises(Wrong, match="after it was timed"):
        parallelism.measure(replace(training, implementation=_planted(last_step_alone_above_eight)))
    with pytest.raises(Wrong, match="after it was timed"):
        parallelism.measure(replace(context, implementation=_planted(zeros_above_eight)))


def test_more_than_a_clean_ceiling_is_no_number():
    ceilings = {"flops_per_second": 1e9, "bytes_per_second": 1e12, "disturbed": 0.0}
    context = replace(resolve(CASE, load()), ceilings=ceilings)
    flops = work.share_of_limit(context, "forward", "forward", Value(1.0)).values["forward.flops"].value
    for share, stated in ((0.5, True), (1.04, True), (1.06, False), (241.0, False)):
        found = work.share_of_limit(context, "forward", "forward", Value(flops / 1e9 / share))
        assert ("forward.limit_share" in found.values) == stated
        assert any("more than this machine can do" in note for note in found.notes) != stated


SEEN = {
    "every second call is quicker": ([2, 1] * 12, True),
    "beside other work, two pairs are level": ([2, 1] * 5 + [1, 1] * 2 + [2, 1] * 5, True),
    "three pairs are level": ([2, 1] * 9 + [1.2, 1] * 3, False),
    "the first three pairs are level": ([1, 1] * 3, False),
}


@pytest.mark.parametrize(("seconds", "remembers"), SEEN.values(), ids=SEEN.keys())
def test_half_the_work_remembered_is_found_by_calling_twice(monkeypatch, seconds, remembers):
    """Where new inputs take twice the median, a second call on each tells a memory from a busy machine."""
    context = resolve(CASE, load())
    program, took = context.program(), iter(seconds)
    monkeypatch.setattr(recheck, "_seconds", lambda call: next(took))
    caught = pytest.raises(Wrong, match="remembers its answers") if remembers else contextlib.nullcontext()
    with caught:
        recheck.check(context, program, "forward", 1e-9)


def test_what_was_trained_is_looked_at_too():
    """Honest for two calls, then zeros: it learns nothing, and it is not the architecture that does not."""
    settings = {"task": "adding", "max_steps": 12, "eval_every": 6, "eval_size": 16}
    case = replace(CASE, probe="convergence", seq_len=10, batch_size=8, input_size=2, settings=settings)
    context = resolve(case, load())
    assert convergence.CONVERGENCE.measure(context).values
    with pytest.raises(Wrong, match="inputs it had not seen"):
        convergence.CONVERGENCE.measure(replace(context, implementation=_planted(_cheats_when_warm)))


@pytest.mark.parametrize("waits", [True, False], ids=["synchronize waits", "it does not"])
def test_a_backend_that_hands_work_over_is_refused_before_thousands_of_calls_are_queued(waits):
    """Where nothing waits, what is read has to be there: then the work shows."""
    from rnnbench_torch.program import TorchProgram

    handed = []

    class Lazy(TorchProgram):
        pool = ThreadPoolExecutor(1)

        def forward(self, xs, states=None):  # pyright: ignore[reportIncompatibleMethodOverride]
            def work():
                time.sleep(0.01)
                return TorchProgram.forward(self, xs, states)

            handed.append(self.pool.submit(work))
            return _Promise(handed[-1])

        def synchronize(self):
            if waits and threading.current_thread() is threading.main_thread():  # work cannot wait for itself
                [job.result() for job in handed]

    class Backend:
        def build(self, spec):
            return Lazy(spec)

    case = replace(CASE, settings={**CASE.settings, "modes": ["forward"]})
    with pytest.raises(CaseError, match="returns only when the device is done"):
        throughput.measure(replace(resolve(case, load()), backend=Backend()))
    assert len(handed) <= 1 + LOOKS


class _Promise:
    def __init__(self, job):
        self.job = job

    def __iter__(self):
        return iter(self.job.result())
