"""One picture of a Run for people: histogram of losses, reliability diagram, worst classes. Needs matplotlib.

Called by ``cli.py``, which checks that matplotlib is there. matplotlib's Figure alone is used: no pyplot, no global state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from crossent.scoring.report import named, nats, percent, worst_classes
from crossent.scoring.result import Score
from crossent.scoring.run import Run

MOST_CLASSES = 20  # bars that can be read in the height of the figure
FEWEST_BARS = 8  # with fewer classes the bars stay as thin as with these
MUCH = 50  # counts whose largest is so many times their median are drawn on a logarithmic axis
BLUE, ORANGE, GREY = "#4477aa", "#ee9944", "#777777"
BARS: dict[str, Any] = {"align": "edge", "edgecolor": "white", "linewidth": 0.5}
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.grid.axis": "y",
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


def save_plot(run: Run, file: BinaryIO, image_format: str) -> None:
    """Draw the report of a run and write it as png, svg or pdf."""
    with rc_context({"svg.hashsalt": "crossent"}):  # with this and no date, the same picture is the same file
        draw(run).savefig(file, format=image_format, dpi=150, metadata={"Date": None} if image_format == "svg" else None)


@rc_context(STYLE)
def draw(run: Run) -> Figure:
    """The report as a matplotlib Figure."""
    figure = Figure(figsize=(12, 8.5), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    title = " against ".join(_shortened(named(names)) for names in (run.job.logits, run.job.targets))
    figure.suptitle(title, x=0.015, ha="left", size=14, weight="bold", parse_math=False)
    body: Any = figure.subfigures()
    body.suptitle(_summary(run), x=0.015, ha="left", size=11)
    left, right = body.subfigures(1, 2, width_ratios=(1.3, 1), wspace=0.03)
    losses, reliability, confidences = left.subplots(3, 1, height_ratios=(3, 3, 0.8))
    bars, figures = right.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    _draw_losses(losses, run.score)
    _draw_reliability(reliability, run.score)
    _draw_confidences(confidences, run.score)
    _draw_classes(bars, figures, run)
    return figure


def _summary(run: Run) -> str:
    """What was scored, how, and what came out, in a line."""
    score = run.score
    ignored = f" ({score.ignored:,} more ignored)" if score.ignored else ""
    weighted = ", class weights" if run.job.weight else ""
    smoothed = f", label smoothing {run.job.label_smoothing:g}" if run.job.label_smoothing else ""
    return (
        f"{score.rows:,} rows{ignored}, {score.classes:,} classes{weighted}{smoothed}: mean loss {nats(score, 4)}, "
        f"perplexity {score.perplexity:,.4g}, accuracy {percent(score.accuracy)}"
    )


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:24]}…{name[-15:]}"


def _draw_losses(axes: Axes, score: Score) -> None:
    first = "; first bar: all below 1e-8" if score.loss_rows[0] else ""
    last = "; last bar: all above 1e4" if score.loss_rows[-1] else ""
    axes.set(title="Loss of the rows", xlabel=f"loss (nats){first}{last}", ylabel="rows", xscale="log")
    used = np.flatnonzero(score.loss_rows)
    if not used.size:
        _say_empty(axes)
        return
    edges = score.loss_edges.copy()
    edges[0], edges[-1] = edges[1] / 10**0.1, edges[-2] * 10**0.1  # the open bins are drawn as wide as the others
    axes.bar(edges[:-1], score.loss_rows, np.diff(edges), color=BLUE, **BARS)
    guess = math.log(score.classes)
    high = max(edges[min(len(edges) - 1, used[-1] + 3)], 2 * guess)
    axes.set_xlim(min(edges[max(0, used[0] - 2)], high / 100), high)
    _scale_counts(axes, score.loss_rows)
    axes.grid(True)
    if 0 < score.mean_loss < math.inf:
        axes.axvline(score.mean_loss, color=ORANGE, lw=2, label=f"mean {score.mean_loss:.3g}")
    if guess:
        axes.axvline(guess, color=GREY, lw=1.5, ls="--", label=f"guessing: ln {score.classes:,} = {guess:.3g}")
    _add_legend(axes)


def _draw_reliability(axes: Axes, score: Score) -> None:
    axes.set(title=f"Reliability: ECE {percent(score.ece)}", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.tick_params(labelbottom=False)
    axes.grid(True)
    left, right = score.bin_edges[:-1], score.bin_edges[1:]
    axes.bar(left, score.bin_accuracy, right - left, color=BLUE, label="accuracy", **BARS)
    axes.hlines(score.bin_confidence, left, right, color=ORANGE, lw=3, label="confidence")
    axes.plot((0, 1), (0, 1), color=GREY, ls="--", lw=1.5, label="calibrated")
    _add_legend(axes)


def _draw_confidences(axes: Axes, score: Score) -> None:
    axes.set(xlabel="confidence, the probability of the predicted class", ylabel="rows", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if score.rows:
        axes.bar(score.bin_edges[:-1], score.bin_rows, np.diff(score.bin_edges), color=GREY, **BARS)
        _scale_counts(axes, score.bin_rows)


def _draw_classes(axes: Axes, beside: Axes, run: Run) -> None:
    """Bars in one Axes, their figures in the other, which shares its rows."""
    beside.set_axis_off()
    axes.set(xlabel="mean loss (nats); line: of all rows", ylabel="class")
    score, worst = run.score, run.score.worst_classes(MOST_CLASSES)
    if not worst.size:
        _say_empty(axes)
        return
    some = len(worst) < score.classes
    axes.set_title(f"Worst {len(worst)} of {score.classes:,} classes" if some else "Classes, worst first")
    names, *columns = zip(*worst_classes(run, MOST_CLASSES), strict=True)
    loss = score.class_loss[worst]
    longest = loss[np.isfinite(loss)].max(initial=0)
    axes.barh(range(len(worst)), np.nan_to_num(loss, posinf=longest), color=BLUE, height=0.75)
    axes.set_yticks(range(len(worst)), names)
    axes.set_ylim(max(len(worst), FEWEST_BARS) - 0.4, -0.6)
    axes.tick_params(left=False)
    if math.isfinite(score.mean_loss):
        axes.axvline(score.mean_loss, color=ORANGE, lw=2)
    for right, name, column in zip((0.2, 0.58, 1), ("loss", "accuracy", "rows"), columns, strict=True):
        _write_column(beside, right, name, column)


def _write_column(axes: Axes, right: float, name: str, texts: Sequence[str]) -> None:
    """Write a column of texts that ends at `right`, in widths of the Axes."""
    axes.text(right, 1.02, name, transform=axes.transAxes, ha="right", size=9, color=GREY)
    for row, text in enumerate(texts):
        axes.text(right, row, text, ha="right", va="center", size=9)


def _add_legend(axes: Axes) -> None:
    """The legend on the line of the title, where no data can be under it."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1.5, columnspacing=1.2)


def _scale_counts(axes: Axes, counts: NDArray[np.int64]) -> None:
    used = counts[counts > 0]
    if used.max() > MUCH * np.median(used):
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.6)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no rows", transform=axes.transAxes, ha="center", va="center", color=GREY)
