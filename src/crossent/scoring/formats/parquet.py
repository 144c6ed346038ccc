""".parquet, by pyarrow, which is an extra: columns of numbers, and of fixed-size lists of them, read and written by batches.

Called by ``sources.py`` and ``losses.py``. pyarrow is imported on use. How much of a row group it has in memory is its choice.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from crossent.scoring.errors import DataError, UsageError, reading
from crossent.scoring.files import MOST_AT_ONCE, InputFile
from crossent.scoring.formats.rows import check_shape, row_bytes, the_member

READ_BUFFER = 1 << 20  # bytes of a column that pyarrow reads at a time, in place of all that a row group has


class ParquetRows:
    """A column: of numbers, shape (N); of fixed-size lists, shape (N, C); of fixed-size lists of those, shape (N, C, d1)."""

    def __init__(self, file: InputFile, name: str, member: str | None) -> None:
        self.file: InputFile | None = file
        # through a descriptor of its own: an InputFile gives no more than a header at a time
        self._source = io.FileIO(os.dup(file.fileno()))
        try:
            with reading(name, "not a .parquet file"):
                self._parquet = _parquet_file(self._source)
                schema, rows = self._parquet.schema_arrow, self._parquet.metadata.num_rows
            column = the_member(name, schema.names, member)
            self.name = f"{name}:{column}"
            lengths, self.dtype = _shape_and_dtype(self.name, schema.field(column).type)
            self.shape, self._parquet_dtype = (rows, *lengths), self.dtype
            check_shape(self.name, self.shape, self.dtype)
        except BaseException:
            self._source.close()
            raise
        self._column = column
        self.rewind()

    def fill(self, rows: NDArray[Any]) -> None:
        while len(rows):
            part = self._next(len(rows))
            rows[: len(part)] = part.view(rows.dtype)  # of uint16 that are bfloat16, the bits
            rows = rows[len(part) :]

    def skip(self, rows: int) -> None:
        while rows:
            rows -= len(self._next(rows))

    def rewind(self) -> None:
        self._batches = self._read()
        self._batch: NDArray[Any] = np.empty((0, *self.shape[1:]), self._parquet_dtype)

    def finish(self) -> None:
        if self.file:
            self.file.check_unchanged()

    def close(self) -> None:
        self._batches.close()
        self._source.close()
        if self.file:
            self.file.close()

    def _next(self, most: int) -> NDArray[Any]:
        """Up to `most` rows, one at least."""
        while not len(self._batch):
            with reading(self.name, "damaged"):
                batch = next(self._batches, None)
            if batch is None:
                raise DataError(f"{self.name}: truncated: expected {self.shape[0]} rows")
            self._batch = batch
        part, self._batch = self._batch[:most], self._batch[most:]
        return part

    def _read(self) -> Generator[NDArray[Any], None, None]:
        rows = max(1, MOST_AT_ONCE // max(1, row_bytes(self)))
        for batch in self._parquet.iter_batches(batch_size=rows, columns=[self._column], use_threads=False):
            array = batch.column(0)
            for _ in self.shape[1:]:
                array = _without_nulls(array).flatten()
            yield _without_nulls(array).to_numpy().reshape(len(batch), *self.shape[1:])


open_rows = ParquetRows


def names(file: InputFile, name: str) -> list[str]:
    """The columns."""
    with reading(name, "not a .parquet file"), io.FileIO(os.dup(file.fileno())) as source:
        columns: list[str] = _parquet_file(source).schema_arrow.names
    return columns


def _parquet_file(source: io.FileIO) -> Any:
    return _pyarrow().parquet.ParquetFile(source, buffer_size=READ_BUFFER, pre_buffer=False)


def write(tables: Iterator[Mapping[str, NDArray[Any]]], file: BinaryIO) -> None:
    """Write columns that come a part at a time, at least one; a part becomes a row group."""
    pyarrow = _pyarrow()
    first = pyarrow.table(dict(next(tables)))
    with pyarrow.parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(pyarrow.table(dict(table)))


def _shape_and_dtype(name: str, arrow_type: Any) -> tuple[list[int], np.dtype[Any]]:
    """Of an entry of a column."""
    types, lengths, inner = _pyarrow().types, [], arrow_type
    while types.is_fixed_size_list(inner):
        lengths.append(inner.list_size)
        inner = inner.value_type
    if not (types.is_floating(inner) or types.is_integer(inner)):
        raise DataError(f"{name}: expected numbers or fixed-size lists of numbers, but got {arrow_type}")
    return lengths, np.dtype(inner.to_pandas_dtype())


def _without_nulls(array: Any) -> Any:
    if array.null_count:
        raise ValueError(f"expected no nulls, but got {array.null_count}")
    return array


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install crossent[parquet]") from None
    return pyarrow
