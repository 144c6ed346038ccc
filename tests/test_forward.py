"""Values against the reference: every function, option, instruction set and dtype, at the lengths where kernels change."""

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
import reference
from cases import each_isa, variants
from reference import assert_within

# 0 to 4 vectors and a tail: a vector of AVX-512 holds 16 float32.
CLASS_COUNTS = range(1, 4 * 16 + 2)

each_variant = pytest.mark.parametrize("variant", variants(), ids=str)


def columns_per_block(dtype):
    """A row is reduced in blocks of 16 KiB (csrc/simd/float32.h, float64.h)."""
    return 16384 // dtype.itemsize


def check(call, dtype):
    exact = call.exact()
    allowed = call.case.allowed(exact, dtype)
    for _isa in each_isa():
        value = call.value()
        assert value.dtype == dtype
        assert isinstance(value, np.ndarray if exact.value.ndim else np.generic)
        assert_within(value, exact.value, allowed)


@each_variant
def test_every_number_of_classes(variant, dtype, rng):
    for classes in CLASS_COUNTS:
        rows = 1 + (7 * classes) % 20
        check(variant.call(rng, (rows, classes), dtype), dtype)


@each_variant
def test_more_rows_than_a_tile(variant, dtype, rng):
    """A tile has at most 64 rows: whole ones, and whole ones with a rest."""
    for rows, classes in [(64, 3), (65, 10), (131, 2), (200, 48)]:
        check(variant.call(rng, (rows, classes), dtype), dtype)


@each_variant
def test_rows_around_the_block_size(variant, dtype, rng):
    block = columns_per_block(dtype)
    for classes in (block - 1, block, block + 1, 2 * block + 1):
        check(variant.call(rng, (3, classes), dtype), dtype)


@each_variant
def test_every_number_of_inner_positions(variant, dtype, rng):
    for inner in range(1, 34):
        check(variant.call(rng, (2, 3 + inner % 4 * 8, inner), dtype), dtype)


@each_variant
def test_one_row_and_images_and_more_dimensions(variant, dtype, rng):
    for shape in [(5,), (50,), (2, 3, 2, 3), (1, 4, 7, 11), (2, 3, 1, 2, 5)]:
        check(variant.call(rng, shape, dtype), dtype)


@each_variant
def test_classes_on_every_axis(variant, dtype, rng):
    for dim in range(-4, 4):
        check(variant.call(rng, (5, 4, 3, 2), dtype, dim), dtype)


@pytest.mark.parametrize("variant", variants("one_hot"), ids=str)
@pytest.mark.parametrize("dtype", [*"bhilqBHILQ"], ids=lambda code: np.dtype(code).name)
def test_one_hot(variant, dtype, rng):
    for shape in [(), (1,), (50,), (4, 5, 6)]:
        call = variant.call(rng, shape, dtype)
        value = call.value()
        assert value.dtype == np.int64
        np.testing.assert_array_equal(value, call.exact())


def test_the_worked_figures():
    logits = np.array([[9.7785, 0.9195, 2.10], [3.133, -3.05, 1.02], [0.12, 0.432518, 0.470]], np.float32)
    target = np.array([0, 0, 2])
    assert abs(F.cross_entropy(logits, target) - 0.365948) < 1e-6


@pytest.mark.parametrize("classes", [2, 3, 10, 19, 48, 49, 1000])
@pytest.mark.parametrize("spread", [1, 3, 10], ids="logits of standard deviation {}".format)
def test_losses_of_many_rows_keep_the_bar(isa, spread, classes, rng):
    """3 ULP for losses of 0.1 or more, 6 down to 1e-3, 64 below, against float64, which has 29 bits more."""
    rows = min(20_000, 200_000 // classes)
    x, y = rng.normal(scale=spread, size=(rows, classes)).astype(np.float32), rng.integers(0, classes, rows)
    x[::2, 0] += 3 * spread
    y[::4] = 0
    wide, at = x.astype(np.float64), np.arange(rows)
    below = wide - wide.max(1, keepdims=True)
    e = np.exp(below)
    e[at, x.argmax(1)] = 0
    exact = np.log1p(e.sum(1)) - below[at, y]
    assert_within(F.cross_entropy(x, y, reduction="none"), exact, cases.loss_units(exact) * reference.unit(exact, np.float32))


def test_a_loss_that_is_tiny_is_right(dtype):
    """torch gives 0: log_softmax there rounds 1 + 2e-9 before it takes the logarithm."""
    loss = F.cross_entropy(np.array([20, 0], dtype), 0)
    # 64 ULP are allowed below 1e-3.
    assert abs(loss - 2.0611536203143807e-09) <= 64 * np.spacing(loss)


@pytest.mark.parametrize("variant", variants("cross_entropy", target="class indices", label_smoothing=0.0), ids=str)
def test_cross_entropy_is_log_softmax_and_nll_loss(variant, isa, dtype, rng):
    for shape in [(50, 10), (20, 200), (3, 7, 20)]:
        call = variant.call(rng, shape, dtype)
        input, target = call.args
        kwargs = {name: value for name, value in call.kwargs.items() if name != "label_smoothing"}
        value, separate = np.asarray(call.value()), np.asarray(F.nll_loss(F.log_softmax(input, dim=1), target, **kwargs))
        # 2 ULP: each has its own order of roundings. A float64 sum of n numbers has n of its own.
        terms = target.size if dtype == np.float64 and variant.is_scalar else 0
        np.testing.assert_array_max_ulp(value, separate, maxulp=2 + terms // 2)


def test_logsumexp_along_several_axes(isa, dtype, rng):
    x = cases.logits(rng, (3, 4, 5, 2), dtype)
    for dim in [(0, 2), (2, 0), (1, 2), (-1,), (0, 1, 2, 3), [3, 1]]:
        for keepdim in (False, True):
            exact = reference.logsumexp(x, dim, keepdim)
            value = crossent.logsumexp(x, dim, keepdim)
            assert_within(value, exact.value, cases.CASES["logsumexp"].allowed(exact, dtype))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_softmax_converts_to_the_dtype_it_is_asked_for(function, rng):
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(function(x, 1, dtype=np.float64), function(x.astype(np.float64), 1))
    integers = rng.integers(0, 5, (3, 4))
    np.testing.assert_array_equal(function(integers, 1, dtype="float32"), function(integers.astype(np.float32), 1))


@pytest.mark.parametrize(("shape", "axis"), [((), 0), ((4,), 0), ((2, 4), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)], ids=str)
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_softmax_without_dim_takes_the_old_axis_and_warns(function, shape, axis, rng):
    x = rng.normal(size=shape)
    with pytest.warns(UserWarning, match=f"^Implicit dimension choice for {function.__name__} has been deprecated") as seen:
        value = function(x)
    assert seen[0].filename == __file__
    np.testing.assert_array_equal(value, function(x, axis))


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_the_older_arguments_choose_the_reduction(function, size_average, reduce, rng):
    if size_average is None and reduce is None:
        return
    reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    text = f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead."
    with pytest.warns(UserWarning, match=text) as seen:
        value = function(x, y, size_average=size_average, reduce=reduce, reduction="sum")
    assert seen[0].filename == __file__
    np.testing.assert_array_equal(value, function(x, y, reduction=reduction))


def test_elementwise_mean_is_the_old_name_of_mean(rng):
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    with pytest.warns(UserWarning, match="reduction='elementwise_mean' is deprecated") as seen:
        value = F.cross_entropy(x, y, reduction="elementwise_mean")
    assert seen[0].filename == __file__
    assert value == F.cross_entropy(x, y)
