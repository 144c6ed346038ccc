"""Arrays as they come: any strides, byte order, alignment, 16 bits, other libraries; bits of a dense copy, and no copy made."""

import tracemalloc

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
from cases_pointwise import POINTWISE, pointwise_variants
from conftest import bfloat16
from gradients import flowing_in

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")

SOFTMAX_VARIANTS = [
    *cases.variants("cross_entropy", reduction="none", ignore_index=None),
    *cases.variants("cross_entropy", reduction="mean", ignore_index=-100),
    *cases.variants("nll_loss", reduction="none", ignore_index=1),
    *cases.variants("softmax", "log_softmax", "logsumexp"),
]
POINTWISE_VARIANTS = [pointwise_variants(name)[-1] for name in POINTWISE] + [pointwise_variants(name)[0] for name in POINTWISE]
each_softmax = pytest.mark.parametrize("variant", SOFTMAX_VARIANTS, ids=str)
each_pointwise = pytest.mark.parametrize("variant", POINTWISE_VARIANTS, ids=str)


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    shifted = raw.view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def spread_out(a):
    wide = np.zeros((*(2 * n for n in a.shape), 2), a.dtype)
    view = wide[(*[slice(1, None, 2)] * a.ndim, 1)]
    view[...] = a
    return view


def read_only(a):
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def native(a):
    """bfloat16 has one byte order."""
    return a if a.dtype.name == "bfloat16" else a.astype(a.dtype.newbyteorder())


LAYOUTS = {
    "columns first": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[(slice(None, None, -1),) * a.ndim])[(slice(None, None, -1),) * a.ndim],
    "every second": spread_out,
    "the other byte order": native,
    "misaligned": misaligned,
    "misaligned and columns first": lambda a: misaligned(np.ascontiguousarray(a.T)).T,
    "the axes turned": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
    "read-only": read_only,
}
each_layout = pytest.mark.parametrize("layout", list(LAYOUTS.values()), ids=LAYOUTS)


def changed(thing, layout):
    return layout(thing) if isinstance(thing, np.ndarray) and thing.ndim else thing


def assert_same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def check(call, layout):
    function, args, kwargs = call.case.function, call.args, call.kwargs
    value, pullback = crossent.vjp(function, *args, argnums=call.argnums, **kwargs)
    other_args = [changed(arg, layout) for arg in args]
    before = [np.array(arg) for arg in other_args]
    kwargs = {name: changed(arg, layout) for name, arg in kwargs.items()}
    other, other_pullback = crossent.vjp(function, *other_args, argnums=call.argnums, **kwargs)
    assert_same_bits(other, value)
    g = flowing_in(np.shape(value), value.dtype)
    for theirs, ours in zip(other_pullback(g), pullback(g), strict=True):
        assert_same_bits(theirs, ours)
    for arg, copy in zip(other_args, before, strict=True):
        assert_same_bits(np.asarray(arg), copy)


@each_layout
@each_softmax
def test_softmax_family(variant, layout, isa, any_dtype, rng):
    for shape in [(7,), (70, 5), (5, 70), (3, 5000), (2, 5, 33), (2, 3, 4, 5)]:
        check(variant.call(rng, shape, any_dtype), layout)


@each_layout
@each_pointwise
def test_elementwise_and_margin_losses(variant, layout, isa, any_dtype, rng):
    for shape in [(7,), (70, 5), (3, 700), (2, 3, 4, 5)]:
        if variant.case.takes(shape):
            check(variant.call(rng, shape, any_dtype), layout)


def test_repeated_arrays_are_read_as_they_are(isa, any_dtype, rng):
    """Strides of 0, along one axis and along all, in each operand."""
    x, q = rng.normal(size=(4, 1, 5)).astype(any_dtype), rng.uniform(size=5).astype(any_dtype)
    wide_x, wide_q = np.broadcast_to(x, (4, 6, 5)), np.broadcast_to(q, (4, 6, 5))
    for function in (F.mse_loss, F.kl_div, F.binary_cross_entropy_with_logits, F.cross_entropy):
        value, pullback = crossent.vjp(function, wide_x, wide_q, reduction="sum")
        dense, dense_pullback = crossent.vjp(function, wide_x.copy(), wide_q.copy(), reduction="sum")
        assert_same_bits(value, dense)
        assert_same_bits(pullback(np.ones((), any_dtype)), dense_pullback(np.ones((), any_dtype)))
    number = np.broadcast_to(np.asarray(0.5, any_dtype), (3, 700))
    assert_same_bits(F.logsigmoid(number), F.logsigmoid(number.copy()))


