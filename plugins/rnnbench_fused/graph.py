"""The expression that a kernel computes at one time step, for one row of a batch.

A `Node` stands for a vector of `width` numbers per row; one of width 1 is a number that is repeated as needed. Nodes
are made by the functions of this module, which keep three things true:

- equal expressions are one node, so that work is shared and two arrays that hold the same are one array;
- a slice reaches through pointwise operations to what they act on, so that the four gates of an LSTM become four
  expressions of one width, to be computed in one loop;
- a concatenation moves out of pointwise operations, so that it stands only at the top of an expression, where it
  becomes a matter of where results are stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
LOGICAL = (*COMPARISONS, "and", "or", "not")
"""Pointwise operations whose result is true or false."""

CHEAP = frozenset({"add", "sub", "mul", "neg", "abs", "sign", "max", "min", "where", "expand", "slice", "concat"})
"""Operations that cost no more than a load and a store: computed again rather than kept."""

ROW_WISE = ("matmul", "sum", "peak")
"""Operations that need a whole row of their argument before they give a number. peak: the largest of the row."""


class Node:
    """One value of the expression.

    op: `leaf` (name: what it is), `literal` (value: the number), `slice` (value: where it starts), `matmul` (value:
    number of the matrix and whether it is transposed), `concat`, `sum`, `peak`, `expand`, or a pointwise operation.
    """

    __slots__ = ("__weakref__", "args", "number", "op", "value", "width")
    _numbers = itertools.count()

    def __init__(self, op: str, args: tuple[Node, ...], width: int, value: object) -> None:
        self.op, self.args, self.width, self.value = op, args, width, value
        self.number = next(Node._numbers)

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.args)) if self.args else repr(self.value)
        return f"{self.op}[{self.width}]({inside})"

    @property
    def logical(self) -> bool:
        """Whether it is true or false rather than a number."""
        if self.op in ("expand", "slice", "concat"):
            return self.args[0].logical
        return self.op in LOGICAL


_known: WeakValueDictionary[tuple[object, ...], Node] = WeakValueDictionary()


def _node(op: str, args: tuple[Node, ...], width: int, value: object = None) -> Node:
    key = (op, tuple(id(arg) for arg in args), width, value)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Node(op, args, width, value)
    return found


def leaf(width: int, *name: object) -> Node:
    """An input of the expression."""
    return _node("leaf", (), width, name)


def literal(value: float) -> Node:
    """A number."""
    return _node("literal", (), 1, float(value).hex())


def number_of(node: Node) -> float | None:
    """The number that a literal is, None for any other node."""
    return float.fromhex(str(node.value)) if node.op == "literal" else None


def matmul(a: Node, matrix: int, transposed: bool, width: int) -> Node:
    """a @ M, or a @ M.T, of the matrix of that number; `width` columns come out."""
    return _node("matmul", (a,), width, (matrix, transposed))


def reduce_row(op: str, a: Node) -> Node:
    """The `sum` of a row or its largest number (`peak`)."""
    if a.width == 1:
        return a
    if a.op != "concat":
        return _node(op, (a,), 1)
    parts = [reduce_row(op, part) for part in a.args]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part) if op == "sum" else pointwise("max", total, part)
    return total


def expand(a: Node, width: int) -> Node:
    """A number of each row, repeated."""
    if a.width == width:
        return a
    assert a.width == 1
    return _node("expand", (a,), width)


def slice_of(a: Node, start: int, width: int) -> Node:
    """Entries start, ..., start + width - 1."""
    if width == a.width and start == 0:
        return a
    if a.op == "slice":
        assert isinstance(a.value, int)
        return slice_of(a.args[0], a.value + start, width)
    if a.op == "expand":
        return expand(a.args[0], width)
    if a.op == "concat":
        return concat(_overlap(a.args, start, width))
    if a.op in ("leaf", *ROW_WISE):
        return _node("slice", (a,), width, start)
    return pointwise(a.op, *(arg if arg.width == 1 else slice_of(arg, start, width) for arg in a.args))


def _overlap(parts: Iterable[Node], start: int, width: int) -> list[Node]:
    found, at = [], 0
    for part in parts:
        low, high = max(start, at), min(start + width, at + part.width)
        if low < high:
            found.append(slice_of(part, low - at, high - low))
        at += part.width
    return found


def concat(parts: Sequence[Node]) -> Node:
    """One after the other. Parts of width 1 are single entries."""
    flat = [inner for part in parts for inner in (part.args if part.op == "concat" else (part,)) if inner.width]
    joined: list[Node] = []
    for part in flat:  # neighbours that were cut apart are whole again
        last = joined[-1] if joined else None
        whole = None if last is None else _adjacent(last, part)
        if whole is None:
            joined.append(part)
        else:
            joined[-1] = whole
    if len(joined) == 1:
        return joined[0]
    return _node("concat", tuple(joined), sum(part.width for part in joined))


def _adjacent(one: Node, other: Node) -> Node | None:
    """The single slice that two neighbouring slices of the same value make."""
    if one.op != "slice" or other.op != "slice" or one.args != other.args:
        return None
    assert isinstance(one.value, int)
    if other.value != one.value + one.width:
        return None
    return slice_of(one.args[0], one.value, one.width + other.width)


def pointwise(op: str, *args: Node) -> Node:
    """An elementwise operation; arguments of width 1 are repeated."""
    width = max(arg.width for arg in args)
    if any(arg.width not in (1, width) for arg in args):
        raise ValueError(f"widths {[arg.width for arg in args]} do not go together")
    if any(arg.op == "concat" for arg in args):
        return _distributed(op, args, width)
    # What repeats a number does so by itself.
    narrow = [arg.args[0] if arg.op == "expand" else arg for arg in args]
    if width > 1 and all(arg.width == 1 for arg in narrow):
        return expand(pointwise(op, *narrow), width)
    return _simplified(op, tuple(narrow)) or _node(op, tuple(narrow), width)


def _distributed(op: str, args: Sequence[Node], width: int) -> Node:
    borders = {0, width}
    for arg in args:
        if arg.op == "concat":
            borders |= set(itertools.accumulate(part.width for part in arg.args))
    parts = []
    for start, end in itertools.pairwise(sorted(borders)):
        cut = [arg if arg.width == 1 else slice_of(arg, start, end - start) for arg in args]
        parts.append(expand(pointwise(op, *cut), end - start))
    return concat(parts)


def _simplified(op: str, args: tuple[Node, ...]) -> Node | None:
    """Without what adds nothing: x + 0, 1·x and the like, which the derivative of any expression is full of."""
    numbers = [number_of(arg) for arg in args]
    width = max(arg.width for arg in args)
    if op == "add" and 0.0 in numbers:
        return expand(args[1 - numbers.index(0.0)], width)
    if op == "sub" and numbers[1] == 0.0:
        return expand(args[0], width)
    if op == "mul":
        if 0.0 in numbers:
            return expand(literal(0.0), width)
        if 1.0 in numbers:
            return expand(args[1 - numbers.index(1.0)], width)
        if -1.0 in numbers:
            return neg(args[1 - numbers.index(-1.0)])
    if op == "add" and args[1].op == "neg":
        return pointwise("sub", args[0], args[1].args[0])
    if op == "neg" and args[0].op == "neg":
        return args[0].args[0]
    if op == "neg" and numbers[0] is not None:
        return literal(-numbers[0])
    if op == "where" and args[1] is args[2]:
        return expand(args[1], width)
    if op in ("add", "mul") and args[0].number > args[1].number:
        return pointwise(op, args[1], args[0])  # one order, so that a + b and b + a are one node
    return None


def add(a: Node, b: Node) -> Node:
    """a + b."""
    return pointwise("add", a, b)


def sub(a: Node, b: Node) -> Node:
    """a - b."""
    return pointwise("sub", a, b)


def mul(a: Node, b: Node) -> Node:
    """a · b, elementwise."""
    return pointwise("mul", a, b)


def div(a: Node, b: Node) -> Node:
    """a / b, elementwise."""
    return pointwise("div", a, b)


def neg(a: Node) -> Node:
    """-a."""
    return pointwise("neg", a)


def where(condition: Node, a: Node, b: Node) -> Node:
    """a where the condition holds, else b."""
    return pointwise("where", condition, a, b)


def ordered(targets: Iterable[Node], known: Container[Node] = ()) -> list[Node]:
    """All nodes the targets are made of, arguments before what is made of them; nothing known, nor below it."""
    done: dict[Node, None] = {}
    stack = [(node, False) for node in targets]
    while stack:
        node, ready = stack.pop()
        if node in done or node in known:
            continue
        if ready:
            done[node] = None
        else:
            stack.append((node, True))
            stack += [(arg, False) for arg in node.args]
    return list(done)


def substitute(targets: Sequence[Node], known: Mapping[Node, Node]) -> list[Node]:
    """The targets with nodes replaced by others of the same width."""
    made = dict(known)
    for node in ordered(targets, known):
        made[node] = rebuilt(node, [made[arg] for arg in node.args])
    return [made[target] for target in targets]


def rebuilt(node: Node, args: Sequence[Node]) -> Node:
    """The same operation on other arguments."""
    if not node.args or all(one is other for one, other in zip(node.args, args, strict=True)):
        return node
    special: dict[str, Callable[[], Node]] = {
        "matmul": lambda: _node("matmul", tuple(args), node.width, node.value),
        "sum": lambda: reduce_row("sum", args[0]),
        "peak": lambda: reduce_row("peak", args[0]),
        "expand": lambda: expand(args[0], node.width),
        "slice": lambda: slice_of(args[0], node.value, node.width),  # type: ignore[arg-type]
        "concat": lambda: concat(args),
    }
    return special[node.op]() if node.op in special else pointwise(node.op, *args)
