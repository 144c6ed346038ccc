"""The registry: one row for each public function, with its options, the makers of its inputs, its reference, its accuracy.

Tests and benchmarks iterate it; it needs neither pytest nor torch. A new loss is a new row of ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import crossent
import crossent.nn.functional as F
import reference
from crossent import _runtime
from crossent._arguments import is_float
from reference import Array, Exact, unit

Options = Mapping[str, Any]
Shape = tuple[int, ...]


class Case(NamedTuple):
    """A public function."""

    function: Callable[..., Any]
    reference: Callable[..., Any]
    torch: str  # where torch has it
    options: Mapping[str, tuple[Any, ...]]  # the product of these is tested, but for what `is_legal` refuses
    arguments: Callable[..., tuple[tuple[Array, ...], dict[str, Any]]]  # (rng, shape, dtype, dim, options)
    allowed: Callable[[Exact, Any], Array]  # how far a value of this dtype may be from the exact one
    gradient_units: float  # how far a gradient may be, in units in the last place of its condition
    is_legal: Callable[[Options], bool] = lambda options: True

    @property
    def name(self) -> str:
        return self.function.__name__

    def takes(self, shape: Shape) -> bool:
        """Whether an input can have this shape."""
        return len(shape) > 0


class Call(NamedTuple):
    """A function with arguments for it."""

    case: Case
    args: tuple[Array, ...]
    kwargs: dict[str, Any]

    def value(self, **more: Any) -> Any:
        return self.case.function(*self.args, **self.kwargs, **more)

    def exact(self) -> Exact:
        return self.case.reference(*self.args, **self.kwargs)

    @property
    def argnums(self) -> tuple[int, ...]:
        """The arguments that have a gradient: the input, and class probabilities."""
        return tuple(number for number, arg in enumerate(self.args) if is_float(arg.dtype))

    def vjp(self, argnums: Any = 0) -> tuple[Any, Callable[..., Any]]:
        return crossent.vjp(self.case.function, *self.args, argnums=argnums, **self.kwargs)

    def value_and_grad(self, argnums: Any = 0, **more: Any) -> tuple[Any, Any]:
        return crossent.value_and_grad(self.case.function, argnums)(*self.args, **self.kwargs, **more)

    def allowed_gradient(self, exact: Exact, g: Any) -> Array:
        """How far a gradient may be: for its formula, for the sums along its row, for the sum of weights it is divided by."""
        dtype = self.args[0].dtype
        units = self.case.gradient_units + row_units(exact)
        if exact.value.ndim == 0:
            units += 1 + float64_sum(exact.divisor_terms, dtype)
        return units * unit(exact.gradient_condition(g), dtype)


class Variant(NamedTuple):
    """A function with one choice of options; str() says it in words."""

    case: Case
    options: Options

    def __str__(self) -> str:
        words = (WORDS[name](value) for name, value in self.options.items())
        return ", ".join(filter(None, (f"{self.case.name}{words_of_target(self.options)}", *words)))

    def call(self, rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None = None) -> Call:
        return Call(self.case, *self.case.arguments(rng, shape, np.dtype(dtype), dim, self.options))

    @property
    def is_scalar(self) -> bool:
        return self.options.get("reduction", "none") != "none"

    @property
    def has_probabilities(self) -> bool:
        return self.options.get("target") == "class probabilities"


WORDS: dict[str, Callable[[Any], str]] = {
    "target": lambda kind: "",
    "reduction": str,
    "weight": lambda is_given: "with weights" if is_given else "",
    "ignore_index": lambda index: "" if index is None else f"ignoring {index}",
    "label_smoothing": lambda share: f"smoothing {share}" if share else "",
    "keepdim": lambda keep: "keeping dimensions" if keep else "",
    "num_classes": lambda number: f"{number} classes" if number > 0 else "all classes",
}


def words_of_target(options: Options) -> str:
    return f" of {options['target']}" if "target" in options else ""


def variants(*names: str, **chosen: Any) -> list[Variant]:
    """Every legal choice of options of the functions of these names, or of all; `chosen` fixes some options."""
    return [Variant(CASES[name], o) for name in names or DIFFERENTIABLE for o in legal_options(CASES[name], chosen)]


def legal_options(case: Any, chosen: Options) -> Iterator[dict[str, Any]]:
    """The product of a case's options, but for what it refuses and what differs from the chosen."""
    for values in product(*case.options.values()):
        options = dict(zip(case.options, values, strict=True))
        if case.is_legal(options) and chosen.items() <= options.items():
            yield options


