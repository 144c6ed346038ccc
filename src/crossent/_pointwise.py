"""The plans of the elementwise losses: checked operands, and what the reduction and each derivative ask of one kernel.

A row per loss stands at the end: its checks, its parameters, its arguments with a gradient. The formulas are in
``csrc/kernels/pointwise_formula.h``. Called by ``nn/functional/``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels, _reduction
from crossent import _operands as operands
from crossent._arguments import FloatArray
from crossent._kernels import BY_EXTRA, BY_INPUT, BY_TARGET
from crossent._plans import Value, scalar, unwrapped
from crossent._reduction import Reduction
from crossent._runtime import get_num_threads


class Pointwise:
    """One elementwise loss: operands of any layout that broadcast to one shape, and a reduction of the values.

    `arrays` are the operands by the names of the arguments, `derivatives` which of a kernel's derivatives belongs to which
    argument; `weight_differs` says that the weight has a gradient too. `mean_of` is what a mean divides by where that is not
    the number of values; with `rows` each value is the mean over the last axis. `given_shapes` are those of arguments whose
    array has an axis of length 1 more than the user's, which their gradients have not.
    """

    def __init__(
        self,
        loss: str,
        arrays: Mapping[str, FloatArray | None],
        derivatives: dict[str, int],
        reduction: Reduction,
        dtype: np.dtype[Any],
        parameters: tuple[float, float] = (0.0, 0.0),
        mean_of: float | None = None,
        rows: bool = False,
        weight_differs: bool = False,
        given_shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    ) -> None:
        self.arrays, self.derivatives, self.reduction, self.dtype = arrays, derivatives, reduction, dtype
        self.loss, self.parameters, self.given_shapes = loss, parameters, given_shapes
        present = [array for array in arrays.values() if array is not None]
        self.full_shape = operands.broadcast(*present)
        self.rows, self.group = rows, self.full_shape[-1] if rows else 1
        self.values_shape = self.full_shape[:-1] if rows else self.full_shape
        self.mean_of, self.count = mean_of, math.prod(self.values_shape) if mean_of is None else mean_of
        has_slope = weight_differs and arrays["weight"] is not None
        self.differentiable = frozenset({*derivatives, "weight"} if has_slope else derivatives)
        wide = (dtype, *(array.dtype for name, array in arrays.items() if array is not None and name in derivatives))
        self.is_double = any(d.newbyteorder("=") == arguments.FLOAT64 for d in wide)
        self._job = self._job_with(arrays.get("weight"), max(self.group, 1))

    def _job_with(self, weight: FloatArray | None, group: int) -> _kernels.PointwiseJob:
        first, *others = (operands.seen_as(a, self.full_shape) for name, a in self.arrays.items() if name != "weight")
        assert first is not None
        target, extra = (*others, None, None)[:2]
        weights = operands.seen_as(weight, self.full_shape)
        return _kernels.PointwiseJob(self.is_double, self.loss, first, target, extra, weights, *self.parameters, group)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values_shape if self.reduction == "none" else ()

    @property
    def _divisor(self) -> float:
        return _reduction.divisor(self.reduction, self.count)

    @property
    def _scale(self) -> float:
        return _reduction.gradient_scale(self.reduction, self.count) / max(self.group, 1)

    def value(self, out: NDArray[Any] | None = None) -> Value:
        if self.reduction != "none":
            return scalar(self._total(), self.dtype, out)
        first = None if self.rows else next(iter(self.arrays))
        values = arguments.output(out, self.values_shape, self.dtype, self._reads(first))
        if self.group:
            self._job.run(get_num_threads(), values=values)
        else:
            values.fill(np.nan)
        return unwrapped(arguments.deliver(values, out), out)

    def _total(self) -> float:
        return self._job.run(get_num_threads(), divisor=self._divisor) if self.group else math.nan

    def gradient(self, argument: str, grad_output: ArrayLike, out: NDArray[Any] | None = None) -> FloatArray:
        grad = arguments.grad_output_array(grad_output, self.shape, self._real)
        if argument == "weight":
            return self._weight_gradient(grad, out)
        if self.reduction != "none":
            return self._run(argument, out, grad_scale=self._scale * float(grad))[1]
        flow = np.expand_dims(grad, -1) if self.rows else grad
        return self._run(argument, out, grad_scale=self._scale, grad_output=operands.seen_as(flow, self.full_shape))[1]

    def value_and_gradient(self, argument: str, out: NDArray[Any] | None = None) -> tuple[Value, FloatArray]:
        if argument == "weight":
            return self.value(), self.gradient(argument, 1.0, out)
        total, gradient = self._run(argument, out, grad_scale=self._scale, divisor=self._divisor)
        return scalar(total if self.group else math.nan, self.dtype), gradient

    @property
    def _real(self) -> np.dtype[Any]:
        return arguments.FLOAT64 if self.is_double else arguments.FLOAT32

    def _reads(self, argument: str | None, *more: FloatArray | None) -> tuple[FloatArray | None, ...]:
        """What a kernel reads, first the array that the output may lie on."""
        own = None if argument is None else self.arrays[argument]
        return (own, *(array for name, array in self.arrays.items() if name != argument), *more)

    def _run(self, argument: str, out: NDArray[Any] | None, **how: Any) -> tuple[float, FloatArray]:
        """The sum of the values over how's divisor, and the gradient of an argument, in its own shape and dtype."""
        array = self.arrays[argument]
        assert array is not None
        shape, dtype = self.given_shapes.get(argument, array.shape), array.dtype.newbyteorder("=")
        repeated = array.shape != self.full_shape
        output = arguments.output(out, shape, dtype, self._reads(argument, how.get("grad_output")))
        whole = np.empty(self.full_shape, self._real) if repeated else output
        total = self._job.run(get_num_threads(), output=whole, derivative=self.derivatives[argument], **how)
        if repeated:
            arguments.copy_rounded(output, _summed(whole, array.shape).reshape(shape))
        return total, arguments.deliver(output, out)

    def _weight_gradient(self, grad: FloatArray, out: NDArray[Any] | None) -> FloatArray:
        """dl/dw is the loss without its weight; a mean that divides by the sum of weights takes itself away."""
        weight = self.arrays["weight"]
        assert weight is not None
        output = arguments.output(out, weight.shape, weight.dtype.newbyteorder("="), self._reads("weight"))
        values = np.empty(self.full_shape, np.float64)
        self._job_with(None, 1).run(get_num_threads(), values=values)
        flow = np.expand_dims(grad, -1) if self.rows and self.reduction == "none" else grad
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            total = _summed(values * (self._scale * np.asarray(flow, np.float64)), weight.shape)
            if self.reduction == "mean" and self.mean_of is not None:
                total = total - self._scale * float(grad) * self._total()
        arguments.copy_rounded(output, total)
        return arguments.deliver(output, out)


