"""The grid: what is measured, as data, and makers of its inputs. Iterated by the asv suites and by peers.py.

A new loss is a new row of GRID. Nothing is timed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Point:
    """One point of the grid: a cross entropy of logits of this shape, classes at axis 1."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    weight: bool = False
    label_smoothing: float = 0.0
    probabilities: bool = False
    note: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        words = [self.note, f"({','.join(map(str, self.shape))})"]
        words += [self.dtype] if self.dtype != "float32" else []
        words += ["probabilities"] if self.probabilities else []
        words += ["smoothing"] if self.label_smoothing else []
        words += ["weight"] if self.weight else []
        return " ".join(filter(None, words))

    @property
    def nbytes(self) -> int:
        """Bytes of the logits."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def bytes_moved(self, with_gradient: bool) -> int:
        """What must move: logits in, probabilities in, gradient out."""
        return self.nbytes * (1 + self.probabilities + with_gradient)

    def inputs(self, seed: int = 0) -> dict[str, Any]:
        """logits, target and the keyword arguments that torch and crossent share."""
        rng = np.random.default_rng(seed)
        logits = rng.standard_normal(self.shape, np.float32).astype(self.dtype) * np.dtype(self.dtype).type(3)
        classes, positions = self.shape[1], self.shape[:1] + self.shape[2:]
        if self.probabilities:
            target = np.exp(rng.standard_normal(self.shape, np.float32)).astype(self.dtype)
            target /= target.sum(1, keepdims=True)
        else:
            target = rng.integers(0, classes, positions)
        options: dict[str, Any] = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        if self.weight:
            options["weight"] = rng.uniform(0.5, 2, classes).astype(self.dtype)
        return {"logits": logits, "target": target, "options": options}


GRID = [
    Point((1, 10)),
    Point((128, 10)),
    Point((65536, 10)),
    Point((65536, 100)),
    Point((4096, 1000)),
    Point((512, 32000)),
    Point((256, 128256)),
    Point((1, 262144)),
    Point((8, 21, 256, 256), note="segmentation"),
    Point((4096, 1000), weight=True),
    Point((4096, 1000), label_smoothing=0.1),
    Point((4096, 1000), weight=True, label_smoothing=0.1),
    Point((4096, 1000), probabilities=True),
    Point((4096, 1000), probabilities=True, weight=True, label_smoothing=0.1),
    Point((65536, 100), dtype="float64"),
]
POINTS = {point.name: point for point in GRID}
