"""Gradients of a sequence cut into segments (see `rnnbench.model.bptt`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rnnbench import Batch, States, bptt, tree_map

if TYPE_CHECKING:
    import torch

Mask = Callable[["torch.Tensor"], "torch.Tensor"]
RunSegment = Callable[["torch.Tensor", States, "Mask | None"], tuple[States, "torch.Tensor"]]
"""run(xs, states, dropout) -> (final states, outputs): the model over a segment."""
Loss = Callable[["torch.Tensor", Batch], "torch.Tensor"]
"""loss(outputs, batch) -> scalar."""
Masks = Callable[[], "Mask | None"]
"""A dropout that starts over: the same masks, in the same order, every time it is asked for."""


def checkpointed(
    run: RunSegment, xs: torch.Tensor, states: States, segment: int, masks: Sequence[Masks]
) -> tuple[States, torch.Tensor]:
    """`run` over all of xs_TBD, differentiable, keeping no more than the states between segments and the outputs.

    One `split` has one backward; a slice has one per segment, each as long as the sequence.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    outputs = []
    for xs_part, mask in zip(xs.split(segment), masks, strict=True):

        def part(xs: torch.Tensor, states: States, mask: Masks = mask) -> tuple[States, torch.Tensor]:
            return run(xs, states, mask())

        states, ys = checkpoint(part, xs_part, states, use_reentrant=False, preserve_rng_state=False)  # type: ignore[misc]
        outputs.append(ys)
    return states, torch.cat(outputs)


class Truncated:
    """Truncated gradients of one batch with respect to `params` and, where it requires one, batch["xs"].

    Gradients add up in place, so that there are never more than two of each.
    """

    def __init__(self, run: RunSegment, loss: Loss, params: Sequence[torch.Tensor], segment: int) -> None:
        self._run = run
        self._loss = loss
        self._params = params
        self._segment = segment

    def one_pass(
        self, batch: Batch, states: States, masks: Sequence[Masks]
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """(loss, gradients, gradient of xs in a list) of an additive loss: each segment runs once and is let go."""
        import torch

        T = batch["xs"].shape[0]
        total, xs_gradients = None, []
        gradients = [torch.zeros_like(param) for param in self._params]
        for span, mask in zip(bptt.spans(T, self._segment), masks, strict=True):
            part = self._part(batch, span)
            final, outputs = self._run(part["xs"], states, mask())
            value = self._loss(outputs, part) * ((span.stop - span.start) / T)
            xs_gradients += self._pull([value], None, part["xs"], gradients)
            total = value.detach() if total is None else total + value.detach()
            states = _detached(final)
        assert total is not None
        return total, gradients, _joined(xs_gradients)

    def two_passes(
        self, batch: Batch, states: States, masks: Sequence[Masks]
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """The same for any loss: it sees all outputs first; segments it depends on are then run again for it.

        What the loss draws from xs directly is no business of the segments, and is added to the gradients of xs.
        """
        import torch

        cuts = bptt.spans(batch["xs"].shape[0], self._segment)
        starts, outputs = self._forward(batch["xs"], states, cuts, masks)
        xs = batch["xs"].detach().requires_grad_(batch["xs"].requires_grad)
        value = self._loss(outputs, {**batch, "xs": xs})
        wanted = [outputs, xs] if xs.requires_grad else [outputs]
        cotangent, *direct = torch.autograd.grad(value, wanted, materialize_grads=True)
        pieces = cotangent.split(self._segment)
        counts = torch.stack([torch.count_nonzero(one) for one in pieces]).tolist()  # one wait, not one per segment
        gradients = [torch.zeros_like(param) for param in self._params]
        xs_gradients = list(direct[0].split(self._segment)) if direct else []
        for index, count in enumerate(counts):
            if count:
                part = self._part(batch, cuts[index])
                _, again = self._run(part["xs"], starts[index], masks[index]())
                for found in self._pull([again], [pieces[index]], part["xs"], gradients):
                    xs_gradients[index] = xs_gradients[index] + found
        return value.detach(), gradients, _joined(xs_gradients)

    def _forward(
        self, xs: torch.Tensor, states: States, cuts: Sequence[slice], masks: Sequence[Masks]
    ) -> tuple[list[States], torch.Tensor]:
        """(states at the start of each segment, outputs of all, which require a gradient)."""
        import torch

        starts, outputs = [], []
        with torch.no_grad():
            for span, mask in zip(cuts, masks, strict=True):
                starts.append(states)
                states, ys = self._run(xs[span], states, mask())
                outputs.append(ys)
            return starts, torch.cat(outputs).requires_grad_()

    def _part(self, batch: Batch, span: slice) -> dict[str, Any]:
        part = bptt.piece(batch, span)
        return {**part, "xs": part["xs"].detach().requires_grad_(batch["xs"].requires_grad)}

    def _pull(
        self,
        roots: list[torch.Tensor],
        cotangents: list[torch.Tensor] | None,
        xs: torch.Tensor,
        gradients: list[torch.Tensor],
    ) -> list[torch.Tensor]:
        """Add the gradients of the parameters to `gradients`; return that of xs, if it is wanted."""
        import torch

        inputs = [*self._params, xs] if xs.requires_grad else list(self._params)
        found = torch.autograd.grad(roots, inputs, cotangents, materialize_grads=True)
        for total, more in zip(gradients, found[: len(gradients)], strict=True):
            total += more
        return list(found[len(gradients) :])


def _detached(states: States) -> States:
    return tuple(tree_map(lambda leaf: leaf.detach(), state) for state in states)


def _joined(segments: list[torch.Tensor]) -> list[torch.Tensor]:
    """One tensor over all steps, or none where there are no segments."""
    import torch

    return [torch.cat(segments)] if segments else []
