"""Classes of torch as people write them, good ones and such as cannot be a recurrent cell."""

from __future__ import annotations

import torch
from torch import nn


class Leaky(nn.Module):
    """A cell with an option, a buffer and a constant that is not trained: (x, h) -> h."""

    scale: torch.Tensor

    def __init__(self, input_size: int, hidden_size: int, alpha: float = 0.5):
        super().__init__()
        self.wx, self.wh = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size, bias=False)
        self.alpha = alpha
        self.register_buffer("scale", torch.full((hidden_size,), 0.5))
        self.shift = nn.Parameter(torch.ones(hidden_size), requires_grad=False)

    def forward(self, x, h):
        return self.alpha * h + (1 - self.alpha) * torch.tanh(self.wx(x) + self.wh(h)) * self.scale + 0 * self.shift


class StateFirst(nn.Module):
    """(h, x) -> (y, h), H before D."""

    def __init__(self, units: int, inputs: int):
        super().__init__()
        self.inner = nn.GRUCell(inputs, units)

    def forward(self, h, x):
        h = self.inner(x, h)
        return 2 * h, h


class Spread(nn.Module):
    """(x, h, c) -> (y, h, c), and a first state of ones."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.LSTMCell(input_size, hidden_size)

    def init_hidden(self, batch_size):
        return tuple(torch.ones(batch_size, self.inner.hidden_size) for _ in range(2))

    def forward(self, x, h, c):
        h, c = self.inner(x, (h, c))
        return h, h, c


class BatchFirst(nn.Module):
    """A layer, batch first, that takes and gives a state."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.gru = nn.GRU(input_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h=None):
        y, h = self.gru(x, h)
        return self.out(y), h


class NoState(nn.Module):
    """A layer that gives outputs alone."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.gru = nn.GRU(input_size, hidden_size)

    def forward(self, x):
        return self.gru(x)[0]


class Dropped(nn.Module):
    """Draws random numbers while it is trained."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner, self.drop = nn.GRUCell(input_size, hidden_size), nn.Dropout(0.5)

    def forward(self, x, h):
        return self.drop(self.inner(x, h))


class Noisy(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return self.inner(x, h) + 0.1 * torch.randn_like(h)


class Bidirectional(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.gru, self.out = nn.GRU(input_size, 4, bidirectional=True), nn.Linear(8, hidden_size)

    def forward(self, x):
        return self.out(self.gru(x)[0])


class OneSize(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, x, h):
        return self.linear(x + h)


class LearnedStart(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner, self.first = nn.GRUCell(input_size, hidden_size), nn.Parameter(torch.ones(hidden_size))

    def forward(self, x, h=None):
        return self.inner(x, self.first.expand(len(x), -1) if h is None else h)


class Memoryless(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x):
        return self.linear(x)


class LastOutput(NoState):
    def forward(self, x):
        return super().forward(x)[-1]


class NeedsMore(nn.Module):
    def __init__(self, input_size: int, hidden_size: int, heads: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)


class NoModule:
    """Of no library."""


class Detached(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return self.inner(x, h).detach()


class Remembers(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner, self.calls = nn.GRUCell(input_size, hidden_size), 0

    def forward(self, x, h):
        self.calls += 1
        return self.inner(x, h) + 0.1 * self.calls


class AddsItsInput(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return x + self.inner(x, h)


class EqualSizes(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        if input_size != hidden_size:
            raise ValueError("sizes differ")
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return x + self.inner(x, h)


class OtherState(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        h = self.inner(x, h)
        return h, h[:, :1]


class MixedRows(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        h = self.inner(x, h)
        return h - h.mean(0)


class HalfDetached(nn.Module):
    """Brought, for it has a gradient; and found wrong, for it is not that of its outputs."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return 2 * self.inner(x, h.detach())


class Renamed(nn.Module):
    """A GRU under other names: verified against the portable one."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, h):
        return self.inner(x, h)


class StoppedGru(Renamed):
    """Forward it is a GRU; its gradient does not go back beyond a step."""

    def forward(self, x, h):
        return self.inner(x, h.detach())


class RemembersItsState(nn.Module):
    """Takes no state: it keeps its own."""

    h: torch.Tensor | None = None

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x):
        self.h = self.inner(x, self.h)
        return self.h


class WritesInPlace(Renamed):
    def forward(self, x, h):
        return h.copy_(self.inner(x, h))


class CountsSteps(nn.Module):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size)

    def forward(self, x, state=None):
        h, n = state or (None, torch.zeros(len(x), dtype=torch.int64))
        h = self.inner(x, h) / (1 + n[:, None])
        return h, (h, n + 1)
