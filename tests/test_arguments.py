"""What a call may be given and what it refuses: error texts, dtypes, memory layouts, overlapping memory, untouched inputs."""

import re

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
from cases import variants

x = np.linspace(-2, 2, 15).reshape(3, 5)
y = np.array([0, 4, 2])
q = np.full((3, 5), 0.2)
maps = np.linspace(-2, 2, 90).reshape(2, 5, 3, 3)
grad = crossent.grad(F.cross_entropy)


def pull(g, **kwargs):
    return crossent.vjp(F.cross_entropy, x, y, **kwargs)[1](g)


REFUSED = {
    # torch's words
    "a class above": (lambda: F.cross_entropy(x, [0, 5, 7]), IndexError, "Target 5 is out of bounds."),
    "a class below": (lambda: F.cross_entropy(x, [0, -1, 7]), IndexError, "Target -1 is out of bounds."),
    "a class above, by its gradient": (lambda: grad(x, [0, 5, 7]), IndexError, "Target 5 is out of bounds."),
    "a class above, by nll_loss": (lambda: F.nll_loss(x, [0, 1, 7]), IndexError, "Target 7 is out of bounds."),
    "a class far above": (lambda: F.cross_entropy(x, [0, 2**62, 1]), IndexError, f"Target {2**62} is out of bounds."),
    "a class beyond int64": (
        lambda: F.cross_entropy(x, np.array([0, 2**63 + 1, 1], np.uint64)), IndexError,
        f"Target {2**63 + 1} is out of bounds.",
    ),
    "a class above before one beyond int64": (
        lambda: F.cross_entropy(x, np.array([5, 2**63 + 1, 1], np.uint64)), IndexError, "Target 5 is out of bounds.",
    ),
    "no classes": (lambda: F.cross_entropy(np.ones((3, 0)), [0, 0, 0]), IndexError, "Target 0 is out of bounds."),
    "float classes": (lambda: F.cross_entropy(x, y * 1.0), TypeError, "expected target dtype to be "),
    "bool classes": (lambda: F.cross_entropy(x, y > 2), TypeError, "expected target dtype to be "),
    "integer probabilities": (
        lambda: F.cross_entropy(x, np.ones((3, 5), int)), TypeError,
        "Expected floating point type for target with class probabilities, got int64",
    ),
    "probabilities and ignore_index": (
        lambda: F.cross_entropy(x, q, ignore_index=1), ValueError,
        "ignore_index is not supported for floating point target",
    ),
    "probabilities for nll_loss": (lambda: F.nll_loss(x, q), TypeError, "expected target dtype to be "),
    "smoothing above 1": (
        lambda: F.cross_entropy(x, y, label_smoothing=1.5), ValueError,
        "label_smoothing must be between 0.0 and 1.0. Got: 1.5",
    ),
    "smoothing below 0": (
        lambda: F.cross_entropy(x, y, label_smoothing=-0.5), ValueError,
        "label_smoothing must be between 0.0 and 1.0. Got: -0.5",
    ),
    "smoothing of nan": (
        lambda: F.cross_entropy(x, q, label_smoothing=np.nan), ValueError,
        "label_smoothing must be between 0.0 and 1.0. Got: nan",
    ),
    "too few rows": (
        lambda: F.cross_entropy(x, y[:2]), ValueError, "Expected input batch_size (3) to match target batch_size (2).",
    ),
    "no rows": (
        lambda: F.cross_entropy(x, 1), ValueError,
        "Expected input batch_size (3) to match target batch_size (0).",
    ),
    "several targets in a row": (
        lambda: F.cross_entropy(x, np.zeros((3, 2), int)), ValueError,
        "0D or 1D target tensor expected, multi-target not supported",
    ),
    "several targets for one row": (
        lambda: F.cross_entropy(x[0], [0, 1]), ValueError,
        "For 1D input, 1D target must have size 1, but got target size: 2",
    ),
    "other positions": (
        lambda: F.cross_entropy(maps, np.zeros((2, 3, 2), int)), ValueError,
        "Expected target size [2, 3, 3], got [2, 3, 2]",
    ),
    "no positions": (lambda: F.nll_loss(maps, np.zeros(2, int)), ValueError, "Expected target size [2, 3, 3], got [2]"),
    "other positions with dim": (
        lambda: F.cross_entropy(maps, np.zeros((2, 5, 2), int), dim=-1), ValueError,
        "Expected target size [2, 5, 3], got [2, 5, 2]",
    ),
    "too few weights": (
        lambda: F.cross_entropy(x, y, np.ones(4)), ValueError,
        "weight tensor should be defined either for all 5 classes or no classes but got weight tensor of shape: [4]",
    ),
    "weights for each row": (
        lambda: F.nll_loss(x, y, np.ones((3, 5))), ValueError,
        "weight tensor should be defined either for all 5 classes or no classes but got weight tensor of shape: [3, 5]",
    ),
    "an unknown reduction": (
        lambda: F.cross_entropy(x, y, reduction="avg"), ValueError,
        "avg is not a valid value for reduction",
    ),
    "no reduction": (
        lambda: F.cross_entropy(x, y, reduction=None), ValueError,
        "None is not a valid value for reduction",
    ),
    "a logit without an axis": (lambda: F.cross_entropy(1.0, 0), ValueError, "Expected 1 or more dimensions (got 0)"),
    "an axis too high": (
        lambda: F.softmax(x, 2), IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)",
    ),
    "an axis too low": (
        lambda: F.log_softmax(x[0], -2), IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got -2)",
    ),
    "a class axis too high": (lambda: F.cross_entropy(x, y, dim=2), IndexError, "Dimension out of range"),
    "an axis of a number": (lambda: crossent.logsumexp(1.0, 1), IndexError, "Dimension out of range"),
    "an axis twice": (lambda: crossent.logsumexp(x, (0, -2)), ValueError, "expected dim to name each axis once"),
    "an ignore_index that is no integer": (
        lambda: F.cross_entropy(x, y, ignore_index=1.5), TypeError,
        "argument 'ignore_index'",
    ),
    "one_hot of floats": (lambda: F.one_hot(q), TypeError, "one_hot is only applicable to index tensor"),
    "one_hot of a negative class": (lambda: F.one_hot([-1]), ValueError, "Class values must be non-negative"),
    "one_hot of a class above": (
        lambda: F.one_hot([3], 3), ValueError,
        "Class values must be smaller than num_classes",
    ),
    "one_hot of nothing": (
        lambda: F.one_hot(np.zeros(0, int)), ValueError, "Can not infer total number of classes from empty tensor.",
    ),
    # dtypes
    "integer logits": (lambda: F.cross_entropy(np.ones((3, 5), int), y), TypeError, "int64"),
    "complex logits": (lambda: F.softmax(x + 1j, 1), TypeError, "complex128"),
    "bool logits": (lambda: crossent.logsumexp(x > 0, 1), TypeError, "bool"),
    "objects": (lambda: F.cross_entropy(x.astype(object), y), TypeError, "object"),
    "texts": (lambda: F.log_softmax(np.array(["a", "b"]), 0), TypeError, "<U1"),
    "nothing": (lambda: F.softmax(None, 0), TypeError, "object"),
    "masked logits": (lambda: F.cross_entropy(np.ma.masked_less(x, 0), y), TypeError, "masked array"),
    "masked classes": (lambda: F.cross_entropy(x, np.ma.masked_less(y, 1)), TypeError, "masked array"),
    "masked weights": (lambda: F.cross_entropy(x, y, np.ma.masked_less(x[0], 1)), TypeError, "masked array"),
    "complex weights": (lambda: F.cross_entropy(x, y, np.ones(5, complex)), TypeError, "weight.*complex128"),
    "bool weights": (lambda: F.nll_loss(x, y, np.ones(5, bool)), TypeError, "weight.*bool"),
    "smoothing by a text": (lambda: F.cross_entropy(x, y, label_smoothing="some"), TypeError, "."),
    # calls
    "an unknown argument": (lambda: F.cross_entropy(x, y, axis=1), TypeError, "axis"),
    "an unknown argument of softmax": (lambda: F.softmax(x, axis=1), TypeError, "axis"),
    "an unknown argument of logsumexp": (lambda: crossent.logsumexp(x, axis=1), TypeError, "axis"),
    "out by position": (lambda: F.nll_loss(x, y, None, None, -100, None, "mean", 1), TypeError, "positional"),
    # out
    "out of another shape": (
        lambda: F.softmax(x, 1, out=np.ones((5, 3))), ValueError,
        r"out of shape \[3, 5\], but got \[5, 3\]",
    ),
    "out of another dtype": (lambda: F.softmax(x, 1, out=np.ones((3, 5), "f4")), TypeError, "float64, but got float32"),
    "out of a list": (lambda: F.softmax(x, 1, out=[0.0] * 15), TypeError, "NumPy array, but got list"),
    "out that is read-only": (lambda: F.softmax(x, 1, out=np.broadcast_to(0.0, (3, 5))), ValueError, "read-only"),
    "out for a scalar of another shape": (
        lambda: F.cross_entropy(x, y, out=np.ones(1)), ValueError,
        r"shape \[\], but got \[1\]",
    ),
    "gradient's out of another shape": (
        lambda: grad(x, y, out=np.ones(15)), ValueError,
        r"shape \[3, 5\], but got \[15\]",
    ),
    # gradients
    "grad_output of another shape": (lambda: pull(np.ones(3)), ValueError, r"grad_output of shape \[\].* \[3\]"),
    "grad_output for each logit": (
        lambda: pull(x, reduction="none"), ValueError,
        r"grad_output of shape \[3\].* \[3, 5\]",
    ),
    "grad_output of complex": (lambda: pull(1j), TypeError, "complex128"),
    "a function of NumPy's": (lambda: crossent.grad(np.sum), TypeError, "differentiable function of crossent"),
    "one_hot": (lambda: crossent.vjp(F.one_hot, y), TypeError, "differentiable function of crossent"),
    "the gradient of class indices": (
        lambda: crossent.grad(F.cross_entropy, 1)(x, y), TypeError,
        "not differentiable.*'target'",
    ),
    "the gradient of weights": (lambda: crossent.grad(F.cross_entropy, 2)(x, y), TypeError, "not differentiable.*'weight'"),
    "argnums too high": (lambda: crossent.grad(F.cross_entropy, 20), ValueError, "argnums"),
    "argnums below 0": (lambda: crossent.vjp(F.softmax, x, 1, argnums=-1), ValueError, "argnums"),
    "argnums of a text": (lambda: crossent.grad(F.cross_entropy, "input"), ValueError, "argnums"),
    "one out for two gradients": (
        lambda: crossent.value_and_grad(F.cross_entropy, (0, 1))(x, q, out=np.ones((3, 5))), ValueError,
        "tuple of 2 arrays",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), list(REFUSED.values()), ids=REFUSED)
