"""The panels of the report, each drawn into a part of the page. ``plots.py``, which calls this, has the page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from crossent.scoring import findings
from crossent.scoring.findings import shortened
from crossent.scoring.report import percent, worst_classes
from crossent.scoring.result import Positions, Score
from crossent.scoring.run import Run

FEW_BELOW = 0.005  # the part of the rows that a histogram need not reach down to
MUCH = 50  # counts whose largest is so many times their median are drawn on a logarithmic axis
MARGIN = 0.15  # inches on the left of titles
TITLE_SIGNS = 10.5  # of a bold letter of 11 points, on an inch
COLUMN = 54  # points from a column of figures to the next
LONGEST_NAME, WIDEST_NAME = 24, 1.7  # signs, and inches, that there are for the name of a class
BLUE, ORANGE, GREY, PALE = "#4477aa", "#ee9944", "#666666", "#e2e2e2"  # told apart by colour-blind people too
BARS: dict[str, Any] = {"align": "edge", "edgecolor": "white", "linewidth": 0.5}


def draw_losses(figure: Any, run: Run) -> None:
    """Histogram of the rows' losses, with their mean and what guessing would cost."""
    score = run.score
    _title(figure, findings.of_losses(score))
    axes = figure.subplots()
    used = np.flatnonzero(score.loss_rows)
    if not used.size:
        _say(axes, "no rows")
        return
    edges = score.loss_edges.copy()
    edges[0], edges[-1] = edges[1] / 10**0.1, edges[-2] * 10**0.1  # the open bins are drawn as wide as the others
    guess = 0 if run.job.weight else math.log(score.classes)
    high = max(edges[min(len(edges) - 1, used[-1] + 3)], 2 * guess)
    left = int(np.searchsorted(score.loss_rows.cumsum(), FEW_BELOW * score.rows, side="right"))  # the first bin that is shown
    left = max(0, min(left, int(np.searchsorted(edges, high / 100)) - 1))
    below = f"; {score.loss_rows[:left].sum():,} rows below" if score.loss_rows[:left].any() else ""
    first = "; first bar: all below 1e-8" if left == 0 else ""
    last = "; last bar: all above 1e4" if score.loss_rows[-1] else ""
    axes.set(xlabel=f"{_loss(run)}, in tenths of a decade{below}{first}{last}", ylabel="rows", xscale="log")
    axes.bar(edges[:-1], score.loss_rows, np.diff(edges), color=BLUE, **BARS)
    axes.set_xlim(edges[left], max(high, 100 * edges[left]))  # two decades at least: so many have labels
    _scale_counts(axes, score.loss_rows[left:])
    axes.grid(True)
    mean = score.sum_loss / score.rows  # of the rows' losses as they are; with class weights, mean_loss is another
    if 0 < mean < math.inf:
        axes.axvline(mean, color=ORANGE, lw=2, label=f"mean {mean:.3g}")
    if guess:
        axes.axvline(guess, color=GREY, lw=1.5, ls="--", label=f"guessing: ln {score.classes:,} = {guess:.3g}")
    _add_legend(axes)


def draw_positions(figure: Any, run: Run) -> None:
    """The mean loss over position: a line with the noise to expect, or a map."""
    _title(figure, findings.of_positions(run.score))
    axes = figure.subplots()
    positions, inner = run.score.positions, np.delete(run.shape, run.job.dim)[1:]
    if positions is None:
        _say(axes, "positions are not known" if run.score.rows else "no rows")
    elif positions.rows.ndim == 2:
        axes.set(xlabel=f"position along d{len(inner)}", ylabel=f"position along d{len(inner) - 1}")
        _draw_map(axes, positions, inner[-2:], f"mean {_loss(run)}")
    else:
        what = f"row of each {run.job.context:,}" if run.job.context else "position along d1" if len(inner) else "row"
        axes.set_ylabel(f"mean {_loss(run)}")
        _draw_profile(axes, run.score, findings.steps_of(positions), what)
        axes.set_xlim(0, inner[0] if len(inner) else min(run.shape[0], run.job.context or run.shape[0]))


