"""Blocks around any portable cell, as published models have them: `residual:lstm`, `griffin:rglru`, `mamba:mamba`.

A block is a cell again: it can be stacked, counted, verified and run by whatever runs the cell inside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench import Array, Cell, Option, Params, leaves
from rnnbench_cells.affine import matrix
from rnnbench_cells.initial import Rng
from rnnbench_cells.norms import layer_norm, rms_norm
from rnnbench_cells.resets import NAME, reason
from rnnbench_cells.signatures import signed

INNER = "cell."
"""Before the names of the parameters of the cell inside."""


@dataclass(frozen=True)
class Kind:
    """What a block has around its cell.

    expansion: features of the cell for each of the block. conv: taps of a causal convolution before the cell, one
    kernel per feature, 0 for none. gated: whether a second branch of the inputs multiplies what the cell gives.
    mlp: features of a gated MLP after it for each of the block, 0 for none. source: the paper.
    """

    expansion: int
    conv: int
    gated: bool
    mlp: int
    source: str


KINDS: dict[str, Kind] = {
    "residual": Kind(1, 0, gated=False, mlp=0, source="pre-norm residual, Xiong et al. 2020, arXiv:2002.04745"),
    "glu": Kind(1, 0, gated=False, mlp=0, source="Orvieto et al. 2023, arXiv:2303.06349, figure 1"),
    "griffin": Kind(1, 4, gated=True, mlp=3, source="De et al. 2024, arXiv:2402.19427, section 2, figure 2"),
    "mamba": Kind(2, 4, gated=True, mlp=0, source="Gu & Dao 2023, arXiv:2312.00752, section 3.4, figure 3"),
    "xlstm": Kind(2, 4, gated=True, mlp=0, source="Beck et al. 2024, arXiv:2405.04517, figure 11"),
}
"""With r = x, or W_in x where D ≠ H, u = norm(r) and a depthwise causal convolution ∗ of four taps:

residual  y = r + W_o cell(u)
glu       y = r + (W_1 g) ∘ σ(W_2 g),  g = gelu(cell(u))
griffin   s = r + W_o (gelu(W_z u) ∘ cell(W_a u ∗ k)),  y = s + W_d (gelu(W_g n) ∘ W_u n),  n = norm(s), 3H wide
mamba     y = r + W_o (silu(W_z u) ∘ cell(silu(W_a u ∗ k))), 2H wide
xlstm     y = r + W_o (silu(W_z u) ∘ (norm(cell(c)) + l ∘ c)),  c = silu(W_a u ∗ k), 2H wide

