"""Normalisations, in the array API."""

from __future__ import annotations

from typing import Any

from rnnbench import Array

EPS = 1e-5


def layer_norm(ops: Any, x: Array, gain: Array, eps: float = EPS) -> Array:
    """gain ∘ (x − mean x) / sqrt(var x + eps) over the last axis (Ba, Kiros & Hinton 2016, arXiv:1607.06450)."""
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return gain * x / ops.sqrt(ops.mean(x * x, axis=-1, keepdims=True) + eps)


def rms_norm(ops: Any, x: Array, gain: Array, eps: float = EPS) -> Array:
    """gain ∘ x / sqrt(mean x² + eps) over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467)."""
    return gain * x / ops.sqrt(ops.mean(x * x, axis=-1, keepdims=True) + eps)


def unit(ops: Any, x: Array, eps: float = 1e-6) -> Array:
    """x / sqrt(Σ x² + eps) over the last axis: keys of length one."""
    return x / ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True) + eps)
