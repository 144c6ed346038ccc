""".npy: the header, read from any stream and written; NumPy's own functions parse it. Nothing is ever unpickled.

Called by ``sources.py``, ``npz.py`` and ``losses.py``.
"""

from __future__ import annotations

import io
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from crossent.scoring.errors import DataError, reading
from crossent.scoring.files import InputFile
from crossent.scoring.formats.rows import StreamRows, check_shape, check_size, exactly

READERS = {(1, 0): (2, npy_format.read_array_header_1_0), (2, 0): (4, npy_format.read_array_header_2_0)}
MOST_HEADER = 10_000  # bytes; NumPy reads no longer one either


def open_rows(file: InputFile, name: str, member: str | None = None) -> StreamRows:
    """The array of a .npy file."""
    shape, dtype = read_header(file, name)
    check_size(name, shape, dtype, file.size - file.tell())
    return StreamRows(file, name, shape, dtype, file)


def open_stream(stream: BinaryIO, name: str) -> StreamRows:
    """The array of a .npy file that comes through a pipe."""
    return StreamRows(stream, name, *read_header(stream, name), file=None)


def read_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype; leaves the stream at the first byte of data."""
    with warnings.catch_warnings(), reading(name, "not a .npy file"):
        warnings.simplefilter("ignore")
        version = npy_format.read_magic(stream)
        length_bytes, reader = READERS[version]
        length = exactly(stream, length_bytes)
        size = int.from_bytes(length, "little")
        if size > MOST_HEADER:
            raise ValueError(f"expected a header of at most {MOST_HEADER} bytes, but got {size}")
        shape, fortran_order, dtype = reader(io.BytesIO(length + exactly(stream, size)))
    check_shape(name, shape, dtype)
    if dtype.hasobject:
        raise DataError(f"{name}: expected numbers, but got pickled Python objects, which are not read")
    if fortran_order and len(shape) > 1:
        raise DataError(f"{name}: in Fortran order; save it with np.save(path, np.ascontiguousarray(array))")
    return shape, dtype


def header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What a .npy file has before its data."""
    file = io.BytesIO()
    fields = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, fields)
    return file.getvalue()
