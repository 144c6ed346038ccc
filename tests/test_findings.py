"""What the titles of the picture say, and the statistics behind them."""

import math

import numpy as np
import pytest

import crossent
from crossent.scoring import findings
from crossent.scoring.result import Positions


def scored(logits, targets, **options):
    scorer = crossent.Scorer(**options)
    losses = scorer.update(logits, targets, position=0)
    return scorer.result(), losses


def rows_of_loss(losses):
    """Logits of two classes whose losses against class 0 are these."""
    return np.stack([np.zeros(len(losses)), np.log(np.expm1(losses))], axis=1), np.zeros(len(losses), int)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.99])
def test_quantiles_are_right_to_a_bin(part):
    losses = np.random.default_rng(0).lognormal(-1, 2, 5000)
    score, _ = scored(*rows_of_loss(losses))
    quantile = findings.loss_quantile(score, part)
    assert abs(math.log10(quantile / np.quantile(losses, part))) < 0.02  # rows are dense: far better than a bin, of 0.1
    b = np.searchsorted(score.loss_edges, np.quantile(losses, part)) - 1
    assert score.loss_edges[b - 1] < quantile < score.loss_edges[b + 2]


def test_quantiles_of_the_open_bins_are_their_edges():
    score, _ = scored(np.array([[999.0, 0]] * 9 + [[0, 1e5]]), np.zeros(10, int))
    assert findings.loss_quantile(score, 0.5) == 1e-8
    assert findings.loss_quantile(score, 0.95) == 1e4
    assert findings.of_losses(score) == "Nine in ten rows lose less than 1e-8 nats"


@pytest.mark.parametrize(("accuracy", "rows"), [(0.0, 1), (1.0, 7), (0.5, 10), (0.93, 450), (0.2, 10**7)])
def test_wilsons_interval_is_where_the_normal_test_would_not_refuse(accuracy, rows):
    for bound in findings.accuracy_interval(accuracy, rows):
        deviation = math.sqrt(max(0.0, bound * (1 - bound) / rows))
        assert abs(bound - accuracy) == pytest.approx(findings.SURE * deviation, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("factor", "word"), [(1.0, "No gap beyond chance"), (2.0, "Overconfident"), (0.5, "Underconfident")])
def test_confidence_is_named(factor, word):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 5)) * 2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = (p.cumsum(1) < rng.random((4000, 1))).sum(1)
    score, _ = scored(factor * logits, targets)
    assert findings.of_reliability(score).startswith(f"{word}: ")
    says = np.exp(factor * logits).max(1) / np.exp(factor * logits).sum(1)
    assert findings.mean_confidence(score) == pytest.approx(says.mean(), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_positions_that_make_no_difference_are_said_to_make_none(seed):
    losses = np.random.default_rng(seed).lognormal(-1, 1.5, 3000)
    assert findings.of_positions(scored(*rows_of_loss(losses))[0]) == "Position makes no difference beyond chance"


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (slice(0, 300), "Highest at 0 to 255: "),  # a trend is found in wide steps
        (slice(1600, 1632), "Highest at 1,600 to 1,631: "),  # and a spike in narrow ones
    ],
)
def test_positions_that_make_one_are_named(where, says):
    losses = np.random.default_rng(0).lognormal(-1, 1, 3000)
    losses[where] *= 3
    assert findings.of_positions(scored(*rows_of_loss(losses))[0]).startswith(says)


@pytest.mark.parametrize("rows", [1, 9, 29, 300, 310, 4000])
@pytest.mark.parametrize("width", [1, 4])
def test_steps_lose_no_row(rows, width):
    rng = np.random.default_rng(rows)
    counts = rng.integers(0, 9, (rows + width - 1) // width)
    counts[-1] = 1
    loss = np.where(counts > 0, rng.random(len(counts)), np.nan)
    steps = findings.steps_of(Positions(np.array([width]), counts, loss))
    assert steps.rows.sum() == counts.sum()
    assert steps.total.sum() == pytest.approx(np.nansum(counts * loss))
    assert steps.edges[0][0] == 0
    assert steps.edges[0][-1] == len(counts) * width
    assert len(steps.edges[0]) == len(steps.rows) + 1
    full = np.median(steps.rows) >= findings.ENOUGH_ROWS
    assert full or len(steps.rows) <= findings.FEWEST_STEPS


def test_nothing_is_called_so():
    empty = crossent.score(np.zeros((3, 2)), np.full(3, -100))
    for sentence in (findings.of_losses, findings.of_reliability, findings.of_positions):
        assert sentence(empty) == "No rows"
    scorer = crossent.Scorer()
    scorer.update(np.eye(30), np.arange(30))  # at unknown positions
    assert findings.of_positions(scorer.result()) == "Loss over position"


@pytest.mark.parametrize(
    ("number", "text"),
    [(1234.5, "1,234"), (12.34, "12"), (1.0, "1.0"), (0.0123, "0.012"), (1.2e-5, "1e-05"), (0.0, "0"), (math.inf, "inf")],
)
def test_numbers_are_two_digits(number, text):
    assert findings.about(number) == text


@pytest.mark.parametrize(("text", "most"), [("abc", 3), ("abcd", 3), ("abcdefghij", 4), ("abcdefghij", 5), ("", 1)])
def test_texts_lose_their_middle(text, most):
    short = findings.shortened(text, most)
    assert len(short) == min(len(text), most)
    if len(text) > most:
        head, tail = short.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)
    else:
        assert short == text
