"""What a Run shows, in a sentence for each panel of its picture, and the statistics that stand behind it. No drawing.

Called by ``plots.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent.scoring.report import FEW_ROWS
from crossent.scoring.result import Positions, Score
from crossent.scoring.run import Run

SURE = 1.96  # standard errors that a normal variable stays within, 95 times of 100
NOTHING = "No rows"
ENOUGH_ROWS, FEWEST_STEPS = 30, 10  # rows in a step of the loss over position, steps that there are in any case
UNEVEN = 3.5  # deviations of chi-squared that chance hardly gives


def of_losses(score: Score) -> str:
    """How the losses are spread."""
    if score.rows < FEW_ROWS:
        return f"Losses of {score.rows} row{'' if score.rows == 1 else 's'}" if score.rows else NOTHING
    half, most = (loss_quantile(score, part) for part in (0.5, 0.9))
    if most <= score.loss_edges[1]:
        return "Nine in ten rows lose less than 1e-8 nats"
    return f"Half of the rows lose less than {about(half)} nats, one in ten more than {about(most)}"


def loss_quantile(score: Score, part: float) -> float:
    """The loss that this part of the rows is below, from the histogram: within a bin rows are taken as evenly spread.

    It is right to a tenth of a decade; 1e-8 stands for all below, 1e4 for all above.
    """
    below = np.concatenate([[0], score.loss_rows.cumsum()])
    wanted = part * below[-1]
    b = int(np.searchsorted(below[1:], wanted))
    if b in (0, len(score.loss_rows) - 1):
        return float(score.loss_edges[1] if b == 0 else score.loss_edges[-2])
    low, high = score.loss_edges[b : b + 2]
    return float(low * (high / low) ** ((wanted - below[b]) / score.loss_rows[b]))


def of_reliability(score: Score) -> str:
    """Whether the model is as often right as it says."""
    says, right = mean_confidence(score), score.accuracy
    if score.rows < FEW_ROWS or math.isnan(says):
        return "Confidence and accuracy" if score.rows else NOTHING
    low, high = accuracy_interval(right, score.rows)
    rounding = 1e-9
    word = "Underconfident" if says < low - rounding else "Overconfident" if says > high + rounding else "No gap beyond chance"
    return f"{word}: {_percent(says)} sure, {_percent(right)} right"


def mean_confidence(score: Score) -> float:
    """The mean probability of the predicted classes."""
    used = score.bin_rows > 0
    return math.fsum(score.bin_confidence[used] * score.bin_rows[used]) / score.rows if score.rows else math.nan


def accuracy_interval(accuracy: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the probability of being right may be, by Wilson's interval of 95 %, for accuracies of so many rows, not 0."""
    p, n, z2 = np.asarray(accuracy, np.float64), np.asarray(rows, np.float64), SURE**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = SURE / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return middle - half, middle + half


def of_classes(run: Run, worst: Sequence[int], rare: RareClasses | None) -> str:
    """Which classes are worst."""
    score = run.score
    if not len(worst):
        return NOTHING
    if rare and rare.loss > score.class_loss[worst[0]]:
        return f"Worst are the rare classes: {about(rare.loss)} nats, {_percent(rare.accuracy)} right"
    loss, right = score.class_loss[worst[0]], score.class_accuracy[worst[0]]
    if loss == 0:
        return "No class has a loss"
    return (
        f"{'Worst is' if score.classes > 1 else 'Class'} {_quoted(run, worst[0])}: {about(loss)} nats, {_percent(right)} right"
    )


class RareClasses(NamedTuple):
    """The classes with fewer rows than one needs to be called one of the worst, together."""

    classes: int
    rows: int
    loss: float
    accuracy: float


def rare_classes(score: Score, fewest: int) -> RareClasses | None:
    """All classes with fewer rows than that, but with some."""
    rare = (score.class_rows > 0) & (score.class_rows < fewest)
    rows = score.class_rows[rare]
    if not rows.size:
        return None
    loss, accuracy = (float((means[rare] * rows).sum() / rows.sum()) for means in (score.class_loss, score.class_accuracy))
    return RareClasses(rows.size, int(rows.sum()), loss, accuracy)


def of_confusions(run: Run) -> str:
    """Which classes are confused most."""
    pairs = run.score.confusions
    if pairs is None or not len(pairs):
        return "Most confused" if run.score.accuracy < 1 else "No row is wrong" if run.score.rows else NOTHING
    true, predicted, rows = pairs[0].tolist()
    of = int(run.score.class_rows[true])
    return f"Most confused: {_quoted(run, true)} taken for {_quoted(run, predicted)}, {rows:,} of {of:,} times"


