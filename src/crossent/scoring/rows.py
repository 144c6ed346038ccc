"""What is known of each scored row: ``score_rows`` and the RowScores it gives. Nothing is counted or summed here.

Checks are those of ``crossent.nn.functional.cross_entropy``, in ``_plans.py``. Called by users and by ``scorer.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent._plans import CrossEntropy, Softmax

# Logits looked at together where a loss takes more than one pass: the passes after the first find them in a cache.
BLOCK_BYTES = 4 << 20


class RowScores(NamedTuple):
    """Arrays of one shape, the logits' without its class axis: an element for each row, or position.

    Attributes
    ----------
    loss : ndarray of float32 or float64
        ``cross_entropy(..., reduction="none")``, to the bit; of 16-bit logits in float32, before it is rounded. 0 where
        a row is ignored.
    target : ndarray of int64
        The class that the row is scored against: its target, or the first of the largest probabilities.
    predicted : ndarray of int64
        The class of the largest logit, the first of equals. -1 where a row is ignored or has no softmax (a nan, an
        infinity, nothing but -inf).
    rank : ndarray of int64
        How many classes come before the target: of a larger logit, or of an equal one and a lower index. 0 is right, below
        k is among the k best. -1 where a row is ignored, the number of classes where it has no softmax.
    confidence : ndarray of float64
        The largest probability, within 2 ULP of the type that is computed in. This and the next two: 0 where a row is ignored,
        nan where it has no softmax.
    entropy : ndarray of float64
        -sum_c p_c log p_c in nats, within 4 ULP.
    brier : ndarray of float64
        sum_c (p_c - q_c)^2 against q, 1 at the target and 0 elsewhere, or the target's probabilities; from 0 to 2.
    mass : ndarray of float64
        sum_c a_c of the loss sum_c -a_c log p_c: 1 without class weights. The derivative of the loss with respect to
        log temperature is mass entropy - loss. 0 where a row is ignored.
    """

    loss: NDArray[Any]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]
    brier: NDArray[np.float64]
    mass: NDArray[np.float64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the target."""
        return np.equal(self.rank, 0)


def score_rows(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    dim: int | None = None,
) -> RowScores:
    """Score each row of logits: its loss, predicted class, its target's rank, largest probability, entropy and Brier score.

    .. math:: p_c = e^{x_c / T} / \\sum_j e^{x_j / T}

    Parameters
    ----------
    logits, targets, weight, ignore_index, label_smoothing, temperature, dim
        As in ``crossent.score``. `weight` and `label_smoothing` enter the loss alone.

    Returns
    -------
    RowScores
        Arrays of the logits' shape without its class axis.

    Raises
    ------
    IndexError, ValueError, TypeError
        As in ``cross_entropy``.

    Notes
    -----
    The logits are read from memory once: all figures come from the pass that computes the loss. With `label_smoothing` or
    probabilities there are two or three passes over blocks that stay in a cache.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> rows = crossent.score_rows(np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.array([2, 1]))
    >>> rows.predicted, rows.rank
    (array([0, 1]), array([1, 0]))
    >>> rows.confidence.round(4), rows.entropy.round(4)
    (array([0.6652, 0.4223]), array([0.8324, 1.0174]))
    """
    x, t = (arguments.plain_array(a, "score", name) for a, name in ((logits, "logits"), (targets, "targets")))
    smoothing, factor = arguments.smoothing(label_smoothing), 1.0 / arguments.temperature(temperature)
    plan = CrossEntropy(x, t, weight, ignore_index, "none", dim, smoothing, factor)
    shape = plan.values_shape
    rows = RowScores._make(np.empty(shape, dtype) for dtype in (plan.real, *3 * [np.int64], *4 * [np.float64]))
    if x.size == 0:
        for array, value in zip(rows, (0, ignore_index, -1, -1, 0, 0, 0, 0), strict=True):
            array.fill(value)
    elif plan.targets is not None and smoothing == 0:
        rows.target[...] = plan.targets.reshape(shape)
        plan.score(rows.loss, rows[2:7])
    else:
        block = max(1, BLOCK_BYTES // x[:1].nbytes)
        for part in [slice(i, i + block) for i in range(0, len(x), block)] if plan.dim else [...]:
            some = RowScores._make(a[part] for a in rows)
            CrossEntropy(x[part], t[part], weight, ignore_index, "none", plan.dim, smoothing, factor).losses(some.loss)
            _score_against_classes(plan, x[part], t[part], ignore_index, factor, some)
    if x.size and plan.targets is not None:
        rows.mass[...] = rows.rank >= 0
        if plan.weight is not None:
            w = plan.weight.astype(np.float64)
            rows.mass[...] *= ((1 - smoothing) * w + smoothing / len(w) * w.sum()).take(rows.target, mode="clip")
    return rows


def _score_against_classes(
    plan: CrossEntropy, x: NDArray[Any], t: NDArray[Any], ignore_index: int, factor: float, rows: RowScores
) -> None:
    """All but the loss of some rows, of targets that are smoothed or probabilities."""
    hard = plan.targets is not None
    rows.target[...] = t.reshape(rows.target.shape) if hard else t.argmax(plan.dim)
    CrossEntropy(x, rows.target, None, ignore_index, "none", plan.dim, factor=factor).score(None, rows[2:7])
    if hard:
        return
    q = arguments.dense(t, plan.real)
    p = np.asarray(Softmax(x, plan.dim, log=False, factor=factor, result=plan.real).value())
    w = 1 if plan.weight is None else plan.weight.reshape([-1 if d == plan.dim else 1 for d in range(x.ndim)])
    smoothing, classes = plan.label_smoothing, x.shape[plan.dim]
    with np.errstate(over="ignore", invalid="ignore"):
        rows.brier[...] = np.square(p - q).sum(plan.dim, dtype=np.float64)
        rows.mass[...] = (w * ((1 - smoothing) * q + smoothing / classes)).sum(plan.dim, dtype=np.float64)
