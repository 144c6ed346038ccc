"""Every public function and class, right and wrong, as calls without arguments: what the tests of memory repeat.

Made from the registries ``cases.py`` and ``cases_pointwise.py``, and from the tables of wrong calls of the tests of errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import crossent
from cases import CASES, DIFFERENTIABLE, MODULES, variants
from cases_pointwise import POINTWISE, pointwise_variants
from crossent import information, nn
from gradients import flowing_in
from reference import Array
from test_arguments import REFUSED
from test_information import REFUSED as REFUSED_BY_INFORMATION
from test_pointwise import CLASSES

Shape = tuple[int, ...]
SCORING = ("score", "score_rows", "fit_temperature")
WRONG = (TypeError, ValueError, IndexError)


class Way(NamedTuple):
    """A way to call something, and the arrays that it is given."""

    name: str
    call: Callable[[], Any]
    arrays: tuple[Array, ...] = ()


class Arguments(NamedTuple):
    """What a function of a registry is called with here."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    differentiable: tuple[int, ...]

    @property
    def arrays(self) -> tuple[Array, ...]:
        return tuple(a for a in (*self.args, *self.kwargs.values()) if isinstance(a, np.ndarray))

    def way(self, name: str, call: Callable[[], Any]) -> Way:
        return Way(f"{self.name}: {name}", call, self.arrays)


def every_arguments(shape: Shape, dtype: Any, names: Any = (*CASES, *POINTWISE)) -> Iterator[Arguments]:
    """Each function with its first and its last choice of options, which between them have every kind of operand."""
    rng = np.random.default_rng(0)
    for name in names:
        is_softmax = name in CASES
        chosen = variants(name) if is_softmax else pointwise_variants(name)
        takes = is_softmax or POINTWISE[name].takes(shape)
        for variant in dict.fromkeys(map(str, chosen[:1] + chosen[-1:])) if takes else ():
            variant = next(v for v in chosen if str(v) == variant)
            call = variant.call(rng, shape, np.int64 if name == "one_hot" else dtype)
            yield Arguments(str(variant), call.case.function, call.args, call.kwargs, differentiable(name, call))


def differentiable(name: str, call: Any) -> tuple[int, ...]:
    """Positions of the arguments that have a gradient."""
    if name in POINTWISE:
        return tuple(n for n in range(len(call.case.differentiable)) if isinstance(call.args[n], np.ndarray))
    if name not in DIFFERENTIABLE:
        return ()
    return (0, 1) if name == "cross_entropy" and call.args[1].dtype.kind == "f" else (0,)


def right_ways(given: Arguments) -> Iterator[Way]:
    """The value, new and into an array; both passes of every gradient; value and gradient at once, and in place."""
    function, args, kwargs = given.function, given.args, given.kwargs
    value = np.asarray(function(*args, **kwargs))
    yield given.way("value", lambda: function(*args, **kwargs))
    if not given.differentiable:
        return
    yield given.way("value into an array", lambda: function(*args, **kwargs, out=np.empty_like(value)))
    g = flowing_in(value.shape, value.dtype)

    def both_passes() -> Any:
        return crossent.vjp(function, *args, argnums=given.differentiable, **kwargs)[1](g)

    yield given.way("gradients", both_passes)
    if value.ndim == 0:
        fused = crossent.value_and_grad(function)
        yield given.way("value and gradient", lambda: fused(*args, **kwargs))

        def in_place() -> Any:
            copy = args[0].copy()
            return fused(copy, *args[1:], **kwargs, out=copy)

        yield given.way("value, and gradient over the input", in_place)


def wrong_ways(given: Arguments) -> Iterator[Way]:
    """What every function refuses."""
    function, (input, *others), kwargs = given.function, given.args, given.kwargs
    elsewhere = np.empty((7, 7, 7), input.dtype)
    yield given.way("complex numbers", lambda: function(input * 1j, *others, **kwargs))
    yield given.way("an unknown argument", lambda: function(input, *others, **kwargs, unknown=1))
    yield given.way("an array of another shape for the result", lambda: function(input, *others, **kwargs, out=elsewhere))
    if others and isinstance(others[0], np.ndarray) and others[0].shape[:1] == input.shape[:1] != (1,):
        yield given.way("a target too few", lambda: function(input, others[0][:-1], *others[1:], **kwargs))
    if others and isinstance(others[0], np.ndarray) and others[0].dtype.kind == "i":
        yield given.way("a class out of bounds", lambda: function(input, others[0] + 10**6, **kwargs))
    if "reduction" in kwargs:
        yield given.way("an unknown reduction", lambda: function(input, *others, **{**kwargs, "reduction": "avg"}))
    if given.differentiable:
        fused = crossent.value_and_grad(function)
        yield given.way("a gradient without its argument", lambda: crossent.grad(function, 99))
        yield given.way("an array of another shape for the gradient", lambda: fused(input, *others, **kwargs, out=elsewhere))
        pullback = crossent.vjp(function, *given.args, **kwargs)[1]
        yield given.way("another gradient to flow in", lambda: pullback(elsewhere))


def module_ways(shape: Shape, dtype: Any) -> Iterator[Way]:
    """An object of each class, called, and pulled back."""
    functions = {**MODULES, **CLASSES, "LabelSmoothingLoss": "cross_entropy"}
    for name, function in functions.items():
        given = next(every_arguments(shape, dtype, [function]))
        kwargs = {} if name == "LabelSmoothingLoss" else given.kwargs
        module = getattr(nn, name)

        def use(module: Any = module, args: Any = given.args, kwargs: Any = kwargs) -> Any:
            loss = module(**kwargs)
            value = loss(*args)
            return value, loss.backward(np.ones_like(value))

        yield Way(name, use, given.arrays)


def other_ways() -> Iterator[Way]:
    """What no registry has: information, scores."""
    x = np.random.default_rng(0).normal(size=(12, 5))
    y = x.argmax(1)
    y[::3] = 0  # not all are right, so that there is a temperature
    p, q = (crossent.nn.functional.softmax(a, -1) for a in (x, -x))
    yield Way("information.entropy", lambda: information.entropy(p, base=2), (p,))
    yield Way("information.cross_entropy", lambda: information.cross_entropy(p, q), (p, q))
    yield Way("information.kl_divergence", lambda: information.kl_divergence(p, q), (p, q))
    for name in SCORING:
        yield Way(name, partial(getattr(crossent, name), x, y), (x, y))


def without_warnings(ways: Callable[..., Iterator[Way]]) -> Callable[..., list[Way]]:
    """The ways as a list; some functions warn as torch does."""

    def collected(*args: Any) -> list[Way]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(ways(*args))

    return collected


@without_warnings
def every_right_way() -> Iterator[Way]:
    """Of a few numbers, for which the core allocates next to nothing, and of some in 16 bits, for which it does."""
    for shape, dtype in (((3, 5), np.float32), ((2, 200), np.float16)):
        for given in every_arguments(shape, dtype):
            for way in right_ways(given):
                yield way._replace(name=f"{way.name}, {np.dtype(dtype)}")
    yield from module_ways((3, 5), np.float32)
    yield from other_ways()


@without_warnings
def every_wrong_way() -> Iterator[Way]:
    for given in every_arguments((3, 5), np.float32):
        yield from wrong_ways(given)
    for table in (REFUSED, REFUSED_BY_INFORMATION):
        for name, (call, *_) in table.items():
            yield Way(name, call)
    x, y = np.ones((4, 3)), np.array([0, 1, 2, 3])
    for name in SCORING:
        yield Way(f"{name}: a class out of bounds", partial(getattr(crossent, name), x, y), (x, y))
