"""NumPy, imported when it is first used.

Tasks are declared whenever names are listed, and drawn from only where something runs: `rnnbench list` need not wait
for an import that takes longer than all the rest of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
else:

    class _LazyNumpy:
        def __getattr__(self, name: str) -> Any:
            import numpy

            found = getattr(numpy, name)
            setattr(self, name, found)  # so that this is asked once
            return found

    np = _LazyNumpy()

__all__ = ["np"]
