"""Plans: checked calls. One preparation serves the value, the gradient and both in one pass.

A public function makes a plan and asks it for its value; ``autodiff.py`` asks the same plan for gradients. Plans hold
arrays that ``_arguments.py`` has checked and call ``_kernels``; they check nothing themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels, _reduction
from crossent._arguments import FloatArray
from crossent._kernels import GRADIENT, LOG_SOFTMAX
from crossent._runtime import get_num_threads

Value = Any  # an array, or a NumPy scalar where the result has no dimensions


class Plan(Protocol):
    """What autodiff needs of a call. Arguments are named as in the public function's signature."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The result's."""

    def value(self, out: NDArray[Any] | None = None) -> Value:
        """The function's result."""

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """grad_output times the derivative of the result with respect to an argument."""

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        """Both at once, for a result without dimensions."""


class _TargetPlan:
    """What the losses over a target share: one value for each position, and a reduction of them."""

    function: str
    takes_probabilities: bool

    def __init__(
        self,
        input: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike | None,
        ignore_index: int,
        reduction: _reduction.Reduction,
        dim: int | None,
        label_smoothing: float = 0.0,
    ) -> None:
        logits = arguments.float_array(input, self.function)
        labels = arguments.plain_array(target, self.function, "target")
        self.dim = arguments.class_axis(dim, logits, self.function)
        self.reduction, self.label_smoothing = reduction, label_smoothing
        layout = arguments.layout(logits.shape, self.dim)
        self.positions_shape = layout.positions_shape
        self.has_probabilities = self.takes_probabilities and arguments.is_class_probabilities(logits, labels)
        ignore_index = arguments.whole_number(ignore_index, "ignore_index")
        weights = arguments.class_weight(weight, layout.classes, self.function)
        dtype = logits.dtype
        if self.has_probabilities:
            labels = arguments.probabilities(labels, ignore_index)
            dtype = arguments.promoted(logits, labels, weights)
            self.target: NDArray[Any] = arguments.dense(labels, dtype)
        else:
            self.target = arguments.class_indices(labels, logits, self.dim, ignore_index)
        self.input = arguments.dense(logits, dtype)
        self.input_dtype, self.target_dtype = logits.dtype, labels.dtype.newbyteorder("=")
        self.weight = None if weights is None else arguments.dense(weights, dtype)
        self._job = _kernels.Job(
            self.input,
            *layout[:3],
            target=None if self.has_probabilities else self.target,
            probabilities=self.target if self.has_probabilities else None,
            weight=self.weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            log_probabilities=not self.takes_probabilities,
        )
        self.mean_weight = self._mean_weight(labels, layout.classes)

    def _mean_weight(self, labels: NDArray[Any], classes: int) -> float:
        """What a mean divides by; class indices out of bounds are found here, before anything is written."""
        if self.has_probabilities:
            return self.input.size / classes if classes else 0.0
        weight, first_bad = self._job.check_target(get_num_threads())
        arguments.target_in_bounds(labels, first_bad)
        return math.nan if weight == 0 and self.label_smoothing else weight  # torch: 0 / 0 + smoothing / 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.positions_shape if self.reduction == "none" else ()

    def _compute(self, values: NDArray[Any] | None = None, divisor: float = 1.0, **how: Any) -> float:
        """Have the kernels compute values or gradient; the sum of the values over divisor."""
        if self.input.size:
            return self._job.run(get_num_threads(), values=values, divisor=divisor, **how)
        if values is not None:
            values.fill(0)
        return 0.0 / divisor if divisor else math.nan

    def value(self, out: NDArray[Any] | None = None) -> Value:
        if self.reduction != "none":
            total = self._compute(divisor=_reduction.divisor(self.reduction, self.mean_weight))
            return _scalar(total, self.input.dtype, out)
        reads = (None, self.input, self.target, self.weight)
        values = arguments.output(out, self.positions_shape, self.input.dtype, reads)
        self._compute(values=values)
        return _unwrapped(arguments.deliver(values, out), out)

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        grad = arguments.grad_output_array(grad_output, self.shape, self.input.dtype)
        if argument == "target":
            return self._target_gradient(grad, out)
        scale = _reduction.gradient_scale(self.reduction, self.mean_weight)
        if self.reduction == "none":
            return self._input_gradient(out, grad_scale=scale, grad_output=grad)[1]
        return self._input_gradient(out, grad_scale=scale * float(grad))[1]

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        if argument == "target":
            return self.value(), self.gradient(argument, 1.0, out)
        total, gradient = self._input_gradient(
            out,
            grad_scale=_reduction.gradient_scale(self.reduction, self.mean_weight),
            divisor=_reduction.divisor(self.reduction, self.mean_weight),
        )
        return self.input.dtype.type(total), gradient

    def _input_gradient(self, out: NDArray[Any] | None, **how: Any) -> tuple[float, FloatArray]:
        """The sum of the values over how's divisor, and the gradient, in the dtype that the user's input has."""
        reads = (self.input, self.target, self.weight, how.get("grad_output"))
        output = arguments.output(out, self.input.shape, self.input_dtype, reads)
        computed = output if self.input.dtype == self.input_dtype else np.empty(self.input.shape, self.input.dtype)
        total = self._compute(output=computed, kind=GRADIENT, **how)
        if computed is not output:
            np.copyto(output, computed, casting="same_kind")
        return total, arguments.deliver(output, out)

    def _target_gradient(self, grad_output: FloatArray, out: NDArray[Any] | None) -> FloatArray:
        raise TypeError("class indices have no gradient: the target must hold class probabilities for that")