def test_a_wrong_call_is_refused_in_words(call, error, text):
    with pytest.raises(error) as raised:
        call()
    message = str(raised.value)
    assert "\n" not in message
    assert text in message or re.search(text, message), message


# Nothing is written before an error.

BAD_TARGETS = {
    "of a class above": [0, 1, 5],
    "of a class below": [-1, 0, 1],
    "of too few": [0, 1],
    "of floats": [0.0, 1.0, 2.0],
}


@pytest.mark.parametrize("bad", list(BAD_TARGETS.values()), ids=BAD_TARGETS)
@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_out_is_untouched_by_a_call_that_fails(function, bad):
    for out, call in [
        (np.full(3, 7.0), lambda out: function(x, bad, reduction="none", out=out)),
        (np.full((), 7.0), lambda out: function(x, bad, out=out)),
        (np.full((3, 5), 7.0), lambda out: crossent.value_and_grad(function)(x, bad, out=out)),
        (np.full((3, 5), 7.0), lambda out: crossent.vjp(function, x, bad)[1](1.0, out=out)),
        (x.copy(), lambda out: crossent.value_and_grad(function)(out, bad, out=out)),
    ]:
        before = out.tobytes()
        with pytest.raises((IndexError, ValueError, TypeError)):
            call(out)
        assert out.tobytes() == before


