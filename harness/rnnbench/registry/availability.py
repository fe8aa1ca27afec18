"""Can a case run here, and with which implementations? Answered without importing a framework."""

from __future__ import annotations

from rnnbench.backend import Backend
from rnnbench.case import AUTO, BEST, Case
from rnnbench.cell import Cell
from rnnbench.errors import PluginError
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.registry import Registry, place, spelling
from rnnbench.registry.declared import a


class Broken(str):
    """A reason that is a fault of the plugin: the case is `failed`, not `skipped`."""


def device_problem(backend: Backend, device: str) -> str | None:
    """None if `device` looks usable, else one sentence why not."""
    try:
        return _device_problem(backend, device)
    except PluginError as error:
        return Broken(error)


def support_problem(implementation: Implementation, cell: Cell, device: str, dtype: str) -> str | None:
    """None if it can run the cell there, else one sentence why not, `Broken` where it gives no usable answer."""
    try:
        answer = implementation.supports(cell, device, dtype)
        implementation.interpreter(device)
    except Exception as error:
        return Broken(error if isinstance(error, PluginError) else f"`supports` raised {place.described(error)}")
    if answer is None or isinstance(answer, str):
        return answer
    where = place.of_function(implementation.supports)
    return Broken(
        f"`supports`{where} returned {a(answer)}; return None for a cell it can run, else one sentence why not"
    )


def _interpreter(implementation: Implementation, device: str) -> str | None:
    """What runs its kernels there in place of a compiler."""
    try:
        return implementation.interpreter(device)
    except PluginError as error:
        return Broken(error)


def _device_problem(backend: Backend, device: str) -> str | None:
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
    if names:
        return names, ""
    reason = "; ".join(f"{name}: {why}" if name else why for name, why in reasons.items())
    return names, Broken(reason) if any(isinstance(why, Broken) for why in reasons.values()) else reason


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
    return [name for name in names if _interpreter(registry.implementations[backend.name, name], device) is None]


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
        interpreter = _interpreter(implementation, case.device)
        if isinstance(interpreter, Broken):
            left_out[name] = interpreter
        elif interpreter:
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
        reason = support_problem(implementation, cell, case.device, case.dtype)
        reason = reason or _lack_of_gradients(implementation, case, registry.probes.get(case.probe))
        if reason is None:
            supported.append(name)
        else:
            reasons[name] = reason
    return supported, reasons


def _lack_of_gradients(implementation: Implementation, case: Case, probe: Probe | None) -> str | None:
    """Why one that runs forward alone has nothing to do in a case; None where there is something.

    A trial compares it with others only where nothing but forward passes is asked for.
    """
    if implementation.differentiable or probe is None:
        return None
    asked = case.settings.get("modes") or (("train",) if probe.trains else ("forward",))
    beyond = [mode for mode in asked if mode != "forward"]
    if not beyond or ("forward" in asked and case.implementation != BEST):
        return None
    return f"it runs forward passes alone, and the case asks for {' and '.join(beyond)}, which takes gradients"
