"""The block `executor:` of a suite: a name, or a mapping with the name and the options of that executor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rnnbench.cluster import ClusterOptions
from rnnbench.errors import UsageError
from rnnbench.executor import Executor
from rnnbench.suite.problems import KeyPath, Problems, unknown
from rnnbench.suite.schema import complaint

_CONFIG = ConfigDict(strict=True, allow_inf_nan=False)


def options(executor: Executor, given: Mapping[str, Any], path: KeyPath, problems: Problems) -> Any:
    """An instance of the executor's options; None where it has none, or where a problem was noted."""
    if executor.options is None:
        for key in given:
            problems.add((*path, key), f"the executor {executor.name!r} has no options")
        return None
    hints = get_type_hints(executor.options, include_extras=True)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(executor.options)}
    before = len(problems)
    found = {}
    for key, value in given.items():
        if key not in fields:
            problems.add((*path, key), unknown(f"option of the executor {executor.name!r},", key, fields))
            continue
        try:
            found[key] = TypeAdapter(fields[key], config=_CONFIG).validate_json(json.dumps(value))
        except ValidationError as error:
            messages = dict.fromkeys(_message(detail, fields[key]) for detail in error.errors(include_url=False))
            problems.add((*path, key), " or ".join(messages))
    if len(problems) > before:
        return None
    made = executor.options
    try:
        made = made(**found)
    except UsageError as error:  # a sentence of its own
        problems.add(path, str(error))
    except Exception as error:
        problems.add(path, f"the options of the executor {executor.name!r} raised {type(error).__name__}: {error}")
    else:
        _check_machines(made, path, problems)
        return made if len(problems) == before else None
    return None


def _message(detail: ErrorDetails, hint: Any) -> str:
    """What is wrong with an option; in a mapping of names to what each asks for, with the name."""
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "unexpected_keyword_argument":
        name, key = place.rpartition(".")[::2]
        allowed = [field.name for field in dataclasses.fields(get_args(hint)[1])]
        return f"{name}: {unknown('request', key, allowed)}"
    return f"{place}: {complaint(detail)}" if place else complaint(detail)


def _check_machines(made: Any, path: KeyPath, problems: Problems) -> None:
    """Note a problem for each machine that is any."""
    for name, request in made.machines.items() if isinstance(made, ClusterOptions) else ():
        if not name or request == type(request)():
            allowed = ", ".join(field.name for field in dataclasses.fields(request)) or "nothing, with this executor"
            reason = f"machine {name!r} asks for nothing, so that it may be any; it can ask for: {allowed}"
            problems.add((*path, "machines"), reason if name else "a machine needs a name")
