"""Sums of float64 that are exact, hence the same in any order, any grouping and any merge.

The one reason this file exists: a score must not depend on how its rows were cut into chunks. Called by ``totals.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A sum is kept as sum_w limb[w] * 2**(24 w). A row adds less than 2**24 to a limb, so int64 limbs hold 2**39 rows.
BITS = 24
MOST_ROWS = 2 ** (63 - BITS)


class ExactSum:
    """Exact sums, one for each group (a class, a bin). Infinities and nan are summed apart, by the rules of IEEE 754."""

    def __init__(self, groups: int) -> None:
        self.rows = 0
        self.limbs: dict[int, NDArray[np.int64]] = {}  # by their window w
        self.special = np.zeros(groups)

    def add(self, groups: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        """Add values[i] to the sum of groups[i]."""
        self._count(len(values))
        finite = np.isfinite(values)
        if not finite.all():
            with np.errstate(invalid="ignore"):
                np.add.at(self.special, groups[~finite], values[~finite])
            values = np.where(finite, values, 0.0)
        window = _top_window(values)
        while values.any():  # peel off the digit of each window; what remains is exact, and 0 after 88 windows at most
            digits = np.trunc(np.ldexp(values, -BITS * window))
            np.add.at(self._limb(window), groups, digits.astype(np.int64))
            values = values - np.ldexp(digits, BITS * window)
            window -= 1

    def merge(self, other: ExactSum) -> None:
        """Add the sums of another ExactSum of as many groups."""
        self._count(other.rows)
        with np.errstate(invalid="ignore"):
            self.special += other.special
        for window, limb in other.limbs.items():
            self._limb(window)[:] += limb

    def values(self) -> NDArray[np.float64]:
        """Each sum, correctly rounded to float64."""
        integers, shift = self._integers()
        return np.array([_scaled(integer, shift) for integer in integers]) + self.special

    def total(self) -> float:
        """The sum of all sums, correctly rounded to float64."""
        integers, shift = self._integers()
        with np.errstate(invalid="ignore"):
            return _scaled(sum(integers), shift) + float(self.special.sum())

    def _integers(self) -> tuple[list[int], int]:
        """The finite part of each sum as an integer, and the shift they share: sum = integer * 2**shift."""
        shift = BITS * min(self.limbs, default=0)
        integers = [0] * len(self.special)
        for window, limb in self.limbs.items():
            for group in np.flatnonzero(limb).tolist():
                integers[group] += int(limb[group]) << (BITS * window - shift)
        return integers, shift

    def _limb(self, window: int) -> NDArray[np.int64]:
        if window not in self.limbs:
            self.limbs[window] = np.zeros(len(self.special), np.int64)
        return self.limbs[window]

    def _count(self, rows: int) -> None:
        if self.rows + rows > MOST_ROWS:
            raise OverflowError(f"expected at most 2**39 rows in a sum, but got {self.rows + rows}")
        self.rows += rows


def _scaled(integer: int, shift: int) -> float:
    """integer * 2**shift as the nearest float64; infinite beyond its range."""
    try:
        return integer / (1 << -shift) if shift < 0 else float(integer << shift)
    except OverflowError:
        return float("inf") if integer > 0 else float("-inf")


def _top_window(values: NDArray[Any]) -> int:
    """The smallest w with abs(values) < 2**(BITS (w + 1))."""
    exponent = np.frexp(np.abs(values).max(initial=0.0))[1]
    return (int(exponent) - 1) // BITS
