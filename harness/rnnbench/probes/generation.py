"""What a trained model writes: the next character drawn from its outputs, and shown to it as the next input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Program
from rnnbench.cell import Option
from rnnbench.context import Context
from rnnbench.errors import Diverged, UsageError
from rnnbench.measure.clock import SYSTEM, Clock
from rnnbench.measure.statistics import median_interval
from rnnbench.measurement import Measurement
from rnnbench.quantity import Quantity, Value
from rnnbench.task import Task

if TYPE_CHECKING:
    import numpy as np

SECONDS = Quantity(
    "seconds_per_sampled_token",
    "s",
    "lower",
    "Median time to draw one token and step the model with it: one sequence, drawing on the host included.",
)


@dataclass(frozen=True)
class Written:
    """ids: what was drawn, without the prompt. seconds: what each of them took."""

    ids: list[int]
    seconds: list[float]


def check(settings: Mapping[str, Any], task: Task, options: Mapping[str, Option]) -> str | None:
    """Why the settings `prompt`, `temperature` and `sample_length` are impossible on this task, or None."""
    prompt = settings["prompt"]
    if prompt is None:
        return None
    if task.encode is None or task.decode is None:
        return f"prompt {prompt!r}: task {task.name} is not over text, so nothing can be written; leave prompt out"
    if not prompt:
        return "prompt '': a model writes on from at least one character; leave prompt out to have no text written"
    try:
        task.encode(prompt, **options)
    except UsageError as error:
        return f"prompt {prompt!r}: {error}"
    return None


def sample(context: Context, program: Program) -> Measurement:
    """What a trained program writes after the prompt of the settings, and how long a token takes."""
    given, task, options = context.settings, context.task, context.task_options or {}
    assert task is not None and task.encode is not None and task.decode is not None  # `check` was asked
    written = write(
        program,
        task.encode(given.prompt, **options),
        features=context.case.input_size,
        length=given.sample_length,
        choose=partial(draw, given.temperature, context.rng("sample", context.case.settings["task"], given.replicate)),
    )
    text = task.decode(written.ids, **options)
    found = median_interval(written.seconds)
    return Measurement(
        {SECONDS.name: Value(found.value, found.low, found.high, samples=written.seconds)},
        details={"sample": {"prompt": given.prompt, "temperature": given.temperature, "text": text}},
    )


def write(
    program: Program,
    prompt_T: np.ndarray,
    *,
    features: int,
    length: int,
    choose: Callable[[np.ndarray], int],
    clock: Clock = SYSTEM,
) -> Written:
    """`length` ids, each chosen from the outputs (O,) after all before it; the state is carried, never recomputed.

    prompt_T: ids, at least one; features: how many there are. Raises Diverged where an output is not finite.
    """
    states, outputs = program.forward(_inputs(program, prompt_T, features))
    program.forward(_inputs(program, prompt_T[-1:], features), states)  # one step compiles apart from what is timed
    written = Written([], [])
    for _ in range(length):
        started = clock.now()
        written.ids.append(choose(program.get(outputs)[-1, 0]))
        states, outputs = program.forward(_inputs(program, written.ids[-1:], features), states)
        written.seconds.append(clock.now() - started)
    return written


def draw(temperature: float, rng: np.random.Generator, logits_O: np.ndarray) -> int:
    """One id from softmax(logits / temperature) in float64; the first of the largest where temperature is 0."""
    import numpy as np

    logits_O = logits_O.astype(np.float64)
    if not np.isfinite(logits_O).all():
        raise Diverged("the trained model's outputs are not finite while it writes; lower lr or set clip")
    if temperature == 0:
        return int(np.argmax(logits_O))
    with np.errstate(over="ignore"):  # close to 0 all but the largest become −inf, whose share is 0
        share_O = np.exp((logits_O - logits_O.max()) / temperature)
    return int(rng.choice(len(share_O), p=share_O / share_O.sum()))


def _inputs(program: Program, ids_T: Any, features: int) -> Any:
    """One-hot xs (T, 1, features) on the device."""
    import numpy as np

    return program.put({"xs": np.eye(features, dtype=np.float32)[ids_T][:, None]})["xs"]
