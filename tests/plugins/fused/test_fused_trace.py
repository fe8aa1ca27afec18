"""What a step becomes: expressions and their derivatives, computed here by NumPy, and one sentence where it is none."""

import numpy as np
import pytest

from fused_cells import CELLS, RESET_BEFORE
from fused_numpy import evaluate
from rnnbench import Cell, leaves, numpy_ops
from rnnbench_cells import FAMILIES
from rnnbench_fused import graph
from rnnbench_fused.derive import pullback
from rnnbench_fused.kernel import sizes_of, supports
from rnnbench_fused.plan import plan
from rnnbench_fused.trace import trace
from rnnbench_fused.uniform import DTYPE

OPS = numpy_ops()
B, D, H = 3, 4, 8
TRACED = [cell for cell in (*FAMILIES["first"], *CELLS) if supports(cell, "cpu", "float32") is None]


def drawn(cell: Cell, seed: int = 0):
    """(params, batched state, x, trace, what its leaves and matrices are worth)."""
    rng = np.random.default_rng(seed)
    params, state = cell.init(rng, D, H)
    traced = trace(cell, sizes_of(params, state, D))
    states = tuple(rng.normal(0, 0.5, (B, *leaf.shape)) for leaf in leaves(state))
    x = rng.standard_normal((B, D))
    named = {**params, DTYPE: np.float64}
    worth: dict[object, np.ndarray] = {("x",): x}
    worth |= {("state", i): one.reshape(B, -1) for i, one in enumerate(states)}
    worth |= {("constant", k): np.reshape(e.run(OPS, named), (1, -1)) for k, e in enumerate(traced.constants)}
    matrices = [e.run(OPS, named) for e in traced.matrices]
    return params, states if isinstance(state, tuple) else states[0], x, traced, worth, matrices


def flat(cell, params, state, x):
    """New states and y of the cell itself, as (B, n) arrays."""
    z = cell.projected(OPS, params, x[None])
    z = tuple(part[0] for part in z) if isinstance(z, tuple) else z[0]
    after, y = cell.advance(OPS, params, state, z)
    return [np.reshape(one, (B, -1)) for one in (*leaves(after), y)]


@pytest.mark.parametrize("cell", TRACED, ids=lambda cell: cell.name)
def test_the_expression_is_the_step(cell):
    params, state, x, traced, worth, matrices = drawn(cell)
    found = evaluate([*traced.new_states, traced.y], worth, matrices)
    for one, true in zip(found, flat(cell, params, state, x), strict=True):
        np.testing.assert_allclose(np.broadcast_to(one, true.shape), true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", TRACED, ids=lambda cell: cell.name)
def test_the_derivative_is_that_of_the_step(cell):
    _, _, _, traced, worth, matrices = drawn(cell)
    rng = np.random.default_rng(1)
    outputs = [*traced.new_states, traced.y]
    weights = [rng.standard_normal((B, node.width)) for node in outputs]
    seeds: dict[graph.Node, graph.Node] = {}
    for i, node in enumerate(outputs):
        seed = graph.leaf(node.width, "seed", i)
        seeds[node] = graph.add(seeds[node], seed) if node in seeds else seed
    back = pullback(seeds)
    known = worth | {("seed", i): weight for i, weight in enumerate(weights)}

    def loss(worth, matrices):
        found = evaluate(outputs, worth, matrices)
        return sum(float(np.sum(one * weight)) for one, weight in zip(found, weights, strict=True))

    step = 1e-6
    for leaf, cotangent in back.leaves.items():
        name = leaf.value
        [g] = evaluate([cotangent], known, matrices)
        g = np.broadcast_to(g, (B, leaf.width))
        direction = rng.standard_normal(worth[name].shape)
        up, down = (loss(worth | {name: worth[name] + sign * step * direction}, matrices) for sign in (1, -1))
        assert float(np.sum(g * direction)) == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-7), name
    gradients = [np.zeros(matrix.shape) for matrix in matrices]
    for number, transposed, a, g in back.products:
        left, right = evaluate([a, g], known, matrices)
        gradients[number] += right.T @ left if transposed else left.T @ right
    for number, gradient in enumerate(gradients):
        direction = rng.standard_normal(gradient.shape)
        moved = [
            [m + sign * step * direction if i == number else m for i, m in enumerate(matrices)] for sign in (1, -1)
        ]
        true = (loss(worth, moved[0]) - loss(worth, moved[1])) / (2 * step)
        assert float(np.sum(gradient * direction)) == pytest.approx(true, rel=1e-6, abs=1e-7)


def test_four_gates_are_one_loop_and_one_array():
    """Slices reach through to the product: the cotangents of product and projection are the same node."""
    lstm = next(cell for cell in FAMILIES["first"] if cell.name == "lstm")
    params, state = lstm.init(np.random.default_rng(0), D, H)
    planned = plan(trace(lstm, sizes_of(params, state, D)))
    assert [node.op for node in planned.cuts] == ["matmul"]
    targets = {target.name: target.node for target in planned.step_back.targets}
    assert targets["dcut", 0] is targets["rows", "step", 0]
    assert sorted(node.op for node in planned.kept) == ["sigmoid", "sigmoid", "sigmoid", "tanh", "tanh"]


