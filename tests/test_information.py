"""crossent.information: the formulas in long double, the identities between them, edges and errors."""

import numpy as np
import pytest

from crossent import information
from crossent.information import cross_entropy, entropy, kl_divergence


def distributions(rng, shape, dtype, zeros=0.0):
    """Random distributions along the last axis, with this share of zeros."""
    p = rng.exponential(size=shape) * (rng.random(shape) >= zeros)
    p[..., 0] += 0.1
    return (p / p.sum(-1, keepdims=True)).astype(dtype)


def exact(p, q, *, ratio):
    """-sum p log q, or sum p log (p / q), where 0 log 0 is 0"""
    p, q = (np.asarray(a).astype(np.longdouble) for a in (p, q))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = p * (np.log(p) - np.log(q)) if ratio else -p * np.log(q)
    return np.where(p == 0, 0, terms).sum(-1)


def assert_rounded(got, expected, dtype):
    assert np.asarray(got).dtype == dtype
    # Computed in float64, rounded once: 1 ULP of float32; of float64, a few and what cancels.
    rtol, atol = (2.0**-23, 1e-14) if dtype == np.float32 else (1e-14, 1e-14)
    np.testing.assert_allclose(got, expected.astype(dtype), rtol=rtol, atol=atol)


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (20, 5), (3, 4, 50)], ids=str)
def test_the_formulas(shape, dtype, rng):
    p, q = distributions(rng, shape, dtype, zeros=0.3), distributions(rng, shape, dtype)
    assert_rounded(entropy(p), exact(p, p, ratio=False), dtype)
    assert_rounded(cross_entropy(p, q), exact(p, q, ratio=False), dtype)
    assert_rounded(kl_divergence(p, q), exact(p, q, ratio=True), dtype)


def test_cross_entropy_is_entropy_and_divergence(rng):
    p, q = distributions(rng, (50, 9), np.float64, zeros=0.2), distributions(rng, (50, 9), np.float64)
    np.testing.assert_allclose(cross_entropy(p, q), entropy(p) + kl_divergence(p, q), rtol=1e-13)
    np.testing.assert_allclose(cross_entropy(p, p), entropy(p), rtol=1e-15)


def test_bounds(rng):
    p, q = distributions(rng, (50, 9), np.float64), distributions(rng, (50, 9), np.float64)
    assert (entropy(p) > 0).all()
    assert (entropy(p) < np.log(9)).all()
    assert (kl_divergence(p, q) > 0).all()
    np.testing.assert_array_equal(kl_divergence(p, p), np.zeros(50))
    np.testing.assert_allclose(entropy(np.full(9, 1 / 9)), np.log(9), rtol=1e-15)


def test_bits_and_other_bases():
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    assert entropy(p, base=2) == 1.5
    assert cross_entropy(p, q, base=2) == 1.75
    assert kl_divergence(p, q, base=2) == 0.25
    np.testing.assert_allclose(entropy(p, base=10), entropy(p) / np.log(10), rtol=1e-15)


def test_zeros_and_infinities():
    sure, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert entropy(sure) == 0
    assert not np.signbit(entropy(sure))
    assert cross_entropy(sure, sure) == 0
    assert kl_divergence(sure, sure) == 0
    assert cross_entropy(sure, other) == np.inf
    assert kl_divergence(sure, other) == np.inf
    assert kl_divergence(sure, np.array([0.5, 0.5])) == np.log(2)


def test_nan_stays_nan_in_its_distribution():
    p = np.array([[np.nan, 0.5], [0.5, 0.5], [0.5, 0.5]])
    for result in (entropy(p), cross_entropy(p, p[::-1]), kl_divergence(p, p[::-1])):
        assert np.isnan(result[0])
        assert np.isfinite(result[1])


def test_tiny_probabilities_are_not_lost():
    for dtype, tiny in [(np.float32, 1e-45), (np.float64, 5e-324)]:
        p = np.array([1.0, tiny], dtype)
        # 1e-45 * 103 is a few subnormal numbers of float32, not 0
        assert entropy(p) > 0
        assert np.isfinite(cross_entropy(p[::-1], p))


def test_axes(rng):
    p, q = distributions(rng, (3, 4, 5), np.float64), distributions(rng, (3, 4, 5), np.float64)
    for axis in range(-3, 3):
        moved = np.moveaxis(p, -1, axis), np.moveaxis(q, -1, axis)
        np.testing.assert_allclose(entropy(moved[0], axis=axis), entropy(p), rtol=1e-14)
        np.testing.assert_allclose(cross_entropy(*moved, axis=axis), cross_entropy(p, q), rtol=1e-14)
        np.testing.assert_allclose(kl_divergence(*moved, axis=axis), kl_divergence(p, q), rtol=1e-13)


def test_broadcasting_and_dtypes(rng):
    p, q = distributions(rng, (6, 5), np.float32), distributions(rng, (5,), np.float64)
    result = kl_divergence(p, q)
    assert result.shape == (6,)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, kl_divergence(p, np.broadcast_to(q, (6, 5))))
    assert isinstance(entropy(p[0]), np.float32)


def test_inputs_are_not_changed(rng):
    p, q = distributions(rng, (6, 5), np.float64, zeros=0.5), distributions(rng, (6, 5), np.float64)
    p.flags.writeable = q.flags.writeable = False
    before = p.tobytes(), q.tobytes()
    for value in (entropy(p), cross_entropy(p, q), kl_divergence(p, q)):
        assert value.shape == (6,)
    assert (p.tobytes(), q.tobytes()) == before


p, q = np.array([0.5, 0.5]), np.array([0.2, 0.8])
REFUSED = {
    "a negative probability": (lambda: entropy([-0.1, 1.1]), ValueError, r"probabilities in p, but got -0\.1"),
    "a negative probability in q": (lambda: kl_divergence(p, [-0.5, 1.5]), ValueError, r"probabilities in q, but got -0\.5"),
    "lengths that differ": (lambda: cross_entropy(p, [0.2, 0.2, 0.6]), ValueError, r"\[2\] and \[3\]"),
    "a scalar": (lambda: entropy(1.0), ValueError, "axis of probabilities"),
    "an axis too high": (lambda: entropy(p, axis=1), IndexError, "Dimension out of range"),
    "integers": (lambda: entropy([1, 0]), TypeError, "int64"),
    "integers in q": (lambda: cross_entropy(p, [1, 0]), TypeError, "q.*int64"),
    "base 1": (lambda: entropy(p, base=1), ValueError, "base"),
    "base 0": (lambda: cross_entropy(p, q, base=0), ValueError, "base"),
    "a negative base": (lambda: kl_divergence(p, q, base=-2), ValueError, "base"),
    "base nan": (lambda: entropy(p, base=float("nan")), ValueError, "base"),
    "a base by position": (lambda: entropy(p, -1, 2), TypeError, "positional"),
}


@pytest.mark.parametrize(("call", "error", "text"), list(REFUSED.values()), ids=REFUSED)
def test_a_wrong_call_is_refused_in_words(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_no_warning_escapes_for_what_are_no_probabilities():
    """pytest makes errors of them."""
    assert entropy(np.array([1.7e308, 1e300])) == -np.inf
    assert entropy(np.array([6e4, 6e4], np.float16)) == -np.inf
    assert np.isnan(cross_entropy(np.array([np.inf, 1]), np.array([np.inf, 0])))


def test_the_public_names():
    for name in ("entropy", "cross_entropy", "kl_divergence"):
        assert getattr(information, name).__doc__
