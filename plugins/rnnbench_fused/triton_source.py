"""A plan as two Triton kernels: the loop over time of the forward and of the backward pass.

One program takes a block of rows of the batch through all its steps. What is done for all steps at once (the `inputs`
stages and the gradients of matrices) is left to the framework, whose products are as good as any. A matrix that fits is
loaded once, before the first step; of a larger one, blocks are loaded at every step. Values that a product or a sum
over a row is made of go through memory, with a barrier of the program's threads before they are read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnbench_fused import graph
from rnnbench_fused.graph import Node
from rnnbench_fused.plan import Plan, Target
from rnnbench_fused.stage import INFIX, Name, Shape, StageWriter, Widths, matrix_shapes

ROWS = 16
"""Rows of a block: what a product of tensor cores has at least."""
WIDE = 64
"""Columns of a block at most."""
RESIDENT = 64 * 64
"""Numbers of a matrix that stays in registers for all steps."""

PRELUDE = """import triton
import triton.language as tl

@triton.jit
def plus(a, b):
    return a + b

@triton.jit
def larger(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)

@triton.jit
def smaller(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)

@triton.jit
def log1p(x):  # Goldberg 1991, theorem 4
    u = 1.0 + x
    return tl.where((u == 1.0) | (u == float("inf")), x, tl.log(u) * x / tl.where(u == 1.0, 1.0, u - 1.0))

@triton.jit
def expm1(x):  # Kahan, in Higham 2002, algorithm 1.14.1
    u = tl.exp(x)
    far = (x > 40.0) | (x < -40.0)
    return tl.where(far, u - 1.0, tl.where(u == 1.0, x, (u - 1.0) * x / tl.log(tl.where(far | (u == 1.0), 2.0, u))))

@triton.jit
def tanh(x):
    e = expm1(-2.0 * tl.abs(x))
    size = -e / (2.0 + e)
    return tl.where(x < 0.0, -size, size)

@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))

@triton.jit
def softplus(x):
    return tl.where(x < 0.0, 0.0, x) + log1p(tl.exp(-tl.abs(x)))

@triton.jit
def relu(x):
    return tl.where(x < 0.0, 0.0, x)

