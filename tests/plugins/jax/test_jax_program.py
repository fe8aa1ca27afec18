"""What a program on jax promises: it waits, it repeats itself, it compiles once, it keeps to its dtype and memory."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

from jax_programs import B, D, H, O, T, inputs, leaky, matrix, program, whirl
from rnnbench import Cell, Optimizer
from rnnbench.errors import OutOfMemory, Skipped
from rnnbench.model import oracle
from rnnbench.task import mean_square
from rnnbench_cells import gru, rnn
from rnnbench_jax.functions import dropout


def batch(prog, T=T, seed=0):
    targets = np.random.default_rng(seed + 1).standard_normal((T, B, O))
    return prog.put({"xs": inputs(T, seed=seed), "targets": targets})


def test_every_output_is_ready_when_the_call_returns():
    _, _, prog = program(gru, loss=mean_square, dtype="float32", sizes=(D, 64, O))
    placed = batch(prog, T=256)
    answers = (prog.forward(placed["xs"]), prog.loss_and_gradients(placed), prog.train_step(placed))
    assert all(leaf.is_ready() for leaf in jax.tree.leaves((answers, prog.train_steps([placed] * 3))))
    prog.synchronize()


def test_two_programs_of_one_seed_give_the_same_numbers_and_another_seed_others():
    def trained(seed):
        _, _, prog = program(leaky(), loss=mean_square, layers=2, dropout=0.5, seed=seed)
        losses = prog.train_steps([batch(prog, seed=seed) for seed in range(4)])
        return prog.get(losses), prog.parameters()

    losses, params = trained(7)
    again, params_again = trained(7)
    np.testing.assert_array_equal(losses, again)
    for name, array in params.items():
        np.testing.assert_array_equal(array, params_again[name])
    assert (trained(8)[0] != losses).all()


def test_train_steps_are_train_steps():
    _, _, one = program(rnn, loss=mean_square)
    _, _, other = program(rnn, loss=mean_square)
    batches = [batch(one, seed=seed) for seed in range(5)]
    losses = [float(one.train_step(each)) for each in batches]
    assert other.get(other.train_steps(batches)).tolist() == losses
    for name, array in one.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name])


def test_training_fits_what_can_be_fitted():
    _, _, prog = program(rnn, loss=mean_square, dtype="float32", optimizer=Optimizer("adam", 0.02))
    placed = prog.put({"xs": inputs(), "targets": np.broadcast_to([0.3, -0.2], (T, B, O))})
    before = prog.evaluate(placed)["loss"]
    prog.train_steps([placed] * 200)
    assert prog.evaluate(placed)["loss"] < 0.02 * before


def test_training_leaves_the_callers_arrays_alone():
    """Parameters are used up by every step; NumPy memory that jax only borrowed would be written over."""
    _, weights, prog = program(rnn, loss=mean_square)
    kept = {name: array.copy() for name, array in weights.params.items()}
    taken = prog.parameters()
    xs = inputs()
    placed = prog.put({"xs": xs, "targets": np.ones((T, B, O))})
    xs[:] = np.nan
    assert np.isfinite(prog.get(prog.train_steps([placed] * 3))).all()
    for name, array in kept.items():
        np.testing.assert_array_equal(array, weights.params[name])
        np.testing.assert_array_equal(array, taken[name])
        assert name == "head.bias" or (prog.parameters()[name] != array).any()


def test_a_shape_is_compiled_once():
    _, _, prog = program(leaky(), loss=mean_square)
    short, long = batch(prog), batch(prog, T=T + 1)
    assert prog.compilations() == 0
    for call in (lambda b: prog.forward(b["xs"]), prog.loss_and_gradients, prog.train_step, prog.evaluate):
        call(short)
        before = prog.compilations()
        assert before > 0
        call(short)
        assert prog.compilations() == before
        call(long)
        assert prog.compilations() == before + 1


def test_evaluate_gives_loss_and_metric():
    def largest(ops, outputs, batch):
        return ops.max(ops.abs(outputs - batch["targets"]))

    model, weights, prog = program(leaky(), loss=mean_square, metric=largest)
    targets = np.ones((T, B, O))
    found = prog.evaluate(prog.put({"xs": inputs(), "targets": targets}))
    error = oracle.forward(model, weights, inputs())[1] - targets
    assert found == pytest.approx({"loss": np.mean(error**2), "metric": np.abs(error).max()}, rel=1e-12)


# --- dropout ------------------------------------------------------------------------------------------------------


def test_dropout_acts_between_layers_in_training_only():
    def first_loss(dropout, layers):
        model, weights, prog = program(leaky(), loss=mean_square, layers=layers, dropout=dropout)
        placed = batch(prog)
        np.testing.assert_allclose(
            prog.forward(placed["xs"])[1], oracle.forward(model, weights, inputs())[1], rtol=0, atol=1e-12
        )
        assert prog.evaluate(placed)["loss"] == pytest.approx(float(prog.loss_and_gradients(placed)[0]), rel=1e-12)
        return prog.evaluate(placed)["loss"], float(prog.train_step(placed))

    evaluated, trained = first_loss(0.5, layers=2)
    assert trained != pytest.approx(evaluated, rel=1e-3)
    evaluated, trained = first_loss(0.5, layers=1)
    assert trained == pytest.approx(evaluated, rel=1e-12)


def test_dropout_keeps_the_mean_and_draws_anew_for_every_step_and_layer():
    ones = np.ones((40, 50, 20), np.float32)
    drop = dropout(0.2, 0, np.int32(3))
    first, second = np.asarray(drop(ones)), np.asarray(drop(ones))
    next_step = np.asarray(dropout(0.2, 0, np.int32(4))(ones))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.8)}
    assert first.mean() == pytest.approx(1, abs=5 * 0.5 / 200)  # five standard errors of 40000 draws
    for other in (second, next_step):
        assert np.mean(first == other) == pytest.approx(0.8**2 + 0.2**2, abs=0.02)


# --- dtypes -------------------------------------------------------------------------------------------------------


def test_dtypes_do_not_leak_between_programs():
    _, _, wide = program(rnn, dtype="float64", loss=mean_square)
    _, _, narrow = program(rnn, dtype="float32", loss=mean_square)
    for prog, dtype in ((wide, "float64"), (narrow, "float32"), (wide, "float64")):
        placed = batch(prog)
        outputs = (prog.loss_and_gradients(placed), prog.train_step(placed), prog.parameters())
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(outputs)} == {dtype}


def test_integers_and_booleans_stay_what_they_are():
    _, _, prog = program(rnn, dtype="float32")
    placed = prog.put({"labels": np.arange(3), "mask": np.array([True, False]), "xs": np.ones(2)})
    assert [placed[name].dtype.kind for name in ("labels", "mask", "xs")] == ["i", "b", "f"]
    np.testing.assert_array_equal(prog.get(placed["labels"]), [0, 1, 2])


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.long)])
def test_half_precision_runs_and_comes_back_as_numpy_knows_it(dtype):
    model, weights, prog = program(gru, dtype=dtype, loss=mean_square)
    placed = batch(prog)
    outputs = prog.forward(placed["xs"])[1]
    assert str(outputs.dtype) == dtype
    found = prog.get(outputs)
    assert found.dtype == ("float32" if dtype == "bfloat16" else "float16")
    np.testing.assert_allclose(found, oracle.forward(model, weights, inputs())[1], rtol=0, atol=0.05)
    assert np.isfinite(float(prog.train_step(placed)))


def test_there_is_no_complex_half_precision():
    with pytest.raises(Skipped, match="'whirl' has a complex state, and there is no complex bfloat16; use float32"):
        program(whirl(), dtype="bfloat16")


# --- memory -------------------------------------------------------------------------------------------------------


def test_peak_memory_counts_the_outputs_and_not_much_more():
    _, _, prog = program(matrix(np.eye(64)), dtype="float32", sizes=(1, 64, None))
    assert prog.memory_kind == "process"
    xs = prog.put({"xs": inputs(8192, 16, 1)})["xs"]
    size = prog.get(prog.forward(xs)[1]).nbytes
    assert size == 8192 * 16 * 64 * 4
    prog.reset_peak_memory()
    answer = prog.forward(xs)
    assert 0.9 * size < prog.peak_memory() < 4 * size
    del answer


def greedy():
    """Sorts 2^44 numbers on the way: 64 TiB that no compiler can do without."""

    def init(rng, D, H):
        return {"weight": rng.standard_normal((H, D))}, np.zeros(H)

    def step(ops, params, h, x):
        many = ops.sum(h) + ops.arange(2**22, dtype=x.dtype)
        return h, h + ops.sort((many[:, None] * many[None, :] + ops.sum(x)), axis=0)[5, 7]

    return Cell("greedy", init, step)


def test_a_program_that_does_not_fit_says_out_of_memory():
    _, _, prog = program(greedy(), dtype="float32")
    with pytest.raises(OutOfMemory, match="RESOURCE_EXHAUSTED"):
        prog.forward(prog.put({"xs": inputs(2)})["xs"])


def test_settings_tell_what_changes_speed_and_numbers():
    _, _, prog = program(rnn, dtype="float32")
    settings = prog.settings()
    assert settings["matmul_precision"] == "highest"
    assert settings["x64"] is False
    assert settings["denormals"] in ("kept", "flushed to zero")
    assert settings["device"] == "cpu"


def test_prepare_may_lay_weights_out_anew():
    """An implementation that wants them doubled, and halves them again, changes nothing but what it holds."""
    from dataclasses import replace

    import jax_programs

    scan = jax_programs.IMPLEMENTATIONS["scan"]

    def build(cell, device, dtype):
        unroll = scan.build(cell, device, dtype)
        return lambda params, state, xs: unroll({name: array / 2 for name, array in params.items()}, state, xs)

    doubled = replace(
        scan, name="doubled", build=build, prepare=lambda params: {name: 2 * array for name, array in params.items()}
    )
    jax_programs.IMPLEMENTATIONS["doubled"] = doubled
    try:
        model, weights, prog = program(rnn, "doubled", layers=2)
    finally:
        del jax_programs.IMPLEMENTATIONS["doubled"]
    outputs = prog.forward(prog.put({"xs": inputs()})["xs"])[1]
    np.testing.assert_allclose(outputs, oracle.forward(model, weights, inputs())[1], rtol=0, atol=1e-12)
    assert prog.parameters()["layers.1.weight_hh"].shape == (H, H)


def test_batches_put_together_train_like_each_put_alone():
    """More than one group of them, the last one not full; cut out inside the step, which is compiled once."""
    rng = np.random.default_rng(0)
    batches = [{"xs": inputs(seed=i), "cotangent": rng.standard_normal((T, B, O))} for i in range(13)]
    (_, _, alone), (_, _, together) = program(rnn), program(rnn)
    expected = alone.get(alone.train_steps([alone.put(batch) for batch in batches]))
    placed = together.put_all(batches)
    compiled = together.compilations()
    found = [together.get(together.train_steps(part)) for part in (placed[:1], placed[1:])]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12)
    assert together.compilations() - compiled == 2  # the optimiser's start, and the step
    np.testing.assert_array_equal(placed[9]["xs"], batches[9]["xs"])
    for name, array in alone.parameters().items():
        np.testing.assert_allclose(together.parameters()[name], array, rtol=1e-12)
