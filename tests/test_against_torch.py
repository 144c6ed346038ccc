"""The same call in torch 2.13 and here: value, gradient, dtype, shape and error type over the product of options.

Accuracy is tested elsewhere; here it is the meaning that counts. What differs on purpose stands in ``DIFFERENCES``.
"""

import warnings
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

import cases
import crossent
import crossent.nn as nn
import crossent.nn.functional as F
from gradients import flowing_in

SHAPES = [(5,), (1,), (6, 5), (1, 5), (6, 1), (4, 5, 3), (2, 5, 3, 2), (2, 5, 1, 2, 2)]
EMPTY_SHAPES = [(0, 5), (0, 5, 2), (2, 5, 0), (2, 5, 0, 3)]

# An exception of torch's, and what may stand for it here.
ERRORS = {
    "RuntimeError": (ValueError, TypeError),
    "NotImplementedError": (TypeError,),
    "IndexError": (IndexError,),
    "ValueError": (ValueError,),
    "TypeError": (TypeError,),
}


class Outcome(NamedTuple):
    value: Any = None
    gradients: tuple[Any, ...] = ()
    error: Exception | None = None


def here(function, args, kwargs, argnums, flow=flowing_in):
    try:
        value, pullback = crossent.vjp(function, *args, argnums=argnums, **kwargs)
        return Outcome(value, pullback(flow(value.shape, value.dtype)))
    except (ValueError, TypeError, IndexError) as error:
        return Outcome(error=error)


def as_tensor(torch, thing, differentiate=False):
    """An array or scalar of NumPy as a tensor; anything else as it is."""
    if not isinstance(thing, (np.ndarray, np.generic)):
        return thing
    return torch.tensor(np.asarray(thing)).requires_grad_(differentiate)


def there(torch, name, args, kwargs, argnums, flow=flowing_in):
    function = torch
    for part in name.split("."):
        function = getattr(function, part)
    tensors = [as_tensor(torch, arg, number in argnums) for number, arg in enumerate(args)]
    try:
        value = function(*tensors, **{key: as_tensor(torch, arg) for key, arg in kwargs.items()})
        if argnums:
            value.backward(torch.tensor(flow(tuple(value.shape), value.detach().numpy().dtype)))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return Outcome(error=error)
    return Outcome(value.detach().numpy(), tuple(tensors[number].grad.numpy() for number in argnums))


def assert_same(ours, theirs, wide=None):
    """The same shape, dtype and nan as torch; the same numbers as `wide`, which is torch in float64."""
    if theirs.error is not None:
        assert isinstance(ours.error, ERRORS[type(theirs.error).__name__]), (ours, theirs.error)
        return
    assert ours.error is None, (ours.error, theirs.value)
    wide = wide or theirs
    for got, model, exact in zip(
        (ours.value, *ours.gradients), (theirs.value, *theirs.gradients), (wide.value, *wide.gradients), strict=True
    ):
        assert (got.dtype, got.shape) == (model.dtype, model.shape)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(model))
        # Meaning, not accuracy: 1e-5 is some hundred ULP of float32. torch itself has 1e-14 beside numbers near 20.
        rtol, atol = (1e-5, 1e-6) if got.dtype == np.float32 else (1e-12, 1e-13)
        np.testing.assert_allclose(got, np.where(np.isfinite(model), exact, model), rtol=rtol, atol=atol)


def widened(thing):
    return thing.astype(np.float64) if isinstance(thing, np.ndarray) and thing.dtype == np.float32 else thing


