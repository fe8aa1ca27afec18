"""Gradients of a sequence cut into segments (see `rnnbench.model.bptt`), to be traced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnnbench import Array, Batch, Params, States, bptt

RunSegment = Callable[[Params, States, Array, Array], tuple[States, Array]]
"""run(params, states, xs, segment) -> (final states, outputs): the model over the segment of that number."""
Body = Callable[[Any, tuple[Array, Batch]], tuple[Any, Any]]
"""body(carry, (number of the segment, its part of every array)) -> (carry, what it found)"""


def over_segments(body: Body, carry: Any, batch: Batch, segment: int) -> tuple[Any, Any]:
    """`jax.lax.scan` over segments: (carry, what was found, along time). The rest that is no whole segment comes last.

    Every array of `batch` has time as its first axis, and so has all that the body finds. Under a scan XLA cannot undo
    a recomputation by reusing what it computed before; for the rest `jax.checkpoint` has to forbid it.
    """
    import jax
    import jax.numpy as jnp

    T = batch["xs"].shape[0]
    count, rest = divmod(T, segment)
    found = []
    if count:
        whole = {name: array[: T - rest].reshape(count, segment, *array.shape[1:]) for name, array in batch.items()}
        carry, ys = jax.lax.scan(body, carry, (jnp.arange(count), whole))
        found.append(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), ys))
    if rest:
        carry, ys = body(carry, (jnp.asarray(count), {name: array[T - rest :] for name, array in batch.items()}))
        found.append(ys)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)


def checkpointed(run: RunSegment, params: Params, states: States, xs: Array, segment: int) -> tuple[States, Array]:
    """`run` over all of xs_TBD; its gradient keeps no more than the states between segments and the outputs."""
    import jax

    @jax.checkpoint
    def body(states: States, at: tuple[Array, Batch]) -> tuple[States, Array]:
        number, part = at
        return run(params, states, part["xs"], number)

    return over_segments(body, states, {"xs": xs}, segment)


@dataclass(frozen=True)
class Truncated:
    """Truncated gradients: (loss, gradient of each parameter, gradient of xs, or nothing if it is not wanted).

    run: the model over a segment. loss(outputs, batch) -> scalar.
    """

    run: RunSegment
    loss: Callable[[Array, Batch], Array]
    segment: int
    of_xs: bool

    def one_pass(self, params: Params, states: States, batch: Batch) -> tuple[Array, Params, Array]:
        """Of an additive loss: each segment runs once and is let go."""
        import jax
        import jax.numpy as jnp

        T, B = batch["xs"].shape[:2]
        in_time = {name: array for name, array in batch.items() if array.shape[:2] == (T, B)}
        constant = {name: array for name, array in batch.items() if name not in in_time}

        def value(params: Params, xs: Array, states: States, at: tuple[Array, Batch]) -> tuple[Array, States]:
            number, part = at
            final, outputs = self.run(params, states, xs, number)
            share = len(xs) / T
            return self.loss(outputs, {**constant, **part, "xs": xs}) * share, final

        def body(carry: tuple[States, Array, Params], at: tuple[Array, Batch]) -> tuple[Any, Array]:
            states, total, gradients = carry
            xs = at[1]["xs"]
            (part, final), found = jax.value_and_grad(value, (0, 1)[: 1 + self.of_xs], has_aux=True)(
                params, xs, states, at
            )
            gradients = jax.tree.map(jnp.add, gradients, found[0])
            return (final, total + part, gradients), found[1] if self.of_xs else _nothing(xs)

        zero = jax.eval_shape(self.loss, *self._shapes(params, states, batch))
        start = (states, jnp.zeros(zero.shape, zero.dtype), jax.tree.map(jnp.zeros_like, params))
        (_, total, gradients), of_xs = over_segments(body, start, in_time, self.segment)
        return total, gradients, of_xs

    def two_passes(self, params: Params, states: States, batch: Batch) -> tuple[Array, Params, Array]:
        """Of any loss: it sees all outputs first; segments it depends on are then run again for it."""
        import jax
        import jax.numpy as jnp

        xs = batch["xs"]
        starts, outputs = self._forward(params, states, xs)
        value, (cotangent, direct) = jax.value_and_grad(
            lambda outputs, xs: self.loss(outputs, {**batch, "xs": xs}), (0, 1)
        )(outputs, xs)

        def pulled(start: States, xs: Array, cotangent: Array, number: Array) -> tuple[Params, Array]:
            again = partial(self._outputs, states=start, number=number)
            if self.of_xs:
                return jax.vjp(again, params, xs)[1](cotangent)
            of_params = jax.vjp(partial(again, xs=xs), params)[1](cotangent)[0]
            return of_params, _nothing(xs)

        def silent(*at: Any) -> tuple[Params, Array]:
            return jax.tree.map(jnp.zeros_like, params), jnp.zeros_like(at[1]) if self.of_xs else _nothing(at[1])

        def body(gradients: Params, at: tuple[Array, Batch]) -> tuple[Params, Array]:
            number, part = at
            start = jax.tree.map(lambda leaf: leaf[number], starts)
            matters = jnp.any(part["cotangent"] != 0)
            found, of_xs = jax.lax.cond(matters, pulled, silent, start, part["xs"], part["cotangent"], number)
            return jax.tree.map(jnp.add, gradients, found), of_xs

        zeros = jax.tree.map(jnp.zeros_like, params)
        gradients, of_xs = over_segments(body, zeros, {"xs": xs, "cotangent": cotangent}, self.segment)
        return value, gradients, of_xs + direct if self.of_xs else of_xs

    def _forward(self, params: Params, states: States, xs: Array) -> tuple[States, Array]:
        """(states at the start of every segment, stacked; outputs)."""
        import jax
        import jax.numpy as jnp

        count = -(-len(xs) // self.segment)
        starts = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), states)

        def body(carry: tuple[States, States], at: tuple[Array, Batch]) -> tuple[tuple[States, States], Array]:
            (states, starts), (number, part) = carry, at
            starts = jax.tree.map(lambda kept, leaf: kept.at[number].set(leaf), starts, states)
            final, outputs = self.run(params, states, part["xs"], number)
            return (final, starts), outputs

        (_, starts), outputs = over_segments(body, (states, starts), {"xs": xs}, self.segment)
        return starts, outputs

    def _outputs(self, params: Params, xs: Array, states: States, number: Array) -> Array:
        return self.run(params, states, xs, number)[1]

    def _shapes(self, params: Params, states: States, batch: Batch) -> tuple[Any, Any]:
        """Shapes of (outputs, batch) of one segment, without computing any."""
        import jax
        import jax.numpy as jnp

        part = bptt.piece(batch, slice(0, min(self.segment, len(batch["xs"]))))
        return jax.eval_shape(self._outputs, params, part["xs"], states, jnp.asarray(0)), part


def _nothing(xs: Array) -> Array:
    """In place of a gradient of xs that is not wanted: one number per step, for a scan to stack."""
    import jax.numpy as jnp

    return jnp.zeros(len(xs), xs.dtype)
