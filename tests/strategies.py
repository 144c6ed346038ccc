"""Hypothesis strategies: calls of every function of the registries, with arrays of any kind that lie in memory in any way.

What a call means is the affair of the registries, which make its arguments; here these are bent. Called by ``test_fuzz.py``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import crossent
from cases import CASES, variants
from cases_pointwise import POINTWISE, pointwise_variants
from conftest import HALVES

GUARD = 64  # bytes of a pattern before and behind each array
PATTERN = 0xA5
LARGEST = 40_000  # elements: more than a block of the batch, and than a block of columns

VARIANTS = {**{name: variants(name) for name in CASES}, **{name: pointwise_variants(name) for name in POINTWISE}}
VARIANTS["one_hot"] = [v for v in VARIANTS["one_hot"] if v.options["num_classes"] > 0]  # else as many as a wild index says
FLOATS = [np.dtype(np.float32), np.dtype(np.float64), *HALVES]
SIDES = [1, 2, 3, 5, 8, 17, 33, 64, 65, 129, 1025, 9001]
OTHERS = [
    np.dtype(kind) for kind in ("?", "i1", "u2", "i4", "u4", "u8", "f2", "f4", "f8", "g", "F", "D", "O", "U3", "M8[s]", "V3")
]
SPECIAL_NUMBERS = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 5e-324, 1e-38, 65504.0, 3.4e38, -1.7e308, 90.0, -104.0, 1.0, -1.0, 0.5]
SPECIAL_INDICES = [-1, -100, 0, 1, 7, 127, 2**31, 2**63 - 1, -(2**63)]


class Subclass(np.ndarray):
    """An array that is not quite one of NumPy's own."""


class Layout(NamedTuple):
    """How an array lies in memory."""

    axes: tuple[int, ...] = ()  # from the outermost in memory to the innermost; as they are, if there are none here
    steps: tuple[tuple[int, int], ...] = ()  # (axis, step): a negative one runs backwards, 0 repeats, 2 leaves one out
    gap: int = 0  # bytes between two elements: strides need not be multiples of an element's size
    offset: int = 0  # bytes before the first one: any address
    swapped: bool = False
    read_only: bool = False
    subclass: bool = False


class Placed(NamedTuple):
    """An array as a layout puts it, and the memory around it: None for what is no array."""

    thing: Any
    memory: np.ndarray | None
    start: int = 0  # of the memory, where the elements begin


def placed(thing: Any, layout: Layout) -> Placed:
    if not isinstance(thing, np.ndarray) or thing.dtype.hasobject:
        return Placed(thing, None)
    axes = layout.axes if len(layout.axes) == thing.ndim else range(thing.ndim)  # a result may have other axes than the input
    steps = dict(layout.steps) if thing.size else {}  # NumPy refuses negative strides where there is nothing
    is_numeric = thing.dtype.kind in "iufc"  # bfloat16 has one byte order
    dtype = thing.dtype.newbyteorder() if layout.swapped and is_numeric else thing.dtype
    strides, unit, start = [0] * thing.ndim, dtype.itemsize + layout.gap, GUARD + layout.offset
    for axis in reversed(axes):
        step, length = steps.get(axis, 1), thing.shape[axis]
        strides[axis] = step * unit
        start += max(0, -step * unit * (length - 1))
        unit *= abs(step) * max(length, 1) or 1
    memory = np.full(unit + layout.offset + 2 * GUARD, PATTERN, np.uint8)
    array = np.ndarray(thing.shape, dtype, memory.data, start, strides)
    array[...] = thing
    array.flags.writeable = not layout.read_only
    return Placed(array.view(Subclass) if layout.subclass else array, memory, GUARD + layout.offset)


@st.composite
def layouts(draw: st.DrawFn, ndim: int, *, for_output: bool = False) -> Layout:
    step = st.sampled_from([-1, 2, -3] if for_output else [-1, 2, -3, 0])
    stepped = draw(st.lists(st.integers(0, ndim - 1), max_size=2, unique=True)) if ndim else []
    return Layout(
        axes=tuple(draw(st.permutations(range(ndim)))) if ndim > 1 and draw(st.booleans()) else (),
        steps=tuple((axis, draw(step)) for axis in stepped),
        gap=draw(st.sampled_from([0, 0, 0, 1, 2, 8])),
        offset=draw(st.sampled_from([0, 0, 0, 1, 2, 4, 8])),
        swapped=not for_output and draw(st.booleans()),
        read_only=not for_output and draw(st.booleans()),
        subclass=draw(st.integers(0, 7)) == 0,
    )


