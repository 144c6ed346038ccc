"""Scorer and score: chunks, merges and threads change no bit; layouts, corners, errors."""

import json
import math
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent.scoring import confusions
from crossent.scoring import rows as rows_module
from crossent.scoring import scorer as scorer_module
from crossent.scoring.rows import RowScores
from crossent.scoring.totals import LOSS_EDGES, Totals
from score_reference import bits, sample, soft_sample


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_chunks_blocks_and_merges_change_no_bit(seed, make, dtype, smoothing, monkeypatch):
    logits, targets = make(400, 7, dtype, inner=(2,), seed=seed)
    options = {"weight": np.linspace(0.1, 2, 7), "label_smoothing": smoothing}
    expected = bits(crossent.score(logits, targets, **options))
    rng = random.Random(seed)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", rng.choice([1, 300, 1000]))
    monkeypatch.setattr(confusions, "WAITING", rng.choice([1, 10, 100]))
    cuts = sorted(rng.sample(range(1, 400), 20))
    scorers = [crossent.Scorer(**options) for _ in range(10)]
    for start, stop in zip([0, *cuts], [*cuts, 400], strict=True):
        rng.choice(scorers).update(logits[start:stop], targets[start:stop])
    while len(scorers) > 1:  # merge any two, as they are, through pickle or as arrays, until one is left
        rng.shuffle(scorers)
        other = scorers.pop()
        scorers[0].merge(rng.choice([other, pickle.loads(pickle.dumps(other)), other.state()]))
    assert bits(scorers[0].result()) == expected


def test_the_state_is_float64_and_merges_in_any_order():
    logits, targets = sample(300)
    states = []
    for i in range(3):
        scorer = crossent.Scorer()
        scorer.update(logits[i * 100 : i * 100 + 100], targets[i * 100 : i * 100 + 100])
        states.append(scorer.state())
    assert all(state.dtype == np.float64 and state.ndim == 1 for state in states)
    expected = bits(crossent.score(logits, targets))
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        scorer = crossent.Scorer()
        scorer.merge(crossent.Scorer().state())  # of nothing
        for i in order:
            scorer.merge(states[i].copy())
        assert bits(scorer.result()) == expected


def test_a_merge_leaves_the_other_alone():
    logits, targets = sample(200)
    scorer, other = crossent.Scorer(), crossent.Scorer()
    other.update(logits[:100], targets[:100])
    expected = bits(other.result())
    scorer.merge(other)
    scorer.update(logits[100:], targets[100:])
    assert bits(other.result()) == expected
    state = other.state()
    other.merge(scorer)
    np.testing.assert_array_equal(state, np.array(state))


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("classes", [30, 3000])
def test_threads_change_no_bit(threads, classes):
    logits, targets = sample(60000 // classes, classes, np.float32)
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
        for name in ("mean_loss", "standard_error", "perplexity", "bits", "entropy", "accuracy", "brier", "ece"):
            assert math.isnan(getattr(score, name))
            assert score.to_dict()[name] is None
        assert score.sum_loss == 0
        assert score.worst_classes(5).size == score.confusions.size == 0
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


def test_a_row_without_a_softmax_is_wrong_and_makes_the_figures_it_enters_nan():
    score = crossent.score(np.array([[0.0, 1.0], [np.nan, 0.0], [0.0, 0.0]]), np.array([0, 1, 1]))
    assert [name for name, value in vars(score).items() if isinstance(value, float) and math.isnan(value)] == [
        "mean_loss", "sum_loss", "standard_error", "standard_deviation", "perplexity", "bits", "bits_per_byte", "entropy",
        "brier", "ece",
    ]  # fmt: skip
    assert score.rows == score.class_rows.sum() == score.loss_rows.sum() == score.bin_rows.sum() == 3
    assert score.accuracy == 0
    assert score.top_accuracy.tolist() == [0, 2 / 3]
    assert score.confusions.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert math.isnan(score.class_loss[1])
    assert score.class_loss[0] == pytest.approx(math.log1p(math.e))


def test_confidence_on_an_edge_belongs_to_the_bin_below():
    score = crossent.score(np.log([[0.2, 0.2, 0.2, 0.2, 0.2]]), np.array([0]))  # 0.2 is edge 3 of 15
    assert score.bin_rows.tolist() == [0, 0, 1] + [0] * 12


def test_a_loss_on_an_edge_belongs_to_the_bin_above():
    losses = np.array([LOSS_EDGES[5], np.nextafter(LOSS_EDGES[5], 0), 0.0, -1.0, np.inf, np.nan])
    zeros, ones = np.zeros(6, np.int64), np.ones(6)
    totals = Totals(1, 1)
    totals.add(RowScores(losses, zeros, zeros, zeros, ones, ones, ones, ones), False)
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
        (np.zeros((4, 3)), np.zeros(4, int), {"top_k": 0}, ValueError, "top_k of 1 or more, but got 0"),
        (np.zeros((4, 3)), np.zeros(4, int), {"top_k": 1.5}, TypeError, "must be int, not float"),
        (np.zeros((4, 3)), np.zeros(4, int), {"temperature": 0}, ValueError, "finite number above 0. Got: 0"),
        (np.zeros((4, 3)), np.zeros((4, 3), int), {}, TypeError, "floating point type for target with class probabilities"),
        (np.zeros((4, 3)), np.zeros((4, 3)), {"ignore_index": 1}, ValueError, "not supported for floating point target"),
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
    with pytest.raises(ValueError, match="3 classes, as before, but got 4 classes"):
        scorer.merge(other.state())
    assert scorer.result().rows == 1


def test_indices_and_probabilities_do_not_mix():
    scorer, other = crossent.Scorer(), crossent.Scorer()
    scorer.update(np.zeros((0, 3)), np.zeros((0, 3)))  # nothing
    scorer.update(np.zeros((1, 3)), np.array([0]))
    other.update(np.zeros((1, 3)), np.full((1, 3), 1 / 3))
    with pytest.raises(ValueError, match="expected class indices as targets, as before, but got class probabilities"):
        scorer.update(np.zeros((1, 3)), np.full((1, 3), 1 / 3))
    with pytest.raises(ValueError, match="expected class probabilities as targets, as before, but got class indices"):
        other.merge(scorer)
    assert scorer.result().rows == other.result().rows == 1


def test_small_chunks_are_added_together_and_their_losses_are_the_callers(monkeypatch):
    logits, targets = sample(200)
    scorer, together = crossent.Scorer(), []
    add = Totals.add
    monkeypatch.setattr(Totals, "add", lambda *arguments: (together.append(len(arguments[1].loss)), add(*arguments)))
    monkeypatch.setattr(scorer_module, "ROWS_TOGETHER", 64)
    for i in range(0, 200, 10):
        scorer.update(logits[i : i + 10], targets[i : i + 10])[:] = 7
    score = scorer.result()
    assert together == [70, 70, 60]
    monkeypatch.undo()
    assert bits(score) == bits(crossent.score(logits, targets))


def test_threads_may_score_chunks_for_one_scorer():
    logits, targets = sample(1000, 300, np.float32)
    parts = [slice(i, i + 70) for i in range(0, 1000, 70)]
    scorer = crossent.Scorer()
    with ThreadPoolExecutor(4) as pool:
        for chunk in pool.map(lambda part: scorer.scored(logits[part], targets[part]), parts):
            scorer.add(chunk)
    assert bits(scorer.result()) == bits(crossent.score(logits, targets))
