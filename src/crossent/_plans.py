"""Plans of the softmax family: checked calls. One preparation serves the value, the gradient and both in one pass.

A public function makes a plan and asks it for its value; ``autodiff.py`` asks the same plan for gradients. Plans hold
arrays that ``_arguments.py`` has checked and call ``_kernels``; they check nothing themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels, _reduction
from crossent._arguments import FloatArray
from crossent._kernels import GRADIENT, LOG_SOFTMAX, NO_OUTPUT
from crossent._runtime import get_num_threads

Value = Any  # an array, or a NumPy scalar where the result has no dimensions


class Plan(Protocol):
    """What autodiff needs of a call. Arguments are named as in the public function's signature."""

    @property
    def differentiable(self) -> frozenset[str]:
        """The arguments that have a gradient."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The result's."""

    def value(self, out: NDArray[Any] | None = None) -> Value:
        """The function's result."""

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """grad_output times the derivative of the result with respect to an argument."""

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        """Both at once, for a result without dimensions."""


class RowLoss:
    """One value for each row or position, computed in `real`, and a reduction of them: what these losses share.

    `reads` is what the kernels read beside the input; `mean_weight` what a mean divides by.
    """

    differentiable = frozenset(("input",))
    real: np.dtype[Any]

    def __init__(
        self,
        input: FloatArray,
        values_shape: tuple[int, ...],
        reduction: _reduction.Reduction,
        dtype: np.dtype[Any],
        reads: tuple[NDArray[Any] | None, ...],
        mean_weight: float,
    ) -> None:
        self.input, self.values_shape, self.reduction, self.dtype = input, values_shape, reduction, dtype
        self.reads, self.mean_weight = reads, mean_weight

    def _compute(self, **how: Any) -> float:
        """Have the kernels compute values or output (the gradient); the sum of the values over divisor."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values_shape if self.reduction == "none" else ()

    @property
    def _divisor(self) -> float:
        return _reduction.divisor(self.reduction, self.mean_weight)

    @property
    def _scale(self) -> float:
        return _reduction.gradient_scale(self.reduction, self.mean_weight)

    def value(self, out: NDArray[Any] | None = None) -> Value:
        if self.reduction != "none":
            return scalar(self._compute(divisor=self._divisor), self.dtype, out)
        values = arguments.output(out, self.values_shape, self.dtype, (None, self.input, *self.reads))
        return delivered_values(values, self.real, lambda computed: self._compute(values=computed), out)

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        grad = arguments.grad_output_array(grad_output, self.shape, self.real)
        if self.reduction == "none":
            return self._input_gradient(out, grad_scale=self._scale, grad_output=grad)[1]
        return self._input_gradient(out, grad_scale=self._scale * float(grad))[1]

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        total, gradient = self._input_gradient(out, grad_scale=self._scale, divisor=self._divisor)
        return scalar(total, self.dtype), gradient

    def _input_gradient(self, out: NDArray[Any] | None, **how: Any) -> tuple[float, FloatArray]:
        """The sum of the values over how's divisor, and the gradient, in the dtype that the user's input has."""
        reads = (self.input, *self.reads, how.get("grad_output"))
        output = arguments.output(out, self.input.shape, self.input.dtype.newbyteorder("="), reads)
        total = self._compute(output=output, **how)
        return total, arguments.deliver(output, out)


class _TargetPlan(RowLoss):
    """What cross_entropy and nll_loss share: a target for each position of the logits."""

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
        factor: float = 1.0,
    ) -> None:
        logits = arguments.float_array(input, self.function)
        labels = arguments.plain_array(target, self.function, "target")
        self.dim = arguments.class_axis(dim, logits, self.function)
        self.label_smoothing = label_smoothing
        layout = arguments.layout(logits.shape, self.dim)
        self.has_probabilities = self.takes_probabilities and arguments.is_class_probabilities(logits, labels)
        ignore_index = arguments.whole_number(ignore_index, "ignore_index")
        weights = arguments.class_weight(weight, layout.classes, self.function)
        dtype, target_indices = logits.dtype.newbyteorder("="), None
        if self.has_probabilities:
            labels = arguments.probabilities(labels, ignore_index)
            dtype = arguments.promoted(logits, labels, weights)
            self.differentiable = frozenset(("input", "target"))
        else:
            target_indices = arguments.class_indices(labels, logits, self.dim, ignore_index)
        self.real = arguments.real_of(dtype)
        self.labels, self.targets = labels, target_indices
        self.weight = None if weights is None else arguments.dense(weights, self.real)
        self._job = _kernels.Job(
            self.real == arguments.FLOAT64,
            logits,
            *layout[:3],
            target=target_indices,
            probabilities=labels if self.has_probabilities else None,
            weight=self.weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            log_probabilities=not self.takes_probabilities,
            factor=factor,
        )
        reads = (labels, target_indices, self.weight)
        mean_weight = self._mean_weight(logits.size, layout.classes)
        super().__init__(logits, layout.positions_shape, reduction, dtype, reads, mean_weight)

    def _mean_weight(self, size: int, classes: int) -> float:
        """What a mean divides by; class indices out of bounds are found here, before anything is written."""
        if self.has_probabilities:
            return size / classes if classes else 0.0
        weight, first_bad = self._job.check_target(get_num_threads())
        arguments.target_in_bounds(self.labels, first_bad)
        return math.nan if weight == 0 and self.label_smoothing else weight  # torch: 0 / 0 + smoothing / 0

    def _compute(self, **how: Any) -> float:
        if self.input.size:
            return self._job.run(get_num_threads(), kind=GRADIENT if "output" in how else NO_OUTPUT, **how)
        if "values" in how:
            how["values"].fill(0)
        divisor = how.get("divisor", 1.0)
        return 0.0 / divisor if divisor else math.nan

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        if argument == "target":
            return self._target_gradient(arguments.grad_output_array(grad_output, self.shape, self.real), out)
        return super().gradient(argument, grad_output, out)

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        if argument == "target":
            return self.value(), self.gradient(argument, 1.0, out)
        return super().value_and_gradient(argument, out)

    def _target_gradient(self, grad_output: FloatArray, out: NDArray[Any] | None) -> FloatArray:
        raise NotImplementedError


class CrossEntropy(_TargetPlan):
    """Softmax cross entropy over class indices or class probabilities; label_smoothing may be anything from 0 up.

    The logits count times `factor`, rounded once to the type that is computed in.
    """

    function, takes_probabilities = "cross_entropy", True

    def losses(self, values: FloatArray) -> None:
        """Each position's value in the dtype that is computed in, `real`, which of 16 bits is float32."""
        self._compute(values=values)

    def score(self, values: FloatArray | None, figures: Sequence[NDArray[Any]]) -> None:
        """The same, if wanted, and the arrays of csrc's struct crossent_scores, in its order, in the same pass.

        Of class indices that are not smoothed, and not of an input without elements.
        """
        self._job.score(get_num_threads(), values, *figures)

    def _target_gradient(self, grad_output: FloatArray, out: NDArray[Any] | None) -> FloatArray:
        """dL/dq = -k (1 - eps) w log softmax(x)"""
        dtype = self.labels.dtype.newbyteorder("=")
        output = arguments.output(out, self.labels.shape, dtype, (None, self.input, self.labels, self.weight))
        factor = (1.0 - self.label_smoothing) * self._scale
        spread = np.expand_dims(grad_output, self.dim) if self.reduction == "none" else grad_output
        gradient = np.asarray(Softmax(self.input, self.dim, log=True, result=self.real).value())
        with np.errstate(invalid="ignore", over="ignore"):  # 0 times infinity is nan: nothing says what it should be
            gradient *= -factor * spread
            if self.weight is not None:
                gradient *= self.weight.reshape([-1 if d == self.dim else 1 for d in range(self.input.ndim)])
        arguments.copy_rounded(output, gradient)
        return arguments.deliver(output, out)