def _summed(array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """The array summed, in float64, over the axes along which this shape was repeated."""
    extra = array.ndim - len(shape)
    axes = tuple(d for d in range(array.ndim) if d < extra or (shape[d - extra] == 1 and array.shape[d] != 1))
    if not axes:
        return array
    with np.errstate(invalid="ignore", over="ignore"):  # of infinities of both signs it is nan, without a word
        return np.asarray(array.sum(axis=axes, dtype=np.float64)).reshape(shape)


def _sum_in_order(array: FloatArray) -> float:
    """The sum of all in float64, in C order: the bits of the dense copy, of which only a block is made at a time."""
    blocks = (np.asarray(array.flat[i : i + 65536], np.float64) for i in range(0, array.size, 65536))
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sum([block.sum() for block in blocks]))


BOTH = {"input": BY_INPUT, "target": BY_TARGET}


def _distance(
    loss: str, input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: Reduction, parameter: float = 0.0
) -> Pointwise:
    """The losses of d = x - y: other shapes broadcast, with torch's warning."""
    x = arguments.float_array(input, loss)
    y = operands.operand(target, loss, "target", x, "iu" if loss == "l1_loss" else "iub")
    operands.same_size_or_warning(x, y)
    w = operands.position_weight(weight, loss, x)
    dtype = arguments.promoted(x, w) if loss == "huber_loss" else arguments.promoted(x, y, w)
    mean_of = _sum_in_order(w) if w is not None and loss != "huber_loss" else None
    arrays = {"input": x, "target": y, "weight": w}
    return Pointwise(loss, arrays, BOTH, reduction, dtype, (parameter, 0.0), mean_of, weight_differs=True)