def each_isa() -> Iterator[str]:
    """Every instruction set of this CPU in turn, in use while the loop's body runs."""
    for name in _runtime.isa_names():
        with _runtime.use_isa(name):
            yield name


# --- makers of inputs. They take a generator, so that a seed gives the same inputs, and assert what they promise.


def class_axis(shape: Shape, dim: int | None) -> int:
    return min(1, len(shape) - 1) if dim is None else dim % len(shape)


def with_classes_at(dim: int, rows: Array, shape: Shape, dtype: Any) -> Array:
    """Rows (positions, C) as an array of this shape with the classes along dim."""
    without = shape[:dim] + shape[dim + 1 :]
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*without, shape[dim]), -1, dim), dtype)


def as_rows(array: Array, dim: int) -> Array:
    return np.moveaxis(array, dim, -1).reshape(-1, array.shape[dim])


def logits(rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None = None) -> Array:
    """Normal numbers of standard deviation 3; in every second row one class is 20 higher, so that losses are tiny or large."""
    dim = class_axis(shape, dim)
    C = shape[dim]
    rows = rng.normal(scale=3.0, size=(int(np.prod(shape[:dim] + shape[dim + 1 :])), C))
    sure = np.arange(1, len(rows), 2)
    if C:
        rows[sure, rng.integers(0, C, len(sure))] += 20.0
    assert rows.size < 100 or (rows.min() < -3 and rows.max() > 3 and rows.std() > 2)
    return with_classes_at(dim, rows, shape, dtype)


def class_indices(rng: np.random.Generator, input: Array, dim: int | None = None, ignore_index: int | None = None) -> Array:
    """Random classes, but the likeliest one in every fourth row; every third position is ignored, if any are."""
    dim = class_axis(input.shape, dim)
    rows = as_rows(input, dim)
    y = rng.integers(0, rows.shape[1], len(rows))
    y[1::4] = rows[1::4].argmax(-1)
    if ignore_index is not None:
        y[2::3] = ignore_index
        assert len(y) < 3 or (y == ignore_index).any()
    assert len(y) < 30 or rows.shape[1] < 2 or len(np.unique(y)) > 1
    return y.reshape(input.shape[:dim] + input.shape[dim + 1 :])


def class_probabilities(rng: np.random.Generator, input: Array, dim: int | None = None) -> Array:
    """Random distributions; every fourth row has a single class, another fourth zeros, every fifth sums to 1.5."""
    dim = class_axis(input.shape, dim)
    rows = rng.exponential(size=as_rows(input, dim).shape) ** 2
    rows[1::4] = rows[1::4] == rows[1::4].max(-1, keepdims=True)
    rows[3::4, ::2] = 0.0
    rows /= np.maximum(rows.sum(-1, keepdims=True), np.finfo(float).tiny)
    rows[4::5] *= 1.5
    assert min(rows.shape) < 4 or ((rows == 0).any() and (rows > 0.5).any())
    return with_classes_at(dim, rows, input.shape, input.dtype)


def class_weights(rng: np.random.Generator, classes: int, dtype: Any) -> Array:
    return rng.uniform(0.2, 3.0, classes).astype(dtype)


def loss_arguments(rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None, options: Options) -> Any:
    """Arguments of a loss whose target has a class, or a distribution over the classes, for each position."""
    input, ignored = logits(rng, shape, dtype, dim), options.get("ignore_index")
    if options.get("target") == "class probabilities":
        target = class_probabilities(rng, input, dim)
    else:
        target = class_indices(rng, input, dim, ignored)
    kwargs = {name: options[name] for name in ("reduction", "label_smoothing") if name in options}
    if options["weight"]:
        kwargs["weight"] = class_weights(rng, shape[class_axis(shape, dim)], dtype)
    if ignored is not None:
        kwargs["ignore_index"] = ignored
    if dim is not None:
        kwargs["dim"] = dim
    return (input, target), kwargs


def nll_arguments(rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None, options: Options) -> Any:
    (input, target), kwargs = loss_arguments(rng, shape, dtype, dim, options)
    log_probabilities = reference.log_softmax(input, class_axis(shape, dim)).value.astype(dtype)
    return (log_probabilities, target), kwargs


def array_arguments(rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None, options: Options) -> Any:
    return (logits(rng, shape, dtype, dim),), {"dim": class_axis(shape, dim) if dim is None else dim, **options}


