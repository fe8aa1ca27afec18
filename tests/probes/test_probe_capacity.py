"""Linear memory capacity: closed forms first, then the theorem on the shipped cells, on both backends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marks import BACKENDS
from rnnbench import registry, suite
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.errors import CaseError, Diverged, SuiteError
from rnnbench.measurement import Measurement
from rnnbench.probes.capacity import CAPACITY, CapacitySettings, squared_correlations
from rnnbench.worker.resolve import resolve

STEPWISE = {"torch": "eager", "jax": "scan"}
N = 8


def _shift_init(rng: Any, D: int, H: int) -> Any:
    weight = np.zeros((H, D))
    weight[0] = 1.0
    return {"weight_ih": weight, "shift": np.eye(H, k=-1)}, np.zeros(H)


def _linear_step(ops: Any, p: Any, h: Any, x: Any) -> Any:
    h = h @ p["shift"].T + x @ p["weight_ih"].T
    return h, h


def _leaky_init(rng: Any, D: int, H: int, a: float) -> Any:
    return {"weight_ih": np.full((H, D), 0.7), "shift": a * np.eye(H)}, np.zeros(H)


def _silent_init(rng: Any, D: int, H: int) -> Any:
    return {"weight_ih": np.zeros((H, D)), "shift": np.eye(H)}, np.full(H, 0.1)


def _growing_init(rng: Any, D: int, H: int) -> Any:
    return {"weight_ih": np.ones((H, D)), "shift": 100 * np.eye(H)}, np.zeros(H)


OWN = {
    cell.name: cell
    for cell in (
        Cell("shift", _shift_init, _linear_step),
        Cell("leaky", _leaky_init, _linear_step, options={"a": 0.9}),
        Cell("silent", _silent_init, _linear_step),
        Cell("growing", _growing_init, _linear_step),
    )
}


@pytest.fixture(scope="module")
def plugins() -> Any:
    found = registry.load()
    found.cells.update(OWN)
    return found


def measured(
    plugins: Any, cell: str, backend: str = "jax", T: int = 250, B: int = 16, H: int = N, D: int = 1, **settings: Any
) -> Measurement:
    values = {**vars(CapacitySettings()), "max_delay": 3 * N, **settings}
    case = Case("capacity", cell, backend, STEPWISE[backend], "cpu", "float32", T, B, H, D, threads=1, settings=values)
    return CAPACITY.measure(resolve(case, plugins))


def shares(found: Measurement) -> np.ndarray:
    return np.array(found.curves["memory_capacity"].y)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("D", [1, 3])
def test_a_delay_line_recalls_its_length_exactly(backend: str, D: int, plugins: Any) -> None:
    """N units that hand the input on: r² = 1 for k < N, then 0; MC = N. However many inputs carry the scalar."""
    found = measured(plugins, "shift", backend, D=D)
    assert shares(found)[:N] == pytest.approx(np.ones(N), abs=1e-12)
    assert shares(found)[N:] == pytest.approx(np.zeros(2 * N + 1), abs=0.02)
    assert found.value("memory_capacity").value == pytest.approx(N, abs=0.02)
    assert (found.value("longest_delay").value, found.value("longest_delay").bound) == (N - 1, None)


@pytest.mark.parametrize("a", [0.5, 0.9])
def test_a_leaky_unit_spreads_one_unit_of_capacity(a: float, plugins: Any) -> None:
    """x' = a x + u: r²_k = (1 − a²)·a^(2k), which sums to one."""
    found = measured(plugins, f"leaky(a={a})", T=2000, B=16, H=1, max_delay=60)
    assert shares(found) == pytest.approx((1 - a**2) * a ** (2 * np.arange(61)), abs=0.015)
    assert found.value("memory_capacity").value == pytest.approx(1, abs=0.03)


def test_units_that_are_copies_of_each_other_count_once(plugins: Any) -> None:
    assert measured(plugins, "leaky(a=0.5)", T=1000, B=16).value("memory_capacity").value == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cell_that_ignores_its_input_has_none(backend: str, plugins: Any) -> None:
    found = measured(plugins, "silent", backend)
    assert found.value("memory_capacity").value == 0
    assert "longest_delay" not in found.values
    assert "no delay has r² above 0.5" in found.notes[0]


