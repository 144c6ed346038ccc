"""``crossent score`` without its command line: sources through a Scorer, losses into a file. Called by ``cli.py``."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from crossent import __version__, _runtime
from crossent._arguments import real_of
from crossent.scoring.checkpoint import Checkpoint, Saved
from crossent.scoring.errors import DataError, UsageError
from crossent.scoring.losses import LossFile, csv_text
from crossent.scoring.names import read_class_names
from crossent.scoring.result import Score
from crossent.scoring.scorer import Scorer, first_row_of
from crossent.scoring.sources import Chunk, Source, chunks

CHUNK = 4 << 20  # bytes read at a time: fewer are still in a core's cache when they are scored, more cost less per call
MAX_MEMORY = 256 << 20  # bytes of the largest row, the least that can be read at a time


@dataclass(frozen=True)
class Job:
    """What is to be computed of which data; logits and targets are named as ``sources.py`` has it."""

    logits: Sequence[str]
    targets: Sequence[str]
    weight: str | None = None
    dim: int = 1
    as_bfloat16: bool = False
    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"
    context: int | None = None
    class_names: str | None = None  # of a file, which is shown and computes nothing


@dataclass(frozen=True)
class Run:
    """A Score and what it came from."""

    job: Job
    score: Score
    shape: tuple[int, ...]
    dtype: str
    signature: str
    seconds: float
    class_names: Sequence[str] | None = None

    def class_name(self, number: int) -> str:
        """What people call a class."""
        return self.class_names[number] if self.class_names else str(number)

    @property
    def loss(self) -> float:
        """What the reduction asks for: the sum, or the mean."""
        return self.score.sum_loss if self.job.reduction == "sum" else self.score.mean_loss


def score_files(
    job: Job,
    *,
    output: str | None = None,
    losses_to: TextIO | None = None,
    resume: bool = False,
    chunk_rows: int | None = None,
    max_memory: int = MAX_MEMORY,
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> Run:
    """Score logits against class indices, a chunk of rows at a time.

    `output` becomes a file with each row's loss, in the logits' dtype, float32 for those of 16 bits; `losses_to` gets them as
    text. With `resume` the run goes on from where a killed one came to. `progress` is called after each chunk with the
    rows that are done and those there are. Raises DataError, UsageError and OSError, and leaves `output` as it was then.
    """
    with ExitStack() as stack:
        work = _Work(job, stack)
        most = work.rows_at_a_time(max_memory)
        if output or losses_to:
            work.keep_losses(output, resume, stack)
        seconds = work.score(chunk_rows or most, progress)
        of_what = work.logits.shape, work.logits.dtype.name, work.signature
        run = Run(job, work.scorer.result(), *of_what, seconds, work.class_names)
        work.publish(losses_to)
        return run


class _Work:
    """A run: its sources, and the Scorer, the losses and the checkpoint, which stay in step."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        self.logits = stack.enter_context(Source(job.logits, as_bfloat16=job.as_bfloat16))
        self.targets = stack.enter_context(Source(job.targets, integers=True))
        axis = _class_axis(job, self.logits, self.targets)
        weight = read_weight(job.weight, self.logits.shape[axis]) if job.weight else None
        self.class_names = read_class_names(job.class_names, self.logits.shape[axis]) if job.class_names else None
        self.scorer = Scorer(
            weight=weight, ignore_index=job.ignore_index, label_smoothing=job.label_smoothing, dim=axis, context=job.context
        )
        self.signature = _signature(job, axis, weight, self.logits)
        self.rows, self.seconds = 0, 0.0  # that are done, and that they took before this process
        self.losses: LossFile | None = None
        self.checkpoint: Checkpoint | None = None

    def keep_losses(self, output: str | None, resume: bool, stack: ExitStack) -> None:
        """Have the losses written; with `resume`, begin where a killed run came to."""
        saved = None
        if output and resume:
            run = [*self.signature.split("|"), *self.logits.identities, *self.targets.identities]
            self.checkpoint = Checkpoint(output, run)
            saved = self.checkpoint.load()
            stack.enter_context(self.checkpoint)
        dtype = real_of(self.logits.dtype.newbyteorder("="))
        self.losses = stack.enter_context(LossFile(output, self.targets.shape, dtype, resume=resume))
        if self.losses.start(saved.rows if saved else 0) and saved:
            self.rows, self.seconds = saved.rows, saved.seconds
            self.scorer.merge(saved.state)
            self.logits.skip(self.rows)
            self.targets.skip(self.rows)

    def rows_at_a_time(self, max_memory: int) -> int:
        """As many as a chunk holds."""
        row = max(1, self.logits.row_bytes + self.targets.row_bytes)
        if row > max_memory:
            raise DataError(f"{self.logits.name}: a row takes {row:,} bytes, more than --max-memory, which is {max_memory:,}")
        return max(1, min(CHUNK, max_memory) // row)

    def score(self, most: int, progress: Callable[[int, int], None]) -> float:
        """Score all rows that are not done, and return the seconds that all took."""
        began = time.perf_counter() - self.seconds
        for x, t in chunks(self.logits, self.targets, most=most) if math.prod(self.targets.shape) else ():
            losses = _score_chunk(self.scorer, x, t, self.rows)
            self.rows += len(losses)
            if self.losses:
                self.losses.append(losses)
                if self.checkpoint and self.checkpoint.due():
                    self.losses.sync()
                    self.checkpoint.save(Saved(self.rows, time.perf_counter() - began, self.scorer.state()))
            progress(self.rows, self.logits.shape[0])
        self.logits.finish()
        self.targets.finish()
        return time.perf_counter() - began

    def publish(self, losses_to: TextIO | None) -> None:
        """All went well: let the losses be seen."""
        if not self.losses:
            return
        self.losses.publish()
        if losses_to:
            losses_to.writelines(csv_text(self.losses.tables()))


def _class_axis(job: Job, logits: Source, targets: Source) -> int:
    """The class axis, from 1; checks that logits and targets fit together."""
    shape, dim = logits.shape, job.dim
    if len(shape) < 2:
        raise DataError(f"{logits.name}: expected shape (N, C) or (N, C, d1, ..., dK), but got {shape}")
    if not -len(shape) < dim < len(shape) or dim == 0:
        axes = f"1 to {len(shape) - 1} or {1 - len(shape)} to -1"
        raise UsageError(f"--dim: expected {axes} for logits of shape {shape}, read along axis 0, but got {dim}")
    axis = dim % len(shape)
    expected = shape[:axis] + shape[axis + 1 :]
    if targets.shape != expected:
        raise DataError(f"{targets.name}: expected shape {expected} for logits of shape {shape}, but got {targets.shape}")
    if job.context and len(shape) > 2:
        raise UsageError(
            f"--context: expected logits of shape (N, C), but got {shape}, whose positions are along the other axes"
        )
    if shape[axis] == 0:
        raise DataError(f"{logits.name}: expected one class or more, but got shape {shape}")
    return axis


def read_weight(name: str, classes: int | None = None) -> NDArray[Any]:
    """A weight for each class; the number of classes may be that of the file."""
    with Source([name]) as source:
        if len(source.shape) != 1 or classes not in (None, source.shape[0]):
            expected = "(C,)" if classes is None else f"({classes},)"
            raise DataError(f"{source.name}: expected shape {expected}, a weight for each class, but got {source.shape}")
        weight = source.read(source.shape[0]).rows
        source.finish()
    finite = np.isfinite(weight)
    if not finite.all():
        wrong = finite.argmin()
        raise DataError(f"{source.name}: expected finite weights, but got {weight[wrong]} for class {wrong}")
    return weight


def _signature(job: Job, axis: int, weight: NDArray[Any] | None, logits: Source) -> str:
    """All that the figures depend on but the data itself, in a line."""
    fields = {
        "loss": "cross_entropy",
        "reduction": job.reduction,
        "dim": axis,
        "ignore_index": job.ignore_index,
        "label_smoothing": job.label_smoothing,
        "context": job.context or "none",
        "weight": "none" if weight is None else hashlib.sha256(weight.astype(np.float64).tobytes()).hexdigest()[:12],
        "dtype": logits.dtype.name,
        "shape": "x".join(map(str, logits.shape)),
        "isa": _runtime.config()["instruction set"],
        "crossent": __version__,
    }
    return "|".join(f"{name}:{value}" for name, value in fields.items())


def _score_chunk(scorer: Scorer, x: Chunk, t: Chunk, position: int) -> NDArray[Any]:
    try:
        losses = scorer.update(x.rows, t.rows, first_row=t.first, position=position)
    except IndexError as error:
        raise DataError(f"{t.name}: {error}") from None
    lost = np.isnan(losses)
    if lost.any():
        row = first_row_of(lost, x.first)[1]
        raise DataError(f"{x.name}: the loss of {row} is nan: its logits hold nan or inf, or are all -inf")
    return losses
