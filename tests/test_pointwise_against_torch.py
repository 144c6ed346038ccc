"""The losses of elements and of margins in torch 2.13 and here: value, gradients, dtype, shape, warnings, error type.

Over the product of options, four dtypes, broadcast and empty shapes, special numbers. What differs on purpose is marked in
``special_pointwise.py`` or has a test of its own at the end.
"""

import warnings

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from cases_pointwise import POINTWISE, pointwise_variants
from gradients import flowing_in
from special_pointwise import SPECIAL
from test_against_torch import ERRORS

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides", "ignore:Using a target size")

SHAPES = [(1,), (7,), (4, 6), (1, 5), (5, 1), (2, 3, 4), (2, 3, 2, 2)]
EMPTY = [(0,), (0, 3), (3, 0), (2, 0, 3)]
TORCHVISION = {"sigmoid_focal_loss"}


def tensor(torch, thing, differentiate=False):
    if not isinstance(thing, (np.ndarray, np.generic)):
        return thing
    array = np.asarray(thing)
    is_bfloat16 = array.dtype.name == "bfloat16"
    made = torch.tensor(array.astype(np.float32)).to(torch.bfloat16) if is_bfloat16 else torch.tensor(array)
    return made.requires_grad_() if differentiate and made.is_floating_point() else made


def array_of(result):
    """A tensor's numbers in float64, and its dtype's name."""
    name = str(result.dtype).removeprefix("torch.")
    return result.detach().double().numpy(), name


