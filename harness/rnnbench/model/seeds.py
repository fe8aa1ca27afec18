"""Seeds are hashes of names, never of position, so adding a row to a suite changes no other row's numbers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def seed_for(*names: object) -> int:
    """A 63-bit seed from the words that name a stream: `seed_for(0, "weights", "lstm")`."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng_for(*names: object) -> np.random.Generator:
    """A NumPy generator seeded by names."""
    import numpy as np

    return np.random.default_rng(seed_for(*names))
