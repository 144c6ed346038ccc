"""Gradients against the reference and against differences of the value; one pass, two passes and every `out` agree in bits."""

from functools import partial

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
import reference
from cases import each_isa, variants
from gradients import flowing_in, fourth_order_difference
from reference import assert_within, unit

each_variant = pytest.mark.parametrize("variant", variants(), ids=str)
each_scalar_loss = pytest.mark.parametrize("variant", [v for v in variants() if v.is_scalar], ids=str)
each_probability_loss = pytest.mark.parametrize("variant", variants("cross_entropy", target="class probabilities"), ids=str)

# Each kernel, with a tail; a tile and its rest; a block of 16 KiB and its neighbours; positions; one row; more dimensions.
SHAPES = [
    *[(1 + 7 * classes % 20, classes) for classes in (1, 2, 3, 8, 16, 17, 24, 25, 31, 33, 47, 48, 49, 50, 64, 65)],
    *[(131, 2), (66, 10), (40, 300), (3, 2047), (2, 2049), (2, 4095), (2, 4097), (2, 8193)],
    *[(2, 7, inner) for inner in (1, 2, 15, 16, 17, 33)],
    *[(5,), (60,), (2, 3, 2, 3), (1, 4, 7, 11), (2, 50, 3, 1)],
]


@each_variant
def test_the_gradient_is_the_analytic_one(variant, dtype, rng):
    for shape in SHAPES:
        call = variant.call(rng, shape, dtype)
        exact = call.exact()
        g = flowing_in(exact.value.shape, dtype)
        gradient, allowed = exact.gradient(g), call.allowed_gradient(exact, g)
        for _isa in each_isa():
            got = call.vjp()[1](g)
            assert got.dtype == dtype
            assert_within(got, gradient, allowed)


@each_variant
def test_the_gradient_with_classes_on_every_axis(variant, dtype, rng):
    for dim in range(-4, 4):
        call = variant.call(rng, (5, 4, 3, 2), dtype, dim)
        exact = call.exact()
        g = flowing_in(exact.value.shape, dtype)
        for _isa in each_isa():
            assert_within(call.vjp()[1](g), exact.gradient(g), call.allowed_gradient(exact, g))


@each_probability_loss
def test_the_gradient_of_the_probabilities(variant, dtype, rng):
    for shape in [(5,), (7, 3), (66, 10), (3, 5000), (2, 7, 33), (2, 3, 4, 5)]:
        call = variant.call(rng, shape, dtype)
        exact = call.exact()
        g = flowing_in(exact.value.shape, dtype)
        gradient = exact.target_gradient(g)
        surprisal = -reference.log_softmax(call.args[0], min(1, len(shape) - 1)).value
        # That of log_softmax, and three products: with the weight, with 1 - smoothing, with the gradient that flows in.
        allowed = (cases.loss_units(surprisal) + 1 + 3) * unit(gradient, dtype)
        for _isa in each_isa():
            assert_within(call.vjp(1)[1](g), gradient, allowed)


# Bits: what is computed in one pass, in two, into fresh memory, into given memory, over the input itself.


@each_scalar_loss
def test_one_pass_is_two_passes(variant, isa, dtype, rng):
    for shape in SHAPES:
        call = variant.call(rng, shape, dtype)
        value, gradient = call.value_and_grad()
        separate, pullback = call.vjp()
        np.testing.assert_array_equal(value, call.value())
        np.testing.assert_array_equal(value, separate)
        np.testing.assert_array_equal(gradient, pullback(np.ones((), dtype)))
        np.testing.assert_array_equal(crossent.grad(call.case.function)(*call.args, **call.kwargs), gradient)


@each_scalar_loss
def test_the_gradient_goes_to_fresh_memory_to_out_and_over_the_input(variant, isa, dtype, rng):
    for shape in SHAPES:
        call = variant.call(rng, shape, dtype)
        value, gradient = call.value_and_grad()
        given, over = np.full(shape, np.nan, dtype), call.args[0].copy()
        for out, args in [(given, call.args), (over, (over, *call.args[1:]))]:
            result, same = call._replace(args=args).value_and_grad(out=out)
            assert same is out
            assert result == value or (np.isnan(result) and np.isnan(value))
            np.testing.assert_array_equal(out, gradient)


@each_variant
def test_pullback_goes_to_fresh_memory_to_out_and_over_the_input(variant, isa, dtype, rng):
    for shape in SHAPES:
        call = variant.call(rng, shape, dtype)
        value, pullback = call.vjp()
        g = flowing_in(value.shape, value.dtype)
        gradient, given, over = pullback(g), np.full(shape, np.nan, dtype), call.args[0].copy()
        assert pullback(g, out=given) is given
        assert call._replace(args=(over, *call.args[1:])).vjp()[1](g, out=over) is over
        np.testing.assert_array_equal(given, gradient)
        np.testing.assert_array_equal(over, gradient)


@each_variant
def test_a_value_goes_to_out(variant, isa, dtype, rng):
    for shape in [(5,), (20, 7), (6, 90), (2, 3, 5)]:
        call = variant.call(rng, shape, dtype)
        value = call.value()
        out = np.full(np.shape(value), np.nan, dtype)
        assert call.value(out=out) is out
        np.testing.assert_array_equal(out, value)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_softmax_goes_over_its_input(function, isa, dtype, rng):
    for shape, dim in [((50, 10), 1), ((9, 200), 1), ((3, 6000), -1), ((4, 5, 33), 1)]:
        x = cases.logits(rng, shape, dtype, dim)
        value, over = function(x, dim), x.copy()
        assert function(over, dim, out=over) is over
        np.testing.assert_array_equal(over, value)


