"""Inputs of more than 2^31 elements, which repeat a few by strides of 0: what one row gives, its value in every row."""

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from bits import sha256

CLASSES = 1021  # a prime: an index that lost its high bits would meet another class
ROWS = 2**31 // CLASSES + 3
long = pytest.mark.long


def giant(dtype, axis):
    """A row of numbers, and so many of it that there are 2^31 and some: rows, or positions of an image."""
    row = np.linspace(-3, 3, CLASSES).astype(dtype)
    shape = (ROWS, CLASSES) if axis == 1 else (1, CLASSES, ROWS)
    many = np.broadcast_to(row if axis == 1 else row[:, None], shape)
    return row[None], many


def assert_repeated(many, one):
    assert many.dtype == one.dtype
    assert (many.reshape(-1) == one).all()


@pytest.mark.parametrize(
    ("function", "dtype", "axis"),
    [
        (F.nll_loss, np.float32, 1),
        (F.nll_loss, np.float64, 2),
        (F.cross_entropy, np.float16, 1),
        pytest.param(F.cross_entropy, np.float32, 1, marks=long),
        pytest.param(F.cross_entropy, np.float64, 1, marks=long),
        pytest.param(F.cross_entropy, np.float32, 2, marks=long),
        pytest.param(F.multi_margin_loss, np.float32, 1, marks=long),
    ],
)
def test_losses_of_rows(function, dtype, axis):
    one, many = giant(dtype, axis)
    target = np.arange(ROWS) % 2 * 1000
    losses = function(many, target if axis == 1 else target[None], reduction="none").reshape(-1)
    assert_repeated(losses[::2], function(one, [0], reduction="none"))
    assert_repeated(losses[1::2], function(one, [1000], reduction="none"))


def test_the_last_target_of_a_giant_is_checked():
    target = np.zeros(ROWS, np.int64)
    target[-1] = CLASSES
    for function in (F.nll_loss, F.cross_entropy):
        with pytest.raises(IndexError, match=r"Target 1021 is out of bounds\."):
            function(giant(np.float32, 1)[1], target)


@long
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sums_of_elements(dtype):
    """Every square is 1/4: the sum is exact, but for the rounding to the dtype."""
    x = np.broadcast_to(np.asarray(0.5, dtype), (2**31 + 9,))
    zero = np.broadcast_to(np.zeros((), dtype), x.shape)
    with np.errstate(over="ignore"):
        assert F.mse_loss(x, zero, reduction="sum") == np.asarray(x.size / 4).astype(dtype)
    assert F.mse_loss(x, zero) == 0.25


@long
def test_checks_of_elements():
    """The range is asked of all of them; the one that is outside is beyond 2^31."""
    shape = (2**16 + 1, 2**15)
    column = np.full((shape[0], 1), 0.5, np.float32)
    x = np.broadcast_to(column, shape)
    assert F.binary_cross_entropy(x, x) == np.float32(np.log(2))
    column[-1] = 1.5
    with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
        F.binary_cross_entropy(x, x)


@long
def test_one_row_of_2_to_the_31_classes():
    number = 2**31 + 1
    x = np.broadcast_to(np.float32(0.5), (number,))
    for threads in (1, 2):
        with crossent.num_threads(threads):
            np.testing.assert_array_max_ulp(crossent.logsumexp(x, 0), np.float32(0.5 + np.log(number)), 3)
            np.testing.assert_array_max_ulp(F.cross_entropy(x, number - 1), np.float32(np.log(number)), 3)


@long
def test_a_gradient_of_2_to_the_31_elements():
    """4 GB of it, in float16."""
    one, many = giant(np.float16, 1)
    gradient = crossent.vjp(F.cross_entropy, many, np.full(ROWS, 7), reduction="none")[1](np.ones(ROWS, np.float16))
    row = crossent.vjp(F.cross_entropy, one, [7], reduction="none")[1](np.ones(1, np.float16))
    assert {sha256(gradient[at : at + 1]) for at in (0, 1, ROWS // 2, ROWS - 1)} == {sha256(row)}
    assert (gradient == row).all()
