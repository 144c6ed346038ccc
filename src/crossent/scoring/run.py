"""``crossent score`` without its command line: sources through a Scorer, losses into a file. Called by ``commands.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from crossent._arguments import real_of
from crossent._runtime import get_num_threads
from crossent.scoring.checkpoint import Checkpoint, Saved
from crossent.scoring.errors import DataError
from crossent.scoring.in_order import in_order
from crossent.scoring.inputs import Inputs, Job
from crossent.scoring.losses import LossFile, csv_text
from crossent.scoring.progress import FITTING, SCORING, Report
from crossent.scoring.result import Score
from crossent.scoring.scorer import ScoredChunk, Scorer, first_row_of
from crossent.scoring.sources import Chunk
from crossent.scoring.temperature import Temperature, fit

CHUNK = 8 << 20  # bytes that a thread reads at a time: more would leave the caches, fewer cost more per call
MAX_MEMORY = 256 << 20  # bytes that all threads read at a time, and that a row may take


@dataclass(frozen=True)
class Run:
    """A Score and what it came from; names of the classes where they have any, `fitted` where the temperature was."""

    job: Job
    score: Score
    shape: tuple[int, ...]
    dtype: str
    signature: str
    seconds: float
    class_names: Sequence[str] | None = None
    fitted: Temperature | None = None
    nbytes: float | None = None

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
    progress: Report = lambda done, rows, doing=SCORING: None,
) -> Run:
    """Score logits against targets, a chunk of rows at a time.

    `output` becomes a file with each row's loss, in the logits' dtype, float32 for those of 16 bits; `losses_to` gets them as
    text. With `resume` the run goes on from where a killed one came to. `progress` is called after each chunk with the
    rows that are done and those there are. Raises DataError, UsageError and OSError, and leaves `output` as it was then.
    """
    with ExitStack() as stack:
        work = _Work(job, stack, chunk_rows, max_memory, progress)
        if output or losses_to:
            work.keep_losses(output, resume, stack)
        if job.temperature is None:
            work.fit_temperature()
        work.score()
        inputs = work.inputs
        run = Run(
            job, work.scorer.result(nbytes=inputs.nbytes), inputs.logits.shape, inputs.logits.dtype.name,
            inputs.signature(work.temperature), work.seconds, inputs.class_names, work.fitted, inputs.nbytes,
        )  # fmt: skip
        work.publish(losses_to)
        return run


class _Work:
    """A run: its inputs, and the Scorer, the losses and the checkpoint, which stay in step."""

    def __init__(self, job: Job, stack: ExitStack, chunk_rows: int | None, max_memory: int, progress: Report) -> None:
        self.inputs = Inputs(job, stack)
        self._progress = progress
        self._most, self._threads = _cut(self.inputs, chunk_rows, max_memory)
        self.fitted: Temperature | None = None
        self.scorer = Scorer(temperature=self.temperature or 1.0, **self.inputs.options)
        self.rows, self.seconds = 0, 0.0  # that are done, and that they took, in earlier processes too
        self._losses: LossFile | None = None
        self._checkpoint: Checkpoint | None = None

    @property
    def temperature(self) -> float | None:
        """None before it is fitted."""
        return self.fitted.temperature if self.fitted else self.inputs.job.temperature

    def keep_losses(self, output: str | None, resume: bool, stack: ExitStack) -> None:
        """Have the losses written; with `resume`, begin where a killed run came to."""
        saved = None
        if output and resume:
            self._checkpoint = Checkpoint(output, self.inputs.identity())
            saved = self._checkpoint.load()
            stack.enter_context(self._checkpoint)
        dtype = real_of(self.inputs.logits.dtype.newbyteorder("="))
        self._losses = stack.enter_context(LossFile(output, self.inputs.rows_shape, dtype, resume=resume))
        there = self._losses.start(saved.rows if saved else 0)
        if saved and saved.fitted.size:
            self._use_temperature(Temperature.from_array(saved.fitted))
        if saved and there:
            self.rows, self.seconds = saved.rows, saved.seconds
            self.scorer.merge(saved.state)
            self.inputs.skip(self.rows)

    def fit_temperature(self) -> None:
        """Find the temperature of the least loss, in a pass over all rows for each that is tried, unless it is known."""
        if self.fitted:
            return

        def score_at(temperature: float) -> Score:
            scorer = Scorer(temperature=temperature, **self.inputs.options)
            self._pass(scorer, lambda losses, done: self._progress(done, self.inputs.logits.shape[0], FITTING))
            self.inputs.rewind()
            return scorer.result()

        try:
            self._use_temperature(fit(score_at))
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"--temperature auto: {error}") from None
        self._save()

    def score(self) -> None:
        """Score all rows that are not done."""
        already, began = self.rows, time.perf_counter() - self.seconds

        def use(losses: NDArray[Any], done: int) -> None:
            self.rows, self.seconds = already + done, time.perf_counter() - began
            if self._losses:
                self._losses.append(losses)
                if self._checkpoint and self._checkpoint.due():
                    self._save()
            self._progress(self.rows, self.inputs.logits.shape[0])

        self._pass(self.scorer, use)

    def publish(self, losses_to: TextIO | None) -> None:
        """All went well: let the losses be seen."""
        if not self._losses:
            return
        self._losses.publish()
        if losses_to:
            losses_to.writelines(csv_text(self._losses.tables()))

    def _use_temperature(self, fitted: Temperature) -> None:
        self.fitted = fitted
        self.scorer = Scorer(temperature=fitted.temperature, **self.inputs.options)

    def _pass(self, scorer: Scorer, use: Callable[[NDArray[Any], int], None]) -> None:
        """Put the rows that are left through a Scorer; `use` gets a chunk's losses and the number of rows so far, in order."""
        done = 0

        def work(read: tuple[Chunk, Chunk, int]) -> tuple[ScoredChunk, int, NDArray[np.float64] | None]:
            x, t, position = read
            chunk = _scored(scorer, x, t)
            if chunk.rows.loss.size < chunk.classes:
                return chunk, position, None
            part = Scorer(**self.inputs.options)  # sums are most of the work where rows are short: of these by each thread
            part.add(chunk, position=position)
            return chunk, position, part.state()

        def add(worked: tuple[ScoredChunk, int, NDArray[np.float64] | None]) -> None:
            nonlocal done
            chunk, position, state = worked
            if state is None:
                scorer.add(chunk, position=position)
            else:
                scorer.merge(state)
            done += len(chunk.rows.loss)
            use(chunk.rows.loss, done)

        in_order(self.inputs.chunks(self._most), work, add, self._threads)
        self.inputs.finish()

    def _save(self) -> None:
        """Note in the checkpoint, if there is one, how far it is."""
        if self._checkpoint and self._losses:
            self._losses.sync()
            fitted = self.fitted.to_array() if self.fitted else np.zeros(0)
            self._checkpoint.save(Saved(self.rows, self.seconds, self.scorer.state(), fitted))


def _cut(inputs: Inputs, chunk_rows: int | None, max_memory: int) -> tuple[int, int]:
    """The rows of a chunk, and the threads that score a chunk each; 1 where all threads share a chunk: a large row, a pipe."""
    row = inputs.row_bytes
    if row > max_memory:
        raise DataError(f"{inputs.logits.name}: a row takes {row:,} bytes, more than --max-memory, which is {max_memory:,}")
    threads = 1 if inputs.from_stdin else get_num_threads()
    most = chunk_rows or max(1, min(CHUNK, max_memory // threads) // row)
    return most, max(1, min(threads, max_memory // (most * row)))


def _scored(scorer: Scorer, x: Chunk, t: Chunk) -> ScoredChunk:
    try:
        scored = scorer.scored(x.rows, t.rows, first_row=t.first)
    except IndexError as error:
        raise DataError(f"{t.name}: {error}") from None
    lost = np.isnan(scored.rows.loss)
    if lost.any():
        row = first_row_of(lost, x.first)[1]
        raise DataError(f"{x.name}: the loss of {row} is nan: its logits hold nan or inf, or are all -inf")
    return scored
