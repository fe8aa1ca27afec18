"""Which number is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rnnbench.case import AXES
from rnnbench.errors import UsageError, nearest
from rnnbench.record import Record, record_labels

SHOWN = 10
"""Cases that an error lists."""
_SHORT = {"T": "seq_len", "B": "batch_size", "H": "hidden_size", "D": "input_size"}


@dataclass(frozen=True)
class Choice:
    """A case and a quantity. program: an implementation, `native` or `torch/native`; fields: axes and settings as text.

    An empty program and quantity leave the choice to what there is.
    """

    cell: str
    program: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    quantity: str = ""

    @classmethod
    def parsed(cls, words: Sequence[str]) -> Choice:
        """From the words of a command: `lstm/native T=64 train.time_per_step`, the cell first.

        Raises UsageError for words that do not fit.
        """
        cell, _, program = words[0].partition("/")
        fields: dict[str, str] = {}
        names: list[str] = []
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if equals:
                fields[_SHORT.get(key, key)] = value
            else:
                names.append(word)
        if len(names) > 1:
            raise UsageError(f"one quantity at a time, found {' and '.join(names)}; conditions are written `T=64`.")
        return cls(cell, program, fields, names[0] if names else "")


def choose(records: Sequence[Record], choice: Choice) -> Record:
    """The one case that is meant. Raises UsageError where none is, or several are, listing them."""
    cells = list(dict.fromkeys(record.case.cell for record in records))
    fitting = [record for record in records if _is_cell(record, choice.cell)]
    if not fitting:
        raise UsageError(
            f"no case of the run has the cell {choice.cell!r}.{nearest(choice.cell, cells)} There are: "
            f"{', '.join(cells)}."
        )
    fitting = _kept(fitting, "implementation", choice.program, lambda record: _programs(record))
    for name, value in choice.fields.items():
        fitting = _kept(fitting, name, value, lambda record, name=name: [_field(record, name)])
    if choice.quantity:
        names = list(dict.fromkeys(name for record in fitting for name in record.quantities))
        having = [record for record in fitting if choice.quantity in record.quantities]
        if not having and names:
            raise UsageError(
                f"there is no quantity {choice.quantity!r}.{nearest(choice.quantity, names)} "
                f"There are: {', '.join(names)}."
            )
        fitting = having or fitting
    return _only(fitting)


def headline(record: Record) -> str:
    """The quantity that people read first, empty where there is none."""
    ranked = [
        (one.quantity.headline, index, name)
        for index, (name, one) in enumerate(record.quantities.items())
        if one.quantity.headline is not None
    ]
    return min(ranked)[2] if ranked else next(iter(record.quantities), "")


def _is_cell(record: Record, cell: str) -> bool:
    """Whether the case's cell is this one; `lstm` stands for all its options, as in `--only`."""
    return cell in (record.case.cell, record.case.cell.partition("(")[0])


def _programs(record: Record) -> list[str]:
    name = record.implementation or record.case.implementation
    return [name, f"{record.case.backend}/{name}", record.case.backend]


def _field(record: Record, name: str) -> str:
    case = record.case
    if name in (*AXES, "probe", "seed"):
        return str(getattr(case, name))
    return str(case.settings.get(name, ""))


def _kept(records: Sequence[Record], name: str, value: str, texts: object) -> list[Record]:
    """Those with the value. Raises UsageError where none has it, with the values that there are."""
    if not value:
        return list(records)
    found = [record for record in records if value in texts(record)]  # type: ignore[operator]
    if not found:
        known = list(dict.fromkeys(texts(record)[0] for record in records))  # type: ignore[operator]
        raise UsageError(f"no such case has {name} {value}.{nearest(value, known)} There are: {', '.join(known)}.")
    return found


def _only(records: Sequence[Record]) -> Record:
    """The only one, or the only one that has numbers. Raises UsageError, listing the cases, where there are several."""
    numbered = [record for record in records if record.quantities] or list(records)
    if len(numbered) == 1:
        return numbered[0]
    probes = {record.case.probe for record in numbered}
    if len(probes) > 1:  # the first probe of the suite, as in a report
        return _only([record for record in numbered if record.case.probe == numbered[0].case.probe])
    lines = "".join(f"\n  {label}" for label in record_labels(numbered)[:SHOWN])
    more = f"\n  and {len(numbered) - SHOWN} more" if len(numbered) > SHOWN else ""
    raise UsageError(
        f"{len(numbered)} cases are like this; say which by `T=64`, `CELL/native`, `lr=0.01`:{lines}{more}"
    )
