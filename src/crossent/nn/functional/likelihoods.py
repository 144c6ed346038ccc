"""Losses of distributions: the Kullback-Leibler divergence, and the likelihoods of Gauss and Poisson."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent import _plans, _pointwise
from crossent._reduction import chosen_reduction, kl_div_reduction
from crossent.autodiff import Differentiable


@Differentiable
def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Kullback-Leibler divergence of log-probabilities from probabilities, term by term.

    .. math:: \ell_n = y_n (\log y_n - x_n)

    and, with `log_target`, :math:`\ell_n = e^{y_n} (y_n - x_n)`.

    Parameters
    ----------
    input : array_like
        Log-probabilities x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        Probabilities y, or their logarithms, of the input's shape or one that broadcasts with it.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" is the sum divided by the length of input's first axis: the mean of the divergences, in the sense of
        mathematics. "mean" divides by the number of all terms, with torch's warning.
    log_target : bool, default False
        Whether the target holds logarithms.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats. A term may be negative; the sum over a whole distribution is 0 or more. Shape (), but that of input and
        target for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each term is within 4 ULP of its larger part, y log y or y x, which may cancel.

    A target of 0 gives a term of 0. Unlike torch: it does so at an input of -inf too, where torch has nan. A negative
    target gives nan. `crossent.information.kl_divergence` takes two arrays of probabilities and sums along an axis.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> print(F.kl_div(np.log([[0.5, 0.5]]), [[0.25, 0.75]], reduction="batchmean").round(6))
    0.130812
    >>> print(F.kl_div(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), reduction="sum", log_target=True).round(6))
    0.130812
    """
    reduction = kl_div_reduction(size_average, reduce, reduction)
    return _pointwise.kl_div(input, target, log_target, reduction)


@Differentiable
def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Negative log-likelihood of values under normal distributions.

    .. math:: \ell_n = \frac{1}{2} \left( \log v_n + \frac{(x_n - y_n)^2}{v_n} \right), \quad
        v_n = \max(\mathrm{var}_n, \varepsilon)

    Parameters
    ----------
    input : array_like
        Means x of any shape, float16, bfloat16, float32 or float64.
    target : array_like
        Values y, of the input's shape or one that broadcasts with it.
    var : array_like
        Variances, 0 or more: one number; or an array of the input's shape, of that shape without its last axis, or of that
        shape with one axis of length 1.
    full : bool, default False
        Add the constant :math:`\frac{1}{2} \log 2 \pi`.
    eps : float, default 1e-6
        :math:`\varepsilon`, above 0: smaller variances count as this one.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions.
    out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, of either sign. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, a variance is negative, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is within some ULP of its larger term: the logarithm and the square may cancel.

    The gradient of `var` does not see that small variances count as `eps`: it is the one at v, as in torch.

    Examples
    --------
    >>> import crossent.nn.functional as F
    >>> print(F.gaussian_nll_loss([1.0], [3.0], [4.0]).round(6))
    1.193147
    >>> print(F.gaussian_nll_loss([1.0], [3.0], [4.0], full=True).round(6))
    2.112086
    """
    return _pointwise.gaussian_nll_loss(input, target, var, full, eps, chosen_reduction(None, None, reduction))


@Differentiable
def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    out: NDArray[Any] | None = None,
) -> _plans.Plan:
    r"""Negative log-likelihood of counts under Poisson distributions.

    .. math:: \ell_n = e^{x_n} - y_n x_n

    and, without `log_input`, :math:`\ell_n = x_n - y_n \log(x_n + \varepsilon)`.

    Parameters
    ----------
    input : array_like
        Logarithms x of the rates, or the rates, of any shape; float16, bfloat16, float32 or float64.
    target : array_like
        Counts y, of the input's shape or one that broadcasts with it.
    log_input : bool, default True
        Whether the input holds logarithms.
    full : bool, default False
        Add Stirling's approximation of log y! where y is above 1: :math:`y \log y - y + \frac{1}{2} \log 2 \pi y`.
    eps : float, default 1e-8
        :math:`\varepsilon`, which keeps the logarithm of a rate of 0 finite.
    reduction : {"mean", "sum", "none"}
        A mean divides by the number of positions.
    size_average, reduce, out
        See the module's documentation.

    Returns
    -------
    scalar or array
        In nats, of either sign. Shape () for "mean" and "sum", the input's for "none". The mean of nothing is nan.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument has an impossible value.
    TypeError
        If a dtype is none of those above.

    Notes
    -----
    Each value is within some ULP of its largest term: terms may cancel.

    A negative rate gives nan, as in torch, unless it is above -eps.

    Examples
    --------
    >>> import numpy as np
    >>> import crossent.nn.functional as F
    >>> print(F.poisson_nll_loss(np.log([2.0]), [3.0]).round(6))
    -0.079442
    >>> print(F.poisson_nll_loss(np.log([2.0]), [3.0], full=True).round(6))
    1.68464
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return _pointwise.poisson_nll_loss(input, target, log_input, full, eps, reduction)
