"""Seeds are hashes of names, never of position, so adding a row to a suite changes no other row's numbers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def seed_for(*names: object) -> int:
    """A 63-bit seed from the words that name a stream: `seed_for(0, "weights", "lstm")`.

    Args:
        *names: Anything with a text.

    Returns:
        0 ≤ seed < 2^63, the same for the same names on every machine.

    Example:
        >>> from rnnbench import seed_for
        >>> seed_for(0, "weights", "lstm") == seed_for("0", "weights", "lstm") != seed_for(1, "weights", "lstm")
        True
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng_for(*names: object) -> np.random.Generator:
    """A NumPy generator seeded by names.

    Args:
        *names: Anything with a text, see `seed_for`.

    Returns:
        A generator at the beginning of its stream.

    Example:
        >>> from rnnbench import rng_for
        >>> rng_for(0, "inputs").normal() == rng_for(0, "inputs").normal()
        True
    """
    import numpy as np

    return np.random.default_rng(seed_for(*names))
