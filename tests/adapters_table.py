"""The table of plugins/rnnbench_adapters/README.md, from trials: `python tests/adapters_table.py` writes it anew.

Every public recurrent class of the known libraries is brought, and held beside all portable cells; one that is none of
them beside the cell of its name. Keras needs `KERAS_BACKEND`, and is asked on torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rnnbench import Cell
from rnnbench.registry import load
from rnnbench_adapters import from_class
from rnnbench_adapters.classes import Unusable, described
from rnnbench_adapters.layout import nearest, perform
from rnnbench_adapters.loading import load_class, matching
from rnnbench_adapters.study import describe

README = Path(__file__).parents[1] / "plugins/rnnbench_adapters/README.md"
BEGIN, END = "<!-- table: tests/adapters_table.py -->\n", "<!-- end of table -->\n"
SEMIGROUPS, MAGMAS = "memax.equinox.semigroups", "memax.equinox.set_actions"
LIBRARIES = (
    *(f"torch.nn:{kind}{cell}" for cell in ("Cell", "") for kind in ("RNN", "GRU", "LSTM")),
    *(f"flax.linen:{name}Cell" for name in ("Simple", "GRU", "LSTM", "OptimizedLSTM", "MGU", "ConvLSTM")),
    *(f"flax.nnx:{name}Cell" for name in ("Simple", "GRU", "LSTM", "OptimizedLSTM")),
    *(f"equinox.nn:{name}Cell" for name in ("GRU", "LSTM")),
    *(f"haiku:{name}" for name in ("VanillaRNN", "GRU", "LSTM", "Conv1DLSTM", "ResetCore", "DeepRNN", "IdentityCore")),
    *(f"keras.layers:{kind}{cell}" for cell in ("", "Cell") for kind in ("SimpleRNN", "GRU", "LSTM")),
    *(f"keras.layers:{name}" for name in ("ConvLSTM1D", "StackedRNNCells")),
    *(f"{MAGMAS}.{name.lower()}:{name}" for name in ("Elman", "GRU", "LSTM", "MGU", "Spherical")),
    f"{SEMIGROUPS}.lrnn:LinearRecurrent",
    f"{SEMIGROUPS}.delta:DeltaNet",
    f"{SEMIGROUPS}.deltap:DeltaProduct",
    f"{SEMIGROUPS}.spherical:PSpherical",
    *(f"{SEMIGROUPS}.{name.lower()}:{name}" for name in ("LRU", "S6", "FART", "FWP", "GDN", "FFM", "DLSE", "NMax")),
    *(f"{SEMIGROUPS}.{name}" for name in ("attn:Attention", "mlp:MLP", "stack:Stack")),
    "torchrecurrent:*Cell",
)
"""Classes and patterns of classes. Layers of torchrecurrent are its cells in a loop."""

FLOAT32 = 1e-6
APART = re.compile(r"by ([\d.e-]+)$")
SINGLE = "it computes in float32 also where it is given float64, so that no layout can be told"

NAMESAKES = {
    **{f"{library}:SimpleCell": "rnn" for library in ("flax.linen", "flax.nnx")},
    **{f"keras.layers:SimpleRNN{cell}": "rnn" for cell in ("", "Cell")},
    "flax.linen:MGUCell": "mgu",
    f"{MAGMAS}.mgu:MGU": "mgu",
    f"{MAGMAS}.gru:GRU": "gru_v3",
    f"{MAGMAS}.lstm:LSTM": "lstm",
    f"{MAGMAS}.elman:Elman": "rnn",
    f"{SEMIGROUPS}.lru:LRU": "lru",
    f"{SEMIGROUPS}.delta:DeltaNet": "deltanet",
    f"{SEMIGROUPS}.deltap:DeltaProduct": "gated_deltaproduct",
    f"{SEMIGROUPS}.gdn:GDN": "gated_deltanet",
    f"{SEMIGROUPS}.s6:S6": "mamba",
    "torchrecurrent:OriginalLSTMCell": "lstm",
    "torchrecurrent:PeepholeLSTMCell": "lstm_peephole",
    "torchrecurrent:MultiplicativeLSTMCell": "multiplicative_lstm",
}
"""The cell that a class is named after where both are not spelled alike."""


def row(target: str, cells: Mapping[str, Cell]) -> str:
    """`| class | what it is | in which layout, or where they part |`."""
    try:
        found = describe(load_class(target), target)
    except Unusable as error:
        return f"| `{target}` | cannot be brought | {error} |"
    except Exception as error:
        return f"| `{target}` | cannot be brought | {described(error)} |"
    own = target.rpartition(":")[2].removesuffix("Cell").lower()
    name, sentence = NAMESAKES.get(target, own), ""
    if name in cells:
        equal, sentence = held(target, cells[name])
        if equal:
            return f"| `{target}` | {sentence} |"
    same = nearest(from_class(target, **found), cells)
    if same is not None:
        return f"| `{target}` | {held(target, cells[same[0].partition('(')[0]])[1]} |"
    if name not in cells:
        return (
            f"| `{target}` | `verified: self` | there is no portable cell of its name, and it is none of the others |"
        )
    if (apart := APART.search(sentence)) and float(apart[1]) < FLOAT32:
        return f"| `{target}` | `{name}` in float32 | {SINGLE}: {apart[0]} |"
    return f"| `{target}` | **not** `{name}` | {sentence} |"


def held(target: str, cell: Cell) -> tuple[bool, str]:
    """(whether a layout makes the class the cell, `which cell | layout`, or where they part)."""
    try:
        found = perform(target, cell)
    except Unusable as error:
        return False, str(error)
    sentence = found["sentence"]
    if not found["equal"]:
        return False, sentence.partition(": ")[2]
    spelled, _, layout = sentence.partition(" is ")[2].partition("; ")
    return True, f"`{spelled}` | {layout or 'the same names and rows'}"


def table() -> str:
    """The rows below their head."""
    cells = {name: cell for name, cell in load().cells.items() if cell.portable}
    head = "| class | is | in which layout, or where they part |\n|---|---|---|\n"
    targets = [target for pattern in LIBRARIES for target in matching(pattern)]
    return head + "".join(f"{row(target, cells)}\n" for target in targets)


def main() -> None:
    """Write the table into the page."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    README.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
