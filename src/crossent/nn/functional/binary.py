"""Losses over two classes: probabilities or logits against targets of 0 and 1, or of -1 and 1."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent import _plans, _pointwise
from crossent._reduction import chosen_reduction
from crossent.autodiff import Differentiable


@Differentiable
def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Cross entropy of probabilities against targets from 0 to 1.

    .. math:: \ell_n = -w_n (y_n \log x_n + (1 - y_n) \log(1 - x_n))

    Parameters
    ----------
    input : array_like
        Probabilities x of any shape, from 0 to 1; float16, bfloat16, float32 or float64.
    target : array_like
        Probabilities y of the input's shape, from 0 to 1.
    weight : array_like, optional
        A factor w for each position, of a shape that broadcasts to the input's.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions, with weights too.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, each from 0 to 100 before the weight. Shape () for "mean" and "sum", the input's for "none". The mean of
        nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry of input or target is not from 0 to 1, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is within 1 ULP for targets of 0 and 1, some ULP of its larger term in between.

    A logarithm below -100 counts as -100, as in torch: the loss stays finite at 0 and 1. The gradient is
    :math:`w (x - y) / \max(x (1 - x), 10^{-12})`. 1 - x goes through log1p. Where logits exist,
    :func:`binary_cross_entropy_with_logits` has more digits.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> print(F.binary_cross_entropy([0.8, 0.4], [1.0, 0.0]).round(6))
    0.366985
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.binary_cross_entropy(input, target, weight, reduction)


@Differentiable
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Cross entropy of logits against targets from 0 to 1: sigmoid and binary_cross_entropy in one pass.

    .. math:: \ell_n = -w_n (p_n\, y_n \log \sigma(x_n) + (1 - y_n) \log \sigma(-x_n))

    where p is `pos_weight`, or 1.

    Parameters
    ----------
    input : array_like
        Logits x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        Probabilities y of the input's shape. That they are from 0 to 1 is not checked.
    weight : array_like, optional
        A factor w for each position, of a shape that broadcasts to the input's.
    pos_weight : array_like, optional
        A factor p for the positive part of each position, of a shape that broadcasts to the input's: above 1 it favours
        recall, below 1 precision.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions, with weights too.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, 0 or more for targets from 0 to 1. Shape () for "mean" and "sum", the input's for "none". The mean of
        nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value and its gradient is within 2 ULP for targets of 0 and 1 and no weights, shown on every float32.

    The logarithms go through log1p(exp(-abs(x))): nothing overflows, and small losses keep their digits. Unlike torch: at
    x = +inf with y = 1, and at x = -inf with y = 0, the loss is 0, not nan.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.binary_cross_entropy_with_logits(np.log([1.0, 3.0]), [1.0, 0.0], reduction="none").round(6).tolist()
    [0.693147, 1.386294]
    >>> print(F.binary_cross_entropy_with_logits(np.log([1.0, 3.0]), [1.0, 0.0], pos_weight=2.0).round(6))
    1.386294
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


@Differentiable
def sigmoid_focal_loss(
    inputs: ArrayLike,
    targets: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Cross entropy of logits that counts well-classified positions less: torchvision's focal loss.

    .. math:: \ell_n = a_n (1 - q_n)^\gamma\, b_n

    with :math:`b_n` the :func:`binary_cross_entropy_with_logits` of the position, :math:`q_n = \sigma(x_n)\, y_n +
    (1 - \sigma(x_n)) (1 - y_n)` the probability of the truth, and :math:`a_n = \alpha y_n + (1 - \alpha)(1 - y_n)`.

    Parameters
    ----------
    inputs : array_like
        Logits x of any shape, float16, bfloat16, float32 or float64.
    targets : array_like
        y, 0 or 1, of inputs' shape.
    alpha : float, default 0.25
        :math:`\alpha`, the share of the positive positions, from 0 to 1; -1 for a of 1 everywhere.
    gamma : float, default 2
        :math:`\gamma`, 0 or more: how fast a position counts less as it gets right.
    reduction : {"none", "mean", "sum"}
        The default is "none", as in torchvision. A mean divides by the number of positions.
    out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, 0 or more. Shape () for "mean" and "sum", inputs' for "none".

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is within 12 ULP for targets of 0 and 1.

    1 - q is computed as a sigmoid of its own: it keeps its digits where q is near 1.

    References
    ----------
    .. [1] T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.sigmoid_focal_loss(np.log([1.0, 3.0]), [1.0, 1.0]).round(6).tolist()
    [0.043322, 0.004495]
    """
    return _pointwise.sigmoid_focal_loss(inputs, targets, alpha, gamma, chosen_reduction(None, None, reduction))


@Differentiable
def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Mean over the classes of the cross entropy of logits: several labels may hold at once.

    .. math:: \ell_n = -\frac{1}{C} \sum_c w_c (y_{nc} \log \sigma(x_{nc}) + (1 - y_{nc}) \log \sigma(-x_{nc}))

    Parameters
    ----------
    input : array_like, shape (C), (N, C) or (..., C)
        Logits x, float16, bfloat16, float32 or float64.
    target : array_like
        y, 0 or 1, of the input's shape.
    weight : array_like, optional
        A factor w for each class, shape (C), or of another shape that broadcasts to the input's.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of rows, with weights too.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, 0 or more. Shape () for "mean" and "sum", the input's without its last axis for "none". The mean of
        nothing is nan.

    Raises
    ------
    ValueError, TypeError
        As in :func:`binary_cross_entropy_with_logits`.

    Notes
    -----
    Terms are those of `binary_cross_entropy_with_logits`; their mean is taken in float64.

    As :func:`binary_cross_entropy_with_logits`, at infinities too.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.multilabel_soft_margin_loss(np.log([[1.0, 3.0]]), [[1.0, 0.0]], reduction="none").round(6).tolist()
    [1.039721]
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.multilabel_soft_margin_loss(input, target, weight, reduction)


@Differentiable
def soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Logistic loss of logits against targets of -1 and 1.

    .. math:: \ell_n = \log(1 + e^{-y_n x_n})

    Parameters
    ----------
    input : array_like
        Logits x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        y, -1 or 1, of the input's shape.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, 0 or more. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value and its gradient is within 2 ULP for targets of -1 and 1, shown on every float32.

    Computed as max(-yx, 0) + log1p(exp(-abs(yx))). Unlike torch: the loss is linear where -yx is large, with a gradient of
    -y; torch overflows there to inf, with a gradient of nan.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.soft_margin_loss(np.log([3.0, 3.0]), [1.0, -1.0], reduction="none").round(6).tolist()
    [0.287682, 1.386294]
    >>> print(F.soft_margin_loss(np.float32([1000.0]), np.float32([-1.0])))
    1000.0
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.soft_margin_loss(input, target, reduction)
