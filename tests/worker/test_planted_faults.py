"""What verification catches: planted faults are counted over many draws, honest programs pass all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from rnnbench import Cell, Implementation
from rnnbench.case import Case
from rnnbench.errors import Diverged, Wrong
from rnnbench.model import adjoint
from rnnbench.ops import EPS
from rnnbench.registry import load
from rnnbench.worker.resolve import resolve
from rnnbench.worker.verification import backward, comparison, projection_loss, verify
from rnnbench.worker.verification.truth import Truth

pytest.importorskip("torch")

CASE = Case(
    "throughput", "gru", "torch", "eager", "cpu", "float32", 24, 4, 8, 5, threads=1, settings={"modes": ["train"]}
)
DRAWS = 100


def looped(change=lambda state, z, t, T: state, after=lambda ys, xs: ys, parameters=lambda params: params):
    """A plain loop over the steps, with what a fault changes in it."""

    def build(cell, device, dtype):
        import torch

        from rnnbench_torch.ops import torch_ops

        def unroll(params, state, xs):
            params, ys = parameters(params), []
            zs = cell.projected(torch_ops(), params, xs)
            for t in range(len(xs)):
                state, y = cell.advance(torch_ops(), params, change(state, zs, t, len(xs)), zs[t])
                ys.append(y)
            return state, after(torch.stack(ys), xs)

        return unroll

    return Implementation("planted", "torch", lambda *_: None, build)


def verdict(case: Case, implementation: Implementation | None = None, cell: Cell | None = None) -> dict:
    context = resolve(case, load())
    changed = {"implementation": implementation, "cell": cell}
    return verify(replace(context, **{name: value for name, value in changed.items() if value is not None}))


def _rows(keep):
    def after(ys, xs):
        import torch

        mask = torch.zeros(xs.shape[1], dtype=ys.dtype)
        mask[keep] = 1
        return ys * mask[:, None]

    return after


def _stretched(params):
    """Gradients a tenth too large."""
    return {name: 1.1 * param - 0.1 * param.detach() for name, param in params.items()}


FAULTS = {
    "rows that nobody looks at": looped(after=_rows([0, 2, 3])),
    "cut in the middle": looped(lambda state, z, t, T: state.detach() if t == T // 2 else state),
    "cut before the last step": looped(lambda state, z, t, T: state.detach() if t == T - 1 else state),
    "one row without gradient": looped(after=lambda ys, xs: ys - ys * 0 if xs.shape[1] == 1 else _detached_row(ys)),
    "a tenth too much": looped(parameters=_stretched),
    "only where nobody asks for dL/dx": looped(
        lambda state, z, t, T: state if z.requires_grad and z.grad_fn is not None and _asks(z) else state.detach()
    ),
}


def _detached_row(ys):
    import torch

    return torch.cat([ys[:, :1].detach(), ys[:, 1:]], dim=1)


def _asks(z) -> bool:
    """Whether the inputs below this projection want a gradient."""
    seen, nodes = set(), [z.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and variable.ndim == 3:
            return True
        nodes += [following for following, _ in node.next_functions]
    return False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_wrong_in_every_dtype(fault, dtype):
    found = verdict(replace(CASE, dtype=dtype), FAULTS[fault])
    assert found.get("status") == "wrong", found


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_the_honest_loop_is_not(dtype):
    found = verdict(replace(CASE, dtype=dtype), looped())
    assert (found.get("reason"), found["verified"]) == (None, "oracle")
    assert found["looked_at"]["steps"] == 24


def test_what_is_wrong_beyond_a_length_in_half_precision_alone_is_found():
    def forgetful(dtype):
        def change(state, zs, t, T):
            import torch

            return 0.9 * state if t >= 40 and state.dtype == getattr(torch, dtype) else state

        return looped(change)

    case = replace(CASE, seq_len=48, dtype="bfloat16")
    assert verdict(case, forgetful("bfloat16"))["status"] == "wrong"
    assert "status" not in verdict(case, forgetful("float16"))


def test_beyond_1024_steps_too():
    """Gradients are compared over the whole length: here they end at step 1025."""
    case = replace(CASE, seq_len=1100, batch_size=2, hidden_size=4)
    late = looped(lambda state, z, t, T: state.detach() if t >= 1025 else state)
    assert verdict(case, late)["status"] == "wrong"


HALF = ["bfloat16", "float16"]
GRADIENT_FAULTS = {
    "a tenth too large": lambda name, g: 1.1 * g,
    "recurrent gradient halved": lambda name, g: g / 2 if "weight_hh" in name else g,
    "no bias gradient": lambda name, g: 0 * g if "bias_hh" in name else g,
    "sign": lambda name, g: -g if "weight_ih" in name else g,
    "zeros": lambda name, g: 0 * g,
}


@cache
def half_runs(dtype: str, draws: int) -> list[tuple]:
    """(gradients in half precision, in float32, what rounding does to them) of some draws of weights and inputs."""
    runs = []
    for seed in range(draws):
        context = resolve(replace(CASE, seed=seed, dtype=dtype, seq_len=12), load())
        weights, xs = context.weights(), context.inputs("drawn")
        cotangent = context.rng("cotangent").standard_normal((12, 4, 8))
        wide, half = (
            backward(context.program(weights, loss=projection_loss, dtype=one), xs, cotangent)
            for one in ("float32", dtype)
        )
        with threadpool_limits(1, user_api="blas"):
            moved = Truth(context.model, weights, xs, cotangent).moved(dtype)
        runs.append((half, wide, moved))
    return runs


DRAWN = pytest.mark.parametrize("draws", [25, pytest.param(DRAWS, marks=pytest.mark.long)])


@DRAWN
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("fault", GRADIENT_FAULTS)
def test_in_half_precision_a_wrong_gradient_fails_in_99_of_100_draws(fault, dtype, draws):
    caught = 0
    for half, wide, natural in half_runs(dtype, draws):
        wrong = {name: GRADIENT_FAULTS[fault](name, gradient) for name, gradient in half.items()}
        caught += not all(
            check.passed for check in comparison.half_checks(wrong, wide, natural, dtype, 12, 4, "gradients")
        )
    assert caught >= 0.99 * draws


@DRAWN
@pytest.mark.parametrize("dtype", HALF)
def test_in_half_precision_the_right_gradient_never_does(dtype, draws):
    for half, wide, natural in half_runs(dtype, draws):
        checks = comparison.half_checks(half, wide, natural, dtype, 12, 4, "gradients")
        assert [check.sentence() for check in checks if not check.passed] == []


def test_a_bias_summed_in_half_precision_term_by_term_is_no_fault():
    """As XLA does it: of the head's bias, one number, nothing averages the roundings of 128 terms out."""
    pytest.importorskip("jax")
    settings = {"task": "adding"}
    case = Case("convergence", "rnn", "jax", "scan", "cpu", "bfloat16", 16, 8, 4, 2, threads=1, settings=settings)
    assert verify(resolve(case, load())).get("reason") is None


