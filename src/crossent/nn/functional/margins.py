"""Losses that ask for a margin: between the scores of classes, or of a distance."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent import _margins, _plans, _pointwise
from crossent._reduction import chosen_reduction
from crossent.autodiff import Differentiable


@Differentiable
def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Hinge loss of scores against class indices: each other class must stay a margin below the target's.

    .. math:: \ell_n = \frac{w_{y_n}}{C} \sum_{c \ne y_n} \max(0, m - x_{n y_n} + x_{nc})^p

    Parameters
    ----------
    input : array_like, shape (C) or (N, C)
        Scores x, float16, bfloat16, float32 or float64.
    target : array_like, shape () or (N)
        Class indices y of any integer dtype, from 0 to C - 1.
    p : {1, 2}
        The exponent.
    margin : float, default 1.0
        m.
    weight : array_like, shape (C), optional
        A factor w for each class.
    reduction : {"mean", "sum", "none"}
        A mean divides by N, with weights too.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", target's for "none".

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
    Differences are rounded once each; their sum is taken in float64.

    A class exactly on the margin adds 0 to loss and gradient. Unlike torch: integer targets of every dtype, and float16
    and bfloat16 too.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> F.multi_margin_loss([[0.5, 1.0, 0.0, 0.0]], [0], reduction="none").tolist()
    [0.625]
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _margins.multi_margin_loss(input, target, p, margin, weight, reduction)


@Differentiable
def multilabel_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Hinge loss of scores against sets of classes: each class outside must stay 1 below each class inside.

    .. math:: \ell_n = \frac{1}{C} \sum_{j \in Y_n} \sum_{c \notin Y_n} \max(0, 1 - x_{nj} + x_{nc})

    Parameters
    ----------
    input : array_like, shape (C) or (N, C)
        Scores x, float16, bfloat16, float32 or float64.
    target : array_like
        Class indices of any integer dtype, of the input's shape: each row lists its set Y, from the left, up to its first
        -1; what follows does not count.
    reduction : {"mean", "sum", "none"}
        A mean divides by N.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", () or (N) for "none".

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
    Differences are rounded once each; their sum is taken in float64.

    An empty set has a loss of 0; a class that is listed twice counts twice. A pair exactly on the margin adds 0 to loss and
    gradient. Unlike torch: integer targets of every dtype, and float16 and bfloat16 too.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> print(F.multilabel_margin_loss([0.1, 0.2, 0.4, 0.8], [3, 0, -1, 1]).round(6))
    0.85
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _margins.multilabel_margin_loss(input, target, reduction)


@Differentiable
def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Loss of distances: those of similar pairs count, those of dissimilar pairs must reach a margin.

    .. math:: \ell_n = \begin{cases} x_n & y_n = 1 \\ \max(0, m - x_n) & y_n = -1 \end{cases}

    Parameters
    ----------
    input : array_like
        Distances x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        y, 1 for a similar pair and -1 for one that is not; of the input's shape or one that broadcasts with it.
    margin : float, default 1.0
        m.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is rounded once.

    Another target than -1 and 1 gives the sum of both cases, and a dissimilar pair exactly on the margin has a gradient
    of -1, both as in torch.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> F.hinge_embedding_loss([0.25, 0.25], [1.0, -1.0], reduction="none").tolist()
    [0.25, 0.75]
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.hinge_embedding_loss(input, target, margin, reduction)