def of_positions(score: Score) -> str:
    """Whether the position of a row matters, and where the loss is highest and lowest."""
    if score.positions is None or score.rows < FEW_ROWS or math.isnan(score.standard_deviation):
        return "Loss over position" if score.rows else NOTHING
    width, rows, loss = score.positions
    if rows.ndim == 1:
        steps = steps_of(score.positions)
        views = [steps.together(2**k) for k in range(max(1, len(steps.rows) // FEWEST_STEPS).bit_length())]
    else:
        views = [Steps([np.arange(n + 1) * w for n, w in zip(rows.shape, width.tolist(), strict=True)], rows, rows * loss)]
    view = max(views, key=lambda steps: unevenness(steps, score))
    if unevenness(view, score) < UNEVEN:
        return "Position makes no difference beyond chance"
    loss = view.full_loss
    extremes = [np.unravel_index(at(loss), loss.shape) for at in (np.nanargmax, np.nanargmin)]
    (high, most), (low, least) = ((_place(view.edges, index), about(loss[index])) for index in extremes)
    return f"Highest at {high}: {most} nats; lowest at {low}: {least}"


class Steps(NamedTuple):
    """Rows and the sum of their losses over ranges of positions: step i goes from edges[0][i] to edges[0][i + 1], and so on."""

    edges: Sequence[NDArray[np.int64]]
    rows: NDArray[np.int64]
    total: NDArray[np.float64]

    @property
    def loss(self) -> NDArray[np.float64]:
        """The mean loss of each step; nan where it has no rows."""
        with np.errstate(invalid="ignore"):
            return self.total / self.rows

    @property
    def full_loss(self) -> NDArray[np.float64]:
        """The same; nan where a step has less than half of the rows that others have: the mean of a few may be anything."""
        return np.where(2 * self.rows >= np.median(self.rows[self.rows > 0]), self.loss, np.nan)

    def together(self, number: int) -> Steps:
        """So many steps along the only axis made one; a last one that is not half full joins its neighbour."""
        starts = np.arange(0, len(self.rows), number)
        filled = np.add.reduceat(self.rows, starts)
        if len(starts) > 1 and 2 * filled[-1] < np.median(filled[filled > 0]):
            starts = starts[:-1]
        edges = self.edges[0][np.append(starts, len(self.rows))]
        return Steps([edges], np.add.reduceat(self.rows, starts), np.add.reduceat(self.total, starts))


def steps_of(positions: Positions) -> Steps:
    """The positions along one axis, as many together that most steps have ENOUGH_ROWS."""
    width, rows, loss = positions
    number = 1
    while len(rows) > FEWEST_STEPS * number and np.median(rows[rows > 0]) * number < ENOUGH_ROWS:
        number *= 2
    return Steps([np.arange(len(rows) + 1) * width[0]], rows, np.where(rows > 0, rows * loss, 0)).together(number)


def unevenness(steps: Steps, score: Score) -> float:
    """By how much the means of steps differ beyond their noise: chi-squared, in deviations of its own from what is expected."""
    deviations = (steps.full_loss - score.sum_loss / score.rows) * np.sqrt(steps.rows)
    z = deviations[np.isfinite(deviations)]
    freedom = z.size - 1
    if freedom < 1 or not score.standard_deviation > 0:
        return 0.0
    return float((z @ z / score.standard_deviation**2 - freedom) / math.sqrt(2 * freedom))


def about(number: float) -> str:
    """A number in two digits: 1,234, 12, 1.2, 0.012, 1e-05."""
    if not math.isfinite(number):
        return str(number)
    return f"{number:,.0f}" if abs(number) >= 99.5 else f"{number:#.2g}".rstrip(".") if abs(number) >= 1e-3 else f"{number:.1g}"


def shortened(text: str, most: int) -> str:
    """A text of at most so many signs: one that is longer loses its middle."""
    return text if len(text) <= most else f"{text[: (most + 1) // 2 - 1]}…{text[len(text) - most // 2 :]}"


def _quoted(run: Run, number: int) -> str:
    name = shortened(run.class_name(number), 18)
    return f"“{name}”" if run.class_names else name


def _place(edges: Sequence[NDArray[np.int64]], index: Sequence[np.intp]) -> str:
    """The range of positions along one axis, or the middle of those along two."""
    ends = [(int(edge[i]), int(edge[i + 1]) - 1) for edge, i in zip(edges, index, strict=True)]
    if len(ends) > 1:
        return f"({', '.join(f'{(first + last + 1) // 2:,}' for first, last in ends)})"
    first, last = ends[0]
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"
