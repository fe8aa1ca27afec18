"""One stage as a C function: products of matrices, and between them loops over rows and columns.

A stage falls into phases. What a product, or a sum over a row, is made of has to be complete before it begins, so every
one of them opens a new phase. All pointwise operations of a phase with one width are one loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rnnbench_fused import graph
from rnnbench_fused.graph import CHEAP, ROW_WISE, Node
from rnnbench_fused.plan import Target
from rnnbench_fused.trace import Trace

Name = tuple[object, ...]
Shape = tuple[int, int, int]
"""Of a matrix: heads, rows and columns of each. One head where all columns go into a product together."""

CALLS = {
    "exp": "vexp",
    "log": "vlog",
    "log1p": "vlog1p",
    "expm1": "vexpm1",
    "tanh": "vtanh",
    "sigmoid": "vsigmoid",
    "softplus": "vsoftplus",
    "relu": "vrelu",
    "sqrt": "vsqrt",
    "sin": "vsin",
    "cos": "vcos",
    "abs": "vabs",
    "sign": "vsign",
    "power": "vpower",
    "max": "vmax",
    "min": "vmin",
    "where": "vwhere",
}
INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
PREFIX = {"neg": "-", "not": "~"}


def matrix_shapes(trace: Trace) -> list[Shape]:
    """Of the matrices of a trace."""
    return [(1, *each.shape) if len(each.shape) == 2 else each.shape for each in trace.matrices]  # type: ignore[misc]


class Widths:
    """The sizes of one trace. The text of a kernel names them by number, so that it is the same at all sizes."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def __call__(self, value: int) -> str:
        """`value` as C."""
        if value in (0, 1):
            return str(value)
        if value not in self.values:
            self.values.append(value)
        return f"n[{self.values.index(value)}]"


@dataclass(frozen=True)
class Place:
    """Where an array is: a variable of C, and the distance between its rows."""

    variable: str
    ld: str
    own: bool
    """An array of the kernel itself, padded, rather than one of the caller."""


@dataclass
class Stage:
    """The text of a stage, and what has to be handed to it."""

    name: str
    text: str
    arguments: Sequence[Name]
    """Arrays in the order of the function's pointers."""
    temporary: str
    """Numbers per row that it needs for itself, as C."""
    matrices: Sequence[tuple[int, bool]]
    """Packed matrices it multiplies with."""


@dataclass
class _Phase:
    products: dict[Node, None] = field(default_factory=dict)
    stores: list[tuple[Node, Name | Node, int, bool]] = field(default_factory=list)
    """(value, array, where in a row, whether it is added up over rows)"""
    reductions: dict[Node, None] = field(default_factory=dict)


