"""The checks of the elementwise losses: shapes that broadcast, or must not; dtypes that mix, or must not.

Errors are torch's words: ValueError for shapes and values, TypeError for dtypes. Called by ``_pointwise.py``.
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels
from crossent._arguments import FloatArray
from crossent._runtime import get_num_threads

Shape = tuple[int, ...]


def operand(value: ArrayLike, function: str, name: str, like: FloatArray, kinds: str = "iu") -> FloatArray:
    """An array of a float dtype, or of integers (those of `kinds`), which become the dtype of `like`."""
    array = arguments.plain_array(value, function, name)
    if array.dtype.kind in kinds:
        return arguments.dense(array, like.dtype.newbyteorder("="))
    return arguments.float_array(array, function, name)


def broadcast(*arrays: NDArray[Any]) -> Shape:
    """The one shape of several arrays."""
    shape = arrays[0].shape
    for array in arrays[1:]:
        if array.shape == shape:
            continue
        for axis in range(1, min(len(shape), array.ndim) + 1):
            a, b = shape[-axis], array.shape[-axis]
            if a != b and a != 1 and b != 1:
                dimension = max(len(shape), array.ndim) - axis
                raise ValueError(
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {dimension}"
                )
        shape = np.broadcast_shapes(shape, array.shape)
    return shape


def broadcast_into(array: NDArray[Any], shape: Shape) -> None:
    """Refuse an array that this shape would have to grow for."""
    whole = broadcast(np.broadcast_to(False, shape), array)
    if whole != shape or array.ndim > len(shape):
        raise ValueError(f"output with shape {list(shape)} doesn't match the broadcast shape {list(whole)}")


def seen_as(array: NDArray[Any] | None, shape: Shape) -> NDArray[Any] | None:
    """The array, repeated to this shape without a copy."""
    if array is None or array.shape == shape:
        return array
    return np.broadcast_to(array, shape)


def same_size_or_warning(input: NDArray[Any], target: NDArray[Any]) -> None:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({torch_size(target)}) that is different to the input size ({torch_size(input)}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=6,
        )


def same_size(input: NDArray[Any], target: NDArray[Any], function: str) -> None:
    if target.shape == input.shape:
        return
    if function == "binary_cross_entropy":
        raise ValueError(
            f"Using a target size ({torch_size(target)}) that is different to the input size ({torch_size(input)}) is "
            "deprecated. Please ensure they have the same size."
        )
    raise ValueError(f"Target size ({torch_size(target)}) must be the same as input size ({torch_size(input)})")


def torch_size(array: NDArray[Any]) -> str:
    return f"torch.Size({list(array.shape)})"


def position_weight(weight: ArrayLike | None, function: str, input: FloatArray) -> FloatArray | None:
    """A weight for each position, of the input's very shape."""
    if weight is None:
        return None
    array = operand(weight, function, "weight", input, "iub")
    if array.shape != input.shape:
        raise ValueError(f"Weights and input must have the same size; got {list(array.shape)} and {list(input.shape)}.")
    return array


def factor(value: ArrayLike | None, function: str, name: str, input: FloatArray) -> FloatArray | None:
    """A factor of any real dtype that broadcasts into the input's shape."""
    if value is None:
        return None
    array = operand(value, function, name, input, "iub")
    broadcast_into(array, input.shape)
    return array


def variance(var: ArrayLike, input: FloatArray) -> tuple[FloatArray, Shape]:
    """One for each position, or for each along the last axis but one (torch's shapes, or a number); and var's own shape."""
    function = "gaussian_nll_loss"
    if isinstance(var, numbers.Real):
        array = np.full((1,) * input.ndim, var, input.dtype.newbyteorder("="))
        given_shape = array.shape
    else:
        array = operand(var, function, "var", input, "")
        given_shape = array.shape
        if array.shape == input.shape[:-1] and input.ndim:
            array = array[..., np.newaxis]
        fits = array.ndim == input.ndim and all(a in (1, b) for a, b in zip(array.shape, input.shape, strict=True))
        if array.shape != input.shape and not (fits and input.ndim):
            raise ValueError(f"var is of incorrect size: got {list(array.shape)} for input of size {list(input.shape)}")
    within(array, "var has negative entry/entries", 0.0, math.inf, nan=True)
    return array, given_shape


def within(array: FloatArray, text: str, low: float, high: float, nan: bool = False) -> None:
    """Refuse values that are not between low and high, a nan too unless that is allowed."""
    if array.size == 0:
        return
    first = _kernels.first_outside(array, low, high, get_num_threads())
    if first < 0:
        return
    wrong = array[np.unravel_index(first, array.shape)]
    if not nan or wrong < low:
        raise ValueError(f"{text}, but got {wrong}")
    if bool((array < low).any()):
        raise ValueError(f"{text}, but got {array[array < low].flat[0]}")


def one_dtype(input: FloatArray, target: NDArray[Any]) -> None:
    if input.dtype.newbyteorder("=") != target.dtype.newbyteorder("="):
        raise TypeError(f"Found dtype {target.dtype} but expected {input.dtype}")


def number(value: Any, name: str) -> float:
    """A real number as a float; nan is one."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"argument '{name}' must be a number, not {type(value).__name__}")
    return float(value)