def test_a_trace_depends_on_nothing_but_the_cell():
    params, state = RESET_BEFORE.init(np.random.default_rng(0), D, H)
    one, other = (trace(RESET_BEFORE, sizes_of(params, state, D)) for _ in range(2))
    assert one.y is other.y


ZERO = (np.zeros(H),)


def cell_of(step, state=ZERO, project=None):
    def init(rng, D, H):
        return {"W": rng.normal(0, 1, (H, D)), "U": rng.normal(0, 1, (H, H)), "b": np.zeros(H)}, state

    return Cell("odd", init, step, project)


def branches(ops, p, state, z):
    return (state, state[0]) if ops.sum(state[0], axis=-1) > 0 else (state, z)


def unknown(ops, p, state, z):
    h = ops.cumulative_sum(state[0], axis=-1)
    return (h,), h


def no_such(ops, p, state, z):
    return state, ops.tanhh(state[0])


def in_place(ops, p, state, z):
    (h,) = state
    h += 1
    return (h,), h


def writes(ops, p, state, z):
    state[0][:, 0] = 0
    return state, state[0]


def with_numpy(ops, p, state, z):
    h = np.tanh(state[0])
    return (h,), h


def to_float(ops, p, state, z):
    return state, state[0] * float(p["b"][0])


def over_the_batch(ops, p, state, z):
    return state, state[0] - ops.mean(state[0], axis=0)


def across_rows(ops, p, state, z):
    return state, state[0][:1]


def products_of_states(ops, p, state, z):
    return state, state[0] @ state[0].T


def tall(ops, p, state, z):
    return state, state[0][:, :, None] * state[0][:, None, :]


def unfit(ops, p, state, z):
    return state, state[0] + p["b"][:3]


def other_structure(ops, p, state, z):
    return state[0], state[0]


def other_shape(ops, p, state, z):
    return (state[0][:, :2],), state[0]


def loses_a_parameter(ops, p, state, z):
    p["b"] = 0
    return state, state[0]


def inside_heads(ops, p, state, z):
    return state, ops.tanh(ops.reshape(state[0], (*state[0].shape[:-1], 2, 4)))


def columns_of_heads(ops, p, state, z):
    return state, ops.reshape(state[0], (*state[0].shape[:-1], 2, 4))[..., 1:]


def other_heads(ops, p, state, z):
    return state, ops.reshape(state[0], (state[0].shape[-1], -1))


REFUSED = [
    (branches, "branches on the value of an array"),
    (unknown, "uses ops.cumulative_sum, for which no kernel can be generated"),
    (no_such, "uses ops.tanhh, which the array API does not have"),
    (in_place, "changes an array in place"),
    (writes, "writes into an array"),
    (with_numpy, "TypeError"),
    (to_float, "turns an array into a Python number"),
    (over_the_batch, "reduces over an axis that is not the last one"),
    (across_rows, "picks rows of the batch"),
    (products_of_states, "uses `.T` of an array"),
    (inside_heads, "computes with an array that is cut into heads"),
    (columns_of_heads, "indexes an array cut into heads"),
    (other_heads, "reshapes (B, 8) to (8, -1); a kernel knows (B, heads·n) to (B, heads, n) and back"),
    (tall, "makes an array of shape"),
    (unfit, "combines arrays of shapes"),
    (other_structure, "returns a state of another structure"),
    (other_shape, "returns a new state of shape"),
    (loses_a_parameter, "TypeError"),
]


@pytest.mark.parametrize(("step", "sentence"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_step_that_is_no_expression_is_refused_in_one_sentence(step, sentence):
    answer = supports(cell_of(step), "cpu", "float32")
    assert answer is not None
    assert answer.startswith("no kernel can be generated for cell 'odd': its code ")
    assert sentence in answer
    assert "\n" not in answer
    if step not in (other_structure, other_shape):
        line = step.__code__.co_firstlineno
        line_named = int(answer.rpartition(":")[2].rstrip(")"))
        assert "test_fused_trace.py" in answer
        assert line < line_named <= line + 3


def test_states_that_are_no_vectors_are_refused():
    lru = next(cell for cell in FAMILIES["first"] if cell.name == "lru")
    assert "complex" in str(supports(lru, "cpu", "float32"))
    matrix = cell_of(lambda ops, p, state, z: (state, z), state=(np.zeros((H, H)),))
    assert "has a state of shape (8, 8)" in str(supports(matrix, "cpu", "float32"))


def test_devices_and_dtypes_without_kernels_are_refused():
    lstm = FAMILIES["first"][2]
    assert "generated for the CPU, not for cuda" in str(supports(lstm, "cuda", "float32"))
    assert "in float32 or float64, not in bfloat16" in str(supports(lstm, "cpu", "bfloat16"))
    assert "no portable step" in str(supports(Cell("opaque", lstm.init), "cpu", "float32"))
