"""Losses over two classes."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent.nn import functional as F
from crossent.nn.modules.base import Module


class BCELoss(Module):
    """Cross entropy of probabilities: :func:`crossent.nn.functional.binary_cross_entropy` with its options.

    Parameters
    ----------
    weight, size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.BCELoss()
    >>> print(criterion([0.8], [1.0]).round(6))
    0.223144
    >>> criterion.backward().round(6).tolist()
    [-1.25]
    """

    _function = F.binary_cross_entropy

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class BCEWithLogitsLoss(Module):
    """Sigmoid and cross entropy: :func:`crossent.nn.functional.binary_cross_entropy_with_logits` with its options.

    Parameters
    ----------
    weight, size_average, reduce, reduction, pos_weight
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.BCEWithLogitsLoss()
    >>> print(criterion(np.log([1.0, 3.0]), [1.0, 0.0]).round(6))
    1.039721
    >>> criterion.backward().round(6).tolist()
    [-0.25, 0.375]
    """

    _function = F.binary_cross_entropy_with_logits

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.pos_weight = pos_weight

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class MultiLabelSoftMarginLoss(Module):
    """Mean cross entropy of several labels: :func:`crossent.nn.functional.multilabel_soft_margin_loss` with its options.

    Parameters
    ----------
    weight, size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.MultiLabelSoftMarginLoss()
    >>> print(criterion(np.log([[1.0, 3.0]]), [[1.0, 0.0]]).round(6))
    1.039721
    >>> criterion.backward().round(6).tolist()
    [[-0.25, 0.375]]
    """

    _function = F.multilabel_soft_margin_loss

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class SoftMarginLoss(Module):
    """Logistic loss: :func:`crossent.nn.functional.soft_margin_loss` with its options.

    Parameters
    ----------
    size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.SoftMarginLoss()
    >>> print(criterion([0.0], [1.0]).round(6))
    0.693147
    >>> criterion.backward().round(6).tolist()
    [-0.5]
    """

    _function = F.soft_margin_loss

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)
