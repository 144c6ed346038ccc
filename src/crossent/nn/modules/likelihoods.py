"""Losses of distributions."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent.nn import functional as F
from crossent.nn.modules.base import Module


class KLDivLoss(Module):
    """Kullback-Leibler divergence: :func:`crossent.nn.functional.kl_div` with its options.

    Parameters
    ----------
    size_average, reduce, reduction, log_target
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.KLDivLoss(reduction="batchmean")
    >>> print(criterion(np.log([[0.5, 0.5]]), [[0.25, 0.75]]).round(6))
    0.130812
    >>> criterion.backward().tolist()
    [[-0.25, -0.75]]
    """

    _function = F.kl_div

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.log_target = log_target

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class GaussianNLLLoss(Module):
    """Negative log-likelihood of normal distributions: :func:`crossent.nn.functional.gaussian_nll_loss` with its options.

    Parameters
    ----------
    full, eps, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.GaussianNLLLoss()
    >>> print(criterion([1.0], [3.0], [4.0]).round(6))
    1.193147
    >>> criterion.backward().tolist()
    [-0.5]
    """

    _function = F.gaussian_nll_loss

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def __call__(self, input: ArrayLike, target: ArrayLike, var: ArrayLike) -> Any:
        return self._apply(input, target, var)


class PoissonNLLLoss(Module):
    """Negative log-likelihood of Poisson distributions: :func:`crossent.nn.functional.poisson_nll_loss` with its options.

    Parameters
    ----------
    log_input, full, size_average, eps, reduce, reduction
        As in the function. All are plain attributes. The first argument of a call is named log_input, as in
        torch, also where it holds rates.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.PoissonNLLLoss()
    >>> print(criterion(np.log([2.0]), [3.0]).round(6))
    -0.079442
    >>> criterion.backward().round(6).tolist()
    [-1.0]
    """

    _function = F.poisson_nll_loss

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.log_input = log_input
        self.full = full
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.eps = eps

    def __call__(self, log_input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(log_input, target)
