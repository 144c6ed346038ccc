"""The formulas in long double NumPy, for reading and not for speed: what every kernel is held against.

Not here: checks of arguments, blocks, dtypes. The differences from torch that were decided hold: a probability of 0 against
a log-probability of -inf counts 0, and an ignored row is not looked at. Called through the registry ``cases.py``.

Letters: x logits with the classes on the last axis, m = max x, p = softmax(x), y class indices, q probabilities, w class
weights (1 where there are none), eps label_smoothing, D what a mean divides by, g the gradient that flows in, k = g / D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Real = np.longdouble
Array = np.ndarray
Pullback = Callable[[Any], Array]

quiet = np.errstate(all="ignore")  # nan and infinities are results here


class Exact(NamedTuple):
    """A value, its gradients, and their conditions: how far they move if each number they come from is off by its own size.

    A condition is not smaller than the result. Where terms cancel, its unit in the last place is what errors count in.
    """

    value: Array
    condition: Array
    gradient: Pullback  # g -> gradient of the input
    gradient_condition: Pullback  # g -> its condition
    positions: Array  # the values before the reduction
    divisor: Any = 1  # D
    divisor_terms: int = 0  # how many weights D is the sum of
    terms: int = 1  # how many of its row's logits have a part in a position beyond its softmax
    target_gradient: Pullback | None = None


class Softmax(NamedTuple):
    """What belongs to a softmax along the last axis, each part computed so that nothing cancels."""

    p: Array
    surprisal: Array  # -log p
    others: Array  # 1 - p
    log_sum_exp: Array
    log_sum_condition: Array
    p_condition: Array
    others_condition: Array


@quiet
def softmax_parts(x: Array) -> Softmax:
    if x.shape[-1] == 0:
        nothing = np.full(x.shape[:-1], -np.inf, Real)
        return Softmax(x, x, x, nothing, nothing, x, x)
    m = x.max(-1, keepdims=True)
    e = np.exp(x - m)
    # rest = sum of e^(x - m) over all classes but one that has the maximum
    at_max = np.arange(x.shape[-1]) == x.argmax(-1)[..., np.newaxis]
    rest = np.where(at_max, 0, e).sum(-1, keepdims=True)
    # m - m is nan where m is infinite: there is no softmax then
    sure = rest + (m - m)
    total = 1 + sure
    # log sum e^x = m + log1p(rest)
    log_rest = np.log1p(np.where(np.isinf(m), 0, rest))
    # An error of x - m, in units of its own last place, is m - x times as large in e^(x - m).
    spread = np.where(e == 0, 0, e * (m - x)) / total
    mean_spread = spread.sum(-1, keepdims=True)
    # p = e^(x - m) / (1 + rest);   1 - p = the other terms / (1 + rest);   -log p = (m - x) + log1p(rest)
    p, others = e / total, np.where(at_max, sure, 1 + (sure - e)) / total
    return Softmax(
        p=p,
        surprisal=(m - x) + np.log1p(sure),
        others=others,
        log_sum_exp=(m + log_rest)[..., 0],
        log_sum_condition=(np.abs(m) + log_rest + mean_spread)[..., 0],
        p_condition=p * (1 + mean_spread) + spread,
        others_condition=others * (1 + mean_spread) + np.where(at_max, mean_spread, mean_spread - spread),
    )


def long(array: Any) -> Array:
    return np.asarray(array).astype(Real)


def class_axis(input: Any, dim: int | None) -> int:
    return min(1, np.ndim(input) - 1) if dim is None else dim


@quiet
def reduced(positions: Array, divisor: Any, reduction: str) -> Array:
    return positions if reduction == "none" else positions.sum() / divisor


def class_indices(input: Any, target: Any, weight: Any, ignore_index: int, dim: int) -> tuple[Array, ...]:
    """x, [c = y], which positions count, w, and w_y, with the classes last"""
    x = np.moveaxis(long(input), dim, -1)
    y = np.asarray(target).reshape(x.shape[:-1])[..., np.newaxis]
    live = y != ignore_index
    one_hot = live & (np.arange(x.shape[-1]) == y)
    w = np.ones(x.shape[-1], Real) if weight is None else long(weight)
    return x, one_hot, live, w, np.where(one_hot, w, 0).sum(-1)


@quiet
def factor(g: Any, divisor: Any, reduction: str, live: Array) -> Array:
    """k, with an axis for the classes; 0 where a position is ignored"""
    return np.where(live, long(g)[..., np.newaxis] if reduction == "none" else long(g) / divisor, 0)


@quiet
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    dim: int | None = None,
) -> Exact:
    axis, eps = class_axis(input, dim), Real(label_smoothing)
    if np.shape(input) == np.shape(target):
        # u = 0;  b_c = w_c ((1 - eps) q_c + eps/C);  D = the number of positions
        x, q = (np.moveaxis(long(array), axis, -1) for array in (input, target))
        w = np.ones(x.shape[-1], Real) if weight is None else long(weight)
        u, b = np.zeros(x.shape[:-1], Real), w * ((1 - eps) * q + eps / max(x.shape[-1], 1))
        one_hot, live = np.zeros(x.shape, bool), np.ones((*x.shape[:-1], 1), bool)
        count, zero_forgives = Real(u.size), True
    else:
        # u = (1 - eps) w_y;  b_c = eps/C w_c;  D = the sum of the w_y that count
        x, one_hot, live, w, w_y = class_indices(input, target, weight, ignore_index, axis)
        u, b = (1 - eps) * w_y, np.broadcast_to(eps / max(x.shape[-1], 1) * w, x.shape)
        count, zero_forgives = w_y.sum(), label_smoothing == 0
    divisor = count if reduction == "mean" else Real(1)
    row = softmax_parts(np.where(live, x, 0))

    # l = -u log p_y - sum_c b_c log p_c
    terms = np.where(zero_forgives & (b == 0) & np.isinf(row.surprisal), 0, b * row.surprisal)
    positions = np.where(live[..., 0], u * np.where(one_hot, row.surprisal, 0).sum(-1) + terms.sum(-1), 0)

    @quiet
    def gradient(g: Any) -> Array:
        """dl/dx = k (u (p - [c = y]) + p sum b - b)"""
        k, direct = factor(g, divisor, reduction, live), np.where(one_hot, -row.others, row.p)
        slope = u[..., np.newaxis] * direct + row.p * b.sum(-1, keepdims=True) - b
        return np.moveaxis(np.where(live, k * slope, 0), -1, axis)

    @quiet
    def gradient_condition(g: Any) -> Array:
        k, direct = factor(g, divisor, reduction, live), np.where(one_hot, row.others_condition, row.p_condition)
        spread = row.p_condition * np.abs(b).sum(-1, keepdims=True) + np.abs(b)
        return np.moveaxis(np.abs(k) * (np.abs(u[..., np.newaxis]) * direct + spread), -1, axis)

    @quiet
    def target_gradient(g: Any) -> Array:
        """dl/dq = -k (1 - eps) w log p"""
        return np.moveaxis(factor(g, divisor, reduction, live) * (1 - eps) * w * row.surprisal, -1, axis)

    value, size = reduced(positions, divisor, reduction), reduced(np.abs(positions), np.abs(divisor), reduction)
    terms = x.shape[-1] if (b != 0).any() else 1
    weights = positions.size if reduction == "mean" and weight is not None else 0
    return Exact(value, size, gradient, gradient_condition, positions, divisor, weights, terms, target_gradient)


@quiet
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    dim: int | None = None,
) -> Exact:
    axis = class_axis(input, dim)
    x, one_hot, live, _, w_y = class_indices(input, target, weight, ignore_index, axis)
    divisor = w_y.sum() if reduction == "mean" else Real(1)
    # l = -w_y x_y
    positions = np.where(live[..., 0], -w_y * np.where(one_hot, x, 0).sum(-1), 0)

    @quiet
    def gradient(g: Any) -> Array:
        """dl/dx = -k w_y [c = y]"""
        return np.moveaxis(np.where(one_hot, -factor(g, divisor, reduction, live) * w_y[..., np.newaxis], 0), -1, axis)

    value, size = reduced(positions, divisor, reduction), reduced(np.abs(positions), np.abs(divisor), reduction)
    weights = positions.size if reduction == "mean" and weight is not None else 0
    return Exact(value, size, gradient, lambda g: np.abs(gradient(g)), positions, divisor, weights)


@quiet
def softmax(input: Any, dim: int) -> Exact:
    axis = dim if np.ndim(input) else 0
    row = softmax_parts(np.moveaxis(np.atleast_1d(long(input)), axis, -1))
    value, condition = (np.moveaxis(a, -1, axis).reshape(np.shape(input)) for a in (row.p, row.p_condition))

    @quiet
    def pullback(p: Array, g: Any) -> Array:
        """p (g - sum_c g_c p_c)"""
        g = np.moveaxis(np.atleast_1d(long(g)), axis, -1)
        terms = row.p * g
        return np.moveaxis(p * (g - terms.sum(-1, keepdims=True)), -1, axis).reshape(np.shape(input))

    @quiet
    def pullback_condition(g: Any) -> Array:
        g = np.moveaxis(np.atleast_1d(np.abs(long(g))), axis, -1)
        total = (row.p_condition * g).sum(-1, keepdims=True)
        return np.moveaxis(row.p_condition * (g + total), -1, axis).reshape(np.shape(input))

    return Exact(value, condition, lambda g: pullback(row.p, g), pullback_condition, value)


@quiet
def log_softmax(input: Any, dim: int) -> Exact:
    axis = dim if np.ndim(input) else 0
    row = softmax_parts(np.moveaxis(np.atleast_1d(long(input)), axis, -1))
    # (x - m) - log1p(rest)
    value = np.moveaxis(-row.surprisal, -1, axis).reshape(np.shape(input))

    @quiet
    def pullback(p: Array, g: Any, sign: int) -> Array:
        """g - p sum_c g_c"""
        g = np.moveaxis(np.atleast_1d(long(g)), axis, -1)
        return np.moveaxis(g - sign * p * g.sum(-1, keepdims=True), -1, axis).reshape(np.shape(input))

    @quiet
    def pullback_condition(g: Any) -> Array:
        return pullback(row.p_condition, np.abs(g), -1)

    return Exact(value, np.abs(value), lambda g: pullback(row.p, g, 1), pullback_condition, -value)


@quiet
def logsumexp(input: Any, dim: int | Sequence[int], keepdim: bool = False) -> Exact:
    x = long(input)
    dims = tuple(d % max(x.ndim, 1) for d in (dim if isinstance(dim, Sequence) else (dim,)))
    kept = tuple(d for d in range(x.ndim) if d not in dims)
    shape = tuple(1 if d in dims else x.shape[d] for d in range(x.ndim) if keepdim or d not in dims)
    order = (*kept, *dims) if x.ndim else ()
    # m + log1p(rest)
    C = math.prod(x.shape[d] for d in dims) if x.ndim else 1
    row = softmax_parts(x.transpose(order).reshape(*(x.shape[d] for d in kept), C))

    @quiet
    def pullback(p: Array, g: Any) -> Array:
        """g p"""
        product = long(g).reshape(row.log_sum_exp.shape)[..., np.newaxis] * p
        return product.reshape(x.transpose(order).shape).transpose(np.argsort(order).astype(int))

    value, condition = row.log_sum_exp.reshape(shape), row.log_sum_condition.reshape(shape)
    return Exact(value, condition, lambda g: pullback(row.p, g), lambda g: pullback(row.p_condition, np.abs(g)), value)


def label_smoothing_loss(input: Any, target: Any, smoothing: float = 0.05, dim: int = -1) -> Exact:
    """cross_entropy against probabilities of 1 - s at the class and s / (C - 1) at the others"""
    s, C = Real(smoothing), np.shape(input)[dim]
    one_hot = np.moveaxis(np.arange(C) == np.asarray(target)[..., np.newaxis], -1, dim)
    return cross_entropy(input, np.where(one_hot, 1 - s, s / (C - 1)), dim=dim)


def one_hot(tensor: Any, num_classes: int = -1) -> Array:
    """z_nc = [c = y_n]"""
    C = num_classes if num_classes != -1 else int(np.max(tensor)) + 1
    return (np.arange(C) == np.asarray(tensor)[..., np.newaxis]).astype(np.int64)


def limits(dtype: Any) -> Any:
    """finfo, of bfloat16 too."""
    if np.dtype(dtype).name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


@quiet
def unit(size: Array, dtype: Any) -> Array:
    """The unit in the last place of a number of this size in dtype."""
    rounded = np.minimum(np.abs(size), Real(limits(dtype).max)).astype(dtype)
    return np.maximum(np.spacing(rounded).astype(Real), Real(limits(dtype).smallest_subnormal))


def assert_within(got: Any, exact: Array, allowed: Array) -> None:
    """Each number of `got` is not further from `exact` than `allowed`; infinities and nan are where they belong."""
    got, exact, allowed = np.asarray(got), np.asarray(exact), np.asarray(allowed)
    assert got.shape == exact.shape
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(exact)
        expected = np.where(finite, got, exact.astype(got.dtype))
        np.testing.assert_array_equal(got.astype(Real), expected.astype(Real))  # bfloat16's nan is not seen as one
        excess = np.where(finite, np.abs(got.astype(Real) - exact) / np.where(finite, allowed, 1), 0)
    if not (excess <= 1).all():
        at = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)
        raise AssertionError(f"at {at}: got {got[at]!r}, exact {exact[at]!r}, {excess[at]:.3g} times what is allowed")