def focal_loss(torch, inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """torchvision's formula, which is not part of torch."""
    p = torch.sigmoid(inputs)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = loss * ((1 - p_t) ** gamma)
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return loss if reduction == "none" else getattr(loss, reduction)()


def there(torch, case, args, kwargs, numbers, flow=True):
    function = torch
    for part in case.torch.split("."):
        function = getattr(function, part, None)
    if case.name in TORCHVISION:
        function = lambda *a, **k: focal_loss(torch, *a, **k)  # noqa: E731
    tensors = [tensor(torch, arg, number in numbers) for number, arg in enumerate(args)]
    value = function(*tensors, **{name: tensor(torch, arg) for name, arg in kwargs.items()})
    if flow:
        value.backward(torch.tensor(flowing_in(tuple(value.shape))).to(value.dtype))
    gradients = [array_of(tensors[n].grad) if getattr(tensors[n], "grad", None) is not None else None for n in numbers]
    return array_of(value), gradients


def here(case, args, kwargs, numbers):
    value, pullback = crossent.vjp(case.function, *args, argnums=numbers, **kwargs)
    return value, pullback(flowing_in(value.shape, value.dtype))


def widened(thing):
    return thing.astype(np.float64) if isinstance(thing, np.ndarray) and thing.dtype.kind not in "iub" else thing


# Meaning, not accuracy: torch's own arithmetic in float64 on the same numbers, to some units of the result's dtype.
# The 1e-12 in the gradient of binary_cross_entropy is a float32 in torch, 4e-9 off.
TOLERANCE = {"float64": (5e-9, 1e-12), "float32": (2e-5, 1e-6), "float16": (4e-3, 1e-5), "bfloat16": (3e-2, 1e-5)}


def assert_close(got, wide, name, differs=False):
    rtol, atol = TOLERANCE[name]
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.where(np.isfinite(wide), wide.astype(got.dtype).astype(np.float64), wide)
        got = np.where(differs, expected, got.astype(np.float64))
        if name.endswith("16"):  # the gradient that flows in is rounded too
            atol += rtol * np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def compare(torch, case, args, kwargs, differs=False, numbers=None):
    numbers = tuple(range(len(case.differentiable))) if numbers is None else numbers
    numbers = tuple(n for n in numbers if isinstance(args[n], np.ndarray))
    (_, name), gradients = there(torch, case, args, kwargs, numbers)
    wide = there(torch, case, [*map(widened, args)], {key: widened(arg) for key, arg in kwargs.items()}, numbers)
    value, ours = here(case, args, kwargs, numbers)
    assert value.dtype.name == name
    assert value.shape == wide[0][0].shape
    assert_close(value, wide[0][0], name, differs if value.shape else False)
    for got, theirs, exact, number in zip(ours, gradients, wide[1], numbers, strict=True):
        assert got.dtype.name == theirs[1]
        assert got.shape == args[number].shape
        assert_close(got, exact[0], theirs[1], differs)


@pytest.mark.parametrize("variant", pointwise_variants(), ids=str)
def test_every_option(torch, variant, any_dtype, rng):
    case = variant.case
    if "margin" in case.name and any_dtype.itemsize == 2 and case.dimensions == (1, 2):
        return  # torch has none of 16 bits
    for shape in SHAPES + EMPTY:
        if not case.takes(shape) or (0 in shape and case.dimensions == (1, 2)):
            continue
        if 0 in shape and variant.options.get("broadcast") and variant.options.get("full"):
            continue  # torch: nan as the gradient of a target that no element has
        call = variant.call(rng, shape, any_dtype)
        compare(torch, case, call.args, call.kwargs)


SPECIALS = [(name, special) for name, specials in SPECIAL.items() for special in specials]


@pytest.mark.parametrize(("name", "special"), SPECIALS, ids=[f"{name} {i}" for i, (name, _) in enumerate(SPECIALS)])
def test_special_numbers(torch, isa, name, special):
    kwargs = dict(special.kwargs)
    if name not in ("logsigmoid", "sigmoid", "softmin"):
        kwargs["reduction"] = "none"
    differs = special.differs
    if name == "multilabel_soft_margin_loss":
        (value, ours), case = here(POINTWISE[name], special.args, kwargs, (0,)), POINTWISE[name]
        (exact, _), gradients = there(torch, case, special.args, kwargs, (0,))
        assert_close(value, exact, "float64", differs)
        assert_close(ours[0][:, 0], gradients[0][0][:, 0], "float64", differs)
        return
    compare(torch, POINTWISE[name], special.args, kwargs, differs)


def outcome(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except (RuntimeError, NotImplementedError, ValueError, TypeError, IndexError) as error:
            return error, None, []
    return None, result, [(w.category, str(w.message)) for w in caught]


MIXED = [
    "mse_loss",
    "smooth_l1_loss",
    "l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "kl_div",
    "hinge_embedding_loss",
    "poisson_nll_loss",
]


@pytest.mark.parametrize("name", MIXED)
def test_mixed_dtypes(torch, name, any_dtype, rng):
    case = POINTWISE[name]
    call = pointwise_variants(name, reduction="sum")[0].call(rng, (4, 6), any_dtype)
    call = call._replace(args=(call.args[0], np.abs(call.args[1])))
    for other in ["float32", "float64", "float16", any_dtype, "int64", "uint8", "bool"]:
        args = (call.args[0], call.args[1].astype(other))
        theirs, (expected, _) = None, (None, None)
        try:
            expected, _ = there(torch, case, args, call.kwargs, (), flow=False)
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
            theirs = error
        if theirs is not None:
            with pytest.raises((ValueError, TypeError), match=r"."):
                case.function(*args, **call.kwargs)
            continue
        value = case.function(*args, **call.kwargs)
        assert value.dtype.name == expected[1], other
        wide, _ = there(torch, case, [*map(widened, args)], {k: widened(v) for k, v in call.kwargs.items()}, (), flow=False)
        assert_close(np.asarray(value), wide[0], value.dtype.name)


x, y, p = np.full((3, 4), 0.25, np.float32), np.ones((3, 4), np.float32), np.full((3, 4), 0.5, np.float32)
one = np.float32(1)
WRONG = {
    "another size": ("binary_cross_entropy_with_logits", (x, y[:2]), {}),
    "another size, probabilities": ("binary_cross_entropy", (p, y[:2]), {}),
    "another dtype": ("binary_cross_entropy", (p, y.astype(np.float64)), {}),
    "an input above 1": ("binary_cross_entropy", (p + one, y), {}),
    "an input of nan": ("binary_cross_entropy", (p * np.float32(np.nan), y), {}),
    "a target below 0": ("binary_cross_entropy", (p, y - 2), {}),
    "integers": ("binary_cross_entropy_with_logits", (x, y.astype(int)), {}),
    "a weight that is too large": ("binary_cross_entropy_with_logits", (x, y), {"weight": np.ones((2, 3, 4), np.float32)}),
    "a weight of another size": ("binary_cross_entropy_with_logits", (x, y), {"weight": np.ones(3, np.float32)}),
    "a pos_weight of another size": ("binary_cross_entropy_with_logits", (x, y), {"pos_weight": np.ones(3, np.float32)}),
    "a weight of another size, probabilities": ("binary_cross_entropy", (p, y), {"weight": np.ones(3, np.float32)}),
    "sizes that do not fit": ("mse_loss", (x, y[:2]), {}),
    "sizes that do not fit, l1": ("l1_loss", (x, y[:2]), {}),
    "sizes that do not fit, kl": ("kl_div", (x, y[:2]), {}),
    "sizes that do not fit, hinge": ("hinge_embedding_loss", (x, y[:2]), {}),
    "sizes that do not fit, poisson": ("poisson_nll_loss", (x, y[:2]), {}),
    "sizes that do not fit, soft margin": ("soft_margin_loss", (x, y[:2]), {}),
    "a target that is too large": ("soft_margin_loss", (x[0], y), {}),
    "a weight that is too small": ("mse_loss", (x, y), {"weight": y[0]}),
    "delta of 0": ("huber_loss", (x, y), {"delta": 0.0}),
    "delta of nan": ("huber_loss", (x, y), {"delta": float("nan")}),
    "beta below 0": ("smooth_l1_loss", (x, y), {"beta": -1.0}),
    "an unknown reduction": ("mse_loss", (x, y), {"reduction": "avg"}),
    "batchmean elsewhere": ("mse_loss", (x, y), {"reduction": "batchmean"}),
    "an unknown reduction, kl": ("kl_div", (x, y), {"reduction": "avg"}),
    "integers in kl": ("kl_div", (x.astype(int), y), {}),
    "an integer target in kl": ("kl_div", (x, y.astype(int)), {}),
    "integers in mse": ("mse_loss", (x.astype(int), y.astype(int)), {}),
    "integers in logsigmoid": ("logsigmoid", (x.astype(int),), {}),
    "a negative variance": ("gaussian_nll_loss", (x, y, -y), {}),
    "a variance of another size": ("gaussian_nll_loss", (x, y, np.ones(4, np.float32)), {}),
    "a variance with too many axes": ("gaussian_nll_loss", (x, y, np.ones((2, 3, 4), np.float32)), {}),
    "a negative number as variance": ("gaussian_nll_loss", (x, y, -1.0), {}),
    "an unknown reduction, gauss": ("gaussian_nll_loss", (x, y, y), {"reduction": "avg"}),
    "p of 3": ("multi_margin_loss", (x, np.zeros(3, int)), {"p": 3}),
    "a class too high": ("multi_margin_loss", (x, np.full(3, 4)), {}),
    "a class below 0": ("multi_margin_loss", (x, np.full(3, -1)), {}),
    "too few targets": ("multi_margin_loss", (x, np.zeros(2, int)), {}),
    "too few weights": ("multi_margin_loss", (x, np.zeros(3, int)), {"weight": y[0, :3]}),
    "three dimensions": ("multi_margin_loss", (np.ones((2, 3, 4), np.float32), np.zeros(2, int)), {}),
    "labels of another size": ("multilabel_margin_loss", (x, np.zeros((2, 4), int)), {}),
    "a label too high": ("multilabel_margin_loss", (x, np.full((3, 4), 4)), {}),
    "a label too high behind the end": ("multilabel_margin_loss", (x[0], np.array([0, -1, 9, 0])), {}),
    "no axis": ("multilabel_soft_margin_loss", (one, one), {}),
    "softmin of integers": ("softmin", (x.astype(int), 1), {}),
    "an axis too high": ("softmin", (x, 2), {}),
}


@pytest.mark.parametrize("wrong", list(WRONG.values()), ids=WRONG)
def test_what_torch_refuses_is_refused(torch, wrong):
    name, args, kwargs = wrong
    error, *_ = outcome(lambda: there(torch, POINTWISE[name], args, kwargs, (), flow=False))
    assert error is not None
    ours, *_ = outcome(lambda: POINTWISE[name].function(*args, **kwargs))
    assert isinstance(ours, (*ERRORS[type(error).__name__], IndexError)), (ours, error)


CALLS_THAT_WARN = {
    "sizes that broadcast": ("mse_loss", (x, y[:1]), {}),
    "sizes that broadcast, l1": ("l1_loss", (x, y[0]), {}),
    "sizes that broadcast, smooth": ("smooth_l1_loss", (x[:1], y), {}),
    "sizes that broadcast, huber": ("huber_loss", (x, y[0]), {}),
    "a mean of kl_div": ("kl_div", (x, p), {}),
    "older arguments of kl_div": ("kl_div", (x, p), {"size_average": False}),
    "older arguments of bce": ("binary_cross_entropy", (p, y), {"reduce": False}),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("call", list(CALLS_THAT_WARN.values()), ids=CALLS_THAT_WARN)
def test_warnings_are_torch_s(torch, call):
    name, args, kwargs = call
    _, (theirs, _), expected = outcome(lambda: there(torch, POINTWISE[name], args, kwargs, (), flow=False))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = POINTWISE[name].function(*args, **kwargs)
    assert [(w.category, str(w.message)) for w in caught] == expected
    assert all(w.filename == __file__ for w in caught)
    assert_close(np.asarray(value), theirs[0], "float32")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss"])
def test_broadcast_shapes_and_their_gradients(torch, name, reduction, rng):
    case = POINTWISE[name]
    for one_shape, other in [((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((2, 1, 4), (3, 1)), ((), (3,)), ((3,), ())]:
        args = rng.uniform(0.1, 0.9, one_shape), rng.uniform(0.1, 0.9, other)
        compare(torch, case, tuple(map(np.asarray, args)), {"reduction": reduction})


def test_infinite_logits_have_the_limit_of_the_loss():
    """torch: nan, from infinity minus infinity."""
    x, y = np.array([np.inf, -np.inf, -np.inf, np.inf]), np.array([1.0, 0.0, 1.0, 0.0])
    value, pullback = crossent.vjp(F.binary_cross_entropy_with_logits, x, y, reduction="none")
    np.testing.assert_array_equal(value, [0, 0, np.inf, np.inf])
    np.testing.assert_array_equal(pullback(np.ones(4)), [0, 0, -1, 1])


def test_soft_margin_is_linear_far_out():
    """torch: inf, and a gradient of nan, above 88 in float32."""
    value, pullback = crossent.vjp(F.soft_margin_loss, np.float32([200, -1e30]), np.float32([-1, 1]), reduction="none")
    np.testing.assert_array_equal(value, np.float32([200, 1e30]))
    np.testing.assert_array_equal(pullback(np.ones(2, np.float32)), [1, -1])


def test_a_target_of_0_forgives_an_impossible_event():
    """torch: nan, from 0 times infinity."""
    value, pullback = crossent.vjp(F.kl_div, np.array([-np.inf, 0.0]), np.array([0.0, 1.0]), reduction="none")
    np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(pullback(np.ones(2)), [0, -1])
