"""What the convergence probe reports."""

from __future__ import annotations

from dataclasses import replace

from rnnbench.probes.generation import SECONDS
from rnnbench.quantity import Quantity

_DECLARED = (
    Quantity(
        "steps_to_target",
        "step",
        "lower",
        "Training steps to the first evaluation at or below the target.",
        headline=4,
        group="learning",
        goal=True,
    ),
    Quantity(
        "tokens_to_target",
        "1",
        "lower",
        "Time steps of all sequences trained on to target: steps · T · B.",
        group="learning",
        goal=True,
    ),
    Quantity(
        "seconds_to_target",
        "s",
        "lower",
        "Seconds of training steps (evaluation and data excluded) to target.",
        group="learning",
        goal=True,
    ),
    Quantity("final_validation_loss", "1", "lower", "Validation loss after the last training step."),
    Quantity(
        "best_validation_loss",
        "1",
        "lower",
        "Lowest validation loss of any evaluation.",
        headline=10,
        group="learning",
        selects="lr",
    ),
    Quantity("loss_over_chance", "1", "lower", "Best validation loss over the loss of a predictor without memory."),
    Quantity(
        "final_validation_metric",
        "1",
        "higher",
        "The task's metric (its accuracy, say) after the last step.",
        headline=12,
        group="learning",
        fallback="test_metric",
    ),
    Quantity(
        "generalisation_gap",
        "1",
        "none",  # a model that has learnt nothing has no gap, and is not better for it
        "Validation loss minus the loss on training data, dropout off for both, after the last step.",
        headline=5,
        group="overfitting",
        negligible=(0.03, "chance"),
    ),
    Quantity(
        "gap_at_best",
        "1",
        "none",
        "The same gap at the evaluation with the lowest validation loss.",
        group="overfitting",
    ),
    Quantity("test_loss", "1", "lower", "Loss of the final weights on the test split."),
    Quantity(
        "test_metric",
        "1",
        "higher",
        "The task's metric of the final weights on the test split.",
        headline=13,
        group="learning",
    ),
    Quantity("longest_test_loss", "1", "lower", "Test loss at the longest of `test_seq_lens`."),
    Quantity(
        "longest_test_metric",
        "1",
        "higher",
        "Test metric at the longest of `test_seq_lens`.",
        headline=14,
        group="learning",
    ),
    Quantity(
        "bits_per_character", "1", "lower", "Test loss over ln 2, of tasks over text.", headline=11, group="learning"
    ),
    SECONDS,
    Quantity("seconds_per_training_step", "s", "lower", "Mean time of a training step on this task."),
    Quantity(
        "train_share",
        "1",
        "higher",
        "Share of the time from the second training step to the last evaluation that was spent in training steps.",
    ),
)
_TIMED = ("seconds_to_target", SECONDS.name, "seconds_per_training_step", "train_share")

QUANTITIES = tuple(replace(one, portable=one.name not in _TIMED) for one in _DECLARED)
