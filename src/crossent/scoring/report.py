"""A Run in words for people: its figures, its worst classes. ``tables.py`` prints them, ``record.py`` is for machines.

Called by ``cli.py`` and ``plots.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from crossent.scoring.result import Score
from crossent.scoring.run import Run
from crossent.scoring.sources import STDIN
from crossent.scoring.tables import Block, print_blocks

CONFUSED_HEADING = ("most confused", "taken for", "of its rows", "rows")
FEW_ROWS = 10  # a class with fewer says little of itself: among many, one of them is the worst by chance


def print_table(run: Run, most: int, file: TextIO) -> None:
    """Print the report for people, with the `most` worst classes."""
    blocks: list[Block] = [[(f"{named(run.job.logits)} against {named(run.job.targets)}",)], figures(run)]
    fewest = fewest_rows(run.score, most)
    if worst := worst_classes(run, most, fewest):
        of = f" of {fewest} rows or more" if fewest > 1 else ""
        blocks.append([(f"worst classes{of}", "mean loss", "accuracy", "rows"), *worst])
    if confused := most_confused(run, most):
        blocks.append([CONFUSED_HEADING, *confused])
    print_blocks(blocks, file)
    file.write(f"\nsignature: {run.signature}\n")  # apart: a table would cut it to the width of the terminal


def print_columns(columns: Mapping[str, Sequence[Any]], file: TextIO) -> None:
    """Columns of one length as a table."""
    texts = [[_cell(value) for value in column] for column in columns.values()]
    print_blocks([[tuple(name.replace("_", " ") for name in columns), *zip(*texts, strict=True)]], file)


def _cell(value: Any) -> str:
    return "nan" if value is None else f"{value:.6g}" if isinstance(value, float) else f"{value:,}"


def figures(run: Run) -> list[tuple[str, str]]:
    """The figures of the whole, as (name, text)."""
    score = run.score
    return [
        ("rows", f"{score.rows:,}" + (f" ({score.ignored:,} ignored)" if score.ignored else "")),
        ("classes", f"{score.classes:,}"),
        *([("temperature", temperature(run))] if run.job.temperature != 1 else []),
        *([("summed loss", f"{score.sum_loss:,.6g} nats")] if run.job.reduction == "sum" else []),
        ("mean loss", nats(score, 6)),
        ("perplexity", f"{score.perplexity:,.6g}"),
        ("bits per row", f"{score.bits:.6g}"),
        *([] if run.nbytes is None else [("bits per byte", f"{score.bits_per_byte:.6g} ({run.nbytes:,.15g} bytes)")]),
        ("entropy", f"{score.entropy:.6g} nats"),
        ("accuracy", percent(score.accuracy)),
        *([(f"top-{best} accuracy", percent(score.top_accuracy[-1]))] if (best := len(score.top_accuracy)) > 1 else []),
        ("Brier score", f"{score.brier:.6g}"),
        ("calibration error", f"{percent(score.ece)} (ECE, {len(score.bin_rows)} bins)"),
        ("speed", f"{quantity(rate(run))} rows/s, {run.seconds:.3g} s"),
    ]


def temperature(run: Run) -> str:
    """The temperature and, where it was fitted, what it was good for."""
    number = f"{run.score.temperature:.6g}"
    return number + (f" (fitted; the mean loss at 1 is {run.fitted.loss_before:.6g} nats)" if run.fitted else "")


def most_confused(run: Run, most: int) -> list[tuple[str, ...]]:
    """The pairs of most rows, in the columns of CONFUSED_HEADING; none where they are too many to count."""
    pairs = [] if run.score.confusions is None else run.score.confusions[:most].tolist()
    return [
        (run.class_name(target), run.class_name(predicted), percent(rows / run.score.class_rows[target]), f"{rows:,}")
        for target, predicted, rows in pairs
    ]


def fewest_rows(score: Score, most: int) -> int:
    """How many rows a class must have to be one of the `most` worst: FEW_ROWS, where half as many have them, and some not."""
    rows = score.class_rows[score.class_rows > 0]
    return FEW_ROWS if most // 2 <= np.count_nonzero(rows >= FEW_ROWS) < len(rows) else 1


def worst_classes(run: Run, most: int, fewest: int) -> list[tuple[str, ...]]:
    """The classes of largest mean loss among those with `fewest` rows: name, mean loss, accuracy, rows."""
    score, worst = run.score, run.score.worst_classes(most, fewest)
    largest = np.abs(score.class_loss[worst][np.isfinite(score.class_loss[worst])]).max(initial=0)
    decimals = max(0, 3 - math.floor(math.log10(largest))) if largest else 0  # four digits of the largest
    return [
        (
            run.class_name(c),
            f"{score.class_loss[c]:,.{decimals}f}",
            percent(score.class_accuracy[c]),
            f"{score.class_rows[c]:,}",
        )
        for c in worst.tolist()
    ]


def rate(run: Run) -> float:
    """Rows per second."""
    return (run.score.rows + run.score.ignored) / max(run.seconds, 1e-9)


def nats(score: Score, digits: int) -> str:
    """The mean loss and, where there is one, its standard error."""
    return f"{score.mean_loss:.{digits}g}{plus_minus(score.standard_error)} nats"


def plus_minus(standard_error: float) -> str:
    """What follows a figure that has a standard error."""
    return "" if math.isnan(standard_error) else f" ± {standard_error:#.2g}".rstrip(".")


def percent(part: float) -> str:
    """0.1234 as "12.34 %", nan as "nan"."""
    return "nan" if math.isnan(part) else f"{100 * part:.2f} %"


def quantity(number: float) -> str:
    """A number for people: 950, 12.3 thousand, 4.56 million."""
    for size, name in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:.3g}"


def named(names: Sequence[str]) -> str:
    """What a source is called in a title."""
    first = "standard input" if names[0] == STDIN else os.path.basename(names[0])
    return first + (f" and {len(names) - 1} more" if len(names) > 1 else "")
