"""Makers of inputs for the losses of elements and of margins. They take a generator, so that a seed gives the same inputs, and
assert what they promise of large ones. Called through the rows of ``cases_pointwise.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reference import Array

Options = Mapping[str, Any]
Shape = tuple[int, ...]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Rng = np.random.Generator

LARGE = 100  # elements, from which on each kind of number must be there


def every(array: Array, step: int, first: int) -> Array:
    """A view of every step-th element, but not of the last one: with a gradient of 0 it would make nan of an infinity."""
    return array.reshape(-1)[first : max(array.size - 1, 0) : step]


def logits(rng: Rng, shape: Shape, dtype: Any) -> Array:
    """Normal numbers of standard deviation 3, every 13th 30 or -30, every 17th 0."""
    x = rng.normal(scale=3.0, size=shape)
    large = every(x, 13, 3)
    large[...] = 30 * np.resize([-1, 1], large.shape)
    every(x, 17, 5)[...] = 0
    assert x.size < LARGE or ((x == 30).any() and (x == -30).any() and (x == 0).any())
    return x.astype(dtype)


def eighths(rng: Rng, shape: Shape, dtype: Any) -> Array:
    """Multiples of 1/8 below 16: every dtype has them and their sums, so that a corner is met exactly or missed clearly."""
    x = np.clip(np.round(8 * rng.normal(scale=1.5, size=shape)) / 8, -15, 15)
    assert (x.astype(dtype) == x).all()
    return x.astype(dtype)


def zeros_and_ones(rng: Rng, shape: Shape, dtype: Any) -> Array:
    """0 and 1 in turn at random, every third a fraction."""
    y = rng.integers(0, 2, shape).astype(float)
    fractions = every(y, 3, 1)
    fractions[...] = rng.uniform(size=fractions.shape)
    assert y.size < LARGE or ((y == 0).any() and (y == 1).any() and ((y > 0) & (y < 1)).any())
    return y.astype(dtype)


def signs(rng: Rng, shape: Shape, dtype: Any) -> Array:
    y = rng.choice([-1.0, 1.0], shape)
    assert y.size < LARGE or ((y == -1).any() and (y == 1).any())
    return y.astype(dtype)


def weights(rng: Rng, shape: Shape, dtype: Any) -> Array:
    return rng.uniform(0.2, 3.0, shape).astype(dtype)


def add_weights(rng: Rng, kwargs: dict[str, Any], shape: Shape, dtype: Any, options: Options) -> None:
    """The weights that the options ask for: one for each element, or one for each number along the last axis."""
    for name in ("weight", "pos_weight"):
        if options.get(name):
            kwargs[name] = weights(rng, shape if options[name] == "elements" else shape[-1:], dtype)


def chosen(options: Options, *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


def target_shape(shape: Shape, options: Options) -> Shape:
    return shape[-1:] if options.get("broadcast") else shape


def distance_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Every seventh target is the input, every eleventh is beta or delta away from it."""
    x = logits(rng, shape, np.float64)
    y = x + rng.normal(scale=1.5, size=shape)
    corner = options.get("beta", options.get("delta", 1.0))
    at = every(x, 11, 2)
    at[...] = eighths(rng, at.shape, dtype)
    every(y, 11, 2)[...] = at + corner * rng.choice([-1, 1], at.shape)
    every(y, 17, 6)[...] = every(x, 17, 6) + 3 * corner + 1
    same = every(y, 7, 4)
    same[...] = every(x, 7, 4)
    x, y = x.astype(dtype), y.astype(dtype)
    d = np.abs(x.astype(float) - y.astype(float))
    assert d.size < LARGE or ((d == 0).any() and (d == corner).any() and (d > corner).any())
    kwargs = chosen(options, "reduction", "beta", "delta")
    add_weights(rng, kwargs, shape, dtype, options)
    return (x, y), kwargs