@st.composite
def shapes(draw: st.DrawFn, name: str) -> tuple[int, ...]:
    """A shape that a function takes, up to 6 dimensions; every tenth is empty."""
    fewest, most = POINTWISE[name].dimensions if name in POINTWISE else (1, 6)
    sides = draw(st.lists(st.sampled_from(SIDES), min_size=fewest, max_size=most if most < 5 else 6))
    for number, side in enumerate(sides):
        others = int(np.prod(sides)) // side
        sides[number] = max(1, min(side, LARGEST // others))
    has_rows = name in CASES or (most == 2 and len(sides) < 2)
    if sides and not has_rows and draw(st.integers(0, 9)) == 0:
        sides[draw(st.integers(0, len(sides) - (2 if most == 2 else 1)))] = 0
    return tuple(sides)


class Situation(NamedTuple):
    """A call with plain arguments, how these lie in memory instead, and what is asked of it."""

    call: Any
    layouts: dict[Any, Layout]  # of arguments by number, of others by name; "out" and "g" are those of the results
    ask: str  # "value", "gradient" or "both"
    argnum: int
    out: Any  # None, "apart", or (an argument, a number): over this argument, shifted by so many elements
    isa: str
    threads: int

    def __repr__(self) -> str:
        words = {**dict(enumerate(self.call.args)), **self.call.kwargs}
        arrays = {name: f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else a for name, a in words.items()}
        fields = {name: getattr(self, name) for name in self._fields if name != "call"}
        return f"{self.call.case.name} of {arrays}: {fields}"


def changed_dtype(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind in "biufcO":
        with np.errstate(all="ignore"):
            return array.astype(np.float64).astype(dtype)
    return np.zeros(array.shape, dtype)


RESHAPED = {
    "flat": lambda array: array.reshape(-1),
    "one more axis": lambda array: array[np.newaxis],
    "one less": lambda array: array[..., :-1] if array.ndim else array,
    "none": lambda array: array[..., :0] if array.ndim else array,
    "a number": lambda array: array.reshape(-1)[:1].reshape(()) if array.size else array,
}


def with_specials(array: np.ndarray, rng: np.random.Generator, number: int) -> np.ndarray:
    """A copy with so many elements that are special numbers, and as many of random bits: subnormal ones, nan of any kind."""
    copy = array.copy()
    if copy.size:
        specials = np.array(SPECIAL_INDICES) if array.dtype.kind in "iu" else np.array(SPECIAL_NUMBERS)
        bits = copy.reshape(-1).view(np.uint8).reshape(copy.size, -1)
        bits[rng.integers(0, copy.size, number)] = rng.integers(0, 256, (number, copy.itemsize), np.uint8)
        with np.errstate(all="ignore"):
            copy.flat[rng.integers(0, copy.size, number)] = rng.choice(specials, number).astype(copy.dtype)
    return copy


def broadcast_size(call: Any) -> int:
    """Elements of the arrays broadcast together, as an elementwise loss does: a flat one and one whose last side is 1 have the
    square. 0 where they do not go together."""
    arrays = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, np.ndarray)]
    try:
        return math.prod(np.broadcast_shapes(*(a.shape for a in arrays)))
    except ValueError:
        return 0


@st.composite
def bent(draw: st.DrawFn, call: Any, rng: np.random.Generator) -> Any:
    """The call with one argument of another dtype or shape, or with special numbers in it; most often as it was."""
    arrays = [(number, a) for number, a in enumerate(call.args) if isinstance(a, np.ndarray)]
    arrays += [(name, a) for name, a in call.kwargs.items() if isinstance(a, np.ndarray)]
    which, array = draw(st.sampled_from(arrays))
    how = draw(st.sampled_from(["not", "not", "specials", "specials", "dtype", "shape"]))
    if how == "specials":
        array = with_specials(array, rng, draw(st.integers(1, 5)))
    elif how == "dtype":
        array = changed_dtype(array, draw(st.sampled_from(OTHERS)))
    elif how == "shape":
        array = draw(st.sampled_from(list(RESHAPED.values())))(array)
    if isinstance(which, str):
        changed = call._replace(kwargs={**call.kwargs, which: array})
    else:
        changed = call._replace(args=(*call.args[:which], array, *call.args[which + 1 :]))
    return changed if broadcast_size(changed) <= 16 * LARGEST else call


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    name = draw(st.sampled_from(sorted(VARIANTS)))
    variant, shape = draw(st.sampled_from(VARIANTS[name])), draw(shapes(name))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(np.int64) if name == "one_hot" else draw(st.sampled_from(FLOATS))
    dims = (draw(st.integers(-len(shape), len(shape) - 1)),) if name in CASES and draw(st.booleans()) else ()
    whole = variant.call(rng, shape, dtype, *dims)
    if name == "logsumexp" and draw(st.booleans()):
        whole.kwargs["dim"] = tuple(draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)))
    differentiable = whole.argnums if name != "one_hot" else ()
    call = draw(bent(whole, rng))
    arguments = {**dict(enumerate(call.args)), **call.kwargs}
    out = None
    if name != "one_hot" and draw(st.booleans()):
        over = st.tuples(st.sampled_from(sorted(arguments, key=str)), st.sampled_from([0, 0, 1, -1, 3, -7, 0.5]))
        out = draw(st.just("apart") | over)
    placements = {key: draw(layouts(a.ndim)) for key, a in arguments.items() if isinstance(a, np.ndarray)}
    placements |= {"out": draw(layouts(len(shape), for_output=True)), "g": draw(layouts(len(shape)))}
    return Situation(
        call=call,
        layouts=placements,
        ask=draw(st.sampled_from(["value", "gradient", "both"])) if differentiable else "value",
        argnum=draw(st.sampled_from(differentiable)) if differentiable else 0,
        out=out,
        isa=draw(st.sampled_from(crossent._runtime.isa_names())),
        threads=draw(st.integers(1, 2)),
    )
