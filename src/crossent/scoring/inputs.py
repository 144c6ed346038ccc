"""The inputs of a run: the arrays that a Job names, opened, checked against each other, and cut into chunks.

Not here: formats (``sources.py``) and what is computed (``run.py``, which calls this; ``compare.py`` reads weights by it).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent import __version__, _runtime
from crossent.scoring.errors import DataError, UsageError
from crossent.scoring.names import read_class_names
from crossent.scoring.scorer import first_row_of
from crossent.scoring.sources import FLOATS, STDIN, Chunk, Source, chunks

COUNTS_AT_ONCE = 1 << 18  # rows whose bytes are counted together


@dataclass(frozen=True)
class Job:
    """What is to be computed of which data; logits and targets are named as ``sources.py`` has it.

    A `temperature` of None is fitted. `nbytes` is the number of bytes that the rows stand for, or a file of such numbers.
    """

    logits: Sequence[str]
    targets: Sequence[str]
    weight: str | None = None
    dim: int = 1
    as_bfloat16: bool = False
    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"
    temperature: float | None = 1.0
    top_k: int = 5
    nbytes: float | str | None = None
    context: int | None = None
    class_names: str | None = None  # of a file, which is shown and computes nothing


class Inputs:
    """The open files of a Job, which `stack` closes, and what follows from them."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        self.job = job
        self.logits = stack.enter_context(Source(job.logits, as_bfloat16=job.as_bfloat16))
        self.targets = stack.enter_context(Source(job.targets, integers=None))
        self.axis = _class_axis(job, self.logits)
        self.rows_shape = self.logits.shape[: self.axis] + self.logits.shape[self.axis + 1 :]
        self.has_probabilities = _has_probabilities(self.logits, self.targets, self.rows_shape)
        self.weight = read_weight(job.weight, self.logits.shape[self.axis]) if job.weight else None
        self.class_names = read_class_names(job.class_names, self.logits.shape[self.axis]) if job.class_names else None
        self._position = 0  # of the next row among all of them
        self.row_bytes = max(1, self.logits.row_bytes + self.targets.row_bytes)
        self.nbytes = _total_bytes(self) if isinstance(job.nbytes, str) else job.nbytes

    @property
    def from_stdin(self) -> bool:
        return STDIN in (*self.job.logits, *self.job.targets)

    @property
    def options(self) -> dict[str, Any]:
        """A Scorer's, but the temperature."""
        job = self.job
        return {
            "weight": self.weight,
            "ignore_index": job.ignore_index,
            "label_smoothing": job.label_smoothing,
            "top_k": job.top_k,
            "dim": self.axis,
            "context": job.context,
        }

    def chunks(self, most: int) -> Iterator[tuple[Chunk, Chunk, int]]:
        """The rows that were not read yet, `most` at a time: logits, targets, and the number of the first among all rows."""
        for x, t in chunks(self.logits, self.targets, most=most) if math.prod(self.rows_shape) else ():
            yield x, t, self._position
            self._position += len(x.rows)

    def skip(self, rows: int) -> None:
        """Pass over the next rows."""
        self._position += rows
        for source in (self.logits, self.targets):
            source.skip(rows)

    def rewind(self) -> None:
        """Begin again with the first row."""
        self._position = 0
        for source in (self.logits, self.targets):
            source.rewind()

    def finish(self) -> None:
        """After the last row: raise if a file has more, or was changed."""
        for source in (self.logits, self.targets):
            source.finish()

    def signature(self, temperature: float | None) -> str:
        """All that the figures depend on but the data, in a line; without a `temperature` where it is still to be fitted."""
        job, weight = self.job, self.weight
        fitted = "auto" if temperature is None else f"auto={temperature!r}"
        fields = {
            "loss": "cross_entropy",
            "reduction": job.reduction,
            "dim": self.axis,
            "ignore_index": job.ignore_index,
            "label_smoothing": job.label_smoothing,
            "context": job.context or "none",
            "weight": "none" if weight is None else hashlib.sha256(weight.astype(np.float64).tobytes()).hexdigest()[:12],
            "temperature": fitted if job.temperature is None else job.temperature,
            "targets": "probabilities" if self.has_probabilities else "indices",
            "top_k": job.top_k,
            "bytes": "none" if self.nbytes is None else f"{self.nbytes:.17g}",
            "dtype": self.logits.dtype.name,
            "shape": "x".join(map(str, self.logits.shape)),
            "isa": _runtime.config()["instruction set"],
            "crossent": __version__,
        }
        return "|".join(f"{name}:{value}" for name, value in fields.items())

    def identity(self) -> list[str]:
        """What a run that goes on must share with the one that began."""
        return [*self.signature(None).split("|"), *self.logits.identities, *self.targets.identities]


def _class_axis(job: Job, logits: Source) -> int:
    """The class axis, from 1."""
    shape, dim = logits.shape, job.dim
    if len(shape) < 2:
        raise DataError(f"{logits.name}: expected shape (N, C) or (N, C, d1, ..., dK), but got {shape}")
    if not -len(shape) < dim < len(shape) or dim == 0:
        axes = f"1 to {len(shape) - 1} or {1 - len(shape)} to -1"
        raise UsageError(f"--dim: expected {axes} for logits of shape {shape}, read along axis 0, but got {dim}")
    if job.context and len(shape) > 2:
        raise UsageError(
            f"--context: expected logits of shape (N, C), but got {shape}, whose positions are along the other axes"
        )
    if shape[dim] == 0:
        raise DataError(f"{logits.name}: expected one class or more, but got shape {shape}")
    return dim % len(shape)


def _has_probabilities(logits: Source, targets: Source, rows_shape: tuple[int, ...]) -> bool:
    """Whether targets are probabilities and not class indices; checks that they fit the logits."""
    if targets.dtype.name in FLOATS and targets.shape == logits.shape:
        return True
    if targets.dtype.kind not in "iu":
        wanted = f"integers, or probabilities of shape {logits.shape}"
        raise DataError(f"{targets.name}: expected {wanted}, but got dtype {targets.dtype} of shape {targets.shape}")
    if targets.shape != rows_shape:
        raise DataError(
            f"{targets.name}: expected shape {rows_shape} for logits of shape {logits.shape}, but got {targets.shape}"
        )
    return False


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


def _total_bytes(inputs: Inputs) -> int:
    """The sum of the counts of --bytes FILE: of each row that is not ignored, or, in another shape, of all there are."""
    job, total = inputs.job, 0
    with ExitStack() as stack:
        sources = [stack.enter_context(Source([str(job.nbytes)], integers=True))]
        if not sources[0].shape:
            raise DataError(
                f"{sources[0].name}: expected an array of counts of bytes, but got shape (); give the number itself"
            )
        if sources[0].shape == inputs.targets.shape:
            if STDIN in job.targets:
                raise UsageError("--bytes of each row needs targets that can be read twice, and not standard input")
            sources.append(stack.enter_context(Source(job.targets, integers=True)))
        for counts, *targets in chunks(*sources, most=COUNTS_AT_ONCE):
            negative = counts.rows < 0
            if negative.any():
                index, row = first_row_of(negative, counts.first)
                raise DataError(f"{counts.name}: expected counts of bytes, but got {counts.rows[index]} in {row}")
            scored = targets[0].rows != job.ignore_index if targets else ...
            total += int(counts.rows[scored].sum(dtype=np.int64))
        sources[0].finish()
    if total == 0:
        raise DataError(f"{sources[0].name}: expected more than 0 bytes")
    return total
