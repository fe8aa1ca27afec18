"""`onnxruntime`: the recurrent operators of ONNX in onnxruntime, on a CPU. Forward passes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rnnbench import Cell, Implementation, Params, Skipped, State, Unroll, any_of, leaves

if TYPE_CHECKING:
    import torch

OPSET, IR = 14, 8
"""The first opset in which these operators look as they do today, and the version of the format that came with it."""

NEEDED = ("onnx", "onnxruntime")


@dataclass(frozen=True)
class Operator:
    """One of ONNX's recurrent operators (https://onnx.ai/onnx/operators), as a cell needs it.

    gates: the cell's blocks of rows, by number, in the operator's order. attributes: of the node.
    """

    name: str
    gates: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


OPERATORS = {
    "rnn": Operator("RNN", (0,), {"activations": ["Tanh"]}),
    "irnn": Operator("RNN", (0,), {"activations": ["Relu"]}),
    "lstm": Operator("LSTM", (0, 3, 1, 2)),  # i, f, g, o here, i, o, f, c there
    "gru": Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # r, z, n here, z, r, h there
}
"""Cell -> operator. `linear_before_reset` 0, ONNX's default, is another function: `gru_v3`."""


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """rnn, irnn, lstm and gru in float32 on a CPU, where both packages are installed."""
    reason = any_of(*OPERATORS)(cell, device, dtype)
    if reason is not None:
        return reason
    if device != "cpu":
        return f"its sessions are made for the CPU, and the device is {device}"
    if dtype != "float32":
        return f"onnxruntime's recurrent operators take float32 alone, and the dtype is {dtype}"
    return missing()


@cache
def missing() -> str | None:
    """None where onnx and onnxruntime are installed, else how to install them."""
    absent = [package for package in NEEDED if find_spec(package) is None]
    return f"{' and '.join(absent)} not installed: pip install 'rnnbench[onnx]'" if absent else None


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """A session per layer, made at its first call: the weights are constants of its graph, as in a deployed model."""
    del device, dtype
    operator, sessions = OPERATORS[cell.name], Sessions()

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        import torch

        if torch.is_grad_enabled():
            raise Skipped("torch/onnxruntime runs forward passes alone: it has no gradients")
        session = sessions.of(operator, params)
        given = {f"initial_{n}": leaf.unsqueeze(0).contiguous().numpy() for n, leaf in enumerate(leaves(state))}
        ys, *finals = session.run(None, {"xs": xs.contiguous().numpy(), **given})
        final = tuple(torch.from_numpy(leaf[0]) for leaf in finals)
        return (final if isinstance(state, tuple) else final[0]), torch.from_numpy(ys[:, 0])

    return unroll


class Sessions:
    """One session per set of weights; other weights, or the same after a change in place, get another."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[int, int], ...], tuple[Params, Any]] = {}

    def of(self, operator: Operator, params: Params) -> Any:
        """The session whose constants these parameters are. They are kept, so that no other tensor takes their id."""
        key = tuple((id(one), one._version) for one in params.values())
        if key not in self._made:
            arrays = {name: one.detach().numpy() for name, one in params.items()}
            self._made[key] = dict(params), session(operator, arrays)
        return self._made[key][1]


def session(operator: Operator, params: Mapping[str, Any]) -> Any:
    """onnxruntime on as many threads as torch has, which sleep between calls: others may want their cores."""
    import onnxruntime  # pyright: ignore[reportMissingImports]
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors are raised; its warnings are of devices that are not there
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model(operator, params), options, providers=["CPUExecutionProvider"])


def model(operator: Operator, params: Mapping[str, Any]) -> bytes:
    """An ONNX model of one node, serialised. params: NumPy arrays in torch's layout; time and batch stay open."""
    from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]

    (_, D), H = params["weight_ih"].shape, params["weight_hh"].shape[1]
    constants = {name: array[None] for name, array in _weights(operator, params).items()}
    states = range(2 if operator.name == "LSTM" else 1)
    initial, final = [f"initial_{n}" for n in states], [f"final_{n}" for n in states]
    node = helper.make_node(
        operator.name, ["xs", *constants, "", *initial], ["ys", *final], hidden_size=H, **operator.attributes
    )
    shapes: dict[str, Sequence[str | int]] = {"xs": ["T", "B", D], "ys": ["T", 1, "B", H]}
    shapes |= {name: [1, "B", H] for name in (*initial, *final)}
    told = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs, outputs = [told[name] for name in ("xs", *initial)], [told[name] for name in ("ys", *final)]
    graph = helper.make_graph([node], "layer", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return made.SerializeToString()


def _weights(operator: Operator, params: Mapping[str, Any]) -> dict[str, Any]:
    """W, R and B of the operator: blocks of rows in its order, both biases one after the other."""
    import numpy as np

    def ordered(array: Any) -> Any:
        blocks = np.split(array, len(operator.gates))
        return np.concatenate([blocks[gate] for gate in operator.gates])

    biases = np.concatenate([ordered(params["bias_ih"]), ordered(params["bias_hh"])])
    return {"W": ordered(params["weight_ih"]), "R": ordered(params["weight_hh"]), "B": biases}


implementation = Implementation(
    name="onnxruntime",
    backend="torch",
    supports=supports,
    build=build,
    differentiable=False,
    distribution="onnxruntime",
    doc="ONNX's operators RNN, LSTM and GRU in onnxruntime on a CPU: forward passes in float32 alone.",
)
