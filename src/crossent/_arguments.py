"""Every check, every normalisation, every error text: from what a user passes to what a kernel may trust.

The functions return arrays that a kernel can view where they lie, dense ones where it cannot, and plain numbers; or raise:
ValueError for shapes and values, TypeError for dtypes, IndexError for a class or an axis out of bounds, in torch's words where
torch has words. Called by ``_plans.py``, ``_pointwise.py`` and ``_margins.py``; what only the elementwise losses ask is in
``_operands.py``.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[Any]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
EXPECTED = "expected float16, bfloat16, float32 or float64"


class Layout(NamedTuple):
    """An array seen as (outer, classes, inner), and its shape without the class axis."""

    outer: int
    classes: int
    inner: int
    positions_shape: tuple[int, ...]


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether kernels read this dtype: bfloat16, which is not NumPy's own, goes by its name."""
    return dtype.char in "fde" or dtype.name == "bfloat16"


def is_half(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize == 2 and is_float(dtype)


def real_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that a result of this one is computed in."""
    return FLOAT64 if dtype == FLOAT64 else FLOAT32


def float_array(value: ArrayLike, function: str, name: str = "input") -> FloatArray:
    """The value's own memory, of a float dtype and any layout."""
    array = plain_array(value, function, name)
    if not is_float(array.dtype):
        raise TypeError(f'"{function}" not implemented for {name} of dtype {array.dtype}: {EXPECTED}')
    return array


def plain_array(value: ArrayLike, function: str, name: str) -> NDArray[Any]:
    """The value as NumPy sees it, without a copy where it is an array of some kind; a masked array is refused."""
    if isinstance(value, np.ndarray):
        masked_arrays = sys.modules.get("numpy.ma")  # not np.ma, which would be imported for this question: 4 ms
        if masked_arrays is not None and isinstance(value, masked_arrays.MaskedArray):
            raise TypeError(f"{function}: {name} is a masked array, whose mask would be lost; fill it first")
    elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        from_dlpack: Any = np.from_dlpack  # it asks for a stream in its type, which a CPU has not
        return np.asarray(from_dlpack(value))
    return np.asarray(value)


def dense(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array, contiguous, aligned and of this dtype: itself where it is all that."""
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # what a dtype cannot hold becomes infinite, as in torch
        return np.require(array, dtype, ("C_CONTIGUOUS", "ALIGNED"))


def copy_rounded(to: NDArray[Any], values: NDArray[Any]) -> None:
    """Values in the dtype of another array; what that cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(to, values, casting="unsafe")


def layout(shape: tuple[int, ...], dim: int) -> Layout:
    """See an array of this shape, with classes along dim, as (outer, classes, inner)."""
    before, after = shape[:dim], shape[dim + 1 :]
    return Layout(math.prod(before), shape[dim], math.prod(after), before + after)


def axis(dim: int, ndim: int) -> int:
    """dim as a number from 0 to ndim - 1; a 0-d array counts as one of one dimension, as in torch."""
    number, dimensions = whole_number(dim, "dim"), max(ndim, 1)
    if not -dimensions <= number < dimensions:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-dimensions}, {dimensions - 1}], but got {number})"
        )
    return number % dimensions


def class_axis(dim: int | None, array: FloatArray, function: str) -> int:
    """The axis of the classes: dim, or torch's choice of 1, and 0 for one row."""
    if array.ndim == 0:
        raise ValueError(f"{function}: Expected 1 or more dimensions (got 0)")
    if dim is None:
        return min(1, array.ndim - 1)
    return axis(dim, array.ndim)


def is_class_probabilities(input: FloatArray, target: NDArray[Any]) -> bool:
    """torch's rule: a target of the input's shape holds probabilities, any other holds class indices."""
    return input.shape == target.shape


def probabilities(target: NDArray[Any], ignore_index: int) -> NDArray[Any]:
    """Class probabilities, of a float dtype."""
    if target.dtype.kind in "iub":
        raise TypeError(f"Expected floating point type for target with class probabilities, got {target.dtype}")
    if ignore_index >= 0:
        raise ValueError("ignore_index is not supported for floating point target")
    if not is_float(target.dtype):
        raise TypeError(f"cross_entropy: {EXPECTED} in probabilities, but got {target.dtype}")
    return target


