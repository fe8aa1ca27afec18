"""Where what a program computes is checked, not how fast: `from quick_jax import quick_compilation` in a test file."""

from importlib.util import find_spec

import pytest


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """XLA compiles without most optimisations, in two thirds of the time."""
    if find_spec("jax") is None:
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
