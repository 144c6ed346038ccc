"""One picture of a Run for people: how losses are spread, calibration, position, worst classes, confused pairs. matplotlib.

Here is what is common to the page; ``panels.py`` draws each panel, ``findings.py`` has its title. Called by ``commands.py``,
which checks that matplotlib is there. matplotlib's Figure alone is used: no pyplot, no global state.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from crossent.scoring import panels
from crossent.scoring.findings import shortened
from crossent.scoring.report import fewest_rows, named, nats, percent
from crossent.scoring.run import Run

WIDTH, TOP, HEAD, BAR = 12, 5.9, 1.2, 0.27  # inches: of the page, the panels above the bars, around the bars, of a bar
MOST_BARS, FEWEST_BARS = 12, 3  # that there is room for
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xaxis.labellocation": "left",  # a label that is wider than its Axes has room on the right alone
    "axes.grid.axis": "y",
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "crossent",  # with this and no date, the same picture is the same file
}
DPI = 150
NO_DATE: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save_plot(run: Run, file: BinaryIO, image_format: str) -> None:
    """Draw the report of a run and write it as png, svg or pdf."""
    with _styled():
        figure = _drawn(run)
        if image_format == "png":  # of 256 colours: it has hardly more, and takes a third of the bytes
            canvas: Any = FigureCanvasAgg(figure)
            canvas.draw()
            picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            picture.quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True, dpi=(DPI, DPI))
        else:
            figure.savefig(file, format=image_format, metadata=NO_DATE[image_format])


def draw(run: Run) -> Figure:
    """The report as a matplotlib Figure."""
    with _styled():
        return _drawn(run)


def _styled() -> Any:
    """The style of the page, whatever matplotlibrc says; but for its fonts, which may have more letters."""
    fonts = {name: matplotlib.rcParams[name] for name in ("font.family", "font.sans-serif")}
    return style.context(["default", STYLE | fonts])


def _drawn(run: Run) -> Figure:
    fewest = fewest_rows(run.score, MOST_BARS)
    worst = run.score.worst_classes(MOST_BARS - (fewest > 1), fewest)
    pairs = panels.most_confused(run.score, MOST_BARS)
    bars = max(FEWEST_BARS, len(worst) + (fewest > 1), len(pairs))
    heights = TOP, HEAD + BAR * bars
    figure = Figure(figsize=(WIDTH, 0.9 + sum(heights)), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    title = " against ".join(shortened(panels.drawable(named(names)), 40) for names in (run.job.logits, run.job.targets))
    figure.suptitle(title, x=panels.MARGIN / WIDTH, ha="left", size=14, weight="bold", parse_math=False)
    body: Any = figure.subfigures()
    body.suptitle(_summary(run), x=panels.MARGIN / WIDTH, ha="left", size=11)
    top, bottom = body.subfigures(2, 1, height_ratios=heights, hspace=0.03)
    left, right = top.subfigures(1, 2, width_ratios=(1.25, 1), wspace=0.03)
    losses, positions = left.subfigures(2, 1, hspace=0.02)
    classes, confusions = bottom.subfigures(1, 2, width_ratios=(1.25, 1), wspace=0.03)
    panels.draw_losses(losses, run)
    panels.draw_positions(positions, run)
    panels.draw_reliability(right, run.score)
    panels.draw_classes(classes, run, worst, fewest, bars)
    panels.draw_confusions(confusions, run, pairs, bars)
    _settle_layout(figure, body, top, left, right, bottom, losses, positions, classes, confusions)
    return figure


def _settle_layout(figure: Figure, *parts: Any) -> None:
    """Lay the page out, once and to a millionth: the last digits of matplotlib's solver depend on addresses in memory."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine("none")
    for part in parts:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(6))
    for axes in figure.get_axes():
        axes.set_position(np.round(axes.get_position(original=True).bounds, 6).tolist())


def _summary(run: Run) -> str:
    """What was scored, how, and what came out, in a line."""
    score, job = run.score, run.job
    ignored = f" ({score.ignored:,} more ignored)" if score.ignored else ""
    weighted = ", class weights" if job.weight else ""
    smoothed = f", label smoothing {job.label_smoothing:g}" if job.label_smoothing else ""
    came_out = f"perplexity {score.perplexity:,.4g}, accuracy {percent(score.accuracy)}"
    loss = f"mean loss {nats(score, 4)}, {came_out}" if math.isfinite(score.mean_loss) else f"no finite mean loss, {came_out}"
    return f"{score.rows:,} rows{ignored}, {score.classes:,} classes{weighted}{smoothed}" + (f": {loss}" if score.rows else "")
