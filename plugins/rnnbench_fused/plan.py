"""How a traced step becomes loops: what is done for many steps at once, what step by step, and what is kept.

The sequence is cut into chunks of time steps. Of each chunk, what depends on the input alone (the `inputs` stage) is
done for all its steps together; then the `step` stage goes from step to step. Backward, chunk by chunk from the end:
the inputs stage again where its results are needed, the steps in reverse, the gradients of the matrices as one product
over the chunk's rows, and the cotangents of the input.

All stages are expressions over leaves: ("x",), ("state", i), ("constant", k), ("cut", j): a result of the inputs
stage, ("kept", m): what the forward pass wrote down, ("after", i): a new state, ("y",), ("dy",), ("dafter", i),
("dcut", j): cotangents, ("again", m): what the inputs stage gives the backward pass besides the cuts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rnnbench_fused import graph
from rnnbench_fused.derive import Pullback, pullback
from rnnbench_fused.graph import CHEAP, Node
from rnnbench_fused.trace import Trace


@dataclass(frozen=True)
class Target:
    """A value that a stage computes, and the name of the array it goes to.

    summed: it is added up over all rows, the gradient of a constant.
    """

    node: Node
    name: tuple[object, ...]
    summed: bool = False


@dataclass(frozen=True)
class Product:
    """The gradient of a matrix as a product over rows: the names of its two factors, rows of the result first."""

    matrix: int
    left: tuple[object, ...]
    right: tuple[object, ...]


@dataclass(frozen=True)
class Backward:
    """One stage of the backward pass."""

    targets: Sequence[Target]
    products: Sequence[Product]


@dataclass(frozen=True)
class Plan:
    """All stages of one cell."""

    trace: Trace
    cuts: Sequence[Node]
    step: Sequence[Target]
    """Forward, without keeping anything."""
    kept: Sequence[Node]
    """What the step writes down for the backward pass."""
    trajectory: Sequence[int]
    """States whose value after every step is written down too, but for the one that the output is."""
    shown: int | None
    """The state that is the output itself: its trajectory is `ys`."""
    again: Sequence[Target]
    """What of the inputs stage the backward pass needs."""
    step_back: Backward
    inputs_back: Backward


def plan(traced: Trace) -> Plan:
    """The stages of a cell."""
    outputs = [*traced.new_states, traced.y]
    cuts = _cuts(outputs)
    by_cut = {node: graph.leaf(node.width, "cut", j) for j, node in enumerate(cuts)}
    *after, y = graph.substitute(outputs, by_cut)
    shown = after.index(y) if y in after else None
    kept, trajectory, step_back = _step_back(after, y, list(by_cut.values()))
    trajectory = [i for i in trajectory if i != shown]
    again, inputs_back = _inputs_back(cuts, by_cut, step_back)
    step = [*(Target(node, ("after", i)) for i, node in enumerate(after)), Target(y, ("y",))]
    return Plan(traced, cuts, step, kept, trajectory, shown, again, step_back, inputs_back)


def _depends_on(targets: Iterable[Node], name: str) -> set[Node]:
    found: set[Node] = set()
    for node in graph.ordered(targets):
        if _is_leaf(node, name) or any(arg in found for arg in node.args):
            found.add(node)
    return found


def _is_leaf(node: Node, name: str) -> bool:
    return node.op == "leaf" and node.value[0] == name  # type: ignore[index]


def _cuts(outputs: Sequence[Node]) -> list[Node]:
    """The last values that depend on the input and not on the state; where cheap, one further down.

    A product with the input is cut as it is: what is added to it is added in the step, which has to load it anyway.
    """
    of_state, of_input = _depends_on(outputs, "state"), _depends_on(outputs, "x")
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in of_state:
            stack += node.args
        elif node in of_input:
            inputs = [arg for arg in node.args if arg in of_input]
            if (node.op in CHEAP and len(inputs) == 1) or node.op == "concat" or node.logical:
                stack += inputs
            else:
                found[node] = None
    return sorted(found, key=lambda node: node.number)


def _step_back(after: Sequence[Node], y: Node, cuts: Sequence[Node]) -> tuple[list[Node], list[int], Backward]:
    """(what to keep, which states, the stage)."""
    seeds: dict[Node, Node] = {}
    for node, seed in [
        *((node, graph.leaf(node.width, "dafter", i)) for i, node in enumerate(after)),
        (y, graph.leaf(y.width, "dy")),
    ]:
        seeds[node] = graph.add(seeds[node], seed) if node in seeds else seed
    back = pullback(seeds)
    states = [graph.leaf(node.width, "state", i) for i, node in enumerate(after)]
    targets = [Target(_cotangent(back, state), ("dstate", i)) for i, state in enumerate(states)]
    targets += [Target(_cotangent(back, cut), ("dcut", j)) for j, cut in enumerate(cuts)]
    more, products = _gradients(back, "step")
    targets += more

    used = set(graph.ordered(target.node for target in targets))
    trajectory = [i for i, state in enumerate(states) if state in used]
    known = {node: graph.leaf(node.width, "after", i) for i, node in enumerate(after) if i in trajectory}
    known[y] = graph.leaf(y.width, "y")
    known = {node: name for node, name in known.items() if node.args}
    kept = _worth_keeping([target.node for target in targets], set(graph.ordered([*after, y])), known)
    known |= {node: graph.leaf(node.width, "kept", m) for m, node in enumerate(kept)}
    return kept, trajectory, Backward(_replaced(targets, known), products)


def _inputs_back(
    cuts: Sequence[Node], by_cut: Mapping[Node, Node], step_back: Backward
) -> tuple[list[Target], Backward]:
    """(what of the inputs stage is needed again, the stage)."""
    back = pullback({node: graph.leaf(node.width, "dcut", j) for j, node in enumerate(cuts)})
    more, products = _gradients(back, "inputs")
    x = next((node for node in graph.ordered(cuts) if _is_leaf(node, "x")), None)
    targets = [*([] if x is None else [Target(_cotangent(back, x), ("dx",))]), *more]
    known = {node: name for node, name in by_cut.items() if node.args}
    kept = _worth_keeping([target.node for target in targets], set(graph.ordered(cuts)), known)
    names = known | {node: graph.leaf(node.width, "again", m) for m, node in enumerate(kept)}
    targets = _replaced(targets, names)
    used = set(graph.ordered(target.node for target in [*targets, *step_back.targets]))
    again = [Target(node, ("cut", j)) for j, node in enumerate(cuts) if by_cut[node] in used]
    again += [Target(node, ("again", m)) for m, node in enumerate(kept)]
    return again, Backward(targets, products)


def _cotangent(back: Pullback, node: Node) -> Node:
    return back.leaves.get(node, graph.expand(graph.literal(0.0), node.width))


def _gradients(back: Pullback, stage: str) -> tuple[list[Target], list[Product]]:
    """Gradients of constants and matrices: what the stage has to compute for them, and the products over rows."""
    targets, products = [], []
    for node, g in back.leaves.items():
        if _is_leaf(node, "constant"):
            targets.append(Target(g, ("dconstant", node.value[1]), summed=True))  # type: ignore[index]
    names: dict[Node, tuple[object, ...]] = {}

    def named(node: Node) -> tuple[object, ...]:
        if node not in names:
            names[node] = ("rows", stage, len(names))
            targets.append(Target(node, names[node]))
        return names[node]

    for matrix, transposed, a, g in back.products:
        pair = (g, a) if transposed else (a, g)
        products.append(Product(matrix, named(pair[0]), named(pair[1])))
    return targets, products


def _worth_keeping(targets: Sequence[Node], forward: set[Node], known: Mapping[Node, Node]) -> list[Node]:
    """Values of the forward pass that the targets need and that cost more than a load to compute again."""
    kept: dict[Node, None] = {}

    def cost(node: Node) -> int:
        """Numbers to write down so that the node can be had."""
        if node in known or node in kept or not node.args:
            return 0
        if node.op not in CHEAP and not node.logical:
            return node.width
        below = sum(cost(arg) for arg in set(node.args))
        return below if node.logical else min(node.width, below)

    def provide(node: Node) -> None:
        if cost(node) == 0:
            return
        if node.logical or (node.op in CHEAP and sum(cost(arg) for arg in set(node.args)) < node.width):
            for arg in node.args:
                provide(arg)
        else:
            kept[node] = None

    seen: set[Node] = set()
    frontier: list[Node] = []
    stack = list(targets)
    while stack:
        node = stack.pop()
        if node in seen or node in known:
            continue
        seen.add(node)
        if node in forward:
            frontier.append(node)
        else:
            stack += node.args
    # What must be kept in any case first: much else can then be had from it.
    for node in sorted(frontier, key=lambda node: (node.op in CHEAP or node.logical, node.number)):
        provide(node)
    return list(kept)


def _replaced(targets: Sequence[Target], known: Mapping[Node, Node]) -> list[Target]:
    nodes = graph.substitute([target.node for target in targets], known)
    return [Target(node, target.name, target.summed) for node, target in zip(nodes, targets, strict=True)]
