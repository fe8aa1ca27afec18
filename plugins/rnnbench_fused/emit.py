"""A plan as the text of one C file with two functions, `forward` and `backward`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rnnbench_fused.graph import Node
from rnnbench_fused.plan import Backward, Plan, Target
from rnnbench_fused.stage import Name, Shape, Stage, StageWriter, Widths, matrix_shapes


@dataclass(frozen=True)
class Source:
    """A kernel as text, and what a call of it needs.

    sizes: the numbers that the text refers to as n[0], n[1], ... kept: numbers per row and step that the forward pass
    writes down for the backward pass.
    """

    text: str
    sizes: tuple[int, ...]
    kept: int


def emit(plan: Plan, double: bool) -> Source:
    """The kernel of a plan in float32 or float64."""
    return _Emitter(plan).source(double)


def xla_source(text: str) -> str:
    """The same kernel with handlers for XLA."""
    return text + (Path(__file__).parent / "xla.c").read_text(encoding="utf-8")


@cache
def _runtime() -> str:
    return (Path(__file__).parent / "runtime.c").read_text(encoding="utf-8")


class _Emitter:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.w = plan, Widths()
        trace = plan.trace
        self.states = [node.width for node in trace.new_states]
        self.constants = [expression.shape[-1] if expression.shape else 1 for expression in trace.constants]
        self.matrices = matrix_shapes(trace)
        self.inputs = next(
            (n.width for n in _all_leaves([*plan.cuts, *(t.node for t in plan.again)]) if n.value == ("x",)), 0
        )
        self.kept = [*(node.width for node in plan.kept), *(self.states[i] for i in plan.trajectory)]

    def source(self, double: bool) -> Source:
        forward, backward = self._forward(), self._backward()
        text = f"#define DOUBLE {int(double)}\n{_runtime()}\n{forward}\n{backward}"
        return Source(text, tuple(self.w.values), sum(self.kept))

    # Offsets of what the forward pass keeps: one array (T, B, width) after the other.

    def _kept_at(self, index: int) -> str:
        before = " + ".join(["0", *map(self.w, self.kept[:index])])
        return f"c->T * c->B * ({before})"

    def _kept_index(self, name: Name) -> int | None:
        kind, number = name[0], name[-1]
        if kind == "kept":
            return number  # type: ignore[return-value]
        if kind == "after" and number in self.plan.trajectory:
            return len(self.plan.kept) + list(self.plan.trajectory).index(number)  # type: ignore[arg-type]
        return None

    # Forward.

    def _forward(self) -> str:
        plan, w = self.plan, self.w
        by_cut = {("cut", j): node.width for j, node in enumerate(plan.cuts)}
        inputs_targets = [Target(node, ("cut", j)) for j, node in enumerate(plan.cuts) if node.op != "leaf"]
        inputs = self._stage("inputs", inputs_targets, lambda _: True)
        step = self._stage("step", plan.step, lambda name: name[0] != "y")
        # With a copy of what the backward pass needs. A new state is written twice: for the next step, and to be kept.
        copies = [Target(plan.step[i].node, ("trajectory", i)) for i in plan.trajectory]
        keeping_targets = [
            *plan.step,
            *(Target(node, ("kept", m)) for m, node in enumerate(plan.kept)),
            *copies,
        ]
        keeping = self._stage("keeping_step", keeping_targets, lambda name: name[0] not in ("y", "kept", "trajectory"))

        arrays = _Arrays(w)
        arrays.add(("x",), "chunk", self.inputs)
        for name, width in by_cut.items():
            if plan.cuts[name[1]].op == "leaf":
                arrays.alias(name, ("x",))
            else:
                arrays.add(name, "chunk", width)
        for i, width in enumerate(self.states):
            arrays.add(("state", i), "rows", width)
            arrays.add(("after", i), "rows", width)
        temporary = [("chunk", inputs), ("rows", step), ("rows", keeping)]
        packed = _Packed(self, [inputs, step, keeping], first_matrix=1 + len(self.states) + len(self.constants))

        y = self.w(plan.trace.y.width)
        out_kept = 1 + len(self.states)

        def step_array(name: Name) -> str:
            if name == ("y",):
                return f"c->out[0] + ((first + t) * c->B + team->first) * {y}"
            index = self._kept_index(("after", name[1]) if name[0] == "trajectory" else name)
            if name[0] in ("kept", "trajectory"):
                assert index is not None
                width = self.w(self.kept[index])
                return f"c->out[{out_kept}] + {self._kept_at(index)} + ((first + t) * c->B + team->first) * {width}"
            if name[0] == "cut":
                return f"{arrays[name]} + t * team->rows * PAD({w(by_cut[name])})"  # type: ignore[index]
            if name[0] == "constant":
                return packed.constant(name[1])
            return arrays[name]

        copy_in = [
            f"    copy_rows(team->rows, {w(width)}, c->in[{1 + i}] + team->first * {w(width)}, {w(width)}, "
            f"{arrays['state', i]}, PAD({w(width)}));"
            for i, width in enumerate(self.states)
        ]
        copy_out = [
            f"    copy_rows(team->rows, {w(width)}, {arrays['state', i]}, PAD({w(width)}), "
            f"c->out[{1 + i}] + team->first * {w(width)}, {w(width)});"
            for i, width in enumerate(self.states)
        ]
        swap = [
            f"      {{ real *swap = {arrays['state', i]}; {arrays['state', i]} = {arrays['after', i]}; "
            f"{arrays['after', i]} = swap; }}"
            for i in range(len(self.states))
        ]
        lines = [
            inputs.text,
            step.text,
            keeping.text,
            *arrays.layout("forward_arena", temporary),
            *packed.layout("forward_common"),
            "static void forward_work(const Call *c, Team *team, long rank) {",
            "  const long *n = c->n; (void)n;",
            f"  const long keeps = c->out[{out_kept}] != 0;",
            *arrays.pointers("team->arena"),
            f"  real *temporary = {arrays.end};",
            *packed.pointers(),
            "  if (rank == 0) {",
            *copy_in,
            "  }",
            "  for (long first = 0; first < c->T; first += c->chunk) {",
            "    long steps = c->T - first < c->chunk ? c->T - first : c->chunk;",
            *self._gather_x(arrays),
            *self._call("inputs", inputs, lambda name: arrays[name], "steps * team->rows", packed, "    "),
            "    for (long t = 0; t < steps; ++t) {",
            "      if (keeps) {",
            *self._call("keeping_step", keeping, step_array, "team->rows", packed, "        "),
            "      } else {",
            *self._call("step", step, step_array, "team->rows", packed, "        "),
            "      }",
            *swap,
            "    }",
            "  }",
            "  if (rank == 0) {",
            *copy_out,
            "  }",
            "}",
            "",
            "int forward(const long *n, long T, long B, long threads, const real *const *in, real *const *out) {",
            "  (void)n;",
            *self._prologue("forward", packed),
            f"  advise(out[0], (size_t)T * B * {y} * sizeof(real));",
            f"  advise(out[{out_kept}], (size_t)T * B * ({' + '.join(['0', *map(w, self.kept)])}) * sizeof(real));",
            "  int failed = run(&call, teams, size, forward_arena, forward_work, team);",
            "  for (long i = 0; i < teams; ++i) free(team[i].arena);",
            "  free(call.common);",
            "  return failed;",
            "}",
        ]
        return "\n".join(lines)

    # Backward.

    def _backward(self) -> str:
        plan, w = self.plan, self.w
        S, C = len(self.states), len(self.constants)
        at_y = 1 + S + C + len(self.matrices)
        at_kept, at_dy, at_dafter = at_y + 1, at_y + 2, at_y + 3
        y = w(plan.trace.y.width)

        outside = ("state", "kept", "after", "y", "dy")
        again = self._stage("inputs_again", [t for t in plan.again if t.node.op != "leaf"], lambda _: True)
        step = self._stage("step_back", plan.step_back.targets, lambda name: name[0] not in outside)
        inputs = self._stage("inputs_back", plan.inputs_back.targets, lambda _: True)

        arrays = _Arrays(w)
        arrays.add(("x",), "chunk", self.inputs)
        for target in plan.again:
            if target.node.op == "leaf":
                arrays.alias(target.name, ("x",))
            else:
                arrays.add(target.name, "chunk", target.node.width)
        for i, width in enumerate(self.states):
            arrays.add(("dafter", i), "rows", width)
            arrays.add(("dstate", i), "rows", width)
        homes: dict[Node, Name] = {}
        for target in plan.step_back.targets:
            if target.name[0] in ("dcut", "rows"):
                arrays.add_once(target.name, target.node, homes)
        for target in plan.inputs_back.targets:
            if target.name[0] in ("dx", "rows"):
                if target.node.op == "leaf" and target.node.value != ("x",):
                    arrays.alias(target.name, target.node.value)  # type: ignore[arg-type]
                elif target.node.op == "leaf":
                    arrays.alias(target.name, ("x",))
                else:
                    arrays.add_once(target.name, target.node, homes)
        for k, width in enumerate(self.constants):
            arrays.add(("dconstant", k), "one", width)
            arrays.add(("sum", k), "one", width)
        for number, shape in enumerate(self.matrices):
            arrays.add_matrix(("dmatrix", number), shape)
        # Not done twice: what an array already holds.
        step = self._stage("step_back", _without_aliases(plan.step_back.targets, arrays), self._own(outside))
        inputs = self._stage("inputs_back", _without_aliases(plan.inputs_back.targets, arrays), lambda _: True)
        products = [(product, plan.step_back) for product in plan.step_back.products]
        products += [(product, plan.inputs_back) for product in plan.inputs_back.products]
        widths = self._widths_of(plan.step_back) | self._widths_of(plan.inputs_back)
        tallest = [w(widths[product.left]) for product, _ in products]

        packed = _Packed(self, [again, step, inputs], first_matrix=1 + S + C)
        temporary = [("chunk", again), ("rows", step), ("chunk", inputs)]

        def step_array(name: Name) -> str:
            kind = name[0]
            if kind == "state":
                i = name[1]
                assert isinstance(i, int)
                width = w(self.states[i])
                initial = f"c->in[{1 + i}] + team->first * {width}"
                index = self._kept_index(("after", i))
                if i == plan.shown:
                    before = f"c->in[{at_y}]"
                elif index is not None:
                    before = f"c->in[{at_kept}] + {self._kept_at(index)}"
                else:
                    return initial
                return f"(first + t ? {before} + ((first + t - 1) * c->B + team->first) * {width} : {initial})"
            index = self._kept_index(name)
            if index is not None:
                width = w(self.kept[index])
                return f"c->in[{at_kept}] + {self._kept_at(index)} + ((first + t) * c->B + team->first) * {width}"
            if kind in ("y", "dy"):
                return f"c->in[{at_y if kind == 'y' else at_dy}] + ((first + t) * c->B + team->first) * {y}"
            if kind == "constant":
                return packed.constant(name[1])
            if kind in ("cut", "again", "dcut", "rows"):
                return f"{arrays[name]} + t * team->rows * {arrays.ld(name)}"
            return arrays[name]

        copy_in = [
            f"    copy_rows(team->rows, {w(width)}, c->in[{at_dafter + i}] + team->first * {w(width)}, {w(width)}, "
            f"{arrays['dafter', i]}, PAD({w(width)}));"
            for i, width in enumerate(self.states)
        ]
        copy_out = [
            f"    copy_rows(team->rows, {w(width)}, {arrays['dafter', i]}, PAD({w(width)}), "
            f"c->out[{1 + i}] + team->first * {w(width)}, {w(width)});"
            for i, width in enumerate(self.states)
        ]
        swap = [
            f"      {{ real *swap = {arrays['dafter', i]}; {arrays['dafter', i]} = {arrays['dstate', i]}; "
            f"{arrays['dstate', i]} = swap; }}"
            for i in range(S)
        ]
        zero = [
            f"    memset({arrays['dmatrix', i]}, 0, {arrays.size('dmatrix', i)} * sizeof(real));"
            for i in range(len(self.matrices))
        ]
        zero += [
            f"    memset({arrays[kind, k]}, 0, PAD({w(width)}) * sizeof(real));"
            for k, width in enumerate(self.constants)
            for kind in ("dconstant", "sum")
        ]
        sums = [
            f"      add_up({arrays['sum', k]}, {arrays['dconstant', k]}, {w(width)}); "
            f"memset({arrays['dconstant', k]}, 0, PAD({w(width)}) * sizeof(real));"
            for k, width in enumerate(self.constants)
        ]
        across = [
            f"    for (long head = 0; head < {w(heads)}; ++head) across(team, rank, steps * team->rows, "
            f"{arrays[p.left]} + head * {w(rows)}, {arrays.ld(p.left)}, {w(rows)}, "
            f"{arrays[p.right]} + head * {w(columns)}, {arrays.ld(p.right)}, {w(columns)}, "
            f"{arrays['dmatrix', p.matrix]} + head * PAD_ROWS({w(rows)}) * PAD({w(columns)}), scratch);"
            for p, _ in products
            for heads, rows, columns in [self.matrices[p.matrix]]
        ]
        wanted_x = "c->out[0]"
        scatter = []
        if ("dx",) in arrays:
            scatter = [
                f"    if ({wanted_x} && rank == 0) for (long t = 0; t < steps; ++t) "
                f"copy_rows(team->rows, {w(self.inputs)}, "
                f"{arrays['dx',]} + t * team->rows * {arrays.ld(('dx',))}, {arrays.ld(('dx',))}, "
                f"{wanted_x} + ((first + t) * c->B + team->first) * {w(self.inputs)}, {w(self.inputs)});",
            ]
        largest = " ".join(
            f"if (ACROSS(c->chunk * rows, {each}) > most) most = ACROSS(c->chunk * rows, {each});"
            for each in dict.fromkeys(tallest)
        )
        collect = [
            *(
                f"  if (!failed) for (long i = 0; i < {w(width)}; ++i) out[{1 + S + k}][i] = "
                f"total(gradients, teams, {len(self.matrices) + k}, i);"
                for k, width in enumerate(self.constants)
            ),
            *(
                f"  if (!failed) for (long head = 0; head < {w(heads)}; ++head) for (long r = 0; r < {w(rows)}; ++r) "
                f"for (long i = 0; i < {w(columns)}; ++i) "
                f"out[{1 + S + C + number}][(head * {w(rows)} + r) * {w(columns)} + i] = "
                f"total(gradients, teams, {number}, (head * PAD_ROWS({w(rows)}) + r) * PAD({w(columns)}) + i);"
                for number, (heads, rows, columns) in enumerate(self.matrices)
            ),
        ]
        gradients = [arrays["dmatrix", i] for i in range(len(self.matrices))] + [arrays["sum", k] for k in range(C)]
        lines = [
            again.text,
            step.text,
            inputs.text,
            *arrays.layout("backward_arena", temporary, f"  long most = 0; {largest} total += size * PAD(most);"),
            *packed.layout("backward_common"),
            "static void backward_arrays(const Call *c, Team *team, real **found) {",
            "  const long *n = c->n; (void)n; (void)found;",
            *arrays.pointers("team->arena"),
            *(f"  found[{i}] = {each};" for i, each in enumerate(gradients)),
            "}",
            f"INLINE real total(real *gradients[][{max(1, len(gradients))}], long teams, long which, long at) {{",
            "  real found = 0;",
            "  for (long g = 0; g < teams; ++g) found += gradients[g][which][at];",
            "  return found;",
            "}",
            "static void backward_work(const Call *c, Team *team, long rank) {",
            "  const long *n = c->n; (void)n;",
            *arrays.pointers("team->arena"),
            f"  real *temporary = {arrays.end};",
            "  long most = 0, rows = team->rows; (void)rows; " + largest,
            f"  real *scratch = {arrays.end} + {arrays.temporary(temporary)} + rank * PAD(most); (void)scratch;",
            *packed.pointers(),
            "  if (rank == 0) {",
            *copy_in,
            *zero,
            "  }",
            "  long chunks = (c->T + c->chunk - 1) / c->chunk;",
            "  for (long first = (chunks - 1) * c->chunk; first >= 0; first -= c->chunk) {",
            "    long steps = c->T - first < c->chunk ? c->T - first : c->chunk;",
            *self._gather_x(arrays),
            *self._call("inputs_again", again, lambda name: arrays[name], "steps * team->rows", packed, "    "),
            "    for (long t = steps - 1; t >= 0; --t) {",
            *self._call("step_back", step, step_array, "team->rows", packed, "      "),
            *swap,
            "    }",
            *self._call("inputs_back", inputs, lambda name: arrays[name], "steps * team->rows", packed, "    "),
            *across,
            *scatter,
            "    if (rank == 0) {",
            *sums,
            "    }",
            "    meet(team);",
            "  }",
            "  if (rank == 0) {",
            *copy_out,
            "  }",
            "}",
            "",
            "int backward(const long *n, long T, long B, long threads, const real *const *in, real *const *out) {",
            "  (void)n;",
            *self._prologue("backward", packed),
            "  int failed = run(&call, teams, size, backward_arena, backward_work, team);",
            f"  real *gradients[MOST_THREADS][{max(1, len(gradients))}]; (void)gradients;",
            "  if (!failed) for (long i = 0; i < teams; ++i) backward_arrays(&call, &team[i], gradients[i]);",
            *collect,
            "  for (long i = 0; i < teams; ++i) free(team[i].arena);",
            "  free(call.common);",
            "  return failed;",
            "}",
        ]
        return "\n".join(lines) + "\n"

    # Parts.

    @staticmethod
    def _own(outside: Sequence[str]) -> Callable[[Name], bool]:
        return lambda name: name[0] not in outside

    def _widths_of(self, stage: Backward) -> dict[Name, int]:
        return {target.name: target.node.width for target in stage.targets}

    def _stage(self, name: str, targets: Sequence[Target], is_own: Callable[[Name], bool]) -> Stage:
        return StageWriter(name, targets, is_own, self.w, self.matrices).written()

    def _gather_x(self, arrays: _Arrays) -> list[str]:
        if not self.inputs:
            return []
        D = self.w(self.inputs)
        return [
            f"    if (rank == 0) for (long t = 0; t < steps; ++t) copy_rows(team->rows, {D}, "
            f"c->in[0] + ((first + t) * c->B + team->first) * {D}, {D}, "
            f"{arrays['x',]} + t * team->rows * PAD({D}), PAD({D}));",
            "    meet(team);",
        ]

    def _call(
        self, name: str, stage: Stage, array: Callable[[Name], str], rows: str, packed: _Packed, indent: str
    ) -> list[str]:
        if not stage.arguments:
            return []

        def found(argument: Name) -> str:
            return packed.constant(argument[1]) if argument[0] == "constant" else array(argument)

        pointers = ", ".join(f"(real *)({found(argument)})" for argument in stage.arguments)
        matrices = ", ".join(packed.matrix(each) for each in stage.matrices) or "0"
        return [
            f"{indent}{{ real *arrays[] = {{{pointers}}};",
            f"{indent}  const real *matrices[] = {{{matrices}}};",
            f"{indent}  {name}(n, team, rank, {rows}, arrays, matrices, temporary);",
            f"{indent}  meet(team); }}",
        ]

    def _prologue(self, which: str, packed: _Packed) -> list[str]:
        flops, weights = packed.work()
        return [
            "  Team team[MOST_THREADS];",
            "  long teams, size;",
            f"  share_out(threads, T, B, {flops}, {weights}, &teams, &size);",
            "  long rows = (B + teams - 1) / teams, chunk = ROWS / (rows > 0 ? rows : 1);",
            "  if (chunk < 1) chunk = 1;",
            "  if (chunk > T) chunk = T > 0 ? T : 1;",
            "  Call call = {n, T, B, chunk, in, out, 0};",
            f"  call.common = allocate({which}_common(&call, 0));",
            "  if (!call.common) return 1;",
            f"  {which}_common(&call, 1);",
        ]


def _without_aliases(targets: Sequence[Target], arrays: _Arrays) -> list[Target]:
    return [target for target in targets if not arrays.is_alias(target.name)]


def _all_leaves(nodes: Sequence[Node]) -> list[Node]:
    from rnnbench_fused.graph import ordered

    return [node for node in ordered(nodes) if node.op == "leaf"]


class _Arrays:
    """The arrays of one team inside its arena.

    Of kind `chunk` (a row for every row of every step of a chunk), `rows` (a row for every row of the batch), `one`
    (a single row) or a matrix of each head.
    """

    def __init__(self, widths: Widths) -> None:
        self._w = widths
        self._variables: dict[Name, str] = {}
        self._sizes: dict[str, str] = {}
        self._lds: dict[Name, str] = {}
        self._aliases: set[Name] = set()

    def add(self, name: Name, kind: str, width: int) -> None:
        rows = {"chunk": "c->chunk * rows * ", "rows": "rows * ", "one": ""}[kind]
        self._add(name, f"{rows}PAD({self._w(width)})", f"PAD({self._w(width)})")

    def add_matrix(self, name: Name, shape: Shape) -> None:
        heads, rows, columns = map(self._w, shape)
        self._add(name, f"{heads} * PAD_ROWS({rows}) * PAD({columns})", f"PAD({columns})")

    def add_once(self, name: Name, node: Node, homes: dict[Node, Name]) -> None:
        """A chunk's array, or the one that already holds the same."""
        if node in homes:
            self.alias(name, homes[node])
        else:
            homes[node] = name
            self.add(name, "chunk", node.width)

    def alias(self, name: Name, other: Name) -> None:
        self._variables[name], self._lds[name] = self._variables[other], self._lds[other]
        self._aliases.add(name)

    def is_alias(self, name: Name) -> bool:
        return name in self._aliases

    def _add(self, name: Name, size: str, ld: str) -> None:
        variable = "_".join(map(str, name))
        self._variables[name], self._lds[name], self._sizes[variable] = variable, ld, size

    def __getitem__(self, name: Name) -> str:
        return self._variables[name]

    def __contains__(self, name: Name) -> bool:
        return name in self._variables

    def ld(self, name: Name) -> str:
        return self._lds[name]

    def size(self, *name: object) -> str:
        return self._sizes[self._variables[name]]

    @property
    def end(self) -> str:
        """Where the arrays are over."""
        return "end"

    def temporary(self, stages: Sequence[tuple[str, Stage]]) -> str:
        """Numbers that the hungriest stage needs for itself."""
        sizes = [f"{'c->chunk * ' if kind == 'chunk' else ''}rows * PAD({stage.temporary})" for kind, stage in stages]
        found = sizes[0]
        for size in sizes[1:]:
            found = f"LARGER({found}, {size})"
        return found

    def layout(self, function: str, stages: Sequence[tuple[str, Stage]], more: str = "") -> list[str]:
        """The function that tells how large the arena is."""
        return [
            "#ifndef LARGER",
            "#define LARGER(a, b) ((a) > (b) ? (a) : (b))",
            "#endif",
            f"static long {function}(const Call *c, long rows, long size) {{",
            "  const long *n = c->n; (void)n, (void)size;",
            f"  long total = {self.temporary(stages)} + NR;",
            *(f"  total += PAD({size});" for size in self._sizes.values()),
            *([more] if more else []),
            "  return total;",
            "}",
        ]

    def pointers(self, arena: str) -> list[str]:
        """Variables of C for all arrays."""
        return [
            f"  real *end = {arena};",
            "  { long rows = team->rows; (void)rows; }",
            *(
                line
                for variable, size in self._sizes.items()
                for line in (
                    f"  real *{variable} = take(&end, {size.replace('rows *', 'team->rows *')}); (void){variable};",
                )
            ),
        ]


