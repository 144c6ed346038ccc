"""fit_temperature: against a bounded search over the float64 formula, and where there is nothing to find."""

import math

import numpy as np
import pytest

import crossent
from crossent.scoring.temperature import fit
from score_reference import row_figures, sample, soft_sample

MOST_PASSES = 9  # where class weights do not mislead the first step


def mean_loss(logits, targets, temperature, **options):
    rows = row_figures(logits, targets, temperature=temperature, **options)
    return float(rows["loss"].sum() / rows["weight"].sum())


def best_temperature(logits, targets, **options):
    """By halving the interval that holds the least loss, in long double."""
    low, high = -12.0, 12.0
    while high - low > 1e-9:
        third = (high - low) / 3
        a, b = low + third, high - third
        worse = mean_loss(logits, targets, math.exp(a), **options) > mean_loss(logits, targets, math.exp(b), **options)
        low, high = (a, high) if worse else (low, b)
    return math.exp((low + high) / 2)


OPTIONS = {
    "plain": {},
    "weight": {"weight": np.linspace(0.5, 2, 7)},
    "smoothing": {"label_smoothing": 0.1},
    "both": {"weight": np.linspace(0.5, 2, 7), "label_smoothing": 0.1},
}


@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("factor", [0.1, 1, 5])
def test_the_loss_is_least(dtype, make, options, factor):
    logits, targets = make(300, dtype=dtype)
    logits = logits * dtype.type(factor)
    fitted = crossent.fit_temperature(logits, targets, **options)
    # where a loss is least it is flat: long double tells temperatures 1e-9 apart, float32 some 1e-6
    assert fitted.temperature == pytest.approx(best_temperature(logits, targets, **options), rel=2e-6)
    assert fitted.loss_before == pytest.approx(mean_loss(logits, targets, 1, **options), rel=1e-6)
    assert fitted.loss_after == pytest.approx(mean_loss(logits, targets, fitted.temperature, **options), rel=1e-6)
    assert fitted.passes <= MOST_PASSES + 3 * ("weight" in options)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("factor", [0.01, 0.5, 1, 1.5, 3, 100, 1e4])
def test_few_passes_find_a_known_temperature(classes, factor, rng):
    """Targets are drawn from the softmax of the logits, which are then multiplied."""
    logits = rng.normal(size=(3000, classes)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = (p.cumsum(1) > rng.random((3000, 1))).argmax(1)
    fitted = crossent.fit_temperature(logits * factor, targets)
    assert fitted.temperature == pytest.approx(factor, rel=0.2)
    score = crossent.score(logits * factor, targets, temperature=fitted.temperature)
    assert score.entropy == pytest.approx(score.mean_loss, rel=1e-7)
    assert score.mean_loss == fitted.loss_after <= fitted.loss_before
    assert fitted.passes <= MOST_PASSES


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_neither_threads_nor_chunks_change_a_bit(threads):
    logits, targets = sample(2000, 30, np.float32)
    with crossent.num_threads(1):
        expected = crossent.fit_temperature(logits, targets)

    def score_at(temperature):
        scorer = crossent.Scorer(temperature=temperature)
        for start in range(0, 2000, 170):
            scorer.update(logits[start : start + 170], targets[start : start + 170])
        return scorer.result()

    with crossent.num_threads(threads):
        assert crossent.fit_temperature(logits, targets) == fit(score_at) == expected


@pytest.mark.parametrize("dim", [0, -1])
def test_the_class_axis_may_be_any(dim):
    logits, targets = sample(inner=(4,))
    expected = crossent.fit_temperature(logits, targets).temperature
    assert crossent.fit_temperature(np.moveaxis(logits, 1, dim), targets, dim=dim).temperature == pytest.approx(
        expected, rel=1e-9
    )


def test_ignored_rows_have_no_part():
    logits, targets = sample()
    kept = crossent.fit_temperature(logits[targets != -100], targets[targets != -100])
    logits[targets == -100] = np.nan
    assert crossent.fit_temperature(logits, targets) == kept


def test_16_bits(half):
    logits, targets = sample(dtype=np.float32)
    low = logits.astype(half)
    assert crossent.fit_temperature(low, targets) == crossent.fit_temperature(low.astype(np.float32), targets)


def test_a_memory_map_is_read_once_for_each_pass(tmp_path):
    logits, targets = sample(dtype=np.float32)
    np.save(tmp_path / "logits.npy", logits)
    mapped = np.load(tmp_path / "logits.npy", mmap_mode="r")
    assert crossent.fit_temperature(mapped, targets) == crossent.fit_temperature(logits, targets)


@pytest.mark.parametrize("sign", [1, -1], ids=["right", "wrong"])
def test_where_the_loss_falls_for_ever(dtype, sign, rng):
    logits = rng.normal(size=(200, 5)).astype(dtype)
    with pytest.raises(
        ValueError, match=r"no temperature has the least loss: it was [\d.]+ at 1, and is \S+ at \S+\. It falls"
    ):
        crossent.fit_temperature(sign * logits, logits.argmax(1))


def test_smoothed_targets_have_a_temperature_even_where_every_row_is_right(dtype, rng):
    logits = rng.normal(size=(200, 5)).astype(dtype)
    fitted = crossent.fit_temperature(logits, logits.argmax(1), label_smoothing=0.1)
    assert fitted.loss_after < fitted.loss_before


def test_equal_logits_stay_as_they_are(dtype):
    fitted = crossent.fit_temperature(np.ones((10, 3), dtype), np.arange(10) % 3)
    assert (fitted.temperature, fitted.passes) == (1, 1)


NOT_FINITE = {
    "no rows": (np.zeros((0, 3)), np.zeros(0, int), "nan"),
    "all ignored": (np.zeros((2, 3)), np.full(2, -100), "nan"),
    "nan": (np.array([[0.0, np.nan]]), np.array([0]), "nan"),
    "impossible": (np.array([[0.0, -np.inf]]), np.array([1]), "inf"),
}


@pytest.mark.parametrize(("logits", "targets", "loss"), NOT_FINITE.values(), ids=NOT_FINITE)
def test_a_loss_that_is_not_finite(logits, targets, loss):
    with pytest.raises(ValueError, match=f"finite mean loss at temperature 1, but got {loss}"):
        crossent.fit_temperature(logits, targets)


def test_masked_classes():
    logits, targets = sample(classes=4)
    masked = np.insert(logits, 2, -np.inf, axis=1)
    moved = np.where(targets >= 2, targets + 1, targets)
    assert crossent.fit_temperature(masked, moved).temperature == pytest.approx(
        crossent.fit_temperature(logits, targets).temperature, rel=1e-6
    )


def test_errors_are_those_of_score():
    with pytest.raises(IndexError, match="Target 7 is out of bounds: row 1, 3 classes"):
        crossent.fit_temperature(np.zeros((2, 3)), np.array([0, 7]))
