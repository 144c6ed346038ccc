"""The grid: what is measured, as data, and makers of its inputs. Iterated by the asv suites and by peers.py.

A new point is a new row of GRID. Nothing is timed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

import crossent
import crossent.nn.functional as F

# Elementwise losses of the grid: torch's keyword arguments that say what a user would.
OPTIONS: dict[str, dict[str, Any]] = {"kl_div": {"reduction": "batchmean"}}


def dtype_named(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


@dataclass(frozen=True)
class Point:
    """One point of the grid: a loss of inputs of this shape, classes at axis 1."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    weight: bool = False
    label_smoothing: float = 0.0
    probabilities: bool = False
    function: str = "cross_entropy"
    note: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        words = [self.function] if self.function != "cross_entropy" else []
        words += [self.note, f"({','.join(map(str, self.shape))})"]
        words += [self.dtype] if self.dtype != "float32" else []
        words += ["probabilities"] if self.probabilities else []
        words += ["smoothing"] if self.label_smoothing else []
        words += ["weight"] if self.weight else []
        return " ".join(filter(None, words))

    @property
    def is_elementwise(self) -> bool:
        return self.function != "cross_entropy"

    @property
    def nbytes(self) -> int:
        """Bytes of the input."""
        return prod(self.shape) * dtype_named(self.dtype).itemsize

    def bytes_moved(self, with_gradient: bool) -> int:
        """What must move: input in, target of its size in, gradient out."""
        return self.nbytes * (1 + (self.probabilities or self.is_elementwise) + with_gradient)

    def inputs(self, seed: int = 0) -> dict[str, Any]:
        """logits, target and the keyword arguments that torch and crossent share."""
        rng, dtype = np.random.default_rng(seed), dtype_named(self.dtype)
        logits = (rng.standard_normal(self.shape, np.float32) * np.float32(3)).astype(dtype)
        if self.is_elementwise:
            return self._elementwise(rng, logits)
        classes, positions = self.shape[1], self.shape[:1] + self.shape[2:]
        if self.probabilities:
            target = np.exp(rng.standard_normal(self.shape, np.float32)).astype(dtype)
            target /= target.sum(1, keepdims=True)
        else:
            target = rng.integers(0, classes, positions)
        options: dict[str, Any] = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        if self.weight:
            options["weight"] = rng.uniform(0.5, 2, classes).astype(dtype)
        return {"logits": logits, "target": target, "options": options}

    def _elementwise(self, rng: np.random.Generator, logits: np.ndarray) -> dict[str, Any]:
        if self.function == "kl_div":
            other = rng.standard_normal(self.shape, np.float32).astype(logits.dtype)
            logits, target = np.asarray(F.log_softmax(logits, 1)), np.asarray(F.softmax(other, 1))
        elif self.function == "mse_loss":
            target = rng.standard_normal(self.shape, np.float32).astype(logits.dtype)
        else:
            target = rng.integers(0, 2, self.shape).astype(logits.dtype)
        return {"logits": logits, "target": target, "options": OPTIONS.get(self.function, {})}

    @property
    def value(self) -> Callable[..., Any]:
        return getattr(F, self.function)

    @property
    def value_and_grad(self) -> Callable[..., Any]:
        return crossent.value_and_grad(self.value)


GRID = [
    Point((1, 10)),
    Point((128, 10)),
    Point((65536, 10)),
    Point((65536, 100)),
    Point((4096, 1000)),
    Point((512, 32000)),
    Point((256, 128256)),
    Point((1024, 128256), note="beyond caches"),
    Point((1, 262144)),
    Point((8, 21, 256, 256), note="segmentation"),
    Point((4096, 1000), weight=True),
    Point((4096, 1000), label_smoothing=0.1),
    Point((4096, 1000), weight=True, label_smoothing=0.1),
    Point((4096, 1000), probabilities=True),
    Point((4096, 1000), probabilities=True, weight=True, label_smoothing=0.1),
    Point((65536, 100), dtype="bfloat16"),
    Point((65536, 100), dtype="float64"),
    Point((65536, 100), function="binary_cross_entropy_with_logits"),
    Point((65536, 100), function="kl_div"),
    Point((65536, 100), function="mse_loss"),
]
POINTS = {point.name: point for point in GRID}