def _draw_profile(axes: Axes, score: Score, steps: findings.Steps, what: str) -> None:
    edges, rows, loss = steps.edges[0], steps.rows, steps.loss
    mean, width = score.sum_loss / score.rows, edges[1] - edges[0]
    finite = np.isfinite(loss)
    each = f", {width:,} to a step" if width > 1 else ""
    gaps = "" if finite[rows > 0].all() else "; no line where the mean is not finite"
    axes.set(xlabel=f"{what}{each}{gaps}")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(True)
    if math.isfinite(mean):
        axes.axhline(mean, color=ORANGE, lw=2, label=f"mean {mean:.3g}")
    axes.stairs(np.where(finite, loss, np.nan), edges, baseline=None, color=BLUE, lw=1.5, zorder=2, label="mean of a step")
    if score.standard_deviation > 0 and len(loss) > 1:
        noise = findings.SURE * score.standard_deviation / np.sqrt(np.maximum(rows, 1))
        low, high = (np.append(bound, bound[-1]) for bound in (np.maximum(mean - noise, 0), mean + noise))
        label = "95 % of steps, if position made no difference"
        axes.fill_between(edges, low, high, step="post", color=PALE, lw=0, zorder=0.6, label=label)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(0, bottom), top if top > 0 else 1)
    _add_legend(axes)


def _draw_map(axes: Axes, positions: Positions, ends: NDArray[np.int64], label: str) -> None:
    high, wide = np.array(positions.rows.shape) * positions.width
    loss = np.ma.masked_invalid(positions.mean_loss)
    axes.set_facecolor(PALE)  # of cells without rows
    image = axes.imshow(loss, cmap="cividis", extent=(0, wide, high, 0), interpolation="nearest", aspect="auto")
    axes.set(xlim=(0, ends[1]), ylim=(ends[0], 0), anchor="W")
    if 1 / 6 < ends[0] / ends[1] < 2:
        axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if axes.figure and loss.count():
        scale = axes.inset_axes((1.02, 0, 0.03, 1))
        axes.figure.colorbar(image, cax=scale, label=label)


def draw_reliability(figure: Any, score: Score) -> None:
    """How often predictions of each confidence are right, and how many there are."""
    _title(figure, findings.of_reliability(score))
    axes, below = figure.subplots(2, 1, height_ratios=(3.6, 1))
    _draw_confidences(below, score)
    axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.tick_params(labelbottom=False)
    axes.grid(True)
    left, right = score.bin_edges[:-1], score.bin_edges[1:]
    axes.bar(left, score.bin_accuracy, right - left, color=BLUE, label="accuracy", **BARS)
    used = score.bin_rows > 0
    low, high = findings.accuracy_interval(score.bin_accuracy[used], score.bin_rows[used])
    axes.vlines((left + right)[used] / 2, low, high, color="black", lw=1, label="95 % interval")
    axes.hlines(score.bin_confidence, left, right, color=ORANGE, lw=3, label="confidence")
    axes.plot((0, 1), (0, 1), color=GREY, ls="--", lw=1.5, label="calibrated")
    _add_legend(axes, "accuracy", "95 % interval", "confidence", "calibrated")