class StageWriter:
    """Builds the text of one stage.

    place: where a named array is, in terms of this stage. shapes: of the matrices.
    """

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        is_own: Callable[[Name], bool],
        widths: Widths,
        shapes: Sequence[Shape],
    ) -> None:
        self._name, self._targets, self._is_own, self._w, self._shapes = name, targets, is_own, widths, shapes
        self._phase_of: dict[Node, int] = {}
        self._phases: dict[int, _Phase] = defaultdict(_Phase)
        self._homes: dict[Node, Name] = {}
        """Where a value is once its phase is over."""
        self._temporaries: dict[Name, int] = {}
        self._arguments: dict[Name, int] = {}
        self._arrays: dict[Name, int] = {}
        self._matrices: dict[tuple[int, bool], None] = {}
        self._inline: dict[Node, bool] = {}

    def written(self) -> Stage:
        """The stage."""
        self._find_phases()
        body = self._body()
        head = [f"  real *a{number} = arrays[{number}];" for number in range(len(self._arrays))]
        at = "0"
        for number, width in enumerate(self._temporaries.values()):
            head.append(f"  real *t{number} = temporary + rows * ({at});")
            at += f" + PAD({self._w(width)})"
        text = (
            f"static __attribute__((unused)) void {self._name}(const long *n, Team *team, long rank, long rows,\n"
            f"    real *const *arrays, const real *const *packed, real *temporary) {{\n"
            + "\n".join(
                [
                    "  (void)n, (void)team, (void)rank, (void)rows, (void)arrays, (void)packed, (void)temporary;",
                    *head,
                    *body,
                ]
            )
            + "\n}\n"
        )
        return Stage(self._name, text, list(self._arrays), at, list(self._matrices))

    # What happens in which phase.

    def _find_phases(self) -> None:
        self._number_phases()
        self._place_targets()
        for phase in range(max([0, *self._phase_of.values()]), -1, -1):
            self._gather(phase)

    def _number_phases(self) -> None:
        for node in graph.ordered(target.node for target in self._targets):
            below = max((self._phase_of[arg] for arg in node.args), default=0)
            self._phase_of[node] = below + (node.op in ROW_WISE)

    def _place_targets(self) -> None:
        for target in self._targets:
            if self._is_own(target.name) and not target.summed and target.node.op not in ("leaf", "literal"):
                self._homes.setdefault(target.node, target.name)
        for target in self._targets:
            if target.node.op == "matmul" and self._homes.get(target.node) == target.name:
                self._phases[self._phase_of[target.node]].products[target.node] = None  # written there by the product
                continue
            self._store(target.node, target.name, target.summed)

    def _store(self, node: Node, to: Name, summed: bool = False) -> None:
        start = 0
        for part in node.args if node.op == "concat" else (node,):
            self._phases[self._phase_of[part]].stores.append((part, to, start, summed))
            start += part.width

    def _gather(self, number: int) -> None:
        """Find out what the loops of a phase need, and have earlier phases provide it."""
        phase = self._phases[number]
        seen: set[Node] = set()
        stack = [node for node, *_ in phase.stores]
        for node in [*phase.reductions]:
            stack.append(node.args[0])
        for node in phase.products:
            self._operand(node)
        while stack:
            node = stack.pop()
            if node in seen or not node.args:
                continue
            seen.add(node)
            if node.op in ROW_WISE:
                self._require(node)
            elif node.op == "slice" or self._phase_of[node] == number or self._inlined(node):
                stack += node.args
            else:
                self._materialise(node)

    def _require(self, node: Node) -> None:
        """Have a product or reduction done."""
        if node.op == "matmul":
            if node not in self._phases[self._phase_of[node]].products:
                self._phases[self._phase_of[node]].products[node] = None
                self._operand(node)
        else:
            self._phases[self._phase_of[node] - 1].reductions[node] = None
        self._home(node)

    def _operand(self, product: Node) -> None:
        [a] = product.args
        if a.op == "leaf":
            return
        if a.op == "matmul":
            self._require(a)
        else:
            self._materialise(a)

    def _materialise(self, node: Node) -> None:
        if node not in self._homes:
            self._store(node, self._home(node))

    def _home(self, node: Node) -> Name:
        if node not in self._homes:
            name = ("temporary", len(self._temporaries))
            self._temporaries[name] = node.width
            self._homes[node] = name
        return self._homes[node]

    def _inlined(self, node: Node) -> bool:
        """Whether a value of an earlier phase is computed again rather than kept: where that takes loads alone."""
        if node not in self._inline:
            loads = not node.args or node.op in ROW_WISE
            cheap = node.op in CHEAP or node.logical
            self._inline[node] = loads or (cheap and all(self._inlined(arg) for arg in node.args))
        return self._inline[node]

    # The text.

    def _body(self) -> list[str]:
        lines: list[str] = []
        for number in sorted(self._phases):
            phase = self._phases[number]
            if lines and (phase.products or phase.stores or phase.reductions):
                lines.append("  meet(team);")
            for node in phase.products:
                lines.append(self._product(node))
            groups = self._groups(phase)
            if phase.products and groups:
                lines.append("  meet(team);")
            for width, (stores, reductions) in groups.items():
                lines += self._loop(number, width, stores, reductions)
        return lines

    def _product(self, node: Node) -> str:
        [a] = node.args
        matrix, transposed = node.value  # type: ignore[misc]
        self._matrices[matrix, transposed] = None
        packed = list(self._matrices).index((matrix, transposed))
        source = self._place(a.value if a.op == "leaf" else self._home(a), a.width)  # type: ignore[arg-type]
        to = self._place(self._home(node), node.width)
        heads = self._shapes[matrix][0]
        function, each = ("product", "") if heads == 1 else ("product_heads", f"{self._w(heads)}, ")
        return (
            f"  {function}(team, rank, rows, {each}{self._w(node.width // heads)}, {self._w(a.width // heads)}, "
            f"{source.variable}, {source.ld}, packed[{packed}], {to.variable}, {to.ld});"
        )

    def _groups(self, phase: _Phase) -> dict[int, tuple[list[tuple[Node, Name, int, bool]], list[Node]]]:
        found: dict[int, tuple[list[tuple[Node, Name, int, bool]], list[Node]]] = defaultdict(lambda: ([], []))
        for store in phase.stores:
            found[store[0].width][0].append(store)  # type: ignore[arg-type]
        for node in phase.reductions:
            if node.args[0].op == "concat":
                raise AssertionError("a sum over parts is a sum of sums")
            found[node.args[0].width][1].append(node)
        return dict(sorted(found.items()))

    def _place(self, name: Name, width: int) -> Place:
        padded = f"PAD({self._w(width)})"
        if name in self._temporaries:
            return Place(f"t{list(self._temporaries).index(name)}", padded, own=True)
        if name not in self._arrays:
            self._arrays[name] = len(self._arrays)
        own = self._is_own(name)
        return Place(f"a{self._arrays[name]}", padded if own else self._w(width), own)

    def _loop(
        self, number: int, width: int, stores: Sequence[tuple[Node, Name, int, bool]], reductions: Sequence[Node]
    ) -> list[str]:
        loop = _Loop(self, number, width)
        for node, name, start, summed in stores:
            loop.store(node, name, start, summed)
        for node in reductions:
            loop.reduce(node)
        return loop.text()

    def owner(self, node: Node, number: int) -> Name | None:
        """The array a value is loaded from in a phase, or None where it is computed there."""
        if node.op == "leaf":
            return node.value  # type: ignore[return-value]
        if node.op in ROW_WISE:
            return self._home(node)
        if self._phase_of[node] < number and node in self._homes and not self._inlined(node):
            return self._homes[node]
        return None

    def total_width(self, name: Name, node: Node) -> int:
        """The width of an array that a value is a part of."""
        if name in self._temporaries:
            return self._temporaries[name]
        for target in self._targets:
            if target.name == name:
                return target.node.width
        return node.width

    def place(self, name: Name, width: int) -> Place:
        """Where an array is."""
        return self._place(name, width)

    def width(self, value: int) -> str:
        """A size as C."""
        return self._w(value)


