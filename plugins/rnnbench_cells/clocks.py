"""Cells that know the time: clockwork, phased_lstm; and dilated cells, which look d steps back."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, UsageError, tree_map
from rnnbench_cells.affine import gated, pieces, project
from rnnbench_cells.gru import gru
from rnnbench_cells.initial import Rng
from rnnbench_cells.lstm import lstm

Pair = tuple[Array, Array]


def init_clockwork(rng: Rng, D: int, H: int, *, modules: int = 4) -> tuple[dict[str, Array], Array]:
    """One gate of `gated`; state zeros (H,)."""
    import numpy as np

    if H % modules:
        raise UsageError(f"cell 'clockwork' needs H divisible by modules, found H={H}, modules={modules}.")
    return gated(rng, 1, D, H), np.zeros(H)


def derive_clockwork(ops: Any, params: Params, *, modules: int) -> Params:
    """weight_hh with zeros where a faster module would drive a slower one."""
    weight = params["weight_hh"]
    H = weight.shape[-1]
    size = H // modules
    rows = []
    for module in range(modules):
        row = weight[module * size : (module + 1) * size]
        kept = row[:, module * size :]
        rows.append(kept if module == 0 else ops.concat([0 * row[:, : module * size], kept], axis=-1))
    return {"masked": ops.concat(rows, axis=0)}


def project_clockwork(ops: Any, params: Params, xs: Array, *, steps: Array, modules: int) -> tuple[Array, Array]:
    """(W x + b, 1 where a unit's module is due and 0 elsewhere), both (T, B, H)."""
    zs = project(ops, params, xs)
    size = zs.shape[-1] // modules
    due = [ops.astype(steps % 2**module == 0, zs.dtype)[..., None] for module in range(modules)]
    wide = [ops.broadcast_to(one, (*one.shape[:-1], size)) for one in due]
    return zs, ops.concat(wide, axis=-1)


def step_clockwork(ops: Any, params: Params, h: Array, z: tuple[Array, Array]) -> tuple[Array, Array]:
    """(h_BH, (driven, due)) -> (h', h')."""
    driven, due = z
    h = h + due * (ops.tanh(driven + h @ params["masked"].T) - h)
    return h, h


clockwork = Cell(
    name="clockwork",
    init=init_clockwork,
    step=step_clockwork,
    project=project_clockwork,
    derive=derive_clockwork,
    source="Koutník et al. 2014, arXiv:1402.3511, the clockwork RNN with periods 2^g",
    options={"modules": 4},
    recurrent=("weight_hh",),
)
"""Module g = 0 ... modules − 1 of H/modules units has the period 2^g: its units move at steps t with t mod 2^g = 0,

h' = tanh(W x + U h + b) where due, h elsewhere;  y = h'.  U is block upper triangular: slow modules drive fast ones.

Shapes: weight_ih (H, D), weight_hh (H, H), of which the lower blocks have no effect, bias (H,); state h (H,).
H(D + H + 1) parameters. A silent module copies exactly. With one module this is `rnn`.

Where frameworks differ: which of the triangles is kept depends on the order of the periods.
"""


def init_phased(
    rng: Rng, D: int, H: int, *, leak: float = 1e-3, ratio: float = 0.05, tau_max: float = 100.0
) -> tuple[dict[str, Array], Pair]:
    """Four gates of `gated`; periods exp(U(ln 2, ln tau_max)), shifts uniform in a period; state (h, c), zeros."""
    import numpy as np

    del leak, ratio
    log_tau = rng.uniform(np.log(2.0), np.log(tau_max), H)
    return gated(rng, 4, D, H) | {"log_tau": log_tau, "shift": rng.uniform(0, np.exp(log_tau))}, (
        np.zeros(H),
        np.zeros(H),
    )


def project_phased(
    ops: Any, params: Params, xs: Array, *, steps: Array, leak: float, ratio: float
) -> tuple[Array, Array]:
    """(all gates (T, B, 4H), openness k_t (T, B, H))."""
    zs = project(ops, params, xs)
    turns = (ops.astype(steps, zs.dtype)[..., None] - params["shift"]) / ops.exp(params["log_tau"])
    phase = turns - ops.floor(turns)
    rise = 2 * phase / ratio
    opened = ops.where(phase < ratio / 2, rise, 2 - rise)
    return zs, ops.where(phase < ratio, opened, leak * phase)


def step_phased(ops: Any, params: Params, state: Pair, z: tuple[Array, Array]) -> tuple[Pair, Array]:
    """((h_BH, c_BH), ((B, 4H), k_BH)) -> ((h', c'), h')."""
    h, c = state
    gates, k = z
    i, f, g, o = pieces(gates + h @ params["weight_hh"].T, 4)
    new_c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    new_h = ops.sigmoid(o) * ops.tanh(new_c)
    c, h = c + k * (new_c - c), h + k * (new_h - h)
    return (h, c), h


phased_lstm = Cell(
    name="phased_lstm",
    init=init_phased,
    step=step_phased,
    project=project_phased,
    source="Neil, Pfeiffer & Liu 2016, arXiv:1610.09513, time gate and updates of the phased LSTM, no peepholes",
    options={"leak": 1e-3, "ratio": 0.05, "tau_max": 100.0},
    recurrent=("weight_hh",),
)
"""φ = ((t − s) mod τ)/τ,  k = 2φ/r for φ < r/2,  2 − 2φ/r for φ < r,  leak·φ else;

c̃ = f ∘ c + i ∘ g,  c' = k ∘ c̃ + (1 − k) ∘ c,  h̃ = o ∘ tanh(c̃),  h' = k ∘ h̃ + (1 − k) ∘ h,  y = h', gates as in `lstm`.

Shapes: weight_ih (4H, D), weight_hh (4H, H), bias (4H,), rows i, f, g, o; log_tau, shift (H,); state (h, c).
4H(D + H + 1) + 2H parameters. While k = 0, state and gradient stay exactly what they are.

Where frameworks differ: t is the number of the step here, the time of the event in the paper; the leak is 0 at test
time in some code; h̃ is of the candidate c̃, as in the paper.
"""


def dilated(cell: Cell, name: str) -> Cell:
    """The cell with each state d steps old: d copies of it take turns.

    A state leaf (n,) becomes (d, n), the oldest first. The parameters are those of the cell.
    """

    def init(rng: Rng, D: int, H: int, *, dilation: int = 4, **options: Any) -> tuple[Params, Any]:
        import numpy as np

        params, state = cell.init(rng, D, H, **options)
        return params, tree_map(lambda leaf: np.repeat(leaf[None], dilation, axis=0), state)

    def step(ops: Any, params: Params, state: Any, z: Array) -> tuple[Any, Array]:
        new, y = cell.advance(ops, params, tree_map(lambda ring: ring[:, 0], state), z)
        return _turned(ops, state, new), y

    return Cell(
        name,
        init,
        step,
        cell.projected,
        source=f"Chang et al. 2017, arXiv:1710.02224, the dilated recurrent skip connection, "
        f"of {cell.name}: {cell.source}",
        options={"dilation": 4, **cell.options},
        recurrent=cell.recurrent,
    )


def _turned(ops: Any, rings: Any, new: Any) -> Any:
    """Rings (B, d, n) without their oldest, and with the newest at the end."""
    if isinstance(rings, tuple):
        return tuple(_turned(ops, ring, one) for ring, one in zip(rings, new, strict=True))
    return ops.concat([rings[:, 1:], new[:, None]], axis=1)


dilated_lstm = dilated(lstm, "dilated_lstm")
"""`lstm` with (h_{t−d}, c_{t−d}) in place of (h_{t−1}, c_{t−1}): d interleaved copies that do not see each
other, bitwise.

Shapes: parameters as of `lstm`, 4H(D + H + 2); state (h, c), each (d, H).

Where frameworks differ: some pad the sequence to a multiple of d and fold it into the batch, which is the same.
"""
dilated_gru = dilated(gru, "dilated_gru")
"""`gru` with h_{t−d} in place of h_{t−1}.  3H(D + H + 2) parameters; state (d, H).

Where frameworks differ: as for `dilated_lstm`.
"""