def _draw_confidences(axes: Axes, score: Score) -> None:
    axes.set(
        xlabel=f"confidence of the prediction; ECE {percent(score.ece)} in {len(score.bin_rows)} bins",
        ylabel="rows",
        xlim=(0, 1),
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if score.rows:
        axes.bar(score.bin_edges[:-1], score.bin_rows, np.diff(score.bin_edges), color=GREY, **BARS)
        _scale_counts(axes, score.bin_rows)


def draw_classes(figure: Any, run: Run, worst: NDArray[np.intp], fewest: int, places: int) -> None:
    """The mean loss of the worst classes with so many rows, and of all others together, where there is place for so many."""
    score, rare = run.score, findings.rare_classes(run.score, fewest)
    figures = [line[1:] for line in worst_classes(run, len(worst), fewest)]
    table = [(*_names(run, [number]), *line) for number, line in zip(worst.tolist(), figures, strict=True)]
    losses = score.class_loss[worst]
    if rare:
        table.append((f"{rare.classes:,} with fewer", f"{rare.loss:.4g}", percent(rare.accuracy), f"{rare.rows:,}"))
        losses = np.append(losses, rare.loss)
    names, *columns = zip(*table, strict=True) if table else [()] * 4
    longest = losses[np.isfinite(losses)].max(initial=0)
    axes = _draw_bars(
        figure, findings.of_classes(run, worst.tolist(), rare), names, np.nan_to_num(losses, posinf=longest),
        dict(zip(("loss", "right", "rows"), columns, strict=True)), places,
    )  # fmt: skip
    if not table:
        return
    if rare:
        axes.patches[-1].set_color(GREY)
    which = f"worst {len(worst)} of {score.classes:,} classes{f' with {fewest} rows or more' if fewest > 1 else ''}"
    axes.set_xlabel(f"mean loss in nats; {'all classes' if len(worst) == score.classes else which}")
    if math.isfinite(score.mean_loss):
        axes.axvline(score.mean_loss, color=ORANGE, lw=2, label=f"all rows: {score.mean_loss:.3g}")
        _add_legend(axes)


def most_confused(score: Score, most: int) -> NDArray[np.int64]:
    """The most frequent pairs of true and predicted class, at most so many."""
    return np.zeros((0, 3), np.int64) if score.confusions is None else score.confusions[:most]


def draw_confusions(figure: Any, run: Run, pairs: NDArray[np.int64], places: int) -> None:
    """How often the pairs occur that are confused most."""
    score = run.score
    names = [" → ".join(_names(run, pair)) for pair in pairs[:, :2].tolist()]
    counts = [f"{rows:,}" for rows in pairs[:, 2].tolist()]
    parts = [percent(rows / score.class_rows[true]) for true, _, rows in pairs.tolist()]
    columns = {"rows": counts, "of class": parts}
    axes = _draw_bars(figure, findings.of_confusions(run), names, pairs[:, 2], columns, places)
    if len(pairs):
        axes.set_xlabel("rows; true class → predicted class")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    elif score.confusions is None:
        _say(axes, "too many different pairs to count")


def _draw_bars(
    figure: Any, title: str, names: Sequence[str], lengths: NDArray[Any], columns: Mapping[str, Sequence[str]], places: int
) -> Axes:  # fmt: skip
    """Named bars from top to bottom, and columns of texts to the right of them."""
    _title(figure, title)
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(1.3, len(columns) * 0.45))
    axes.set_title(" ", size=9, pad=10)  # the room of a legend and of the columns' names
    beside.set_axis_off()
    axes.set_ylim(places - 0.4, -0.6)
    if not len(names):
        axes.set_axis_off()
        return axes  # type: ignore[no-any-return]
    axes.barh(range(len(names)), lengths, color=BLUE, height=0.75)
    axes.set_xlim(0, None if lengths.any() else 1)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(left=False)
    for column, (name, texts) in enumerate(reversed([*columns.items()])):
        for row, text in enumerate((name, *texts), start=-1):
            cell = beside.annotate(
                text, (1, row if row >= 0 else -0.75), xycoords=beside.get_yaxis_transform(), xytext=(-COLUMN * column, 0),
                textcoords="offset points", ha="right", va="center", size=9, color="black" if row >= 0 else GREY,
                annotation_clip=False,
            )  # fmt: skip
            cell.set_in_layout(False)
    return axes  # type: ignore[no-any-return]


def drawable(text: str) -> str:
    """A text in which letters that the fonts lack are escapes: matplotlib would draw boxes, and warn."""
    fonts = _fonts()
    return "".join(
        sign if any(font.get_char_index(ord(sign)) for font in fonts) else sign.encode("unicode_escape").decode()
        for sign in text
    )


def _fonts() -> list[Any]:
    return [get_font(findfont(FontProperties(family=[family]))) for family in rcParams["font.family"]]


def _loss(run: Run) -> str:
    return "loss in nats, weighted" if run.job.weight else "loss in nats"


def _names(run: Run, numbers: Sequence[int]) -> list[str]:
    """The names of some classes, the longest of them shortened until they fit beside a bar."""
    full = [shortened(drawable(run.class_name(number)), LONGEST_NAME) for number in numbers]
    texts = full[:]
    while max(map(len, texts)) > 1 and _inches("  ".join(texts)) > WIDEST_NAME:
        i = max(range(len(texts)), key=lambda i: len(texts[i]))
        texts[i] = shortened(full[i], len(texts[i]) - 1)
    return texts


def _inches(text: str) -> float:
    """How wide a text is."""
    font = _fonts()[0]
    font.set_size(rcParams["font.size"], 72)
    font.set_text(text)
    return float(font.get_width_height()[0] / 64 / 72)


def _title(figure: Any, text: str) -> None:
    """What a panel shows, in lines that are no wider than its part of the page."""
    width = figure.bbox.width / figure.dpi
    lines = textwrap.fill(drawable(text), int(TITLE_SIGNS * width))
    figure.suptitle(lines, x=MARGIN / width, ha="left", size=11, weight="bold", parse_math=False)


def _add_legend(axes: Axes, *order: str) -> None:
    """The legend on a line of its own above, where no data can be under it; in this order, if it is given."""
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    if handles:
        names = order or tuple(handles)
        axes.legend(
            [handles[name] for name in names], names, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3,
            borderpad=0, handlelength=1.3, columnspacing=0.9,
        )  # fmt: skip


def _scale_counts(axes: Axes, counts: NDArray[np.int64]) -> None:
    used = counts[counts > 0]
    if used.max() > MUCH * np.median(used):
        axes.set_yscale("log")
        axes.set(ylim=(0.6, None), ylabel=f"{axes.get_ylabel()} (logarithmic)")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _say(axes: Axes, text: str) -> None:
    """A text in place of what there is not to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
