"""Rows: an array that is read in order of its first axis, into memory of the caller's. Most formats are a stream of bytes.

Called by the formats beside this file, which have a function ``open_rows(file, name, member)`` and, where a file holds several
arrays, ``names(file, name)``; ``sources.py`` puts Rows of several files in a row.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.errors import DataError, UsageError, reading
from crossent.scoring.files import MOST_AT_ONCE, InputFile

MOST_AXES = 32  # that an array has in every NumPy


class Rows(Protocol):
    """An array in a file; `file` is None where it comes from standard input."""

    name: str
    file: InputFile | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fill(self, rows: NDArray[Any]) -> None:
        """Read the next len(rows) rows."""

    def skip(self, rows: int) -> None:
        """Pass over the next rows."""

    def rewind(self) -> None:
        """Begin again with the first row; not on standard input."""

    def finish(self) -> None:
        """After the last row: raise if there is more, or if it was changed meanwhile."""

    def close(self) -> None: ...


class StreamRows:
    """An array whose bytes, in C order, are next in a binary stream."""

    def __init__(
        self,
        stream: Any,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        file: InputFile | None,
        ends_stream: bool = True,
    ) -> None:
        check_shape(name, shape, dtype)
        self.name, self.shape, self.dtype, self.file = name, shape, dtype, file
        self._stream, self._ends_stream = stream, ends_stream
        self._start = stream.tell() if file else 0

    def fill(self, rows: NDArray[Any]) -> None:
        view = rows.reshape(-1).view(np.uint8).data if rows.size else memoryview(b"")
        while view:
            with reading(self.name, "damaged"):
                count = self._stream.readinto(view[:MOST_AT_ONCE])
            if not count:
                raise DataError(f"{self.name}: truncated while it was read")
            view = view[count:]

    def skip(self, rows: int) -> None:
        with reading(self.name, "damaged"):
            self._stream.seek(rows * row_bytes(self), 1)

    def rewind(self) -> None:
        with reading(self.name, "damaged"):
            self._stream.seek(self._start)

    def finish(self) -> None:
        if self.file:
            self.file.check_unchanged()
        with reading(self.name, "damaged"):  # the member of a zip file compares its checksum at its end
            more = self._ends_stream and self._stream.read(1)
        if more:
            raise DataError(f"{self.name}: longer than its header says")

    def close(self) -> None:
        self._stream.close()
        if self.file:
            self.file.close()


def row_bytes(rows: Rows) -> int:
    """Bytes of one entry along the first axis."""
    return math.prod(rows.shape[1:]) * rows.dtype.itemsize


def check_shape(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse a shape that no array can have."""
    lengths = all(type(length) is int and length >= 0 for length in shape)
    if not lengths or len(shape) > MOST_AXES or math.prod(max(1, n) for n in shape) * dtype.itemsize >= 2**63:
        raise DataError(f"{name}: its header has the shape {shape}")


def check_size(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], got: int) -> None:
    """Refuse a file or member with another number of bytes than its array takes."""
    expected = math.prod(shape) * dtype.itemsize
    if got != expected:
        fault = "truncated" if got < expected else "longer than its header says"
        raise DataError(f"{name}: {fault}: expected {expected} bytes for shape {shape} of {dtype}, but got {got}")


def the_member(name: str, members: list[str], wanted: str | None) -> str:
    """The member of a file that is meant: the one that is named, or the only one."""
    if wanted is None and len(members) == 1:
        return members[0]
    if wanted in members:
        return wanted
    known = ", ".join(members[:9]) + (", ..." if len(members) > 9 else "") or "nothing"
    if wanted is None:
        raise DataError(f"{name}: holds {known}; name one of them: {name}:NAME")
    raise DataError(f"{name}: expected {wanted!r} in it, but it holds {known}")


def exactly(stream: Any, size: int) -> bytes:
    """`size` bytes of a stream that may give fewer at a time."""
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise ValueError(f"it ends within its header, of {size} bytes")
        data += more
    return data


def bfloat16() -> np.dtype[Any]:
    """NumPy has no bfloat16 of its own."""
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise UsageError("bfloat16 needs ml_dtypes: pip install crossent[cli]") from None
    dtype: np.dtype[Any] = np.dtype(bfloat16)
    return dtype
