"""The formulas of the losses of elements and of margins in long double NumPy, for reading: what their kernels are held against.

torch's corners hold (what a gradient is at x == margin, that a nan has no sign), but for the differences that were decided:
binary cross entropy with logits and soft margin are right at infinities and for large numbers, and a target of 0 counts 0
where kl_div's log-probability is -inf. Called through the registry ``cases_pointwise.py``.

Letters: x input, y or t target, d = x - t, w weight, z what is compared with 0, C classes on the last axis, D what a mean
divides by, g the gradient that flows in, e = exp(-|x|), sigma the logistic function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import reference
from reference import Array, Pullback, Real, long, quiet, reduced

Slopes = Mapping[str, tuple[Array, Array, tuple[int, ...]]]  # of an argument: derivative, its condition, the argument's shape


class PointwiseExact(NamedTuple):
    """A value and its gradients, each with its condition: how far it moves if each number it comes from is off by its own size.

    A condition is not smaller than the result. Arguments are exact: what is off is what is computed from them.
    """

    value: Array
    condition: Array
    positions: Array  # the values before the reduction
    divisor: Any  # D
    gradients: dict[str, Pullback]  # by name of the argument, of a weight if there is one: g -> gradient
    gradient_conditions: dict[str, Pullback]  # g -> its condition


def summed_to(shape: tuple[int, ...], array: Array) -> Array:
    """The gradient of an argument of this shape that was broadcast: summed over the axes that it was repeated along."""
    array = np.asarray(array)
    added = tuple(range(array.ndim - len(shape)))
    repeated = tuple(len(added) + i for i, size in enumerate(shape) if size == 1)
    return array.sum(added + repeated).reshape(shape)


@quiet
def exact(
    positions: Array, condition: Array, divisor: Any, reduction: str, slopes: Slopes, rows: bool = False
) -> PointwiseExact:
    """Values and derivatives at each element, reduced; rows: a position has a row of elements, along the last axis."""
    positions, divisor = np.asarray(positions), Real(divisor) if reduction in ("mean", "batchmean") else Real(1)

    def pullback(slope: Array, shape: tuple[int, ...], g: Any) -> Array:
        k = long(g) / divisor
        return summed_to(shape, slope * (k[..., np.newaxis] if rows and k.ndim else k))

    def of(slope: Array, shape: tuple[int, ...], is_condition: bool) -> Pullback:
        return quiet(lambda g: np.abs(pullback(slope, shape, np.abs(g))) if is_condition else pullback(slope, shape, g))

    value, size = reduced(positions, divisor, reduction), reduced(np.asarray(condition), np.abs(divisor), reduction)
    gradients = {name: of(slope, shape, False) for name, (slope, _, shape) in slopes.items()}
    conditions = {name: of(np.abs(bound), shape, True) for name, (_, bound, shape) in slopes.items()}
    return PointwiseExact(value, size, positions, divisor, gradients, conditions)


def ones_or(weight: Any) -> Array:
    return np.ones((), Real) if weight is None else long(weight)


# --- what the losses of logits are made of; nothing in it cancels


@quiet
def sigma(x: Array) -> Array:
    """1 / (1 + e) for x >= 0, e / (1 + e) below"""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@quiet
def softplus(x: Array) -> Array:
    """log(1 + exp x) = max(x, 0) + log1p(e)"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@quiet
def times(coefficient: Array, number: Array) -> Array:
    """Their product, 0 where the coefficient is 0 and the number infinite"""
    return np.where((coefficient == 0) & np.isinf(number), 0, coefficient * number)


# --- distances


@quiet
def distance(
    input: Any,
    target: Any,
    weight: Any,
    reduction: str,
    values: tuple[Array, Array],
    slopes: tuple[Array, Array],
    mean_of_weights: bool,
) -> PointwiseExact:
    """w times a function of d; values and slopes: that function and its derivative, each with its condition"""
    w = ones_or(weight)
    (value, value_condition), (slope, slope_condition) = values, slopes
    positions = np.asarray(w * value)
    # The mean of mse_loss and l1_loss divides by the sum of the weights, as they were given.
    divisor = w.sum() if mean_of_weights and weight is not None else positions.size
    gradients = {
        "input": (w * slope, w * slope_condition, np.shape(input)),
        "target": (-w * slope, w * slope_condition, np.shape(target)),
    }
    if weight is not None:
        # dl/dw = value; a weight counts in D, too: (value - mean) / D, once for the positions that it is repeated at
        weighted = np.abs(w) * value_condition
        is_in_divisor = reduction == "mean" and mean_of_weights
        share = w.size / Real(positions.size) if is_in_divisor else Real(0)
        mean, mean_condition = (
            share * reduced(a, divisor, reduction) if is_in_divisor else share for a in (positions, weighted)
        )
        gradients["weight"] = (value - mean, value_condition + np.abs(mean_condition), w.shape)
    return exact(positions, np.abs(w) * value_condition, divisor, reduction, gradients)


