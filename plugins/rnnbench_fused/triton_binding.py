"""`triton`: the traced step as Triton kernels, as a differentiable function of torch.

On a GPU they are compiled. On a CPU Triton's interpreter runs them, which shows whether they are right and says nothing
of how fast they are.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench import Cell, Implementation, Params, State, Unroll, leaves
from rnnbench_fused.evaluate import Name, evaluate
from rnnbench_fused.kernel import sizes_at, traced_at, untraceable
from rnnbench_fused.plan import Plan, Target, plan
from rnnbench_fused.trace import Sizes
from rnnbench_fused.triton_source import ROWS, TritonSource, TritonStage, triton_source
from rnnbench_fused.uniform import DTYPE

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Half precision is computed in float32."""

OPTIONS = {"enable_fp_fusion": True}
"""Of Triton's compiler: a product and a sum are one operation. Its own default is about to change (3.9)."""

Kernels = Mapping[str, Any]
"""What the text defines: `forward` and `backward`."""


def interpreter(device: str) -> str | None:
    """Triton's own, where there is no GPU that Triton compiles for."""
    return None if device.partition(":")[0] == "cuda" else "Triton's interpreter"


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Portable cells whose step is an expression of known operations, where Triton is there."""
    if not cell.portable:
        return f"cell {cell.name!r} has no portable step, only its own implementations run it"
    if device.partition(":")[0] not in ("cpu", "cuda"):
        return f"its kernels are generated for CUDA devices, not for {device}"
    if dtype not in DTYPES:
        return f"its kernels compute in {' or '.join(DTYPES)}, not in {dtype}"
    if find_spec("triton") is None:
        return 'it needs Triton, which is not installed: pip install "rnnbench[triton]"'
    return untraceable(cell)


@dataclass(frozen=True)
class CompiledKernels:
    """A cell at one set of sizes: its plan, and its kernels for Triton."""

    plan: Plan
    source: TritonSource
    kernels: Kernels


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The kernels are made at the first call of each set of sizes, and compiled when they are launched."""
    import torch

    from rnnbench_torch.ops import torch_ops

    ops, found = torch_ops(), {}
    wide = torch.float64 if dtype == "float64" else torch.float32
    interpreted = interpreter(device) is not None

    def at(sizes: Sizes) -> CompiledKernels:
        if sizes.key not in found:
            planned = plan(traced_at(cell, sizes))
            source = triton_source(planned, wide == torch.float64)
            found[sizes.key] = CompiledKernels(planned, source, _kernels(source.text, interpreted))
        return found[sizes.key]

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        states = leaves(state)
        compiled = at(sizes_at(params, states, not isinstance(state, tuple), xs.shape[-1]))
        named = {**params, DTYPE: xs.dtype}
        trace = compiled.plan.trace
        made = [e.run(ops, named) for e in (*trace.constants, *trace.matrices)]
        given = [each.to(wide).contiguous() for each in (xs, *states, *made)]
        ys, *final = (each.to(xs.dtype) for each in _function().apply(compiled, len(states), *given))
        return (tuple(final) if isinstance(state, tuple) else final[0]), ys

    return unroll


def _kernels(text: str, interpreted: bool) -> Kernels:
    """The text as functions of Triton, which reads the source of what it decorates."""
    from triton import knobs  # pyright: ignore[reportMissingImports]

    name = f"<triton kernel {hash(text):x}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found: dict[str, Any] = {"__name__": name}
    with knobs.runtime.scope():
        knobs.runtime.interpret = interpreted
        exec(compile(text, name, "exec"), found)  # noqa: S102  # text of this package
    return found


