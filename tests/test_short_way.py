"""The short way of plain calls of cross_entropy: the same bits, types and errors as the long way, which options take."""

import numpy as np
import pytest

import cases
import crossent
import crossent.nn.functional as F
from crossent._kernels import short_cross_entropy

SHAPES = [(1, 1), (1, 10), (3, 2), (7, 48), (16, 128), (5, 129), (20, 400), (1, 8000), (100, 100), (9_000, 10), (2, 70_000)]
both = crossent.value_and_grad(F.cross_entropy)


def long_way(x, y, **how):
    return both(x, y, reduction="mean", **how)


def assert_same(ours, other):
    for a, b in zip(ours, other, strict=True):
        assert (type(a), a.dtype, np.shape(a)) == (type(b), b.dtype, np.shape(b))
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("ignored", [None, -100])
def test_it_has_the_bits_of_the_long_way(isa, dtype, ignored, rng):
    for shape in SHAPES:
        x = cases.logits(rng, shape, dtype)
        y = cases.class_indices(rng, x, ignore_index=ignored)
        assert short_cross_entropy(x, y) is not None
        expected = long_way(x, y)
        for threads in (1, 3):
            with crossent.num_threads(threads):
                assert_same([F.cross_entropy(x, y)], [expected[0]])
        assert_same(both(x, y), expected)
        out = np.full_like(x, np.nan)
        assert both(x, y, out=out)[1] is out
        assert_same([out], [expected[1]])
        over = x.copy()
        assert both(over, y, out=over)[1] is over
        assert_same([over], [expected[1]])


def test_the_mean_of_nothing_is_nan(isa, dtype):
    x, y = np.ones((2, 3), dtype), np.full(2, -100)
    value, gradient = both(x, y)
    assert np.isnan(value)
    assert_same([gradient], [long_way(x, y)[1]])


class Subclass(np.ndarray):
    pass


x, y = np.linspace(-1, 1, 12).reshape(3, 4), np.array([0, 3, 1])
LONG = {
    "a list": (x.tolist(), y),
    "targets in a list": (x, y.tolist()),
    "another integer": (x, y.astype(np.int32)),
    "16 bits": (x.astype(np.float16), y),
    "integers": (x.astype(int), y),
    "columns first": (np.asfortranarray(x), y),
    "strided targets": (x, np.repeat(y, 2)[::2]),
    "the other byte order": (x.astype(x.dtype.newbyteorder()), y),
    "a subclass": (x.view(Subclass), y),
    "one row": (x[0], np.array(1)),
    "probabilities": (x, x),
    "positions": (x.reshape(1, 4, 3), y.reshape(1, 3)),
    "no rows": (x[:0], y[:0]),
    "no classes": (x[:, :0], y),
    "too few targets": (x, y[:2]),
    "a target too high": (x, np.array([0, 4, 1])),
    "a target below 0": (x, np.array([0, -1, 1])),
}


@pytest.mark.parametrize("args", list(LONG.values()), ids=LONG)
def test_all_else_takes_the_long_way(args):
    assert short_cross_entropy(*args) is None
    assert short_cross_entropy(*args, None, True) is None


@pytest.mark.parametrize("out", [x[:2].copy(), x.astype(np.float32), np.asfortranarray(x), x.tolist(), x.T.copy()], ids=str)
def test_another_out_takes_the_long_way(out):
    assert short_cross_entropy(x, y, out, True) is None


def test_an_out_that_overlaps_takes_the_long_way():
    memory = np.zeros(20)
    logits, shifted = memory[:12].reshape(3, 4), memory[4:16].reshape(3, 4)
    logits[...] = x
    assert short_cross_entropy(logits, y, shifted, True) is None
    expected = long_way(x, y)[1]
    np.testing.assert_array_equal(both(logits, y, out=shifted)[1], expected)
    read_only = np.zeros((3, 4))
    read_only.flags.writeable = False
    assert short_cross_entropy(x, y, read_only, True) is None
    targets = np.zeros(12, np.int64)
    assert short_cross_entropy(x, targets[:3], targets.view(np.float64).reshape(3, 4), True) is None


def test_errors_are_those_of_the_long_way():
    for call in (F.cross_entropy, both):
        with pytest.raises(IndexError, match=r"Target 4 is out of bounds\."):
            call(x, np.array([0, 4, 1]))
        with pytest.raises(ValueError, match=r"Expected input batch_size \(3\) to match target batch_size \(2\)"):
            call(x, y[:2])


def test_a_plain_call_makes_no_plan(monkeypatch):
    made = []
    plan = F.cross_entropy.plan
    monkeypatch.setattr(F.cross_entropy, "plan", lambda *args, **how: made.append(how) or plan(*args, **how))
    calls = [both(x, y), both(x, y, out=np.empty_like(x)), both(x, y, out=None)]
    assert crossent.grad(F.cross_entropy)(x, y) is not None
    assert F.cross_entropy(x, y) == calls[0][0]
    assert_same(calls[0], calls[1])
    assert not made
    calls = [both(x, target=y), both(x, y, None), both(x, y, label_smoothing=0.1), both(x, y, None, out=np.empty_like(x))]
    assert len(made) == len(calls)
    assert_same(calls[0], calls[1])


def test_other_gradients_are_not_mistaken_for_it():
    weights = np.ones(4)
    assert crossent.value_and_grad(F.mse_loss)(x, x)[0] == 0
    assert F.nll_loss(x, y) == -x[np.arange(3), y].mean()
    assert repr(both).startswith("<value_and_grad of <function")
    assert both.__name__ == "cross_entropy"
    with pytest.raises(TypeError, match="not differentiable with respect to argument 'target'"):
        crossent.value_and_grad(F.cross_entropy, argnums=1)(x, y)
    assert isinstance(crossent.value_and_grad(F.cross_entropy, argnums=(0,))(x, y, weights)[1], tuple)
    assert isinstance(crossent.value_and_grad(F.cross_entropy, argnums=(0,))(x, y)[1], tuple)
