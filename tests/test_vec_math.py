"""exp, log1p and log of the kernels against float64 and long double: a walk through the bit patterns, so that every exponent
is met. `make exhaustive` looks at every float32; this is its quick slice."""

import numpy as np
import pytest

from crossent import _kernels, _runtime

FUNCTIONS = {
    "exp": (_kernels.map_exp, np.exp),
    "log1p": (_kernels.map_log1p, np.log1p),
    "log": (_kernels.map_log, np.log),
}
# The same figure as in csrc/kernels/vec_math.h.
MAX_ULP = 1.0


@pytest.fixture(params=_runtime.isa_names(), autouse=True)
def isa(request):
    with _runtime.use_isa(request.param):
        yield request.param


def walk(dtype, low, high, steps):
    """Floats whose bit patterns are evenly spaced between two of the same sign."""
    kind = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    first, last = (int(np.array(x, dtype).view(kind)) for x in (low, high))
    steps = min(steps, abs(last - first))
    bits = [first + (last - first) * i // steps for i in range(steps + 1)]
    return np.array(bits, kind).view(dtype)


def computed(name, values):
    out = np.empty_like(values)
    FUNCTIONS[name][0](values, out)
    return out


def ulp(got, exact):
    """Error in units of the last place of the exact value rounded to got's dtype."""
    rounded = exact.astype(got.dtype)
    unit = np.maximum(np.spacing(np.abs(rounded)), np.finfo(got.dtype).smallest_subnormal).astype(exact.dtype)
    finite = np.isfinite(rounded)
    assert np.array_equal(got[~finite], rounded[~finite], equal_nan=True)
    return (np.abs(got[finite].astype(exact.dtype) - exact[finite]) / unit[finite]).max()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("exp", -0.0, -110.0),
        ("exp", 0.0, 90.0),
        ("log1p", 0.0, np.finfo(np.float32).max),
        ("log1p", -0.0, -1.0),
        ("log", 0.0, np.finfo(np.float32).max),
        ("log", 0.5, 2.0),
    ],
    ids=["exp of negative numbers", "exp of positive numbers", "log1p", "log1p below 0", "log", "log near 1"],
)
def test_float32_is_within_one_ulp(name, low, high):
    values = walk(np.float32, low, high, 200_000)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        exact = FUNCTIONS[name][1](values.astype(np.float64))
        assert ulp(computed(name, values), exact) <= MAX_ULP


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("exp", -0.0, -750.0),
        ("exp", 0.0, 711.0),
        ("log1p", 0.0, np.finfo(np.float64).max),
        ("log1p", -0.0, -1.0),
        ("log", 0.0, np.finfo(np.float64).max),
        ("log", 0.5, 2.0),
    ],
    ids=["exp of negative numbers", "exp of positive numbers", "log1p", "log1p below 0", "log", "log near 1"],
)
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no long double that is wider than float64")
def test_float64_is_within_one_ulp(isa, name, low, high):
    values = walk(np.float64, low, high, 100_000)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        exact = FUNCTIONS[name][1](values.astype(np.longdouble))
        # The scalar twin has no fused operation in float64: half a ULP more.
        assert ulp(computed(name, values), exact) <= MAX_ULP + 0.5 * (isa == "scalar")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    values = np.array([0.0, -0.0, -np.inf, np.inf, np.nan], dtype)
    assert np.array_equal(computed("exp", values), np.array([1, 1, 0, np.inf, np.nan], dtype), equal_nan=True)
    values = np.array([0.0, np.inf, np.nan, np.finfo(dtype).smallest_subnormal], dtype)
    assert np.array_equal(computed("log1p", values), values, equal_nan=True)
    assert computed("log1p", np.array([-1], dtype))[0] == -np.inf
    values = np.array([0.0, -0.0, 1.0, np.inf, np.nan, -1.0, -np.inf, -np.finfo(dtype).smallest_subnormal], dtype)
    expected = np.array([-np.inf, -np.inf, 0, np.inf, np.nan, np.nan, np.nan, np.nan], dtype)
    assert np.array_equal(computed("log", values), expected, equal_nan=True)


@pytest.mark.parametrize("length", range(70))
def test_a_value_does_not_depend_on_its_place(length):
    """Tails go through the same arithmetic as whole vectors, and nothing behind them is written."""
    values = np.full(length, -1.25, np.float32)
    out = np.full(length + 8, 7.0, np.float32)
    _kernels.map_exp(values, out[:length])
    assert np.unique(out[:length]).size <= 1
    assert (out[length:] == 7.0).all()
