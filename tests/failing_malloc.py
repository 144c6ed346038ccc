"""Have every allocation fail once that a public function asks of malloc: run by ``test_memory.py`` in a process of its own.

    LD_PRELOAD=failing_malloc.so python failing_malloc.py core|arrays

of the core, or of NumPy for arrays of a megabyte or more (its iterators do not survive it: see ``main``). A call of which one
failed raises MemoryError, or gives what it always gives; the core keeps no memory; the next call succeeds. Prints for each
function how many failures it met.
"""

import ctypes
import math
import sys
import warnings
from collections import Counter

import numpy as np

import crossent
from cases import CASES
from cases_pointwise import POINTWISE
from every_call import Way, every_arguments, right_ways

shim = ctypes.CDLL(None)
shim.failed_mallocs.restype = shim.live_mallocs.restype = ctypes.c_long
shim.fail_malloc.argtypes = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long

# Elements that are copied; planes; a row that threads share; sums of many blocks, which are not on the stack; those of the
# targets alone. Of how many ways to call a function: the first is its value.
SITUATIONS = [
    ((3, 200), np.float16, (*CASES, *POINTWISE), None),
    ((2, 200, 40), np.float32, CASES, None),
    ((1, 9001), np.float32, (*CASES, *POINTWISE), None),
    ((5600, 200), np.float32, (*CASES, *POINTWISE), 1),
    ((270_000, 2), np.float32, CASES, 1),
]


def bits(result):
    """Arrays and numbers, in any nesting, as bytes."""
    return [bits(part) for part in result] if isinstance(result, tuple) else np.asarray(result).tobytes()


def failures_of(way: Way, library: bytes, smallest: int) -> int:
    """Let the first, the second, ... allocation fail until a call has so few that none does."""
    expected = bits(way.call())
    for n in range(1, 100):
        assert shim.fail_malloc(library, smallest, n), f"no library is named {library}"
        try:
            result, error = bits(way.call()), None
        except MemoryError as raised:
            result, error = None, raised
        failed = shim.failed_mallocs()
        shim.fail_malloc(library, 0, 0)
        assert shim.live_mallocs() == 0 or library != b"_kernels", f"{way.name}: the core kept memory"
        assert result == expected if error is None else failed, f"{way.name}: {error!r} after {failed} failures"
        assert bits(way.call()) == expected, f"{way.name}: another result after a failure"
        if not failed:
            return n - 1
    raise AssertionError(f"{way.name}: a hundred allocations")


def main(whose: str) -> None:
    warnings.simplefilter("ignore")
    crossent.set_num_threads(2)
    # Not smaller ones of NumPy's: where an iterator's buffer fails it raises without holding the GIL and the process dies.
    library, smallest = {"core": (b"_kernels", 0), "arrays": (b"_multiarray_umath", 1 << 20)}[whose]
    seen = Counter({name: 0 for name in (*CASES, *POINTWISE)})
    for shape, dtype, names, most in SITUATIONS:
        if math.prod(shape) * np.dtype(dtype).itemsize < smallest:
            continue
        for given in every_arguments(shape, dtype, names):
            for way in list(right_ways(given))[:most]:
                seen[given.function.__name__] += failures_of(way, library, smallest)
    for name, count in seen.items():
        print(name, count)


main(sys.argv[1])
