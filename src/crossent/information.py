"""Entropy, cross entropy and Kullback-Leibler divergence of probability distributions; H(p, q) = H(p) + KL(p, q).

Not losses of logits: those are in ``crossent.nn.functional``. Plain NumPy, computed in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments


def _distributions(function: str, axis: int, *values: ArrayLike) -> tuple[list[NDArray[np.float64]], int, np.dtype[Any]]:
    """The distributions in float64, broadcast to one shape; the axis; the dtype of the result."""
    arrays = [arguments.float_array(value, function, "pq"[i]) for i, value in enumerate(values)]
    for array, name in zip(arrays, "pq", strict=False):
        if array.ndim == 0:
            raise ValueError(f"{function}: expected {name} to have an axis of probabilities, but got a scalar")
        if (array < 0).any():
            raise ValueError(f"{function}: expected probabilities in {name}, but got {array.min()}")
    try:
        wide = np.broadcast_arrays(*(array.astype(np.float64) for array in arrays))
    except ValueError:
        shapes = " and ".join(str(list(array.shape)) for array in arrays)
        raise ValueError(f"{function}: expected p and q of one shape, but got {shapes}") from None
    return list(wide), arguments.axis(axis, wide[0].ndim), np.result_type(*arrays)


def _log_base(base: float | None) -> float:
    if base is None:
        return 1.0
    if not base > 0 or base == 1:
        raise ValueError(f"expected a base above 0 other than 1, but got {base}")
    return math.log(base)


def _mean(p: NDArray[np.float64], values: NDArray[np.float64], axis: int, base: float | None, dtype: np.dtype[Any]) -> Any:
    """sum p values along the axis, where 0 times anything but nan is 0, in units of the base, rounded once."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.multiply(p, values, out=np.zeros_like(p), where=(p != 0) | np.isnan(values))
        return np.asarray(terms.sum(axis=axis) / _log_base(base) + 0.0).astype(dtype, copy=False)[()]


def entropy(p: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    """Entropy of probability distributions.

    .. math:: H(p) = -\\sum_c p_c \\log p_c, \\quad 0 \\log 0 = 0

    Parameters
    ----------
    p : array_like, shape (..., C, ...)
        Probabilities along `axis`, float16, bfloat16, float32 or float64. That they sum to 1 is not checked.
    axis : int, default -1
        The axis of the C classes.
    base : float, optional
        Base of the logarithm: 2 for bits, 10 for bans; nats where it is not given.

    Returns
    -------
    array or scalar
        One entropy per distribution, in p's dtype; from 0 to log C.

    Raises
    ------
    ValueError
        If a probability is negative.
    TypeError
        If p is of another dtype.

    Notes
    -----
    Computed in float64 and rounded once.

    References
    ----------
    .. [1] C. E. Shannon, A Mathematical Theory of Communication, 1948.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.information import entropy
    >>> float(entropy(np.array([0.5, 0.25, 0.25]), base=2))
    1.5
    """
    return _cross_entropy("entropy", (p, p), axis, base)


def cross_entropy(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    """Cross entropy of q relative to p, probability distributions both: H(p, q) = H(p) + KL(p, q).

    .. math:: H(p, q) = -\\sum_c p_c \\log q_c, \\quad 0 \\log 0 = 0

    Parameters
    ----------
    p, q : array_like, shape (..., C, ...)
        Probabilities along `axis`, float16, bfloat16, float32 or float64, broadcast against each other. That they sum to 1
        is not checked.
    axis : int, default -1
        The axis of the C classes.
    base : float, optional
        Base of the logarithm: 2 for bits; nats where it is not given.

    Returns
    -------
    array or scalar
        One figure per distribution; infinite where q is 0 and p is not.

    Raises
    ------
    ValueError
        If a probability is negative, or the shapes do not fit.
    TypeError
        If p or q is of another dtype.

    Notes
    -----
    Computed in float64 and rounded once. For logits use :func:`crossent.nn.functional.cross_entropy`, which needs no
    probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.information import cross_entropy
    >>> float(cross_entropy(np.array([0.5, 0.5]), np.array([0.25, 0.75]), base=2))
    1.207518749639422
    """
    return _cross_entropy("cross_entropy", (p, q), axis, base)


def _cross_entropy(function: str, values: tuple[ArrayLike, ArrayLike], axis: int, base: float | None) -> Any:
    (p, q), axis, dtype = _distributions(function, axis, *values)
    with np.errstate(divide="ignore"):
        surprise = -np.log(q)
    return _mean(p, surprise, axis, base, dtype)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    """Kullback-Leibler divergence of p from q: the cost of coding p with q's code, beyond p's entropy.

    .. math:: KL(p, q) = \\sum_c p_c \\log \\frac{p_c}{q_c}, \\quad 0 \\log 0 = 0

    Parameters
    ----------
    p, q : array_like, shape (..., C, ...)
        Probabilities along `axis`, float16, bfloat16, float32 or float64, broadcast against each other. That they sum to 1
        is not checked.
    axis : int, default -1
        The axis of the C classes.
    base : float, optional
        Base of the logarithm: 2 for bits; nats where it is not given.

    Returns
    -------
    array or scalar
        One figure per distribution: 0 where p = q, infinite where q is 0 and p is not, never negative for
        distributions that sum to 1, but for rounding.

    Raises
    ------
    ValueError
        If a probability is negative, or the shapes do not fit.
    TypeError
        If p or q is of another dtype.

    Notes
    -----
    Computed in float64 and rounded once. The arguments are in the order of the formula; torch's ``kl_div(input,
    target)`` takes log q first.

    References
    ----------
    .. [1] S. Kullback and R. A. Leibler, On Information and Sufficiency, 1951.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.information import kl_divergence
    >>> float(kl_divergence(np.array([0.5, 0.5]), np.array([0.25, 0.75]), base=2).round(6))
    0.207519
    """
    (p, q), axis, dtype = _distributions("kl_divergence", axis, p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(p == 0, 0.0, np.log(p) - np.log(q))
    return _mean(p, ratios, axis, base, dtype)