@cache
def _function() -> Any:
    """The autograd function, made on first use because its base class is torch's."""
    import torch
    from torch.autograd.function import once_differentiable

    class Generated(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, compiled: CompiledKernels, states: int, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            passed = _Pass(compiled, states, given)
            ys, final, arrays = passed.forward()
            names = list(arrays)
            ctx.save_for_backward(*given, *arrays.values())
            ctx.compiled, ctx.states, ctx.names = compiled, states, names
            return ys, *final

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
            saved, count = ctx.saved_tensors, len(ctx.saved_tensors) - len(ctx.names)
            passed = _Pass(ctx.compiled, ctx.states, saved[:count])
            arrays = dict(zip(ctx.names, saved[count:], strict=True))
            return None, None, *passed.backward(arrays, [each.contiguous() for each in cotangents])

    return Generated


class _Pass:
    """One call. Arrays have names; those of all steps are (T, B, width), their rows (T·B, width)."""

    def __init__(self, compiled: CompiledKernels, states: int, given: Sequence[torch.Tensor]) -> None:
        self._plan, self._source, self._kernels = compiled.plan, compiled.source, compiled.kernels
        constants = 1 + states + len(self._plan.trace.constants)
        self._xs, self._states = given[0], given[1 : 1 + states]
        self._constants, self._matrices = given[1 + states : constants], given[constants:]
        self._T, self._B = self._xs.shape[:2]

    def forward(self) -> tuple[torch.Tensor, list[torch.Tensor], dict[Name, torch.Tensor]]:
        """(ys, final states, what the backward pass reads)."""
        plan, arrays = self._plan, {}
        cuts = self._evaluated([Target(node, ("cut", j)) for j, node in enumerate(plan.cuts)], arrays)
        arrays |= {name: self._steps(rows) for name, rows in cuts.items()}
        for i, state in enumerate(self._states):
            width = plan.trace.new_states[i].width
            arrays["states", i] = self._empty(self._T + 1, width)
            arrays["states", i][0] = state.reshape(self._B, width)
        for m, node in enumerate(plan.kept):
            arrays["kept", m] = self._empty(self._T, node.width)
        arrays[("y",)] = self._empty(self._T, plan.trace.y.width)
        self._launch(self._source.forward, arrays)
        ys = arrays[("y",)].reshape(self._T, self._B, *plan.trace.y_shape)
        final = [arrays["states", i][-1].reshape(state.shape).clone() for i, state in enumerate(self._states)]
        return ys, final, arrays

    def backward(self, arrays: dict[Name, torch.Tensor], cotangents: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Cotangents of xs, states, constants and matrices."""
        plan = self._plan
        arrays[("dy",)] = cotangents[0].reshape(self._T, self._B, plan.trace.y.width)
        for i, cotangent in enumerate(cotangents[1:]):
            width = plan.trace.new_states[i].width
            arrays["dstates", i] = self._empty(2, width)
            arrays["dstates", i][self._T % 2] = cotangent.reshape(self._B, width)
        again = self._evaluated([target for target in plan.again if target.name[0] == "again"], arrays)
        arrays |= {name: self._steps(rows) for name, rows in again.items()}
        written = [target for target in plan.step_back.targets if target.name[0] != "dstate"]
        arrays |= {
            target.name: self._empty(self._T, target.node.width)
            for target in written
            if target.name not in self._source.alike
        }
        self._launch(self._source.backward, arrays)
        of_step = {target.name: self._rows(target.name, arrays) for target in written}
        of_inputs = self._evaluated(plan.inputs_back.targets, arrays)
        of_xs = of_inputs.get(("dx",))
        of_constants = [each.new_zeros(each.shape) for each in self._constants]
        for k, total in enumerate(of_constants):
            for found in (of_step, of_inputs):
                if ("dconstant", k) in found:
                    total += found["dconstant", k].sum(0).reshape(total.shape)
        of_matrices = [each.new_zeros(each.shape) for each in self._matrices]
        for found, stage in ((of_step, plan.step_back), (of_inputs, plan.inputs_back)):
            for product in stage.products:
                of_matrices[product.matrix] += _across(
                    of_matrices[product.matrix], found[product.left], found[product.right]
                )
        return [
            self._xs.new_zeros(self._xs.shape) if of_xs is None else of_xs.reshape(self._xs.shape),
            *(arrays["dstates", i][0].reshape(state.shape) for i, state in enumerate(self._states)),
            *of_constants,
            *of_matrices,
        ]

    def _launch(self, stage: TritonStage, arrays: Mapping[Name, torch.Tensor]) -> None:
        """One program for each block of rows."""
        if self._B == 0:
            return
        own = {name: self._xs.new_empty((self._B, width)) for name, width in stage.temporaries.items()}
        own |= {("constant", k): each for k, each in enumerate(self._constants)}
        own |= {("matrix", k): each for k, each in enumerate(self._matrices)}
        pointers = [own[name] if name in own else arrays[name] for name in stage.arrays]
        with np.errstate(all="ignore"):  # the interpreter is NumPy, and columns beyond an array's divide 0 by 0
            self._kernels[stage.name][(-(-self._B // ROWS),)](self._T, self._B, *pointers, **OPTIONS)

    def _evaluated(self, targets: Sequence[Target], arrays: Mapping[Name, torch.Tensor]) -> dict[Name, torch.Tensor]:
        """Rows of what is done for all steps at once."""
        from rnnbench_torch.ops import torch_ops

        nodes = [target.node for target in targets]
        found = evaluate(torch_ops(), nodes, lambda name: self._rows(name, arrays), self._matrices)
        rows = self._T * self._B
        return {
            target.name: each.to(self._xs.dtype).expand(rows, target.node.width)
            for target, each in zip(targets, found, strict=True)
        }

    def _rows(self, name: Name, arrays: Mapping[Name, torch.Tensor]) -> torch.Tensor:
        name = self._source.alike.get(name, name)
        kind, number = name[0], name[-1]
        if kind == "x":
            return self._xs.flatten(0, 1)
        if kind == "constant":
            return self._constants[number].reshape(-1)  # type: ignore[index]
        if kind in ("state", "after"):
            states = arrays["states", number]
            return (states[:-1] if kind == "state" else states[1:]).flatten(0, 1)
        return arrays[name].flatten(0, 1)

    def _steps(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.reshape(self._T, self._B, rows.shape[-1]).contiguous()

    def _empty(self, steps: int, width: int) -> torch.Tensor:
        return self._xs.new_empty((steps, self._B, width))


def _across(matrix: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The gradient of a matrix, or of one per head: the sum over rows of leftᵀ right."""
    if matrix.ndim == 2:
        return left.T @ right
    heads, rows, columns = matrix.shape
    return left.reshape(-1, heads, rows).permute(1, 2, 0) @ right.reshape(-1, heads, columns).transpose(0, 1)


implementation = Implementation(
    name="triton",
    backend="torch",
    supports=supports,
    build=build,
    interpreter=interpreter,
    doc="Triton kernels for the steps of forward and backward, generated from the cell's step; interpreted on a CPU",
)
