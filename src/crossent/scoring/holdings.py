"""What files hold, without their data: the arrays in each, with shape and dtype; and which formats can be read here.

Called by ``commands.py`` for ``crossent info``. The formats themselves are known to ``sources.py``.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence

from crossent.scoring.errors import DataError
from crossent.scoring.formats.rows import row_bytes
from crossent.scoring.sources import FORMATS, members, open_rows, places

NEEDED = {".parquet": ("pyarrow", "parquet"), "bfloat16": ("ml_dtypes", "cli")}  # libraries and the extras that have them


def formats() -> list[str]:
    """The formats, each with what it needs and has not."""
    missing = {name: extra for name, (library, extra) in NEEDED.items() if importlib.util.find_spec(library) is None}
    names = [".npy", *FORMATS, "bfloat16"]
    return [f"{name} (pip install crossent[{missing[name]}])" if name in missing else name for name in names]


def holdings(names: Sequence[str]) -> Iterator[str]:
    """A line for each array in these files; of one that cannot be scored, why."""
    for path, wanted in (place for name in names for place in places(name)):
        for member in [wanted] if wanted else members(path):
            name = path + (f":{member}" if member else "")
            try:
                rows = open_rows(path, member)
            except DataError as error:
                if wanted or not member:
                    raise
                yield f"{name}: {str(error).removeprefix(f'{name}: ')}"
            else:
                rows.close()
                size = row_bytes(rows) * math.prod(rows.shape[:1])
                yield f"{name}: {rows.dtype.name} of shape {rows.shape}, {size:,} bytes"
