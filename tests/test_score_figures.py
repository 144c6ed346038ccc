"""The figures of score: against their definitions in long double, scikit-learn, and the formula of torchmetrics' ECE."""

import inspect
import math

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent.scoring import confusions
from score_reference import figures, row_figures, sample, soft_sample

FIGURES = (
    "rows", "ignored", "mean_loss", "sum_loss", "standard_error", "standard_deviation", "perplexity", "bits", "entropy",
    "accuracy", "top_accuracy", "brier", "ece",
)  # fmt: skip
# each row's figures are within 4 ULP, and their means are no further
RELATIVE = {np.float32: 1e-6, np.float64: 1e-12}


def assert_figures(score, rows, relative):
    """The figures of a Score are those of these rows."""
    got, expected = score.to_dict(), figures(rows)
    for name in FIGURES:
        assert got[name] == pytest.approx(expected[name], rel=relative), name
    for name, values in expected["per_class"].items():
        known = [value for value in values if value is not None]
        assert [value is None for value in got["per_class"][name]] == [value is None for value in values]
        assert [value for value in got["per_class"][name] if value is not None] == pytest.approx(known, rel=relative), name
    wrong = rows["rank"] > 0
    pairs = list(zip(rows["target"][wrong].tolist(), rows["predicted"][wrong].tolist(), strict=True))
    counted = sorted(((t, p, pairs.count((t, p))) for t, p in set(pairs)), key=lambda pair: (-pair[2], pair))
    assert [tuple(pair) for pair in score.confusions.tolist()] == counted
    assert got["confusions"] == [list(pair) for pair in counted[:20]]


