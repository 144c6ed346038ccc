""".safetensors: 8 bytes with the length of a JSON header, the header, and the tensors one after the other.

Read here and not by the library of that name, which maps the file (one that shrinks would kill the process) and has no
bfloat16 for NumPy. Its rules are kept: tensors lie without gap or overlap. Called by ``sources.py``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from crossent.scoring.errors import DataError, reading
from crossent.scoring.files import MOST_AT_ONCE, InputFile
from crossent.scoring.formats.rows import StreamRows, bfloat16, check_shape, check_size, exactly, the_member

INTEGERS = {f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", **INTEGERS}  # the format's names; bool and others are no data of ours


def open_rows(file: InputFile, name: str, member: str | None) -> StreamRows:
    """The array of one tensor."""
    tensors = _tensors(file, name)
    begin = file.tell()
    chosen = the_member(name, list(tensors), member)
    tensor, name = tensors[chosen], f"{name}:{chosen}"
    shape, dtype, (start, end) = tuple(tensor["shape"]), _dtype(name, tensor["dtype"]), _span(tensor)
    check_shape(name, shape, dtype)
    check_size(name, shape, dtype, end - start)
    file.seek(begin + start)
    return StreamRows(file, name, shape, dtype, file, ends_stream=False)


def names(file: InputFile, name: str) -> list[str]:
    """The tensors."""
    return list(_tensors(file, name))


def _tensors(file: InputFile, name: str) -> dict[str, Any]:
    """The header, which ends where the data begins."""
    with reading(name, "not a .safetensors file"):
        size = int.from_bytes(exactly(file, 8), "little")
        most = min(MOST_AT_ONCE, file.size - 8)
        if size > most:
            raise ValueError(f"expected a header of at most {most} bytes, but got {size}")
        tensors: dict[str, Any] = json.loads(exactly(file, size), object_pairs_hook=_object)
        tensors.pop("__metadata__", None)
        _check_spans([_span(tensor) for tensor in tensors.values()], file.size - file.tell())
    return tensors


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("its header has a name twice")
    return names


def _span(tensor: Any) -> tuple[int, int]:
    """Where a tensor lies in the data; raises for an entry of the header that is none."""
    start, end = tensor["data_offsets"]
    if not (isinstance(tensor["dtype"], str) and isinstance(tensor["shape"], list) and type(start) is type(end) is int):
        raise ValueError(f"its header has the entry {tensor}")
    return start, end


def _check_spans(spans: list[tuple[int, int]], size: int) -> None:
    reached = 0
    for start, end in sorted(spans):
        if start != reached or end < start:
            raise ValueError(f"expected a tensor at byte {reached} of its data, but got bytes {start} to {end}")
        reached = end
    if reached != size:
        raise ValueError(f"expected {reached} bytes of data, but got {size}")


def _dtype(name: str, type_name: str) -> np.dtype[Any]:
    if type_name == "BF16":
        return bfloat16().newbyteorder("<")
    if type_name not in DTYPES:
        raise DataError(f"{name}: expected one of {', '.join(DTYPES)}, BF16, but got dtype {type_name}")
    return np.dtype(DTYPES[type_name])
