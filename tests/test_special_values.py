"""nan, infinities, signed zeros, subnormal and huge numbers: what each does to a value, to its gradient, and to nobody else.

Tested at few and at many classes and with positions, for each is another kernel. torch's own answers are compared in
``test_against_torch.py``; the tables here need no torch.
"""

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
from cases import variants

INF, NAN = np.inf, np.nan

# Logits of the first four classes, the target's first; the loss that they give, and whether the gradient is finite.
ROWS = {
    "-inf beside the target": ([1.0, -INF, 2.0, 0.5], "finite", True),
    "-inf at the target": ([-INF, 1.0, 2.0, 0.5], INF, True),
    "-inf everywhere but at the target": ([1.0, -INF, -INF, -INF], 0.0, True),
    "+inf at the target": ([INF, 1.0, 2.0, 0.5], NAN, False),
    "+inf beside the target": ([1.0, INF, 2.0, 0.5], NAN, False),
    "+inf and -inf": ([INF, -INF, 2.0, 0.5], NAN, False),
    "nan at the target": ([NAN, 1.0, 2.0, 0.5], NAN, False),
    "nan beside the target": ([1.0, NAN, 2.0, 0.5], NAN, False),
    "nan and -inf": ([NAN, -INF, -INF, -INF], NAN, False),
}


def embedded(row, classes, dtype):
    """The logits in the middle row of five, among `classes` of which the others are -inf, behind a long way."""
    x = np.zeros((5, classes), dtype)
    x[2] = -INF
    x[2, :2], x[2, -2:] = row[:2], row[2:]
    return x


@pytest.fixture(params=[4, 33, 70, 5000], ids="{} classes".format)
def classes(request):
    """Lanes across rows; the same with a tail; lanes along classes; several blocks of them."""
    return request.param


