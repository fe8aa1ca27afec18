"""A plugin imported for the first time, in a process that it may bring down, and its cells tried.

Importing a file runs it: it may end the process, loop for ever, or change the process so that all that comes after it
fails. The command imports only what came through this.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pluggy

from rnnbench import hooks
from rnnbench.cell import Cell
from rnnbench.errors import PluginError
from rnnbench.implementation import Implementation
from rnnbench.machine.environment import THREAD_VARIABLES
from rnnbench.registry import brought, installed, place
from rnnbench.registry.declared import a
from rnnbench.registry.plugin_files import import_file
from rnnbench.worker.preflight import check_cell

_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"file": path}` or `{"installed": name}` -> `{"problem": one sentence or ""}`."""
    changed, process = watched(), os.getpid()
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        if "file" in job:
            module, name = import_file(Path(job["file"])), job["file"]
        else:
            module, name = installed()[job["installed"]].load(), job["installed"]
        if os.getpid() != process:
            os._exit(0)  # a child that the import has left in the middle of this
        values = [value for _, value in brought(manager, name, module)]
        problem = changed()
        if not problem:
            for value in values:
                _try(value, values)
    except PluginError as error:
        problem = str(error)
    except BaseException as error:  # also what is made to pass by `except Exception`
        problem = place.described(error)
    return {"problem": problem}


def watched() -> Callable[[], str]:
    """What says, in one sentence, the first thing that has changed in this process since; empty where nothing has."""
    before, variables = _process(), dict(os.environ)

    def changed() -> str:
        after = _process() | _variables(variables, dict(os.environ))
        return next(_changed(before | _variables(variables), after), "")

    return changed


def _try(value: Any, values: list[Any]) -> None:
    """Raises PluginError for a cell that cannot be run, or an implementation that gives no usable answer."""
    if isinstance(value, Cell):
        check_cell(value)
    if isinstance(value, Implementation):
        for cell in [one for one in values if isinstance(one, Cell)] or [Cell("any", _no_init)]:
            _try_supports(value, cell)


def _try_supports(implementation: Implementation, cell: Cell) -> None:
    where = f"implementation {implementation.name!r}: `supports`{place.of_function(implementation.supports)}"
    try:
        answer = implementation.supports(cell, "cpu", "float32")
    except Exception as error:
        raise PluginError(
            f"implementation {implementation.name!r}: `supports` raised {place.described(error)}; return None for a "
            "cell it can run, else one sentence why not"
        ) from error
    if answer is not None and not isinstance(answer, str):
        raise PluginError(
            f"{where} returned {answer if isinstance(answer, bool) else a(answer)}; return None for a cell it can run, "
            "else one sentence why not"
        )


def _no_init(*_: Any, **__: Any) -> Any:
    raise PluginError("this cell only asks what `supports` answers")


def _process() -> dict[str, Any]:
    """What an import must leave as it was, by the words a message has for it."""
    umask = os.umask(0)
    os.umask(umask)
    found: dict[str, Any] = {
        "the folder the process works in": _folder(),
        "the recursion limit": sys.getrecursionlimit(),
        "standard input, output or error": (*map(_leads_to, range(3)), id(sys.stdin), id(sys.stdout), id(sys.stderr)),
        "a timer or alarm": [signal.getitimer(which)[0] > 0 for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "the handler of a signal": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "the threads that run": threading.active_count(),
        "the processes that run": _has_children(),
        "the umask": umask,
        "the CPUs it may use": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "its priority": os.getpriority(os.PRIO_PROCESS, 0),
        "what traces it": (sys.gettrace(), sys.getprofile()),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "what NumPy does with errors": np.geterr(),
    }
    found |= {f"the limit {name}": resource.getrlimit(which) for name, which in _LIMITS.items()}
    return found | _frameworks()


_TORCH: Mapping[str, tuple[Any, Callable[[Any], Any]]] = {
    "whether torch records gradients": (True, lambda torch: torch.is_grad_enabled()),
    "torch's inference mode": (False, lambda torch: torch.is_inference_mode_enabled()),
    "torch's default dtype": ("torch.float32", lambda torch: str(torch.get_default_dtype())),
    "torch's default device": ("cpu", lambda torch: str(torch.get_default_device())),
    "torch's precision of products": ("highest", lambda torch: torch.get_float32_matmul_precision()),
    "torch's deterministic algorithms": (False, lambda torch: torch.are_deterministic_algorithms_enabled()),
    "torch's detection of anomalies": (False, lambda torch: torch.is_anomaly_enabled()),
    "whether torch uses oneDNN": (True, lambda torch: torch.backends.mkldnn.enabled),
    "whether torch uses cuDNN": (True, lambda torch: torch.backends.cudnn.enabled),
}
_JAX: Mapping[str, Any] = {
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
    "jax_default_device": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_numpy_dtype_promotion": "standard",
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_no_execution": False,
}
"""What changes numbers or times of a framework, with what it begins with."""


def _frameworks() -> dict[str, Any]:
    """Of a framework that nothing has imported, what it begins with. What the user's environment sets for jax is no
    plugin's. Threads of torch, TF32 and the cache of jax are set by the backends, before every case.
    """
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    found = {what: first if torch is None else ask(torch) for what, (first, ask) in _TORCH.items()}
    for name, first in _JAX.items():
        if name.upper() not in os.environ:
            found[f"{name} of jax"] = first if jax is None else jax.config.values.get(name, first)
    return found | {"whether denormal numbers are kept": bool(np.float32(1e-40) * np.float32(1) > 0)}


def _variables(before: Mapping[str, str], after: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The variables of the environment that were there, and those that change numbers, as `_process` has the rest.

    Others may be added: many libraries speak to their own parts this way. Values of others that were there may change,
    a longer PATH say.
    """
    after = before if after is None else after
    there = {f"{name} in the environment": name in after for name in before}
    return there | {f"{name} in the environment": after.get(name) for name in THREAD_VARIABLES}


def _has_children() -> bool:
    """Whether there are some; of those that have ended, whoever started them is still told how."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        else:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for what, was in before.items():
        if after.get(what, was) != was:
            yield f"it changes {what} while it is imported; do that in the function that needs it, and undo it there"


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _leads_to(descriptor: int) -> tuple[int, int] | None:
    """What file, pipe or terminal; None where it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