class CrossEntropy(_TargetPlan):
    """Softmax cross entropy over class indices or class probabilities; label_smoothing may be anything from 0 up."""

    function, takes_probabilities = "cross_entropy", True

    def _target_gradient(self, grad_output: FloatArray, out: NDArray[Any] | None) -> FloatArray:
        """dL/dq = -k (1 - eps) w log softmax(x)"""
        if not self.has_probabilities:
            return super()._target_gradient(grad_output, out)
        output = arguments.output(out, self.target.shape, self.target_dtype, (None, self.input, self.target, self.weight))
        factor = (1.0 - self.label_smoothing) * _reduction.gradient_scale(self.reduction, self.mean_weight)
        spread = np.expand_dims(grad_output, self.dim) if self.reduction == "none" else grad_output
        gradient = Softmax(self.input, self.dim, log=True).value()
        with np.errstate(invalid="ignore", over="ignore"):  # 0 times infinity is nan: nothing says what it should be
            gradient *= -factor * spread
            if self.weight is not None:
                gradient *= self.weight.reshape([-1 if d == self.dim else 1 for d in range(self.input.ndim)])
            np.copyto(output, gradient, casting="same_kind")
        return arguments.deliver(output, out)


class NLLLoss(_TargetPlan):
    """Negative log-likelihood of log-probabilities, over class indices."""

    function, takes_probabilities = "nll_loss", False


class _ArrayPlan:
    """What softmax, log_softmax and logsumexp share: a result per position, so value and gradient come one by one."""

    input: FloatArray
    shape: tuple[int, ...]

    def value(self, out: NDArray[Any] | None = None) -> Value:
        raise NotImplementedError

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        raise NotImplementedError

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        value = self.value()
        return value, self.gradient(argument, np.ones(self.shape, self.input.dtype), out)


class Softmax(_ArrayPlan):
    """softmax or log_softmax along an axis."""

    def __init__(self, input: ArrayLike, dim: int, *, log: bool, dtype: Any = None) -> None:
        name = "log_softmax" if log else "softmax"
        array = np.asarray(input)
        if dtype is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                array = array.astype(dtype)
        self.input = arguments.float_array(array, name)
        self.shape = self.input.shape
        self.log = log
        axis = arguments.axis(dim, self.input.ndim)
        self.layout = arguments.layout(self.shape or (1,), axis)

    def value(self, out: NDArray[Any] | None = None) -> Value:
        output = arguments.output(out, self.shape, self.input.dtype, (self.input,))
        job = _kernels.Job(self.input, *self.layout[:3])
        if output.size:
            job.run(get_num_threads(), output=output, kind=LOG_SOFTMAX if self.log else GRADIENT)
        return _unwrapped(arguments.deliver(output, out), out)

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """log_softmax: g - p sum g, and softmax the same with p g for g: the gradient of -cross_entropy(x, g)."""
        grad = arguments.grad_output_array(grad_output, self.shape, self.input.dtype)
        if not self.log:
            with np.errstate(over="ignore", invalid="ignore"):
                grad = np.asarray(self.value() * grad)
        output = arguments.output(out, self.shape, self.input.dtype, (self.input, grad))
        job = _kernels.Job(self.input, *self.layout[:3], probabilities=grad)
        if output.size:
            job.run(get_num_threads(), output=output, kind=GRADIENT, grad_scale=-1.0)
        return arguments.deliver(output, out)


