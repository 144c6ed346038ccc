"""Losses that ask for a margin."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent.nn import functional as F
from crossent.nn.modules.base import Module


class MultiMarginLoss(Module):
    """Hinge loss of a class: :func:`crossent.nn.functional.multi_margin_loss` with its options.

    Parameters
    ----------
    p, margin, weight, size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.MultiMarginLoss()
    >>> print(criterion([[0.5, 1.0, 0.0, 0.0]], [0]))
    0.625
    >>> criterion.backward().tolist()
    [[-0.75, 0.25, 0.25, 0.25]]
    """

    _function = F.multi_margin_loss

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.p = p
        self.margin = margin
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class MultiLabelMarginLoss(Module):
    """Hinge loss of a set of classes: :func:`crossent.nn.functional.multilabel_margin_loss` with its options.

    Parameters
    ----------
    size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.MultiLabelMarginLoss()
    >>> print(criterion([0.1, 0.2, 0.4, 0.8], [3, 0, -1, 1]).round(6))
    0.85
    >>> criterion.backward().tolist()
    [-0.5, 0.5, 0.5, -0.5]
    """

    _function = F.multilabel_margin_loss

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class HingeEmbeddingLoss(Module):
    """Loss of distances of similar and dissimilar pairs: :func:`crossent.nn.functional.hinge_embedding_loss` with its options.

    Parameters
    ----------
    margin, size_average, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import crossent.nn as nn
    >>> criterion = nn.HingeEmbeddingLoss()
    >>> print(criterion([0.25, 0.25], [1.0, -1.0]))
    0.5
    >>> criterion.backward().tolist()
    [0.5, -0.5]
    """

    _function = F.hinge_embedding_loss

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.margin = margin
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)
