""".npy files read by chunks in constant memory, and files that are written whole or not at all. No scoring.

Reading is by read calls into one buffer and not by a memory map: a file that shrinks under a map kills the process with
SIGBUS, here it is an error. Headers go through ``numpy.lib.format``; nothing is ever unpickled. Called by ``run.py`` and
``cli.py``.
"""

from __future__ import annotations

import math
import os
import secrets
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

HEADER_READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


class DataError(ValueError):
    """A file whose content cannot be scored, in one line: the file, what it has and what was expected."""


class NpyReader:
    """A .npy file of numbers, checked when it is opened and read in order of its first axis; a context manager.

    `kinds` says which dtypes are expected: names ("float32"), or "integer" for all of those.
    """

    def __init__(self, path: str, kinds: tuple[str, ...]) -> None:
        self.path = path
        if not stat.S_ISREG(os.stat(path).st_mode):  # before open: opening a pipe would wait for its other end
            raise DataError(f"{path}: not a regular file")
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, closed by __exit__
        try:
            self._opened = os.fstat(self._file.fileno())
            self.shape, self.dtype = self._read_header(kinds)
            self._check_size()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> NpyReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def read(self) -> NDArray[Any]:
        """The whole array."""
        array = np.empty(self.shape, self.dtype)
        self._fill(array)
        return array

    def chunks(self, rows: int) -> Iterator[NDArray[Any]]:
        """The array, `rows` entries of its first axis at a time; one empty chunk where it has none.

        The chunks share one buffer: each ends the one before.
        """
        buffer = np.empty((min(rows, self.shape[0]), *self.shape[1:]), self.dtype)
        for start in range(0, max(1, self.shape[0]), rows):
            chunk = buffer[: self.shape[0] - start]
            self._fill(chunk)
            yield chunk

    def check_unchanged(self) -> None:
        """Raise if the file was written to since it was opened."""
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise DataError(f"{self.path}: changed while it was read")

    def _read_header(self, kinds: tuple[str, ...]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        try:
            with warnings.catch_warnings(), _errors_of(self.path):
                warnings.simplefilter("ignore")
                version = npy_format.read_magic(self._file)
                shape, fortran_order, dtype = HEADER_READERS[version](self._file)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # NumPy's parser of headers raises many kinds for garbage
            reason = str(error).strip().split("\n")[0]
            raise DataError(f"{self.path}: not a .npy file: {reason}") from None
        if any(type(length) is not int or length < 0 for length in shape):
            raise DataError(f"{self.path}: not a .npy file: its header has the shape {shape}")
        if not any(dtype.kind in "iu" if kind == "integer" else dtype.name == kind for kind in kinds):
            raise DataError(f"{self.path}: expected {' or '.join(kinds)}, but got dtype {dtype}")
        if fortran_order and len(shape) > 1:
            raise DataError(f"{self.path}: in Fortran order; save it with np.save(path, np.ascontiguousarray(array))")
        return shape, dtype

    def _check_size(self) -> None:
        expected = math.prod(self.shape) * self.dtype.itemsize
        got = self._opened.st_size - self._file.tell()
        if got != expected:
            fault = "truncated" if got < expected else "longer than its header says"
            data = f"expected {expected} bytes for shape {self.shape} of {self.dtype}"
            raise DataError(f"{self.path}: {fault}: {data}, but got {got}")

    def _fill(self, chunk: NDArray[Any]) -> None:
        if not chunk.size:
            return
        view = chunk.reshape(-1).view(np.uint8).data
        while view:
            with _errors_of(self.path):
                count = self._file.readinto(view)
            if not count:
                raise DataError(f"{self.path}: truncated while it was read")
            view = view[count:]


@contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, and leaves nothing behind when not.

    The data is on the disk before the name changes: after a crash too, `path` is the old file or the whole new one.
    """
    path = os.path.realpath(path)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OSError(f"{path}: not a regular file")
    temporary = os.path.join(os.path.dirname(path), f".crossent-{secrets.token_hex(8)}.tmp")
    try:
        with _errors_of(path, temporary):
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # not every system can; the file is whole in any case
        _sync_folder(os.path.dirname(path))


def write_npy_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Begin a .npy file whose data will follow."""
    header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors_of(path: str, temporary: str | None = None) -> Iterator[None]:
    """Gives OSErrors that name no file, or the temporary one, the name that the user knows."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, temporary):
            error.filename, error.filename2 = path, None
        raise
