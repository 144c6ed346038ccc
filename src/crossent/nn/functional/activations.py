"""Activations: softmax and its relatives along an axis, sigmoid and its logarithm position by position."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from crossent import _plans, _pointwise
from crossent.autodiff import Differentiable


@Differentiable
def softmax(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Softmax along an axis.

    .. math:: p_c = \frac{e^{x_c}}{\sum_j e^{x_j}}

    Parameters
    ----------
    input : array_like
        Logits x of any shape, float16, bfloat16, float32 or float64.
    dim : int, optional
        The axis of the classes. Without it torch's old choice is made, with torch's warning: 0 for an input of 0, 1 or
        3 dimensions, else 1.
    dtype : dtype, optional
        Convert the input to this dtype first.
    out : array, optional
        The array for the result; it may be the input.

    Returns
    -------
    array
        Probabilities, of the input's shape and dtype: from 0 to 1, along `dim` they sum to 1. A row with +inf or nan, or
        with nothing but -inf, is nan.

    Raises
    ------
    IndexError
        If there is no such axis.
    TypeError
        If the input's dtype is none of those above.

    Notes
    -----
    Errors of some ULP: that of x - max x, then 1 ULP of exp, 1 of the sum and its quotient.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.softmax(np.log([1.0, 2.0, 5.0]), dim=0).round(6).tolist()
    [0.125, 0.25, 0.625]
    """
    return _plans.Softmax(input, _softmax_axis(input, dim, "softmax", _stacklevel), log=False, dtype=dtype)


@Differentiable
def log_softmax(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Logarithm of the softmax along an axis.

    .. math:: y_c = (x_c - \max x) - \log \sum_j e^{x_j - \max x}

    Parameters
    ----------
    input, dim, dtype, out
        As in :func:`softmax`.

    Returns
    -------
    array
        Log-probabilities in nats, of the input's shape and dtype: 0 or less. A row with +inf or nan, or with nothing but
        -inf, is nan.

    Raises
    ------
    IndexError, TypeError
        As in :func:`softmax`.

    Notes
    -----
    The maximum is taken away first, then the logarithm: large logits do not swallow it. The logarithm is a log1p, so that
    log-probabilities near 0 are right to some ULP where torch gives 0.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.log_softmax(np.log([1.0, 3.0]), dim=-1).round(6).tolist()
    [-1.386294, -0.287682]
    """
    return _plans.Softmax(input, _softmax_axis(input, dim, "log_softmax", _stacklevel), log=True, dtype=dtype)


@Differentiable
def logsumexp(
    input: ArrayLike, dim: int | Sequence[int], keepdim: bool = False, *, out: NDArray[Any] | None = None
) -> _plans.Plan:
    r"""Logarithm of the sum of exponentials along one or several axes.

    .. math:: \log \sum_c e^{x_c} = \max x + \log \sum_c e^{x_c - \max x}

    Parameters
    ----------
    input : array_like
        x, of any shape, float16, bfloat16, float32 or float64.
    dim : int or sequence of ints
        The axes to sum over.
    keepdim : bool, default False
        Keep them, with length 1.
    out : array, optional
        The array for the result.

    Returns
    -------
    scalar or array
        In nats, in the input's dtype. -inf for a sum of nothing.

    Raises
    ------
    IndexError
        If there is no such axis.
    TypeError
        If the input's dtype is none of those above.

    Notes
    -----
    The sum over all but one maximum is taken in float64 and goes through log1p: ``logsumexp([0, -30])`` is 9.4e-14, not 0.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> print(crossent.logsumexp(np.log([1.0, 2.0, 5.0]), 0).round(6))
    2.079442
    >>> crossent.logsumexp(np.zeros((2, 4)), dim=1, keepdim=True).shape
    (2, 1)
    """
    return _plans.LogSumExp(input, dim, keepdim)


@Differentiable
def softmin(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Softmax of the negative input along an axis: the smallest entry gets the largest probability.

    .. math:: p_c = \frac{e^{-x_c}}{\sum_j e^{-x_j}}

    Parameters
    ----------
    input, dim, dtype, out
        As in :func:`softmax`.

    Returns
    -------
    array
        Probabilities, of the input's shape and dtype: from 0 to 1, along `dim` they sum to 1. A row with -inf or nan, or
        with nothing but +inf, is nan.

    Raises
    ------
    IndexError, TypeError
        As in :func:`softmax`.

    Notes
    -----
    As accurate as :func:`softmax`: the sign is exact.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.softmin(np.log([1.0, 3.0]), dim=0).round(6).tolist()
    [0.75, 0.25]
    """
    axis = _softmax_axis(input, dim, "softmin", _stacklevel)
    return _plans.Softmax(input, axis, log=False, factor=-1.0, dtype=dtype)


@Differentiable
def sigmoid(input: ArrayLike, *, out: NDArray[Any] | None = None) -> _plans.Plan:
    r"""Sigmoid of each entry.

    .. math:: \sigma(x) = \frac{1}{1 + e^{-x}}

    Parameters
    ----------
    input : array_like
        Logits x of any shape, float16, bfloat16, float32 or float64.
    out : array, optional
        The array for the result; it may be the input.

    Returns
    -------
    scalar or array
        Probabilities, of the input's shape and dtype: from 0 to 1; 0 at -inf, 1 at +inf, nan at nan.

    Raises
    ------
    TypeError
        If the input's dtype is none of those above.

    Notes
    -----
    Each value and each derivative is within 2 ULP, shown on every float32.

    With e = exp(-abs(x)), which is at most 1: 1 / (1 + e) for x of 0 or more, e / (1 + e) below. Nothing overflows, and
    small probabilities keep their digits. Unlike torch: integers are an error, they are not converted to float32.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.sigmoid(np.log([1.0, 3.0])).round(6).tolist()
    [0.5, 0.75]
    """
    return _pointwise.sigmoid(input)


@Differentiable
def logsigmoid(input: ArrayLike, *, out: NDArray[Any] | None = None) -> _plans.Plan:
    r"""Logarithm of the sigmoid of each entry.

    .. math:: \log \sigma(x) = \min(x, 0) - \log(1 + e^{-|x|})

    Parameters
    ----------
    input, out
        As in :func:`sigmoid`.

    Returns
    -------
    scalar or array
        Log-probabilities in nats, of the input's shape and dtype: 0 or less; -inf at -inf, 0 at +inf, nan at nan.

    Raises
    ------
    TypeError
        As in :func:`sigmoid`.

    Notes
    -----
    Each value and each derivative is within 2 ULP, shown on every float32.

    The logarithm is a log1p: values near 0 keep their digits, and nothing overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> F.logsigmoid(np.log([1.0, 3.0])).round(6).tolist()
    [-0.693147, -0.287682]
    """
    return _pointwise.logsigmoid(input)


def _softmax_axis(input: ArrayLike, dim: int | None, name: str, stacklevel: int) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
    return 0 if np.ndim(input) in (0, 1, 3) else 1