def one_hot_arguments(rng: np.random.Generator, shape: Shape, dtype: Any, dim: int | None, options: Options) -> Any:
    return (rng.integers(0, 7, shape).astype(dtype),), dict(options)


# --- accuracy, in units in the last place of the result's dtype


def float64_sum(terms: int, dtype: Any) -> float:
    """A sum that is float64, one term after the other: half a ULP of float64 each, in units of dtype."""
    return terms / 2 * np.finfo(np.float64).eps / np.finfo(dtype).eps


def row_units(exact: Exact) -> float:
    """Where all classes have a part: their coefficients, the products with them, and the short sums of those are rounded."""
    return 4 if exact.terms > 1 else 0


def loss_units(positions: Array) -> Array:
    """The bar of the design: 3 ULP for losses of 0.1 or more, 6 down to 1e-3, 64 below.

    The small ones are e^(x - m), where an error of x - m counts by its size: 7 at 1e-3, 64 at 1e-28.
    """
    return np.where(positions >= 0.1, 3, np.where(positions >= 1e-3, 6, 64))


@reference.quiet
def reduced_units(each: Any, summing: float, exact: Exact, dtype: Any) -> Array:
    """What each position may be off by; of a sum or mean the same sum or mean, what summing adds, D, and the quotient."""
    allowed = each * unit(exact.positions, dtype)
    if exact.value.ndim:
        return allowed
    units = summing + float64_sum(exact.divisor_terms, dtype) + 1
    return allowed.sum() / np.abs(exact.divisor) + units * unit(exact.condition, dtype)


def allowed_loss(exact: Exact, dtype: Any) -> Array:
    """One ULP more than a plain loss has: for the product with a weight, for the two differences of a log-probability."""
    return reduced_units(loss_units(exact.positions) + 1 + row_units(exact), 0, exact, dtype)


def allowed_product(exact: Exact, dtype: Any) -> Array:
    """w x is rounded once."""
    return reduced_units(1, float64_sum(exact.positions.size, dtype), exact, dtype)


def allowed_units(units: float) -> Callable[[Exact, Any], Array]:
    return lambda exact, dtype: units * unit(exact.condition, dtype)


# --- the rows

REDUCTIONS = ("mean", "sum", "none")

CASES = {
    case.name: case
    for case in [
        Case(
            function=F.cross_entropy,
            reference=reference.cross_entropy,
            torch="nn.functional.cross_entropy",
            options={
                "target": ("class indices", "class probabilities"),
                "reduction": REDUCTIONS,
                "weight": (False, True),
                "ignore_index": (None, -100, 1),
                "label_smoothing": (0.0, 0.1),
            },
            arguments=loss_arguments,
            allowed=allowed_loss,
            gradient_units=4,
            is_legal=lambda options: options["target"] == "class indices" or options["ignore_index"] is None,
        ),
        Case(
            function=F.nll_loss,
            reference=reference.nll_loss,
            torch="nn.functional.nll_loss",
            options={"reduction": REDUCTIONS, "weight": (False, True), "ignore_index": (None, -100, 1)},
            arguments=nll_arguments,
            allowed=allowed_product,
            gradient_units=2,
        ),
        Case(
            function=F.softmax,
            reference=reference.softmax,
            torch="nn.functional.softmax",
            options={},
            arguments=array_arguments,
            allowed=allowed_units(4),
            gradient_units=4,
        ),
        Case(
            function=F.log_softmax,
            reference=reference.log_softmax,
            torch="nn.functional.log_softmax",
            options={},
            arguments=array_arguments,
            allowed=allowed_loss,
            gradient_units=4,
        ),
        Case(
            function=crossent.logsumexp,
            reference=reference.logsumexp,
            torch="logsumexp",
            options={"keepdim": (False, True)},
            arguments=array_arguments,
            allowed=allowed_units(3),
            gradient_units=4,
        ),
        Case(
            function=F.one_hot,
            reference=reference.one_hot,
            torch="nn.functional.one_hot",
            options={"num_classes": (-1, 7, 9)},
            arguments=one_hot_arguments,
            allowed=lambda exact, dtype: np.zeros_like(exact),
            gradient_units=0,
        ),
    ]
}

DIFFERENTIABLE = [name for name in CASES if name != "one_hot"]

# The classes, and the function that each is; LabelSmoothingLoss has none.
MODULES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "LabelSmoothingLoss": None,
}