def class_indices(target: NDArray[Any], input: FloatArray, dim: int, ignore_index: int) -> NDArray[np.int64]:
    """Class indices as int64, one for each position of the input; what int64 cannot hold becomes one that is out of bounds."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"expected target dtype to be an integer (class indices), but got {target.dtype}")
    _check_target_shape(target, input, dim)
    indices = dense(target, np.dtype(np.int64))
    if target.dtype.kind == "u" and target.dtype.itemsize == 8:
        indices = np.where(indices < 0, -2 if ignore_index == -1 else -1, indices)
    return indices


def _check_target_shape(target: NDArray[Any], input: FloatArray, dim: int) -> None:
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape == expected:
        return
    if input.ndim == 1:
        if target.shape == (1,):
            return
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {target.size}")
    if dim > 0 and (target.shape[:1] or (0,)) != input.shape[:1]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({(target.shape or (0,))[0]})."
        )
    if input.ndim == 2:
        raise ValueError(f"0D or 1D target tensor expected, multi-target not supported; got shape {list(target.shape)}")
    raise ValueError(f"Expected target size {list(expected)}, got {list(target.shape)}")


def class_weight(weight: ArrayLike | None, classes: int, function: str) -> NDArray[Any] | None:
    """A weight for each class, of any real dtype."""
    if weight is None:
        return None
    array = plain_array(weight, function, "weight")
    real_number(array, "weight")
    if array.shape != (classes,):
        raise ValueError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(array.shape)}"
        )
    return array


def real_number(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "fiu" and not is_float(array.dtype):
        raise TypeError(f"expected {name} of a real dtype, but got {array.dtype}")


def promoted(*arrays: NDArray[Any] | None) -> np.dtype[Any]:
    """What torch's mixed arithmetic of these arrays gives: the widest float dtype; float16 and bfloat16 meet in float32."""
    dtypes = {a.dtype.newbyteorder("=") for a in arrays if a is not None and is_float(a.dtype)}
    if len(dtypes) == 1:
        return dtypes.pop()
    return FLOAT64 if FLOAT64 in dtypes else FLOAT32


def whole_number(value: int, name: str) -> int:
    """An int that fits into int64."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"argument '{name}' must be int, not {type(value).__name__}") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"argument '{name}' must fit into int64, but got {number}")
    return number


def smoothing(label_smoothing: float, name: str = "label_smoothing") -> float:
    if not isinstance(label_smoothing, numbers.Real):
        raise TypeError(f"argument '{name}' must be a number, not {type(label_smoothing).__name__}")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"{name} must be between 0.0 and 1.0. Got: {label_smoothing}")
    return float(label_smoothing)


def temperature(value: float) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"argument 'temperature' must be a number, not {type(value).__name__}")
    if not 0.0 < value < math.inf:
        raise ValueError(f"temperature must be a finite number above 0. Got: {value}")
    return float(value)


def several_classes(classes: int, function: str) -> None:
    if classes < 2:
        raise ValueError(f"{function}: expected two classes or more to spread the smoothing over, but got {classes}")


def target_in_bounds(target: NDArray[Any], first_bad: int) -> None:
    """Refuse class indices of which the first that is out of bounds is at this position, unless that is -1."""
    if first_bad >= 0:
        raise IndexError(f"Target {target.reshape(-1)[first_bad]} is out of bounds.")


def grad_output_array(grad_output: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
    """The gradient that flows into a result of this shape and dtype."""
    array = plain_array(grad_output, "backward", "grad_output")
    real_number(array, "grad_output")
    if array.shape != shape:
        raise ValueError(f"Expected grad_output of shape {list(shape)}, as the result has, but got {list(array.shape)}")
    return dense(array, dtype)


def output(
    out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any], read: tuple[NDArray[Any] | None, ...]
) -> FloatArray:
    """The array that a kernel writes to: `out` itself, or memory of its own where `out` is missing or unfit.

    Unfit is what is not dense, and what overlaps an array of `read`, which the kernel reads while it writes; the first
    of them alone may be the very memory of `out`. Hand the result to :func:`deliver`.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"expected out to be a NumPy array, but got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"expected out of shape {list(shape)}, but got {list(out.shape)}")
    if out.dtype != dtype:
        raise TypeError(f"expected out of dtype {dtype}, but got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("expected an out that can be written to, but got a read-only array")
    fit = out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative
    return out if fit and not _clashes(out, read) else np.empty(shape, dtype)


def _clashes(out: NDArray[Any], read: tuple[NDArray[Any] | None, ...]) -> bool:
    for number, array in enumerate(read):
        if array is None or not np.may_share_memory(out, array):
            continue
        same = out.ctypes.data == array.ctypes.data and out.dtype == array.dtype and array.flags.c_contiguous
        if number or not same or out.size != array.size:
            return True
    return False


def deliver(result: FloatArray, out: NDArray[Any] | None) -> FloatArray:
    """The result in the user's own `out`, if there is one."""
    if out is None or out is result:
        return result
    np.copyto(out, result)
    return out


def image(input: ArrayLike, function: str) -> None:
    """(C, H, W) or (N, C, H, W)"""
    if np.ndim(input) not in (3, 4):
        raise ValueError(f"{function}: expected input to be 3D or 4D, got {np.ndim(input)}D instead")


def one_hot_classes(tensor: ArrayLike, num_classes: int) -> tuple[NDArray[Any], int]:
    """A copy of the class indices, to which no other thread writes, and their number of classes: num_classes, or one more than
    the largest index.
    """
    indices = np.array(plain_array(tensor, "one_hot", "tensor"))
    if indices.dtype.kind not in "iu":
        raise TypeError(f"one_hot is only applicable to index tensor of an integer dtype, but got {indices.dtype}")
    classes = whole_number(num_classes, "num_classes")
    if indices.size == 0:
        if classes <= 0:
            raise ValueError("Can not infer total number of classes from empty tensor.")
        return indices, classes
    if indices.min() < 0:
        raise ValueError(f"Class values must be non-negative, but got {indices.min()}.")
    if classes == -1:
        classes = int(indices.max()) + 1
    if indices.max() >= classes:
        raise ValueError(f"Class values must be smaller than num_classes ({classes}), but got {indices.max()}.")
    return indices, classes
