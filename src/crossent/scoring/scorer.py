"""Scorer: the figures of logits that come in chunks; ``score``: of logits that are all here.

Checks the chunk, has ``crossent.nn.functional`` compute each row's loss and confidence, and hands the rows to
``totals.py`` to be counted and summed. Called by users and by ``run.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent.nn import functional as F
from crossent.scoring.result import Score
from crossent.scoring.totals import Totals

BLOCK_BYTES = 4 << 20  # logits looked at together: all passes after the first find them in a cache


def score(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    dim: int | None = None,
) -> Score:
    """Score logits against the classes that were true, in one call.

    Parameters
    ----------
    logits : array_like, shape (C), (N, C) or (N, C, d1, ..., dK)
        Logits, float16, bfloat16, float32 or float64.
    targets : array_like, shape (), (N) or (N, d1, ..., dK)
        Class indices of any integer dtype, from 0 to C - 1 or `ignore_index`.
    weight : array_like, shape (C), optional
        A factor for each class, as in ``cross_entropy``.
    ignore_index : int, default -100
        Rows with this target are left out.
    label_smoothing : float, default 0.0
        From 0 to 1, as in ``cross_entropy``.
    dim : int, optional
        The axis of the classes; 1 where it is not given, 0 for logits of shape (C).

    Returns
    -------
    Score
        Mean loss in nats with its standard error, perplexity, accuracy, calibration, figures of each class.

    Raises
    ------
    IndexError
        If a target is out of bounds; the message names the first such row.
    ValueError, TypeError
        If shapes do not match, targets are not integers, and for what ``cross_entropy`` refuses.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> result = crossent.score(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]))
    >>> round(result.mean_loss, 4), round(result.accuracy, 4)
    (1.1629, 0.6667)
    """
    scorer = Scorer(weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, dim=dim)
    scorer.update(logits, targets)
    return scorer.result()


class Scorer:
    """Scores logits that come in chunks: ``update`` with each chunk, ``merge`` other scorers, ``result`` at any time.

    The result is the same, to the last bit, however the rows are cut into chunks and in whatever order chunks come and
    scorers are merged: a row's loss does not depend on its neighbours, counts are integers, and sums are exact until
    ``result`` rounds them once. A Scorer can be pickled, and is as large as a few numbers for each class.

    Parameters
    ----------
    weight, ignore_index, label_smoothing, dim
        As in ``crossent.score``.

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
        dim: int | None = None,
    ) -> None:
        self._weight = None if weight is None else np.array(weight)
        self._ignore_index = arguments.whole_number(ignore_index, "ignore_index")
        self._label_smoothing = arguments.smoothing(label_smoothing)
        self._dim = dim
        self._totals: Totals | None = None  # made when the number of classes is known

    def update(self, logits: ArrayLike, targets: ArrayLike, *, first_row: int = 0) -> NDArray[Any]:
        """Add the rows of a chunk, and return their losses: ``cross_entropy(..., reduction="none")``, of 16 bits in float32.

        Bad input raises before anything is added. `first_row` is the number of the chunk's first row, for that message.
        """
        x, t = (arguments.plain_array(a, "score", name) for a, name in ((logits, "logits"), (targets, "targets")))
        axis = arguments.class_axis(self._dim, x, "score")
        layout = arguments.layout(x.shape, axis)
        if t.shape == layout.positions_shape != ():
            self._check_bounds(t, layout.classes, first_row)
        t = arguments.class_indices(t, x, axis, self._ignore_index)
        losses = np.empty(layout.positions_shape, arguments.real_of(x.dtype.newbyteorder("=")))
        if x.ndim == 1:
            self._add_blocks(x[None], t.reshape(1), losses.reshape(1), 1)
        elif axis == 0:  # blocks are cut along axis 0
            self._add_blocks(x.swapaxes(0, 1), t, losses, 1)
        else:
            self._add_blocks(x, t, losses, axis)
        return losses

    def merge(self, other: Scorer) -> None:
        """Add all rows of another Scorer, which must have the same options and number of classes."""
        if self._options() != other._options():
            raise ValueError(f"expected a Scorer with the options {self._options()}, but got {other._options()}")
        if other._totals is not None:
            self._totals_for(other._totals.classes).merge(other._totals)

    def result(self) -> Score:
        """The figures of all rows so far."""
        totals = self._totals or Totals(0)
        weight = np.ones(totals.classes) if self._weight is None else self._weight[: totals.classes].astype(np.float64)
        return totals.score(weight)

    def _options(self) -> dict[str, Any]:
        weight = None if self._weight is None else self._weight.tolist()
        return {"weight": weight, "ignore_index": self._ignore_index, "label_smoothing": self._label_smoothing}

    def _check_bounds(self, targets: NDArray[Any], classes: int, first_row: int) -> None:
        bad = ((targets < 0) | (targets >= classes)) & (targets != self._ignore_index)
        if targets.dtype.kind in "iu" and bad.any():
            index, row = first_row_of(bad, first_row)
            raise IndexError(f"Target {targets[index]} is out of bounds: {row}, {classes} classes")

    def _add_blocks(self, x: NDArray[Any], t: NDArray[np.int64], losses: NDArray[Any], axis: int) -> None:
        block = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
        for start in range(0, max(1, len(x)), block):  # once for no rows too, which checks the options
            rows = slice(start, start + block)
            chunk = x[rows]
            if arguments.is_half(x.dtype):  # so that a loss is not rounded to 16 bits
                chunk = chunk.astype(losses.dtype)
            self._add(chunk, t[rows], losses[rows], axis)

    def _add(self, x: NDArray[Any], t: NDArray[np.int64], losses: NDArray[Any], axis: int) -> None:
        """Add the rows of one block, and write their losses."""
        F.cross_entropy(
            x, t, self._weight, ignore_index=self._ignore_index, reduction="none",
            label_smoothing=self._label_smoothing, dim=axis, out=losses,
        )  # fmt: skip
        totals = self._totals_for(x.shape[axis])
        scored = t != self._ignore_index
        totals.ignored += scored.size - np.count_nonzero(scored)
        if not scored.any():
            return
        predicted = x.argmax(axis)
        # the loss of the predicted class is -log of the largest probability, and keeps its digits near 0
        surprise = F.cross_entropy(x, predicted, reduction="none", dim=axis)[scored].astype(np.float64)
        totals.add(t[scored], predicted[scored], losses[scored].astype(np.float64), np.exp(-surprise))

    def _totals_for(self, classes: int) -> Totals:
        if self._totals is None:
            self._totals = Totals(classes)
        if self._totals.classes != classes:
            raise ValueError(f"expected rows of {self._totals.classes} classes, as before, but got {classes} classes")
        return self._totals


def first_row_of(mask: NDArray[np.bool_], offset: int) -> tuple[tuple[int, ...], str]:
    """The index of the first True of a mask of rows, and its name for people: "row 7", or "row 7 at (2, 3)"."""
    index = tuple(map(int, np.unravel_index(mask.argmax(), mask.shape)))
    return index, f"row {offset + index[0]}" + (f" at {index[1:]}" if index[1:] else "")
