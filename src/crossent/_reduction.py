"""What none, mean and sum divide by, and how torch's three arguments choose between them. No arrays, no kernels.

Called by ``nn/functional/`` through :func:`chosen_reduction` and by the plans through :func:`divisor`.
"""

from __future__ import annotations

import warnings
from typing import Literal, cast

Reduction = Literal["none", "mean", "sum", "batchmean"]


def chosen_reduction(size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 4) -> Reduction:
    """The reduction that torch's current argument, or the two that came before it, ask for.

    ``size_average`` and ``reduce``, where given, win, with torch's warning; None counts as True.
    """
    if size_average is not None or reduce is not None:
        size_average, reduce = size_average in (None, True), reduce in (None, True)
        reduction = ("mean" if size_average else "sum") if reduce else "none"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=stacklevel,
        )
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            UserWarning,
            stacklevel=stacklevel,
        )
        reduction = "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction (expected 'none', 'mean' or 'sum')")
    return cast(Reduction, reduction)


def kl_div_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> Reduction:
    """The same for kl_div, which also has "batchmean", and whose "mean" torch warns of."""
    legacy = size_average is not None or reduce is not None
    if not legacy and reduction == "batchmean":
        return "batchmean"
    if not legacy and reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            UserWarning,
            stacklevel=4,
        )
    return chosen_reduction(size_average, reduce, reduction, stacklevel=5)


def divisor(reduction: Reduction, weight: float) -> float:
    """What the sum of the values is divided by; `weight` is what a mean counts: rows, or the sum of their weights."""
    return weight if reduction in ("mean", "batchmean") else 1.0


def gradient_scale(reduction: Reduction, weight: float) -> float:
    """The factor that the reduction gives to each row's gradient: 1 / divisor, infinite or nan for a mean of nothing."""
    if reduction not in ("mean", "batchmean"):
        return 1.0
    return 1.0 / weight if weight else float("inf")
