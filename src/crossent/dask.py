"""cross_entropy and score of dask arrays, which may be larger than one machine; lazy, reduced in dask's trees.

Blocks of rows are computed by the kernels, as everywhere. Where the classes are cut as well, each block gives a few numbers for
each row (``_class_blocks.py``). Sums over rows are exact, so that a mean does not depend on the blocks. Imported by users, by
name; ``import crossent`` does not import it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _class_blocks as class_blocks
from crossent import _reduction
from crossent._plans import CrossEntropy
from crossent.scoring import Scorer
from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.result import Score

try:
    import dask
    import dask.array as da
except ImportError as error:
    raise ImportError("crossent.dask needs dask: pip install crossent[dask]") from error

__all__ = ["cross_entropy", "score", "value_and_grad"]

STATES = 8  # how many are merged in one task


def cross_entropy(
    input: da.Array,
    target: Any,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> da.Array:
    """``crossent.nn.functional.cross_entropy`` of a dask array, cut along rows, along classes, or along both.

    .. math:: l_i = -w_{t_i} \\log (e^{x_{i t_i}} / \\sum_c e^{x_{ic}}), \\quad mean = \\sum_i l_i / \\sum_i w_{t_i}

    Parameters
    ----------
    input : dask.array.Array, shape (N, C) or (N, C, d1, ..., dK)
        Logits, float16, bfloat16, float32 or float64, in blocks of any sizes, empty ones too.
    target : array_like or dask.array.Array, shape (N) or (N, d1, ..., dK)
        Class indices of any integer dtype, from 0 to C - 1 or `ignore_index`; given the blocks of `input`. Not probabilities.
    weight : array_like, shape (C), optional
        A factor for each class.
    ignore_index : int, default -100
        Positions with this target do not count.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in ``cross_entropy``.
    label_smoothing : float, default 0.0
        From 0 to 1, as in ``cross_entropy``.

    Returns
    -------
    dask.array.Array
        Nothing is computed yet. Of shape (), or for "none" of target's, in blocks as the input; of the input's dtype.

    Raises
    ------
    TypeError, ValueError
        For dtypes and shapes that do not fit, at once.
    IndexError
        If a target is out of bounds, when it is computed.

    Notes
    -----
    Classes in one block: each loss is that of ``cross_entropy(..., reduction="none")``, to the bit. Classes in several
    blocks: computed in float64, within a few ULP of it. Either way the sum over rows is exact and rounded once, so that "mean"
    and "sum" do not depend on the blocks of rows, on the scheduler, or on what was computed twice as a worker was lost.
    torch has no such function.

    Examples
    --------
    >>> import numpy as np, dask.array as da, crossent.dask
    >>> logits = da.from_array(np.log([[1.0, 3.0], [1.0, 1.0], [2.0, 6.0]]), chunks=(2, 1))
    >>> loss = crossent.dask.cross_entropy(logits, np.array([0, 1, -100]))
    >>> round(float(loss.compute()), 6)
    1.039721
    """
    job = _Job(input, target, weight, ignore_index, reduction, label_smoothing)
    return job.losses().astype(job.input.dtype) if job.reduction == "none" else job.loss()


def value_and_grad(
    input: da.Array,
    target: Any,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[da.Array, da.Array]:
    """The loss of ``crossent.dask.cross_entropy``, the one loss here, and its gradient by the input; both lazy.

    .. math:: dL/dx_{ic} = k_i (p_{ic} - [c = t_i]), \\quad k_i = w_{t_i} / \\sum_j w_{t_j}

    Parameters
    ----------
    input, target, weight, ignore_index, label_smoothing
        As in ``cross_entropy``.
    reduction : {"mean", "sum"}, default "mean"
        What is differentiated.

    Returns
    -------
    loss : dask.array.Array, shape ()
    gradient : dask.array.Array
        Of the input's shape, blocks and dtype.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in ``cross_entropy``; ValueError for reduction "none" as well.

    Notes
    -----
    Classes in one block: the gradient is that of ``crossent.value_and_grad``, to the bit but for the rounding of the divisor.
    The divisor needs the targets alone, so a block's gradient does not wait for other blocks, unless classes are cut. Compute
    both in one call, ``dask.compute(loss, gradient)``, so that the input is made once.

    Examples
    --------
    >>> import dask, numpy as np, dask.array as da, crossent.dask
    >>> logits = da.from_array(np.log([[1.0, 3.0]]), chunks=(1, 1))
    >>> loss, gradient = dask.compute(*crossent.dask.value_and_grad(logits, np.array([0])))
    >>> round(float(loss), 6), gradient.round(6).tolist()
    (1.386294, [[-0.75, 0.75]])
    """
    job = _Job(input, target, weight, ignore_index, reduction, label_smoothing)
    if job.reduction == "none":
        raise ValueError("value_and_grad needs a scalar: expected reduction 'mean' or 'sum', but got 'none'")
    return job.loss(), job.gradient()


def score(logits: da.Array, targets: Any, *, nbytes: float | None = None, **options: Any) -> Any:
    """``crossent.score`` of a dask array, by a Scorer for each block of rows; their states are merged in a tree.

    Parameters
    ----------
    logits : dask.array.Array, shape (N, C) or (N, C, d1, ..., dK)
        Logits. All axes but the first are brought into one block: a row's rank and confidence need all of its classes.
    targets : array_like or dask.array.Array
        Class indices, or probabilities of the logits' shape.
    nbytes, **options
        Those of ``crossent.score``, but `dim`: classes are on axis 1.

    Returns
    -------
    dask.delayed.Delayed
        Its ``compute()`` gives the ``Score``: the same as of ``crossent.score``, to the last bit.

    Raises
    ------
    TypeError, ValueError
        For options and arrays that do not fit; what is wrong in the data is raised when it is computed.

    Examples
    --------
    >>> import numpy as np, dask.array as da, crossent.dask
    >>> logits = da.from_array(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), chunks=(2, 2))
    >>> result = crossent.dask.score(logits, np.array([0, 1, 1])).compute()
    >>> result.rows, round(result.mean_loss, 4)
    (3, 1.1629)
    """
    if "dim" in options:
        raise TypeError("crossent.dask.score takes no dim: the classes are on axis 1")
    _check_logits(logits)
    Scorer(**options)  # refuses bad ones now
    logits = logits.rechunk({axis: -1 for axis in range(1, logits.ndim)})
    if tuple(np.shape(targets)) != logits.shape:
        targets = _targets_like(logits, targets)
    else:
        targets = da.asarray(targets).rechunk(logits.chunks)
    first_rows = np.cumsum([0, *logits.chunks[0]])
    blocks = zip(logits.to_delayed().reshape(-1), targets.to_delayed().reshape(-1), first_rows, strict=False)
    scored, merged = dask.delayed(_scored), dask.delayed(_merged)
    states = [scored(options, x, t, int(row)) for x, t, row in blocks]
    while len(states) > STATES:
        states = [merged(options, states[i : i + STATES]) for i in range(0, len(states), STATES)]
    return dask.delayed(_result)(options, states, nbytes)


class _Job:
    """A call whose arguments were checked: the lazy arrays that its results are made of."""

    def __init__(
        self, input: Any, target: Any, weight: ArrayLike | None, ignore_index: int, reduction: str, label_smoothing: float
    ) -> None:
        _check_logits(input)
        self.input, self.target = input, _targets_like(input, target)
        self.reduction = _reduction.chosen_reduction(None, None, reduction)
        weights = arguments.class_weight(weight, input.shape[1], "cross_entropy")
        self.real = arguments.real_of(input.dtype)
        self.options = class_blocks.Options(
            classes=input.shape[1],
            weight=None if weights is None else arguments.dense(weights, self.real),
            ignore_index=arguments.whole_number(ignore_index, "ignore_index"),
            label_smoothing=arguments.smoothing(label_smoothing),
        )
        self.axes = tuple(range(input.ndim))
        self.positions = (0, *self.axes[2:])
        self.columns = da.arange(input.shape[1], chunks=(input.chunks[1],)) if input.numblocks[1] > 1 else None

    def losses(self) -> da.Array:
        """Each position's loss, not rounded to 16 bits."""
        if self.columns is None:
            return self._blockwise(_losses, self.positions, self.real, self.input, self.axes, concatenate=True)
        return self._blockwise(class_blocks.losses, self.positions, np.float64, self._rows(), self.positions)

    def loss(self) -> da.Array:
        total = _exact_sum(self.losses())
        if self.reduction == "mean":
            total = da.map_blocks(_mean, total, self._mean_weight(), self.options.label_smoothing, dtype=np.float64)
        return total.astype(self.input.dtype)

    def gradient(self) -> da.Array:
        scale: Any = np.float64(1.0)
        if self.reduction == "mean":
            scale = da.map_blocks(_gradient_scale, self._mean_weight(), self.options.label_smoothing, dtype=np.float64)
        blocks: tuple[Any, ...] = (self.input, self.axes, scale, () if self.reduction == "mean" else None)
        if self.columns is None:
            return self._blockwise(_gradient, self.axes, self.input.dtype, *blocks)
        blocks += (self.columns, (1,), self._rows(), self.positions)
        return self._blockwise(class_blocks.gradient, self.axes, self.input.dtype, *blocks)

    def _rows(self) -> da.Array:
        """The merged partials of each position."""
        parts = self._blockwise(
            class_blocks.partials, self.axes, class_blocks.PARTIAL, self.input, self.axes, self.columns, (1,),
            adjust_chunks={1: 1},
        )  # fmt: skip
        merge = class_blocks.merge
        return da.reduction(parts, merge, merge, combine=merge, axis=1, dtype=class_blocks.PARTIAL, meta=_meta(parts, 1))

    def _mean_weight(self) -> da.Array:
        return _exact_sum(self._blockwise(class_blocks.weights, self.positions, np.float64))

    def _blockwise(self, function: Any, axes: tuple[int, ...], dtype: Any, *blocks: Any, **how: Any) -> da.Array:
        """function(target, *blocks, options) of each block; `blocks` alternates arrays and their axes."""
        meta = np.empty((0,) * len(axes), dtype)
        function = partial(function, options=self.options)
        return da.blockwise(function, axes, self.target, self.positions, *blocks, dtype=dtype, meta=meta, **how)