def test_more_dimensions_than_a_view_has(rng):
    x = rng.normal(size=(2,) * 12)[(slice(None, None, -1),) * 12].transpose(np.roll(np.arange(12), 3))
    assert F.mse_loss(x, np.zeros_like(x)) == F.mse_loss(x.copy(), np.zeros(x.shape))
    assert_same_bits(F.softmax(x, 5), F.softmax(np.ascontiguousarray(x), 5))
    every_second = tuple(range(0, 12, 2))
    assert_same_bits(crossent.logsumexp(x, every_second), crossent.logsumexp(np.ascontiguousarray(x), every_second))
    p, half = np.abs(np.sin(x)), np.full(x.shape, 0.5)
    assert F.binary_cross_entropy(half, p) == F.binary_cross_entropy(half, np.ascontiguousarray(p))


# 16 bits: what float32 gives, rounded once.


@each_softmax
def test_softmax_family_of_16_bits(variant, isa, half, rng):
    for shape in [(7,), (70, 5), (5, 70), (3, 5000), (2, 5, 33)]:
        call = variant.call(rng, shape, half)
        wide = [arg.astype(np.float32) if arg.dtype == half else arg for arg in call.args]
        kwargs = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in call.kwargs.items()}
        value, pullback = call.vjp()
        exact, exact_pullback = crossent.vjp(call.case.function, *wide, **kwargs)
        assert_same_bits(value, exact.astype(half))
        g = flowing_in(value.shape, value.dtype)
        if variant.case.name == "softmax":
            continue  # its gradient goes through p g, a product that is rounded to float32 there
        assert_same_bits(pullback(g), exact_pullback(g.astype(np.float32)).astype(half))


@each_pointwise
def test_elementwise_and_margin_losses_of_16_bits(variant, isa, half, rng):
    for shape in [(7,), (70, 5), (3, 700)]:
        if not variant.case.takes(shape):
            continue
        call = variant.call(rng, shape, half)
        wide = [a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == half else a for a in call.args]
        kwargs = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in call.kwargs.items()}
        value, pullback = crossent.vjp(call.case.function, *call.args, **call.kwargs)
        exact, exact_pullback = crossent.vjp(call.case.function, *wide, **kwargs)
        assert_same_bits(value, exact.astype(half))
        g = flowing_in(value.shape, value.dtype)
        assert_same_bits(pullback(g), exact_pullback(g.astype(np.float32)).astype(half))


def test_every_16_bit_number_is_read_right(isa, half):
    """Through mse_loss's gradient 2 (x - 0), which is exact in float32, and l1_loss, which is |x|."""
    x = np.arange(2**16, dtype=np.uint16).view(half)
    values = F.l1_loss(x, np.zeros(x.shape, np.float32), reduction="none")
    assert values.dtype == np.float32
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(values, np.abs(x.astype(np.float32)))


def test_every_way_to_16_bits_is_to_nearest_even(isa, half):
    """All numbers of 16 bits, half way to their neighbours, a float32 beside that; a gradient delivers each as it flows in."""
    with np.errstate(invalid="ignore", over="ignore"):
        x = np.arange(2**16, dtype=np.uint16).view(half).astype(np.float32)
        bits = x[np.isfinite(x)].view(np.uint32)
        half_step = 1 << 12 if half == np.float16 else 1 << 15
        steps = [bits + np.uint32(step) for step in (0, 1, half_step - 1, half_step, half_step + 1)]
        numbers = np.concatenate([*[s.view(np.float32) for s in steps], np.float32([np.inf, -np.inf, np.nan, 65520, 3.4e38])])
        expected = numbers.astype(half)
    ones = np.ones(numbers.shape, half)
    rounded = crossent.vjp(F.l1_loss, ones, np.zeros(numbers.shape, np.float32), reduction="none")[1](numbers)
    assert rounded.dtype == half
    number = ~np.isnan(numbers)
    np.testing.assert_array_equal(rounded.view(np.uint16)[number], expected.view(np.uint16)[number])
    assert np.isnan(rounded[~number].astype(np.float32)).all()