CHAOTIC = ["rnn(gain=3)", "rnn(gain=5)", "rnn(gain=10)"]


@pytest.mark.parametrize("cell", CHAOTIC)
def test_a_chaotic_cell_is_not_wrong_and_a_fault_in_it_is(cell):
    case = replace(CASE, cell=cell, implementation="native", seq_len=96, hidden_size=32)
    assert verdict(case).get("status") is None
    for fault in ("rows that nobody looks at", "cut in the middle", "cut before the last step", "a tenth too much"):
        assert verdict(case, FAULTS[fault]).get("status") == "wrong", fault
    import torch

    late = looped(after=lambda ys, xs: torch.cat([ys[:80], 0 * ys[80:]]))
    assert verdict(case, late).get("status") == "wrong"


def condemned(draws: int, monkeypatch: pytest.MonkeyPatch, factor: float = 1.0) -> int:
    """Of 50 honest programs with a chaotic cell in float64, each with roundings of its own: those that are `wrong`."""
    monkeypatch.setattr("rnnbench.worker.verification.check.DRAWS", draws)
    context = resolve(replace(CASE, cell="rnn(gain=5)", seq_len=96, hidden_size=32), load())
    model, weights = context.model, context.weights()
    xs = context.inputs("verification")[:64]  # on these, the first draw of the noise does next to nothing
    cotangent, count = np.random.default_rng(0).standard_normal((*xs.shape[:2], model.outputs)), 0
    truth = Truth(model, weights, xs, cotangent)
    for seed in range(100, 150):
        run = adjoint.ForwardPass(model, weights, xs, adjoint.Noise(EPS["float64"], seed))
        gradients = {name: factor * one for name, one in run.back(cotangent).gradients.items()}
        checks = comparison.forward_checks((run.outputs, run.finals), truth, "float64")
        checks += comparison.gradient_checks(gradients, truth, "float64")
        count += any(not check.passed for check in checks)
    return count


def test_roundings_that_grow_condemn_no_honest_program_whatever_one_draw_of_them_does(monkeypatch):
    """What a draw does to the end of a chaotic sequence is one normal number, and by chance next to nothing."""
    assert condemned(1, monkeypatch) > 5
    assert condemned(8, monkeypatch) == 0
    assert condemned(8, monkeypatch, factor=1.1) == 50


def test_beyond_the_edge_of_chaos_the_verdict_is_weak():
    assert verdict(replace(CASE, cell="rnn(gain=5)", seq_len=96, hidden_size=32))["verified"] == "weak"


