"""A model as compiled functions of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rnnbench import Array, Batch, Params, ProgramSpec, States, batched, bptt, micro_batches, run_model
from rnnbench_jax import segments, weight_drop
from rnnbench_jax.accumulation import accumulated
from rnnbench_jax.ops import jax_ops
from rnnbench_jax.optimizers import transformation
from rnnbench_jax.state_gradients import growth_factors
from rnnbench_jax.state_jacobians import jacobians

if TYPE_CHECKING:
    import jax


class Training(NamedTuple):
    """What a training step changes."""

    params: Params
    memory: Any = None
    """The optimiser's own state, None until the first step needs it."""
    steps: Array = None
    """Number of training steps taken, int32."""


@dataclass(frozen=True)
class Functions:
    """One jitted function per question, each compiled once per shape. Initial states come without a batch axis."""

    begin: jax.stages.Wrapped
    """(params, initial, xs) -> (states, outputs)"""
    resume: jax.stages.Wrapped
    """(params, states, xs) -> (states, outputs)"""
    gradients: jax.stages.Wrapped
    """(params, initial, batch) -> (loss, gradient of each parameter, gradient of xs)"""
    keep: jax.stages.Wrapped
    """(params, initial, batch) -> pullback, with all that backward needs"""
    pull: jax.stages.Wrapped
    """pullback -> (gradient of each parameter, gradient of xs)"""
    start: jax.stages.Wrapped
    """params -> Training"""
    train: jax.stages.Wrapped
    """(Training, initial, batch) -> (Training, loss); what came in is used up"""
    evaluate: jax.stages.Wrapped
    """(params, initial, batch) -> {loss, metric}"""
    growth: jax.stages.Wrapped
    """(params, initial, xs, cotangent) -> factors_TB"""
    jacobians: jax.stages.Wrapped
    """(params, states, xs) -> (states, jacobians (T, B, n, n))"""

    def compilations(self) -> int:
        """How many programs XLA has compiled for these functions so far."""
        return sum(getattr(self, each.name)._cache_size() for each in fields(self))


