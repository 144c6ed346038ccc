"""The loss of each row on its way into a file: appended to a raw file beside the output, which becomes the output at the end.

The raw file is a .npy file. An output that is one too gets it by renaming; .csv and .parquet are written from it. So an
output is there whole or not at all, and what a killed run wrote can be continued. Called by ``run.py``.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.errors import DataError, UsageError
from crossent.scoring.files import atomic_file, errors_of, replace, sync, temporary_name
from crossent.scoring.formats import npy, parquet

try:
    import fcntl
except ImportError:  # not POSIX: two runs that resume one output are not told apart
    fcntl = None  # type: ignore[assignment]

FORMATS = (".npy", ".csv", ".parquet")
AT_ONCE = 1 << 20  # losses that become text, or a row group, together


class LossFile:
    """Losses in the order of an array of this shape; a context manager. Call ``start`` first and ``publish`` last.

    Without an `output` the losses only wait for ``tables``. With `resume` the raw file has a fixed name, and stays where the
    block ends by anything but bad data.
    """

    def __init__(self, output: str | None, shape: tuple[int, ...], dtype: np.dtype[Any], *, resume: bool = False) -> None:
        self._output = os.path.realpath(output) if output else None
        self._shape, self._dtype, self._resume = shape, dtype, resume
        self._header = npy.header(shape, dtype)
        temporary = temporary_name(self._output) if self._output else None
        self._raw = f"{self._output}.partial" if resume else temporary  # its name, until it is the output
        self._file: BinaryIO = io.BytesIO()  # until it is opened, inside the block that closes it

    def __enter__(self) -> LossFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError):  # what could not be written has been said
            self._file.close()
        if self._raw and not (self._resume and kind and not issubclass(kind, DataError)):
            with suppress(OSError):
                os.unlink(self._raw)

    def start(self, rows: int = 0) -> bool:
        """Open the raw file, and keep so many rows of what is in it; False, and none kept, where there are not as many."""
        self._file = self._open()
        end = len(self._header) + rows * self._row_bytes
        self._file.seek(0)
        there = rows > 0 and self._file.read(len(self._header)) == self._header and self._file.seek(0, 2) >= end
        self._file.truncate(end if there else 0)
        if not there:
            self._write(self._header)
        return there

    def append(self, losses: NDArray[Any]) -> None:
        """Add the losses of the next rows."""
        self._write(losses.data)

    def sync(self) -> None:
        """Have all that was appended on the disk."""
        with errors_of(self._name):
            sync(self._file)

    def tables(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The losses as columns, some rows at a time, at least once: "row", "d1" to "dK" for its positions, "loss"."""
        names = ["row", *(f"d{axis}" for axis in range(1, len(self._shape)))]
        count = math.prod(self._shape)
        self._file.seek(len(self._header))
        for start in range(0, max(1, count), AT_ONCE):
            numbers = np.arange(start, min(start + AT_ONCE, count))
            losses = np.frombuffer(self._file.read(len(numbers) * self._dtype.itemsize), self._dtype)
            yield dict(zip(names, np.unravel_index(numbers, self._shape), strict=True)) | {"loss": losses}

    def publish(self) -> None:
        """All losses are there: give them to the output."""
        if not self._output:
            return
        if not self._output.lower().endswith((".csv", ".parquet")):
            with errors_of(self._output):
                replace(self._file, self._output)
            self._raw = None
            return
        with atomic_file(self._output, f"{self._output}.tmp" if self._resume else None) as file:
            if self._output.lower().endswith(".csv"):
                file.writelines(text.encode() for text in csv_text(self.tables()))
            else:
                parquet.write(self.tables(), file)

    @property
    def _row_bytes(self) -> int:
        return math.prod(self._shape[1:]) * self._dtype.itemsize

    @property
    def _name(self) -> str:
        return self._output or "temporary file"

    def _write(self, data: bytes | memoryview) -> None:
        with errors_of(self._name):
            self._file.write(data)

    def _open(self) -> BinaryIO:
        if not self._raw:
            return tempfile.TemporaryFile()
        with errors_of(self._name):
            return _locked(self._raw) if self._resume else open(self._raw, "x+b")


def csv_text(tables: Iterator[dict[str, NDArray[Any]]]) -> Iterator[str]:
    """Tables as the text of one .csv file, floats with as many digits as tell them from their neighbours."""
    for number, table in enumerate(tables):
        if number == 0:
            yield ",".join(table) + "\n"
        columns = [column.astype(str).tolist() for column in table.values()]
        yield "".join(f"{','.join(cells)}\n" for cells in zip(*columns, strict=True))


def _locked(path: str) -> BinaryIO:
    """A file to append to and read, made where there is none, that no other run has."""
    while True:
        file = open(path, "a+b")  # noqa: SIM115, closed by LossFile
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):  # else its run ended and gave it to the output
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            file.close()
            raise UsageError(f"{path}: another run is writing to it") from None
        file.close()