@pytest.mark.parametrize(("row", "loss", "is_finite"), list(ROWS.values()), ids=ROWS)
def test_special_logits_and_class_indices(isa, dtype, classes, row, loss, is_finite):
    x = embedded(row, classes, dtype)
    losses, pullback = crossent.vjp(F.cross_entropy, x, np.zeros(5, int), reduction="none")
    gradient = pullback(np.ones(5, dtype))
    if loss == "finite":
        loss = -np.log(np.exp(1) / (np.exp(1) + np.exp(2) + np.exp(0.5)))
    np.testing.assert_allclose(losses[2], loss, rtol=1e-6)
    assert np.isfinite(gradient[2]).all() == is_finite
    assert is_finite or np.isnan(gradient[2]).all()
    if is_finite:
        expected = F.softmax(x, 1)[2] - np.eye(1, classes)[0]
        np.testing.assert_allclose(gradient[2], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("row", [row for row, *_ in ROWS.values()], ids=ROWS)
def test_special_logits_stay_in_their_row(isa, dtype, classes, row):
    for variant in variants("cross_entropy", "softmax", "log_softmax", "logsumexp"):
        if variant.is_scalar:
            continue
        call = variant.call(np.random.default_rng(classes), (5, classes), dtype)
        special = call.args[0].copy()
        special[2] = embedded(row, classes, dtype)[2]
        clean_value, clean_pullback = call.vjp()
        value, pullback = call._replace(args=(special, *call.args[1:])).vjp()
        g = np.ones(np.shape(value), dtype)
        others = [0, 1, 3, 4]
        np.testing.assert_array_equal(value[others], clean_value[others])
        np.testing.assert_array_equal(pullback(g)[others], clean_pullback(g)[others])


def test_a_row_of_nothing_but_minus_infinity(isa, dtype, classes):
    x = np.full((3, classes), -INF, dtype)
    assert np.isnan(F.cross_entropy(x, np.zeros(3, int), reduction="none")).all()
    assert np.isnan(crossent.grad(F.cross_entropy)(x, np.zeros(3, int))).all()
    assert np.isnan(F.softmax(x, 1)).all()
    assert np.isnan(F.log_softmax(x, 1)).all()
    assert (crossent.logsumexp(x, 1) == -INF).all()


@pytest.mark.parametrize("shift", [0, 600, -600])
def test_impossible_classes_do_not_count_beside_the_smallest_losses(isa, dtype, classes, shift):
    lowest = {4: -87.0, 8: -707.0}[dtype.itemsize]  # e^lowest is a normal number, but hardly
    x = embedded([0, lowest, -INF, -INF], classes, dtype) + dtype.type(shift)
    losses, pullback = crossent.vjp(F.cross_entropy, x, np.zeros(5, int), reduction="none")
    gradient = pullback(np.full(5, 1e30, dtype))[2].astype(float)
    np.testing.assert_allclose([losses[2], gradient[1] / 1e30], np.exp(lowest), rtol=4 * np.finfo(dtype).eps)
    assert (gradient[2:] == 0).all()


def test_infinities_and_nan_in_softmax(isa, dtype, classes):
    x = np.zeros((3, classes), dtype)
    x[0, -1], x[1, -1], x[2, -1] = INF, NAN, -INF
    for function in (F.softmax, F.log_softmax):
        value = function(x, 1)
        assert np.isnan(value[:2]).all()
        assert value[2, -1] == (0 if function is F.softmax else -INF)
        assert np.isfinite(value[2, :-1]).all()
    np.testing.assert_allclose(crossent.logsumexp(x, 1), [INF, NAN, np.log(classes - 1)], rtol=1e-6)


@pytest.mark.parametrize("row", [[NAN, NAN], [INF, 0], [-INF, -INF], [NAN, -INF]], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_ignored_row_is_not_looked_at(isa, dtype, classes, row, smoothing):
    x = np.linspace(-1, 1, 5 * classes).reshape(5, classes).astype(dtype)
    clean = crossent.value_and_grad(F.cross_entropy)(x[[0, 1, 3, 4]], [0, 1, 2, 3], label_smoothing=smoothing)
    x[2, ::2], x[2, 1::2] = row
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, [0, 1, -100, 2, 3], label_smoothing=smoothing)
    np.testing.assert_allclose(value, clean[0], rtol=1e-6)
    assert (gradient[2] == 0).all()
    np.testing.assert_array_equal(gradient[[0, 1, 3, 4]], clean[1])
    losses, pullback = crossent.vjp(F.cross_entropy, x, [0, 1, -100, 2, 3], reduction="none", label_smoothing=smoothing)
    assert losses[2] == 0
    assert (pullback(np.full(5, NAN, dtype))[2] == 0).all()
    assert (crossent.grad(F.nll_loss)(x, [0, 1, -100, 2, 3])[2] == 0).all()


def test_an_ignored_position_is_not_looked_at(isa, dtype):
    x = np.ones((2, 5, 40), dtype)
    x[0, :, 7], x[1, 2, 39] = NAN, INF
    target = np.zeros((2, 40), int)
    target[0, 7] = target[1, 39] = -100
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, target)
    np.testing.assert_allclose(value, np.log(5), rtol=1e-6)
    assert (gradient[0, :, 7] == 0).all()
    assert (gradient[1, :, 39] == 0).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("weight", [None, "ones"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_everything_ignored(isa, dtype, classes, weight, smoothing):
    x, target = np.ones((5, classes), dtype), np.full(5, -100)
    options = {"label_smoothing": smoothing, "weight": None if weight is None else np.ones(classes, dtype)}
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, target, **options)
    assert np.isnan(value)
    assert (gradient == 0).all()
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, target, reduction="sum", **options)
    assert value == 0
    assert (gradient == 0).all()
    assert (F.cross_entropy(x, target, reduction="none", **options) == 0).all()


def test_smoothing_reaches_a_class_at_minus_infinity(isa, dtype, classes):
    x = np.zeros((2, classes), dtype)
    x[0, -1] = -INF
    losses, pullback = crossent.vjp(F.cross_entropy, x, [0, 0], reduction="none", label_smoothing=0.1)
    assert losses[0] == INF
    assert np.isfinite(losses[1])
    assert np.isfinite(pullback(np.ones(2, dtype))).all()


def test_a_probability_of_zero_forgives_minus_infinity(isa, dtype, classes):
    x, q = np.zeros((2, classes), dtype), np.zeros((2, classes), dtype)
    x[0, 1:], q[:, 0] = -INF, 1
    x[1, -1] = -INF
    losses, pullback = crossent.vjp(F.cross_entropy, x, q, reduction="none")
    np.testing.assert_allclose(losses, [0, np.log(classes - 1)], rtol=1e-6)
    gradient = pullback(np.ones(2, dtype))
    assert (gradient[0] == 0).all()
    assert gradient[1, -1] == 0
    q[0, 0], q[0, 1] = 0.5, 0.5
    assert F.cross_entropy(x, q, reduction="none")[0] == INF


