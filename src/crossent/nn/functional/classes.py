"""Losses over classes, and one_hot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _plans
from crossent._arguments import one_hot_classes, smoothing
from crossent._reduction import chosen_reduction
from crossent.autodiff import Differentiable


@Differentiable
def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    dim: int | None = None,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Cross entropy of logits against class indices or class probabilities: log_softmax and nll_loss in one pass.

    .. math:: \ell_n = -\sum_c a_{nc} \log \frac{e^{x_{nc}}}{\sum_j e^{x_{nj}}}

    with the coefficients, for class indices y, of :math:`a_{nc} = (1 - \varepsilon)\, w_{y_n} [c = y_n] +
    \frac{\varepsilon}{C} w_c` and, for probabilities q, of :math:`a_{nc} = w_c ((1 - \varepsilon)\, q_{nc} +
    \frac{\varepsilon}{C})`; :math:`\varepsilon` is `label_smoothing`.

    Parameters
    ----------
    input : array_like, shape (C), (N, C) or (N, C, d1, ..., dK)
        Logits x, float16, bfloat16, float32 or float64.
    target : array_like
        Class indices of any integer dtype, shape (), (N) or (N, d1, ..., dK), from 0 to C - 1 or `ignore_index`; or
        class probabilities of input's shape, float16, bfloat16, float32 or float64. That these sum to 1 is not checked.
    weight : array_like, shape (C), optional
        A factor w for each class.
    ignore_index : int, default -100
        Positions with this target count as if they were not there: their loss is 0, their gradient is 0, their logits
        are not looked at. For class indices only.
    reduction : {"mean", "sum", "none"}
        A mean over class indices divides by the sum of the targets' weights; one over probabilities by the number of
        positions.
    label_smoothing : float, default 0.0
        From 0 to 1: this part of each target is spread evenly over the C classes.
    dim : int, optional
        The axis of the classes; 1 where it is not given, 0 for an input of shape (C).
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        Shape () for "mean" and "sum", the input's without its class axis for "none". The mean of nothing is nan.

    Raises
    ------
    IndexError
        If a class index is out of bounds; nothing has been written then.
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each loss is within 3 ULP of the exact one where it is 0.1 or more, 6 ULP down to 1e-3, 64 ULP below, down to losses of
    1e-38: the sum over the other classes goes through log1p. Terms of it that are subnormal, below 1e-38, are off by up to
    1.4e-45 each. The target's gradient, minus the sum of the others, is within 64 ULP. Sums are float64. Unlike torch: integer
    targets of every dtype; a nan in an ignored row does no harm; a weight of another dtype is converted; a probability of 0
    against a log-probability of -inf counts 0; a negative or nan label_smoothing is an error.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, Accurately computing the log-sum-exp and softmax functions, 2021.
    .. [2] C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016 (label smoothing).

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> logits = np.array([[9.7785, 0.9195, 2.10], [3.133, -3.05, 1.02], [0.12, 0.432518, 0.470]], np.float32)
    >>> print(F.cross_entropy(logits, [0, 0, 2]).round(5))
    0.36595
    >>> print(F.cross_entropy(logits, [0, 0, -100], reduction="none").round(4))
    [0.0006 0.1159 0.    ]
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _plans.CrossEntropy(input, target, weight, ignore_index, reduction, dim, smoothing(label_smoothing))


cross_entropy.short = True


@Differentiable
def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    dim: int | None = None,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Negative log-likelihood of log-probabilities against class indices.

    .. math:: \ell_n = -w_{y_n} x_{n y_n}

    Parameters
    ----------
    input : array_like, shape (C), (N, C) or (N, C, d1, ..., dK)
        Log-probabilities x, float16, bfloat16, float32 or float64.
    target : array_like, shape (), (N) or (N, d1, ..., dK)
        Class indices y of any integer dtype, from 0 to C - 1 or `ignore_index`.
    weight, size_average, ignore_index, reduce, reduction, dim, out
        As in :func:`cross_entropy`.

    Returns
    -------
    scalar or array
        Shape () for "mean" and "sum", the input's without its class axis for "none".

    Raises
    ------
    IndexError, ValueError, TypeError
        As in :func:`cross_entropy`.

    Notes
    -----
    Each loss is rounded once; sums are float64.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> float(F.nll_loss(np.log([[0.25, 0.75], [0.5, 0.5]]), [1, 0], reduction="sum").round(6))
    0.980829
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _plans.NLLLoss(input, target, weight, ignore_index, reduction, dim)


def one_hot(tensor: ArrayLike, num_classes: int = -1) -> NDArray[np.int64]:
    r"""Class indices as vectors that are 1 at the class and 0 elsewhere.

    .. math:: z_{nc} = [c = y_n]

    Parameters
    ----------
    tensor : array_like
        Class indices y of any integer dtype and any shape.
    num_classes : int, default -1
        C; -1 takes the largest index plus 1.

    Returns
    -------
    array of int64
        Shape (\*tensor.shape, C).

    Raises
    ------
    ValueError
        If an index is negative or not below C.
    TypeError
        If the indices are not integers.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> F.one_hot([0, 2]).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    indices, classes = one_hot_classes(tensor, num_classes)
    result = np.zeros((*indices.shape, classes), np.int64)
    np.put_along_axis(result, indices.astype(np.intp, copy=False)[..., np.newaxis], 1, axis=-1)
    return result
