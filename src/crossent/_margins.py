"""The plans of multi_margin_loss and multilabel_margin_loss. Called by ``nn/functional/margins.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels, _operands
from crossent._arguments import FloatArray
from crossent._plans import RowLoss
from crossent._reduction import Reduction
from crossent._runtime import get_num_threads


class Margin(RowLoss):
    """A value for each row of scores, and their reduction."""

    def __init__(
        self,
        input: FloatArray,
        target: NDArray[np.int64],
        values_shape: tuple[int, ...],
        reduction: Reduction,
        weight: NDArray[Any] | None = None,
        several: bool = False,
        power: int = 1,
        margin: float = 1.0,
    ) -> None:
        dtype = input.dtype.newbyteorder("=")
        self.real = arguments.real_of(dtype)
        weight = None if weight is None else arguments.dense(weight, self.real)
        rows, classes = input.shape[0] if input.ndim == 2 else 1, input.shape[-1] if input.ndim else 1
        super().__init__(input, values_shape, reduction, dtype, (target, weight), rows)
        is_double = self.real == arguments.FLOAT64
        self._job = _kernels.MarginJob(is_double, input, rows, classes, target, weight, several, power, margin)

    def _compute(self, **how: Any) -> float:
        return self._job.run(get_num_threads(), **how)


def _scores(input: ArrayLike, function: str) -> tuple[FloatArray, int, int]:
    """Scores of one row or of several, and the numbers of rows and classes."""
    x = arguments.float_array(input, function)
    classes = x.shape[-1] if x.ndim else 1
    if x.ndim > 2 or classes == 0:
        raise ValueError(f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(x.shape)}")
    return x, x.shape[0] if x.ndim == 2 else 1, classes


def _indices(array: NDArray[Any], function: str, lowest: int, classes: int, text: str) -> NDArray[np.int64]:
    """Class indices from `lowest` on, as int64."""
    if array.dtype.kind not in "iu":
        raise TypeError(f"{function}: expected target of an integer dtype, but got {array.dtype}")
    wrong = (array < lowest) | (array >= classes)
    if wrong.any():
        raise IndexError(f"{text}: got {array[wrong].flat[0]}, expected {lowest} to {classes - 1}")
    return arguments.dense(array, np.dtype(np.int64))


def multi_margin_loss(
    input: ArrayLike, target: ArrayLike, p: int, margin: float, weight: ArrayLike | None, reduction: Reduction
) -> Margin:
    name = "multi_margin_loss"
    x, rows, classes = _scores(input, name)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, but got {p}")
    weights = None if weight is None else arguments.plain_array(weight, name, "weight")
    if weights is not None:
        arguments.real_number(weights, "weight")
        if weights.ndim != 1:
            raise ValueError(f"weight must be one-dimensional, but got shape {list(weights.shape)}")
        if weights.size != classes:
            raise ValueError(f"inconsistent weight size, expected {classes} but got {list(weights.shape)}")
    labels = arguments.plain_array(target, name, "target")
    shape = labels.shape
    if shape != (rows,) and not (shape == () and x.ndim < 2):
        raise ValueError(
            f"{name}: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{rows}], but got {list(shape)}. Input has shape {list(x.shape)}."
        )
    indices = _indices(labels, name, 0, classes, "target out of range")
    return Margin(x, indices, shape, reduction, weights, power=int(p), margin=_operands.number(margin, "margin"))


def multilabel_margin_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction) -> Margin:
    name = "multilabel_margin_loss"
    x, _, classes = _scores(input, name)
    labels = arguments.plain_array(target, name, "target")
    if labels.shape != x.shape:
        raise ValueError(f"inconsistent target size: {list(labels.shape)} for input of size: {list(x.shape)}")
    indices = _indices(labels, name, -1, classes, "argument #2 'target' is out of range")
    return Margin(x, indices, x.shape[:-1], reduction, several=True)
