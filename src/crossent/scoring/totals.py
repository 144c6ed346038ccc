"""The state of a Scorer: counts and exact sums, how rows are added to them, and the figures they give.

All of it is int64 arrays and ExactSums, so merging is adding. A new figure is a line in ``__init__``, one in ``add`` and
one in ``score``. Called by ``scorer.py``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.result import Score

RELIABILITY_BINS = 15  # the number of Guo et al., "On calibration of modern neural networks", 2017
LOSS_EDGES = np.concatenate([[-np.inf], 10.0 ** (np.arange(-80, 41) / 10), [np.inf]])  # 1e-8 to 1e4 nats, 10 a decade


class Totals:
    """Counts and sums over rows, for a known number of classes."""

    def __init__(self, classes: int) -> None:
        self.ignored = np.zeros(1, np.int64)
        self.class_rows = np.zeros(classes, np.int64)
        self.class_correct = np.zeros(classes, np.int64)
        self.class_loss = ExactSum(classes)
        self.squared_loss = ExactSum(1)
        self.loss_rows = np.zeros(len(LOSS_EDGES) - 1, np.int64)
        self.bin_rows = np.zeros(RELIABILITY_BINS, np.int64)
        self.bin_correct = np.zeros(RELIABILITY_BINS, np.int64)
        self.bin_confidence = ExactSum(RELIABILITY_BINS)

    @property
    def classes(self) -> int:
        return len(self.class_rows)

    def add(
        self,
        target: NDArray[np.int64],
        predicted: NDArray[np.intp],
        loss: NDArray[np.float64],
        confidence: NDArray[np.float64],
    ) -> None:
        """Add rows, given as one array each."""
        correct = (target == predicted).astype(np.int64)  # np.add.at is slow where it has to convert
        loss_bin = np.searchsorted(LOSS_EDGES[1:-1], loss, side="right")
        confidence_bin = np.nan_to_num(np.ceil(confidence * RELIABILITY_BINS), nan=1).clip(1, RELIABILITY_BINS)
        confidence_bin = confidence_bin.astype(np.intp) - 1
        np.add.at(self.class_rows, target, 1)
        np.add.at(self.class_correct, target, correct)
        np.add.at(self.loss_rows, loss_bin, 1)
        np.add.at(self.bin_rows, confidence_bin, 1)
        np.add.at(self.bin_correct, confidence_bin, correct)
        self.class_loss.add(target, loss)
        self.bin_confidence.add(confidence_bin, confidence)
        with np.errstate(over="ignore"):
            self.squared_loss.add(np.zeros_like(target), loss * loss)

    def merge(self, other: Totals) -> None:
        """Add the counts and sums of other rows of as many classes."""
        for name, theirs in vars(other).items():
            mine = getattr(self, name)
            if isinstance(theirs, ExactSum):
                mine.merge(theirs)
            else:
                mine += theirs

    def score(self, weight: NDArray[np.float64]) -> Score:
        """The figures, for these class weights."""
        rows, norm = int(self.class_rows.sum()), math.fsum(weight * self.class_rows)
        mean_loss = _ratio(self.class_loss.total(), norm)
        confidence = self.bin_confidence.values()
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(mean_loss))
        return Score(
            rows=rows,
            ignored=int(self.ignored[0]),
            mean_loss=mean_loss,
            standard_error=self._standard_error(rows, weight, norm),
            perplexity=perplexity,
            accuracy=_ratio(self.class_correct.sum(), rows),
            ece=_ratio(math.fsum(abs(confidence - self.bin_correct)), rows),
            class_rows=self.class_rows.copy(),
            class_loss=_ratios(self.class_loss.values(), weight * self.class_rows),
            class_accuracy=_ratios(self.class_correct, self.class_rows),
            loss_edges=LOSS_EDGES.copy(),
            loss_rows=self.loss_rows.copy(),
            bin_edges=np.arange(RELIABILITY_BINS + 1) / RELIABILITY_BINS,
            bin_rows=self.bin_rows.copy(),
            bin_confidence=_ratios(confidence, self.bin_rows),
            bin_accuracy=_ratios(self.bin_correct, self.bin_rows),
        )

    def _standard_error(self, rows: int, weight: NDArray[np.float64], norm: float) -> float:
        """Of the mean sum_i l_i / sum_i w_i, l_i the weighted loss: sqrt(n/(n-1) sum_i (l_i - mean w_i)^2) / sum_i w_i.

        The square is multiplied out, so that sums over rows suffice: in exact fractions, as its terms nearly cancel.
        """
        total, squares = self.class_loss.total(), self.squared_loss.total()
        if rows < 2 or norm == 0 or not all(map(math.isfinite, (total, squares, norm))):
            return math.nan
        mean = Fraction(total) / Fraction(norm)
        cross = Fraction(math.fsum(weight * self.class_loss.values()))
        weight_squares = Fraction(math.fsum(weight * weight * self.class_rows))
        residuals = Fraction(squares) - 2 * mean * cross + mean * mean * weight_squares
        return math.sqrt(max(residuals, Fraction(0)) * Fraction(rows, rows - 1)) / abs(norm)


def _ratios(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """numerator / denominator; nan for 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: NDArray[np.float64] = np.true_divide(numerator, denominator, dtype=np.float64)
    return ratios


def _ratio(numerator: Any, denominator: Any) -> float:
    return float(_ratios(numerator, denominator))
