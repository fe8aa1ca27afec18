"""Newton in time as a differentiable function of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from rnnbench import Array, Cell, Measurement, Params, State, Unroll, leaves, scans, tree_map
from rnnbench_newton import account
from rnnbench_newton.implementations import implementations
from rnnbench_newton.method import ITERATIONS, Variant, acts_elementwise, residual, tolerance
from rnnbench_newton.parts import Parts
from rnnbench_newton.structure import Blocks, Full, Pair, Structure

if TYPE_CHECKING:
    import torch

    from rnnbench import Ops


def build(variant: Variant, cell: Cell, device: str, dtype: str) -> Unroll:
    """One solve of all steps; then each step once more from the states found, which is what gradients go through."""
    import torch

    from rnnbench_torch.ops import torch_ops

    del device
    ops = torch_ops()

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        parts = Parts.of(ops, opened.state)
        start = parts.vector(ops, opened.state)
        with torch.no_grad():
            system = _System(variant, cell, ops, parts, _still(opened.params), start.detach(), _still(opened.zs))
            before, converged = system.solved(tolerance(dtype))
        found, _ = system.advanced(before, opened.params, opened.zs)
        hs = _function().apply(found, start, partial(system.pulled, before, converged))
        _, ys = system.advanced(torch.cat([start[None], hs[:-1]]), opened.params, opened.zs)
        return opened.close(parts.state(ops, hs[-1])), ys

    return unroll


def _still(tree: Any) -> Any:
    """The same numbers, of no graph."""
    if isinstance(tree, dict):
        return {name: array.detach() for name, array in tree.items()}
    return tree_map(lambda array: array.detach(), tree)


@dataclass(frozen=True)
class _System:
    """s_t = f(s_{t−1}, z_t) for all t, at fixed parameters. start (B, n); zs (T, B, ...)."""

    variant: Variant
    cell: Cell
    ops: Ops
    parts: Parts
    params: Params
    start: torch.Tensor
    zs: Array

    def advanced(
        self, before: torch.Tensor, params: Params | None = None, zs: Array | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f of all steps at once: (T, B, n) -> (the states one step later (T, B, n), ys)."""
        T, B, n = before.shape
        rows = tree_map(lambda z: z.reshape(T * B, *z.shape[2:]), self.zs if zs is None else zs)
        state = self.parts.state(self.ops, before.reshape(T * B, n))
        state, ys = self.cell.advance(self.ops, self.params if params is None else params, state, rows)
        return self.parts.vector(self.ops, state).reshape(T, B, n), ys.reshape(T, B, *ys.shape[1:])

    def solved(self, limit: float) -> tuple[torch.Tensor, bool]:
        """(the states before each step (T, B, n), whether the iterations converged)."""
        import torch

        structure, T = self.variant.structure, _length(self.zs)
        memory = self.variant.checked(structure, (T, *self.start.shape), self.start.element_size())
        S, _ = self.advanced(self.start.expand(T, *self.start.shape))
        F, left = self._judged(S)
        count = 0
        while not left <= limit and count < ITERATIONS:
            J = self.jacobian(structure, self._before(S))
            moved = S + structure.forward(self.ops, self._scan, J, F - S)
            S = torch.where(torch.isfinite(moved), moved, F)
            F, left = self._judged(S)
            count += 1
        solve = account.Solve(count, left, limit, memory)
        account.SOLVES.append(solve)
        return self._before(S if solve.converged else self._looped()), solve.converged

    def _judged(self, S: torch.Tensor) -> tuple[torch.Tensor, float]:
        """(F, the residual of S)."""
        F, _ = self.advanced(self._before(S))
        left = float(residual(self.ops, self.parts, F, S))
        return F, left if left == left else float("inf")

    def _before(self, S: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.cat([self.start[None], S[:-1]])

    def _looped(self) -> torch.Tensor:
        """The states by the sequential loop."""
        import torch

        found, state = [], self.start
        for t in range(_length(self.zs)):
            state = self.advanced(state[None], zs=tree_map(lambda z, t=t: z[t : t + 1], self.zs))[0][0]
            found.append(state)
        return torch.stack(found)

    def _scan(self, combine: Callable[[Pair, Pair], Pair], elements: Pair) -> Pair:
        return scans.prefixes(self.ops, combine, elements)  # type: ignore[return-value]  # a pair, as it was given one

    def jacobian(self, structure: Structure, before: torch.Tensor) -> torch.Tensor:
        """∂s_t/∂s_{t−1} at all steps, as the structure stores it.

        By reverse mode: loading torch's forward-mode rules warns of deprecation.
        """
        import torch

        self.variant.checked(structure, tuple(before.shape), before.element_size())
        pull = torch.func.vjp(lambda S: self.advanced(S)[0], before)[1]
        if isinstance(structure, Full):
            units = torch.eye(before.shape[-1], dtype=before.dtype, device=before.device)
            return torch.func.vmap(lambda unit: pull(unit.expand_as(before))[0], out_dims=2)(units)
        assert isinstance(structure, Blocks)
        return _blocks(structure.k, structure.seeds(self.parts.sizes, acts_elementwise(self.cell)), pull, before)

    def pulled(self, before: torch.Tensor, converged: bool, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(cotangents of every f(s_{t−1}, z_t), cotangent of the first state) of cotangents g of every state."""
        import torch

        structure, ops = self.variant.adjoint(self.cell, self.parts), self.ops
        J = self.jacobian(structure, before)
        turned, given = structure.reversed(ops, J), g.flip(0)
        if converged:
            found = structure.forward(ops, self._scan, turned, given)
        else:
            later, each = torch.zeros_like(g[0]), []
            for matrix, own in zip(turned, given, strict=True):
                later = structure.applied(ops, matrix, later) + own
                each.append(later)
            found = torch.stack(each)
        found = found.flip(0)
        return found, structure.applied(ops, structure.transposed(ops, J[0]), found[0])


def _length(zs: Array) -> int:
    return leaves(zs)[0].shape[0]


def _blocks(k: int, seeds: Any, pull: Any, before: torch.Tensor) -> torch.Tensor:
    """Reverse mode along one set of units after the other: (T, B, k, k, n/k)."""
    import torch

    *lead, n = before.shape
    found = before.new_zeros((*lead, k, k, n // k))
    for seed in torch.as_tensor(seeds, dtype=before.dtype, device=before.device):
        for j in range(k):
            cotangent = before.new_zeros((k, n // k))
            cotangent[j] = seed
            pulled = pull(cotangent.reshape(-1).expand_as(before))[0]
            found[..., j, :, :] += pulled.reshape(*lead, k, n // k) * seed
    return found


@cache
def _function() -> Any:
    """The autograd function, made on first use because its base class is torch's."""
    import torch
    from torch.autograd.function import once_differentiable

    class Implicit(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, found: torch.Tensor, start: torch.Tensor, pull: Any) -> torch.Tensor:
            del start
            ctx.pull = pull
            return found.clone()

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
            return (*ctx.pull(g), None)

    return Implicit


def accounted() -> Measurement:
    """Of the solves of this process so far."""
    return account.measured(account.taken())


IMPLEMENTATIONS = implementations("torch", build, accounted)
