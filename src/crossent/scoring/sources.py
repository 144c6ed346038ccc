"""Sources: what a command line names as data, opened and checked: a file, a member, several files or a pattern, a pipe.

``formats/`` knows each format; this file chooses it, checks the dtype and puts several files in a row. Called by ``run.py``
and ``compare.py``.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.errors import DataError
from crossent.scoring.files import InputFile
from crossent.scoring.formats import npy, npz, parquet, safetensors
from crossent.scoring.formats.rows import Rows, bfloat16, row_bytes

STDIN = "-"
FLOATS = ("float16", "bfloat16", "float32", "float64")
MEMBER = re.compile(r"(?P<path>.+?\.(?:npz|safetensors|parquet)):(?P<member>.+)", re.I)
FORMATS: dict[str, Any] = {".npz": npz, ".safetensors": safetensors, ".parquet": parquet}  # modules, see formats/rows.py


class Chunk(NamedTuple):
    """Some rows, which live until this thread reads others, the name of their file and the number of the first in it."""

    rows: NDArray[Any]
    name: str
    first: int


class Source:
    """An array in one file or several, whose rows (entries of the first axis) are read in order; a context manager.

    `names` are paths or patterns such as "part-*.npy", either with ":MEMBER" after it, or "-" for standard input.
    `integers` says which dtypes are expected, None both; with `as_bfloat16`, two bytes that are no other float are bfloat16.
    """

    def __init__(self, names: Sequence[str], *, integers: bool | None = False, as_bfloat16: bool = False) -> None:
        self.names = tuple(names)
        self._parts: list[Rows] = []
        with ExitStack() as stack:
            for path, member in (place for name in names for place in places(name)):
                rows = open_rows(path, member)
                stack.callback(rows.close)
                _check_dtype(rows, integers, as_bfloat16)
                self._parts.append(rows)
            self._check_alike()
            self._closing = stack.pop_all()
        self._part = self._row = 0  # where the next row is
        self._buffers = threading.local()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def name(self) -> str:
        """For messages about all of it."""
        more = len(self._parts) - 1
        return self._parts[0].name + (f" and {more} more" if more else "")

    @property
    def shape(self) -> tuple[int, ...]:
        first = self._parts[0].shape
        return (sum(rows.shape[0] for rows in self._parts), *first[1:]) if first else ()

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._parts[0].dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return row_bytes(self._parts[0])

    @property
    def identities(self) -> list[str]:
        """What tells these files from others and from themselves after a change."""
        return [f"{os.path.basename(rows.name)}: {rows.file.identity()}" for rows in self._parts if rows.file]

    def left_in_file(self) -> int:
        """Rows until the end of the file that is being read; 0 at the very end."""
        while self._row == self._parts[self._part].shape[0] and self._part + 1 < len(self._parts):
            self._part, self._row = self._part + 1, 0
        return self._parts[self._part].shape[0] - self._row

    def read(self, rows: int) -> Chunk:
        """The next rows, of which there must be as many in this file."""
        buffer = getattr(self._buffers, "rows", None)
        if buffer is None or len(buffer) < rows:
            buffer = self._buffers.rows = np.empty((rows, *self.shape[1:]), self.dtype)
        part, chunk = self._parts[self._part], buffer[:rows]
        part.fill(chunk)
        self._row += rows
        return Chunk(chunk, part.name, self._row - rows)

    def skip(self, rows: int) -> None:
        """Pass over the next rows."""
        while rows:
            some = min(rows, self.left_in_file())
            self._parts[self._part].skip(some)
            self._row += some
            rows -= some

    def rewind(self) -> None:
        """Begin again with the first row, which standard input cannot."""
        for rows in self._parts:
            rows.rewind()
        self._part = self._row = 0

    def finish(self) -> None:
        """After the last row: raise if a file has more, or was changed since it was opened."""
        for rows in self._parts:
            rows.finish()

    def _check_alike(self) -> None:
        first = self._parts[0]
        for rows in self._parts[1:]:
            if not first.shape or not rows.shape or (rows.shape[1:], rows.dtype) != (first.shape[1:], first.dtype):
                wanted = f"{first.dtype} of shape (N, {', '.join(map(str, first.shape[1:]))}) as in {first.name}"
                raise DataError(f"{rows.name}: expected {wanted}, but got {rows.dtype} of shape {rows.shape}")


def chunks(*sources: Source, most: int) -> Iterator[tuple[Chunk, ...]]:
    """The same rows of sources of as many rows, at most `most` at a time, never of two files at once."""
    while rows := min(most, *(source.left_in_file() for source in sources)):
        yield tuple(source.read(rows) for source in sources)


def places(name: str) -> list[tuple[str, str | None]]:
    """The paths that a name stands for, each with the member that it names."""
    path, member = name, None
    if not os.path.exists(name) and (match := MEMBER.fullmatch(name)):
        path, member = match["path"], match["member"]
    if os.path.exists(path) or not any(sign in path for sign in "*?["):
        return [(path, member)]
    if paths := sorted(glob.glob(path, recursive=True)):
        return [(path, member) for path in paths]
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def members(path: str) -> list[str] | list[None]:
    """The names of the arrays in a file; None for the only one of a format that has no names."""
    kind = _format(path)
    if path == STDIN or kind is npy:
        return [None]
    with InputFile(path) as file:
        names: list[str] = kind.names(file, path)
    return names


def _format(path: str) -> Any:
    return FORMATS.get(os.path.splitext(path)[1].lower(), npy)


def open_rows(path: str, member: str | None) -> Rows:
    """The rows of an array in a file, whatever its dtype."""
    if path == STDIN:
        if sys.stdin is None:
            raise DataError("standard input: is closed")
        return npy.open_stream(sys.stdin.buffer, "standard input")
    file = InputFile(path)
    try:
        rows: Rows = _format(path).open_rows(file, path, member)
        return rows
    except BaseException:
        file.close()
        raise


def _check_dtype(rows: Rows, integers: bool | None, as_bfloat16: bool) -> None:
    dtype = rows.dtype
    if integers or integers is None:
        if dtype.kind not in "iu" and (integers or dtype.name not in FLOATS):
            raise DataError(f"{rows.name}: expected integers, but got dtype {dtype}")
        return
    two_bytes = dtype.itemsize == 2 and dtype.kind in "Vu" and dtype.names is None and dtype.name not in FLOATS
    if two_bytes and as_bfloat16 and dtype.isnative:
        rows.dtype = bfloat16()
    elif dtype.name not in FLOATS:
        hint = "; if it is bfloat16, say --dtype bfloat16" if two_bytes else ""
        raise DataError(f"{rows.name}: expected {', '.join(FLOATS[:-1])} or {FLOATS[-1]}, but got dtype {dtype}{hint}")