class _Packed:
    """Matrices and constants as the stages read them, made once per call."""

    def __init__(self, emitter: _Emitter, stages: Sequence[Stage], first_matrix: int) -> None:
        self._emitter, self._w, self._first = emitter, emitter.w, first_matrix
        self._matrices = list(dict.fromkeys(each for stage in stages for each in stage.matrices))
        self._steps = stages

    def _shape(self, matrix: int, transposed: bool) -> tuple[str, str, str]:
        """Heads; of each, columns that go in and that come out."""
        heads, rows, columns = map(self._w, self._emitter.matrices[matrix])
        return (heads, columns, rows) if transposed else (heads, rows, columns)

    def matrix(self, which: tuple[int, bool]) -> str:
        return f"packed_{which[0]}_{int(which[1])}"

    def constant(self, number: object) -> str:
        return f"constant_{number}"

    def work(self) -> tuple[str, str]:
        """(operations per row and step, numbers in matrices), as C."""
        sizes = [
            f"(double){heads} * (double){k} * (double){n}"
            for heads, k, n in (self._shape(*each) for each in self._matrices)
        ]
        total = " + ".join(["0.0", *sizes])
        widest = " + ".join(["0.0", *(f"20.0 * (double){self._w(each)}" for each in [*self._emitter.states])])
        return f"2 * ({total}) + {widest}", total

    def layout(self, function: str) -> list[str]:
        """The function that tells how large they are together, and makes them."""
        lines = [
            f"static long {function}(const Call *c, int make) {{",
            "  const long *n = c->n; (void)n;",
            "  real *at = c->common, *begin = at; (void)make;",
        ]
        for k, width in enumerate(self._emitter.constants):
            source = f"c->in[{1 + len(self._emitter.states) + k}]"
            lines.append(
                f"  {{ real *to = take(&at, {self._w(width)}); "
                f"if (make) copy_rows(1, {self._w(width)}, {source}, 0, to, 0); }}"
            )
        for matrix, transposed in self._matrices:
            heads, k, n = self._shape(matrix, transposed)
            lines.append(
                f"  {{ real *to = take(&at, {heads} * PACKED({k}, {n})); "
                f"if (make) for (long head = 0; head < {heads}; ++head) "
                f"pack(c->in[{self._first + matrix}] + head * {k} * {n}, {k}, {n}, {int(transposed)}, "
                f"to + head * PACKED({k}, {n})); }}"
            )
        return [*lines, "  return at - begin + NR;", "}"]

    def pointers(self) -> list[str]:
        lines = ["  real *common = c->common; (void)common;"]
        for k, width in enumerate(self._emitter.constants):
            lines.append(f"  real *constant_{k} = take(&common, {self._w(width)}); (void)constant_{k};")
        for which in self._matrices:
            heads, k, n = self._shape(*which)
            lines.append(
                f"  real *{self.matrix(which)} = take(&common, {heads} * PACKED({k}, {n})); (void){self.matrix(which)};"
            )
        return lines
