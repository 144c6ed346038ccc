"""Losses over classes."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent import _plans
from crossent.autodiff import Differentiable
from crossent.nn import functional as F
from crossent.nn.modules.base import Module


class CrossEntropyLoss(Module):
    """Softmax cross entropy: :func:`crossent.nn.functional.cross_entropy` with its options.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.CrossEntropyLoss(reduction="sum")
    >>> print(criterion(np.log([[1.0, 3.0]]), [0]).round(6))
    1.386294
    >>> criterion.backward().round(6).tolist()
    [[-0.75, 0.75]]
    """

    _function = F.cross_entropy

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class NLLLoss(Module):
    """Negative log-likelihood: :func:`crossent.nn.functional.nll_loss` with its options.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.NLLLoss()
    >>> print(criterion(np.log([[0.25, 0.75]]), [1]).round(6))
    0.287682
    >>> criterion.backward().tolist()
    [[0.0, -1.0]]
    """

    _function = F.nll_loss

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.ignore_index = ignore_index

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


@Differentiable
def _label_smoothing_loss(input: ArrayLike, target: ArrayLike, smoothing: float, dim: int) -> _plans.Plan:
    return _plans.label_smoothing_loss(input, target, smoothing, dim)


class LabelSmoothingLoss(Module):
    r"""Mean cross entropy against targets of 1 - s at the class and s / (C - 1) at each other one.

    .. math:: \ell_n = -(1 - s) \log p_{n y_n} - \frac{s}{C - 1} \sum_{c \ne y_n} \log p_{nc}

    CrossEntropyLoss spreads its label_smoothing over all C classes instead, the target's among them: this is that loss
    with label_smoothing = s C / (C - 1).

    Parameters
    ----------
    smoothing : float, default 0.05
        s, from 0 to 1.
    dim : int, default -1
        The axis of the C classes, which must be two or more.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> print(nn.LabelSmoothingLoss(smoothing=0.5)(np.log([[1.0, 3.0]]), [0]).round(6))
    0.836988
    """

    _function = _label_smoothing_loss

    def __init__(self, smoothing: float = 0.05, dim: int = -1) -> None:
        self.smoothing = smoothing
        self.dim = dim

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)