def test_out_is_untouched_by_a_pullback_that_fails():
    for function, args in [
        (F.cross_entropy, (x, y)),
        (F.softmax, (x, 1)),
        (F.log_softmax, (x, 1)),
        (crossent.logsumexp, (x, 1)),
    ]:
        out = np.full((3, 5), 7.0)
        with pytest.raises(ValueError, match="grad_output"):
            crossent.vjp(function, *args)[1](np.ones(2), out=out)
        assert (out == 7.0).all()


# Dtypes of class indices and weights.


@pytest.mark.parametrize("code", [*"bhilqBHILQ", ">i2", ">i4", ">i8", ">u8"], ids=lambda code: str(np.dtype(code)))
def test_class_indices_of_every_integer_dtype(code, rng):
    input, target = cases.logits(rng, (20, 5), np.float32), rng.integers(0, 5, 20)
    for function in (F.cross_entropy, F.nll_loss):
        expected = crossent.value_and_grad(function)(input, target, ignore_index=3)
        value, gradient = crossent.value_and_grad(function)(input, target.astype(code), ignore_index=3)
        assert value == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


def test_an_unsigned_index_never_wraps_to_ignore_index():
    with pytest.raises(IndexError, match=r"Target 156 is out of bounds\."):
        F.cross_entropy(x, np.array([0, 156, 2], np.uint8))
    with pytest.raises(IndexError, match=f"Target {2**64 - 100} is out of bounds"):
        F.cross_entropy(x, np.array([0, 2**64 - 100, 2], np.uint64))
    assert F.cross_entropy(x[:2], np.array([0, 255], np.uint8), ignore_index=255) == F.cross_entropy(x[:1], [0])


