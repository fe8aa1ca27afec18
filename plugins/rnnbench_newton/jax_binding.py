"""Newton in time as a differentiable function of jax."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rnnbench import Array, Cell, Measurement, Params, State, Unroll, tree_map
from rnnbench_newton import account
from rnnbench_newton.implementations import implementations
from rnnbench_newton.method import ITERATIONS, Variant, acts_elementwise, residual, tolerance
from rnnbench_newton.parts import Parts
from rnnbench_newton.structure import Blocks, Full, Structure

Held = tuple[Array, Params, Array, Array]
"""Whether the iterations converged; parameters, states before each step, zs."""


def build(variant: Variant, cell: Cell, device: str, dtype: str) -> Unroll:
    """One solve of all steps; then each step once more from the states found, which is what gradients go through."""
    import jax
    import jax.numpy as jnp

    from rnnbench_jax.ops import jax_ops

    del device
    ops, scan = jax_ops(), jax.lax.associative_scan
    limit = tolerance(dtype)

    def advanced(parts: Parts, params: Params, before: Array, zs: Array) -> tuple[Array, Array]:
        """f of all steps at once: (T, B, n) -> (the states one step later (T, B, n), ys)."""
        T, B, n = before.shape
        rows = tree_map(lambda z: z.reshape(T * B, *z.shape[2:]), zs)
        state, ys = cell.advance(ops, params, parts.state(ops, before.reshape(T * B, n)), rows)
        return parts.vector(ops, state).reshape(T, B, n), ys.reshape(T, B, *ys.shape[1:])

    def jacobian(structure: Structure, parts: Parts, params: Params, before: Array, zs: Array) -> Array:
        """∂s_t/∂s_{t−1} at all steps, as the structure stores it."""
        variant.checked(structure, before.shape, before.dtype.itemsize)
        if isinstance(structure, Full):
            return _full(lambda row, z: _one(parts, params, row, z), before, zs)
        assert isinstance(structure, Blocks)
        seeds = structure.seeds(parts.sizes, acts_elementwise(cell))
        return _blocks(structure.k, seeds, lambda S: advanced(parts, params, S, zs)[0], before)

    def _one(parts: Parts, params: Params, row: Array, z: Array) -> Array:
        state = parts.state(ops, row[None])
        after, _ = cell.advance(ops, params, state, tree_map(lambda part: part[None], z))
        return parts.vector(ops, after)[0]

    def solved(parts: Parts, params: Params, start: Array, zs: Array, T: int) -> tuple[Array, Array]:
        """(whether the iterations converged, the states before each step (T, B, n))."""
        memory = variant.checked(variant.structure, (T, *start.shape), start.dtype.itemsize)
        after = partial(advanced, parts, params)

        def before(S: Array) -> Array:
            return jnp.concatenate([start[None], S[:-1]])

        def judged(S: Array) -> tuple[Array, Array, Array]:
            F, _ = after(before(S), zs)
            return S, F, residual(ops, parts, F, S)

        def go_on(carry: tuple[Array, tuple[Array, Array, Array]]) -> Array:
            count, (_, _, left) = carry
            return ~(left <= limit) & (count < ITERATIONS)

        def iteration(carry: tuple[Array, tuple[Array, Array, Array]]) -> tuple[Array, tuple[Array, Array, Array]]:
            count, (S, F, _) = carry
            J = jacobian(variant.structure, parts, params, before(S), zs)
            moved = S + variant.structure.forward(ops, scan, J, F - S)
            return count + 1, judged(jnp.where(jnp.isfinite(moved), moved, F))

        def loop() -> Array:
            def step(state: Array, z: Array) -> tuple[Array, Array]:
                found, _ = advanced(parts, params, state[None], tree_map(lambda part: part[None], z))
                return found[0], found[0]

            return jax.lax.scan(step, start, zs)[1]

        guess, _ = after(jnp.broadcast_to(start, (T, *start.shape)), zs)
        count, (S, _, left) = jax.lax.while_loop(go_on, iteration, (jnp.asarray(0), judged(guess)))
        jax.debug.callback(partial(_ended, memory=memory, limit=limit), count, left)
        return left <= limit, before(jax.lax.cond(left <= limit, lambda: S, loop))

    def implicit(parts: Parts) -> Callable[[Array, Array, Held], Array]:
        """The states themselves, of f at the solution and the first state, with the gradient of the solution."""

        @jax.custom_vjp
        def states(found: Array, start: Array, held: Held) -> Array:
            del start, held
            return found

        def keep(found: Array, start: Array, held: Held) -> tuple[Array, Held]:
            del start
            return found, held

        def back(held: Held, g: Array) -> tuple[Array, Array, None]:
            converged, *at = held
            structure = variant.adjoint(cell, parts)
            J = jacobian(structure, parts, *at)
            turned, given = structure.reversed(ops, J), jnp.flip(g, 0)

            def step(later: Array, at_t: tuple[Array, Array]) -> tuple[Array, Array]:
                cotangent = structure.applied(ops, at_t[0], later) + at_t[1]
                return cotangent, cotangent

            found = jnp.flip(
                jax.lax.cond(
                    converged,
                    lambda: structure.forward(ops, scan, turned, given),
                    lambda: jax.lax.scan(step, jnp.zeros_like(g[0]), (turned, given))[1],
                ),
                0,
            )
            return found, structure.applied(ops, structure.transposed(ops, J[0]), found[0]), None

        states.defvjp(keep, back)
        return states

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened = cell.open(ops, params, state, xs)
        parts = Parts.of(ops, opened.state)
        start = parts.vector(ops, opened.state)
        still = jax.lax.stop_gradient((dict(opened.params), start, opened.zs))
        converged, before = solved(parts, *still, len(xs))
        found, _ = advanced(parts, opened.params, before, opened.zs)
        hs = implicit(parts)(found, start, (converged, still[0], before, still[2]))
        _, ys = advanced(parts, opened.params, jnp.concatenate([start[None], hs[:-1]]), opened.zs)
        return opened.close(parts.state(ops, hs[-1])), ys

    return unroll


def _full(one: Any, before: Array, zs: Array) -> Array:
    """Forward mode for every step and sequence: (T, B, n, n)."""
    import jax

    return jax.vmap(jax.vmap(jax.jacfwd(one)))(before, zs)


def _blocks(k: int, seeds: Any, after: Any, before: Array) -> Array:
    """Forward mode along one set of units after the other: (T, B, k, k, n/k)."""
    import jax
    import jax.numpy as jnp

    m = before.shape[-1] // k
    lead = before.shape[:-1]

    def along(seed: Array, i: int) -> Array:
        tangent = jnp.zeros((k, m), before.dtype).at[i].set(seed).reshape(-1)
        moved = jax.jvp(after, (before,), (jnp.broadcast_to(tangent, before.shape),))[1]
        return moved.reshape(*lead, k, m) * seed

    def more(found: Array, seed: Array) -> tuple[Array, None]:
        return found + jnp.stack([along(seed, i) for i in range(k)], axis=-2), None

    zero = jnp.zeros((*lead, k, k, m), before.dtype)
    return jax.lax.scan(more, zero, jnp.asarray(seeds, before.dtype))[0]


def _ended(count: Any, left: Any, *, memory: int, limit: float) -> None:
    account.SOLVES.append(account.Solve(int(count), _finite(float(left)), limit, memory))


def _finite(left: float) -> float:
    return left if left == left else float("inf")


def accounted() -> Measurement:
    """Of the solves of this process so far; jax hands them over in its own time."""
    import jax

    jax.effects_barrier()
    return account.measured(account.taken())


IMPLEMENTATIONS = implementations("jax", build, accounted)
