"""Counts of the pairs (target, predicted class) of wrong rows, in memory that does not grow with the square of the classes.

Called by ``totals.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_PAIRS = 2**20  # 16 MiB: with so many different errors, no pair of them says much
WAITING = 2**16  # pairs that are collected before they are sorted into the others


class PairCounts:
    """How often each pair occurred: exact up to MOST_PAIRS different pairs, unknown from there on.

    Only pairs that occur take room. That more than MOST_PAIRS of them do is true of the rows as a whole or not, so the result
    does not depend on the order in which they come. A pair is a number of its user's.
    """

    def __init__(self) -> None:
        self._known = True
        self._pairs: NDArray[np.int64] = np.zeros(0, np.int64)  # sorted, once each
        self._counts: NDArray[np.float64] = np.zeros(0)
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._waiting_pairs = 0

    @property
    def known(self) -> bool:
        """Whether all pairs were counted."""
        self._settle()
        return self._known

    def add(self, pairs: NDArray[np.int64]) -> None:
        """Count each of these pairs once."""
        different, counts = np.unique(pairs, return_counts=True)
        self._add(different, counts.astype(np.float64))

    def merge(self, other: PairCounts) -> None:
        """Add the counts of another PairCounts."""
        self._known &= other.known
        self._add(*other.counts())

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The pairs in their order, and how often each occurred; none of either if they are not known."""
        self._settle()
        return self._pairs, self._counts

    def to_array(self) -> NDArray[np.float64]:
        """The state, shape (1 + pairs, 2): known, then the pairs and their counts."""
        pairs, counts = self.counts()
        return np.concatenate([[[self._known, 0]], np.stack([pairs, counts], axis=1)])

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> PairCounts:
        """The counts that ``to_array`` gave."""
        pairs = cls()
        pairs._known = bool(array[0, 0])
        pairs._pairs, pairs._counts = array[1:, 0].astype(np.int64), array[1:, 1].copy()
        return pairs

    def _add(self, pairs: NDArray[np.int64], counts: NDArray[np.float64]) -> None:
        self._waiting.append((pairs, counts))
        self._waiting_pairs += len(pairs)
        if self._waiting_pairs > max(WAITING, len(self._pairs)):  # so that sorting stays in proportion to what comes
            self._settle()

    def _settle(self) -> None:
        if self._waiting:
            pairs = np.concatenate([self._pairs, *(pairs for pairs, _ in self._waiting)])
            counts = np.concatenate([self._counts, *(counts for _, counts in self._waiting)])
            self._pairs, place = np.unique(pairs, return_inverse=True)
            self._counts = np.zeros(len(self._pairs))
            np.add.at(self._counts, place, counts)
            self._waiting, self._waiting_pairs = [], 0
        self._known &= len(self._pairs) <= MOST_PAIRS
        if not self._known:
            self._pairs, self._counts = self._pairs[:0], self._counts[:0]
