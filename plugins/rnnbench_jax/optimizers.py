"""`rnnbench.Optimizer` in optax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rnnbench import Optimizer, UsageError, nearest

if TYPE_CHECKING:
    import optax


def transformation(optimizer: Optimizer) -> optax.GradientTransformation:
    """The update of `optimizer`, formula by formula as in its docstring.

    Clipping acts on the gradient of the loss; L2 is added to what is left of it, so the decay is never clipped. adamw
    brings its own decay, p -= lr·weight_decay·p. Raises UsageError for a name that is not in OPTIMIZERS.
    """
    import optax

    build = _BUILDERS.get(optimizer.name)
    if build is None:
        allowed = ", ".join(_BUILDERS)
        raise UsageError(f"no optimizer {optimizer.name!r}; choose {allowed}.{nearest(optimizer.name, _BUILDERS)}")
    parts = [build(optimizer)]
    if optimizer.weight_decay and optimizer.name != "adamw":
        parts.insert(0, optax.add_decayed_weights(optimizer.weight_decay))
    if optimizer.clip is not None:
        parts.insert(0, optax.clip_by_global_norm(optimizer.clip))
    return _in_float32(optax.chain(*parts))


def _in_float32(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Parameters of half precision are updated in float32, and so is what the optimiser remembers.

    Squares of gradients and eps = 1e-8 are zero in float16: adam would divide by them.
    """
    import jax
    import jax.numpy as jnp
    import optax

    def wide(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)), tree)

    def init(params: Any) -> Any:
        return inner.init(wide(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return inner.update(wide(updates), state, None if params is None else wide(params))

    return optax.GradientTransformation(init, update)


def _rate(optimizer: Optimizer) -> float | optax.Schedule:
    """The learning rate as optax takes it: a number, or a function of the step, which looks it up in the table."""
    rates = optimizer.rates()
    if len(rates) == 1:
        return rates[0]

    def rate(step: Any) -> Any:
        import jax.numpy as jnp

        return jnp.asarray(rates)[jnp.minimum(step, len(rates) - 1)]  # as wide as the numbers of the program

    return rate


def _sgd(optimizer: Optimizer) -> optax.GradientTransformation:
    import optax

    return optax.sgd(_rate(optimizer))


def _momentum(optimizer: Optimizer) -> optax.GradientTransformation:
    import optax

    return optax.sgd(_rate(optimizer), momentum=optimizer.momentum)


def _rmsprop(optimizer: Optimizer) -> optax.GradientTransformation:
    """optax's own defaults, decay 0.9 and eps inside the root, are not torch's."""
    import optax

    return optax.rmsprop(_rate(optimizer), decay=0.99, eps=1e-8, eps_in_sqrt=False)


def _adam(optimizer: Optimizer) -> optax.GradientTransformation:
    import optax

    return optax.adam(_rate(optimizer), b1=0.9, b2=0.999, eps=1e-8)


def _adamw(optimizer: Optimizer) -> optax.GradientTransformation:
    import optax

    return optax.adamw(_rate(optimizer), b1=0.9, b2=0.999, eps=1e-8, weight_decay=optimizer.weight_decay)


_BUILDERS: Mapping[str, Callable[[Optimizer], optax.GradientTransformation]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
}
