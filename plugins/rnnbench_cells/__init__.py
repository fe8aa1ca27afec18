"""The shipped cells, one file per family. See plugins/README.md for writing another."""

from __future__ import annotations

from rnnbench import Adapter, Cell, hookimpl
from rnnbench_cells.attention import gla, hgrn2, mamba2, retnet
from rnnbench_cells.clocks import clockwork, dilated_gru, dilated_lstm, phased_lstm
from rnnbench_cells.delta import deltanet, gated_deltanet, gated_deltaproduct
from rnnbench_cells.dynamical import antisymmetric, antisymmetric_gated, cfc, cornn, lem, lipschitz, ltc, unicornn
from rnnbench_cells.elementwise import brc, gilr, indrnn, nbrc, qrnn, sru, trnn
from rnnbench_cells.elman import irnn, rnn
from rnnbench_cells.gru import gru
from rnnbench_cells.gru_variants import gru_v3, mgu, minimalrnn, ugrnn
from rnnbench_cells.identities import known
from rnnbench_cells.light import atr, cfn, fastgrnn, fastrnn, janet, ligru, ran, star
from rnnbench_cells.lru import lru
from rnnbench_cells.lstm import lstm
from rnnbench_cells.lstm_variants import lstm_cifg, lstm_ln, lstm_peephole, lstm_proj
from rnnbench_cells.memory import hippo_legs, lmu
from rnnbench_cells.minimal import mingru, minlstm
from rnnbench_cells.multiplicative import mi_rnn, multiplicative_lstm, mut1, mut2, mut3, nas, rhn, scrn
from rnnbench_cells.orthogonal import esn, exprnn, ornn, scornn
from rnnbench_cells.rwkv import rwkv6, rwkv7
from rnnbench_cells.ssm import gateloop, hgrn, mamba, rglru, s4d, s5
from rnnbench_cells.ttt import ttt_linear, ttt_minibatch
from rnnbench_cells.xlstm import mlstm, slstm

__all__ = ["gru", "irnn", "lru", "lstm", "mingru", "minlstm", "rnn"]

_FAMILIES: dict[str, tuple[Cell, ...]] = {
    "first": (rnn, irnn, lstm, gru, mingru, minlstm, lru),
    "lstm": (lstm_peephole, lstm_cifg, lstm_proj, lstm_ln, multiplicative_lstm, nas),
    "gated": (gru_v3, mgu, ugrnn, minimalrnn, janet, cfn, fastrnn, fastgrnn, ran, atr, ligru, star, mut1, mut2, mut3),
    "multiplicative": (mi_rnn, rhn, scrn),
    "elementwise": (indrnn, sru, brc, nbrc, qrnn, gilr, trnn),
    "time": (clockwork, phased_lstm, dilated_lstm, dilated_gru),
    "orthogonal": (esn, exprnn, scornn, ornn),
    "dynamical": (antisymmetric, antisymmetric_gated, cornn, unicornn, lem, lipschitz, cfc, ltc),
    "memory": (lmu, hippo_legs),
    "linear": (s4d, s5, rglru, mamba, hgrn, gateloop),
    "matrix": (
        retnet,
        gla,
        mamba2,
        hgrn2,
        mlstm,
        slstm,
        rwkv6,
        rwkv7,
        deltanet,
        gated_deltanet,
        gated_deltaproduct,
        ttt_linear,
        ttt_minibatch,
    ),
}
FAMILIES = {family: tuple(map(known, cells)) for family, cells in _FAMILIES.items()}
"""Every cell of this package with the identities it is held to, by family."""


CELLS = {cell.name: cell for family in FAMILIES.values() for cell in family}
"""The same by name."""


@hookimpl
def rnnbench_adapters() -> tuple[Adapter, ...]:
    """Blocks around a cell, named where a cell is named: `griffin:rglru`."""
    return (Adapter("blocks", study="rnnbench_cells.blocks:study", doc="blocks around a cell, `mamba:mamba`"),)


@hookimpl
def rnnbench_cells() -> tuple[Cell, ...]:
    """Every cell of this package, the first seven first."""
    return tuple(CELLS.values())