@pytest.mark.filterwarnings("error")
def test_the_gradient_of_probabilities_where_a_class_is_impossible(dtype):
    x, q = np.array([[0, -INF]], dtype), np.array([[1, 0]], dtype)
    gradient = crossent.grad(F.cross_entropy, 1)(x, q, weight=[1, 0])
    assert gradient[0, 0] == 0
    assert np.isnan(gradient[0, 1])  # 0 times infinity: nothing says what this class should be
    assert crossent.grad(F.cross_entropy, 1)(x, q)[0, 1] == INF


def test_nan_in_the_probabilities_stays_in_its_row(isa, dtype, classes):
    x, q = np.ones((3, classes), dtype), np.full((3, classes), 1 / classes, dtype)
    q[1, -1] = NAN
    losses, pullback = crossent.vjp(F.cross_entropy, x, q, reduction="none")
    gradient = pullback(np.ones(3, dtype))
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False])
    np.testing.assert_array_equal(np.isnan(gradient).any(1), [False, True, False])


def test_weights_of_zero(isa, dtype, classes):
    x, weight = np.zeros((2, classes), dtype), np.ones(classes, dtype)
    weight[0] = 0
    assert np.isnan(F.cross_entropy(x, [0, 0], weight))
    assert np.isnan(crossent.grad(F.cross_entropy)(x, [0, 0], weight)).all()
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, [0, 1], weight)
    np.testing.assert_allclose(value, np.log(classes), rtol=1e-6)
    assert (gradient[0] == 0).all()
    x[0, 0] = -INF  # 0 times infinity
    assert np.isnan(F.cross_entropy(x, [0, 1], weight))


def test_a_mean_of_nothing_is_nan_and_a_sum_zero(dtype):
    for shape in [(0, 5), (0, 5, 3), (2, 5, 0)]:
        x, target = np.zeros(shape, dtype), np.zeros(shape[:1] + shape[2:], int)
        for labels in (target, x):
            assert np.isnan(F.cross_entropy(x, labels))
            assert F.cross_entropy(x, labels, reduction="sum") == 0
            assert F.cross_entropy(x, labels, reduction="none").shape == target.shape
            assert crossent.grad(F.cross_entropy)(x, labels).shape == shape


def test_softmax_of_nothing(dtype):
    for shape in [(0,), (0, 3), (3, 0), (2, 0, 3)]:
        for dim in range(len(shape)):
            assert F.softmax(np.zeros(shape, dtype), dim).shape == shape
            assert F.log_softmax(np.zeros(shape, dtype), dim).shape == shape
    assert (crossent.logsumexp(np.zeros((3, 0), dtype), 1) == [-INF] * 3).all()
    assert crossent.logsumexp(np.zeros((3, 0), dtype), 0).shape == (0,)


def test_a_single_class(isa, dtype):
    x = np.array([[5], [-INF], [1e30]], dtype)[[0, 2]]
    losses, pullback = crossent.vjp(F.cross_entropy, x, [0, 0], reduction="none")
    assert (losses == 0).all()
    assert (pullback(np.ones(2, dtype)) == 0).all()
    assert (F.softmax(x, 1) == 1).all()


def test_logits_without_dimensions(dtype):
    for dim in (0, -1):
        assert F.softmax(dtype.type(3), dim) == 1
        assert F.log_softmax(dtype.type(3), dim) == 0
        assert crossent.logsumexp(dtype.type(3), dim) == 3
        assert isinstance(F.softmax(dtype.type(3), dim), dtype.type)


def test_signed_zeros_are_equal(isa, dtype, classes):
    x = np.zeros((2, classes), dtype)
    x[1, ::2] = -0.0
    losses = F.cross_entropy(x, [0, 1], reduction="none")
    assert losses[0] == losses[1]
    assert not np.signbit(F.cross_entropy(np.array([[-0.0]], dtype), [0]))