@triton.jit
def sign(x):
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, x))
"""

CALLS = {name: name for name in ("log1p", "expm1", "tanh", "sigmoid", "softplus", "relu", "sign")}
CALLS |= {name: f"tl.{name}" for name in ("exp", "log", "sin", "cos", "abs", "where")}
CALLS |= {"max": "larger", "min": "smaller", "sqrt": "tl.sqrt"}


@dataclass(frozen=True)
class TritonStage:
    """One kernel: `name(T, B, *arrays)` on ceil(B / ROWS) programs.

    arrays: what its pointers are, in order. temporaries: of these, (B, width) that it needs for itself.
    """

    name: str
    arrays: Sequence[Name]
    temporaries: Mapping[Name, int]


@dataclass(frozen=True)
class TritonSource:
    """Both kernels as text.

    alike: of the backward pass, arrays that nothing writes because another one, or a leaf, holds the same.
    """

    text: str
    forward: TritonStage
    backward: TritonStage
    alike: Mapping[Name, Name]


def triton_source(plan: Plan, double: bool) -> TritonSource:
    """The kernels of a plan in float32 or float64."""
    step = [*plan.step, *(Target(node, ("kept", m)) for m, node in enumerate(plan.kept))]
    homes: dict[Node, Name] = {}
    alike: dict[Name, Name] = {}
    back: list[Target] = []
    for target in plan.step_back.targets:
        node, name = target.node, target.name
        if name[0] != "dstate" and (node.op == "leaf" or node in homes):
            alike[name] = homes.get(node) or node.value  # type: ignore[assignment]
            continue
        if name[0] != "dstate":
            homes[node] = name
        back.append(Target(node, name))
    shapes = matrix_shapes(plan.trace)
    forward = _TritonWriter("forward", step, shapes, _forward_row, "s")
    backward = _TritonWriter("backward", back, shapes, _backward_row, "T - 1 - s")
    texts = [each.text() for each in (forward, backward)]
    real = f"REAL = tl.constexpr(tl.float{64 if double else 32})\n"
    text = "\n".join([PRELUDE, real, *texts])
    return TritonSource(text, forward.stage(), backward.stage(), alike)


def _forward_row(name: Name) -> tuple[Name, str]:
    """The array that a value lies in, and its row there."""
    kind = name[0]
    if kind == "state":
        return ("states", name[1]), "(t * B + rows)"
    if kind == "after":
        return ("states", name[1]), "((t + 1) * B + rows)"
    return name, "rows" if kind == "temporary" else "(t * B + rows)"


def _backward_row(name: Name) -> tuple[Name, str]:
    """The same; cotangents of states take turns in two arrays (B, width)."""
    kind = name[0]
    if kind == "dafter":
        return ("dstates", name[1]), "((t + 1) % 2 * B + rows)"
    if kind == "dstate":
        return ("dstates", name[1]), "(t % 2 * B + rows)"
    return _forward_row(name)


@dataclass(frozen=True)
class _Tile:
    """Of a product: the matrix, columns that go in (K) and come out (N) per head, and how many are taken at once."""

    number: int
    transposed: bool
    K: int
    N: int
    most: int = 1 << 30

    @property
    def deep(self) -> int:
        return min(_block(self.K), self.most)

    @property
    def wide(self) -> int:
        return min(_block(self.N), self.most)

    def bounded(self) -> _Tile:
        """In blocks."""
        return replace(self, most=WIDE)


class _TritonWriter(StageWriter):
    """Phases are those of the C kernels; the text is Triton's."""

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        shapes: Sequence[Shape],
        row: Callable[[Name], tuple[Name, str]],
        step: str,
    ) -> None:
        super().__init__(name, targets, lambda _: True, Widths(), shapes)
        self._row_of, self._step = row, step
        self._pointers: dict[Name, None] = {}
        self._resident: list[str] = []
        self._numbers = itertools.count()

    def fresh(self, letter: str) -> str:
        """A variable that is nowhere else: Triton takes one that comes again inside a loop for carried through it."""
        return f"{letter}{next(self._numbers)}"

    def text(self) -> str:
        """The kernel."""
        self._find_phases()
        body = self._phases_text()
        pointers = ", ".join(map(variable, self._pointers))
        return "\n".join(
            [
                "@triton.jit",
                f"def {self._name}(T, B, {pointers}):",
                f"    rows = (tl.program_id(0) * {ROWS} + tl.arange(0, {ROWS})).to(tl.int64)[:, None]",
                "    row = rows < B",
                *(f"    {line}" for line in self._resident),
                "    for s in range(0, T):",
                f"        t = {self._step}",
                *(f"        {line}" for line in body or ["pass"]),
                "        tl.debug_barrier()",
                "",
            ]
        )

    def stage(self) -> TritonStage:
        """What has to be handed over."""
        return TritonStage(self._name, list(self._pointers), dict(self._temporaries))

    def at(self, name: Name, width: int, start: int | str, columns: str) -> str:
        """Pointers to columns of a block's rows."""
        array, row = (name, "") if name[0] == "constant" else self._row_of(name)
        self._pointers[array] = None
        return f"{variable(array)} + {f'{row} * {width} + ' if row else ''}{start} + {columns}"

    def _phases_text(self) -> list[str]:
        lines: list[str] = []
        for number in sorted(self._phases):
            phase = self._phases[number]
            groups = self._groups(phase)
            if lines and (phase.products or groups):
                lines.append("tl.debug_barrier()")
            for node in phase.products:
                lines += self._product_text(node)
            if phase.products and groups:
                lines.append("tl.debug_barrier()")
            for width, (stores, reductions) in groups.items():
                loop = _Columns(self, number, width)
                for node, name, start, _ in stores:
                    loop.store(node, name, start)
                for node in reductions:
                    loop.reduce(node)
                lines += loop.text()
        return lines

    def _product_text(self, node: Node) -> list[str]:
        [a] = node.args
        number, transposed = node.value  # type: ignore[misc]
        heads = self._shapes[number][0]
        source: Name = a.value if a.op == "leaf" else self._home(a)  # type: ignore[assignment]
        tile = _Tile(number, transposed, a.width // heads, node.width // heads)
        total = self.fresh("p")
        if heads == 1 and tile.K * tile.N <= RESIDENT:
            name = f"w_{number}_{int(transposed)}"
            if f"{name} = " not in "".join(self._resident):
                self._resident.append(f"{name} = {self._weights(tile, '0', '0', '0')}")
            left = self._left(source, a.width, tile, "0", "0")
            return [
                f"{total} = tl.dot({left}, {name}, input_precision='ieee', out_dtype=REAL)",
                self._written_to(node, total, tile, "0", "0"),
            ]
        tile = tile.bounded()
        lines = [
            f"for j in range(0, {tile.N}, {tile.wide}):",
            f"    {total} = tl.full(({ROWS}, {tile.wide}), 0.0, REAL)",
            f"    for k in range(0, {tile.K}, {tile.deep}):",
            f"        left = {self._left(source, a.width, tile, 'k', 'head')}",
            f"        right = {self._weights(tile, 'k', 'j', 'head')}",
            f"        {total} = tl.dot(left, right, {total}, input_precision='ieee', out_dtype=REAL)",
            f"    {self._written_to(node, total, tile, 'j', 'head')}",
        ]
        return [f"for head in range(0, {heads}):", *(f"    {line}" for line in lines)]

    def _left(self, name: Name, width: int, tile: _Tile, k: str, head: str) -> str:
        ks = f"({k} + tl.arange(0, {tile.deep}))[None, :]"
        at = self.at(name, self._width_of(name, width), f"{head} * {tile.K}", ks)
        return f"tl.load({at}, mask=row & ({ks} < {tile.K}), other=0.0)"

    def _weights(self, tile: _Tile, k: str, j: str, head: str) -> str:
        """Rows k and columns j of M, or of its transpose, whose rows are as long as those of M."""
        ks, js = f"({k} + tl.arange(0, {tile.deep}))[:, None]", f"({j} + tl.arange(0, {tile.wide}))[None, :]"
        array = ("matrix", tile.number)
        self._pointers[array] = None
        long = self._shapes[tile.number][2]
        at = f"{head} * {tile.K * tile.N} + " + (
            f"{js} * {long} + {ks}" if tile.transposed else f"{ks} * {long} + {js}"
        )
        return f"tl.load({variable(array)} + {at}, mask=({ks} < {tile.K}) & ({js} < {tile.N}), other=0.0)"

    def _written_to(self, node: Node, total: str, tile: _Tile, j: str, head: str) -> str:
        js = f"({j} + tl.arange(0, {tile.wide}))[None, :]"
        home = self._home(node)
        at = self.at(home, self._width_of(home, node.width), f"{head} * {tile.N}", js)
        return f"tl.store({at}, {total}, mask=row & ({js} < {tile.N}))"

    def _width_of(self, name: Name, width: int) -> int:
        """Of an array that a value of that width lies in from its beginning."""
        for target in self._targets:
            if target.name == name:
                return target.node.width
        return self._temporaries.get(name, width)

    def home(self, node: Node) -> Name:
        """Where a product or a sum over a row is."""
        return self._home(node)


class _Columns:
    """One loop over blocks of columns. Numbers of a row, (ROWS, 1), are worked out before it."""

    def __init__(self, writer: _TritonWriter, phase: int, width: int) -> None:
        self._writer, self._phase, self._width = writer, phase, width
        self._block = min(_block(width), WIDE) if width > 1 else 1
        self._rows: list[str] = []
        self._columns: list[str] = []
        self._after: list[str] = []
        self._known: dict[Node, str] = {}

    def store(self, node: Node, name: Name, start: int) -> None:
        value = self._value(node)
        to = self._writer.at(name, self._writer.total_width(name, node), start, self._index(node.width))
        line = f"tl.store({to}, {value}, mask={self._inside(node.width)})"
        (self._columns if self._width > 1 else self._rows).append(line)

    def reduce(self, node: Node) -> None:
        [a] = node.args
        value, total = self._value(a), self._writer.fresh("r")
        none, join = ("0.0", "plus") if node.op == "sum" else ("float('-inf')", "larger")
        self._rows.append(f"{total} = tl.full(({ROWS}, 1), {none}, REAL)")
        block = f"tl.where(inside, {value}, tl.full((1, 1), {none}, REAL))"
        self._columns.append(f"{total} = {join}({total}, tl.reduce({block}, 1, {join})[:, None])")
        self._after.append(f"tl.store({self._writer.at(self._writer.home(node), 1, 0, '0')}, {total}, mask=row)")

    def text(self) -> list[str]:
        if self._width == 1:
            return [*self._rows, *self._after]
        return [
            *self._rows,
            f"for j in range(0, {self._width}, {self._block}):",
            f"    columns = (j + tl.arange(0, {self._block}))[None, :]",
            f"    inside = row & (columns < {self._width})",
            *(f"    {line}" for line in self._columns),
            *self._after,
        ]

    @staticmethod
    def _index(width: int) -> str:
        return "columns" if width > 1 else "0"

    @staticmethod
    def _inside(width: int) -> str:
        return "inside" if width > 1 else "row"

    def _value(self, node: Node) -> str:
        if node not in self._known:
            line = self._expression(node)
            self._known[node] = self._writer.fresh("v")
            lines = self._columns if node.width > 1 else self._rows
            lines.append(f"{self._known[node]} = {line}")
        return self._known[node]

    def _expression(self, node: Node) -> str:
        if node.op == "literal":
            return f"tl.full((1, 1), {_number(graph.number_of(node))}, REAL)"
        source, start = (node.args[0], node.value) if node.op == "slice" else (node, 0)
        assert isinstance(start, int)
        array = self._writer.owner(source, self._phase)
        if array is not None:
            width = self._writer.total_width(array, source)
            at = self._writer.at(array, width, start, self._index(node.width))
            if array[0] == "constant":  # the same in all rows
                mask = f", mask=columns < {self._width}, other=0.0" if node.width > 1 else ""
                return f"tl.load({at}{mask})"
            return f"tl.load({at}, mask={self._inside(node.width)}, other=0.0)"
        if node.op == "power":
            return _power(self._value(node.args[0]), graph.number_of(node.args[1]))
        args = [self._value(arg) for arg in node.args]
        if node.op == "expand":
            return args[0]
        if node.op == "neg":
            return f"-{args[0]}"
        if node.op == "not":
            return f"{args[0]} == 0"
        if node.op in INFIX:
            return f"{args[0]} {INFIX[node.op]} {args[1]}"
        return f"{CALLS[node.op]}({', '.join(args)})"


def _power(x: str, c: float | None) -> str:
    """x**c by |x|**c; a negative number has integer powers alone."""
    assert c is not None
    exponent = f"tl.full((1, 1), {c!r}, REAL)"
    if not float(c).is_integer():
        return f"tl.exp({exponent} * tl.log({x}))"
    size = f"tl.exp({exponent} * tl.log(tl.abs({x})))"
    return f"tl.where({x} < 0.0, -{size}, {size})" if c % 2 else size


def _number(value: float | None) -> str:
    return f"float('{value}')" if value in (float("inf"), float("-inf")) or value != value else repr(value)


def _block(size: int) -> int:
    """The power of two that holds it, 16 at least."""
    return max(16, 1 << (size - 1).bit_length())


def variable(name: Name) -> str:
    """A name as Triton's."""
    return "_".join(map(str, name))
