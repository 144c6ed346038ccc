"""Losses over the distance of an input from its target."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent import _plans, _pointwise
from crossent._reduction import chosen_reduction
from crossent.autodiff import Differentiable


@Differentiable
def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Squared distance of input and target.

    .. math:: \ell_n = w_n (x_n - y_n)^2

    Parameters
    ----------
    input : array_like
        Predictions x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        Values y, of the input's shape. Another shape that broadcasts with it is taken with torch's warning.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions; with `weight`, by the sum of the weights.
    weight : array_like, optional
        A factor w for each position, of the input's shape.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is within 2 ULP: the difference is rounded, then its square.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> print(F.mse_loss([1.0, 2.0], [0.0, 4.0]))
    2.5
    >>> print(F.mse_loss([1.0, 2.0], [0.0, 4.0], weight=[3.0, 1.0]))
    1.75
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.mse_loss(input, target, weight, reduction)


@Differentiable
def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Absolute distance of input and target.

    .. math:: \ell_n = w_n |x_n - y_n|

    Parameters
    ----------
    input, target, size_average, reduce, reduction, weight, out
        As in :func:`mse_loss`; a weighted mean divides by the sum of the weights here too.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError, TypeError
        As in :func:`mse_loss`.

    Notes
    -----
    Each value is rounded once.

    The gradient is the sign of x - y: 0 where they are equal, as in torch. Unlike torch: there is no gradient of the
    weight.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> print(F.l1_loss([1.0, 2.0], [0.0, 4.0]))
    1.5
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.l1_loss(input, target, weight, reduction)


@Differentiable
def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Distance of input and target, squared where it is below beta and linear above.

    .. math:: \ell_n = \begin{cases} (x_n - y_n)^2 / (2 \beta) & |x_n - y_n| < \beta \\
        |x_n - y_n| - \beta / 2 & \text{else} \end{cases}

    Parameters
    ----------
    input, target, size_average, reduce, out
        As in :func:`mse_loss`.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions.
    beta : float, default 1.0
        :math:`\beta`, 0 or more; with 0 this is :func:`l1_loss`.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError, TypeError
        As in :func:`mse_loss`; ValueError also for a negative `beta`.

    Notes
    -----
    Each value is within 2 ULP.

    :func:`huber_loss` with delta = beta is beta times this loss.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> F.smooth_l1_loss([0.5, 3.0], [0.0, 0.0], reduction="none").tolist()
    [0.125, 2.5]
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.smooth_l1_loss(input, target, beta, reduction)


@Differentiable
def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: ArrayLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Half the squared distance of input and target up to delta, and the tangent of that beyond.

    .. math:: \ell_n = w_n \begin{cases} (x_n - y_n)^2 / 2 & |x_n - y_n| \le \delta \\
        \delta (|x_n - y_n| - \delta / 2) & \text{else} \end{cases}

    Parameters
    ----------
    input, target, out
        As in :func:`mse_loss`.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions, with weights too.
    delta : float, default 1.0
        :math:`\delta`, above 0.
    weight : array_like, optional
        A factor w for each position, of the input's shape.

    Returns
    -------
    scalar or array
        0 or more. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError, TypeError
        As in :func:`mse_loss`; ValueError also for a `delta` of 0 or less.

    Notes
    -----
    Each value is within 2 ULP.

    The gradient stays between -delta and delta (times the weight).

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> F.huber_loss([1.0, 3.0], [0.0, 0.0], reduction="none", delta=2.0).tolist()
    [0.5, 4.0]
    """
    return _pointwise.huber_loss(input, target, delta, weight, chosen_reduction(None, None, reduction))
