"""The loss over position: against means by their definition, for any chunks and merges; what a position is."""

import itertools
import json
import math
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

import crossent
from command import run
from crossent.scoring.profile import BINS, Profile
from crossent.scoring.result import Score
from score_reference import bits, sample


def whole(logits, targets, **options):
    scorer = crossent.Scorer(**options)
    losses = scorer.update(logits, targets, position=0)
    return scorer.result(), losses


def expected_means(positions, losses, scored, most):
    """Width, rows and mean loss by their definition, of rows with these positions (a list for each axis)."""
    positions, losses = np.stack(positions)[:, scored], losses[scored].astype(np.float64)
    width = [max(1, 2 ** math.ceil(math.log2((p.max() + 1) / m))) for p, m in zip(positions, most, strict=True)]
    bins = positions // np.array(width)[:, None]
    rows, total = np.zeros(bins.max(1) + 1, int), np.zeros(bins.max(1) + 1)
    for place, loss in zip(bins.T, losses, strict=True):
        rows[tuple(place)] += 1
        total[tuple(place)] += loss
    with np.errstate(invalid="ignore"):
        return width, rows, total / rows


# shape of the logits without the classes, context, and the positions of the rows along each axis
KINDS = {
    "few rows": ((100,), None, lambda n: [np.arange(n)]),
    "rows": ((1000,), None, lambda n: [np.arange(n)]),
    "context": ((1000,), 300, lambda n: [np.arange(n) % 300]),
    "sequences": ((4, 200), None, lambda n: [np.arange(n) % 200]),
    "images": ((3, 70, 5), None, lambda n: [np.arange(n) // 5 % 70, np.arange(n) % 5]),
    "volumes": ((2, 3, 5, 130), None, lambda n: [np.arange(n) // 130 % 5, np.arange(n) % 130]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_means_are_those_of_their_definition(kind):
    (rows, *inner), context, positions = KINDS[kind]
    logits, targets = sample(rows, 4, np.float32, inner)
    score, losses = whole(logits, targets, context=context)
    positions = [p.reshape(-1) for p in positions(targets.size)]
    wanted = expected_means(positions, losses.reshape(-1), targets.reshape(-1) != -100, BINS[len(positions)])
    assert score.positions.width.tolist() == wanted[0]
    np.testing.assert_array_equal(score.positions.rows, wanted[1], strict=True)
    np.testing.assert_allclose(score.positions.mean_loss, wanted[2], rtol=1e-14)
    assert score.positions.rows.sum() == score.rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_chunks_and_merges_change_no_bit(kind, seed):
    (rows, *inner), context, _ = KINDS[kind]
    logits, targets = sample(rows, 4, np.float64, inner, seed)
    logits *= np.random.default_rng(seed).exponential(size=(rows, 4, *len(inner) * [1]))  # losses of many sizes
    expected = bits(crossent.score(logits, targets, context=context), positions=True)
    rng = random.Random(seed)
    cuts = [0, *sorted(rng.choices(range(rows), k=20)), rows]
    parts = list(itertools.pairwise(cuts))
    rng.shuffle(parts)
    scorers = [crossent.Scorer(context=context) for _ in range(5)]
    for start, stop in parts:
        rng.choice(scorers).update(logits[start:stop], targets[start:stop], position=start)
    while len(scorers) > 1:
        rng.shuffle(scorers)
        other = scorers.pop()
        scorers[0].merge(rng.choice([other, pickle.loads(pickle.dumps(other)), other.state()]))
    assert bits(scorers[0].result(), positions=True) == expected


def test_a_merge_leaves_the_other_profile_alone():
    wide, narrow = Profile(), Profile()
    wide.add([np.array([1000])], np.array([1.0]))
    narrow.add([np.array([5])], np.array([2.0]))
    before = narrow.to_array()
    wide.merge(narrow)
    np.testing.assert_array_equal(narrow.to_array(), before)
    assert wide.widths == [8]
    assert wide.positions().rows.sum() == 2


def test_positions_may_be_as_large_as_they_like():
    profile = Profile()
    profile.add([np.array([0, 2**62])], np.array([1.0, 3.0]))
    assert profile.widths == [2**56]
    assert profile.positions().mean_loss[[0, 64]].tolist() == [1, 3]


def test_a_loss_that_is_infinite_or_nan_stays_where_it_is():
    logits = np.array([[0.0, -np.inf], [0.0, 0.0], [np.nan, 0.0], [0.0, 0.0]])
    score, _ = whole(logits, np.array([1, 0, 0, 0]))
    np.testing.assert_array_equal(score.positions.mean_loss.round(4), [np.inf, 0.6931, np.nan, 0.6931])
    assert np.isnan(score.standard_deviation)


@pytest.mark.parametrize("first", [True, False])
def test_positions_are_known_of_all_rows_or_not_at_all(first):
    logits, targets = sample(60)
    one, other = crossent.Scorer(), crossent.Scorer()
    one.update(logits[:30], targets[:30], position=0)
    other.update(logits[30:], targets[30:])
    if not first:
        one, other = other, one
    one.merge(other)
    assert one.result().positions is None
    images = crossent.Scorer()
    images.update(logits[:, :, None, None], targets[:, None, None], position=0)
    rows = crossent.Scorer()
    rows.update(logits, targets, position=0)
    rows.merge(images)  # positions along one axis, and along two
    assert rows.result().positions is None
    assert rows.result().rows == 2 * (targets != -100).sum()


def test_no_rows_have_no_position():
    score, _ = whole(np.zeros((5, 3)), np.full(5, -100))
    assert score.positions is None
    assert score.to_dict()["positions"] is None


def test_context_is_for_rows_and_positive():
    with pytest.raises(ValueError, match="context of 1 or more, but got 0"):
        crossent.Scorer(context=0)
    with pytest.raises(ValueError, match="position of 0 or more, but got -1"):
        crossent.Scorer().update(np.zeros((2, 3)), np.zeros(2, int), position=-1)
    scorer = crossent.Scorer(context=4)
    with pytest.raises(ValueError, match=r"\(N, C\) with context, but got rows of shape \(2, 5\)"):
        scorer.update(np.zeros((2, 3, 5)), np.zeros((2, 5), int), position=0)


def test_the_standard_deviation_is_that_of_the_losses():
    logits, targets = sample(300)
    weight = np.linspace(0.5, 2, 7)
    score, losses = whole(logits, targets, weight=weight)
    assert score.standard_deviation == pytest.approx(np.std(losses[targets != -100], ddof=1), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_the_positions(kind):
    (rows, *inner), context, _ = KINDS[kind]
    score, _ = whole(*sample(rows, 4, np.float32, inner), context=context)
    again = Score.from_dict(json.loads(json.dumps(score.to_dict(), allow_nan=False)))
    for got, expected in zip(again.positions, score.positions, strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


def positions_of(capsys, *arguments):
    assert run("score", *arguments, "--format", "json") == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)["positions"]


def test_the_command_numbers_rows_over_all_files(data, capsys):
    logits, labels = np.load("logits.npy"), np.load("labels.npy")
    for number, part in enumerate(np.split(logits, [17, 120])):
        np.save(f"part-{number}.npy", part)
    for number, part in enumerate(np.split(labels, [60])):
        np.save(f"labels-{number}.npy", part)
    expected = whole(logits, labels)[0].to_dict()["positions"]
    assert expected["width"] == [2]
    assert positions_of(capsys, "logits.npy", "labels.npy") == expected
    assert positions_of(capsys, "part-*.npy", "--targets", "labels-*.npy", "--chunk-rows", "7") == expected
    expected = whole(logits, labels, context=10)[0].to_dict()["positions"]
    assert positions_of(capsys, "logits.npy", "labels.npy", "--context", "10", "--chunk-rows", "7") == expected
    assert len(expected["rows"]) == 10


def test_the_command_refuses_a_context_that_has_no_meaning(data, capsys):
    np.save("cube.npy", np.zeros((2, 3, 4)))
    np.save("square.npy", np.zeros((2, 4), int))
    assert run("score", "cube.npy", "square.npy", "--context", "4") == 2
    assert "--context: expected logits of shape (N, C), but got (2, 3, 4)" in capsys.readouterr().err
    assert run("score", "logits.npy", "labels.npy", "--context", "4", "--output", "losses.npy", "--resume") == 0
    assert "|context:4|" in capsys.readouterr().out.replace("\n", "")
    assert Path("losses.npy").exists()
