"""A Run as text: a table for people, JSON for machines. Called by ``cli.py`` and ``plots.py``.

Both tables, rich's and the plain one for those without rich, print what ``figures`` and ``worst_classes`` say.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import numpy as np

from crossent import __version__
from crossent.scoring.result import Score
from crossent.scoring.run import Run

if TYPE_CHECKING:
    from rich.table import Table

WORST_HEADING = ("worst classes", "mean loss", "accuracy", "rows")
Block = Sequence[tuple[str, ...]]  # lines of a table; with more than two columns the first line is a heading


def print_table(run: Run, most: int, file: TextIO) -> None:
    """Print the report for people, with the `most` worst classes."""
    blocks: list[Block] = [[(f"{os.path.basename(run.logits)} against {os.path.basename(run.targets)}",)], figures(run)]
    if worst := worst_classes(run, most):
        blocks.append([WORST_HEADING, *worst])
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


def figures(run: Run) -> list[tuple[str, str]]:
    """The figures of the whole, as (name, text)."""
    score = run.score
    return [
        ("rows", f"{score.rows:,}" + (f" ({score.ignored:,} ignored)" if score.ignored else "")),
        ("classes", f"{score.classes:,}"),
        ("mean loss", nats(score, 6)),
        ("perplexity", f"{score.perplexity:,.6g}"),
        ("accuracy", percent(score.accuracy)),
        ("calibration error", f"{percent(score.ece)} (ECE, {len(score.bin_rows)} bins)"),
        ("speed", f"{quantity(rate(run))} rows/s, {run.seconds:.3g} s"),
    ]


def worst_classes(run: Run, most: int) -> list[tuple[str, ...]]:
    """The classes of largest mean loss, in the columns of WORST_HEADING."""
    score, worst = run.score, run.score.worst_classes(most)
    largest = np.abs(score.class_loss[worst][np.isfinite(score.class_loss[worst])]).max(initial=0)
    decimals = max(0, 3 - math.floor(math.log10(largest))) if largest else 0  # four digits of the largest
    return [
        (str(c), f"{score.class_loss[c]:,.{decimals}f}", percent(score.class_accuracy[c]), f"{score.class_rows[c]:,}")
        for c in worst.tolist()
    ]


def json_text(run: Run) -> str:
    """The report for machines: one JSON object, a line for each of its members."""
    members = {
        "crossent": __version__,
        "logits": run.logits,
        "targets": run.targets,
        "shape": run.shape,
        "dtype": run.dtype,
        "weight": run.weight,
        "ignore_index": run.ignore_index,
        "label_smoothing": run.label_smoothing,
        **run.score.to_dict(),
        "seconds": run.seconds,
        "rows_per_second": rate(run),
    }
    lines = (f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def rate(run: Run) -> float:
    """Rows per second."""
    return (run.score.rows + run.score.ignored) / max(run.seconds, 1e-9)


def nats(score: Score, digits: int) -> str:
    """The mean loss and, where there is one, its standard error."""
    error = "" if math.isnan(score.standard_error) else f" ± {score.standard_error:#.2g}".rstrip(".")
    return f"{score.mean_loss:.{digits}g}{error} nats"


def percent(part: float) -> str:
    """0.1234 as "12.34 %", nan as "nan"."""
    return "nan" if math.isnan(part) else f"{100 * part:.2f} %"


def quantity(number: float) -> str:
    """A number for people: 950, 12.3 thousand, 4.56 million."""
    for size, name in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:.3g}"


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
