"""What can go wrong, as values a user can act on.

`UsageError` and its children end the command with exit code 2 and their message, never a traceback. The others
are raised inside a case and become the status of its record.

A plugin may raise, and rnnbench answers:

    UsageError     in a function of a cell or task, where an option or a file is wrong: the message is the user's
    Skipped        in `Probe.measure`, `Backend.build`, `Implementation.build`: the row is `skipped`
    Diverged       in `Probe.measure`: the row is `diverged`
    OutOfMemory    in any method of a `Program`: the row is `oom`, as it is for a MemoryError
    CaseError      in a probe, for what makes its number wrong: the row is `failed`, the message is its reason
    anything else  inside a case: the row is `failed` with type, message, file and line; the other cases go on
"""

from __future__ import annotations


class RnnbenchError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(RnnbenchError):
    """The user asked for something impossible. The message says what was found, what is allowed, and what to do."""


class SuiteError(UsageError):
    """A suite file is malformed. The message starts with `file:line:`."""


class PluginError(UsageError):
    """A plugin is broken or two plugins clash. The message names the plugin and the remedy."""


class CaseError(RnnbenchError):
    """Base of the errors that become a record's status rather than end the run."""

    status = "failed"


class Skipped(CaseError):
    """The case cannot run here, for a reason that is nobody's fault (device absent, unsupported combination)."""

    status = "skipped"


class Wrong(CaseError):
    """The program, or the mathematics it is held against, is not the function it claims to be. The message says how."""

    status = "wrong"


class Diverged(CaseError):
    """Training, or the cell itself, left the finite numbers. The message names the step."""

    status = "diverged"


class OutOfMemory(CaseError):
    """The device or the process ran out of memory."""

    status = "oom"


SYNONYMS = {
    "gpu": "cuda",
    "nvidia": "cuda",
    "fp16": "float16",
    "half": "float16",
    "fp32": "float32",
    "single": "float32",
    "fp64": "float64",
    "double": "float64",
    "bf16": "bfloat16",
    "cudnn": "native",
    "onednn": "native",
    "mkldnn": "native",
    "pytorch": "torch",
    "vanilla": "rnn",
    "elman": "rnn",
    "length": "seq_len",
    "steps": "seq_len",
    "batch": "batch_size",
    "hidden": "hidden_size",
    "features": "input_size",
    "num_layers": "layers",
    "depth": "layers",
    "speed": "throughput",
    "time": "throughput",
    "latency": "decode",
    "training": "convergence",
    "learning": "convergence",
}
"""What people write for a name of ours that is spelled quite differently."""


def nearest(name: str, allowed: object) -> str:
    """A hint for the end of a message: the nearest of `allowed`, or what people mean by `name` (`gpu`: `cuda`).

    Args:
        name: What was found.
        allowed: What may stand there; anything that can be listed, compared as text.

    Returns:
        `" Did you mean 'x'?"` with its leading space, or `""` where none is near.

    Example:
        >>> from rnnbench import nearest
        >>> nearest("lstn", ["lstm", "gru"])
        " Did you mean 'lstm'?"
        >>> nearest("tree", ["lstm", "gru"])
        ''
    """
    import difflib

    names = [str(a) for a in allowed]  # type: ignore[attr-defined]
    meant = SYNONYMS.get(str(name).lower())
    if meant in names:
        return f" Did you mean {meant!r}?"
    close = difflib.get_close_matches(str(name)[:200], names, n=1)
    if not close or (meant is not None and not close[0].startswith(str(name))):
        return ""  # `tpu` is close to `gpu`, and not what is meant
    return f" Did you mean {close[0]!r}?"