def mse_loss(input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: Reduction) -> Pointwise:
    return _distance("mse_loss", input, target, weight, reduction)


def l1_loss(input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: Reduction) -> Pointwise:
    return _distance("l1_loss", input, target, weight, reduction)


def smooth_l1_loss(input: ArrayLike, target: ArrayLike, beta: float, reduction: Reduction) -> Pointwise:
    beta = operands.number(beta, "beta")
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss does not support negative values for beta, but got {beta}.")
    return _distance("smooth_l1_loss" if beta else "l1_loss", input, target, None, reduction, beta)


def huber_loss(input: ArrayLike, target: ArrayLike, delta: float, weight: ArrayLike | None, reduction: Reduction) -> Pointwise:
    delta = operands.number(delta, "delta")
    if not delta > 0:
        raise ValueError(f"huber_loss does not support non-positive values for delta, but got {delta}.")
    return _distance("huber_loss", input, target, weight, reduction, delta)


def binary_cross_entropy(input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: Reduction) -> Pointwise:
    name = "binary_cross_entropy"
    x, y = arguments.float_array(input, name), arguments.plain_array(target, name, "target")
    operands.same_size(x, y, name)
    operands.one_dtype(x, y)
    w = operands.factor(weight, name, "weight", x)
    operands.within(x, "all elements of input should be between 0 and 1", 0.0, 1.0)
    operands.within(y, "all elements of target should be between 0 and 1", 0.0, 1.0)
    return Pointwise(name, {"input": x, "target": y, "weight": w}, BOTH, reduction, arguments.promoted(x))


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    pos_weight: ArrayLike | None,
    reduction: Reduction,
) -> Pointwise:
    name = "binary_cross_entropy_with_logits"
    x, y = arguments.float_array(input, name), arguments.plain_array(target, name, "target")
    operands.same_size(x, y, name)
    y = arguments.float_array(y, name, "target")
    arrays = {
        "input": x,
        "target": y,
        "pos_weight": operands.factor(pos_weight, name, "pos_weight", x),
        "weight": operands.factor(weight, name, "weight", x),
    }
    return Pointwise(name, arrays, BOTH, reduction, arguments.promoted(y))


def multilabel_soft_margin_loss(
    input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: Reduction
) -> Pointwise:
    """The mean over the classes of binary_cross_entropy_with_logits: the same kernel, a value for each row."""
    name = "multilabel_soft_margin_loss"
    x = arguments.float_array(input, name)
    y = operands.operand(target, name, "target", x)
    if np.broadcast_shapes(x.shape[-1:], y.shape[-1:]) == ():
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    w = None if weight is None else operands.operand(weight, name, "weight", x)
    arrays = {"input": x, "target": y, "pos_weight": None, "weight": w}
    loss = "binary_cross_entropy_with_logits"
    return Pointwise(loss, arrays, BOTH, reduction, arguments.promoted(x, y, w), rows=True, weight_differs=True)


