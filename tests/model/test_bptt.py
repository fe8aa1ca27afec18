"""Checkpointed and truncated backpropagation through time, against the full gradient and sums made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from marks import BACKENDS, by_torch
from quick_jax import quick_compilation  # noqa: F401
from rnnbench import Model, Optimizer, ProgramSpec, Weights
from rnnbench.case import Case
from rnnbench.cell import tree_map
from rnnbench.isolation import rnnbench_executors
from rnnbench.model import initialise, oracle
from rnnbench.model.bptt import Bptt, additive, spans
from rnnbench.model.micro_batches import weighing
from rnnbench.probes.convergence import ConvergenceSettings
from rnnbench.probes.memory import MemorySettings
from rnnbench.probes.throughput import ThroughputSettings
from rnnbench.registry import load
from rnnbench.runner import Runner
from rnnbench.task import mean_square
from rnnbench.worker.verification import against_oracle, mean_projection_loss, projection_loss
from rnnbench_cells import FAMILIES, lru, lstm, mingru
from rnnbench_tasks import losses

T, B, D, H, O = 11, 3, 4, 5, 2


def on_backends(names, rows, quick):
    """Every row on every backend, by default in jax only those that are quick(row). names: of the arguments."""
    found = []
    for backend in BACKENDS:
        [name] = backend.values
        for row in rows:
            marks = () if name == "torch" or quick(row) else (pytest.mark.long,)
            values = row if isinstance(row, tuple) else (row,)
            label = "-".join(getattr(value, "name", None) or getattr(value, "__name__", str(value)) for value in values)
            found.append(pytest.param(name, *values, id=f"{label}-{name}", marks=[*backend.marks, *marks]))
    return pytest.mark.parametrize(("backend", *names), found)


def last(ops, outputs, batch):
    """One answer per sequence: no sum over time."""
    return ops.mean((outputs[-1] - batch["targets"][-1]) ** 2)


def coupled(ops, outputs, batch):
    """Every step's cotangent depends on all outputs, and the loss on the inputs themselves."""
    return ops.mean((outputs - batch["targets"]) ** 2) ** 2 + ops.mean(batch["xs"] ** 2) * ops.mean(outputs)


def program(
    backend, cell, bptt: Bptt = "full", segment=None, *, loss=mean_square, dropout=0.0, layers=1, implementation=None
):
    model = Model(cell, D, H, layers, O, dropout)
    drawn = initialise(model, 0)
    states = tuple(tree_map(lambda leaf: leaf + 0.3, state) for state in drawn.states)
    plugin, implementations = _plugin(backend)
    chosen = next(i for i in implementations if (i.name == implementation if implementation else i.stepwise))
    weights = Weights(drawn.params, states)
    spec = ProgramSpec(
        model, weights, chosen, "cpu", "float64", loss, optimizer=Optimizer("sgd", lr=1.0), threads=1,
        bptt=bptt, segment=segment,
    )  # fmt: skip
    return plugin.build(spec)


def _plugin(backend):
    if backend == "torch":
        import rnnbench_torch

        return rnnbench_torch.TorchBackend(), rnnbench_torch.rnnbench_implementations()
    import rnnbench_jax

    return rnnbench_jax.JaxBackend(), rnnbench_jax.rnnbench_implementations()


