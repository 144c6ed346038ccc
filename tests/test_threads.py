"""Many Python threads at once, and what they may do meanwhile: set the number of threads, change the targets of a call."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from bits import digest
from cases import variants
from cases_pointwise import pointwise_variants
from conftest import quick_or_long


def test_the_first_class_out_of_bounds_is_named_whatever_thread_meets_it(rng):
    target = rng.integers(0, 3, 200_000)
    target[[70_000, 199_999]] = 1000, 2000
    for threads, function in product((1, 2, 7), (F.cross_entropy, F.nll_loss)):
        with crossent.num_threads(threads), pytest.raises(IndexError, match=r"Target 1000 is out of bounds\."):
            function(np.zeros((200_000, 3), np.float32), target)


@quick_or_long("calls_each", 60, 1000)
def test_16_python_threads_at_once(calls_each, rng):
    """Each thread makes the calls in another order."""
    calls = []
    for variant in variants("cross_entropy", "log_softmax", "logsumexp", label_smoothing=0.1) + variants("softmax"):
        calls += [variant.call(rng, shape, np.float32) for shape in [(7, 5), (3_000, 40), (40, 2_000), (1, 70_001)]]
    for variant in pointwise_variants("mse_loss", "multi_margin_loss", reduction="sum") + variants("softmax", "nll_loss"):
        calls += [variant.call(rng, shape, np.float16) for shape in [(7, 5), (300, 140)]]  # by way of scratch
    serial = [digest(call) for call in calls]

    def work(number):
        order = np.random.default_rng(number).integers(0, len(calls), calls_each)
        return [digest(calls[at]) == serial[at] for at in order]

    with ThreadPoolExecutor(16) as pool:
        assert all(map(all, pool.map(work, range(16))))


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc")
def test_threads_are_kept_from_call_to_call(rng):
    """A team of another size would be made anew by each call, which costs more than most calls."""
    inputs = [(rng.normal(size=(rows, 10)).astype(np.float32), rng.integers(0, 10, rows)) for rows in (70_000, 9_000, 200)]
    with crossent.num_threads(7):
        F.cross_entropy(*inputs[0])
        threads = set(os.listdir("/proc/self/task"))
        for logits, target in inputs + inputs[::-1]:
            crossent.value_and_grad(F.cross_entropy)(logits, target)
            F.log_softmax(logits, 0)
            F.mse_loss(logits, logits)
    assert len(threads) >= 7
    assert set(os.listdir("/proc/self/task")) == threads


def test_each_python_thread_has_its_own_number_of_threads():
    with ThreadPoolExecutor(1) as pool, crossent.num_threads(3):
        assert crossent.get_num_threads() == 3
        assert pool.submit(crossent.get_num_threads).result() != 3


def test_the_number_of_threads_may_change_while_others_compute(rng):
    """Setting the number of threads in the middle of calls is safe: each call has read it once."""
    call = variants("cross_entropy", reduction="none")[0].call(rng, (3_000, 40), np.float32)
    expected = digest(call)
    before = crossent.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(digest, call) for _ in range(60)]
        for threads in [1, 2, 3, 4] * 10:
            crossent.set_num_threads(threads)
        assert {result.result() for result in results} == {expected}
    crossent.set_num_threads(before)
