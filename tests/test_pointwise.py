"""Losses of elements and of margins against their references: every option, dtype and instruction set; values, gradients."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest

import crossent
import crossent.nn as nn
from cases import each_isa
from cases_pointwise import POINTWISE, pointwise_variants
from gradients import flowing_in, fourth_order_difference
from reference import assert_within, unit

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
each_variant = pytest.mark.parametrize("variant", pointwise_variants(), ids=str)

# 0 to 4 vectors of AVX-512 and a tail, a piece of 1024 elements and its neighbours; one number; more dimensions.
SHAPES = [(), (1,), (7,), (16,), (33,), (3, 5), (65,), (4, 17), (1023,), (1025,), (3, 700), (2, 3, 5), (2, 1, 3, 4)]


def allowed(exact, condition, units, dtype):
    """So many units of the type that is computed in; of 16 bits half a unit more, for the one rounding at the end."""
    real = np.float64 if dtype == np.float64 else np.float32
    rounding = 0.5001 * unit(exact, dtype) if dtype.itemsize == 2 else 0
    return units * unit(condition, real) + rounding


def calls(variant, rng, dtype, shapes=SHAPES):
    for shape in shapes:
        if variant.case.takes(shape) and (shape or not variant.options.get("broadcast")):
            try:
                yield variant.call(rng, shape, dtype)
            except IndexError:  # a maker that needs an axis
                assert shape == ()


@each_variant
def test_values(variant, any_dtype, rng):
    for call in calls(variant, rng, any_dtype):
        exact = call.exact()
        for _isa in each_isa():
            value = call.value()
            assert value.dtype == any_dtype
            assert isinstance(value, np.ndarray if exact.value.ndim else np.generic)
            assert_within(value, exact.value, allowed(exact.value, exact.condition, variant.case.value_units, any_dtype))


@each_variant
def test_gradients(variant, any_dtype, rng):
    for call in calls(variant, rng, any_dtype):
        exact = call.exact()
        g = flowing_in(exact.value.shape, any_dtype)
        for number, name in enumerate(variant.case.differentiable):
            if np.ndim(call.args[number]) == 0 and not isinstance(call.args[number], np.ndarray):
                continue  # a variance that is a plain number
            gradient, condition = exact.gradients[name](g), exact.gradient_conditions[name](g)
            bound = allowed(gradient, condition, variant.case.gradient_units, any_dtype)
            for _isa in each_isa():
                pullback = crossent.vjp(call.case.function, *call.args, argnums=number, **call.kwargs)[1]
                got = pullback(g)
                assert got.dtype == any_dtype
                assert_within(got, gradient, bound)


@each_variant
def test_one_pass_is_two_passes_and_every_out_has_the_same_bits(variant, isa, any_dtype, rng):
    function = variant.case.function
    for call in calls(variant, rng, any_dtype, [(7,), (4, 17), (3, 700)]):
        value, pullback = crossent.vjp(function, *call.args, **call.kwargs)
        out = np.empty_like(value)
        assert call.value(out=out) is out
        np.testing.assert_array_equal(out, value)
        g = flowing_in(value.shape, value.dtype)
        gradient, over = pullback(g), call.args[0].copy()
        given = np.empty_like(gradient)
        assert pullback(g, out=given) is given
        np.testing.assert_array_equal(given, gradient)
        crossent.vjp(function, over, *call.args[1:], **call.kwargs)[1](g, out=over)
        np.testing.assert_array_equal(over, gradient)
        if variant.is_scalar:
            both = crossent.value_and_grad(function)(*call.args, **call.kwargs)
            np.testing.assert_array_equal(both[0], value)
            np.testing.assert_array_equal(both[1], pullback(np.ones((), any_dtype)))


# Far from corners, and from 0 and 1 where there are logarithms: a step of 1e-3 must not meet them.
SMOOTH = {
    "mse_loss": {},
    "huber_loss": {"delta": 0.5},
    "smooth_l1_loss": {"beta": 0.5},
    "binary_cross_entropy_with_logits": {},
    "multilabel_soft_margin_loss": {},
    "soft_margin_loss": {},
    "logsigmoid": {},
    "sigmoid": {},
    "softmin": {"dim": 0},
    "sigmoid_focal_loss": {"gamma": 1.5},
    "gaussian_nll_loss": {"full": True},
    "poisson_nll_loss": {"full": True},
    "kl_div": {"reduction": "sum"},
    "binary_cross_entropy": {},
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_differences_of_values(name, isa, rng):
    case = POINTWISE[name]
    x, y = rng.uniform(0.3, 0.7, 6), rng.uniform(0.3, 0.7, 6)
    if name in ("huber_loss", "smooth_l1_loss"):
        x = y + np.array([0.1, -0.2, 1.0, -2.0, 0.3, 5.0])
    if name == "poisson_nll_loss":
        y = y + np.array([0, 1, 2, 3, 0, 9])
    args = (x, y, rng.uniform(1, 2, 6))[: max(len(case.differentiable), 2)]
    if name in ("logsigmoid", "sigmoid", "softmin"):
        args = (x,)
    call = pointwise_variants(name)[0].call(rng, (6,), np.float64)._replace(args=args, kwargs=SMOOTH[name])
    for number in range(len(case.differentiable)):
        value, pullback = crossent.vjp(case.function, *args, argnums=number, **call.kwargs)
        g = flowing_in(value.shape, value.dtype)
        np.testing.assert_allclose(
            pullback(g),
            fourth_order_difference(partial(case.function, **call.kwargs), args, number, g),
            rtol=1e-9,
            atol=1e-9,
        )


WEIGHTED = {"mse_loss": 5, "l1_loss": 5, "huber_loss": 4, "multilabel_soft_margin_loss": 2}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_gradients_of_weights_are_differences_of_values(name, reduction, rng):
    function = POINTWISE[name].function
    x, y, w = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(1, 2, (3, 4))
    arguments = {"reduction": reduction}
    order = list(crossent.nn.functional.mse_loss.parameters) if name == "mse_loss" else list(function.parameters)
    assert order[WEIGHTED[name]] == "weight"
    given = [x, y, *([None] * (WEIGHTED[name] - 2)), w]
    defaults = {"delta": 1.0, "reduction": reduction}
    given[2:-1] = [defaults.get(parameter) for parameter in order[2 : WEIGHTED[name]]]
    arguments = {} if "reduction" in order[: WEIGHTED[name]] else {"reduction": reduction}
    value, pullback = crossent.vjp(function, *given, argnums=WEIGHTED[name], **arguments)
    g = flowing_in(value.shape, value.dtype)
    slopes = fourth_order_difference(partial(function, **arguments), given, WEIGHTED[name], g)
    np.testing.assert_allclose(pullback(g), slopes, rtol=1e-9, atol=1e-9)


CLASSES = {
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "HingeEmbeddingLoss": "hinge_embedding_loss",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "L1Loss": "l1_loss",
    "LogSigmoid": "logsigmoid",
    "MSELoss": "mse_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "MultiMarginLoss": "multi_margin_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "Sigmoid": "sigmoid",
    "SmoothL1Loss": "smooth_l1_loss",
    "SoftMarginLoss": "soft_margin_loss",
    "Softmin": "softmin",
}
NO_OPTION = {"MSELoss": {"weight"}, "L1Loss": {"weight"}, "HuberLoss": {"weight"}}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_its_function(name, any_dtype, rng):
    for variant in pointwise_variants(CLASSES[name]):
        for call in calls(variant, rng, any_dtype, [(4,), (3, 5)]):
            if call.kwargs.keys() & NO_OPTION.get(name, set()):
                continue
            value, pullback = crossent.vjp(call.case.function, *call.args, **call.kwargs)
            module = getattr(nn, name)(**call.kwargs)
            np.testing.assert_array_equal(module(*call.args), value)
            g = flowing_in(value.shape, value.dtype)
            np.testing.assert_array_equal(module.backward(g), pullback(g))
            twin = pickle.loads(pickle.dumps(copy.deepcopy(module)))
            np.testing.assert_array_equal(twin(*call.args), value)


def test_softmax2d_is_softmax_over_channels(any_dtype, rng):
    for shape in [(3, 4, 5), (2, 3, 4, 5)]:
        x, module = rng.normal(size=shape).astype(any_dtype), nn.Softmax2d()
        np.testing.assert_array_equal(module(x), nn.functional.softmax(x, -3))
        assert repr(module) == "Softmax2d()"
        assert module.backward(np.ones_like(x)).shape == shape
    with pytest.raises(ValueError, match="Softmax2d: expected input to be 3D or 4D, got 2D instead"):
        nn.Softmax2d()(np.ones((2, 3)))


# --- what the docstrings say of accuracy, for targets that are sure: units in the last place of float32


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sign_of(y):
    """1 for a target of 1, -1 for one of 0 or -1"""
    return np.where(y == 1, 1.0, -1.0)


PROMISED = {  # how inputs and targets are made; value and derivative in float64; how far they may be, or None
    "sigmoid": ("logits", None, lambda x, y: logistic(x), lambda x, y: logistic(x) * logistic(-x), (2, 2)),
    "logsigmoid": ("logits", None, lambda x, y: -softplus(-x), lambda x, y: logistic(-x), (2, 2)),
    "binary_cross_entropy_with_logits": (
        "logits",
        (0, 1),
        lambda x, y: softplus(-sign_of(y) * x),
        lambda x, y: -sign_of(y) * logistic(-sign_of(y) * x),
        (2, 2),
    ),
    "soft_margin_loss": ("logits", (-1, 1), lambda x, y: softplus(-y * x), lambda x, y: -y * logistic(-y * x), (2, 2)),
    "sigmoid_focal_loss": (
        "logits",
        (0, 1),
        lambda x, y: np.where(y == 1, 0.25, 0.75) * softplus(-sign_of(y) * x) * logistic(-sign_of(y) * x) ** 2,
        None,
        (12, None),
    ),
    "binary_cross_entropy": (
        "probabilities",
        (0, 1),
        lambda x, y: -np.maximum(np.where(y == 1, np.log(x), np.log1p(-x)), -100),
        None,
        (1, None),
    ),
    "mse_loss": ("logits", (-1, 0, 3), lambda x, y: (x - y) ** 2, lambda x, y: 2 * (x - y), (2, 1)),
    "l1_loss": ("logits", (-1, 0, 3), lambda x, y: np.abs(x - y), lambda x, y: np.sign(x - y), (1, 1)),
}


@pytest.mark.parametrize("name", PROMISED)
@np.errstate(all="ignore")
def test_what_the_docstrings_promise(name, isa, rng):
    kind, targets, exact_value, exact_slope, (of_value, of_slope) = PROMISED[name]
    x = np.concatenate([rng.normal(scale=5, size=100_000), rng.uniform(-110, 110, 100_000)]).astype(np.float32)
    if kind == "probabilities":
        x = np.concatenate([rng.uniform(size=100_000), 10 ** rng.uniform(-38, 0, 100_000), [0, 1]]).astype(np.float32)
    y = None if targets is None else rng.choice(np.array(targets, np.float32), x.size)
    args, options = ((x,), {}) if y is None else ((x, y), {"reduction": "none"})
    value, pullback = crossent.vjp(getattr(crossent.nn.functional, name), *args, **options)
    wide = [None if a is None else a.astype(np.float64) for a in (x, y)]
    exact = exact_value(*wide)
    assert_within(value, exact, of_value * unit(exact, np.float32))
    if exact_slope is not None:
        slope = exact_slope(*wide)
        assert_within(pullback(np.ones_like(value)), slope, of_slope * unit(slope, np.float32))


def test_no_warning_of_numpy_escapes():
    """pytest makes errors of them. Integers that float16 has not, sums of infinities, over the batch and of weights."""
    x = np.ones(2, np.float16)
    opposite = np.array([np.inf, -np.inf], np.float16)
    assert np.isinf(nn.functional.mse_loss(x, np.full(2, 65535, np.uint16)))
    assert np.isnan(nn.functional.l1_loss(x, x + 1, weight=opposite))
    gradient = crossent.vjp(nn.functional.poisson_nll_loss, opposite[:, None], x[:1], argnums=1, reduction="none")[1]
    assert np.isnan(gradient(np.ones((2, 1), np.float16)))