@pytest.mark.parametrize("code", ["e", "f", "d", "g", "i", "B", ">f8", ">f4"], ids=lambda code: str(np.dtype(code)))
@pytest.mark.parametrize("target", [y, q], ids=["class indices", "class probabilities"])
def test_weights_of_every_real_dtype_are_converted(code, target, dtype):
    weight = np.array([1, 2, 3, 4, 5], code)
    target = target.astype(dtype) if target is q else target
    value, gradient = crossent.value_and_grad(F.cross_entropy)(x.astype(dtype), target, weight)
    assert gradient.dtype == dtype
    expected = crossent.value_and_grad(F.cross_entropy)(x, target, np.arange(1.0, 6))
    # Some ULP of float32, where that is the dtype.
    np.testing.assert_allclose(value, expected[0], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=4 * np.finfo(dtype).eps)


def test_numbers_of_numpy_are_numbers():
    value = F.cross_entropy(x, y, ignore_index=np.int8(4), label_smoothing=np.float32(0.5), dim=np.int64(1))
    assert value == F.cross_entropy(x, y, ignore_index=4, label_smoothing=0.5, dim=1)
    assert crossent.logsumexp(x, np.int16(0)).shape == (5,)


# Layouts: any array that NumPy can view gives the bits of its plain copy, and is left as it was.


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def every_second(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "strided": every_second,
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
    "Fortran order": np.asfortranarray,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "misaligned": misaligned,
    "read-only": read_only,
    "a list": lambda array: array.tolist(),
    "a subclass": lambda array: array.view(type("Subclass", (np.ndarray,), {})),
}


@pytest.mark.parametrize("laid_out", list(LAYOUTS.values()), ids=LAYOUTS)
@pytest.mark.parametrize("variant", [v for v in variants() if v.options.get("reduction") in ("none", None)], ids=str)
def test_layouts(variant, laid_out, rng):
    for shape in [(6, 5), (4, 60), (2, 5, 7)]:
        call = variant.call(rng, shape, np.float64)
        value, pullback = call.vjp()
        g = np.asarray(rng.normal(size=np.shape(value)))
        expected = pullback(g)
        args, g = [laid_out(arg) for arg in call.args], laid_out(g)
        kwargs = {key: laid_out(arg) if isinstance(arg, np.ndarray) else arg for key, arg in call.kwargs.items()}
        before = [np.array(arg) for arg in (*args, g)]
        got, pullback = crossent.vjp(call.case.function, *args, **kwargs)
        np.testing.assert_array_equal(got, value)
        np.testing.assert_array_equal(pullback(g), expected)
        for arg, copy in zip((*args, g), before, strict=True):
            np.testing.assert_array_equal(arg, copy)


