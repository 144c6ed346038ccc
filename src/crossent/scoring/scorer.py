"""Scorer: the figures of logits that come in chunks; ``score``: of logits that are all here.

Has ``rows.py`` score the rows of a chunk, and ``totals.py`` count and sum them. Called by users, by ``temperature.py`` and by
``run.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent.scoring.result import Score
from crossent.scoring.rows import RowScores, score_rows
from crossent.scoring.totals import Totals

ROWS_TOGETHER = 4096  # rows that are added to the totals at once, at least: a call costs as much as some thousand of them


class ScoredChunk(NamedTuple):
    """The rows of a chunk, their number of classes, and whether their targets are probabilities."""

    rows: RowScores
    classes: int
    has_probabilities: bool


def score(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    top_k: int = 5,
    nbytes: float | None = None,
    dim: int | None = None,
    context: int | None = None,
) -> Score:
    """Score logits against the classes that were true, in one call and one pass.

    Parameters
    ----------
    logits : array_like, shape (C), (N, C) or (N, C, d1, ..., dK)
        Logits, float16, bfloat16, float32 or float64.
    targets : array_like, shape (), (N) or (N, d1, ..., dK); or that of `logits`
        Class indices of any integer dtype, from 0 to C - 1 or `ignore_index`; or, of the logits' shape, class
        probabilities. For all but the loss and the Brier score, the class of the largest probability, the first of equals,
        is then the target.
    weight : array_like, shape (C), optional
        A factor for each class in the loss, as in ``cross_entropy``.
    ignore_index : int, default -100
        Rows with this target are left out.
    label_smoothing : float, default 0.0
        From 0 to 1, as in ``cross_entropy``; it enters the loss alone.
    temperature : float, default 1.0
        The logits are divided by it: each is multiplied by 1 / temperature, rounded once to the type that is computed in.
    top_k : int, default 5
        The largest k of the accuracies among the k best.
    nbytes : float, optional
        How many bytes of text the rows stand for: for ``bits_per_byte``.
    dim : int, optional
        The axis of the classes; 1 where it is not given, 0 for logits of shape (C).
    context : int, optional
        Rows are sequences of so many, one after the other: for the loss over position, whose positions are those in a sequence.

    Returns
    -------
    Score
        Mean loss in nats with its standard error, perplexity, accuracies, calibration, figures of each class, confusions.

    Raises
    ------
    IndexError
        If a target is out of bounds; the message names the first such row.
    ValueError, TypeError
        If shapes do not match, targets are not integers, and for what ``cross_entropy`` refuses.

    Notes
    -----
    A row's loss is that of ``cross_entropy(..., reduction="none")``, to the bit. Losses of 16-bit logits are not rounded to 16
    bits. Figures other than the loss are computed in the logits' type, float32 at least, each row's within 4 ULP of it; counts
    and sums over rows are exact and rounded once.

    A row whose softmax does not exist (it holds a nan or an infinity, or nothing but -inf) counts as wrong for every k and
    in no confused pair; its loss, confidence, entropy and Brier score are nan, and so are the means that they enter.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> result = crossent.score(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]))
    >>> round(result.mean_loss, 4), round(result.accuracy, 4), round(result.brier, 4)
    (1.1629, 0.6667, 0.6626)
    >>> result.confusions  # target, predicted, rows
    array([[1, 0, 1]])
    """
    scorer = Scorer(
        weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, temperature=temperature, top_k=top_k,
        dim=dim, context=context,
    )  # fmt: skip
    scorer.update(logits, targets, position=0)
    return scorer.result(nbytes=nbytes)


class Scorer:
    """Scores logits that come in chunks: ``update`` with each chunk, ``merge`` other scorers, ``result`` at any time.

    The result is the same, to the last bit, however the rows are cut into chunks, in whatever order chunks come and scorers
    are merged, and for any number of threads: a row's figures do not depend on its neighbours, counts are whole numbers, and
    sums are exact until ``result`` rounds them once. A Scorer can be pickled; its state is arrays of float64, some ten
    numbers for each class (see ``state``).

    Parameters
    ----------
    weight, ignore_index, label_smoothing, temperature, top_k, dim, context
        As in ``crossent.score``.

    Notes
    -----
    The loss over position is known where each ``update`` says at which `position` its chunk begins, and else None. The position
    of a row is, for logits of shape

    * (N, C): its number, or what `context` leaves of it;
    * (N, C, d1): its index along d1, as that of a token in a sequence;
    * (N, C, d1, ..., dK): its indices along the last two axes, as those of a pixel in an image.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> scorer = crossent.Scorer()
    >>> scorer.update(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1])).round(4)
    array([0.1269, 0.3133])
    >>> other = crossent.Scorer()
    >>> other.update(np.array([[3.0, 0.0]]), np.array([1])).round(4)
    array([3.0486])
    >>> scorer.merge(other)
    >>> scorer.result().rows
    3
    """

    def __init__(
        self,
        *,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
        top_k: int = 5,
        dim: int | None = None,
        context: int | None = None,
    ) -> None:
        self._weight = None if weight is None else np.array(weight)
        self._ignore_index = arguments.whole_number(ignore_index, "ignore_index")
        self._label_smoothing = arguments.smoothing(label_smoothing)
        self._temperature = arguments.temperature(temperature)
        self._top_k = arguments.whole_number(top_k, "top_k")
        if self._top_k < 1:
            raise ValueError(f"expected top_k of 1 or more, but got {top_k}")
        self._dim = dim
        self._context = None if context is None else arguments.whole_number(context, "context")
        if self._context is not None and self._context < 1:
            raise ValueError(f"expected context of 1 or more, but got {context}")
        self._totals: Totals | None = None  # made when the number of classes is known
        self._has_probabilities: bool | None = None  # not known before the first row
        self._waiting: list[RowScores] = []  # that are not in the totals yet
        self._waiting_positions: list[Sequence[NDArray[np.int64]]] = []  # of each of them, along as many axes
        self._waiting_rows = 0

    def update(self, logits: ArrayLike, targets: ArrayLike, *, first_row: int = 0, position: int | None = None) -> NDArray[Any]:
        """Add the rows of a chunk, and return their losses: ``cross_entropy(..., reduction="none")``, of 16 bits in float32.

        Bad input raises before anything is added. `first_row` is the number of the chunk's first row, for that message;
        `position` is its number among all rows, for the loss over position.
        """
        return self.add(self.scored(logits, targets, first_row=first_row), position=position)

    def scored(self, logits: ArrayLike, targets: ArrayLike, *, first_row: int = 0) -> ScoredChunk:
        """The first half of ``update``, which is nearly all of its work, for ``add``: threads may do it at the same time."""
        x, t = (arguments.plain_array(a, "score", name) for a, name in ((logits, "logits"), (targets, "targets")))
        axis = arguments.class_axis(self._dim, x, "score")
        try:
            rows = score_rows(
                x, t, weight=self._weight, ignore_index=self._ignore_index, label_smoothing=self._label_smoothing,
                temperature=self._temperature, dim=axis,
            )  # fmt: skip
        except IndexError as error:
            raise self._named(error, t, x.shape[axis], first_row) from None
        return ScoredChunk(rows, x.shape[axis], arguments.is_class_probabilities(x, t))

    def add(self, chunk: ScoredChunk, *, position: int | None = None) -> NDArray[Any]:
        """The second half of ``update``: add a chunk, and return its losses."""
        positions = () if position is None else _positions(chunk.rows.loss.shape, position, self._context)
        self._prepare(chunk.classes, chunk.has_probabilities if chunk.rows.loss.size else None)
        loss = chunk.rows.loss
        if self._waiting and len(self._waiting_positions[0]) != len(positions):
            self._settled()
        self._waiting_positions.append(positions)
        self._waiting.append(chunk.rows._replace(loss=loss.copy()))  # what is returned may be written to
        self._waiting_rows += loss.size
        if self._waiting_rows >= ROWS_TOGETHER:
            self._settled()
        return loss

    def merge(self, other: Scorer | NDArray[np.float64]) -> None:
        """Add all rows of another Scorer, which must have the same options and number of classes; or of its ``state()``."""
        if isinstance(other, Scorer):
            if self._options() != other._options():
                raise ValueError(f"expected a Scorer with the options {self._options()}, but got {other._options()}")
            theirs = other._settled()
        else:
            theirs = Totals.from_array(other) if other.size else None
        if theirs is not None:
            self._prepare(theirs.classes, theirs.has_probabilities if theirs.class_rows.any() else None).merge(theirs)

    def state(self) -> NDArray[np.float64]:
        """Everything that was added, as one array of float64 for ``merge``: to be sent, saved, and merged in any order.

        Some ten numbers for each class, two for each pair of classes that was confused, at most 2**20, and some hundred for
        the loss over position, of images some ten thousand. The options are not in it: merge it into a Scorer with the same
        ones.

        Examples
        --------
        >>> import numpy as np, crossent
        >>> scorer, other = crossent.Scorer(), crossent.Scorer()
        >>> losses = other.update(np.array([[2.0, 0.0]]), np.array([0]))
        >>> scorer.merge(other.state())
        >>> scorer.result().rows
        1
        """
        totals = self._settled()
        return np.zeros(0) if totals is None else totals.to_array()

    def result(self, *, nbytes: float | None = None) -> Score:
        """The figures of all rows so far; `nbytes` as in ``crossent.score``."""
        totals = self._settled() or Totals(0, self._top_k)
        weight = np.ones(totals.classes)
        if self._weight is not None and not self._has_probabilities:
            weight = self._weight[: totals.classes].astype(np.float64)
        return totals.score(weight, temperature=self._temperature, nbytes=nbytes)

    def _options(self) -> dict[str, Any]:
        return {
            "weight": None if self._weight is None else self._weight.tolist(),
            "ignore_index": self._ignore_index,
            "label_smoothing": self._label_smoothing,
            "temperature": self._temperature,
            "top_k": self._top_k,
            "context": self._context,
        }

    def _prepare(self, classes: int, has_probabilities: bool | None) -> Totals:
        """The totals, to which rows of so many classes and this kind of targets, if there are rows, can be added."""
        totals = self._totals or Totals(classes, min(self._top_k, classes))
        if totals.classes != classes:
            raise ValueError(f"expected rows of {totals.classes} classes, as before, but got {classes} classes")
        if None not in (self._has_probabilities, has_probabilities) and self._has_probabilities != has_probabilities:
            kinds = "class indices", "class probabilities"
            wanted, got = kinds if has_probabilities else kinds[::-1]
            raise ValueError(f"expected {wanted} as targets, as before, but got {got}")
        self._totals = totals
        self._has_probabilities = has_probabilities if self._has_probabilities is None else self._has_probabilities
        return totals

    def _settled(self) -> Totals | None:
        """The totals of all rows so far."""
        if self._totals and self._waiting:
            rows = RowScores._make(_joined(column) for column in zip(*self._waiting, strict=True))
            positions = [_joined(column) for column in zip(*self._waiting_positions, strict=True)]
            self._waiting, self._waiting_positions, self._waiting_rows = [], [], 0
            self._totals.add(rows, bool(self._has_probabilities), positions)
        return self._totals

    def _named(self, error: IndexError, targets: NDArray[Any], classes: int, first_row: int) -> IndexError:
        """The error of a target that is out of bounds, with the number of its row; any other as it is."""
        bad = ((targets < 0) | (targets >= classes)) & (targets != self._ignore_index)
        if not bad.any():
            return error
        index, row = first_row_of(bad, first_row)
        return IndexError(f"Target {targets[index]} is out of bounds: {row}, {classes} classes")


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _positions(shape: tuple[int, ...], first: int, context: int | None) -> Sequence[NDArray[np.int64]]:
    """The position of each row of a chunk of this shape, whose first row has this number, along one axis or two."""
    if len(shape) > 1:
        if context is not None:
            raise ValueError(f"expected logits of shape (N, C) with context, but got rows of shape {shape}")
        axes = np.indices(shape[-2:] if len(shape) > 2 else shape[1:], np.int64)
        return [np.broadcast_to(axis, shape) for axis in axes]
    if first < 0:
        raise ValueError(f"expected position of 0 or more, but got {first}")
    numbers = np.arange(first, first + math.prod(shape), dtype=np.int64)
    return [numbers if context is None else numbers % context]


def first_row_of(mask: NDArray[np.bool_], offset: int) -> tuple[tuple[int, ...], str]:
    """The index of the first True of a mask of rows, and its name for people: "row 7", or "row 7 at (2, 3)"."""
    index = tuple(map(int, np.unravel_index(mask.argmax(), mask.shape)))
    return index, f"row {offset + index[0]}" + (f" at {index[1:]}" if index[1:] else "")