class NLLLoss(_TargetPlan):
    """Negative log-likelihood of log-probabilities, over class indices."""

    function, takes_probabilities = "nll_loss", False


class _ArrayPlan:
    """What softmax, log_softmax and logsumexp share: a result per position, so value and gradient come one by one."""

    input: FloatArray
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    differentiable = frozenset(("input",))

    def value(self, out: NDArray[Any] | None = None) -> Value:
        raise NotImplementedError

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        raise NotImplementedError

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        value = self.value()
        return value, self.gradient(argument, np.ones(self.shape, self.dtype), out)


class Softmax(_ArrayPlan):
    """softmax or log_softmax along an axis of `factor` times the input; `result` is another dtype for the value."""

    def __init__(
        self, input: ArrayLike, dim: int, *, log: bool, factor: float = 1.0, dtype: Any = None, result: Any = None
    ) -> None:
        name = "log_softmax" if log else "softmin" if factor < 0 else "softmax"
        array = arguments.plain_array(input, name, "input")
        if dtype is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                array = array.astype(dtype)
        self.input = arguments.float_array(array, name)
        self.shape = self.input.shape
        self.log, self.factor = log, factor
        self.dtype = self.input.dtype.newbyteorder("=")
        self.real, self.result = arguments.real_of(result or self.dtype), result or self.dtype
        axis = arguments.axis(dim, self.input.ndim)
        self.layout = arguments.layout(self.shape or (1,), axis)

    def _job(self, probabilities: NDArray[Any] | None = None) -> _kernels.Job:
        is_double = self.real == arguments.FLOAT64
        return _kernels.Job(is_double, self.input, *self.layout[:3], probabilities=probabilities, factor=self.factor)

    def value(self, out: NDArray[Any] | None = None) -> Value:
        output = arguments.output(out, self.shape, self.result, (self.input,))
        self._compute(output)
        return unwrapped(arguments.deliver(output, out), out)

    def _compute(self, output: NDArray[Any]) -> NDArray[Any]:
        if output.size:
            self._job().run(get_num_threads(), output=output, kind=LOG_SOFTMAX if self.log else GRADIENT)
        return output

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """log_softmax: g - p sum g, and softmax the same with p g for g: the gradient of -factor cross_entropy(x, g)."""
        grad = arguments.grad_output_array(grad_output, self.shape, self.real)
        if not self.log:
            with np.errstate(over="ignore", invalid="ignore"):
                grad = self._compute(np.empty(self.shape, self.real)) * grad
        output = arguments.output(out, self.shape, self.dtype, (self.input, np.asarray(grad)))
        if output.size:
            job = self._job(probabilities=np.asarray(grad))
            job.run(get_num_threads(), output=output, kind=GRADIENT, grad_scale=-self.factor)
        return arguments.deliver(output, out)