def compare(torch, name, args, kwargs, argnums=(0,)):
    """One call, in torch as it is and in float64."""
    function = cases.CASES[name].function
    path = cases.CASES[name].torch
    ours, theirs = here(function, args, kwargs, argnums), there(torch, path, args, kwargs, argnums)
    wide = there(torch, path, [*map(widened, args)], {key: widened(arg) for key, arg in kwargs.items()}, argnums)
    assert_same(ours, theirs, wide)
    return ours


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
@pytest.mark.parametrize("weight", [False, True], ids=["without weights", "with weights"])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_losses_of_class_indices(torch, name, weight, reduction, dtype, rng):
    smoothings = (0.0, 0.1, 1.0) if name == "cross_entropy" else (None,)
    seen = set()
    for shape, ignored, smoothing in product(SHAPES + EMPTY_SHAPES, (None, -100, 1, -1, 255), smoothings):
        options = {"weight": weight, "reduction": reduction, "ignore_index": ignored}
        if smoothing is not None:
            options["label_smoothing"] = smoothing
        args, kwargs = cases.loss_arguments(rng, shape, dtype, None, options)
        for target in (args[1], np.full_like(args[1], -100 if ignored is None else ignored)):
            outcome = compare(torch, name, (args[0], target), kwargs)
            assert outcome.error is None
            seen.add("nan" if np.isnan(outcome.value).any() else "number")
    assert seen == ({"nan", "number"} if reduction == "mean" else {"number"})


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
@pytest.mark.parametrize("weight", [False, True], ids=["without weights", "with weights"])
def test_cross_entropy_of_class_probabilities(torch, weight, reduction, dtype, rng):
    for shape, ignored, smoothing in product(SHAPES + EMPTY_SHAPES, (None, -100, -1, 1), (0.0, 0.1, 1.0)):
        options = {"target": "class probabilities", "weight": weight, "reduction": reduction, "label_smoothing": smoothing}
        args, kwargs = cases.loss_arguments(rng, shape, dtype, None, options)
        if ignored is not None:
            kwargs["ignore_index"] = ignored
        outcome = compare(torch, "cross_entropy", args, kwargs, argnums=(0, 1))
        assert (outcome.error is not None) == (ignored == 1)


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
def test_no_classes_at_all(torch, reduction, dtype):
    for shape in [(3, 0), (0,), (0, 0)]:
        positions, kwargs = shape[:-1], {"reduction": reduction}
        input = np.zeros(shape, dtype)
        for target in (np.full(positions, -100), np.full(positions, 0), input):
            compare(torch, "cross_entropy", (input, target), kwargs)
        compare(torch, "nll_loss", (input, np.full(positions, -100)), kwargs)


@pytest.mark.parametrize("types", list(product(["float32", "float64"], repeat=3)), ids=" ".join)
def test_dtypes_of_logits_probabilities_and_weights_mix(torch, types, rng):
    input, target, weight = types
    args, kwargs = cases.loss_arguments(rng, (6, 5), input, None, {"target": "class probabilities", "weight": True})
    kwargs["weight"] = kwargs["weight"].astype(weight)
    compare(torch, "cross_entropy", (args[0], args[1].astype(target)), kwargs, argnums=(0, 1))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_on_each_axis(torch, name, dtype, rng):
    for shape in [(), (1,), (7,), (3, 5), (3, 5, 2), (2, 3, 4, 5), (0,), (3, 0), (0, 3), (2, 0, 3)]:
        input = rng.normal(scale=3, size=shape).astype(dtype)
        for dim in range(-len(shape) - 2, len(shape) + 2):
            compare(torch, name, (input,), {"dim": dim})


def test_logsumexp_on_each_axis(torch, dtype, rng):
    for shape in [(), (1,), (7,), (3, 5), (3, 5, 2), (0,), (3, 0), (0, 3)]:
        input = rng.normal(scale=3, size=shape).astype(dtype)
        dims = [*range(-len(shape) - 2, len(shape) + 2), (0,), (0, 1), (-1, 0), (0, 0), (0, 5)]
        for dim, keepdim in product(dims, (False, True)):
            compare(torch, "logsumexp", (input,), {"dim": dim, "keepdim": keepdim})


ROWS = {
    "-inf beside the target": [1.0, -np.inf, 2.0],
    "-inf at the target": [-np.inf, 1.0, 2.0],
    "-inf all along": [-np.inf] * 3,
    "+inf at the target": [np.inf, 1.0, 2.0],
    "+inf beside the target": [1.0, np.inf, 2.0],
    "+inf twice": [np.inf, np.inf, 2.0],
    "+inf and -inf": [np.inf, -np.inf, 2.0],
    "nan": [1.0, 2.0, np.nan],
    "nan and infinities": [np.nan, np.inf, -np.inf],
    "signed zeros": [0.0, -0.0, 0.0],
    "subnormal numbers": [1e-40, -1e-40, 0.0],
    "huge numbers": [1e30, -1e30, 1e30],
    "huge neighbours": [1e8, 1e8 - 16, 0.0],
    "the largest numbers": [3e38, -3e38, 0.0],
}
# Rows whose gradient of logsumexp differs on purpose: see DIFFERENCES.
INFINITE = {name for name, row in ROWS.items() if np.inf in row and np.nan not in row}
DIFFERENT_LOGSUMEXP = {"huge numbers", "huge neighbours"} | INFINITE