def functions(spec: ProgramSpec) -> Functions:
    """Everything the program of `spec` may be asked; nothing is traced or compiled yet."""
    import jax
    import jax.numpy as jnp
    import optax

    model, ops = spec.model, jax_ops()
    unroll = spec.implementation.build(model.cell, spec.device, spec.dtype)
    update = transformation(spec.optimizer)
    width = model.outputs

    def parted(params: Params) -> tuple[dict[str, Array], dict[str, Array]]:
        """(what is trained, what is frozen)."""
        fixed = {name: array for name, array in params.items() if name in model.frozen}
        return {name: array for name, array in params.items() if name not in fixed}, fixed

    def begin(params: Params, initial: States, xs: Array, drop: Dropout | None = None) -> tuple[States, Array]:
        return run_model(model, unroll, params, batched(initial, xs.shape[1], jnp.broadcast_to), xs, drop)

    def resume(params: Params, states: States, xs: Array) -> tuple[States, Array]:
        return run_model(model, unroll, params, states, xs)

    def loss(params: Params, xs: Array, initial: States, batch: Batch, drop: Dropout | None = None) -> Array:
        return spec.loss(ops, begin(params, initial, xs, drop)[1], {**batch, "xs": xs})

    def segmented(
        params: Params, initial: States, batch: Batch, drops: Drops, of_xs: bool
    ) -> tuple[Array, Params, Array]:
        """(loss, gradient of each parameter, gradient of xs if wanted) as `spec.bptt` says."""
        assert spec.segment is not None  # as of every kind but full
        segment, xs = spec.segment, batch["xs"]
        states = batched(initial, xs.shape[1], jnp.broadcast_to)

        def part(params: Params, states: States, xs: Array, number: Array) -> tuple[States, Array]:
            return run_model(model, unroll, params, states, xs, drops(number))

        def judged(outputs: Array, batch: Batch) -> Array:
            return spec.loss(ops, outputs, batch)

        if spec.bptt == "truncated":
            trained, fixed = parted(params)

            def thawed(some: Params, states: States, xs: Array, number: Array) -> tuple[States, Array]:
                return part({**fixed, **some}, states, xs, number)

            cut = segments.Truncated(thawed, judged, segment, of_xs)
            way = cut.one_pass if bptt.additive(spec.loss, batch, width, segment) else cut.two_passes
            return way(trained, states, batch)

        def whole(params: Params, xs: Array) -> Array:
            _, outputs = segments.checkpointed(part, params, states, xs, segment)
            return judged(outputs, {**batch, "xs": xs})

        return _value_and_gradients(whole, *parted(params), xs, of_xs)

    def gradients(params: Params, initial: States, batch: Batch) -> tuple[Array, Params, Array]:
        if spec.bptt != "full":
            return segmented(params, initial, batch, lambda _: None, of_xs=True)
        return _value_and_gradients(
            lambda params, xs: loss(params, xs, initial, batch), *parted(params), batch["xs"], of_xs=True
        )

    def keep(params: Params, initial: States, batch: Batch) -> Pullback:
        trained, fixed = parted(params)
        value, pullback = jax.vjp(lambda some, xs: loss({**fixed, **some}, xs, initial, batch), trained, batch["xs"])
        return jax.tree_util.Partial(lambda pullback, one: pullback(one), pullback, jnp.ones_like(value))

    def pull(pullback: Pullback) -> tuple[Params, Array]:
        return pullback()

    def start(params: dict[str, Array]) -> Training:
        return Training(params, update.init(parted(params)[0]), jnp.zeros((), jnp.int32))

    def part_gradient(params: Params, initial: States, batch: Batch, steps: Array, part: Array) -> tuple[Array, Params]:
        """(loss, gradient of each parameter) of one micro-batch, with dropout."""

        def drops(number: Array) -> Dropout | None:
            return dropout(model.dropout, spec.seed, steps, number, part) if model.dropout else None

        if spec.bptt == "full":
            trained, fixed = parted(params)
            return jax.value_and_grad(lambda some: loss({**fixed, **some}, batch["xs"], initial, batch, drops(0)))(
                trained
            )
        return segmented(params, initial, batch, drops, of_xs=False)[:2]

    def train(training: Training, initial: States, batch: Batch) -> tuple[Training, Array]:
        params, memory, steps = training
        masks = weight_drop.masks(model, params, spec.seed, steps)
        thinned = weight_drop.masked(params, masks)

        def gradient_of(part: Batch, number: Array) -> tuple[Array, Params]:
            return part_gradient(thinned, initial, part, steps, number)

        if spec.micro_batches == 1:
            value, gradient = gradient_of(batch, 0)
        else:
            weighing = micro_batches.required(spec.loss, batch, width)
            value, gradient = accumulated(gradient_of, batch, spec.micro_batches, weighing)
        trained, fixed = parted(params)
        change, memory = update.update(weight_drop.masked(gradient, masks), memory, trained)
        moved = cast("Mapping[str, Array]", optax.apply_updates(trained, change))
        return Training({**fixed, **moved}, memory, steps + 1), value

    def evaluate(params: Params, initial: States, batch: Batch) -> Mapping[str, Array]:
        outputs = begin(params, initial, batch["xs"])[1]
        asked = {"loss": spec.loss, "metric": spec.metric}
        return {name: ask(ops, outputs, batch) for name, ask in asked.items() if ask is not None}

    def growth(params: Params, initial: States, xs: Array, cotangent: Array) -> Array:
        return growth_factors(model, params, batched(initial, xs.shape[1], jnp.broadcast_to), xs, cotangent)

    return Functions(
        begin=jax.jit(begin),
        resume=jax.jit(resume),
        gradients=jax.jit(gradients),
        keep=jax.jit(keep),
        pull=jax.jit(pull),
        start=jax.jit(start),
        train=jax.jit(train, donate_argnums=0),
        evaluate=jax.jit(evaluate),
        growth=jax.jit(growth),
        jacobians=jax.jit(partial(jacobians, model)),
    )


Dropout = Callable[[Array], Array]
Drops = Callable[[Array], Dropout | None]
"""The dropout of the segment of a number."""
Pullback = Callable[[], tuple[Params, Array]]
"""The vector-Jacobian product at 1, a pytree of the arrays it keeps."""


def _value_and_gradients(
    loss: Callable[[Params, Array], Array], trained: Params, fixed: Params, xs: Array, of_xs: bool
) -> tuple[Array, Params, Array]:
    """(loss, gradient of each parameter that is trained, gradient of xs; None where it is not wanted)."""
    import jax

    value, found = jax.value_and_grad(lambda some, xs: loss({**fixed, **some}, xs), (0, 1) if of_xs else (0,))(
        trained, xs
    )
    return value, found[0], found[1] if of_xs else None


def dropout(rate: float, seed: int, step: Array, segment: Array = 0, part: Array = 0) -> Dropout:
    """Zero each feature with probability `rate` and scale the others by 1/(1−rate) (Srivastava et al. 2014).

    The masks depend on the seed, the training step, the numbers of segment and micro-batch, and how many layers were
    dropped before.
    """
    import jax
    import jax.numpy as jnp

    key = jax.random.key(seed)
    for number in (step, segment, part):
        key = jax.random.fold_in(key, number)
    layer = 0

    def drop(ys: Array) -> Array:
        nonlocal layer
        kept = jax.random.bernoulli(jax.random.fold_in(key, layer), jnp.float32(1 - rate), ys.shape)
        layer += 1
        return jnp.where(kept, ys / (1 - rate), 0)

    return drop
