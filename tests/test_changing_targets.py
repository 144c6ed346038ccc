"""Targets that another thread changes during a call: an IndexError, or a result of what is in range; no stray read or write.

Every second block of rows, and what lies around the arrays, holds numbers that would show in a result.
"""

import sys
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from cases import variants
from cases_pointwise import pointwise_variants
from conftest import quick_or_long
from gradients import flowing_in

STRAY = -1e30  # a loss or a gradient that has to do with it is as large
REASONABLE = 1000
INDEXED = [
    *variants("cross_entropy", target="class indices", ignore_index=None, reduction="none"),
    *variants("nll_loss", ignore_index=None, reduction="none"),
    *pointwise_variants("multi_margin_loss", reduction="none", p=1, margin=1.0),
    *pointwise_variants("multilabel_margin_loss", reduction="none"),
]
each_indexed = pytest.mark.parametrize("variant", INDEXED, ids=str)

# Lanes along the classes, in one block and in several; lanes across rows; across positions; and a row that threads share.
SHAPES = [(200, 70), (6, 9_001), (400, 30), (4, 50, 70), (2, 30_001)]


def guarded(array):
    """The array, between memory of as many strays as it has elements."""
    memory = np.full(3 * array.size, STRAY).astype(array.dtype)
    copy = memory[array.size : 2 * array.size].reshape(array.shape)
    copy[...] = array
    return copy


def guarded_call(variant, rng, shape, dtype):
    """A call whose inputs are small numbers, or strays in every second one of its rows; and its targets."""
    call = variant.call(rng, shape, dtype)
    x = guarded(rng.normal(size=shape).astype(dtype))
    x[1::2] = STRAY
    target = call.args[1]
    if variant.case.name == "multilabel_margin_loss":
        target[:, :1], target[:, 1:] = 0, -1
    kwargs = {name: guarded(thing) if isinstance(thing, np.ndarray) else thing for name, thing in call.kwargs.items()}
    return call._replace(args=(x, target), kwargs=kwargs), target


def outside(classes, dtype):
    """Class indices that are no classes, near ones and far ones."""
    near = [-1, -classes, classes, classes + 1, 2 * classes - 1]
    return [*near, 2**40, -(2**40), 2**62 // classes]


@each_indexed
def test_targets_that_change_behind_the_check(variant, isa, dtype, rng):
    """A plan has checked its targets. Of rows that change then, nothing is read and zeros come out; the others stay."""
    for shape in filter(variant.case.takes, SHAPES):
        call, target = guarded_call(variant, rng, shape, dtype)
        plan = call.case.function.plan(*call.args, **call.kwargs)
        values = plan.value()
        g = flowing_in(values.shape, dtype)
        gradient = plan.gradient("input", g)
        good = target.copy()
        for bad in outside(call.args[0].shape[1], dtype):
            target[...] = good
            target[::2] = bad
            expected, expected_gradient = values.copy(), gradient.copy()
            expected[::2] = expected_gradient[::2] = 0
            np.testing.assert_array_equal(plan.value(), expected)
            memory = np.full(3 * gradient.size, STRAY).astype(dtype)
            out = memory[gradient.size : 2 * gradient.size].reshape(shape)
            np.testing.assert_array_equal(plan.gradient("input", g, out), expected_gradient)
            assert (memory[: gradient.size] == dtype.type(STRAY)).all()
            assert (memory[2 * gradient.size :] == dtype.type(STRAY)).all()


@contextmanager
def changing(target, bad):
    """While the body runs, a thread makes every second row of the targets bad and good again."""
    done, good, changed = threading.Event(), target[::2].copy(), target[::2]

    def change():
        while not done.is_set():
            for _ in range(5):
                np.copyto(changed, bad)
                np.copyto(changed, good)
            time.sleep(1e-4)  # in which a check may pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the threads take turns within a call
    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


@quick_or_long("rounds", 2, 100)
@each_indexed
def test_targets_that_a_thread_changes_all_the_time(variant, isa, rounds, rng):
    for shape in filter(variant.case.takes, [(4_000, 70), (30, 9_001), (10_000, 30), (10, 50, 700), (2, 30_001)]):
        call, target = guarded_call(variant, rng, shape, np.dtype(np.float32))
        before = call.args[0].copy()
        for bad in (shape[1], -1, 2**40):
            with changing(target, bad):
                for _ in range(rounds):
                    with suppress(IndexError):
                        values, pullback = crossent.vjp(call.case.function, *call.args, **call.kwargs)
                        gradient = pullback(flowing_in(values.shape, values.dtype))
                        assert np.abs(values[::2]).max() < REASONABLE
                        assert np.abs(gradient[::2]).max() < REASONABLE
        np.testing.assert_array_equal(call.args[0], before)


def test_indices_of_one_hot_that_a_thread_changes(rng):
    indices = np.zeros(100_000, np.int64)
    for bad in (3, -1, 2**40):
        with changing(indices, bad):
            for _ in range(10):
                with suppress(ValueError):
                    assert (F.one_hot(indices, 3) == [1, 0, 0]).all()
