"""Losses over the distance of an input from its target."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent.nn import functional as F
from crossent.nn.modules.base import Module


class MSELoss(Module):
    """Squared distance: :func:`crossent.nn.functional.mse_loss` with its options.

    Parameters
    ----------
    size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.MSELoss()
    >>> print(criterion([1.0, 2.0], [0.0, 4.0]))
    2.5
    >>> criterion.backward().tolist()
    [1.0, -2.0]
    """

    _function = F.mse_loss

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class L1Loss(Module):
    """Absolute distance: :func:`crossent.nn.functional.l1_loss` with its options.

    Parameters
    ----------
    size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.L1Loss()
    >>> print(criterion([1.0, 2.0], [0.0, 4.0]))
    1.5
    >>> criterion.backward().tolist()
    [0.5, -0.5]
    """

    _function = F.l1_loss

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class SmoothL1Loss(Module):
    """Distance that is squared near 0: :func:`crossent.nn.functional.smooth_l1_loss` with its options.

    Parameters
    ----------
    size_average, reduce, reduction, beta
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.SmoothL1Loss(reduction="sum")
    >>> print(criterion([0.5, 3.0], [0.0, 0.0]))
    2.625
    >>> criterion.backward().tolist()
    [0.5, 1.0]
    """

    _function = F.smooth_l1_loss

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.beta = beta

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class HuberLoss(Module):
    """Half the squared distance up to delta, its tangent beyond: :func:`crossent.nn.functional.huber_loss` with its options.

    Parameters
    ----------
    reduction, delta
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.HuberLoss(delta=2.0)
    >>> print(criterion([1.0, 3.0], [0.0, 0.0]))
    2.25
    >>> criterion.backward().tolist()
    [0.5, 1.0]
    """

    _function = F.huber_loss

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction = reduction
        self.delta = delta

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)
