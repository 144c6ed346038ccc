"""Score: the figures a Scorer arrives at, and their form for machines. No computing, no printing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_CONFUSED = 20  # pairs in ``to_dict``
COUNTS = ("rows", "ignored")
FIGURES = (
    "temperature", "mean_loss", "sum_loss", "standard_error", "standard_deviation", "perplexity", "bits", "bits_per_byte",
    "entropy", "accuracy", "top_accuracy", "brier", "ece",
)  # fmt: skip
GROUPS = {  # of arrays of one length, edges apart: their names in JSON, and here
    "per_class": {"rows": "class_rows", "mean_loss": "class_loss", "accuracy": "class_accuracy"},
    "loss_histogram": {"edges": "loss_edges", "rows": "loss_rows"},
    "reliability": {
        "edges": "bin_edges",
        "rows": "bin_rows",
        "confidence": "bin_confidence",
        "accuracy": "bin_accuracy",
    },
}


class Positions(NamedTuple):
    """The loss over position. What a position is, along one axis or two, ``Scorer`` says.

    Attributes
    ----------
    width : ndarray of int64, shape (1) or (2)
        Element [i] of the others is about the positions from width[0] * i to width[0] * (i + 1) - 1, element [i, j] about
        such a range along each axis.
    rows, mean_loss : ndarray, shape (P) or (P, Q)
        Number of rows and mean of their losses.
    """

    width: NDArray[np.int64]
    rows: NDArray[np.int64]
    mean_loss: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """The figures of logits scored against classes; losses are in nats.

    A figure that has no value (the mean of no rows, the standard error of one) is nan.

    Attributes
    ----------
    rows, ignored : int
        Rows that were scored, and rows that were left out because their target is `ignore_index`. A row is one target.
    temperature : float
        What the logits were divided by.
    mean_loss : float
        ``cross_entropy(..., reduction="mean")`` of all rows: weighted where class weights were given.
    sum_loss : float
        ``cross_entropy(..., reduction="sum")`` of all rows.
    standard_error : float
        Of `mean_loss`, from the spread of the rows, taken as independent; with class weights, that of a ratio of means.
    standard_deviation : float
        Of the rows' losses.
    perplexity : float
        exp(mean_loss).
    bits : float
        mean_loss / ln 2.
    bits_per_byte : float
        sum_loss / ln 2 over the bytes that the rows stand for; nan where their number was not given.
    entropy : float
        Mean of the rows' entropies, in nats, each weighted as its row's loss is: the loss that there would be if targets
        were drawn from the predictions. d mean_loss / d log temperature = entropy - mean_loss.
    accuracy : float
        The part of the rows whose largest logit (the first of equals) is that of the target.
    top_accuracy : ndarray, shape (K)
        The part of the rows whose target is among the k classes of largest logit, for k from 1 to K, the smaller of `top_k`
        and the number of classes. Of equal logits that of the lower class counts as larger.
    brier : float
        Mean of sum_c (p_c - [c = target])^2, from 0 to 2: for two classes twice the score of the positive class alone.
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
    confusions : ndarray of int64, shape (P, 3), or None
        Target, predicted class and number of rows of each wrong pair, most rows first, of equals in the order of the
        classes. None if there are more than 2**20 different pairs, which are too many to count.
    positions : Positions or None
        Number of rows and mean of their losses over position; None if the position of a row is not known, and without rows.
    """

    rows: int
    ignored: int
    temperature: float
    mean_loss: float
    sum_loss: float
    standard_error: float
    standard_deviation: float
    perplexity: float
    bits: float
    bits_per_byte: float
    entropy: float
    accuracy: float
    top_accuracy: NDArray[np.float64]
    brier: float
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
    confusions: NDArray[np.int64] | None
    positions: Positions | None

    @property
    def classes(self) -> int:
        """The number of classes, C."""
        return len(self.class_rows)

    def worst_classes(self, most: int, fewest: int = 1) -> NDArray[np.intp]:
        """The classes of largest mean loss, at most `most` of them, worst first; of equals the lower number first.

        Of the classes with `fewest` rows or more: the mean of a few is large by chance, among many classes for one of them.
        """
        known = np.flatnonzero(~np.isnan(self.class_loss) & (self.class_rows >= fewest))
        return known[np.argsort(-self.class_loss[known], kind="stable")][:most]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers and lists, fit for JSON: None stands for nan and the infinities.

        Of the confusions the first 20.
        """
        groups = {group: {key: plain(getattr(self, name)) for key, name in names.items()} for group, names in GROUPS.items()}
        confusions = None if self.confusions is None else self.confusions[:MOST_CONFUSED]
        scalars = {name: plain(getattr(self, name)) for name in (*COUNTS, "classes", *FIGURES)}
        positions = self.positions and {name: plain(array) for name, array in self.positions._asdict().items()}
        return scalars | groups | {"confusions": plain(confusions), "positions": positions}

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> Score:
        """The Score that ``to_dict`` was asked of, with nan for None, and as many confusions as there are."""
        values: dict[str, Any] = {name: int(figures[name]) for name in COUNTS}
        for name in FIGURES:
            array = np.array(figures[name], np.float64)
            values[name] = array if array.ndim else array.item()
        for group, names in GROUPS.items():
            arrays = {key: np.array(figures[group][key], np.int64 if key == "rows" else np.float64) for key in names}
            lengths = {key: len(array) for key, array in arrays.items()}
            if len({length - (key == "edges") for key, length in lengths.items()}) != 1:
                raise ValueError(f"expected lists of one length in {group}, but got {lengths}")
            values |= {name: arrays[key] for key, name in names.items()}
        confusions = figures["confusions"]
        values["confusions"] = None if confusions is None else np.array(confusions, np.int64).reshape(-1, 3)
        return cls(**values, positions=_positions(figures["positions"]))


def _positions(figures: Mapping[str, Any] | None) -> Positions | None:
    """The loss over position out of JSON."""
    if figures is None:
        return None
    width, rows = (np.array(figures[key], np.int64) for key in ("width", "rows"))
    loss = np.array(figures["mean_loss"], np.float64)
    if not 0 < len(width) == rows.ndim < 3 or rows.shape != loss.shape or not width.all():
        raise ValueError(f"expected positions of one shape, but got {rows.shape} rows, {loss.shape} losses, widths {width}")
    return Positions(width, rows, loss)


def plain(value: Any) -> Any:
    """A number or an array for JSON."""
    if isinstance(value, np.ndarray):
        finite = np.isfinite(value)
        return np.where(finite, value.astype(object), np.array(None)).tolist() if not finite.all() else value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
