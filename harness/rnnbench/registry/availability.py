"""Can a case run here, and with which implementations? Answered without importing a framework."""

from __future__ import annotations

from rnnbench.backend import Backend
from rnnbench.case import AUTO, BEST, Case
from rnnbench.cell import Cell
from rnnbench.registry import Registry, spelling


def device_problem(backend: Backend, device: str) -> str | None:
    """None if `device` looks usable, else one sentence why not."""
    missing = backend.missing()
    if missing is not None:
        return missing
    devices = backend.devices()
    if device not in devices:
        return f"backend {backend.name!r} knows no device {device!r}; it knows {', '.join(devices)}"
    return devices[device]


def _known_problem(backend: Backend, device: str, registry: Registry) -> str | None:
    """As `device_problem`, asked once per registry: a suite has thousands of cases on one device."""
    key = backend.name, device
    if key not in registry.device_problems:
        registry.device_problems[key] = device_problem(backend, device)
    return registry.device_problems[key]


def candidates(case: Case, registry: Registry) -> tuple[list[str], str]:
    """Implementations to try for a case, best first, and the reason where there is none.

    A probe that ignores the implementation measures the portable step itself: it runs on the stepwise reference. Of
    `best`, whose order a trial finds, those of `auto` come first.
    """
    names, reasons = considered(case, registry)
    return names, "" if names else "; ".join(f"{name}: {why}" if name else why for name, why in reasons.items())


def considered(case: Case, registry: Registry) -> tuple[list[str], dict[str, str]]:
    """As `candidates`, with the reason of each that is none; what concerns them all has the empty name."""
    backend = registry.backends[case.backend]
    problem = _known_problem(backend, case.device, registry)
    if problem is not None:
        return [], {"": problem}
    cell = registry.cells[spelling.parse(case.cell)[0]]
    if cell.framework not in (None, case.backend):
        return [], {"": f"cell {cell.name!r} is a class of {cell.framework}"}
    if "implementation" in registry.probes[case.probe].ignores:
        names = [registry.stepwise(case.backend).name]
    elif case.implementation == AUTO:
        names = _preferred(backend, case.device, registry)
    elif case.implementation == BEST:
        return _quick_to_build(backend, cell, case, registry)
    else:
        names = [case.implementation]
    return _supported(names, cell, case, registry)


def _preferred(backend: Backend, device: str, registry: Registry) -> list[str]:
    """The backend's own order, then whatever plugins added, in the order they were loaded; nothing that would be
    interpreted there.
    """
    order = list(backend.preferred(device))
    brought = [implementation.name for implementation in registry.implementations_of(backend.name)]
    extra = [name for name in brought if name not in order and _from_user(registry, backend.name, name)]
    names = [name for name in order if name in brought] + extra
    return [name for name in names if registry.implementations[backend.name, name].interpreter(device) is None]


def _from_user(registry: Registry, backend: str, name: str) -> bool:
    """Whether an implementation came in by a file the user named, so that `auto` should consider it."""
    return registry.origins["implementation", f"{backend}/{name}"].asked_for


def _quick_to_build(backend: Backend, cell: Cell, case: Case, registry: Registry) -> tuple[list[str], dict[str, str]]:
    """All that a trial may try, those of `auto` first."""
    every = [one.name for one in registry.implementations_of(backend.name)]
    names = list(dict.fromkeys([*_preferred(backend, case.device, registry), *every]))
    left_out: dict[str, str] = {}
    for name in names:
        implementation = registry.implementations[backend.name, name]
        if interpreter := implementation.interpreter(case.device):
            left_out[name] = f"{interpreter} runs it on {case.device}, whose times are not the kernel's"
        elif implementation.slow_to_build:
            left_out[name] = "it takes longer to build than a case may"
    supported, reasons = _supported([name for name in names if name not in left_out], cell, case, registry)
    return supported, reasons | left_out


def _supported(names: list[str], cell: Cell, case: Case, registry: Registry) -> tuple[list[str], dict[str, str]]:
    reasons: dict[str, str] = {}
    supported = []
    for name in names:
        implementation = registry.implementations.get((case.backend, name))
        if implementation is None:
            known = ", ".join(i.name for i in registry.implementations_of(case.backend))
            reasons[""] = f"backend {case.backend!r} has no implementation {name!r}; it has {known}"
            continue
        reason = implementation.supports(cell, case.device, case.dtype)
        if reason is None:
            supported.append(name)
        else:
            reasons[name] = reason
    return supported, reasons