norm: RMS (griffin, mamba), layer norm without a shift (others). What the papers' cells project themselves, this one's
cell inside projects; xLSTM's values skip the convolution there, its group norm is by head, and l has no place around a
cell whose outputs are not as many as its inputs.
"""


def gelu(ops: Any, x: Array) -> Array:
    """x Φ(x), by tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2)."""
    return 0.5 * x * (1 + ops.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def block(kind: str, cell: Cell) -> Cell:
    """The cell in a block. Raises KeyError for a kind that is none of KINDS.

    Args:
        kind: One of KINDS.
        cell: Any portable cell.

    Returns:
        A cell named `kind:cell` with the options of the cell.
    """
    made = _Block(kind, KINDS[kind], cell)
    looks = bool(made.kind.conv) or "past" in _asked(cell.project)
    counts = "steps" in _asked(cell.project)
    extra = (("past",) if looks else ()) + (("steps",) if counts else ())

    def offered(function: Callable[..., Any], *arguments: str, more: tuple[str, ...] = ()) -> Callable[..., Any]:
        return signed(function, arguments, (*cell.options, *more))

    given = {
        "project": offered(made.project, "ops", "params", "xs", more=extra),
        "derive": offered(made.derive, "ops", "params") if cell.derive else None,
        "step": offered(made.step, "ops", "params", "state", "z") if cell.step else None,
        "linear": offered(made.linear, "ops", "params", "zs") if cell.linear else None,
        "elements": offered(made.elements, "ops", "params", "zs") if cell.elements else None,
        "output": None if cell.step else offered(made.output, "ops", "params", "hs", "zs"),
        "lookback": offered(made.lookback) if looks else 0,
    }
    return Cell(
        f"{kind}:{cell.name}",
        made.init,
        source=f"{made.kind.source}; inside, {cell.source}",
        options=cell.options,
        frozen=tuple(INNER + name for name in cell.frozen),
        recurrent=tuple(INNER + name for name in cell.recurrent),
        scan=cell.scan,
        combine=cell.combine,
        **given,
    )


def _asked(function: Callable[..., Any] | None) -> tuple[str, ...]:
    if function is None:
        return ()
    parameters = inspect.signature(function).parameters.values()
    return tuple(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)


def _inside(params: Params) -> dict[str, Array]:
    return {name.removeprefix(INNER): array for name, array in params.items() if name.startswith(INNER)}


class _Block:
    """The functions of a block."""

    def __init__(self, name: str, kind: Kind, cell: Cell) -> None:
        self.name, self.kind, self.cell = name, kind, cell
        self._bounds: dict[tuple[tuple[str, Option], ...], Cell] = {}

    def _bound(self, options: Mapping[str, Option]) -> Cell:
        """The cell inside with its options; kept, for a step asks for it."""
        key = tuple(sorted(options.items()))
        if key not in self._bounds:
            self._bounds[key] = self.cell.bound(options)
        return self._bounds[key]

    def init(self, rng: Rng, D: int, H: int, **options: Option) -> tuple[dict[str, Array], Any]:
        """Matrices uniform in ±1/sqrt of the fan-in, gains 1; the cell inside as it is."""
        import numpy as np

        kind, E = self.kind, self.kind.expansion * H
        inner, state = self.cell.init(rng, E, E, **options)
        shown = self._bound(options).features(E, E)
        params: dict[str, Array] = {"norm": np.ones(H)}
        if D != H:
            params["weight_in"] = matrix(rng, H, D)
        if kind.gated:
            params |= {"weight_a": matrix(rng, E, H), "weight_z": matrix(rng, shown, H)}
        if kind.conv:
            params["conv"] = rng.uniform(-(kind.conv**-0.5), kind.conv**-0.5, (kind.conv, E))
        if self.name == "xlstm":
            params |= {"norm_cell": np.ones(shown), **({"skip": np.ones(E)} if shown == E else {})}
        if self.name == "glu":
            params |= {"weight_1": matrix(rng, H, shown), "weight_2": matrix(rng, H, shown)}
        else:
            params["weight_o"] = matrix(rng, H, shown)
        if kind.mlp:
            wide = kind.mlp * H
            params |= {"weight_g": matrix(rng, wide, H), "weight_u": matrix(rng, wide, H)}
            params |= {"weight_d": matrix(rng, H, wide), "norm_mlp": np.ones(H)}
        return params | {INNER + name: array for name, array in inner.items()}, state

    def lookback(self, **options: Option) -> int:
        """The taps of the convolution and what the cell inside looks back."""
        return max(0, self.kind.conv - 1) + int(self._bound(options).lookback)  # type: ignore[arg-type]

    def derive(self, ops: Any, params: Params, **options: Option) -> Params:
        """What the cell inside derives."""
        derived = self._bound(options).derive
        assert derived is not None
        return {INNER + name: array for name, array in derived(ops, _inside(params)).items()}

    def project(
        self,
        ops: Any,
        params: Params,
        xs: Array,
        *,
        past: tuple[Array, ...] = (),
        steps: Array = None,
        **options: Option,
    ) -> tuple[Array, ...]:
        """(r, what the branches after the cell need ..., then the projection of the cell inside)."""
        cell, T, kind = self._bound(options), xs.shape[0], self.kind
        own = len(past) - max(0, kind.conv - 1)  # earlier inputs that the cell inside looks at
        joined = ops.concat([*(one[:1] for one in reversed(past)), xs], axis=0) if past else xs
        r = joined @ params["weight_in"].T if "weight_in" in params else joined
        u = self._normal(ops, r, params["norm"])
        a: Any = u @ params["weight_a"].T if kind.gated else u
        if kind.conv:
            taps, length = params["conv"], T + own
            a = sum(taps[j] * a[kind.conv - 1 - j : kind.conv - 1 - j + length] for j in range(kind.conv))
        if self.name in ("mamba", "xlstm"):
            a = ops.silu(a)
        sides = [r[r.shape[0] - T :]]
        if kind.gated:
            z = u[u.shape[0] - T :] @ params["weight_z"].T
            sides.append(gelu(ops, z) if self.name == "griffin" else ops.silu(z))
        if self.name == "xlstm":
            sides.append(a[a.shape[0] - T :])
        if cell.project is None:
            return (*sides, a)
        asked: dict[str, Any] = {}
        if "past" in _asked(cell.project):
            asked["past"] = tuple(a[own - 1 - j : own - 1 - j + T] for j in range(own))
        if "steps" in _asked(cell.project):
            asked["steps"] = steps
        return (*sides, *leaves(cell.project(ops, _inside(params), a[own:], **asked)))

    def step(self, ops: Any, params: Params, state: Any, z: tuple[Array, ...], **options: Option) -> tuple[Any, Array]:
        """One step of the cell inside, and what comes after it."""
        sides, inner = self._parted(z)
        stepped = self._bound(options).step
        assert stepped is not None
        state, y = stepped(ops, _inside(params), state, inner)
        return state, self._after(ops, params, y, sides)

    def linear(self, ops: Any, params: Params, zs: tuple[Array, ...], **options: Option) -> tuple[Array, Array]:
        """(a, b) of the cell inside."""
        linear = self._bound(options).linear
        assert linear is not None
        return linear(ops, _inside(params), self._parted(zs)[1])

    def elements(self, ops: Any, params: Params, zs: tuple[Array, ...], **options: Option) -> tuple[Array, ...]:
        """The coefficients of the cell inside."""
        elements = self._bound(options).elements
        assert elements is not None
        return elements(ops, _inside(params), self._parted(zs)[1])

    def output(self, ops: Any, params: Params, hs: Array, zs: tuple[Array, ...], **options: Option) -> Array:
        """What the cell inside shows, and what comes after it."""
        sides, inner = self._parted(zs)
        return self._after(ops, params, self._bound(options).shown(ops, _inside(params), hs, inner), sides)

    def _normal(self, ops: Any, x: Array, gain: Array) -> Array:
        return (rms_norm if self.name in ("griffin", "mamba") else layer_norm)(ops, x, gain)

    def _parted(self, zs: tuple[Array, ...]) -> tuple[tuple[Array, ...], Any]:
        """(what the branches need, the projection of the cell inside)."""
        count = 1 + self.kind.gated + (self.name == "xlstm")
        inner = list(zs[count:])
        return zs[:count], tuple(inner) if len(inner) > 1 else inner[0]

    def _after(self, ops: Any, params: Params, y: Array, sides: tuple[Array, ...]) -> Array:
        r: Any = sides[0]
        if self.name == "glu":
            g = gelu(ops, y)
            return r + (g @ params["weight_1"].T) * ops.sigmoid(g @ params["weight_2"].T)
        if self.name == "xlstm":
            y = layer_norm(ops, y, params["norm_cell"])
            y = y + params["skip"] * sides[2] if "skip" in params else y
        if self.kind.gated:
            y = y * sides[1]
        r = r + y @ params["weight_o"].T
        if self.kind.mlp:
            n = self._normal(ops, r, params["norm_mlp"])
            r = r + (gelu(ops, n @ params["weight_g"].T) * (n @ params["weight_u"].T)) @ params["weight_d"].T
        return r


PLUGIN = '''"""{name}: a cell in a block."""

from rnnbench import hookimpl
from rnnbench_cells import CELLS
from rnnbench_cells.blocks import block


@hookimpl
def rnnbench_cells():
    return [block({kind!r}, CELLS[{cell!r}])]
'''

RESETS = '''"""{name}: a cell whose last input says where sequences begin and end."""

from rnnbench import hookimpl
from rnnbench_cells import CELLS
from rnnbench_cells.resets import resetting


@hookimpl
def rnnbench_cells():
    return [resetting(CELLS[{cell!r}])]
'''


def study(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"target": "griffin:lstm"}` -> the plugin that brings it, or a sentence: see `rnnbench.Adapter`."""
    from rnnbench import nearest
    from rnnbench_cells import CELLS

    target = job["target"]
    kind, _, name = target.rpartition(":")
    if kind not in (*KINDS, NAME):  # another adapter's business, unless it is misspelled
        hint = nearest(kind, (*KINDS, NAME))
        allowed = ", ".join((*KINDS, NAME))
        return _problem(target, f"there is no block {kind!r}; blocks: {allowed}.{hint}") if hint else _problem("", "")
    if name not in CELLS:
        return _problem(target, f"there is no cell {name!r} to put in a block.{nearest(name, CELLS)}")
    if kind == NAME:
        if problem := reason(CELLS[name]):
            return _problem(target, problem)
        return {"plugins": {target: RESETS.format(name=target, cell=name)}, "problems": {}}
    return {"plugins": {target: PLUGIN.format(name=target, kind=kind, cell=name)}, "problems": {}}


def _problem(target: str, sentence: str) -> dict[str, Any]:
    return {"plugins": {}, "problems": {target: sentence} if target else {}}