# Differences: gradients of float64 values that know nothing of the formula of the gradient.


@each_variant
def test_the_gradient_is_a_difference_of_values(variant, isa, rng):
    for shape in [(5,), (3, 4), (2, 3, 2)]:
        call = variant.call(rng, shape, np.float64)
        if call.exact().divisor == 0:
            continue  # the mean of nothing is nan, its gradient 0
        value, pullback = call.vjp()
        g = flowing_in(value.shape, value.dtype)
        difference = fourth_order_difference(partial(call.case.function, **call.kwargs), call.args, 0, g)
        np.testing.assert_allclose(pullback(g), difference, rtol=1e-9, atol=1e-9)


@each_probability_loss
def test_the_gradient_of_the_probabilities_is_a_difference_of_values(variant, isa, rng):
    call = variant.call(rng, (3, 4), np.float64)
    value, pullback = call.vjp(1)
    g = flowing_in(value.shape, value.dtype)
    difference = fourth_order_difference(partial(call.case.function, **call.kwargs), call.args, 1, g)
    np.testing.assert_allclose(pullback(g), difference, rtol=1e-9, atol=1e-9)


# What else is promised of gradients.


def test_softmax_minus_one_hot_is_the_gradient_of_the_sum(isa, dtype, rng):
    for classes in (3, 10, 100):
        x = cases.logits(rng, (40, classes), dtype)
        y = cases.class_indices(rng, x)
        gradient = crossent.grad(F.cross_entropy)(x, y, reduction="sum")
        # 2 ULP of 1: that of softmax near 1, and the difference's.
        np.testing.assert_allclose(gradient, F.softmax(x, 1) - F.one_hot(y, classes), rtol=0, atol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("classes", [2, 48, 49, 5000], ids="{} classes".format)
def test_the_gradient_of_a_sure_target_does_not_cancel(isa, dtype, classes):
    """1 - p is minus the sum of the others, down to where p is 1 to the last bit."""
    for gap in (1.0, 20.0, 60.0, 80.0):
        x = np.zeros((2, classes), dtype)
        x[:, 1] = gap
        gradient = crossent.grad(F.cross_entropy)(x, np.ones(2, int), reduction="sum")
        others = (classes - 1) * np.exp(-np.longdouble(gap))
        # 4 ULP: exp, its sum, the quotient. The gap itself is exact here.
        np.testing.assert_allclose(gradient[:, 1], -others / (1 + others), rtol=4 * np.finfo(dtype).eps)


def test_several_arguments_at_once(dtype, rng):
    variant, *_ = variants("cross_entropy", target="class probabilities", reduction="mean", weight=True)
    call = variant.call(rng, (5, 4), dtype)
    value, (of_input, of_target) = call.value_and_grad((0, 1))
    assert value == call.value()
    np.testing.assert_array_equal(of_input, call.value_and_grad(0)[1])
    np.testing.assert_array_equal(of_target, call.value_and_grad(1)[1])
    pulled = call.vjp((1, 0))[1](np.ones((), dtype))
    np.testing.assert_array_equal(pulled[0], of_target)
    np.testing.assert_array_equal(pulled[1], of_input)


def test_several_gradients_over_their_own_arguments(dtype, rng):
    """The first gradient must not be written over what the second is computed from."""
    variant, *_ = variants("cross_entropy", target="class probabilities", reduction="mean", weight=True)
    call = variant.call(rng, (5, 4), dtype)
    _, expected = call.value_and_grad((0, 1))
    for way in ("value_and_grad", "vjp"):
        x, q = (array.copy() for array in call.args)
        over = call._replace(args=(x, q))
        if way == "vjp":
            over.vjp((0, 1))[1](np.ones((), dtype), out=(x, q))
        else:
            over.value_and_grad((0, 1), out=(x, q))
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(q, expected[1])


def test_a_pullback_is_linear_and_can_be_called_again(dtype, rng):
    call = variants("cross_entropy", target="class indices", reduction="none")[0].call(rng, (6, 4), dtype)
    _, pullback = call.vjp()
    g = flowing_in(np.shape(call.value()), dtype)
    first = pullback(g)
    np.testing.assert_array_equal(pullback(2 * g), 2 * first)  # a power of two is exact
    np.testing.assert_array_equal(pullback(g), first)


def test_the_gradient_of_float32_logits_against_float64_probabilities_is_float32(rng):
    x, q = cases.logits(rng, (5, 4), np.float32), rng.dirichlet(np.ones(4), 5)
    value, (of_input, of_target) = crossent.value_and_grad(F.cross_entropy, (0, 1))(x, q)
    assert (value.dtype, of_input.dtype, of_target.dtype) == (np.float64, np.float32, np.float64)
    wide = crossent.grad(F.cross_entropy)(x.astype(np.float64), q)
    np.testing.assert_array_equal(of_input, wide.astype(np.float32))


def test_value_and_grad_refuses_a_result_that_is_not_a_scalar(rng):
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    with pytest.raises(TypeError, match=r"scalar.*cross_entropy.*\(5,\).*vjp"):
        crossent.value_and_grad(F.cross_entropy)(x, y, reduction="none")
    with pytest.raises(TypeError, match="vjp"):
        crossent.grad(F.softmax)(x, 1)
