"""Sums of float64 that are exact, hence the same in any order, any grouping and any merge.

The one reason this file exists: a score must not depend on how its rows were cut into chunks. Called by ``totals.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# A sum is sum_w limb[w] 2**(24 w), a limb a whole number in float64, exact below 2**53. A value adds less than 2**24 to a
# limb, so there is room for 2**29; from 2**28 on, what is above 24 bits is carried to the next limb.
BITS = 24
MOST_VALUES = 2**28


class ExactSum:
    """Exact sums, one for each group (a class, a bin). Infinities and nan are summed apart, by the rules of IEEE 754.

    The state is `special`, one float64 for each group, and `limbs`, by their window w, as many for each window in use: some
    two to six, as few exponents occur among losses, 88 at most.
    """

    def __init__(self, groups: int) -> None:
        self.added = 0  # values since the last carry
        self.limbs: dict[int, NDArray[np.float64]] = {}
        self.special = np.zeros(groups)

    def add(self, groups: NDArray[np.intp] | None, values: NDArray[np.float64]) -> None:
        """Add values[i] to the sum of groups[i]; without `groups` to the only sum."""
        for start in range(0, len(values), MOST_VALUES):
            part = slice(start, start + MOST_VALUES)
            self._add(None if groups is None else groups[part], values[part])

    def _add(self, groups: NDArray[np.intp] | None, values: NDArray[np.float64]) -> None:
        largest = np.abs(values).max(initial=0.0)
        if not np.isfinite(largest):
            apart = np.flatnonzero(~np.isfinite(values))
            with np.errstate(invalid="ignore"):
                np.add.at(self.special, np.zeros_like(apart) if groups is None else groups[apart], values[apart])
            values = np.where(np.isfinite(values), values, 0.0)
            largest = np.abs(values).max(initial=0.0)
        window = (int(np.frexp(largest)[1]) - 1) // BITS  # the smallest w with largest < 2**(BITS (w + 1))
        while values.any():  # peel off the digit of each window; what remains is exact, and 0 after 88 windows at most
            digits = np.trunc(np.ldexp(values, -BITS * window))
            if groups is None:
                self._limb(window)[0] += digits.sum()
            else:
                np.add.at(self._limb(window), groups, digits)
            values = values - np.ldexp(digits, BITS * window)
            window -= 1
        self._count(len(values))

    def merge(self, other: ExactSum) -> None:
        """Add the sums of another ExactSum of as many groups."""
        with np.errstate(invalid="ignore"):
            self.special += other.special
        for window, limb in other.limbs.items():
            self._limb(window)[:] += limb
        self._count(other.added)

    def regroup(self, add: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        """Make other groups: `add` takes a number for each, and gives one for each of the new, the sum of some of the old."""
        self.special = add(self.special)
        self.limbs = {window: add(limb) for window, limb in self.limbs.items()}

    def values(self) -> NDArray[np.float64]:
        """Each sum, correctly rounded to float64."""
        shift = self._shift()
        integers = [0] * len(self.special)  # sum = integer * 2**shift
        for window, limb in self.limbs.items():
            for group in np.flatnonzero(limb).tolist():
                integers[group] += int(limb[group]) << (BITS * window - shift)
        return np.array([_scaled(integer, shift) if integer else 0.0 for integer in integers]) + self.special

    def total(self) -> float:
        """The sum of all sums, correctly rounded to float64."""
        shift, integer = self._shift(), 0
        for window, limb in self.limbs.items():
            high = np.floor(np.ldexp(limb, -BITS))  # in two parts, whose sums float64 holds
            low = limb - np.ldexp(high, BITS)
            integer += (int(high.sum()) << BITS) + int(low.sum()) << (BITS * window - shift)
        with np.errstate(invalid="ignore"):
            return _scaled(integer, shift) + float(self.special.sum())

    def to_array(self) -> NDArray[np.float64]:
        """The state, shape (1 + windows, 1 + groups): special behind the number added, then each limb behind its window."""
        return np.array([[self.added, *self.special], *([window, *limb] for window, limb in self.limbs.items())])

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> ExactSum:
        """The sums that ``to_array`` gave."""
        sums = cls(array.shape[1] - 1)
        sums.added, sums.special = int(array[0, 0]), array[0, 1:].copy()
        sums.limbs = {int(row[0]): row[1:].copy() for row in array[1:]}
        return sums

    def _shift(self) -> int:
        """The power of 2 of the lowest limb."""
        return BITS * min(self.limbs, default=0)

    def _limb(self, window: int) -> NDArray[np.float64]:
        if window not in self.limbs:
            self.limbs[window] = np.zeros(len(self.special))
        return self.limbs[window]

    def _count(self, added: int) -> None:
        """Note how many values, at most MOST_VALUES, were added; make room for as many again."""
        self.added += added
        if self.added <= MOST_VALUES:
            return
        for window in sorted(self.limbs):
            carried = np.trunc(np.ldexp(self.limbs[window], -BITS))
            if carried.any():
                self.limbs[window] -= np.ldexp(carried, BITS)
                self._limb(window + 1)[:] += carried
        self.added = 1


def _scaled(integer: int, shift: int) -> float:
    """integer * 2**shift as the nearest float64; infinite beyond its range."""
    try:
        return integer / (1 << -shift) if shift < 0 else float(integer << shift)
    except OverflowError:
        return float("inf") if integer > 0 else float("-inf")
