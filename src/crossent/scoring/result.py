"""Score: the figures a Scorer arrives at, and their form for machines. No computing, no printing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Score:
    """The figures of logits scored against class indices; losses are in nats.

    A figure that has no value (the mean of no rows, the standard error of one) is nan.

    Attributes
    ----------
    rows, ignored : int
        Rows that were scored, and rows that were left out because their target is `ignore_index`. A row is one target.
    mean_loss : float
        ``cross_entropy(..., reduction="mean")`` of all rows: weighted where class weights were given.
    standard_error : float
        Of `mean_loss`, from the spread of the rows, taken as independent; with class weights, that of a ratio of means.
    perplexity : float
        exp(mean_loss).
    accuracy : float
        The part of the rows whose largest logit (the first of equals) is that of the target.
    ece : float
        Expected calibration error: the mean of abs(accuracy - confidence) over the reliability bins, by their rows.
    class_rows, class_loss, class_accuracy : ndarray, shape (C)
        Number, mean loss and accuracy of the rows whose target is that class.
    loss_edges, loss_rows : ndarray, shape (B + 1) and (B)
        Histogram of the rows' losses: rows with edges[b] <= loss < edges[b + 1]. Ten bins a decade from 1e-8 to 1e4,
        and an open one at each end; a loss of nan is in the last.
    bin_edges, bin_rows, bin_confidence, bin_accuracy : ndarray, shape (16) and (15)
        Reliability: rows with edges[b] < confidence <= edges[b + 1], their mean confidence and their accuracy.
        Confidence is the probability of the predicted class.
    """

    rows: int
    ignored: int
    mean_loss: float
    standard_error: float
    perplexity: float
    accuracy: float
    ece: float
    class_rows: NDArray[np.int64]
    class_loss: NDArray[np.float64]
    class_accuracy: NDArray[np.float64]
    loss_edges: NDArray[np.float64]
    loss_rows: NDArray[np.int64]
    bin_edges: NDArray[np.float64]
    bin_rows: NDArray[np.int64]
    bin_confidence: NDArray[np.float64]
    bin_accuracy: NDArray[np.float64]

    @property
    def classes(self) -> int:
        """The number of classes, C."""
        return len(self.class_rows)

    def worst_classes(self, most: int) -> NDArray[np.intp]:
        """The classes of largest mean loss, at most `most` of them, worst first; of equals the lower number first."""
        known = np.flatnonzero(~np.isnan(self.class_loss))
        return known[np.argsort(-self.class_loss[known], kind="stable")][:most]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers and lists, fit for JSON: None stands for nan and the infinities."""
        per_class = {"rows": self.class_rows, "mean_loss": self.class_loss, "accuracy": self.class_accuracy}
        reliability = {
            "edges": self.bin_edges,
            "rows": self.bin_rows,
            "confidence": self.bin_confidence,
            "accuracy": self.bin_accuracy,
        }
        names = ("rows", "ignored", "classes", "mean_loss", "standard_error", "perplexity", "accuracy", "ece")
        return {name: _plain(getattr(self, name)) for name in names} | {
            "per_class": _plain(per_class),
            "loss_histogram": _plain({"edges": self.loss_edges, "rows": self.loss_rows}),
            "reliability": _plain(reliability),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return None if isinstance(value, float) and not math.isfinite(value) else value