def _check_logits(logits: Any) -> None:
    if not isinstance(logits, da.Array):
        raise TypeError(f"expected logits as a dask array, but got {type(logits).__name__}; others: crossent.nn.functional")
    if logits.ndim < 2:
        raise ValueError(f"expected logits of shape (N, C) or (N, C, d1, ..., dK), but got {list(logits.shape)}")
    if not arguments.is_float(logits.dtype):
        raise TypeError(f'"cross_entropy" not implemented for input of dtype {logits.dtype}: {arguments.EXPECTED}')
    if np.isnan(logits.shape).any():
        raise ValueError("expected logits in blocks of known sizes: call compute_chunk_sizes() first")


def _targets_like(logits: da.Array, target: Any) -> da.Array:
    """Class indices as a dask array, in the logits' blocks."""
    shape, chunks = (tuple(part[:1]) + tuple(part[2:]) for part in (logits.shape, logits.chunks))
    target = target if isinstance(target, da.Array) else da.from_array(np.asarray(target), chunks=-1)
    if target.dtype.kind not in "iu":
        raise TypeError(f"expected target dtype to be an integer (class indices), but got {target.dtype}")
    if target.shape != shape:
        raise ValueError(f"Expected target size {list(shape)}, got {list(target.shape)}")
    return target.rechunk(chunks)