# Nothing is copied whole.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_no_copy_of_an_input_is_made(dtype, rng):
    x = np.asfortranarray(rng.standard_normal((2000, 600), np.float32).astype(dtype))
    y = np.broadcast_to(np.abs(x[0]).astype(dtype), x.shape)
    target = np.zeros(2000, np.int64)
    calls = [
        lambda: F.mse_loss(x, y),
        lambda: F.binary_cross_entropy_with_logits(x, y, reduction="sum"),
        lambda: F.kl_div(x, y, reduction="batchmean"),
        lambda: F.cross_entropy(x, target),
        lambda: F.cross_entropy(x, y),
        lambda: F.cross_entropy(x.T[:, ::-1], np.zeros(600, np.int64)),
        lambda: F.cross_entropy(x.reshape(20, 100, 600), np.zeros((20, 600), np.int64)),
        lambda: F.multi_margin_loss(x, target),
        lambda: crossent.logsumexp(x, (0, 1)),
    ]
    for call in calls:
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < x.nbytes / 20


# Arrays of other libraries.


def test_memory_mapped_files(tmp_path, rng):
    x = rng.normal(size=(50, 10)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert F.cross_entropy(mapped, np.zeros(50, int)) == F.cross_entropy(x, np.zeros(50, int))


class OnlyDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("wrapper", [OnlyDLPack, OnlyArray])
def test_arrays_by_protocol(wrapper, rng):
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    value, gradient = crossent.value_and_grad(F.cross_entropy)(wrapper(x), wrapper(y))
    expected = crossent.value_and_grad(F.cross_entropy)(x, y)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    assert F.mse_loss(wrapper(x), wrapper(x * 2)) == F.mse_loss(x, x * 2)
    assert F.multi_margin_loss(wrapper(x), wrapper(y)) == F.multi_margin_loss(x, y)
    several = np.tile([2, 0, -1], (5, 1))
    assert F.multilabel_margin_loss(wrapper(x), wrapper(several)) == F.multilabel_margin_loss(x, several)
    for var in (x**2, x[:, 0] ** 2):
        gradient = crossent.grad(F.gaussian_nll_loss, 2)(x, x + 1, wrapper(var))
        np.testing.assert_array_equal(gradient, crossent.grad(F.gaussian_nll_loss, 2)(x, x + 1, var))


def test_tensors_of_torch(torch, rng):
    x, y = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 3, 5)
    assert F.cross_entropy(torch.tensor(x), torch.tensor(y)) == F.cross_entropy(x, y)
    assert F.mse_loss(torch.tensor(x).T, torch.zeros(3, 5)) == F.mse_loss(x.T, np.zeros((3, 5), np.float32))
    with pytest.raises((RuntimeError, TypeError), match="requires grad"):
        F.cross_entropy(torch.tensor(x, requires_grad=True), torch.tensor(y))


def test_arrays_of_jax(rng):
    jnp = pytest.importorskip("jax.numpy")
    x, y = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 3, 5)
    assert F.cross_entropy(jnp.asarray(x), jnp.asarray(y)) == F.cross_entropy(x, y)
    low = jnp.asarray(x, jnp.bfloat16)
    value = F.cross_entropy(low, jnp.asarray(y))
    assert value.dtype.name == "bfloat16"
    assert value == F.cross_entropy(np.asarray(low).astype(np.float32), y).astype(value.dtype)


def test_bfloat16_is_known_by_its_name():
    if bfloat16() is None:
        pytest.skip("ml_dtypes is not installed")
    assert crossent._arguments.is_float(bfloat16())
    assert not crossent._arguments.is_float(np.dtype(np.int16))
    assert not crossent._arguments.is_float(np.dtype(np.longdouble))


@pytest.mark.parametrize(
    "lay", [lambda a: a.T.copy().T, lambda a: a.astype(a.dtype.newbyteorder()), lambda a: a[::-1].copy()[::-1]]
)
def test_a_mean_divides_by_the_weights_in_their_order(rng, lay):
    # NumPy's own sum takes them as they lie: 1 ULP in some of ten such arrays
    for shape in [(2, 17), (3, 9001), (65537, 2)] * 4:
        x, y, w = rng.standard_normal((3, *shape))
        assert F.l1_loss(x, y, weight=lay(w)).tobytes() == F.l1_loss(x, y, weight=w).tobytes()