class LogSumExp(_ArrayPlan):
    """log(sum(exp(input))) along one or several axes."""

    def __init__(self, input: ArrayLike, dim: int | Sequence[int], keepdim: bool) -> None:
        self.input = arguments.float_array(input, "logsumexp")
        ndim = self.input.ndim
        given: Any = dim if np.ndim(dim) else (dim,)
        dims = [arguments.axis(d, ndim) for d in given]
        if not dims or len(set(dims)) != len(dims):
            raise ValueError(f"expected dim to name each axis once, and one at least, but got {dim}")
        kept = [d for d in range(ndim) if d not in dims]
        full = self.input.shape
        self.shape = tuple(1 if d in dims else full[d] for d in range(ndim) if keepdim or d not in dims)
        # One axis is read where it lies; several are brought together at the end first.
        self._order = None if len(dims) == 1 or ndim == 0 else [*kept, *sorted(dims)]
        if self._order is None:
            self._rows, self.layout = self.input, arguments.layout(full or (1,), dims[0])
        else:
            self._rows = np.ascontiguousarray(self.input.transpose(self._order))
            classes = math.prod(full[d] for d in dims)
            self.layout = arguments.Layout(math.prod(full[d] for d in kept), classes, 1, self.shape)

    def value(self, out: NDArray[Any] | None = None) -> Value:
        values = arguments.output(out, self.shape, self.input.dtype, (None, self.input))
        if self.layout.classes == 0:
            values.fill(-np.inf)
        else:
            _kernels.Job(self._rows, *self.layout[:3]).run(get_num_threads(), values=values)
        return _unwrapped(arguments.deliver(values, out), out)

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """g softmax(x)"""
        grad = arguments.grad_output_array(grad_output, self.shape, self.input.dtype)
        reads = (self._rows, self.input, grad) if self._order is not None else (self.input, grad)
        output = arguments.output(out, self.input.shape, self.input.dtype, reads)
        rows = output if self._order is None else np.empty_like(self._rows)
        if rows.size:
            job = _kernels.Job(self._rows, *self.layout[:3])
            job.run(get_num_threads(), output=rows, kind=GRADIENT, grad_output=grad)
        if self._order is not None:
            np.copyto(output, rows.transpose(np.argsort(self._order)))
        return arguments.deliver(output, out)


def _scalar(value: float, dtype: np.dtype[Any], out: NDArray[Any] | None) -> Value:
    if out is None:
        return dtype.type(value)
    arguments.output(out, (), dtype, ())
    out[()] = value
    return out


def _unwrapped(result: FloatArray, out: NDArray[Any] | None) -> Value:
    """A result without dimensions is a NumPy scalar, as NumPy's own functions return, unless the user gave the array."""
    return result if result.ndim or out is not None else result[()]


def label_smoothing_loss(input: ArrayLike, target: ArrayLike, smoothing: float, dim: int) -> CrossEntropy:
    """The mean against 1 - s at the target and s / (C - 1) elsewhere: cross entropy smoothed by s C / (C - 1)."""
    share = arguments.smoothing(smoothing, "smoothing")
    logits = arguments.float_array(input, "LabelSmoothingLoss")
    classes = logits.shape[arguments.class_axis(dim, logits, "LabelSmoothingLoss")]
    arguments.several_classes(classes, "LabelSmoothingLoss")
    return CrossEntropy(logits, target, None, -100, "mean", dim, share * classes / (classes - 1))