def _plan(x: NDArray[Any], target: NDArray[Any], options: class_blocks.Options) -> CrossEntropy:
    return CrossEntropy(x, target, options.weight, options.ignore_index, "none", 1, options.label_smoothing)


def _losses(target: NDArray[Any], x: NDArray[Any], *, options: class_blocks.Options) -> NDArray[Any]:
    plan = _plan(x, target, options)
    values = np.empty(plan.values_shape, plan.real)
    plan.losses(values)
    return values


def _gradient(target: NDArray[Any], x: NDArray[Any], scale: Any, *, options: class_blocks.Options) -> NDArray[Any]:
    return _plan(x, target, options).gradient("input", np.full(target.shape, scale))


def _mean(total: Any, counted: Any, smoothing: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(total, _divisor(counted, smoothing)))


def _gradient_scale(counted: Any, smoothing: float) -> NDArray[np.float64]:
    return np.array(_reduction.gradient_scale("mean", _divisor(counted, smoothing)))


def _divisor(counted: Any, smoothing: float) -> float:
    return float("nan") if counted == 0 and smoothing else float(counted)  # torch: 0 / 0 + smoothing / 0


def _exact_sum(array: da.Array) -> da.Array:
    """The sum of all elements, exact and rounded once; between tasks go ExactSums, in arrays of one object for each block."""
    meta = np.empty((), object)  # given, so that dask does not ask ExactSums for a dtype
    total = da.reduction(array, _sum_block, _sum_total, combine=_sum_merged, dtype=object, meta=meta)
    return total.astype(np.float64)


def _sum_block(block: NDArray[Any], axis: Any, keepdims: bool) -> NDArray[Any]:
    total = ExactSum(1)
    total.add(None, block.reshape(-1).astype(np.float64))
    return _boxed(total, block.ndim)


def _sum_merged(sums: NDArray[Any], axis: Any, keepdims: bool) -> NDArray[Any]:
    total = ExactSum(1)
    for part in sums.flat:
        total.merge(part)
    return _boxed(total, sums.ndim)


def _sum_total(sums: NDArray[Any], axis: Any, keepdims: bool) -> NDArray[np.float64]:
    return np.array(_sum_merged(sums, axis, True).item().total())


def _boxed(total: ExactSum, ndim: int) -> NDArray[Any]:
    box = np.empty((1,) * ndim, object)
    box[...] = total
    return box


def _meta(array: da.Array, fewer: int) -> NDArray[Any]:
    return np.empty((0,) * (array.ndim - fewer), array.dtype)


def _scored(options: dict[str, Any], logits: Any, targets: Any, first_row: int) -> NDArray[np.float64]:
    """The state of a Scorer with the rows of a block."""
    scorer = Scorer(**options)
    scorer.update(logits, targets, first_row=first_row, position=first_row)
    return scorer.state()


def _merged(options: dict[str, Any], states: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return _scorer(options, states).state()


def _result(options: dict[str, Any], states: list[NDArray[np.float64]], nbytes: float | None) -> Score:
    return _scorer(options, states).result(nbytes=nbytes)


def _scorer(options: dict[str, Any], states: list[NDArray[np.float64]]) -> Scorer:
    scorer = Scorer(**options)
    for state in states:
        scorer.merge(state)
    return scorer