def probability_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Probabilities from 1e-4 to 1 - 1e-4, of 16 bits from 1e-3 to 1 - 2^-8; every ninth is 0 or 1.

    There a target of 16 bits is the same: 1e12, the gradient of a sure mistake, is not a float16.
    """
    narrow = np.dtype(dtype).itemsize == 2
    y = zeros_and_ones(rng, shape, np.float64)
    low, high = (1e-3, 1 - 2.0**-8) if narrow else (1e-4, 1 - 1e-4)
    x = np.clip(1 / (1 + np.exp(-logits(rng, shape, np.float64))), low, high)
    sure = every(x, 9, 2)
    sure[...] = rng.integers(0, 2, sure.shape)
    if narrow:
        every(y, 9, 2)[...] = sure
    x, y = x.astype(dtype), y.astype(dtype)
    assert ((x >= 0) & (x <= 1)).all()
    assert ((y >= 0) & (y <= 1)).all()
    assert x.size < LARGE or ((x == 0).any() and (x == 1).any())
    kwargs = chosen(options, "reduction")
    add_weights(rng, kwargs, shape, dtype, options)
    return (x, y), kwargs


def logit_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    kwargs = chosen(options, "reduction", "alpha", "gamma")
    add_weights(rng, kwargs, shape, dtype, options)
    return (logits(rng, shape, dtype), zeros_and_ones(rng, shape, dtype)), kwargs


def soft_margin_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    return (logits(rng, shape, dtype), signs(rng, target_shape(shape, options), dtype)), chosen(options, "reduction")


@np.errstate(divide="ignore")
def log_softmax(x: Array) -> Array:
    x = x - x.max(-1, keepdims=True, initial=-np.inf)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergence_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Logarithms of distributions along the last axis; every seventh target probability is 0, unless they are logarithms."""
    shape_of_target = target_shape(shape, options)
    x, t = (log_softmax(np.atleast_1d(rng.normal(scale=3.0, size=s))).reshape(s) for s in (shape, shape_of_target))
    if not shape:
        x = x - 1.0
    if not options["log_target"]:
        t = np.exp(t)
        every(t, 7, 3)[...] = 0
        assert t.size < LARGE or ((t == 0).any() and ((t > 0) & (t <= 1)).any())
    assert (x <= 0).all()
    return (x.astype(dtype), t.astype(dtype)), chosen(options, "reduction", "log_target")


def gaussian_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Variances of 0.25 and more; with an eps that a gradient survives, every fifth is below it or 0."""
    x = rng.normal(scale=3.0, size=shape)
    t = rng.normal(scale=2.0, size=target_shape(shape, options)) + (0 if options.get("broadcast") else x)
    var: Any
    if options["var"] == "one number":
        var = 0.75
    else:
        var_shape = {"elements": shape, "rows": (*shape[:-1], 1)[: len(shape)], "rows, short": shape[:-1]}[options["var"]]
        var = np.maximum(np.exp(rng.normal(size=var_shape)), 0.25)
        if options["eps"] > 1e-3:
            small = every(var, 5, 1)
            small[...] = rng.choice([0, options["eps"] / 2, options["eps"]], small.shape)
        var = var.astype(dtype)
        assert (var >= 0).all()
    return (x.astype(dtype), t.astype(dtype), var), chosen(options, "full", "eps", "reduction")


def poisson_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Rates of about 0.05 to 50, or their logarithms; counts with many 0 and 1, every fifth a fraction."""
    logarithm = np.clip(rng.normal(scale=1.5, size=shape), -4, 4)
    every(logarithm, 11, 2)[...] = 0
    t = rng.poisson(3.0, target_shape(shape, options)).astype(float)
    every(t, 5, 1)[...] += rng.uniform(size=every(t, 5, 1).shape)
    every(t, 7, 3)[...] = 1
    every(t, 11, 7)[...] = 0
    assert t.size < LARGE or ((t == 0).any() and (t == 1).any() and (t > 1).any())
    x = logarithm if options["log_input"] else np.exp(logarithm)
    return (x.astype(dtype), t.astype(dtype)), chosen(options, "log_input", "full", "reduction")


def hinge_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Signs, but every 19th target is 0.5, which counts as both; some inputs are the margin."""
    x, y = eighths(rng, shape, dtype), signs(rng, target_shape(shape, options), dtype)
    every(y, 19, 6)[...] = 0.5
    every(x, 11, 2)[...] = options["margin"]
    assert x.size < LARGE or ((x == options["margin"]).any() and (x > options["margin"]).any())
    return (x, y), chosen(options, "margin", "reduction")


def multi_margin_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    x = eighths(rng, shape, dtype)
    y = rng.integers(0, shape[-1], shape[:-1])
    kwargs = chosen(options, "p", "margin", "reduction")
    if options["weight"]:
        kwargs["weight"] = weights(rng, shape[-1:], dtype)
    return (x, y), kwargs


def multilabel_margin_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    """Each row names from 0 to all classes, then a -1, then whatever; every fifth names one twice."""
    x, C = eighths(rng, shape, dtype), shape[-1]
    y = np.array([rng.permutation(C) for _ in range(int(np.prod(shape[:-1])))], np.int64).reshape(-1, C)
    number = rng.integers(0, C + 1, len(y))
    for labels, end in zip(y, number, strict=True):
        labels[end : end + 1] = -1
    for labels in y[4::5]:
        labels[1:2] = labels[0]
    assert ((y >= -1) & (y < C)).all()
    return (x, y.reshape(shape)), chosen(options, "reduction")


def input_arguments(rng: Rng, shape: Shape, dtype: Any, options: Options) -> Arguments:
    return (logits(rng, shape, dtype),), chosen(options, "dim")
