"""``crossent score`` without its command line: two files through a Scorer, losses into a third. Called by ``cli.py``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._arguments import real_of
from crossent.scoring.files import DataError, NpyReader, atomic_file, write_npy_header
from crossent.scoring.result import Score
from crossent.scoring.scorer import Scorer, first_row_of

FLOATS = ("float16", "float32", "float64")
MAX_MEMORY = 16 << 20  # bytes of logits read at a time


@dataclass(frozen=True)
class Run:
    """A Score and what it came from."""

    score: Score
    logits: str
    targets: str
    shape: tuple[int, ...]
    dtype: str
    weight: str | None
    ignore_index: int
    label_smoothing: float
    seconds: float


def score_files(
    logits_path: str,
    targets_path: str,
    *,
    weight_path: str | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    output: str | None = None,
    chunk_rows: int | None = None,
    max_memory: int = MAX_MEMORY,
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> Run:
    """Score a .npy file of logits against one of class indices, a chunk of rows at a time.

    `output` becomes a .npy file of the targets' shape with each row's loss, in the logits' dtype, float32 for
    float16. `progress` is called
    after each chunk with the rows that are done and those there are. Raises DataError and OSError, and leaves `output`
    as it was then.
    """
    began = time.perf_counter()
    with ExitStack() as stack:
        logits = stack.enter_context(NpyReader(logits_path, FLOATS))
        targets = stack.enter_context(NpyReader(targets_path, ("integer",)))
        _check_shapes(logits, targets)
        weight = _read_weight(weight_path, logits.shape[1]) if weight_path else None
        scorer = Scorer(weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)
        losses_file = stack.enter_context(atomic_file(output)) if output else None
        if losses_file:
            write_npy_header(losses_file, targets.shape, real_of(logits.dtype.newbyteorder("=")))
        chunk = chunk_rows or max(1, max_memory // max(1, logits.row_bytes + targets.row_bytes))
        done = 0
        for x, t in zip(logits.chunks(chunk), targets.chunks(chunk), strict=True):
            losses = _score_chunk(scorer, logits.path, x, targets.path, t, first_row=done)
            if losses_file:
                losses_file.write(losses.data)
            done += len(x)
            progress(done, logits.shape[0])
        logits.check_unchanged()
        targets.check_unchanged()
    return Run(
        scorer.result(), logits_path, targets_path, logits.shape, logits.dtype.name, weight_path, ignore_index,
        label_smoothing, time.perf_counter() - began,
    )  # fmt: skip


def _check_shapes(logits: NpyReader, targets: NpyReader) -> None:
    if len(logits.shape) < 2:
        raise DataError(f"{logits.path}: expected shape (N, C) or (N, C, d1, ..., dK), but got {logits.shape}")
    expected = logits.shape[:1] + logits.shape[2:]
    if targets.shape != expected:
        whose = f"for logits of shape {logits.shape}"
        raise DataError(f"{targets.path}: expected shape {expected} {whose}, but got {targets.shape}")


def _read_weight(path: str, classes: int) -> NDArray[Any]:
    with NpyReader(path, FLOATS) as reader:
        if reader.shape != (classes,):
            raise DataError(f"{path}: expected shape ({classes},), a weight for each class, but got {reader.shape}")
        weight = reader.read()
    finite = np.isfinite(weight)
    if not finite.all():
        raise DataError(f"{path}: expected finite weights, but got {weight[finite.argmin()]} for class {finite.argmin()}")
    return weight


def _score_chunk(
    scorer: Scorer, logits_path: str, x: NDArray[Any], targets_path: str, t: NDArray[Any], *, first_row: int
) -> NDArray[Any]:
    try:
        losses = scorer.update(x, t, first_row=first_row)
    except IndexError as error:
        raise DataError(f"{targets_path}: {error}") from None
    lost = np.isnan(losses)
    if lost.any():
        row = first_row_of(lost, first_row)[1]
        raise DataError(f"{logits_path}: the loss of {row} is nan: its logits hold nan or inf, or are all -inf")
    return losses
