"""The loss over position: a profile along one axis, or a map over two. Which positions a row has is its user's to say.

The bins are 2**k positions wide, k the least that has room for the largest position so far. So they depend on which positions
there were, and not on how rows were cut into chunks, nor on the order of chunks and merges. Called by ``totals.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.result import Positions

BINS = {0: (), 1: (128,), 2: (64, 64)}  # by the number of axes: what can be seen in a picture


class Profile:
    """Counts of rows and exact sums of their losses, in bins of positions along 0 (no rows yet), 1 or 2 axes."""

    def __init__(self, axes: int = 0) -> None:
        self._start(axes)

    def _start(self, axes: int) -> None:
        self.shape = BINS[axes]
        self.widths = [1] * axes
        self.rows = np.zeros(math.prod(self.shape))
        self.loss = ExactSum(len(self.rows))

    @property
    def axes(self) -> int:
        return len(self.shape)

    def add(self, positions: Sequence[NDArray[np.int64]], loss: NDArray[np.float64]) -> None:
        """Add rows with these positions along each axis. Rows whose number of axes is another than before are lost."""
        if not loss.size:
            return
        if not self.axes:
            self._start(len(positions))
        if len(positions) != self.axes:
            return
        self._widen([int(p.max()) // bins + 1 for p, bins in zip(positions, self.shape, strict=True)])
        bins, *others = (p // w if w > 1 else p for p, w in zip(positions, self.widths, strict=True))
        for more, length in zip(others, self.shape[1:], strict=True):
            bins = bins * length + more
        self.rows += np.bincount(bins, minlength=len(self.rows))
        self.loss.add(bins, loss)

    def merge(self, other: Profile) -> None:
        """Add the rows of another Profile. Of those with another number of axes than here, they are lost."""
        if not self.axes:
            self._start(other.axes)
        if self.axes != other.axes:
            return
        other = Profile.from_array(other.to_array())  # a copy, to be widened
        other._widen(self.widths)
        self._widen(other.widths)
        self.rows += other.rows
        self.loss.merge(other.loss)

    def positions(self) -> Positions:
        """Rows and mean loss of each bin, up to the last bin along each axis that has a row."""
        rows = self.rows.reshape(self.shape)
        used = tuple(slice(int(at.max(initial=-1)) + 1) for at in np.nonzero(rows))
        with np.errstate(invalid="ignore"):
            loss = self.loss.values().reshape(self.shape) / rows
        return Positions(np.array(self.widths, np.int64), rows[used].astype(np.int64), loss[used])

    def to_array(self) -> NDArray[np.float64]:
        """The state: the widths, the rows, each behind a number, and the array of the ExactSum."""
        widths = np.zeros(1 + len(self.rows))
        widths[: 1 + self.axes] = self.axes, *self.widths
        return np.vstack([widths, [0, *self.rows], self.loss.to_array()])

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> Profile:
        """The profile that ``to_array`` gave."""
        profile = cls(int(array[0, 0]))
        profile.widths = [int(width) for width in array[0, 1 : 1 + profile.axes]]
        profile.rows = array[1, 1:].copy()
        profile.loss = ExactSum.from_array(array[2:])
        return profile

    def _widen(self, least: Sequence[int]) -> None:
        """Make the bins at least so wide along each axis."""
        for axis, width in enumerate(least):
            while self.widths[axis] < width:
                self.widths[axis] *= 2
                self.rows = self._in_pairs(self.rows, axis)
                self.loss.regroup(lambda sums, axis=axis: self._in_pairs(sums, axis))  # type: ignore[misc]

    def _in_pairs(self, numbers: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        """What bins hold when they are twice as wide along an axis: the upper half then holds nothing."""
        grid = np.moveaxis(numbers.reshape(self.shape), axis, 0)
        wider = np.zeros(grid.shape)
        wider[: len(grid) // 2] = grid[::2] + grid[1::2]
        return np.moveaxis(wider, 0, axis).reshape(-1)
