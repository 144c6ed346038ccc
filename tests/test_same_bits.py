"""The same bits for any number of threads, in any run, in any batch, at any place in it and in memory.

Any strides, byte orders and libraries of arrays: ``test_layouts.py`` and ``test_fuzz.py``.
"""

import numpy as np
import pytest

import crossent
from bits import digest
from cases import CASES, variants
from cases_pointwise import pointwise_variants
from conftest import quick_or_long
from gradients import flowing_in

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")

THREADS = (1, 2, 3, 7, 16)
EVERY = [*variants(), *pointwise_variants()]
# A sum is a mean that is not divided, and ignoring 1 is ignoring -100: what is left has every kernel still.
DISTINCT = [v for v in EVERY if v.options.get("reduction") != "sum" and v.options.get("ignore_index") != 1]
UNREDUCED = [v for v in EVERY if v.options.get("reduction") in ("none", None)]

# Several blocks of the batch each: few classes, many, positions.
LARGE = [(33_001, 3), (1_901, 70), (3, 9, 2_003)]
# Rows that are longer than a block, fewer than threads: these are shared by threads, those of other losses are not.
LONG_ROWS = [(1, 30_001), (2, 9_001)]
# Rows of few classes and of many, and how many of them do not fill a tile.
SMALL = [(131, 3), (70, 10), (67, 24), (67, 25), (66, 48), (66, 49), (20, 130), (5, 5_001)]


def check_threads(variant, dtype, rng, runs):
    """The same digest in each of so many runs, by 1, 2, 3, 7 and 16 threads in turn."""
    shapes = LARGE + LONG_ROWS if variant.case.name in CASES else LARGE
    for shape in filter(variant.case.takes, shapes):
        call = variant.call(rng, shape, dtype)
        digests = set()
        for run in range(runs):
            threads = THREADS[run % len(THREADS)]
            with crossent.num_threads(threads):
                assert crossent.get_num_threads() == threads  # nobody limits OpenMP behind our back
                digests.add(digest(call))
        assert len(digests) == 1, shape


@quick_or_long("runs", len(THREADS), 100)
@pytest.mark.parametrize("variant", DISTINCT, ids=str)
def test_any_number_of_threads_gives_the_same_bits(variant, dtype, runs, rng):
    check_threads(variant, dtype, rng, runs)


@pytest.mark.long
@pytest.mark.parametrize("variant", EVERY, ids=str)
def test_any_number_of_threads_gives_the_same_bits_on_every_isa(variant, isa, any_dtype, rng):
    check_threads(variant, any_dtype, rng, len(THREADS))


@pytest.mark.parametrize("variant", variants("cross_entropy", reduction="none"), ids=str)
def test_a_long_row_shared_by_threads_is_the_row_of_one(variant, isa, dtype, rng):
    call = variant.call(rng, (1, 100_003), dtype)
    digests = set()
    for threads in THREADS:
        with crossent.num_threads(threads):
            digests.add(digest(call))
    assert len(digests) == 1


def check_pieces(call, dtype, pieces, is_cut):
    """Each piece of the arrays that are cut gives that piece of the values and of the gradients."""
    value, pullback = crossent.vjp(call.case.function, *call.args, argnums=call.argnums, **call.kwargs)
    g = flowing_in(value.shape, dtype)
    gradients = pullback(g)
    for some in pieces:

        def cut(thing, some=some):
            return np.ascontiguousarray(thing[some]) if isinstance(thing, np.ndarray) and is_cut(thing) else thing

        kwargs = {name: cut(thing) for name, thing in call.kwargs.items()}
        part, part_pullback = crossent.vjp(call.case.function, *map(cut, call.args), argnums=call.argnums, **kwargs)
        np.testing.assert_array_equal(part, cut(value))
        for number, gradient in zip(call.argnums, part_pullback(cut(g)), strict=True):
            if is_cut(call.args[number]):  # the gradient of one that is repeated is a sum over the batch
                np.testing.assert_array_equal(gradient, cut(gradients[call.argnums.index(number)]))


@pytest.mark.parametrize("variant", [v for v in UNREDUCED if v.options.get("dim") != 0], ids=str)
def test_a_row_alone_is_the_row_in_a_batch(variant, isa, dtype, rng):
    """At the front, in the middle, in a tile's rest, at another alignment: the bits are the row's own."""
    for rows, classes in filter(variant.case.takes, SMALL):
        call = variant.call(rng, (rows, classes), dtype)
        pieces = (np.s_[:1], np.s_[1:2], np.s_[rows - 1 :], np.s_[2:5], np.s_[1:], np.s_[::-1])
        check_pieces(call, dtype, pieces, lambda array, rows=rows: array.shape[:1] == (rows,))


@pytest.mark.parametrize("variant", [v for v in UNREDUCED if v.case.name in CASES], ids=str)
def test_a_position_alone_is_the_position_in_an_image(variant, isa, dtype, rng):
    for shape in [(2, 5, 70), (1, 60, 35)]:
        call = variant.call(rng, shape, dtype)
        pieces = (np.s_[..., :2], np.s_[..., 1:4], np.s_[..., 33:35], np.s_[..., 3:])
        check_pieces(call, dtype, pieces, lambda array, shape=shape: array.shape[-1:] == shape[-1:])


def at(offset, thing):
    """A copy of an array that begins so many bytes behind a cache line's start."""
    if not isinstance(thing, np.ndarray):
        return thing
    memory = np.zeros(thing.nbytes + 64 + offset, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    copy = memory[start : start + thing.nbytes].view(thing.dtype).reshape(thing.shape)
    copy[...] = thing
    return copy


@quick_or_long("offsets", (0, 1, 4, 40), range(64))
@pytest.mark.parametrize("variant", UNREDUCED, ids=str)
def test_any_alignment_gives_the_same_bits(variant, isa, dtype, offsets, rng):
    for shape in filter(variant.case.takes, [(66, 49), (5, 700), (2, 5, 33)]):
        call = variant.call(rng, shape, dtype)
        digests = set()
        for offset in offsets:
            kwargs = {name: at(offset, thing) for name, thing in call.kwargs.items()}
            digests.add(digest(call._replace(args=tuple(at(offset, arg) for arg in call.args), kwargs=kwargs)))
        assert len(digests) == 1, shape