class LogSumExp(_ArrayPlan):
    """log(sum(exp(input))) along one or several axes."""

    def __init__(self, input: ArrayLike, dim: int | Sequence[int], keepdim: bool) -> None:
        self.input = arguments.float_array(input, "logsumexp")
        self.dtype = self.input.dtype.newbyteorder("=")
        self.real = arguments.real_of(self.dtype)
        ndim = self.input.ndim
        given: Any = dim if np.ndim(dim) else (dim,)
        dims = [arguments.axis(d, ndim) for d in given]
        if not dims or len(set(dims)) != len(dims):
            raise ValueError(f"expected dim to name each axis once, and one at least, but got {dim}")
        kept = [d for d in range(ndim) if d not in dims]
        full = self.input.shape
        self.shape = tuple(1 if d in dims else full[d] for d in range(ndim) if keepdim or d not in dims)
        # One axis is read as it lies; several are seen side by side, at the end.
        self._order = None if len(dims) == 1 or ndim == 0 else [*kept, *sorted(dims)]
        if self._order is None:
            self._rows, self.layout = self.input, arguments.layout(full or (1,), dims[0])
        else:
            self._rows = self.input.transpose(self._order)
            classes = math.prod(full[d] for d in dims)
            self.layout = arguments.Layout(math.prod(full[d] for d in kept), classes, 1, self.shape)
        self._job = _kernels.Job(self.real == arguments.FLOAT64, self._rows, *self.layout[:3])

    def value(self, out: NDArray[Any] | None = None) -> Value:
        values = arguments.output(out, self.shape, self.dtype, (None, self.input))
        return delivered_values(values, self.real, self._compute, out)

    def _compute(self, values: NDArray[Any]) -> None:
        if self.layout.classes == 0:
            values.fill(-np.inf)
        else:
            self._job.run(get_num_threads(), values=values)

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        """g softmax(x)"""
        grad = arguments.grad_output_array(grad_output, self.shape, self.real)
        output = arguments.output(out, self.input.shape, self.dtype, (self.input, grad))
        rows = output if self._order is None else np.empty(self._rows.shape, self.dtype)
        if rows.size:
            self._job.run(get_num_threads(), output=rows, kind=GRADIENT, grad_output=grad)
        if self._order is not None:
            np.copyto(output, rows.transpose(np.argsort(self._order)))
        return arguments.deliver(output, out)


def scalar(value: float, dtype: np.dtype[Any], out: NDArray[Any] | None = None) -> Value:
    """A number that was computed in real_of(dtype) as a NumPy scalar of this dtype, or in the user's own `out`."""
    if out is None:
        with np.errstate(over="ignore"):
            return dtype.type(value)
    arguments.output(out, (), dtype, ())
    arguments.copy_rounded(out, np.asarray(value))
    return out


def delivered_values(
    values: FloatArray, real: np.dtype[Any], compute: Callable[[FloatArray], object], out: NDArray[Any] | None
) -> Value:
    """Have values computed in `real`, rounded to their own dtype if that is another, and given to the user."""
    computed = values if values.dtype == real else np.empty(values.shape, real)
    compute(computed)
    if computed is not values:
        arguments.copy_rounded(values, computed)
    return unwrapped(arguments.deliver(values, out), out)


def unwrapped(result: FloatArray, out: NDArray[Any] | None) -> Value:
    """A result without dimensions is a NumPy scalar, as NumPy's own functions return, unless the user gave the array."""
    return result if result.ndim or out is not None else result[()]


def label_smoothing_loss(input: ArrayLike, target: ArrayLike, smoothing: float, dim: int) -> CrossEntropy:
    """The mean against 1 - s at the target and s / (C - 1) elsewhere: cross entropy smoothed by s C / (C - 1)."""
    share = arguments.smoothing(smoothing, "smoothing")
    logits = arguments.float_array(input, "LabelSmoothingLoss")
    classes = logits.shape[arguments.class_axis(dim, logits, "LabelSmoothingLoss")]
    arguments.several_classes(classes, "LabelSmoothingLoss")
    return CrossEntropy(logits, target, None, -100, "mean", dim, share * classes / (classes - 1))
