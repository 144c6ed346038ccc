"""Two files with the losses of the same rows: how far apart are their means, and is that more than chance?

The losses are paired: what both models find hard does not count as noise. Called by ``cli.py``.
"""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from crossent import __version__
from crossent.scoring.errors import DataError
from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.inputs import read_weight
from crossent.scoring.progress import COMPARING, Report
from crossent.scoring.report import percent, plus_minus
from crossent.scoring.result import plain
from crossent.scoring.scorer import first_row_of
from crossent.scoring.sources import Chunk, Source, chunks
from crossent.scoring.tables import print_blocks
from crossent.scoring.totals import standard_error

AT_ONCE = 1 << 18  # rows: the sums look several times at each, in a cache


@dataclass(frozen=True)
class Comparison:
    """Mean losses in nats of two files; their `difference`, b - a, with its standard error; rows where b's is which."""

    a: str
    b: str
    rows: int
    ignored: int
    mean_a: float
    mean_b: float
    difference: float
    standard_error: float
    perplexity_ratio: float
    rows_lower: int
    rows_higher: int


def compare_files(
    a: str,
    b: str,
    *,
    targets: str | None = None,
    ignore_index: int = -100,
    weight: str | None = None,
    progress: Report = lambda done, rows, doing=COMPARING: None,
) -> Comparison:
    """Compare the losses that ``crossent score --output`` wrote.

    `targets` says which rows were left out (their loss is 0, and not counted here), and with `weight` what a mean divides by.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(Source([name])) for name in (a, b)]
        if targets:
            sources.append(stack.enter_context(Source([targets], integers=True)))
        for source in sources:
            if source.shape != sources[0].shape or not source.shape:
                raise DataError(f"{source.name}: expected shape {sources[0].shape or '(N)'}, but got {source.shape}")
        pairs = _Pairs(read_weight(weight) if weight else None, ignore_index)
        done = 0
        for chunk in chunks(*sources, most=AT_ONCE):
            pairs.add(*chunk)
            done += len(chunk[0].rows)
            progress(done, sources[0].shape[0], COMPARING)
        for source in sources:
            source.finish()
        return pairs.comparison(a, b)


class _Pairs:
    """Exact sums over pairs, so that neither files nor chunks change a bit."""

    def __init__(self, weight: NDArray[Any] | None, ignore_index: int) -> None:
        self._weight, self._ignore_index = weight, ignore_index
        self._rows = self._ignored = self._lower = self._higher = 0
        # of a, of b, and what the standard error wants
        self._sums = {name: ExactSum(1) for name in ("a", "b", "total", "squares", "norm", "cross", "weight_squares")}

    def add(self, a: Chunk, b: Chunk, targets: Chunk | None = None) -> None:
        """Add the rows of a chunk."""
        losses = [_losses(chunk) for chunk in (a, b)]
        weight = np.ones(losses[0].size)
        if targets:
            scored = targets.rows.reshape(-1) != self._ignore_index
            self._ignored += int(scored.size - np.count_nonzero(scored))
            losses = [values[scored] for values in losses]
            weight = self._weight_of(targets, scored)
        with np.errstate(invalid="ignore"):
            difference = losses[1] - losses[0]  # of two infinities, nan
        self._rows += difference.size
        self._lower += int(np.count_nonzero(difference < 0))
        self._higher += int(np.count_nonzero(difference > 0))
        group = np.zeros(difference.size, np.intp)
        values = (*losses, difference, difference**2, weight, weight * difference, weight**2)
        for total, addends in zip(self._sums.values(), values, strict=True):
            total.add(group, addends)

    def comparison(self, name_a: str, name_b: str) -> Comparison:
        """What the sums say."""
        a, b, total, squares, norm, cross, weight_squares = (exact.total() for exact in self._sums.values())
        mean_a, mean_b, difference = (total / norm if norm else math.nan for total in (a, b, total))
        return Comparison(
            name_a, name_b, self._rows, self._ignored, mean_a, mean_b, difference,
            standard_error(self._rows, total, squares, norm, cross, weight_squares),
            float(np.exp(difference)), self._lower, self._higher,
        )  # fmt: skip

    def _weight_of(self, targets: Chunk, scored: NDArray[np.bool_]) -> NDArray[np.float64]:
        classes = targets.rows.reshape(-1)[scored]
        if self._weight is None:
            return np.ones(classes.size)
        wrong = (classes < 0) | (classes >= len(self._weight))
        if wrong.any():
            raise DataError(f"{targets.name}: expected classes below {len(self._weight)}, but got {classes[wrong][0]}")
        weight: NDArray[np.float64] = self._weight[classes].astype(np.float64)
        return weight


def _losses(chunk: Chunk) -> NDArray[np.float64]:
    lost = np.isnan(chunk.rows)
    if lost.any():
        raise DataError(f"{chunk.name}: the loss of {first_row_of(lost, chunk.first)[1]} is nan")
    return chunk.rows.reshape(-1).astype(np.float64)


def members(comparison: Comparison) -> dict[str, Any]:
    """A Comparison for machines; None stands for nan and the infinities."""
    return {"crossent": __version__} | {name: plain(value) for name, value in asdict(comparison).items()}


def print_table(comparison: Comparison, file: TextIO) -> None:
    """Print a Comparison for people."""
    c = comparison
    rows = [
        ("rows", f"{c.rows:,}" + (f" ({c.ignored:,} ignored)" if c.ignored else "")),
        ("mean loss, first", f"{c.mean_a:.6g} nats"),
        ("mean loss, second", f"{c.mean_b:.6g} nats"),
        ("second - first", f"{c.difference:.4g}{plus_minus(c.standard_error)} nats"),
        ("ratio of perplexities", f"{c.perplexity_ratio:.6g}"),
        ("second is lower", f"in {percent(c.rows_lower / c.rows if c.rows else math.nan)} of the rows"),
        ("second is higher", f"in {percent(c.rows_higher / c.rows if c.rows else math.nan)}"),
    ]
    print_blocks([[(f"{os.path.basename(c.a)} and {os.path.basename(c.b)}",)], rows], file)
