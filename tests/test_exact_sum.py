"""What makes a score independent of chunks: exact sums, and counts of pairs."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from crossent.scoring import confusions, exact_sum
from crossent.scoring.confusions import PairCounts
from crossent.scoring.exact_sum import ExactSum


def exact(values):
    return float(sum(map(Fraction, values.tolist())))


def some_values(rng):
    """Of both signs, over a small or the whole range of float64, some of which cancel."""
    span = rng.choice([1, 10, 100, 1022])
    values = np.ldexp(rng.normal(size=200), rng.integers(-span - 50, span - 10, 200))
    values[::3] *= -1
    values[1::7] = -values[2::7][: len(values[1::7])]
    return values


@pytest.mark.parametrize("seed", range(20))
def test_sums_are_those_of_fractions_rounded_once(seed):
    rng = np.random.default_rng(seed)
    values, groups = some_values(rng), rng.integers(0, 4, 200)
    sums, halves, other = ExactSum(4), ExactSum(4), ExactSum(4)
    sums.add(groups, values)
    halves.add(groups[150:], values[150:])
    other.add(groups[:150], values[:150])
    halves.merge(ExactSum.from_array(other.to_array()))
    expected = [exact(values[groups == g]) for g in range(4)]
    assert sums.values().tolist() == halves.values().tolist() == expected
    assert sums.total() == halves.total() == exact(values)
    single = ExactSum(1)
    single.add(None, values)
    assert single.values().tolist() == [exact(values)]


@pytest.mark.parametrize("seed", range(5))
def test_carrying_changes_no_sum(seed, monkeypatch):
    monkeypatch.setattr(exact_sum, "MOST_VALUES", 3)
    rng = np.random.default_rng(seed)
    values = some_values(rng)
    sums, other = ExactSum(1), ExactSum(1)
    sums.add(None, values[:120])
    other.add(None, values[120:])
    sums.merge(other)
    assert sums.total() == exact(values)
    assert sums.added <= 3
    assert all(np.abs(limb).max() < 2**24 + 6 for limb in sums.limbs.values())  # carried to, by 6 values at most


def test_a_limb_never_holds_more_than_float64_counts():
    assert 2 * exact_sum.MOST_VALUES * 2**exact_sum.BITS <= 2**53


def test_sums_of_extremes():
    sums = ExactSum(1)
    tiny, huge = 5e-324, np.finfo(float).max
    sums.add(np.zeros(4, int), np.array([huge, tiny, -huge, tiny]))
    assert sums.values().tolist() == [2 * tiny]
    sums.add(np.zeros(2, int), np.array([huge, huge]))
    assert sums.values().tolist() == [math.inf]
    sums.add(None, np.array([-huge]))
    assert sums.total() == huge
    sums.add(np.zeros(2, int), np.array([-math.inf, 1.0]))
    assert sums.total() == -math.inf
    assert ExactSum.from_array(sums.to_array()).total() == -math.inf
    sums.add(None, np.array([math.inf]))
    assert math.isnan(sums.total())


def counted(pairs):
    return dict(zip(*(a.tolist() for a in pairs.counts()), strict=True))


@pytest.mark.parametrize("waiting", [1, 10, 2**16])
@pytest.mark.parametrize("most", [10, 50, 51, 2**20])
def test_pairs_are_counted_up_to_so_many_in_any_order(waiting, most, monkeypatch):
    monkeypatch.setattr(confusions, "WAITING", waiting)
    monkeypatch.setattr(confusions, "MOST_PAIRS", most)
    rng = random.Random(most)
    occurrences = [pair for pair in range(51) for _ in range(pair + 1)]
    rng.shuffle(occurrences)
    parts = [PairCounts() for _ in range(7)]
    for start in range(0, len(occurrences), 30):
        rng.choice(parts).add(np.array(occurrences[start : start + 30]))
    while len(parts) > 1:
        rng.shuffle(parts)
        parts[0].merge(PairCounts.from_array(parts.pop().to_array()))
    got = counted(parts[0])
    assert parts[0].known == (most >= 51)
    assert got == ({pair: pair + 1 for pair in range(51)} if most >= 51 else {})


def test_no_pairs():
    pairs = PairCounts()
    pairs.add(np.zeros(0, np.int64))
    assert pairs.known
    assert counted(pairs) == {}