@pytest.mark.parametrize("cell, seq_len", [("irnn(gain=1.5)", 300), ("rnn(gain=10)", 300)])
def test_what_leaves_the_numbers_of_its_dtype_has_diverged(cell, seq_len):
    with pytest.raises(Diverged, match="leave the numbers of float32"):
        verdict(replace(CASE, cell=cell, implementation="native", seq_len=seq_len, hidden_size=32))


def _cell(step=None, init=None, project=None) -> Cell:
    def drawn(rng, D, H):
        return {"W": rng.normal(0, 1, (H, D)), "U": rng.normal(0, 0.3, (H, H))}, np.zeros(H)

    def moved(ops, p, h, z):
        h = ops.tanh(z + h @ p["U"].T)
        return h, h

    return Cell("own", init or drawn, step or moved, project or (lambda ops, p, xs: xs @ p["W"].T))


def _global_init(rng, D, H):
    return {"W": np.random.normal(0, 1, (H, D)), "U": np.zeros((H, H))}, np.zeros(H)


def _noisy_step(ops, p, h, z):
    h = ops.tanh(z + h @ p["U"].T + 0.1 * float(np.random.standard_normal()))
    return h, h


def _looking_back(ops, p, xs):
    z = xs @ p["W"].T
    return z + ops.concat([0 * z[:1], z[:-1]], axis=0) + ops.mean(z, axis=0)


@pytest.mark.parametrize(
    "cell, sentence",
    [
        (_cell(init=_global_init), "init of cell 'own' gave other numbers for layers.0.W"),
        (_cell(step=_noisy_step), "the step of cell 'own' gave other outputs for the same inputs"),
        (_cell(project=_looking_back), "project of cell 'own' looks at later time steps"),
    ],
)
def test_what_is_no_function_is_refused(cell, sentence):
    with pytest.raises(Wrong, match=sentence):
        verdict(CASE, cell=cell)


def test_an_own_cell_is_verified_and_so_is_one_whose_derivative_is_not_known():
    def sorted_step(ops, p, h, z):
        h = ops.tanh(z + ops.sort(h, axis=-1) @ p["U"].T)
        return h, h

    assert verdict(CASE, cell=_cell())["verified"] == "oracle"
    import torch

    def build(cell, device, dtype):
        class Sorting:
            def __getattr__(self, name):
                from rnnbench_torch.ops import torch_ops

                return (lambda x, axis: torch.sort(x, dim=axis)[0]) if name == "sort" else getattr(torch_ops(), name)

        def unroll(params, state, xs):
            ys = []
            for z in cell.projected(Sorting(), params, xs):
                state, y = cell.advance(Sorting(), params, state, z)
                ys.append(y)
            return state, torch.stack(ys)

        return unroll

    own = Implementation("planted", "torch", lambda *_: None, build)
    found = verdict(CASE, own, _cell(sorted_step))
    assert (found.get("reason"), "single directions" in found["looked_at"]["notes"][0]) == (None, True)


def test_a_zero_gradient_beside_a_large_one_is_right():
    """h' = 2h with an input weight of zero: dL/da is of 2^64, dL/dW is of the same size, W itself is 0."""

    def init(rng, D, H):
        return {"a": np.full(H, 2.0), "W": np.zeros((H, D))}, np.ones(H)

    doubling = Cell(
        "own", init, lambda ops, p, h, z: (p["a"] * h + z, p["a"] * h + z), lambda ops, p, xs: xs @ p["W"].T
    )
    found = verdict(replace(CASE, seq_len=64), cell=doubling)
    assert found.get("reason") is None


def test_what_is_vouched_for_is_left_out_and_nothing_else():
    case = replace(CASE, seq_len=80)
    context = resolve(case, load())
    whole, rest = verify(context), verify(context, vouched=True)
    assert whole["vouches"] and rest["vouches"]
    count = sum(check["name"] == "outputs" for check in whole["checks"])
    assert (count, sum(check["name"] == "outputs" for check in rest["checks"])) == (2, 1)
    assert verify(context, "float64", 64, vouched=True)["checks"] == []
    assert verify(context, "float64", 80, vouched=True)["checks"] != []
    context = replace(context, implementation=FAULTS["cut before the last step"])
    assert verify(context, vouched=True)["status"] == "wrong"
    assert "vouches" not in verify(context)


def test_a_fault_is_wrong_also_where_the_gradients_explode():
    """Zeros after step 40 of a chaotic cell whose gradients leave float32: it is not excused as diverged."""
    case = replace(CASE, cell="rnn(gain=12)", seq_len=256, hidden_size=64, input_size=8)
    with pytest.raises(Diverged):
        verdict(case, looped())
    assert verdict(case, looped(after=lambda ys, xs: ys * (_steps(ys) < 40)))["status"] == "wrong"


def _steps(ys):
    import torch

    return torch.arange(len(ys))[:, None, None]
