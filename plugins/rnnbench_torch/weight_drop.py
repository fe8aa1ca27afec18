"""DropConnect on recurrent matrices (see `rnnbench.ProgramSpec`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class WeightDrop:
    """Thins out the matrices `names` of `params`, each entry with probability `rate`.

    The generator is its own, so that no other user of randomness moves its masks.
    """

    def __init__(
        self, params: Mapping[str, torch.Tensor], names: Sequence[str], rate: float, seed: int, device: str
    ) -> None:
        import torch

        self._params = params
        self._names = names if rate else ()
        self._rate = rate
        self._generator = torch.Generator(device).manual_seed(seed)

    @contextmanager
    def drawn(self) -> Iterator[dict[str, torch.Tensor]]:
        """One mask per matrix, of 0 and 1/(1 − rate), in force inside the context; no mask where nothing is dropped.

        The matrices are multiplied where they lie, so that kernels find them laid out as ever (cuDNN's flat buffer),
        and get their numbers back at the end.
        """
        import torch

        whole = {name: self._params[name].detach().clone() for name in self._names}
        masks = {
            name: torch.empty_like(one).bernoulli_(1 - self._rate, generator=self._generator).div_(1 - self._rate)
            for name, one in whole.items()
        }
        with torch.no_grad():
            for name, mask in masks.items():
                self._params[name].mul_(mask)
        try:
            yield masks
        finally:
            with torch.no_grad():
                for name, one in whole.items():
                    self._params[name].copy_(one)