def test_noise_is_not_memory() -> None:
    """64 features of noise on few samples: fitted and judged on the same, they would recall 64/400 at each delay."""
    rng = np.random.default_rng(0)
    totals = [
        squared_correlations(rng.uniform(-1, 1, (260, 4)), rng.standard_normal((200, 4, 64)), 50).sum()
        for _ in range(20)
    ]
    assert abs(np.mean(totals)) < 4 * np.std(totals) / 20**0.5
    assert abs(np.mean(totals)) < 0.05 * 51 * 64 / 400


def test_faint_memory_keeps_its_size() -> None:
    """y = u(t−3) + noise of ten times its variance, in 32 features: r² = 1/11, neither raised nor shrunk by the fit."""
    rng = np.random.default_rng(1)
    u = rng.standard_normal((20_010, 2))
    ys = rng.standard_normal((20_000, 2, 32))
    ys[..., 0] = u[7:-3] + 10**0.5 * ys[..., 0]
    found = squared_correlations(u, ys, 5)
    assert found == pytest.approx([0, 0, 0, 1 / 11, 0, 0], abs=0.01)


@pytest.mark.parametrize(
    "cell",
    [
        "irnn",
        "lstm",
        "lru",
        *(pytest.param(cell, marks=pytest.mark.long) for cell in ("rnn", "gru", "mingru", "minlstm")),
    ],
)
def test_no_shipped_cell_beats_the_theorem(cell: str, plugins: Any) -> None:
    """MC ≤ H (Jaeger 2001, proposition 2); 3 % are left to sampling. Least has the irnn: it adds up without end."""
    found = measured(plugins, cell, T=500, B=16, H=16, max_delay=100)
    assert (0.9 if cell != "irnn" else 0.1) < found.value("memory_capacity").value < 1.03 * 16
    assert shares(found).min() > -0.05
    assert shares(found).max() < 1 + 1e-9


def test_a_linear_recurrence_with_distinct_rates_reaches_the_bound(plugins: Any) -> None:
    """A linear reservoir of full rank has MC = H (Jaeger 2001, proposition 3); gates and tanh cost most of it."""
    lru, gru = (measured(plugins, cell, T=1000, B=32, H=16, max_delay=128) for cell in ("lru", "gru"))
    assert lru.value("memory_capacity").value == pytest.approx(16, rel=0.03)
    assert gru.value("memory_capacity").value < 8


def test_both_backends_measure_the_same_number(plugins: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    one, other = (shares(measured(plugins, "gru", backend)) for backend in STEPWISE)
    assert one == pytest.approx(other, abs=1e-9)


def test_replicates_draw_their_own_weights_and_inputs(plugins: Any) -> None:
    first, again, other = (shares(measured(plugins, "gru", replicate=k)) for k in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_a_delay_beyond_the_largest_tried_is_a_bound(plugins: Any) -> None:
    found = measured(plugins, "shift", max_delay=N - 1)
    assert (found.value("longest_delay").value, found.value("longest_delay").bound) == (N - 1, "lower")
    assert found.value("memory_capacity").value == pytest.approx(N)


@pytest.mark.parametrize(("T", "B"), [(500, 1), (4, 8)])
def test_too_few_samples_are_refused_with_what_to_do(T: int, B: int, plugins: Any) -> None:
    with pytest.raises(CaseError, match=rf"T·B of at least 64, found T={T}, B={B}; raise seq_len or batch_size"):
        measured(plugins, "gru", T=T, B=B)


def test_outputs_that_explode_are_a_divergence_with_its_step(plugins: Any) -> None:
    with pytest.raises(Diverged, match=r"left the finite numbers at step 15\d"):  # 100^154 is still a float64
        measured(plugins, "growing")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_delay: -1", "found -1; it should be greater than or equal to 0"),
        ("max_delay: 2.5", "found 2.5; it should be a"),
        ("amplitude: 0", "found 0; it should be greater than 0"),
        ("amplitude: big", 'found "big"; it should be'),
        ("delays: 5", 'unknown setting "delays"; allowed: max_delay'),
    ],
)
def test_bad_settings_are_refused_at_their_line(setting: str, message: str, tmp_path: Path, plugins: Any) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(f"name: x\ngrid: {{cell: gru, seq_len: 8}}\nprobes:\n  capacity:\n    {setting}\n")
    with pytest.raises(SuiteError) as caught:
        suite.plan(suite.read(path), plugins)
    assert f"suite.yaml:5: probes.capacity.{setting.split(':')[0]}" in str(caught.value)
    assert message in str(caught.value)