@pytest.mark.parametrize("row", list(ROWS.values()), ids=ROWS)
@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
def test_special_logits(torch, row, reduction, dtype):
    input, weight = np.array([row, [1.0, 2.0, 3.0]], dtype), np.array([2.0, 0.5, 1.0], dtype)
    for smoothing, w in product((0.0, 0.1), (None, weight)):
        kwargs = {"reduction": reduction, "label_smoothing": smoothing, "weight": w}
        compare(torch, "cross_entropy", (input, np.array([0, 1])), kwargs)
        compare(torch, "cross_entropy", (input, np.array([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]], dtype)), kwargs)
    compare(torch, "nll_loss", (input, np.array([0, 1])), {"reduction": reduction, "weight": weight})


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_special_inputs_of_softmax(torch, name, row, dtype):
    argnums = () if name == "logsumexp" and row in DIFFERENT_LOGSUMEXP else (0,)
    compare(torch, name, (np.array([ROWS[row], [1.0, 2.0, 3.0]], dtype),), {"dim": 1}, argnums)


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
def test_special_weights(torch, reduction, dtype):
    input, target = np.array([[1.0, 2.0, 3.0], [-np.inf, 1.0, 2.0]], dtype), np.array([1, 0])
    for weight in ([0, 1, 1], [1, 0, 1], [0, 0, 0], [-1, 2, 1], [np.nan, 1, 1]):
        kwargs = {"weight": np.array(weight, dtype), "reduction": reduction}
        for rows in (slice(0, 1), slice(0, 2)):
            compare(torch, "cross_entropy", (input[rows], target[rows]), kwargs)
            compare(torch, "nll_loss", (input[rows], target[rows]), kwargs)