def test_subnormal_numbers_are_not_flushed(isa, dtype, classes):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.zeros((2, classes), dtype)
    x[:, 0] = 3 * tiny
    assert F.nll_loss(x, [0, 0], reduction="none")[0] == -3 * tiny
    # e^-gap is subnormal: the others' probability, and so the loss of the sure class.
    gap = {4: 100.0, 8: 740.0}[dtype.itemsize]
    x[:, 0] = gap
    expected = (classes - 1) * np.exp(-np.longdouble(gap))
    # Of few units: exp has one, the sum none, the quotient one.
    allowed = 2 * (classes - 1) * tiny
    assert abs(F.cross_entropy(x, [0, 0], reduction="none")[0] - expected) <= allowed
    assert abs(F.softmax(x, 1)[0, -1] - expected / (classes - 1)) <= 2 * tiny


@pytest.mark.parametrize("scale", [1e4, 1e8, 1e20, 1e30], ids="{:.0e}".format)
def test_huge_logits(isa, dtype, classes, scale):
    x = np.full((4, classes), -scale, dtype)
    x[:2, 0] = x[2, -1] = x[3, 0] = scale
    x[1, -1] = scale
    losses, pullback = crossent.vjp(F.cross_entropy, x, [0, 0, 0, 1], reduction="none")
    np.testing.assert_allclose(losses, [0, np.log(2), 2 * scale, 2 * scale], rtol=1e-6)
    gradient = pullback(np.ones(4, dtype))
    np.testing.assert_allclose(gradient[:, [0, -1]], [[0, 0], [-0.5, 0.5], [-1, 1], [1, 0]], rtol=1e-6)
    np.testing.assert_allclose(crossent.logsumexp(x, 1)[0], scale, rtol=1e-6)


def test_the_largest_logits_do_not_overflow(isa, dtype, classes):
    big = np.finfo(dtype).max
    x = np.full((2, classes), big, dtype)
    np.testing.assert_allclose(F.cross_entropy(x, [0, 1]), np.log(classes), rtol=1e-6)
    np.testing.assert_array_equal(F.softmax(-x, 1), F.softmax(np.zeros_like(x), 1))


def test_a_large_neighbour_does_not_swallow_the_logarithm(isa, dtype):
    """The maximum is taken away before the logarithm is added; pytorch issue 11752."""
    value = F.log_softmax(np.array([1e8, 1e8 - 16, 0], dtype), 0)
    np.testing.assert_allclose(value, [-np.exp(-16), -16, -1e8], rtol=1e-6)


def test_negative_weights_are_plain_arithmetic(isa, dtype, classes):
    x, weight = np.zeros((2, classes), dtype), np.ones(classes, dtype)
    weight[0] = -2
    losses = F.cross_entropy(x, [0, 1], weight, reduction="none")
    np.testing.assert_allclose(losses, [-2 * np.log(classes), np.log(classes)], rtol=1e-6)
    np.testing.assert_allclose(F.cross_entropy(x, [0, 1], weight), np.log(classes), rtol=1e-6)


@pytest.mark.parametrize("shift", [1024, -1024, 100_000])
def test_shifted_logits_give_the_same_loss(isa, shift, rng):
    """Logits are multiples of 1/64 and the shift is a whole number, so that it rounds nothing."""
    for classes in (10, 100, 5000):
        x = (rng.integers(-500, 500, (7, classes)) / 64).astype(np.float32)
        target = rng.integers(0, classes, 7)
        value, gradient = crossent.value_and_grad(F.cross_entropy)(x, target)
        shifted = crossent.value_and_grad(F.cross_entropy)(x + np.float32(shift), target)
        # Both are within 3 ULP, a gradient within 8: exp, which has gaps of up to 16 here, sum, quotient.
        np.testing.assert_allclose(shifted[0], value, rtol=2 * 3 * 2.0**-23)
        np.testing.assert_allclose(shifted[1], gradient, rtol=2 * 8 * 2.0**-23)


def test_weights_twice_as_large_have_the_same_mean(dtype, rng):
    x, target = cases.logits(rng, (20, 5), dtype), rng.integers(0, 5, 20)
    weight = cases.class_weights(rng, 5, dtype)
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x, target, weight)
    twice = crossent.value_and_grad(F.cross_entropy)(x, target, 2 * weight)
    assert value == twice[0]
    np.testing.assert_array_equal(gradient, twice[1])
