"""Decoding: one step at a time on the real backends, and what must be caught."""

import itertools

import numpy as np
import pytest

from marks import real_clock
from rnnbench import registry
from rnnbench.case import Case
from rnnbench.errors import CaseError
from rnnbench.probes import decode
from rnnbench.probes.decode import DECODE, LOOP, ROUNDS, Stream, measure
from rnnbench.worker import answers
from rnnbench.worker.resolve import resolve

B, D, H = 3, 4, 8
SETTINGS = {"processes": 1, "budget": 0.3}
PROGRAMS = [("torch", "eager"), ("torch", "native"), ("jax", "scan")]


@pytest.fixture(scope="module")
def plugins():
    return registry.load()


def context(plugins, backend="torch", implementation="eager", cell="lstm"):
    pytest.importorskip(backend)
    case = Case(
        "decode", cell, backend, implementation, "cpu", "float32", 16, B, H, D, layers=2, threads=1, settings=SETTINGS
    )
    return resolve(case, plugins)


@real_clock
@pytest.mark.parametrize(
    ("backend", "implementation"), [pytest.param(*PROGRAMS[0], marks=pytest.mark.long), *PROGRAMS[1:]]
)
def test_a_real_program_is_decoded_step_by_step(plugins, backend, implementation):
    found = measure(context(plugins, backend, implementation))
    answers.part(found, {quantity.name: quantity for quantity in DECODE.quantities})  # declares all it returns
    p50, p99 = found.value("decode.latency_p50"), found.value("decode.latency_p99")
    assert 0 < p50.value <= p99.value
    assert found.value("decode.tokens_per_second").value == pytest.approx(B / p50.value)
    rates = found.value("decode.tokens_per_second").samples
    assert rates == pytest.approx([B / seconds for seconds in p50.samples]), "two views of one number"
    assert found.value("decode.state_bytes").value == 2 * 2 * H * B * 4  # layers, (h, c)
    assert found.value("decode.flops").value > 2 * B * (4 * H * (D + H) + 4 * H * 2 * H)
    assert found.timings["decode"].number == 1
    assert found.details["decode"]["compilations"] <= 1


@real_clock
@pytest.mark.parametrize(
    ("backend", "implementation"), [PROGRAMS[0], pytest.param(*PROGRAMS[2], marks=pytest.mark.long)]
)
def test_the_sum_of_timed_steps_is_the_time_of_the_loop(plugins, backend, implementation):
    """Within 1 % on a quiet machine; a machine that also runs something else gets wider bounds."""
    agreement = measure(context(plugins, backend, implementation)).details["decode"]["agreement"]
    assert agreement["ratio"] == pytest.approx(1, abs=0.5)


def test_steps_and_loop_that_disagree_are_told():
    """A clock that adds 1 s to everything it times: a loop has it once, single steps each."""
    ticks = itertools.count()

    class Slow:
        def now(self):
            return float(next(ticks))

    found, notes = decode._agreement(lambda: None, Slow())
    assert found["ratio"] == LOOP
    assert "not 99 to 101 %" in notes[0]
    assert next(ticks) == ROUNDS * (2 + 2 * LOOP)


def test_steps_go_on_from_the_state_before(plugins):
    """The stream's outputs are the oracle's over the whole sequence, with the carried state."""
    from rnnbench.model import oracle

    here = context(plugins)
    xs = here.inputs()
    program = here.program()
    stream = Stream(program, [program.put({"x": x[None]})["x"] for x in xs])
    got = np.concatenate([program.get(stream.step()) for _ in xs[1:]])
    np.testing.assert_allclose(got, oracle.forward(here.model, here.weights(), xs)[1][1:], atol=1e-5)


def test_the_stream_starts_over_from_the_state_after_its_first_input(plugins):
    here = context(plugins)
    program = here.program()
    stream = Stream(program, [program.put({"x": x[None]})["x"] for x in here.inputs()])
    first = [program.get(stream.step()) for _ in range(15)]
    again = [program.get(stream.step()) for _ in range(15)]
    np.testing.assert_array_equal(first, again)


def test_a_program_that_forgets_its_state_is_not_timed(plugins, monkeypatch):
    from rnnbench_torch.program import TorchProgram

    forward = TorchProgram.forward
    monkeypatch.setattr(TorchProgram, "forward", lambda self, xs, states=None: forward(self, xs))
    with pytest.raises(CaseError, match="does not go on from the states it is given"):
        measure(context(plugins))
