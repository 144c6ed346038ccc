"""Tables for people on stdout: rich's, and plain ones for those without rich; both print the same words. No figures of its own.

Called by ``report.py`` and ``compare.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.table import Table

Block = Sequence[tuple[str, ...]]  # lines of a table; with more than two columns the first line is a heading


def print_blocks(blocks: Sequence[Block], file: TextIO) -> None:
    """Print tables with an empty line between them."""
    try:
        from rich.console import Console
    except ImportError:
        file.write("\n".join(_plain(block) for block in blocks))
        return
    console = Console(file=file, markup=False, highlight=False)
    for number, block in enumerate(blocks):
        if number:
            console.print()
        console.print(_rich(block))


def _is_columns(block: Block) -> bool:
    """Whether a block is columns of numbers under a heading, which are set to the right."""
    return len(block[0]) > 2


def _plain(block: Block) -> str:
    widths = [max(map(len, column)) for column in zip(*block, strict=True)]
    lines = []
    for first, *others in block:
        cells = [first.ljust(widths[0])]
        for text, width in zip(others, widths[1:], strict=True):
            cells.append(text.rjust(width) if _is_columns(block) else text)
        lines.append("   ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _rich(block: Block) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    for _ in block[0][1:]:
        grid.add_column(justify="right" if _is_columns(block) else "left", no_wrap=True)
    for number, row in enumerate(block):
        grid.add_row(*row, style="dim" if _is_columns(block) and number == 0 else "")
    return grid