def test_one_hot(torch):
    for values, classes in product([[], [0], [2, 0], [[1], [3]], [-1, 0], 4], (-1, 0, 1, 4, 5, -2)):
        tensor = np.array(values, np.int64)
        try:
            theirs = torch.nn.functional.one_hot(torch.tensor(tensor), classes).numpy()
        except RuntimeError:
            with pytest.raises(ValueError, match=r"."):
                F.one_hot(tensor, classes)
        else:
            ours = F.one_hot(tensor, classes)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def recorded(call, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call(*args, **kwargs)
    return np.asarray(value), [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_older_arguments_and_their_warnings(torch, name, rng):
    input, target = rng.normal(size=(4, 3)), rng.integers(0, 3, 4)
    tensors = (torch.tensor(input), torch.tensor(target))
    older = [{"size_average": a, "reduce": b} for a, b in product((None, True, False), repeat=2)]
    for kwargs in [*older, {"reduction": "elementwise_mean"}]:
        ours, our_warnings = recorded(getattr(F, name), input, target, **kwargs)
        theirs, their_warnings = recorded(getattr(torch.nn.functional, name), *tensors, **kwargs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert our_warnings == their_warnings


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_implicit_axis_and_its_warning(torch, name, rng):
    for shape in [(), (3,), (3, 4), (3, 4, 2), (2, 3, 4, 2)]:
        input = rng.normal(size=shape)
        ours, our_warnings = recorded(getattr(F, name), input)
        theirs, their_warnings = recorded(getattr(torch.nn.functional, name), torch.tensor(input))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert our_warnings == their_warnings


def test_the_classes(torch, rng):
    input, target, weight = rng.normal(size=(4, 3)), np.array([0, 2, -100, 1]), rng.uniform(1, 2, 3)
    for name, kwargs, args in [
        ("CrossEntropyLoss", {"weight": weight, "label_smoothing": 0.2, "reduction": "sum"}, (input, target)),
        ("CrossEntropyLoss", {"ignore_index": 1}, (input, np.array([0, 2, 1, 1]))),
        ("NLLLoss", {"weight": weight}, (input, target)),
        ("Softmax", {"dim": 0}, (input,)),
        ("LogSoftmax", {"dim": 1}, (input,)),
    ]:
        ours = getattr(nn, name)(**kwargs)
        theirs = getattr(torch.nn, name)(**{key: as_tensor(torch, value) for key, value in kwargs.items()})
        tensors = [as_tensor(torch, arg, arg is input) for arg in args]
        value, expected = ours(*args), theirs(*tensors)
        np.testing.assert_allclose(value, expected.detach(), rtol=1e-12)
        g = flowing_in(value.shape, np.float64)
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(ours.backward(g), tensors[0].grad, rtol=1e-12, atol=1e-15)


x, w = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
WRONG_CALLS = {
    "a class above": ("cross_entropy", (x, np.array([0, 3])), {}),
    "a class below": ("cross_entropy", (x, np.array([-1, 0])), {}),
    "a class above under smoothing": ("cross_entropy", (x, np.array([0, 3])), {"label_smoothing": 0.1}),
    "a class above, one value each": ("cross_entropy", (x, np.array([0, 3])), {"reduction": "none"}),
    "a class above in nll_loss": ("nll_loss", (x, np.array([0, 3])), {}),
    "float classes": ("cross_entropy", (x, np.array([0.0, 1.0])), {}),
    "float classes in nll_loss": ("nll_loss", (x, np.array([0.0, 1.0])), {}),
    "bool classes": ("cross_entropy", (x, np.array([False, True])), {}),
    "integer probabilities": ("cross_entropy", (x, np.ones((2, 3), np.int64)), {}),
    "one row with one integer of its shape": ("cross_entropy", (x[0, :1], np.array([0])), {}),
    "probabilities and ignore_index": ("cross_entropy", (x, x), {"ignore_index": 1}),
    "probabilities in nll_loss": ("nll_loss", (x, x), {}),
    "smoothing above 1": ("cross_entropy", (x, np.array([0, 1])), {"label_smoothing": 1.5}),
    "too few rows": ("cross_entropy", (x, np.array([0])), {}),
    "too few rows in nll_loss": ("nll_loss", (x, np.array([0])), {}),
    "no rows": ("cross_entropy", (x, np.array(0)), {}),
    "two targets in a row": ("cross_entropy", (x, np.zeros((2, 2), int)), {}),
    "two targets for one row": ("cross_entropy", (x[0], np.array([0, 1])), {}),
    "other positions, 3-D": ("cross_entropy", (np.ones((2, 3, 4), np.float32), np.zeros((2, 3), int)), {}),
    "other positions, 4-D": ("cross_entropy", (np.ones((2, 3, 4, 4), np.float32), np.zeros((2, 4, 3), int)), {}),
    "no positions, 4-D": ("cross_entropy", (np.ones((2, 3, 4, 4), np.float32), np.zeros((2, 4), int)), {}),
    "other positions, 5-D": ("nll_loss", (np.ones((2, 3, 1, 1, 2), np.float32), np.zeros((2, 1, 1, 1), int)), {}),
    "too few weights": ("cross_entropy", (x, np.array([0, 1])), {"weight": w[:2]}),
    "too few weights, 4-D": ("cross_entropy", (np.ones((2, 3, 4, 4), np.float32), np.zeros((2, 4, 4), int)), {"weight": w[:2]}),
    "too few weights for probabilities": ("cross_entropy", (x, x), {"weight": w[:2]}),
    "weights for each row": ("cross_entropy", (x, np.array([0, 1])), {"weight": x}),
    "too few weights in nll_loss": ("nll_loss", (x, np.array([0, 1])), {"weight": w[:2]}),
    "integer logits": ("cross_entropy", (x.astype(int), np.array([0, 1])), {}),
    "complex logits": ("cross_entropy", (x.astype(complex), np.array([0, 1])), {}),
    "integers in nll_loss": ("nll_loss", (x.astype(int), np.array([0, 1])), {}),
    "a logit without an axis in nll_loss": ("nll_loss", (np.float32(1), np.array(0)), {}),
    "an unknown reduction": ("cross_entropy", (x, np.array([0, 1])), {"reduction": "avg"}),
    "the reduction of kl_div": ("cross_entropy", (x, np.array([0, 1])), {"reduction": "batchmean"}),
    "an ignore_index that is no integer": ("cross_entropy", (x, np.array([0, 1])), {"ignore_index": 1.5}),
    "an ignore_index beyond int64": ("cross_entropy", (x, np.array([0, 1])), {"ignore_index": 2**70}),
    "an unknown argument": ("cross_entropy", (x, np.array([0, 1])), {"axis": 1}),
    "no target": ("cross_entropy", (x,), {}),
    "integers in softmax": ("softmax", (x.astype(int),), {"dim": 1}),
    "bools in log_softmax": ("log_softmax", (x > 1,), {"dim": 1}),
    "softmax in integers": ("softmax", (x,), {"dim": 1, "dtype": int}),
    "an axis too high": ("log_softmax", (x,), {"dim": 2}),
    "an axis of 1.5": ("softmax", (x,), {"dim": 1.5}),
    "no axis": ("logsumexp", (x,), {}),
}  # fmt: skip


@pytest.mark.parametrize("wrong", list(WRONG_CALLS.values()), ids=WRONG_CALLS)
def test_what_torch_refuses_is_refused(torch, wrong):
    name, args, kwargs = wrong
    kwargs_there = {key: torch.int64 if value is int else value for key, value in kwargs.items()}
    theirs = there(torch, cases.CASES[name].torch, args, kwargs_there, (0,) if args[0].dtype.kind == "f" else ())
    assert theirs.error is not None
    assert_same(here(cases.CASES[name].function, args, kwargs, (0,)), theirs)


NAN, INF = np.float32(np.nan), np.float32(np.inf)
# What differs by decision: the call, what torch does, what happens here. A pair is (value, gradient), a type an error.
DIFFERENCES = {
    "classes of int32 are classes": (
        ("cross_entropy", (x[:1], np.array([2], np.int32)), {}), RuntimeError,
        (0.4076059, [[0.0900306, 0.2447285, -0.3347590]]),
    ),
    "classes of uint16 are classes": (
        ("nll_loss", (x, np.array([2, 0], np.uint16)), {"reduction": "sum"}), RuntimeError, (-5.0, [[0, 0, -1], [-1, 0, 0]]),
    ),
    "an ignored row is not looked at": (
        ("cross_entropy", (np.array([[NAN, INF], [0, 0]]), np.array([-100, 1])), {}),
        (0.6931472, [[NAN, NAN], [0.5, -0.5]]), (0.6931472, [[0, 0], [0.5, -0.5]]),
    ),
    "a tiny loss is not 0": (
        ("cross_entropy", (np.array([20, 0], np.float32), np.array(0)), {}), (0.0, [0.0, 2.0611537e-9]),
        (2.0611537e-9, [-2.0611537e-9, 2.0611537e-9]),
    ),
    "a probability of 0 forgives -inf": (
        ("cross_entropy", (np.array([[0, -INF]]), np.array([[1, 0]], np.float32)), {}),
        (NAN, [[0.0, 0.0]]), (0.0, [[0.0, 0.0]]),
    ),
    "negative smoothing is an error": (
        ("cross_entropy", (x[:1], np.array([2])), {"label_smoothing": -0.1}),
        (0.4076059, [[0.0900306, 0.2447285, -0.3347590]]), ValueError,
    ),
    "smoothing of nan is an error": (
        ("cross_entropy", (x[:1], np.array([2])), {"label_smoothing": float("nan")}),
        (0.4076059, [[0.0900306, 0.2447285, -0.3347590]]), ValueError,
    ),
    "weights of another dtype are converted": (
        ("cross_entropy", (x[:1], np.array([2])), {"weight": np.array([1.0, 1.0, 2.0])}), RuntimeError,
        (0.4076059, [[0.0900306, 0.2447285, -0.3347590]]),
    ),
    "a row with an infinity has no softmax, in the gradient of logsumexp either": (
        ("logsumexp", (np.array([INF, 0]),), {"dim": 0}), (INF, [NAN, 0]), (INF, [NAN, NAN]),
    ),
    "the gradient of logsumexp sums to 1": (
        ("logsumexp", (np.array([1e30, 1e30, 0]),), {"dim": 0}), (1e30, [1, 1, 0]), (1e30, [0.5, 0.5, 0]),
    ),
    "integers have no logsumexp": (("logsumexp", (np.array([0, 0]),), {"dim": 0}), (0.6931472,), TypeError),
}  # fmt: skip


def assert_does(outcome, expected):
    if isinstance(expected, type):
        assert isinstance(outcome.error, expected), outcome
        return
    assert outcome.error is None, outcome
    for got, wanted in zip((outcome.value, *outcome.gradients), expected, strict=True):
        # 1e-6 relative: the figures above have 7 digits. torch's own p - 1 has an absolute error of 1e-7.
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=0 if outcome.value == 0 else 1e-12)


@pytest.mark.parametrize(("call", "torch_does", "crossent_does"), list(DIFFERENCES.values()), ids=DIFFERENCES)
def test_differences_by_decision(torch, call, torch_does, crossent_does):
    name, args, kwargs = call
    argnums = (0,) if args[0].dtype.kind == "f" else ()
    assert_does(here(cases.CASES[name].function, args, kwargs, argnums, np.ones), crossent_does)
    assert_does(there(torch, cases.CASES[name].torch, args, kwargs, argnums, np.ones), torch_does)