class _Loop:
    """One loop over rows, and inside over columns where there is more than one."""

    def __init__(self, stage: StageWriter, phase: int, width: int) -> None:
        self._stage, self._phase, self._width = stage, phase, width
        self._rows: list[str] = []
        """Once per row: numbers, which are the same in all columns."""
        self._columns: list[tuple[str, str]] = []
        """Once per vector: (whole, the rest of a row)."""
        self._after: list[str] = []
        self._pointers: dict[str, str] = {}
        self._known: dict[Node, str] = {}

    def store(self, node: Node, name: Name, start: int, summed: bool) -> None:
        place = self._stage.place(name, self._stage.total_width(name, node))
        value = self._value(node)
        to = f"{self._row(place, by_row=not summed)} + {self._stage.width(start)}"
        if self._width == 1:
            self._rows.append(f"({to})[0] {'+=' if summed else '='} {value}[0];")
            return
        to += " + j"
        if summed:
            whole, rest = (
                f"store({to}, load({to}) + {value});",
                f"store_some({to}, load_some({to}, left) + {value}, left);",
            )
        else:
            whole, rest = f"store({to}, {value});", f"store_some({to}, {value}, left);"
        self._columns.append((whole, rest))

    def reduce(self, node: Node) -> None:
        [a] = node.args
        value = self._value(a)
        place = self._stage.place(self._stage._home(node), 1)
        total = f"r{len(self._after)}"
        if node.op == "sum":
            self._rows.append(f"V {total} = {{0}};")
            self._columns.append((f"{total} += {value};", f"{total} += first_of({value}, left, 0);"))
        else:
            self._rows.append(f"V {total} = splat(-INFINITY);")
            whole = f"{total} = vmax({total}, {value});"
            self._columns.append((whole, whole.replace(value, f"first_of({value}, left, -INFINITY)", 1)))
        self._after.append(f"{self._row(place)}[0] = {'sum' if node.op == 'sum' else 'peak'}_of({total});")

    def text(self) -> list[str]:
        """As C. Numbers of a row are for one thread of a team; columns are shared out."""
        w = self._stage.width(self._width)
        head = [f"  if (rank == 0) {{ long low = 0, high = {w};"]
        if self._width > 1 and not self._after:
            head = [
                f"  {{ long vectors = ({w} + VL - 1) / VL, low = vectors * rank / team->size * VL;",
                f"  long high = vectors * (rank + 1) / team->size * VL; if (high > {w}) high = {w};",
            ]
        inner = list(self._rows)
        if self._width > 1:
            inner += [
                "long j = low;",
                "for (; j + VL <= high; j += VL) {",
                *(f"  {whole}" for whole, _ in self._columns),
                "}",
                "if (j < high) {",
                "  long left = high - j;",
                *(f"  {rest}" for _, rest in self._columns),
                "}",
            ]
        inner += self._after
        return [
            *head,
            "  (void)low, (void)high;",
            "  for (long m = 0; m < rows; ++m) {",
            *(f"    {line}" for line in inner),
            "  } }",
        ]

    def _row(self, place: Place, by_row: bool = True) -> str:
        key = place.variable + ("" if by_row else "_")
        if key not in self._pointers:
            self._pointers[key] = f"p{place.variable}" if by_row else place.variable
            if by_row:
                self._rows.insert(0, f"real *p{place.variable} = {place.variable} + m * {place.ld};")
        return self._pointers[key]

    def _value(self, node: Node) -> str:
        """The variable that holds a value."""
        if node not in self._known:
            self._known[node] = f"v{len(self._known)}"
            self._define(node)
        return self._known[node]

    def _define(self, node: Node) -> None:
        name = f"{'M' if node.logical else 'V'} {self._known[node]} = "
        if node.op == "literal":
            self._rows.append(f"{name}splat((real){node.value});")
            return
        source, start = (node.args[0], node.value) if node.op == "slice" else (node, 0)
        assert isinstance(start, int)
        array = self._stage.owner(source, self._phase)
        if array is not None:
            by_row = array[0] != "constant"
            place = self._stage.place(array, source.width)
            at = f"{self._row(place, by_row)} + {self._stage.width(start)}"
            if node.width == 1:
                self._rows.append(f"{name}splat(({at})[0]);")
            else:
                self._columns.append((f"{name}load({at} + j);", f"{name}load_some({at} + j, left);"))
            return
        line = f"{name}{self._expression(node)};"
        if node.width == 1:
            self._rows.append(line)
        else:
            self._columns.append((line, line))

    def _expression(self, node: Node) -> str:
        args = [self._value(arg) for arg in node.args]
        if node.op == "expand":
            return args[0]
        if node.op in PREFIX:
            return f"{PREFIX[node.op]}{args[0]}"
        if node.op in INFIX:
            return f"{args[0]} {INFIX[node.op]} {args[1]}"
        return f"{CALLS[node.op]}({', '.join(args)})"