def sigmoid_focal_loss(inputs: ArrayLike, targets: ArrayLike, alpha: float, gamma: float, reduction: Reduction) -> Pointwise:
    name = "sigmoid_focal_loss"
    x, y = arguments.float_array(inputs, name, "inputs"), arguments.plain_array(targets, name, "targets")
    operands.same_size(x, y, name)
    y = arguments.float_array(y, name, "targets")
    alpha, gamma = operands.number(alpha, "alpha"), operands.number(gamma, "gamma")
    arrays, derivatives = {"inputs": x, "targets": y}, {"inputs": BY_INPUT, "targets": BY_TARGET}
    return Pointwise(name, arrays, derivatives, reduction, arguments.promoted(x, y), (alpha, gamma))


def kl_div(input: ArrayLike, target: ArrayLike, log_target: bool, reduction: Reduction) -> Pointwise:
    x, y = arguments.float_array(input, "kl_div"), arguments.float_array(target, "kl_div", "target")
    mean_of = (x.shape[0] if x.ndim else 1.0) if reduction == "batchmean" else None
    loss = "kl_div_log_target" if log_target else "kl_div"
    return Pointwise(loss, {"input": x, "target": y}, BOTH, reduction, arguments.promoted(x, y), mean_of=mean_of)


def soft_margin_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction) -> Pointwise:
    name = "soft_margin_loss"
    x = arguments.float_array(input, name)
    y = operands.operand(target, name, "target", x, "iub")
    operands.broadcast_into(y, x.shape)
    return Pointwise(name, {"input": x, "target": y}, {"input": BY_INPUT}, reduction, arguments.promoted(x))


def hinge_embedding_loss(input: ArrayLike, target: ArrayLike, margin: float, reduction: Reduction) -> Pointwise:
    name = "hinge_embedding_loss"
    x = arguments.float_array(input, name)
    arrays = {"input": x, "target": operands.operand(target, name, "target", x, "iub")}
    parameters = (operands.number(margin, "margin"), 0.0)
    return Pointwise(name, arrays, {"input": BY_INPUT}, reduction, arguments.promoted(x), parameters)


def gaussian_nll_loss(
    input: ArrayLike, target: ArrayLike, var: ArrayLike, full: bool, eps: float, reduction: Reduction
) -> Pointwise:
    name = "gaussian_nll_loss"
    x = arguments.float_array(input, name)
    y = operands.operand(target, name, "target", x)
    v, given_shape = operands.variance(var, x)
    arrays = {"input": x, "target": y, "var": v}
    parameters = (operands.number(eps, "eps"), 0.5 * math.log(2 * math.pi) if full else 0.0)
    derivatives = BOTH if isinstance(var, numbers.Real) else {**BOTH, "var": BY_EXTRA}
    dtype = arguments.promoted(*arrays.values())
    return Pointwise(name, arrays, derivatives, reduction, dtype, parameters, given_shapes={"var": given_shape})


def poisson_nll_loss(
    input: ArrayLike, target: ArrayLike, log_input: bool, full: bool, eps: float, reduction: Reduction
) -> Pointwise:
    x = arguments.float_array(input, "poisson_nll_loss")
    y = operands.operand(target, "poisson_nll_loss", "target", x, "iub")
    loss = "poisson_nll_loss_log_input" if log_input else "poisson_nll_loss"
    parameters = (operands.number(eps, "eps"), float(bool(full)))
    return Pointwise(loss, {"input": x, "target": y}, BOTH, reduction, arguments.promoted(x, y), parameters)


def logsigmoid(input: ArrayLike) -> Pointwise:
    x = arguments.float_array(input, "logsigmoid")
    return Pointwise("logsigmoid", {"input": x}, {"input": BY_INPUT}, "none", arguments.promoted(x))


def sigmoid(input: ArrayLike) -> Pointwise:
    x = arguments.float_array(input, "sigmoid")
    return Pointwise("sigmoid", {"input": x}, {"input": BY_INPUT}, "none", arguments.promoted(x))
