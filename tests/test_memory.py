"""Memory: no call keeps any, right or wrong; an allocation that fails is a MemoryError; targets that change do no harm."""

import ctypes
import gc
import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from cases import CASES
from cases_pointwise import POINTWISE
from conftest import quick_or_long
from every_call import WRONG, every_right_way, every_wrong_way

pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).parent
LIBC = ctypes.CDLL(None)
repeated = quick_or_long("calls", 200, 100_000)


class Mallinfo(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and newer."""

    NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES.split())


def in_use():
    """Blocks of Python's allocator; bytes that malloc has given out, where glibc says; bytes of the process in memory."""
    malloced, resident = 0, Path("/proc/self/statm")
    if hasattr(LIBC, "mallinfo2"):
        LIBC.mallinfo2.restype = Mallinfo
        info = LIBC.mallinfo2()
        malloced = info.uordblks + info.hblkhd
    pages = int(resident.read_text().split()[1]) if resident.exists() else 0
    return np.array([sys.getallocatedblocks(), malloced, pages * 4096])


@pytest.fixture(scope="module")
def no_collection():
    """Nothing is collected but on demand, and then quickly: what is there already is not looked at."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def repeat(way, error, calls):
    for _ in range(calls):
        try:
            way.call()
        except error:
            continue
        if error:
            pytest.fail(f"{way.name}: was not refused")


def growth(way, error, calls):
    """What so many calls leave behind, as in_use() counts it, and objects that only a collection frees."""
    gc.collect()  # empties Python's lists of free objects, too
    before = in_use()
    repeat(way, error, calls)
    cyclic = gc.collect()
    return np.array([cyclic, *(in_use() - before)])


# Objects in cycles; blocks; bytes of malloc; resident bytes. A leak comes with every call, so in each of several attempts, and
# is 200 blocks, or 3200 bytes, in 200 calls at least; Python's caches grow by less, and not for ever.
ALLOWED = np.array([0, 50, 800, 2**20])


def check_growth(way, error, calls):
    references = [sys.getrefcount(array) for array in way.arrays]
    repeat(way, error, 3)
    seen = []
    while len(seen) < 6 and not (seen and (seen[-1] <= ALLOWED).all()):
        seen.append(growth(way, error, calls))
    print(f"{calls} calls of {way.name}: cyclic objects, blocks, bytes, resident bytes {seen[-1].tolist()}")
    assert (seen[-1] <= ALLOWED).all(), seen
    assert [sys.getrefcount(array) for array in way.arrays] == references


@repeated
@pytest.mark.parametrize("way", every_right_way(), ids=lambda way: way.name)
def test_a_call_keeps_no_memory(way, calls, no_collection):
    check_growth(way, (), calls)


@repeated
@pytest.mark.parametrize("way", every_wrong_way(), ids=lambda way: way.name)
def test_a_call_that_is_refused_keeps_no_memory(way, calls, no_collection):
    check_growth(way, WRONG, calls)


# Allocations that fail.


@pytest.fixture(scope="session")
def failing_malloc(tmp_path_factory):
    """A library to preload that has allocations fail on demand."""
    compiler = shutil.which("cc")
    if compiler is None or platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ:
        pytest.skip("needs a C compiler, and glibc's malloc without another one before it")
    library = tmp_path_factory.mktemp("c") / "failing_malloc.so"
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, HERE / "c/failing_malloc.c", "-o", library], check=True)
    return library


# Which functions ask malloc for memory in these situations: all of them for the core, but one_hot, which is NumPy's alone.
@pytest.mark.parametrize(("whose", "at_least"), [("core", 4), ("arrays", 0)])
def test_an_allocation_that_fails_is_a_memory_error_and_nothing_else(whose, at_least, failing_malloc):
    environment = {**os.environ, "LD_PRELOAD": str(failing_malloc)}
    script = [sys.executable, HERE / "failing_malloc.py", whose]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    met = {name: int(count) for name, count in map(str.split, done.stdout.splitlines())}
    assert met.keys() == {*CASES, *POINTWISE}
    assert sum(met.values()) > 20
    assert min(count for name, count in met.items() if name != "one_hot") >= at_least


# Targets that change while they are read, or between a value and its gradient. What comes of them is open; what is read is not.

FAR = 2**40
INDEXED = {
    "cross_entropy": F.cross_entropy,
    "nll_loss": F.nll_loss,
    "multi_margin_loss": F.multi_margin_loss,
    "multilabel_margin_loss": F.multilabel_margin_loss,
}


def scores_and_targets(function, rows):
    x = np.linspace(-2, 2, rows * 10).reshape(rows, 10).astype(np.float32)
    target = np.arange(rows) % 10
    return x, np.repeat(target[:, np.newaxis], 10, 1) if function is F.multilabel_margin_loss else target


@pytest.mark.parametrize("function", list(INDEXED.values()), ids=INDEXED)
@pytest.mark.parametrize("far", [FAR, -FAR, 10, -1])
def test_targets_that_leave_their_bounds_before_the_gradient(function, far, isa):
    x, target = scores_and_targets(function, 40)
    weight = {} if function is F.multilabel_margin_loss else {"weight": np.ones(10, np.float32)}
    pullback = crossent.vjp(function, x, target, **weight)[1]
    target[...] = far
    assert np.isfinite(pullback(np.float32(1))).all()


@pytest.mark.parametrize("function", list(INDEXED.values()), ids=INDEXED)
def test_targets_that_another_thread_changes(function):
    x, target = scores_and_targets(function, 20_000)
    good, bad, done = target.copy(), np.full_like(target, FAR), threading.Event()

    def flip():
        while not done.is_set():
            target[...] = bad
            target[...] = good

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _ in range(30):
            try:
                value, gradient = crossent.value_and_grad(function)(x, target)
            except IndexError:
                continue
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()
    finally:
        done.set()
        thread.join()
