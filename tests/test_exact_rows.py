"""Rows of cross_entropy against long double: the quick slice of ``make exact`` (exact_rows.py)."""

import numpy as np
import pytest

import crossent.nn.functional as F
from cases import each_isa
from exact_rows import FAMILIES, TORCH_SHARE, TORCH_UNITS, Worst, mean_error, rows_of, worst_of

CLASSES = (1, 2, 3, 8, 17, 33, 1000)
ELEMENTS = 1 << 13


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_of_the_target_hold_their_bars(family):
    for classes in CLASSES:
        rows = rows_of(family, classes, ELEMENTS)
        for isa in each_isa():
            assert worst_of(rows).of_bar <= 1, f"{classes} classes, {isa}"


def test_rows_are_as_close_to_the_exact_value_as_those_of_torch(torch):
    """Or within 1 ULP of being so: all but one of two thousand; those within 2.5."""
    total = Worst()
    for family in FAMILIES:
        for classes in CLASSES:
            total = total.also(worst_of(rows_of(family, classes, ELEMENTS), torch))
    assert total.beyond_torch <= TORCH_UNITS
    assert total.further <= TORCH_SHARE * total.rows


def test_a_mean_is_that_of_its_rows(isa):
    assert mean_error(1 << 20) <= 1


@pytest.mark.parametrize("logit", [0.0, 0.3, -2.7, 17.1, -55.5, 3e6])
def test_equal_logits_lose_the_logarithm_of_their_number(isa, dtype, logit):
    for classes in (2, 3, 7, 10, 33, 100, 192, 1000):
        logits = np.full((1, 2 * classes), logit, dtype)
        logits[:, classes:] = -np.inf
        exact = np.log(np.longdouble(classes))
        for row in (logits[:, :classes], logits):
            loss = F.cross_entropy(row, np.array([0]))
            assert abs(np.longdouble(loss) - exact) <= 0.52 * np.spacing(loss), f"{classes} classes"