@pytest.mark.parametrize("inner", [(), (5,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_figures_are_those_of_their_definitions(inner, dtype, make, weighted, label_smoothing):
    logits, targets = make(dtype=dtype, inner=inner)
    weight = np.linspace(0.5, 2, 7).astype(dtype) if weighted else None
    rows = row_figures(logits, targets, weight, label_smoothing=label_smoothing)
    assert 0.3 < (rows["rank"] == 0).mean() < 0.9
    score = crossent.score(logits, targets, weight=weight, label_smoothing=label_smoothing)
    assert_figures(score, rows, RELATIVE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_histograms_count_every_row(dtype):
    logits, targets = sample(dtype=dtype, inner=(5,))
    rows, score = row_figures(logits, targets), crossent.score(logits, targets)
    assert score.loss_rows == pytest.approx(np.histogram(rows["loss"].astype(float), score.loss_edges)[0], abs=1)
    for low, high, count, mean in zip(score.bin_edges, score.bin_edges[1:], score.bin_rows, score.bin_confidence, strict=False):
        assert count == pytest.approx(((low < rows["confidence"]) & (rows["confidence"] <= high)).sum(), abs=1)
        assert math.isnan(mean) if count == 0 else low <= mean <= high
    assert score.loss_rows.sum() == score.bin_rows.sum() == score.rows == len(rows["loss"])


@pytest.mark.parametrize("classes", [2, 5, 300, 5000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_figures_of_any_number_of_classes(classes, dtype):
    logits, targets = sample(300, classes, dtype)
    relative = RELATIVE[np.float64 if dtype == np.float64 else np.float32]
    assert_figures(crossent.score(logits, targets), row_figures(logits, targets), relative)


def test_temperature_divides_the_logits():
    logits, targets = sample()
    score = crossent.score(logits, targets, temperature=1.7)
    assert_figures(score, row_figures(logits, targets, temperature=1.7), 1e-12)
    assert score.temperature == score.to_dict()["temperature"] == 1.7


@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
@pytest.mark.parametrize("options", [{}, {"weight": np.linspace(0.5, 2, 7), "label_smoothing": 0.1}], ids=["plain", "options"])
def test_the_entropy_gives_the_derivative_by_temperature(make, options):
    logits, targets = make()
    step = 1e-5
    low, at, high = (crossent.score(logits, targets, temperature=math.exp(u), **options) for u in (-step, 0, step))
    assert (high.mean_loss - low.mean_loss) / (2 * step) == pytest.approx(at.entropy - at.mean_loss, rel=1e-6)


def test_bits_per_byte():
    logits, targets = sample()
    score = crossent.score(logits, targets, nbytes=1234)
    assert score.bits_per_byte == pytest.approx(score.sum_loss / math.log(2) / 1234)
    assert score.to_dict()["bits_per_byte"] == score.bits_per_byte
    assert math.isnan(crossent.score(logits, targets).bits_per_byte)


@pytest.mark.parametrize("top_k", [1, 3, 7, 9])
def test_top_k(top_k):
    logits, targets = sample()
    score = crossent.score(logits, targets, top_k=top_k)
    rank = row_figures(logits, targets)["rank"]
    assert score.top_accuracy.tolist() == [(rank < k).mean() for k in range(1, min(7, top_k) + 1)]
    assert score.top_accuracy[0] == score.accuracy


def test_too_many_different_confusions_are_not_counted(monkeypatch):
    logits, targets = sample()
    assert len(crossent.score(logits, targets).confusions) == 42
    for most, known in ((41, False), (42, True)):
        monkeypatch.setattr(confusions, "MOST_PAIRS", most)
        score = crossent.score(logits, targets)
        assert (score.confusions is not None) == (score.to_dict()["confusions"] is not None) == known


@pytest.mark.parametrize("ignore_index", [-100, -1, 3])
def test_ignored_rows_are_left_out_whatever_they_hold(ignore_index):
    logits, targets = sample()
    targets[targets == -100] = ignore_index
    rows = row_figures(logits, targets, ignore_index=ignore_index)
    logits[targets == ignore_index] = np.nan
    score = crossent.score(logits, targets, ignore_index=ignore_index)
    assert score.ignored == rows["ignored"] > 0
    assert_figures(score, rows, 1e-12)
    assert np.isnan(score.class_loss).tolist() == [c == ignore_index for c in range(7)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_are_those_of_cross_entropy(reduction):
    logits, targets = sample(dtype=np.float32)
    options = {"weight": np.linspace(0.5, 2, 7, dtype=np.float32), "label_smoothing": 0.1}
    scorer = crossent.Scorer(**options)
    losses = scorer.update(logits, targets)
    np.testing.assert_array_equal(losses, F.cross_entropy(logits, targets, reduction="none", **options), strict=True)
    # both sum in float64 and round once; the losses have been rounded to float32 row by row before
    expected = F.cross_entropy(logits, targets, reduction=reduction, **options)
    assert getattr(scorer.result(), f"{reduction}_loss") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_figures_of_scikit_learn(classes, dtype):
    metrics = pytest.importorskip("sklearn.metrics")
    logits, targets = sample(8000, classes, dtype)
    x, y, labels = logits[targets != -100].astype(np.float64), targets[targets != -100], range(classes)
    p = F.softmax(x, 1)
    score = crossent.score(logits, targets)
    assert score.mean_loss == pytest.approx(metrics.log_loss(y, p, labels=labels), rel=1e-6)
    assert score.accuracy == metrics.accuracy_score(y, p.argmax(1))
    for k in range(1, min(classes, 6)):
        expected = metrics.top_k_accuracy_score(y, x[:, 1] - x[:, 0] if classes == 2 else x, k=k, labels=labels)
        assert score.top_accuracy[k - 1] == pytest.approx(expected, rel=1e-12)
    if classes == 2:
        assert score.brier == pytest.approx(2 * metrics.brier_score_loss(y, p[:, 1]), rel=1e-6)
    elif "scale_by_half" in inspect.signature(metrics.brier_score_loss).parameters:  # since 1.7
        assert score.brier == pytest.approx(metrics.brier_score_loss(y, p, labels=labels, scale_by_half=False), rel=1e-6)
    counts = metrics.confusion_matrix(y, p.argmax(1), labels=labels)
    assert score.class_rows.tolist() == counts.sum(1).tolist()
    assert score.class_accuracy == pytest.approx(counts.diagonal() / counts.sum(1))
    assert {(t, q): n for t, q, n in score.confusions.tolist()} == {
        (t, q): counts[t, q] for t, q in zip(*np.nonzero(counts), strict=True) if t != q
    }


def calibration_error(confidence, right, bins=15):
    """As torchmetrics' calibration error of norm "l1" has it: of the means of bins, weighted by their part of the rows."""
    edges = np.linspace(0, 1, bins + 1)
    index = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(index, minlength=bins)
    mean_confidence, accuracy = (np.bincount(index, a, bins) / np.maximum(count, 1) for a in (confidence, right))
    return (abs(accuracy - mean_confidence) * count / count.sum()).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_expected_calibration_error(dtype, temperature):
    logits, targets = sample(20000, 10, dtype)
    score = crossent.score(logits, targets, temperature=temperature)
    p = F.softmax(logits[targets != -100].astype(np.float64) / temperature, 1)
    assert score.ece == pytest.approx(calibration_error(p.max(1), p.argmax(1) == targets[targets != -100]), rel=1e-6)
