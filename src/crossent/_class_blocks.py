"""cross_entropy of rows whose classes are cut into blocks: a block's few numbers for each row, merged, and what they give.

NumPy in float64, of class indices; the letters, and why a loss is (m - x_t) + log1p(rest), are those of
csrc/kernels/softmax_formula.h. No dask, no network: called by ``dask.py``, and fit for any system that can merge
(docs/distributed.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent import _arguments as arguments

Floats = NDArray[np.float64]
Partials = NDArray[np.void]

# max = m, rest = sum e^(x_c - m) over all but one of the maxima, distance = sum b_c (m - x_c), mass = sum b_c, at_target = x_t
# or 0: b_c is the class's weight, or 1, and 0 without smoothing. A block of -inf alone has its distance from 0.
PARTIAL = np.dtype([(name, np.float64) for name in ("max", "rest", "distance", "mass", "at_target")])


class Options(NamedTuple):
    """What a call has beside its arrays; `classes` are those of all blocks."""

    classes: int
    weight: NDArray[Any] | None
    ignore_index: int
    label_smoothing: float


def weights(target: NDArray[Any], *, options: Options) -> Floats:
    """What each position counts in a mean: its class's weight, or 1; 0 where it is ignored."""
    indices, ignored = _checked(target, options)
    return np.where(ignored, 0.0, _class_weights(options)[indices] if options.classes else 0.0)


def partials(target: NDArray[Any], x: NDArray[Any], columns: NDArray[np.intp], *, options: Options) -> Partials:
    """The numbers of a block's rows, of the block's shape with 1 for its classes, which are those of `columns`."""
    x = np.moveaxis(x, 1, -1).astype(np.float64)
    part = np.zeros(target.shape, PARTIAL)
    part["max"] = x.max(axis=-1, initial=-np.inf)
    if columns.size:
        indices, _ = _checked(target, options)
        here = (indices >= columns[0]) & (indices <= columns[-1])
        part["at_target"] = np.where(here, _at(x, indices - columns[0]), 0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            terms = _exp_below(x, part["max"][..., None])
            np.put_along_axis(terms, x.argmax(axis=-1)[..., None], 0.0, axis=-1)
            part["rest"] = terms.sum(axis=-1)
            if options.label_smoothing:
                b = _class_weights(options)[columns]
                part["distance"] = (b * (_reference(part["max"])[..., None] - x)).sum(axis=-1)
                part["mass"] = b.sum()
    return np.expand_dims(part, 1)


def merge(parts: Partials, axis: int | tuple[int, ...] = 1, keepdims: bool = True) -> Partials:
    """The numbers of blocks, stacked along an axis, as those of one block."""
    (axis,) = np.atleast_1d(axis)
    parts = np.moveaxis(parts, axis, -1)
    merged = np.empty(parts.shape[:-1], PARTIAL)
    merged["max"] = parts["max"].max(axis=-1, initial=-np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        factors = _exp_below(parts["max"], merged["max"][..., None])
        merged["rest"] = (parts["rest"] * factors).sum(axis=-1)
        if parts.shape[-1]:  # the maxima of all blocks but one are in the rest now
            np.put_along_axis(factors, parts["max"].argmax(axis=-1)[..., None], 0.0, axis=-1)
            merged["rest"] += factors.sum(axis=-1)
        shift = _reference(merged["max"])[..., None] - _reference(parts["max"])
        moved = np.where(parts["mass"] == 0, 0.0, parts["mass"] * shift)
        merged["distance"] = (parts["distance"] + moved).sum(axis=-1)
    for name in ("mass", "at_target"):
        merged[name] = parts[name].sum(axis=-1)
    return np.expand_dims(merged, axis) if keepdims else merged


def losses(target: NDArray[Any], rows: Partials, *, options: Options) -> Floats:
    """l = u ((m - x_t) + log1p(rest)) + v (distance + mass log1p(rest));   u = (1 - eps) w_t,  v = eps/C"""
    indices, ignored = _checked(target, options)
    if not options.classes:
        return np.zeros(target.shape)
    u = (1.0 - options.label_smoothing) * _class_weights(options)[indices]
    v = options.label_smoothing / options.classes
    with np.errstate(invalid="ignore", over="ignore"):
        log_sum = np.log1p(_rest(rows))
        value = u * ((rows["max"] - rows["at_target"]) + log_sum) + v * (rows["distance"] + rows["mass"] * log_sum)
    return np.where(ignored, 0.0, value)


def gradient(
    target: NDArray[Any], x: NDArray[Any], scale: Any, columns: NDArray[np.intp], rows: Partials, *, options: Options
) -> NDArray[Any]:
    """dl/dx_c = k ((u + v mass) p_c - v b_c - u [c = t]) of a block's classes, in the dtype of x; k is `scale`."""
    if not x.size:
        return np.zeros_like(x)
    indices, ignored = _checked(target, options)
    class_weights = _class_weights(options)
    u = (1.0 - options.label_smoothing) * class_weights[indices]
    v, b = options.label_smoothing / options.classes, class_weights[columns]
    logits, rest = np.moveaxis(x, 1, -1).astype(np.float64), _rest(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        p = _exp_below(logits, rows["max"][..., None]) / (1.0 + rest)[..., None]
        at_target = _exp_below(rows["at_target"], rows["max"])
        # 1 - p_t = (the other terms) / sum, which does not cancel as p_t - 1 would
        others = np.where(rows["at_target"] == rows["max"], rest, (1.0 - at_target) + rest) / (1.0 + rest)
        spread = v * (rows["mass"] * at_target / (1.0 + rest) - class_weights[indices])
        output = p * (u + v * rows["mass"])[..., None] - v * b
        here = (indices[..., None] == columns) & ~ignored[..., None]
        output = scale * np.where(here, (spread - u * others)[..., None], output)
    output[ignored] = 0.0
    result = np.empty_like(x, order="C")
    arguments.copy_rounded(result, np.moveaxis(output, -1, 1))
    return result


def _checked(target: NDArray[Any], options: Options) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The class of each position, 0 where it is ignored, and where that is; or IndexError."""
    ignored = np.equal(target, options.ignore_index)
    bad = np.flatnonzero(((target < 0) | (target >= options.classes)) & ~ignored)
    arguments.target_in_bounds(target, int(bad[0]) if bad.size else -1)
    return np.where(ignored, 0, target).astype(np.intp), ignored


def _class_weights(options: Options) -> Floats:
    return np.ones(options.classes) if options.weight is None else options.weight.astype(np.float64)


def _at(x: Floats, columns: NDArray[np.intp]) -> Floats:
    """x at a column of each row; at the nearest one where there is none."""
    at: Floats = np.take_along_axis(x, columns.clip(0, x.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    return at


def _rest(rows: Partials) -> Floats:
    """rest, and nan where the maximum is infinite or nan: then there is no softmax."""
    with np.errstate(invalid="ignore"):
        rest: Floats = rows["rest"] + (rows["max"] - rows["max"])
    return rest


def _reference(max: Floats) -> Floats:
    """What is taken from x before e^x: a run of nothing but -inf is measured from 0, so that it gives 0 and not nan."""
    return np.where(max == -np.inf, 0.0, max)


def _exp_below(x: Floats, max: Floats) -> Floats:
    """e^(x - m) = e^d + e^d error, d the rounded x - m: its rounding alone would cost |x - m| half ULP."""
    m = _reference(max)
    d = x - m
    back = d - x
    error = (x - (d - back)) - (m + back)  # exact (Knuth's two-sum); nan where something is infinite
    e = np.exp(d)
    return np.where(np.isfinite(error), e + e * error, e)
