"""The same bits for any number of threads, in any batch, at any place in it; many Python threads; forks."""

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from cases import variants
from crossent import _runtime

# A sum is a mean that is not divided, and ignoring 1 is ignoring -100: what is left has every kernel still.
DISTINCT = [v for v in variants() if v.options.get("reduction") != "sum" and v.options.get("ignore_index") != 1]
each_unreduced = pytest.mark.parametrize(
    "variant", [v for v in variants() if v.options.get("reduction") in ("none", None)], ids=str
)

# Several blocks of the batch each: few classes, many, positions; and rows that are longer than a block, fewer than threads.
LARGE = [(33_001, 3), (1_901, 70), (3, 9, 2_003), (1, 30_001), (2, 9_001)]


def digest(call, rng):
    """What a call gives, in a word: its value, and its gradient for one that flows in."""
    value, pullback = call.vjp()
    g = np.asarray(rng.normal(size=np.shape(value)), np.asarray(value).dtype)
    parts = [np.asarray(value), pullback(g)]
    if value.ndim == 0:
        parts += call.value_and_grad()
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("variant", DISTINCT, ids=str)
def test_any_number_of_threads_gives_the_same_bits(variant, dtype, rng):
    for shape in LARGE:
        call = variant.call(rng, shape, dtype)
        for isa in _runtime.isa_names():
            with _runtime.use_isa(isa):
                digests = set()
                for threads in (1, 2, 7):
                    with crossent.num_threads(threads):
                        assert crossent.get_num_threads() == threads  # nobody limits OpenMP behind our back
                        digests.add(digest(call, np.random.default_rng(0)))
                assert len(digests) == 1, (shape, isa)


@each_unreduced
def test_a_row_alone_is_the_row_in_a_batch(variant, isa, dtype, rng):
    """At the front, in the middle, in a tile's rest, at another alignment: the bits are the row's own."""
    for rows, classes in [(131, 3), (70, 10), (67, 24), (67, 25), (66, 48), (66, 49), (20, 130), (5, 5_001)]:
        call = variant.call(rng, (rows, classes), dtype)
        value, pullback = call.vjp()
        g = np.asarray(rng.normal(size=value.shape), dtype)
        gradient = pullback(g)
        for some in (slice(0, 1), slice(1, 2), slice(rows - 1, rows), slice(2, 5), slice(1, rows), slice(None, None, -1)):
            part = call._replace(args=tuple(np.ascontiguousarray(arg[some]) for arg in call.args))
            part_value, part_pullback = part.vjp()
            np.testing.assert_array_equal(part_value, value[some])
            np.testing.assert_array_equal(part_pullback(np.ascontiguousarray(g[some])), gradient[some])


@each_unreduced
def test_a_position_alone_is_the_position_in_an_image(variant, isa, dtype, rng):
    for shape in [(2, 5, 70), (1, 60, 35)]:
        call = variant.call(rng, shape, dtype)
        value, pullback = call.vjp()
        g = np.asarray(rng.normal(size=value.shape), dtype)
        gradient = pullback(g)
        for some in (slice(0, 2), slice(1, 4), slice(33, 35), slice(3, None)):
            part = call._replace(args=tuple(np.ascontiguousarray(arg[..., some]) for arg in call.args))
            part_value, part_pullback = part.vjp()
            np.testing.assert_array_equal(part_value, value[..., some])
            np.testing.assert_array_equal(part_pullback(np.ascontiguousarray(g[..., some])), gradient[..., some])


@pytest.mark.parametrize("variant", variants("cross_entropy", reduction="none"), ids=str)
def test_a_long_row_shared_by_threads_is_the_row_of_one(variant, isa, dtype, rng):
    call = variant.call(rng, (1, 100_003), dtype)
    with crossent.num_threads(1):
        value, pullback = call.vjp()
        gradient = pullback(np.ones_like(value))
    for threads in (2, 3, 7):
        with crossent.num_threads(threads):
            shared, pullback = call.vjp()
            np.testing.assert_array_equal(shared, value)
            np.testing.assert_array_equal(pullback(np.ones_like(value)), gradient)


def test_the_first_class_out_of_bounds_is_named_whatever_thread_meets_it(rng):
    target = rng.integers(0, 3, 200_000)
    target[[70_000, 199_999]] = 1000, 2000
    for threads, function in product((1, 2, 7), (F.cross_entropy, F.nll_loss)):
        with crossent.num_threads(threads), pytest.raises(IndexError, match=r"Target 1000 is out of bounds\."):
            function(np.zeros((200_000, 3), np.float32), target)


def test_many_python_threads_at_once(rng):
    calls = []
    for variant in variants("cross_entropy", "log_softmax", "logsumexp", label_smoothing=0.1) + variants("softmax"):
        calls += [variant.call(rng, shape, np.float32) for shape in [(7, 5), (3_000, 40), (40, 2_000), (1, 70_001)]]
    serial = [digest(call, np.random.default_rng(0)) for call in calls]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda call: digest(call, np.random.default_rng(0)), calls)) == serial


def test_each_python_thread_has_its_own_number_of_threads():
    with ThreadPoolExecutor(1) as pool, crossent.num_threads(3):
        assert crossent.get_num_threads() == 3
        assert pool.submit(crossent.get_num_threads).result() != 3


# Forks: a child of a process whose threads have run would wait for threads that it has not.

FORKS = {
    "os.fork": """
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(compute(), parent) else 1)
    assert os.waitpid(child, 0)[1] == 0
""",
    "a fork of a fork": """
child = os.fork()
if child == 0:
    compute()
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if np.array_equal(compute(), parent) else 1)
    os._exit(os.waitpid(grandchild, 0)[1] != 0)
assert os.waitpid(child, 0)[1] == 0
""",
    "a pool of multiprocessing": """
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(np.array_equal(value, parent) for value in pool.map(compute, range(4)))
""",
    "a fork from a Python thread": """
def fork():
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(compute(), parent) else 1)
    return os.waitpid(child, 0)[1]
assert ThreadPoolExecutor(1).submit(fork).result() == 0
""",
}

PREPARATION = """
import multiprocessing, os, warnings
from concurrent.futures import ThreadPoolExecutor
import numpy as np, crossent
import crossent.nn.functional as F
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork beside threads

def compute(_=None):
    return crossent.value_and_grad(F.cross_entropy)(logits, target)[1]

logits, target = np.random.default_rng(0).normal(size=(5000, 50)), np.arange(5000) % 50
crossent.set_num_threads(4)
parent = compute()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork, and libgomp's threads, are of Linux")
@pytest.mark.parametrize("fork", list(FORKS.values()), ids=FORKS)
def test_a_forked_child_computes_and_does_not_hang(fork):
    script = PREPARATION + fork + "assert np.array_equal(compute(), parent)\n"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        errors = process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.communicate()
        raise
    assert process.returncode == 0, errors


def test_the_number_of_threads_may_change_while_others_compute(rng):
    """Setting the number of threads in the middle of calls is safe: each call has read it once."""
    call = variants("cross_entropy", reduction="none")[0].call(rng, (3_000, 40), np.float32)
    expected = digest(call, np.random.default_rng(0))
    before = crossent.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(digest, call, np.random.default_rng(0)) for _ in range(60)]
        for threads in [1, 2, 3, 4] * 10:
            crossent.set_num_threads(threads)
        assert {result.result() for result in results} == {expected}
    crossent.set_num_threads(before)
