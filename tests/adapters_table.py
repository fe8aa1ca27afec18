"""The table of plugins/rnnbench_adapters/README.md, from trials: `python tests/adapters_table.py` writes it anew."""

from __future__ import annotations

from pathlib import Path

from rnnbench.registry import load
from rnnbench_adapters.classes import Unusable
from rnnbench_adapters.layout import perform

README = Path(__file__).parents[1] / "plugins/rnnbench_adapters/README.md"
BEGIN, END = "<!-- table: tests/adapters_table.py -->\n", "<!-- end of table -->\n"
PAIRS = [
    ("torch.nn:RNNCell", "rnn"),
    ("torch.nn:GRUCell", "gru"),
    ("torch.nn:LSTMCell", "lstm"),
    ("torch.nn:RNN", "rnn"),
    ("torch.nn:GRU", "gru"),
    ("torch.nn:LSTM", "lstm"),
    ("flax.linen:SimpleCell", "rnn"),
    ("flax.linen:GRUCell", "gru"),
    ("flax.linen:LSTMCell", "lstm"),
    ("flax.linen:OptimizedLSTMCell", "lstm"),
    ("flax.nnx:SimpleCell", "rnn"),
    ("flax.nnx:GRUCell", "gru"),
    ("flax.nnx:LSTMCell", "lstm"),
    ("flax.nnx:OptimizedLSTMCell", "lstm"),
    ("equinox.nn:GRUCell", "gru"),
    ("equinox.nn:LSTMCell", "lstm"),
    ("flax.linen:MGUCell", "mgu"),
    ("haiku:VanillaRNN", "rnn"),
    ("haiku:GRU", "gru"),
    ("haiku:GRU", "gru_v3"),
    ("haiku:LSTM", "lstm"),
    ("keras.layers:SimpleRNN", "rnn"),
    ("keras.layers:GRU", "gru"),
    ("keras.layers:LSTM", "lstm"),
    ("torchrecurrent:ATRCell", "atr"),
    ("torchrecurrent:AntisymmetricRNNCell", "antisymmetric"),
    ("torchrecurrent:GatedAntisymmetricRNNCell", "antisymmetric_gated"),
    ("torchrecurrent:BRCell", "brc"),
    ("torchrecurrent:NBRCell", "nbrc"),
    ("torchrecurrent:CFNCell", "cfn"),
    ("torchrecurrent:FastRNNCell", "fastrnn"),
    ("torchrecurrent:FastGRNNCell", "fastgrnn"),
    ("torchrecurrent:IndRNNCell", "indrnn"),
    ("torchrecurrent:JANETCell", "janet"),
    ("torchrecurrent:LEMCell", "lem"),
    ("torchrecurrent:LiGRUCell", "ligru"),
    ("torchrecurrent:MGUCell", "mgu"),
    ("torchrecurrent:MUT1Cell", "mut1"),
    ("torchrecurrent:MUT2Cell", "mut2"),
    ("torchrecurrent:MUT3Cell", "mut3"),
    ("torchrecurrent:MinimalRNNCell", "minimalrnn"),
    ("torchrecurrent:MultiplicativeLSTMCell", "multiplicative_lstm"),
    ("torchrecurrent:NASCell", "nas"),
    ("torchrecurrent:PeepholeLSTMCell", "lstm_peephole"),
    ("torchrecurrent:RANCell", "ran"),
    ("torchrecurrent:SCRNCell", "scrn"),
    ("torchrecurrent:STARCell", "star"),
    ("torchrecurrent:TRNNCell", "trnn"),
    ("torchrecurrent:UGRNNCell", "ugrnn"),
    ("torchrecurrent:UnICORNNCell", "unicornn"),
    ("torchrecurrent:coRNNCell", "cornn"),
]


def row(target: str, cell: str) -> str:
    """`| class | cell | what was found |`."""
    try:
        found = perform(target, load().cells[cell])
        equal, told = "yes" if found["equal"] else "**no**", found["sentence"]
        told = told.removeprefix(f"{target} is {cell}; ").removeprefix(f"{target} is ")
        told = told.removeprefix(f"{target} is not ")
    except Unusable as error:
        equal, told = "**no**", str(error)
    return f"| `{target}` | `{cell}` | {equal} | {told or 'the same names and rows'} |"


def table(pairs: list[tuple[str, str]]) -> str:
    """The rows below their head."""
    head = "| class | portable cell | equal in float64 | layout, or where they part |\n|---|---|---|---|\n"
    return head + "".join(f"{row(*pair)}\n" for pair in pairs)


def main() -> None:
    """Write the table into the page."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    README.write_text(before + BEGIN + table(PAIRS) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