@quiet
def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> PointwiseExact:
    """w d^2, derivative 2 w d"""
    d = long(input) - long(target)
    return distance(input, target, weight, reduction, (d * d, d * d), (2 * d, 2 * np.abs(d)), True)


@quiet
def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> PointwiseExact:
    """w |d|, derivative w sign d, which is 0 at 0 and at nan"""
    d = long(input) - long(target)
    sign = np.where(np.isnan(d), 0, np.sign(d))
    return distance(input, target, weight, reduction, (np.abs(d), np.abs(d)), (sign, np.abs(sign)), True)


@quiet
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> PointwiseExact:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta/2"""
    if beta == 0:
        return l1_loss(input, target, reduction)
    d, beta = long(input) - long(target), Real(beta)
    size = np.abs(d)
    square = d * d / (2 * beta)
    values = np.where(size < beta, square, size - beta / 2), np.where(size < beta, square, size + beta / 2)
    slope = np.where(size > beta, np.sign(d), d / beta)
    return distance(input, target, None, reduction, values, (slope, np.abs(slope)), False)


@quiet
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> PointwiseExact:
    """w d^2 / 2 where |d| < delta, else w delta (|d| - delta/2)"""
    d, delta = long(input) - long(target), Real(delta)
    size = np.abs(d)
    line, line_condition = delta * (size - delta / 2), delta * (size + delta / 2)
    values = np.where(size < delta, d * d / 2, line), np.where(size < delta, d * d / 2, line_condition)
    slope = np.where(size >= delta, delta * np.sign(d), d)
    return distance(input, target, weight, reduction, values, (slope, np.abs(slope)), False)


# --- binary targets


@quiet
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> PointwiseExact:
    """-w (y max(log x, -100) + (1 - y) max(log(1 - x), -100)), derivative w (x - y) / max(x (1 - x), 1e-12)"""
    x, y, w = long(input), long(target), ones_or(weight)
    # These are not negative: the surprise at a 1 and at a 0.
    one, zero = -np.log(x), -np.log1p(-x)
    positions = w * (y * np.minimum(one, 100) + (1 - y) * np.minimum(zero, 100))
    slope = w * (x - y) / np.maximum(x * (1 - x), Real(1e-12))
    # The clamp is not seen by the derivative of the target.
    slopes = {
        "input": (slope, slope, x.shape),
        "target": (w * (one - zero), w * (np.abs(one) + np.abs(zero)), y.shape),
    }
    return exact(positions, np.abs(positions), x.size, reduction, slopes)


@quiet
def logistic(x: Array, y: Array, pos_weight: Any = None) -> tuple[Array, ...]:
    """pw y softplus(-x) + (1 - y) softplus(x): value, condition, derivative by x, condition, derivative by y, condition"""
    pw = ones_or(pos_weight)
    parts = times(pw * y, softplus(-x)), times(1 - y, softplus(x))
    slopes = -pw * y * sigma(-x), (1 - y) * sigma(x)
    # pw softplus(-x) - softplus(x) = (pw - 1) log1p(e) - x, or - pw x for x < 0: -x alone for pw = 1
    by_target = (pw - 1) * np.log1p(np.exp(-np.abs(x))), -times(np.where(x < 0, pw, 1), x)
    return tuple(number for a, b in (parts, slopes, by_target) for number in (a + b, np.abs(a) + np.abs(b)))


@quiet
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> PointwiseExact:
    x, y, w = long(input), long(target), ones_or(weight)
    value, condition, slope, slope_condition, by_target, by_target_condition = (w * a for a in logistic(x, y, pos_weight))
    slopes = {"input": (slope, slope_condition, x.shape), "target": (by_target, by_target_condition, y.shape)}
    return exact(value, np.abs(condition), x.size, reduction, slopes)


@quiet
def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> PointwiseExact:
    """The mean over the classes of binary cross entropy with logits"""
    x, y, w = long(input), long(target), ones_or(weight)
    C = Real(x.shape[-1])
    parts = logistic(x, y)
    value, condition, slope, slope_condition, by_target, by_target_condition = (w * a for a in parts)
    slopes = {"input": (slope / C, slope_condition / C, x.shape), "target": (by_target / C, by_target_condition / C, y.shape)}
    if weight is not None:
        slopes["weight"] = (parts[0] / C, parts[1] / C, w.shape)
    positions, size = np.asarray(value.sum(-1) / C), np.abs(condition).sum(-1) / C
    return exact(positions, size, positions.size, reduction, slopes, rows=True)


@quiet
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> PointwiseExact:
    """log(1 + exp(-y x)), derivative -y sigma(-y x); linear where exp overflows"""
    x, y = long(input), long(target)
    z = y * x
    # An error of the product y x counts by its size; with y of 1 or -1 it has none.
    spread = np.where(np.abs(y) == 1, 0, np.abs(times(sigma(-z), z)))
    value, slope = softplus(-z), -y * sigma(-z)
    slope_condition = np.abs(y) * (sigma(-z) + spread)
    return exact(value, value + spread, z.size, reduction, {"input": (slope, slope_condition, x.shape)})


@quiet
def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> PointwiseExact:
    """a q^gamma b with b = binary cross entropy with logits, q = 1 - p_t, a = alpha y + (1 - alpha) (1 - y) or 1"""
    x, y, alpha, gamma = long(inputs), long(targets), Real(alpha), Real(gamma)
    b, _, b_slope, b_slope_condition, b_by_target, _ = logistic(x, y)
    q = y * sigma(-x) + (1 - y) * sigma(x)
    a, a_by_target = (alpha * y + (1 - alpha) * (1 - y), 2 * alpha - 1) if alpha >= 0 else (Real(1), Real(0))
    # An error of q counts gamma times in q^gamma; of gamma log q, if that is how it is computed, by its size.
    power = q**gamma
    power_factor = 1 + gamma + (0 if gamma == int(gamma) else np.abs(times(gamma, np.log(q))))
    # (dq/dx) / q = (1 - 2y) sigma(x) sigma(-x) / q
    steepness = np.where(y == 1, -sigma(x), np.where(y == 0, sigma(-x), (1 - 2 * y) * sigma(x) * sigma(-x) / q))
    positions = a * times(power, b)
    terms = power * b_slope, power * times(gamma * steepness, b)
    sizes = power * b_slope_condition, np.abs(terms[1])
    # dq/dy = sigma(-x) - sigma(x)
    lower_power = np.where(gamma * b == 0, 0, gamma * q ** (gamma - 1) * b)
    by_target = a_by_target * times(power, b), a * times(power, b_by_target), a * lower_power * -np.tanh(x / 2)
    by_target_size = np.abs(by_target[0]) + np.abs(by_target[1]) + np.abs(a * lower_power)
    slopes = {
        "inputs": (a * (terms[0] + terms[1]), a * (sizes[0] + sizes[1]) * power_factor, x.shape),
        "targets": (by_target[0] + by_target[1] + by_target[2], by_target_size * power_factor, y.shape),
    }
    return exact(positions, np.abs(positions) * power_factor, positions.size, reduction, slopes)


# --- likelihoods


@quiet
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> PointwiseExact:
    """t log t - t x, or e^t (t - x); a target whose probability is 0 counts 0 where x is -inf"""
    x, t = long(input), long(target)
    if log_target:
        p, d = np.exp(t), t - x
        value, condition = p * d, np.abs(p * d)
        by_target, by_target_condition = p * (d + 1), p * (np.abs(d) + 1)
    else:
        p = t
        nothing = (t == 0) & np.isneginf(x)
        t_log_t, t_x = np.where(t == 0, 0, t * np.log(t)), np.where(nothing, 0, t * x)
        value, condition = t_log_t - t_x, np.abs(t_log_t) + np.abs(t_x)
        # t / t is 1, and nan at 0, where the limit of the derivative is -inf: torch's is nan.
        by_target = np.log(t) + t / t - x
        by_target_condition = np.abs(np.log(t)) + 1 + np.abs(x)
    positions = np.asarray(value)
    batch = x.shape[0] if x.ndim else 1
    divisor = batch if reduction == "batchmean" else positions.size
    slope = np.broadcast_to(-p, positions.shape)
    slopes = {"input": (slope, np.abs(slope), x.shape), "target": (by_target, by_target_condition, t.shape)}
    return exact(positions, condition, divisor, reduction, slopes)


@quiet
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> PointwiseExact:
    """(log v + d^2 / v) / 2, and log(2 pi) / 2 if full, with v = max(var, eps), a clamp that the gradient does not see"""
    x, t, v = long(input), long(target), np.maximum(long(var), Real(eps))
    if v.ndim and v.shape != x.shape and v.shape == x.shape[:-1]:
        v = v[..., np.newaxis]
    d, half = x - t, Real(0.5)
    constant = half * np.log(2 * Real(math.pi)) if full else Real(0)
    logarithm, square = half * np.log(v), half * d * d / v
    positions = np.asarray(logarithm + square + constant)
    by_var, by_var_condition = (half / v - square / v), (half / v + square / v)
    slopes = {
        "input": (d / v, np.abs(d / v), x.shape),
        "target": (-d / v, np.abs(d / v), t.shape),
        "var": (by_var, by_var_condition, v.shape),
    }
    result = exact(positions, np.abs(logarithm) + square + constant, positions.size, reduction, slopes)
    of_var, of_var_condition = result.gradients["var"], result.gradient_conditions["var"]
    result.gradients["var"] = lambda g: of_var(g).reshape(np.shape(var))
    result.gradient_conditions["var"] = lambda g: of_var_condition(g).reshape(np.shape(var))
    return result


@quiet
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> PointwiseExact:
    """e^x - t x, or x - t log(x + eps); if full, and t log t - t + log(2 pi t) / 2 where t > 1"""
    x, t = long(input), long(target)
    if log_input:
        rate, logarithm, logarithm_condition = np.exp(x), x, np.abs(x)
        slopes = rate, -t
    else:
        rate, logarithm = x, np.log(x + Real(eps))
        # An error of x + eps moves its logarithm by as much, however near 0 that is.
        logarithm_condition = np.abs(logarithm) + 1
        slopes = np.ones_like(x), -t / (x + Real(eps))
    value, condition = rate - t * logarithm, np.abs(rate) + np.abs(t) * logarithm_condition
    by_target, by_target_condition = -logarithm, logarithm_condition
    if full:
        stirling = t * np.log(t), -t, np.log(2 * Real(math.pi) * t) / 2
        value = value + np.where(t > 1, sum(stirling), 0)
        condition = condition + np.where(t > 1, sum(map(np.abs, stirling)) + 0.5, 0)
        # torch's is nan where t is not positive.
        slope = np.where(t > 1, np.log(t) + 1 / (2 * t), np.where(t > 0, 0, np.nan))
        by_target, by_target_condition = by_target + slope, by_target_condition + np.abs(slope)
    positions = np.asarray(value)
    by_input, by_input_condition = slopes[0] + slopes[1], np.abs(slopes[0]) + np.abs(slopes[1])
    shape = positions.shape
    return exact(
        positions,
        condition,
        positions.size,
        reduction,
        {
            "input": (by_input, by_input_condition, x.shape),
            "target": (np.broadcast_to(by_target, shape), np.broadcast_to(by_target_condition, shape), t.shape),
        },
    )


# --- margins


@quiet
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> PointwiseExact:
    """x where y = 1, max(0, margin - x) where y = -1, and both where y is another number"""
    x, y, m = long(input), long(target), Real(margin)
    z = m - x
    near, far = y != -1, y != 1
    terms = np.where(near, x, 0), np.where(far, np.maximum(z, 0), 0)
    # The derivative is still -1 at x = margin.
    slope = np.where(near, 1, 0) - np.where(far & (z >= 0), 1, 0).astype(Real)
    slopes = {"input": (slope, np.abs(slope), x.shape)}
    return exact(terms[0] + terms[1], np.abs(terms[0]) + terms[1], slope.size, reduction, slopes)


@quiet
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> PointwiseExact:
    """w_y / C times the sum over c != y of max(0, z)^p with z = margin - x_y + x_c; a z of nan is not counted"""
    y, m = np.asarray(target), Real(margin)
    C = np.shape(input)[-1] if np.ndim(input) else 1
    x = long(input).reshape(y.size, C)
    one_hot = np.arange(C) == y.reshape(-1, 1)
    w = (np.ones(C, Real) if weight is None else long(weight))[y.reshape(-1)][:, np.newaxis] / C
    x_y = x[one_hot][:, np.newaxis]
    z, size = m - x_y + x, np.abs(m) + np.abs(x_y) + np.abs(x)
    counted = ~one_hot & (z > 0)
    if p == 1:
        terms, sizes, slope, slope_size = z, size, np.ones_like(z), np.ones_like(z)
    else:
        terms, sizes, slope, slope_size = z * z, 2 * z * size, 2 * z, 2 * size
    value = np.where(counted, w * terms, 0).sum(1).reshape(y.shape)
    condition = np.where(counted, np.abs(w) * sizes, 0).sum(1).reshape(y.shape)
    by_others, by_others_size = np.where(counted, w * slope, 0), np.where(counted, np.abs(w) * slope_size, 0)
    by_input = np.where(one_hot, -by_others.sum(1, keepdims=True), by_others).reshape(np.shape(input))
    by_input_size = np.where(one_hot, by_others_size.sum(1, keepdims=True), by_others_size).reshape(np.shape(input))
    slopes = {"input": (by_input, by_input_size, np.shape(input))}
    return exact(value, condition, y.size, reduction, slopes, rows=np.ndim(input) > 1)


@quiet
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> PointwiseExact:
    """1 / C times the sum over labels t and classes c that are none of max(0, z) with z = 1 - x_t + x_c; labels end at a -1"""
    shape = np.shape(input)
    C = shape[-1] if shape else 1
    x, y = long(input).reshape(-1, C), np.asarray(target).reshape(-1, C)
    value, condition, slope, slope_size = np.zeros(len(x), Real), np.zeros(len(x), Real), np.zeros_like(x), np.zeros_like(x)
    for n, labels in enumerate(y):
        end = np.flatnonzero(labels < 0)
        times_named = np.bincount(labels[: end[0] if end.size else C], minlength=C)
        z = 1 - x[n, :, np.newaxis] + x[n]  # of a label and a class
        size = 1 + np.abs(x[n, :, np.newaxis]) + np.abs(x[n])
        number = np.where((z > 0) & (times_named == 0), times_named[:, np.newaxis], 0).astype(Real) / C
        value[n], condition[n] = np.where(number > 0, number * z, 0).sum(), (number * size)[number > 0].sum()
        slope[n] = number.sum(0) - number.sum(1)
        slope_size[n] = number.sum(0) + number.sum(1)
    by_input, by_input_size = slope.reshape(shape), slope_size.reshape(shape)
    positions = value.reshape(shape[:-1])
    slopes = {"input": (by_input, by_input_size, shape)}
    return exact(positions, condition.reshape(shape[:-1]), positions.size, reduction, slopes, rows=len(shape) > 1)


# --- activations


@quiet
def logsigmoid(input: Any) -> PointwiseExact:
    """-softplus(-x), derivative sigma(-x)"""
    x = long(input)
    value, slope = -softplus(-x), sigma(-x)
    return exact(value, np.abs(value), 1, "none", {"input": (slope, slope, x.shape)})


@quiet
def sigmoid(input: Any) -> PointwiseExact:
    """sigma(x), derivative sigma(x) sigma(-x)"""
    x = long(input)
    value, slope = sigma(x), sigma(x) * sigma(-x)
    return exact(value, value, 1, "none", {"input": (slope, slope, x.shape)})


@quiet
def softmin(input: Any, dim: int) -> PointwiseExact:
    """softmax(-x)"""
    of_opposite = reference.softmax(-long(input), dim)
    gradients = {"input": lambda g: -of_opposite.gradient(g)}
    conditions = {"input": of_opposite.gradient_condition}
    value = of_opposite.value
    return PointwiseExact(value, of_opposite.condition, value, Real(1), gradients, conditions)
