"""The state of a Scorer: counts and exact sums, how rows are added to them, and the figures they give.

All of it is arrays of float64: counts, which are exact up to 2**53; ExactSums; PairCounts. So merging is adding, in any
order, and the figures depend on which rows were added and on nothing else, to the last bit. A new figure is a line in
``__init__``, one in ``add`` and one in ``score``. Called by ``scorer.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent.scoring.confusions import PairCounts
from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.profile import Profile
from crossent.scoring.result import Score
from crossent.scoring.rows import RowScores

RELIABILITY_BINS = 15  # the number of Guo et al., "On calibration of modern neural networks", 2017
LOSS_EDGES = np.concatenate([[-np.inf], 10.0 ** (np.arange(-80, 41) / 10), [np.inf]])  # 1e-8 to 1e4 nats, 10 a decade


class Totals:
    """Counts and sums over rows, for a known number of classes and of ranks that are told apart."""

    def __init__(self, classes: int, ranks: int) -> None:
        self.ignored = np.zeros(1)
        self.probability_rows = np.zeros(1)  # those scored against probabilities
        self.class_rows = np.zeros(classes)
        self.class_correct = np.zeros(classes)
        self.rank_rows = np.zeros(ranks)
        self.loss_rows = np.zeros(len(LOSS_EDGES) - 1)
        self.bin_rows = np.zeros(RELIABILITY_BINS)
        self.bin_correct = np.zeros(RELIABILITY_BINS)
        self.class_loss = ExactSum(classes)
        self.bin_confidence = ExactSum(RELIABILITY_BINS)
        self.squared_loss = ExactSum(1)
        self.entropy = ExactSum(1)
        self.brier = ExactSum(1)
        self.confusions = PairCounts()
        self.profile = Profile()

    @property
    def classes(self) -> int:
        return len(self.class_rows)

    @property
    def has_probabilities(self) -> bool:
        return bool(self.probability_rows.any())

    def add(self, rows: RowScores, has_probabilities: bool, positions: Sequence[NDArray[np.int64]] = ()) -> None:
        """Add rows, arrays of one dimension, scored against class indices or probabilities; their positions, if known."""
        scored = rows.rank >= 0
        self.ignored += np.count_nonzero(~scored)
        if not scored.all():
            rows = RowScores._make(a[scored] for a in rows)
            positions = [p[scored] for p in positions]
        self.probability_rows += len(rows.rank) * has_probabilities
        loss, correct = rows.loss.astype(np.float64), rows.correct
        confidence_bin = np.nan_to_num(np.ceil(rows.confidence * RELIABILITY_BINS), nan=1).clip(1, RELIABILITY_BINS)
        confidence_bin = confidence_bin.astype(np.intp) - 1
        np.add.at(self.class_rows, rows.target, 1.0)
        np.add.at(self.class_correct, rows.target[correct], 1.0)
        np.add.at(self.rank_rows, rows.rank[rows.rank < len(self.rank_rows)], 1.0)
        np.add.at(self.loss_rows, np.searchsorted(LOSS_EDGES[1:-1], loss, side="right"), 1.0)
        np.add.at(self.bin_rows, confidence_bin, 1.0)
        np.add.at(self.bin_correct, confidence_bin[correct], 1.0)
        self.class_loss.add(rows.target, loss)
        self.bin_confidence.add(confidence_bin, rows.confidence)
        with np.errstate(over="ignore", invalid="ignore"):
            self.squared_loss.add(None, loss * loss)
            self.entropy.add(None, rows.entropy * rows.mass)
        self.brier.add(None, rows.brier)
        wrong = (rows.rank > 0) & (rows.predicted >= 0)
        self.confusions.add(rows.target[wrong] * self.classes + rows.predicted[wrong])
        if positions:
            self.profile.add(positions, loss)

    def merge(self, other: Totals) -> None:
        """Add the counts and sums of other rows of as many classes and ranks."""
        for name, theirs in vars(other).items():
            mine = getattr(self, name)
            if isinstance(theirs, np.ndarray):
                mine += theirs
            else:
                mine.merge(theirs)

    def to_array(self) -> NDArray[np.float64]:
        """The state in one array: the number of parts, their shapes, and the parts, one for each attribute."""
        parts = [part[None] if isinstance(part, np.ndarray) else part.to_array() for part in vars(self).values()]
        shapes = np.array([part.shape for part in parts])
        return np.concatenate([[len(parts)], shapes.reshape(-1), *(part.reshape(-1) for part in parts)])

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> Totals:
        """The totals that ``to_array`` gave."""
        count = int(array[0])
        shapes, parts = array[1 : 1 + 2 * count].astype(np.intp).reshape(-1, 2), array[1 + 2 * count :]
        totals = cls(int(shapes[2, 1]), int(shapes[4, 1]))
        ends = np.cumsum(shapes.prod(axis=1))
        for (name, empty), part, shape in zip(vars(totals).items(), np.split(parts, ends[:-1]), shapes, strict=True):
            part = part.reshape(shape)
            setattr(totals, name, part[0].copy() if isinstance(empty, np.ndarray) else type(empty).from_array(part))
        return totals

    def score(self, weight: NDArray[np.float64], *, temperature: float = 1.0, nbytes: float | None = None) -> Score:
        """The figures, for what each class counts in a mean loss, and the number of bytes that the rows stand for."""
        rows, class_loss, class_weight = int(self.class_rows.sum()), self.class_loss.values(), weight * self.class_rows
        squares = self.squared_loss.total()
        positions_known = 0 < self.profile.rows.sum() == rows  # of every row
        norm, cross, weight_squares = (math.fsum(a) for a in (class_weight, weight * class_loss, weight * class_weight))
        sum_loss = self.class_loss.total()
        mean_loss = _ratio(sum_loss, norm)
        confidence = self.bin_confidence.values()
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(mean_loss))
        return Score(
            rows=rows,
            ignored=int(self.ignored[0]),
            temperature=temperature,
            mean_loss=mean_loss,
            sum_loss=sum_loss,
            standard_error=standard_error(rows, sum_loss, squares, norm, cross, weight_squares),
            standard_deviation=standard_error(rows, sum_loss, squares, rows, sum_loss, rows) * math.sqrt(rows),
            perplexity=perplexity,
            bits=mean_loss / math.log(2),
            bits_per_byte=math.nan if nbytes is None else _ratio(sum_loss / math.log(2), nbytes),
            entropy=_ratio(self.entropy.total(), norm),
            accuracy=_ratio(self.class_correct.sum(), rows),
            top_accuracy=_ratios(self.rank_rows.cumsum(), rows),
            brier=_ratio(self.brier.total(), rows),
            ece=_ratio(math.fsum(abs(confidence - self.bin_correct)), rows),
            class_rows=self.class_rows.astype(np.int64),
            class_loss=_ratios(class_loss, class_weight),
            class_accuracy=_ratios(self.class_correct, self.class_rows),
            loss_edges=LOSS_EDGES.copy(),
            loss_rows=self.loss_rows.astype(np.int64),
            bin_edges=np.arange(RELIABILITY_BINS + 1) / RELIABILITY_BINS,
            bin_rows=self.bin_rows.astype(np.int64),
            bin_confidence=_ratios(confidence, self.bin_rows),
            bin_accuracy=_ratios(self.bin_correct, self.bin_rows),
            confusions=self._confusions(),
            positions=self.profile.positions() if positions_known else None,
        )

    def _confusions(self) -> NDArray[np.int64] | None:
        """(target, predicted, rows) of each pair, most rows first; of equals in the order of the classes."""
        if not self.confusions.known:
            return None
        pairs, counts = self.confusions.counts()
        order = np.argsort(-counts, kind="stable")
        target, predicted = np.divmod(pairs[order], max(1, self.classes))
        return np.stack([target, predicted, counts[order].astype(np.int64)], axis=1)


def standard_error(rows: int, total: float, squares: float, norm: float, cross: float, weight_squares: float) -> float:
    """Of D = sum_i l_i / sum_i w_i, the mean of n weighted losses: sqrt(n/(n-1) sum_i (l_i - D w_i)^2) / sum_i w_i.

    The square is multiplied out, so that sums over rows suffice, of l_i, l_i^2, w_i, w_i l_i and w_i^2: in exact fractions,
    as its terms nearly cancel. nan where there is none.
    """
    if rows < 2 or norm == 0 or not all(map(math.isfinite, (total, squares, norm))):
        return math.nan
    mean = Fraction(total) / Fraction(norm)
    residuals = Fraction(squares) - 2 * mean * Fraction(cross) + mean * mean * Fraction(weight_squares)
    return math.sqrt(max(residuals, Fraction(0)) * Fraction(rows, rows - 1)) / abs(norm)


def _ratios(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """numerator / denominator; nan for 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: NDArray[np.float64] = np.true_divide(numerator, denominator, dtype=np.float64)
    return ratios


def _ratio(numerator: Any, denominator: Any) -> float:
    return float(_ratios(numerator, denominator))
