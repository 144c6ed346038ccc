"""Scorer and score: their figures against plain float64 formulas, and the promise that chunks and merges change no bit."""

import json
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent.scoring import scorer as scorer_module
from crossent.scoring.exact_sum import ExactSum
from crossent.scoring.totals import LOSS_EDGES, Totals

FIGURES = ("rows", "ignored", "mean_loss", "standard_error", "perplexity", "accuracy", "ece")
# float32: each row's loss and confidence are within some 1e-6 of the float64 formula; their means are no further
RELATIVE = {np.float32: 2e-6, np.float64: 1e-12}


def sample(rows=500, classes=7, dtype=np.float64, inner=(), seed=0):
    """Logits that are right about half of the time, and targets of which one in nine is -100."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, (rows, *inner))
    logits = rng.normal(size=(rows, classes, *inner)) * 2
    np.put_along_axis(logits, targets[:, None], np.take_along_axis(logits, targets[:, None], 1) + 2, 1)
    targets[rng.random(targets.shape) < 1 / 9] = -100
    return logits.astype(dtype), targets


def reference(logits, targets, weight=None, ignore_index=-100, label_smoothing=0.0):
    """The figures by their definitions, row by row in float64, with the class axis second."""
    classes = logits.shape[1]
    x = np.moveaxis(logits, 1, -1).reshape(-1, classes).astype(np.float64)
    y = targets.reshape(-1)
    ignored = int((y == ignore_index).sum())
    x, y = x[y != ignore_index], y[y != ignore_index].astype(int)
    w = np.ones(classes) if weight is None else np.asarray(weight, np.float64)
    log_p = x - x.max(1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
    loss = -(1 - label_smoothing) * w[y] * log_p[np.arange(len(y)), y] - label_smoothing / classes * (log_p @ w)
    mean = loss.sum() / w[y].sum()
    residuals = loss - mean * w[y]
    n = len(y)
    confidence, right = np.exp(log_p.max(1)), log_p.argmax(1) == y
    gaps = []
    for b in range(15):
        bin_rows = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        gaps.append(abs((confidence[bin_rows] - right[bin_rows]).sum()))
    return {
        "rows": n,
        "ignored": ignored,
        "mean_loss": mean,
        "standard_error": math.sqrt(n / (n - 1) * (residuals**2).sum()) / w[y].sum(),
        "perplexity": math.exp(mean),
        "accuracy": right.mean(),
        "ece": sum(gaps) / n,
        "per_class": {
            "rows": [int((y == c).sum()) for c in range(classes)],
            "mean_loss": [loss[y == c].sum() / (w[c] * (y == c).sum()) if c in y else None for c in range(classes)],
            "accuracy": [right[y == c].mean() if c in y else None for c in range(classes)],
        },
        "losses": loss,
        "confidences": confidence,
    }


def bits(score):
    """All figures, in a form that is equal where every bit is."""
    return json.dumps({name: np.asarray(value).tolist() for name, value in vars(score).items()})


@pytest.mark.parametrize("inner", [(), (5,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_figures_are_those_of_their_definitions(inner, dtype, weighted, label_smoothing):
    logits, targets = sample(dtype=dtype, inner=inner)
    weight = np.linspace(0.5, 2, 7).astype(dtype) if weighted else None
    expected = reference(logits, targets, weight, label_smoothing=label_smoothing)
    assert expected["ignored"] > 0
    assert 0.3 < expected["accuracy"] < 0.9
    got = crossent.score(logits, targets, weight=weight, label_smoothing=label_smoothing).to_dict()
    for name in FIGURES:
        assert got[name] == pytest.approx(expected[name], rel=RELATIVE[dtype]), name
    for name, values in expected["per_class"].items():
        assert got["per_class"][name] == pytest.approx(values, rel=RELATIVE[dtype]), name
    edges = np.array([-np.inf, *got["loss_histogram"]["edges"][1:-1], np.inf])
    assert got["loss_histogram"]["rows"] == pytest.approx(np.histogram(expected["losses"], edges)[0], abs=1)
    reliability = got["reliability"]
    for low, high, rows, mean in zip(
        reliability["edges"], reliability["edges"][1:], reliability["rows"], reliability["confidence"], strict=False
    ):
        assert rows == pytest.approx(((low < expected["confidences"]) & (expected["confidences"] <= high)).sum(), abs=1)
        assert mean is None if rows == 0 else low <= mean <= high
    assert sum(got["loss_histogram"]["rows"]) == sum(got["reliability"]["rows"]) == expected["rows"]


@pytest.mark.parametrize("ignore_index", [-100, -1, 3])
def test_ignored_rows_are_left_out_whatever_they_hold(ignore_index):
    logits, targets = sample()
    targets[targets == -100] = ignore_index
    expected = reference(logits, targets, ignore_index=ignore_index)
    logits[targets == ignore_index] = np.nan
    got = crossent.score(logits, targets, ignore_index=ignore_index).to_dict()
    assert got["ignored"] == expected["ignored"] > 0
    for name in FIGURES:
        assert got[name] == pytest.approx(expected[name], rel=1e-12), name
    assert got["per_class"]["rows"] == expected["per_class"]["rows"]
    assert [loss is None for loss in got["per_class"]["mean_loss"]] == [c == ignore_index for c in range(7)]


def test_mean_loss_is_that_of_cross_entropy_and_update_returns_its_losses():
    logits, targets = sample(dtype=np.float32)
    weight = np.linspace(0.5, 2, 7, dtype=np.float32)
    scorer = crossent.Scorer(weight=weight, label_smoothing=0.1)
    losses = scorer.update(logits, targets)
    options = {"weight": weight, "label_smoothing": 0.1}
    np.testing.assert_array_equal(losses, F.cross_entropy(logits, targets, reduction="none", **options))
    assert losses.dtype == np.float32
    # both sum in float64 and round once; the mean of the losses has been rounded to float32 row by row before
    assert scorer.result().mean_loss == pytest.approx(F.cross_entropy(logits, targets, **options), rel=1e-6)


def test_accuracy_and_log_loss_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    logits, targets = sample()
    kept = targets != -100
    probabilities = F.softmax(logits, 1)[kept]
    score = crossent.score(logits, targets)
    assert score.mean_loss == pytest.approx(metrics.log_loss(targets[kept], probabilities), rel=1e-12)
    assert score.accuracy == metrics.accuracy_score(targets[kept], probabilities.argmax(1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block_bytes", [1, 1000, 4 << 20])
def test_chunks_blocks_and_merges_change_no_bit(seed, dtype, block_bytes, monkeypatch):
    logits, targets = sample(400, 7, dtype, inner=(2,), seed=seed)
    weight = np.linspace(0.1, 2, 7)
    expected = bits(crossent.score(logits, targets, weight=weight))
    monkeypatch.setattr(scorer_module, "BLOCK_BYTES", block_bytes)
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(1, 400), 20))
    scorers = []
    for start, stop in zip([0, *cuts], [*cuts, 400], strict=True):
        scorers.append(crossent.Scorer(weight=weight))
        scorers[-1].update(logits[start:stop], targets[start:stop])
    while len(scorers) > 1:  # merge any two, through pickle, until one is left
        rng.shuffle(scorers)
        scorers[0].merge(pickle.loads(pickle.dumps(scorers.pop())))
    assert bits(scorers[0].result()) == expected


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_no_bit(threads):
    logits, targets = sample(5000, 30, np.float32)
    with crossent.num_threads(1):
        expected = bits(crossent.score(logits, targets))
    with crossent.num_threads(threads):
        assert bits(crossent.score(logits, targets)) == expected


def test_an_update_in_another_order_changes_no_bit():
    logits, targets = sample()
    order = np.random.default_rng(1).permutation(len(targets))
    assert bits(crossent.score(logits[order], targets[order])) == bits(crossent.score(logits, targets))


LAYOUTS = {
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "Fortran": np.asfortranarray,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "unaligned": lambda x: np.frombuffer(b"_" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_array_scores_as_its_plain_copy(layout):
    logits, targets = sample(inner=(3,))
    x, t = LAYOUTS[layout](logits), LAYOUTS[layout](targets)
    before = np.array(x), np.array(t)
    assert bits(crossent.score(x, t)) == bits(crossent.score(logits, targets))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(t, before[1])


@pytest.mark.parametrize("dtype", ["b", "h", "i", "l", "B", "H", "I", "L"])
def test_targets_of_any_integer_dtype(dtype):
    logits, targets = sample()
    targets[targets == -100] = 0
    assert bits(crossent.score(logits, targets.astype(dtype))) == bits(crossent.score(logits, targets))


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_the_class_axis_may_be_any(dim):
    logits, targets = sample(inner=(4,))
    scorer = crossent.Scorer(dim=dim)
    losses = scorer.update(np.moveaxis(logits, 1, dim), targets)
    assert bits(scorer.result()) == bits(crossent.score(logits, targets))
    np.testing.assert_array_equal(losses, F.cross_entropy(logits, targets, reduction="none"))


def test_one_row_without_a_batch():
    logits = np.array([1.0, 3.0, 2.0])
    scorer = crossent.Scorer()
    losses = scorer.update(logits, np.array(1))
    assert losses.shape == ()
    assert bits(scorer.result()) == bits(crossent.score(logits[None], np.array([1])))


def test_figures_without_a_value_are_nan_in_python_and_null_in_json():
    for score in (
        crossent.score(np.zeros((0, 3)), np.zeros(0, int)),
        crossent.score(np.zeros((4, 3)), np.full(4, -100)),
        crossent.Scorer().result(),
    ):
        assert score.rows == 0
        for name in ("mean_loss", "standard_error", "perplexity", "accuracy", "ece"):
            assert math.isnan(getattr(score, name))
            assert score.to_dict()[name] is None
        assert score.worst_classes(5).size == 0
        json.dumps(score.to_dict(), allow_nan=False)
    one = crossent.score(np.zeros((1, 3)), np.array([2]))
    assert one.mean_loss == pytest.approx(math.log(3))
    assert math.isnan(one.standard_error)


def test_equal_losses_have_no_spread():
    assert crossent.score(np.zeros((1000, 3), np.float32), np.zeros(1000, int)).standard_error == 0


def test_infinite_losses():
    logits = np.array([[0.0, -np.inf], [0.0, 0.0]])
    score = crossent.score(logits, np.array([1, 0]))
    assert score.mean_loss == score.perplexity == score.class_loss[1] == math.inf
    assert math.isnan(score.standard_error)
    assert score.class_loss[0] == pytest.approx(math.log(2))
    assert score.loss_rows[-1] == 1
    assert score.to_dict()["mean_loss"] is None


def test_nan_logits_make_the_figures_they_enter_nan():
    score = crossent.score(np.array([[0.0, 1.0], [np.nan, 0.0], [0.0, 0.0]]), np.array([0, 1, 1]))
    assert math.isnan(score.mean_loss)
    assert math.isnan(score.ece)
    assert math.isnan(score.class_loss[1])
    assert score.class_loss[0] == pytest.approx(math.log1p(math.e))


def test_confidence_on_an_edge_belongs_to_the_bin_below():
    score = crossent.score(np.log([[0.2, 0.2, 0.2, 0.2, 0.2]]), np.array([0]))  # 0.2 is edge 3 of 15
    assert score.bin_rows.tolist() == [0, 0, 1] + [0] * 12


def test_a_loss_on_an_edge_belongs_to_the_bin_above():
    totals = Totals(1)
    losses = np.array([LOSS_EDGES[5], np.nextafter(LOSS_EDGES[5], 0), 0.0, -1.0, np.inf, np.nan])
    totals.add(np.zeros(6, int), np.zeros(6, int), losses, np.ones(6))
    rows = totals.score(np.ones(1)).loss_rows
    assert {b: rows[b] for b in np.flatnonzero(rows)} == {0: 2, 4: 1, 5: 1, len(rows) - 1: 2}


def test_worst_classes_are_ordered_and_known():
    logits = np.zeros((6, 5))
    logits[[0, 1], [0, 0]] = -3, -1  # class 0 is worst; 2 and 4 are equal; 1 and 3 have no rows
    score = crossent.score(logits, np.array([0, 0, 2, 4, 2, 4]))
    assert score.worst_classes(9).tolist() == [0, 2, 4]
    assert score.worst_classes(1).tolist() == [0]


BAD_TARGETS = {
    "too large": (np.array([0, 1, 3, 9]), "Target 3 is out of bounds: row 12, 3 classes"),
    "negative": (np.array([0, -1, 1, 1]), "Target -1 is out of bounds: row 11, 3 classes"),
    "unsigned": (np.array([0, 1, 2, 2**64 - 100], np.uint64), f"Target {2**64 - 100} is out of bounds: row 13, 3 classes"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_the_first_bad_row_is_named_and_nothing_is_added(case):
    targets, message = BAD_TARGETS[case]
    scorer = crossent.Scorer()
    scorer.update(np.zeros((2, 3)), np.array([0, 1]))
    before = bits(scorer.result())
    with pytest.raises(IndexError, match=f"^{message}$"):
        scorer.update(np.zeros((4, 3)), targets, first_row=10)
    assert bits(scorer.result()) == before


def test_the_first_bad_position_is_named():
    targets = np.zeros((2, 2, 3), int)
    targets[1, 0, 2] = 5
    with pytest.raises(IndexError, match=r"^Target 5 is out of bounds: row 1 at \(0, 2\), 3 classes$"):
        crossent.score(np.zeros((2, 3, 2, 3)), targets)


@pytest.mark.parametrize(
    ("logits", "targets", "options", "error", "message"),
    [
        (np.zeros((4, 3)), np.zeros(5, int), {}, ValueError, r"batch_size \(4\) to match target batch_size \(5\)"),
        (np.zeros((4, 3, 2)), np.zeros((4, 3), int), {}, ValueError, r"Expected target size \[4, 2\], got \[4, 3\]"),
        (np.zeros(()), np.zeros((), int), {}, ValueError, "Expected 1 or more dimensions"),
        (np.zeros((4, 3)), np.zeros(4), {}, TypeError, "integer .* but got float64"),
        (np.zeros((4, 3), int), np.zeros(4, int), {}, TypeError, "int64"),
        (np.zeros((4, 3)), np.zeros(4, int), {"weight": np.ones(2)}, ValueError, r"weight .* 3 classes"),
        (np.zeros((4, 3)), np.zeros(4, int), {"label_smoothing": 1.5}, ValueError, r"between 0.0 and 1.0. Got: 1.5"),
        (np.zeros((4, 3)), np.zeros(4, int), {"ignore_index": 0.5}, TypeError, "must be int, not float"),
        (np.zeros((4, 3)), np.zeros(4, int), {"dim": 2}, IndexError, "Dimension out of range"),
        (np.ma.zeros((4, 3)), np.zeros(4, int), {}, TypeError, "logits is a masked array"),
        (np.zeros((4, 3)), np.ma.zeros(4, int), {}, TypeError, "targets is a masked array"),
    ],
)
def test_bad_arguments(logits, targets, options, error, message):
    with pytest.raises(error, match=message):
        crossent.score(logits, targets, **options)


def test_merging_what_does_not_match():
    scorer, other = crossent.Scorer(), crossent.Scorer(label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"0\.0.*but got.*0\.1"):
        scorer.merge(other)
    scorer.update(np.zeros((1, 3)), np.array([0]))
    other = crossent.Scorer()
    scorer.merge(other)  # no rows, hence no classes yet
    other.update(np.zeros((1, 4)), np.array([0]))
    with pytest.raises(ValueError, match="3 classes, as before, but got 4 classes"):
        scorer.merge(other)
    assert scorer.result().rows == 1


def exact(values):
    return float(sum(map(Fraction, values.tolist())))


@pytest.mark.parametrize("seed", range(20))
def test_exact_sum_is_the_rounded_sum_of_fractions(seed):
    rng = np.random.default_rng(seed)
    span = rng.choice([1, 10, 100, 1022])
    values = np.ldexp(rng.normal(size=200), rng.integers(-span - 50, span - 10, 200))
    values[::3] *= -1
    values[1::7] = -values[2::7][: len(values[1::7])]
    groups = rng.integers(0, 4, 200)
    sums, halves = ExactSum(4), ExactSum(4)
    sums.add(groups, values)
    other = ExactSum(4)
    halves.add(groups[150:], values[150:])
    other.add(groups[:150], values[:150])
    halves.merge(other)
    expected = [exact(values[groups == g]) for g in range(4)]
    assert sums.values().tolist() == halves.values().tolist() == expected
    assert sums.total() == halves.total() == exact(values)


def test_exact_sum_of_extremes():
    sums = ExactSum(1)
    tiny, huge = 5e-324, np.finfo(float).max
    sums.add(np.zeros(4, int), np.array([huge, tiny, -huge, tiny]))
    assert sums.values().tolist() == [2 * tiny]
    sums.add(np.zeros(2, int), np.array([huge, huge]))
    assert sums.values().tolist() == [math.inf]
    sums.add(np.zeros(1, int), np.array([-huge]))
    assert sums.total() == huge
    sums.add(np.zeros(1, int), np.array([-math.inf]))
    assert sums.total() == -math.inf
    sums.add(np.zeros(1, int), np.array([math.inf]))
    assert math.isnan(sums.total())


def test_exact_sum_refuses_more_rows_than_its_limbs_hold():
    sums = ExactSum(1)
    sums.rows = 2**39 - 1
    sums.add(np.zeros(1, int), np.ones(1))
    with pytest.raises(OverflowError, match=r"at most 2\*\*39 rows"):
        sums.add(np.zeros(1, int), np.ones(1))
    with pytest.raises(OverflowError, match=r"at most 2\*\*39 rows"):
        sums.merge(sums)


def test_logits_of_16_bits_are_scored_as_float32(half):
    logits, targets = sample(dtype=np.float32)
    low = logits.astype(half)
    scorer, wide = crossent.Scorer(), crossent.Scorer()
    losses = scorer.update(low, targets)
    assert losses.dtype == np.float32
    np.testing.assert_array_equal(losses, wide.update(low.astype(np.float32), targets))
    assert scorer.result().to_dict() == wide.result().to_dict()
    assert scorer.result().mean_loss == pytest.approx(reference(low.astype(np.float64), targets)["mean_loss"], rel=2e-6)
