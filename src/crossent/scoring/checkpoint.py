"""How far a run has come, in a small file beside its output, so that ``--resume`` can go on after a kill.

It holds what was computed of what (to refuse another run), the rows that are done and the state of the Scorer. It is
written after the losses of these rows are on the disk, whole or not at all. Called by ``run.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.errors import DataError, UsageError, reading
from crossent.scoring.files import atomic_file

PAUSE = 1.0  # seconds between two checkpoints, at least
SHARE = 0.02  # of the time, at most, that goes into checkpoints


class Saved(NamedTuple):
    """What a checkpoint holds."""

    rows: int
    seconds: float
    state: NDArray[np.float64]
    fitted: NDArray[np.float64]  # of a Temperature; empty without one


class Checkpoint:
    """The checkpoint of the run that writes `output`; `run` says in a few lines what it computes of which data.

    A context manager: the checkpoint is removed where the block ends well, or by bad data, which ends a run for good.
    """

    def __init__(self, output: str, run: Sequence[str]) -> None:
        self.path = os.path.realpath(output) + ".resume"
        self._temporary = self.path + ".tmp"  # always the same, so that kills leave one at most: a run is alone, see losses.py
        self._run = list(run)
        self._next = time.monotonic() + PAUSE

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, DataError):
            for path in (self.path, self._temporary):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def load(self) -> Saved | None:
        """The checkpoint of a run that was killed, if there is one; refuses that of another run."""
        if not os.path.lexists(self.path):
            return None
        with (
            reading(self.path, "not a checkpoint"),
            open(self.path, "rb") as file,
            np.load(file, allow_pickle=False) as members,
        ):
            theirs = members["run"].tolist()
            saved = Saved(int(members["rows"]), float(members["seconds"]), members["state"], members["fitted"])
        if theirs != self._run:
            pairs = zip_longest(theirs, self._run, fillvalue="no more")
            had, has = next((had, has) for had, has in pairs if had != has)
            raise UsageError(f"{self.path}: is of another run, which had {had} where this has {has}; remove it to begin anew")
        return saved

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() >= self._next

    def save(self, saved: Saved) -> None:
        """Write the checkpoint."""
        began = time.monotonic()
        with atomic_file(self.path, self._temporary) as file:
            np.savez(file, run=self._run, **saved._asdict())
        now = time.monotonic()
        self._next = now + max(PAUSE, (now - began) / SHARE)