def batch(T=T):
    rng = np.random.default_rng(1)
    return {"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, O))}


def gradients(prog, data=None):
    """{loss, each parameter, xs} of loss_and_gradients."""
    loss, found, of_xs = prog.loss_and_gradients(prog.put(data or batch()))
    return {"loss": prog.get(loss), "xs": prog.get(of_xs)} | {name: prog.get(one) for name, one in found.items()}


_KNOWN: dict[tuple, dict] = {}


def gradients_of(backend, cell, bptt: Bptt = "full", segment=None, *, loss=mean_square, layers=1, implementation=None):
    """`gradients` of such a program; jax compiles each once, for all tests that ask for it."""
    key = backend, cell.name, bptt, segment, loss, layers, implementation
    if key not in _KNOWN:
        options = {"loss": loss, "layers": layers, "implementation": implementation}
        _KNOWN[key] = gradients(program(backend, cell, bptt, segment, **options))
    return _KNOWN[key]


def trained(prog, data=None):
    """{loss, minus the change of each parameter}: the gradient that one step of SGD with lr 1 went by."""
    before = prog.parameters()
    loss = prog.get(prog.train_step(prog.put(data or batch())))
    after = prog.parameters()
    return {"loss": loss} | {name: before[name] - after[name] for name in before}


def agree(found, expected, tolerance=1e-12):
    assert found.keys() <= expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_spans_cover_every_step_once():
    for T in range(1, 20):
        for segment in range(1, 25):
            assert [t for span in spans(T, segment) for t in range(T)[span]] == list(range(T))


@on_backends(["cell"], FAMILIES["first"], lambda cell: cell is lstm)
def test_checkpointed_gradients_are_the_full_ones(backend, cell):
    expected = gradients_of(backend, cell)
    agree(gradients_of(backend, cell, "checkpointed", 4), expected)


@by_torch
def test_stacked_layers_train_by_the_gradients_they_report(backend):
    checkpointed = program(backend, lstm, "checkpointed", 4, layers=2)
    agree(trained(checkpointed), gradients_of(backend, lstm, layers=2))
    for loss in (mean_square, coupled):
        expected = by_hand(lstm, 4, loss, layers=2)
        agree(trained(program(backend, lstm, "truncated", 4, loss=loss, layers=2)), expected, 1e-11)


@on_backends(
    ["segment", "loss"],
    [(1, mean_square), (10, coupled), (11, coupled), (50, mean_square)],
    lambda row: row == (10, coupled),
)
def test_checkpointed_gradients_are_the_full_ones_for_any_segment_and_loss(backend, segment, loss):
    agree(
        gradients_of(backend, lstm, "checkpointed", segment, loss=loss),
        gradients_of(backend, lstm, loss=loss),
    )


@by_torch
@pytest.mark.parametrize("implementation", ["native", "associative_scan"])
def test_other_implementations_can_be_cut_too(backend, implementation):
    if backend == "jax" and implementation == "native":
        pytest.skip("jax has none")
    cell = lstm if implementation == "native" else lru
    expected = gradients_of(backend, cell)
    agree(gradients_of(backend, cell, "checkpointed", 4, implementation=implementation), expected)
    expected = gradients_of(backend, cell, "truncated", 4)
    agree(gradients_of(backend, cell, "truncated", 4, implementation=implementation), expected)


@on_backends(
    ["cell", "loss"],
    [(cell, loss) for cell in FAMILIES["first"] for loss in (mean_square, coupled)],  # one pass, two passes
    lambda row: row in ((lstm, mean_square), (lru, coupled)),  # two states; linear and complex
)
def test_a_truncated_gradient_is_the_sum_over_segments_that_start_from_constants(backend, cell, loss):
    """Made by hand: the full gradient of each segment alone, its initial state a number from the oracle."""
    pytest.importorskip("torch")
    expected, full = by_hand(cell, 4, loss), gradients_of("torch", cell, loss=loss)
    assert any(np.abs(full[name] - expected[name]).max() > 1e-6 for name in full)
    agree(gradients_of(backend, cell, "truncated", 4, loss=loss), expected, 1e-11)


def by_hand(cell, segment, loss, layers=1):
    """Truncated gradients from full ones: of Σ cotangent ∘ outputs over each segment, its initial state constant."""
    model, data = Model(cell, D, H, layers, O), batch()
    drawn = initialise(model, 0)
    states = tuple(tree_map(lambda leaf: np.broadcast_to(leaf + 0.3, (B, *leaf.shape)), s) for s in drawn.states)
    _, outputs = oracle.forward(model, drawn, data["xs"], states)
    cotangent = _derivative(lambda ys: loss(oracle.OPS, ys, data), outputs)
    direct = _derivative(lambda xs: loss(oracle.OPS, outputs, {**data, "xs": xs}), data["xs"])
    total = {name: np.zeros_like(array) for name, array in drawn.params.items()}
    of_xs = []
    for span in spans(T, segment):
        one = {"xs": data["xs"][span], "cotangent": cotangent[span]}
        found = _gradients_from(model, drawn, states, one)
        total = {name: total[name] + found[name] for name in total}
        of_xs.append(found["xs"])
        states, _ = oracle.forward(model, drawn, data["xs"][span], states)
    value = np.asarray(loss(oracle.OPS, outputs, data))
    return total | {"xs": np.concatenate(of_xs) + direct, "loss": value}


def _gradients_from(model, drawn, states, one):
    """Row by row, for a program's own initial state is the same for all rows."""
    plugin, implementations = _plugin("torch")
    stepwise = next(i for i in implementations if i.stepwise)
    rows = []
    for row in range(B):
        start = tuple(tree_map(lambda leaf, row=row: leaf[row], state) for state in states)
        spec = ProgramSpec(
            model, Weights(drawn.params, start), stepwise, "cpu", "float64", threads=1,
            loss=lambda ops, outputs, batch: ops.sum(outputs * batch["cotangent"]),
        )  # fmt: skip
        rows.append(gradients(plugin.build(spec), {name: array[:, row : row + 1] for name, array in one.items()}))
    joined = {name: sum(found[name] for found in rows) for name in drawn.params}
    return joined | {"xs": np.concatenate([found["xs"] for found in rows], axis=1)}


def _derivative(function, at, step=1e-3):
    """Central differences with one extrapolation, entry by entry: exact to rounding for polynomials of degree 4."""
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        unit = np.zeros_like(at)
        unit[index] = step
        once = (function(at + unit) - function(at - unit)) / (2 * step)
        twice = (function(at + 2 * unit) - function(at - 2 * unit)) / (4 * step)
        found[index] = (4 * once - twice) / 3
    return found


@on_backends(["loss"], [mean_square, coupled], lambda _: False)
def test_truncation_beyond_the_sequence_is_none(backend, loss):
    agree(gradients_of(backend, lstm, "truncated", T, loss=loss), gradients_of(backend, lstm, loss=loss))


@by_torch
def test_a_loss_at_the_last_step_reaches_back_through_the_last_segment_alone(backend):
    found = gradients_of(backend, lstm, "truncated", 4, loss=last)
    assert np.all(found["xs"][:8] == 0)
    assert np.all(found["xs"][8:] != 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_loss_of_a_truncated_step_is_that_of_the_whole_sequence(backend):
    """The state is carried: were it reset, the loss of every later segment would differ."""
    whole = gradients_of(backend, lstm)["loss"]
    assert gradients_of(backend, lstm, "truncated", 4)["loss"] == pytest.approx(whole, rel=1e-13)


@by_torch
def test_recomputation_drops_what_was_dropped_before(backend):
    """Of a single segment: truncated runs it once, checkpointed twice. The masks are named alike."""
    found = [
        trained(program(backend, mingru, kind, T, dropout=0.5, layers=2)) for kind in ("checkpointed", "truncated")
    ]
    agree(found[0], found[1])
    plain = trained(program(backend, mingru, "checkpointed", T, layers=2))
    assert abs(found[0]["loss"] - plain["loss"]) > 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_are_the_same_in_the_second_run_of_every_segment(backend):
    """The mean takes one pass; squared and rooted, though the same number, it takes two: same masks, same gradients."""

    def rooted(ops, outputs, batch):
        return ops.sqrt(mean_square(ops, outputs, batch) ** 2)

    one = program(backend, mingru, "truncated", 4, dropout=0.5, layers=2)
    two = program(backend, mingru, "truncated", 4, dropout=0.5, layers=2, loss=rooted)
    data = batch()
    agree(trained(one, data), trained(two, data))
    agree(trained(one, data), trained(two, data))  # and again: the second step's masks are new, and the same in both


@by_torch
def test_masks_change_from_step_to_step(backend):
    prog = program(backend, mingru, "checkpointed", 4, dropout=0.5, layers=2)
    found = {float(gradients(prog)["loss"]) for _ in range(2)}
    assert len(found) == 1  # no dropout without a training step
    assert {float(trained(prog)["loss"]) for _ in range(2)}.isdisjoint(found)


@pytest.mark.parametrize(
    ("loss", "targets", "expected"),
    [
        (mean_square, ("float64", (T, B, O)), True),
        (losses.mean_square, ("float64", (T, B, O)), True),
        (losses.cross_entropy, ("int64", (T, B)), True),
        (losses.mean_square_last, ("float64", (B, O)), False),
        (losses.cross_entropy_last, ("int64", (B,)), False),
        (coupled, ("float64", (T, B, O)), False),
    ],
)
def test_which_losses_are_means_over_time(loss, targets, expected):
    shape = {"xs": np.zeros((T, B, D)), "targets": np.zeros(targets[1], targets[0])}
    assert additive(loss, shape, O, 4) is expected
    assert additive(loss, shape, O, T)  # one segment is the whole


def ignoring(ops, outputs, batch):
    """A user's cross-entropy over the steps whose target is a class; -1 marks the others."""
    counts = (batch["targets"] >= 0) * 1.0
    surprise = ops.logsumexp(outputs, -1) - outputs[..., 0]
    return ops.sum(surprise * counts) / ops.sum(counts)


def class_weighted(ops, outputs, batch):
    """A user's cross-entropy with weights 1, 2, ... of the classes, normalised by their sum, as torch's is."""
    weights = batch["targets"] + 1.0
    return ops.sum((ops.logsumexp(outputs, -1) - outputs[..., 0]) * weights) / ops.sum(weights)


@pytest.mark.parametrize("loss", [ignoring, class_weighted])
def test_what_the_targets_weigh_is_no_mean_over_time_or_sequences(loss):
    """On targets that are all class 0 both would look like means."""
    shape = {"xs": np.zeros((T, B, D)), "targets": np.zeros((T, B), "int64")}
    assert not additive(loss, shape, O, 4)
    assert weighing(loss, shape, O) is None


@pytest.mark.parametrize("loss", [losses.mean_square, losses.mean_square_last])
def test_a_mask_weighs_steps_so_its_mean_is_no_sum_of_means(loss):
    shape = {"xs": np.zeros((T, B, D)), "targets": np.zeros((T, B, O)), "mask": np.ones((T, B))}
    if loss is losses.mean_square_last:
        shape["targets"] = np.zeros((B, O))
    assert not additive(loss, shape, O, 4)


@pytest.mark.parametrize(
    "settings", [ThroughputSettings, MemorySettings, lambda **own: ConvergenceSettings("a", **own)]
)
def test_settings_want_a_segment_where_there_is_one(settings):
    assert settings().bptt == "full"
    assert settings(bptt="full", segment=8) == settings()
    assert settings(bptt="truncated", segment=8).segment == 8
    for wrong in (None, 0):
        with pytest.raises(ValueError, match="bptt checkpointed needs `segment`"):
            settings(bptt="checkpointed", segment=wrong)


def test_a_backward_pass_alone_is_always_the_full_one():
    with pytest.raises(ValueError, match="leave `backward` out"):
        ThroughputSettings(modes=("backward",), bptt="truncated", segment=8)


@pytest.mark.parametrize("kind", ["full", "truncated"])
@by_torch
def test_verification_knows_a_truncated_gradient_from_a_full_one(backend, kind):
    """In both ways to it, and by the length of the segment."""
    model = Model(lstm, D, H, 1, O)
    weights = Weights(initialise(model, 0).params, ((np.full(H, 0.3), np.full(H, 0.3)),))
    cut = ("full", None) if kind == "full" else ("truncated", 4)
    made = [program(backend, lstm, *cut, loss=loss) for loss in (projection_loss, mean_projection_loss)]
    xs = np.random.default_rng(5).standard_normal((T, B, D))
    right = {"full": None, "truncated": 4}[kind]
    for claimed in (None, 4, 5):
        checks = against_oracle(made[0], model, weights, xs, "float64", claimed, made[1])
        by_gradients = [check.passed for check in checks if "gradients of layers.0.weight_hh" in check.name]
        assert all(check.passed for check in checks if "gradients" not in check.name)
        assert all(by_gradients) if claimed == right else not any(by_gradients)
        assert len(by_gradients) >= 2


CASE = Case(
    probe="memory", cell="lstm", backend="torch", implementation="auto", device="cpu", dtype="float32",
    seq_len=2048, batch_size=16, hidden_size=64, input_size=8, settings={"modes": ["train"]},
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_segments_save_the_memory_they_promise(backend):
    """Real peaks, each of a fresh process that verified its program before, at T = 2048."""
    [forkserver] = [executor for executor in rnnbench_executors() if executor.name == "forkserver"]
    session = forkserver.open()
    try:
        runner = Runner(load(), session)
        peaks = {}
        for bptt, segment in (("full", None), ("checkpointed", 45), ("truncated", 45)):
            settings = {**CASE.settings, "bptt": bptt, "segment": segment}
            record = runner.record(replace(CASE, backend=backend, settings=settings))
            assert (record.status, record.reason, record.verified) == ("ok", "", "oracle")
            peaks[bptt] = record.value("train.peak_memory.process")
        assert len(runner.verdicts) == 3
    finally:
        session.close()
    assert peaks["full"] > 2 * peaks["checkpointed"]
    assert peaks["full"] > 8 * peaks["truncated"]
