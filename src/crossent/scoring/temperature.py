"""Temperature scaling: the one number that logits are divided by so that their loss is least.

The loss and its derivative come from a Score; here is only the search. Called by users and by ``cli.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent.scoring.result import Score
from crossent.scoring.scorer import score

FLAT = 1e-7  # a derivative below this part of the loss is taken as 0: float32's rounding is not far below it
FURTHEST = 16.0  # logarithm of the largest temperature, 9 million, and of the inverse of the smallest one
MOST_PASSES = 40  # bisection alone takes 28 from FURTHEST to FLAT


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes
    ----------
    temperature : float
        What to divide logits by.
    loss_before, loss_after : float
        The mean loss in nats at temperature 1 and at the fitted one.
    passes : int
        How often the logits were read.
    """

    temperature: float
    loss_before: float
    loss_after: float
    passes: int

    def to_array(self) -> NDArray[np.float64]:
        """The four numbers."""
        return np.array([self.temperature, self.loss_before, self.loss_after, self.passes])

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> Temperature:
        """The Temperature that ``to_array`` gave."""
        temperature, before, after, passes = array.tolist()
        return cls(temperature, before, after, int(passes))


def fit_temperature(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    dim: int | None = None,
) -> Temperature:
    """The temperature T that logits are divided by for the least mean loss: temperature scaling.

    .. math:: \\arg\\min_T L(T), \\quad L = \\frac{1}{\\sum_n w_{y_n}} \\sum_n \\ell_n(x / T), \\quad
        \\frac{dL}{d \\log T} = H - L

    with H the mean entropy of the predictions, weighted as the losses are: at the best temperature both are equal. L is convex
    in 1 / T, so there is one least loss at most. It is found by Newton's method, with dH/d log T from the two last points,
    within bounds that are halved where a step leaves them.

    Parameters
    ----------
    logits, targets, weight, ignore_index, label_smoothing, dim
        As in ``crossent.score``. A memory map is read once for each pass.

    Returns
    -------
    Temperature
        The temperature, the losses at 1 and at it, and the number of passes over the logits: mostly five to eight.

    Raises
    ------
    ValueError
        If no temperature has the least loss: every row's target has its largest logit, and the loss falls to 0 as the
        temperature does; or the logits are no better than guesses, and it falls as the temperature grows. If the loss is
        not finite, as where a target's logit is -inf, or there are no rows.
    IndexError, TypeError
        As in ``crossent.score``.

    Notes
    -----
    The search ends where abs(L - H) is below 1e-7 L: log T is then within some 1e-6 of the best one. The sums over rows are
    exact, so that T is the same for any number of threads. Logits that are all equal have temperature 1.

    References
    ----------
    .. [1] C. Guo et al., On Calibration of Modern Neural Networks, 2017.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> logits = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    >>> fitted = crossent.fit_temperature(logits, np.array([0, 0, 1, 1]))  # sure, and right three times of four
    >>> round(fitted.temperature, 4), round(fitted.loss_before, 4), round(fitted.loss_after, 4)
    (8.1922, 2.2501, 0.5623)
    """
    return fit(
        lambda temperature: score(
            logits, targets, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
            temperature=temperature, dim=dim,
        )
    )  # fmt: skip


class Point(NamedTuple):
    """The mean loss and entropy at a temperature, whose logarithm is -u."""

    u: float
    loss: float
    entropy: float

    @property
    def slope(self) -> float:
        """d loss / du"""
        return self.loss - self.entropy


def fit(score_at: Callable[[float], Score]) -> Temperature:
    """The temperature of the least mean loss, for a function that scores all rows at a temperature."""
    u, low, high = 0.0, -FURTHEST, FURTHEST
    points: list[Point] = []
    while len(points) < MOST_PASSES:
        figures = score_at(math.exp(-u))
        here = Point(u, figures.mean_loss, figures.entropy)
        if not math.isfinite(here.loss):
            raise ValueError(f"expected a finite mean loss at temperature {math.exp(-u):.6g}, but got {here.loss}")
        points.append(here)
        variance = _variance(points, figures.classes)
        if abs(here.slope) <= FLAT * here.loss:
            if variance <= FLAT * here.loss:  # flat, and not the bottom of anything
                break
            return Temperature(math.exp(-u), points[0].loss, here.loss, len(points))
        low, high = (u, high) if here.slope < 0 else (low, u)
        u += _step(here, variance)
        if not low < u < high:
            u = (low + high) / 2
    raise ValueError(
        f"no temperature has the least loss: it was {points[0].loss:.6g} at 1, and is {here.loss:.6g} at "
        f"{math.exp(-here.u):.3g}. It falls for ever where every row is right, or the logits are no better than guesses"
    )


def _variance(points: list[Point], classes: int) -> float:
    """-d entropy / du, the mean variance of the logits under the predictions: a secant, and a guess from the first point."""
    here = points[-1]
    if len(points) > 1:
        return (points[-2].entropy - here.entropy) / (here.u - points[-2].u)
    # of nearly equal logits log C - entropy is half of it
    return 2 * (math.log(classes) - here.entropy) if here.slope < 0 else here.entropy


def _step(here: Point, variance: float) -> float:
    """Newton's step towards slope 0, for the function that is nearer to a straight line.

    Of e^u, 1 / T, where logits should grow: the loss is nearly a parabola of it. Of u for log(loss / entropy) = 0 where they
    should shrink: the loss grows like e^u.
    """
    if here.slope < 0:
        return math.log1p(-here.slope / variance) if variance > 0 else math.inf
    if here.entropy <= 0:
        return -math.inf
    return -math.log(here.loss / here.entropy) / (here.slope / here.loss + variance / here.entropy)
