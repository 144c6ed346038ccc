"""The classes: each is its function with its options; ``backward`` is the function's gradient."""

import copy
import pickle

import numpy as np
import pytest

import cases
import crossent
import crossent.nn as nn
import reference
from cases import MODULES, variants
from reference import assert_within, unit

LOSSES = [name for name, function in MODULES.items() if function in ("cross_entropy", "nll_loss")]
PAIRS = [(name, variant) for name, function in MODULES.items() if function for variant in variants(function)]


@pytest.mark.parametrize(("name", "variant"), PAIRS, ids=[f"{name} as {variant}" for name, variant in PAIRS])
def test_a_class_is_its_function(name, variant, dtype, rng):
    for shape in [(5,), (7, 4), (2, 60), (2, 5, 3)]:
        call = variant.call(rng, shape, dtype)
        value, pullback = call.vjp()
        module = getattr(nn, name)(**call.kwargs)
        np.testing.assert_array_equal(module(*call.args), value)
        g = np.asarray(rng.normal(size=np.shape(value)), dtype)
        gradient = pullback(g)
        np.testing.assert_array_equal(module.backward(g), gradient)
        out = np.empty_like(gradient)
        assert module.backward(g, out=out) is out
        np.testing.assert_array_equal(out, gradient)
        if value.ndim == 0:
            np.testing.assert_array_equal(module.backward(), pullback(np.ones((), dtype)))


@pytest.mark.parametrize("dim", [-1, 0, 1, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.5, 1.0])
def test_label_smoothing_loss(isa, dtype, smoothing, dim, rng):
    for shape in [(6, 4, 3), (5, 60, 2)]:
        input = cases.logits(rng, shape, dtype, dim)
        target = cases.class_indices(rng, input, dim)
        exact = reference.label_smoothing_loss(input, target, smoothing, dim)
        module = nn.LabelSmoothingLoss(smoothing, dim)
        loss = module(input, target)
        assert loss.dtype == dtype
        # The smoothing s C / (C - 1) and what it leaves of 1 are rounded before they are multiplied: some ULP more;
        # and of the target's gradient, where their difference stands, some ULP of the whole.
        assert_within(loss, exact.value, 4 * cases.allowed_loss(exact, dtype))
        allowed = 16 * unit(exact.gradient_condition(1), dtype) + 4 * np.finfo(dtype).eps / target.size
        assert_within(module.backward(), exact.gradient(1), allowed)


def test_label_smoothing_loss_of_one_row(dtype):
    x = np.log(np.array([1, 3], dtype))
    # (1 - s) log 4 + s log (4 / 3)
    np.testing.assert_allclose(nn.LabelSmoothingLoss(0.25)(x, 0), 0.75 * np.log(4) + 0.25 * np.log(4 / 3), rtol=1e-6)


def test_label_smoothing_loss_refuses_what_it_cannot_spread():
    with pytest.raises(ValueError, match=r"smoothing must be between 0\.0 and 1\.0\. Got: 1\.5"):
        nn.LabelSmoothingLoss(1.5)(np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match=r"two classes or more.*got 1"):
        nn.LabelSmoothingLoss()(np.ones((2, 1)), [0, 0])
    with pytest.raises(IndexError, match=r"Target 3 is out of bounds\."):
        nn.LabelSmoothingLoss()(np.ones((2, 3)), [0, 3])


@pytest.mark.parametrize("name", MODULES)
def test_backward_before_a_call_is_refused(name):
    with pytest.raises(RuntimeError, match=f"{name}.backward: call"):
        getattr(nn, name)().backward()


def test_backward_of_no_scalar_needs_a_gradient():
    module = nn.CrossEntropyLoss(reduction="none")
    module(np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match=r"grad_output of shape \[2\].* \[\]"):
        module.backward()
    assert module.backward(np.ones(2)).shape == (2, 3)


def test_backward_is_of_the_last_call(rng):
    module, first, second = nn.CrossEntropyLoss(), rng.normal(size=(4, 3)), rng.normal(size=(2, 5))
    module(first, [0, 1, 2, 0])
    module(second, [4, 0])
    np.testing.assert_array_equal(module.backward(), crossent.grad(nn.functional.cross_entropy)(second, [4, 0]))
    np.testing.assert_array_equal(module.backward(), module.backward())


def test_a_call_that_fails_leaves_no_gradient_of_its_own(rng):
    module, input = nn.CrossEntropyLoss(), rng.normal(size=(4, 3))
    module(input, [0, 1, 2, 0])
    expected = module.backward()
    with pytest.raises(IndexError):
        module(input, [0, 1, 3, 0])
    np.testing.assert_array_equal(module.backward(), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_options_are_checked_by_the_call_as_in_torch(name):
    module = getattr(nn, name)(reduction="avg")
    with pytest.raises(ValueError, match="avg is not a valid value for reduction"):
        module(np.zeros((2, 3)), [0, 1])


def test_attributes_are_plain_and_may_change(rng):
    input, target, weight = rng.normal(size=(4, 3)), [0, 1, 2, 0], np.array([1.0, 2.0, 3.0])
    module = nn.CrossEntropyLoss(weight=weight)
    assert module.weight is weight
    assert module.ignore_index == -100
    module.reduction, module.label_smoothing, module.weight = "sum", 0.5, None
    expected = nn.functional.cross_entropy(input, target, reduction="sum", label_smoothing=0.5)
    assert module(input, target) == expected


def test_older_arguments_warn_at_the_call(rng):
    module = nn.NLLLoss(size_average=False)
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        value = module(np.array([[-1.0, -2.0]]), [1])
    assert value == 2.0


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_clones_have_the_options_and_not_the_call(name, clone):
    options = {"Softmax": {"dim": 0}, "LogSoftmax": {"dim": 0}, "LabelSmoothingLoss": {"smoothing": 0.2}}
    module = getattr(nn, name)(**options.get(name, {"weight": np.array([1.0, 2.0]), "ignore_index": 1}))
    args = (np.array([[1.0, 2.0]]),) + (([0],) if name not in ("Softmax", "LogSoftmax") else ())
    value = module(*args)
    twin = clone(module)
    assert type(twin) is type(module)
    assert vars(twin).keys() >= module._options().keys()
    with pytest.raises(RuntimeError, match="call"):
        twin.backward()
    np.testing.assert_array_equal(twin(*args), value)


def test_functions_pickle():
    for function in (nn.functional.cross_entropy, nn.functional.softmax, nn.functional.one_hot, crossent.logsumexp):
        assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(
    "module",
    [
        *(getattr(nn, name)() for name in nn.__all__ if isinstance(getattr(nn, name), type)),
        nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=3),
        nn.NLLLoss(reduction="sum"),
        nn.Softmax(1),
        nn.LabelSmoothingLoss(),
    ],
    ids=repr,
)
def test_repr_is_the_call_that_makes_such_an_object(module):
    assert vars(eval(repr(module), vars(nn))) == vars(module)
