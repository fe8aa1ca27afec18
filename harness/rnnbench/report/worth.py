"""Which quantities of a panel are worth a table."""

from __future__ import annotations

from rnnbench.report.series import Panel


def headlines(panel: Panel) -> list[str]:
    """The quantities of which tables are shown unless everything is asked for, by rank."""
    names = [name for name in panel.headlines if not _is_negligible(panel, name)]
    names = [name for name in names if not panel.quantities[name].fallback or _stands_in(panel, name)]
    names += [name for name in panel.quantities if name not in panel.headlines and _stands_in(panel, name)]
    return sorted(names, key=lambda name: panel.quantities[name].headline or 0)


def _stands_in(panel: Panel, name: str) -> bool:
    """Whether it is the fallback of a quantity that some row has no number for."""
    principal = panel.quantities[name].fallback
    entries = [group.entry(principal) for series in panel.series for group in series.groups.values()]
    return bool(principal) and any(entry.status == "missing" for entry in entries)


def _is_negligible(panel: Panel, name: str) -> bool:
    """Whether no number of it says anything, see `Quantity.negligible`."""
    declared = panel.quantities[name]
    if declared.negligible is None:
        return False
    share, detail = declared.negligible
    for group in (group for series in panel.series for group in series.groups.values()):
        shares = [record.details.get(detail) for record in group.records]
        found = [one for one in shares if isinstance(one, int | float)]
        if found and group.entry(name).number > share * max(found):
            return False
    return True