def test_a_memory_map_is_read_where_it_lies(tmp_path, rng):
    array = cases.logits(rng, (20, 50), np.float32)
    np.save(tmp_path / "logits.npy", array)
    mapped, target = np.load(tmp_path / "logits.npy", mmap_mode="r"), rng.integers(0, 50, 20)
    value, gradient = crossent.value_and_grad(F.cross_entropy)(mapped, target)
    expected = crossent.value_and_grad(F.cross_entropy)(array, target)
    assert value == expected[0]
    assert type(gradient) is np.ndarray
    np.testing.assert_array_equal(gradient, expected[1])


def test_a_broadcast_array_is_what_it_looks_like(dtype):
    row = np.array([1.0, 2.0, 4.0], dtype)
    wide = np.broadcast_to(row, (4, 3))
    np.testing.assert_array_equal(F.softmax(wide, 1), F.softmax(wide.copy(), 1))
    targets = np.broadcast_to(np.int64(2), 4)
    assert F.cross_entropy(wide, targets) == F.cross_entropy(wide.copy(), targets.copy())


@pytest.mark.parametrize(
    "laid_out", [every_second, misaligned, np.asfortranarray], ids=["strided", "misaligned", "Fortran order"]
)
def test_out_of_another_layout(laid_out):
    out = laid_out(np.full((3, 5), np.nan))
    for function in (
        lambda out: crossent.value_and_grad(F.cross_entropy)(x, y, out=out)[1],
        lambda out: F.softmax(x, 1, out=out),
    ):
        out[...] = np.nan
        assert function(out) is out
        np.testing.assert_array_equal(out, function(None))


# Overlapping memory: the right result, or an error; never a wrong number.


@pytest.mark.parametrize("shift", [-5, -1, 1, 2, 5])
@pytest.mark.parametrize("classes", [5, 60])
def test_out_that_overlaps_the_input(shift, classes, rng):
    size = 4 * classes
    for way in (
        lambda array, out: crossent.value_and_grad(F.cross_entropy)(array, [0, 1, 2, 3], out=out),
        lambda array, out: (F.log_softmax(array, 1, out=out),),
        lambda array, out: (crossent.vjp(F.softmax, array, 1)[1](np.ones((4, classes)), out=out),),
    ):
        memory = rng.normal(size=size + 10)
        array, out = memory[5:][:size].reshape(4, -1), memory[5 + shift :][:size].reshape(4, -1)
        expected = way(array.copy(), None)
        np.testing.assert_array_equal(way(array, out)[-1], expected[-1])


def test_out_that_is_another_argument(rng):
    for classes in (5, 60):
        array, g = rng.normal(size=(4, classes)), rng.normal(size=(4, classes))
        p = rng.dirichlet(np.ones(classes), 4)
        expected = crossent.vjp(F.log_softmax, array, 1)[1](g)
        np.testing.assert_array_equal(crossent.vjp(F.log_softmax, array, 1)[1](g, out=g), expected)
        expected = crossent.grad(F.cross_entropy)(array, p)
        np.testing.assert_array_equal(crossent.grad(F.cross_entropy)(array, p, out=p), expected)
    losses, pullback = crossent.vjp(F.cross_entropy, x, y, reduction="none")
    np.testing.assert_array_equal(pullback(losses, out=x.copy()), pullback(losses))
    weight = np.array([1.0, 2.0, 3.0])
    expected = F.cross_entropy(x.T[:3], [0, 1, 2], weight, reduction="none")
    np.testing.assert_array_equal(F.cross_entropy(x.T[:3], [0, 1, 2], weight, reduction="none", out=weight), expected)


def test_out_that_is_the_memory_of_the_classes():
    target = np.array([0, 0, 0])
    out = target.view(np.float64)
    np.testing.assert_array_equal(F.cross_entropy(np.ones((3, 5)), target, reduction="none", out=out), np.full(3, np.log(5)))
    target = np.array([0, 0])
    gradient = crossent.grad(F.nll_loss)(np.ones((2, 1)), target, reduction="sum", out=target.view(np.float64).reshape(2, 1))
    np.testing.assert_array_equal(gradient, [[-1], [-1]])
