"""Where asv keeps a run: by machine, commit, and environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.case import digest
from rnnbench.errors import UsageError
from rnnbench.machine.environment import HARMLESS

MAX_SLUG = 80
"""Characters of a machine's or an environment's name: asv names folders and files after them."""


@dataclass(frozen=True)
class AsvEnvironment:
    """Where a file goes and what it says of its environment: asv's machine, env_name, python and params."""

    machine: Mapping[str, str]
    env_name: str
    python: str
    params: Mapping[str, str]


def asv_environment(environment: Mapping[str, Any], backend: str, device: str, dirty: bool) -> AsvEnvironment:
    """The environment of what one framework measured on one device in one environment of `run.json`."""
    machine, software = environment.get("machine", {}), environment.get("software", {})
    cpu, cores = machine.get("cpu") or "unknown processor", machine.get("cores_allowed")
    memory = machine.get("memory")
    python = ".".join(str(software.get("python", "")).split(" ")[-1].split(".")[:2])
    version = software.get("versions", {}).get(backend, "")
    gpus = [gpu["name"] for gpu in machine.get("gpus", ()) if gpu.get("name")]
    accelerator = f"{device} {gpus[0]}" if gpus and device != "cpu" else device
    about = {
        "machine": _slug(f"{cpu}-{cores}cpu" if cores else cpu),
        "os": str(software.get("os") or ""),
        "arch": str(machine.get("architecture") or ""),
        "cpu": str(cpu),
        "num_cpu": str(cores or ""),
        "ram": f"{memory / 2**30:.0f} GiB" if memory else "",
    }
    tree = "dirty" if dirty else "clean"
    own = {"python": python, "framework": f"{backend} {version}".strip(), "device": accelerator, "tree": tree}
    name = _slug("-".join(filter(None, [own["framework"], f"py{python}", accelerator, "dirty" if dirty else ""])))
    return AsvEnvironment(about, name, python, about | own)


def commit_of(run_json: Mapping[str, Any]) -> tuple[str, bool]:
    """The commit that was measured, and whether there were uncommitted changes. Raises UsageError where none is."""
    git = run_json.get("git") or {}
    if not git.get("commit"):
        raise UsageError(
            "the run names no git commit, and asv orders its history by commits. Run the suite inside a git repository "
            "with at least one commit, then export that run."
        )
    return git["commit"], bool(git.get("dirty"))


def commit_date(folder: Path, commit: str) -> int:
    """The author date in ms, as asv itself writes it. Raises UsageError for a commit that is not there."""
    command = ["git", *HARMLESS, "-C", str(folder), "show", "-s", "--format=%at", f"{commit}^{{commit}}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            f"commit {commit} of the run is not in a git repository around {folder}, so asv could not place it. Export "
            "in a clone of the repository that was measured (`git fetch` may bring the commit)."
        ) from None
    return int(found.stdout) * 1000


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
    return slug if len(slug) <= MAX_SLUG else f"{slug[: MAX_SLUG - 13]}-{digest(slug)}"
