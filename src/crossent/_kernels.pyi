"""Types of the binding; see _kernels.pyx."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

NO_OUTPUT: int
GRADIENT: int
LOG_SOFTMAX: int
NO_DERIVATIVE: int
BY_INPUT: int
BY_TARGET: int
BY_EXTRA: int

def isa_names() -> list[str]: ...
def use_isa(name: str) -> None: ...
def current_isa() -> str: ...
def has_openmp() -> bool: ...
def openmp_max_threads() -> int: ...
def pointwise_names() -> list[str]: ...
def ask_for_threads(function: Callable[[], int]) -> None: ...
def short_cross_entropy(input: Any, target: Any, out: Any = None, with_gradient: bool = False) -> Any: ...
def first_outside(values: NDArray[Any], low: float, high: float, threads: int) -> int: ...
def map_exp(values: NDArray[Any], out: NDArray[Any]) -> None: ...
def map_log1p(values: NDArray[Any], out: NDArray[Any]) -> None: ...
def map_log(values: NDArray[Any], out: NDArray[Any]) -> None: ...

class Job:
    def __init__(
        self,
        is_double: bool,
        input: NDArray[Any],
        outer: int,
        classes: int,
        inner: int,
        target: NDArray[Any] | None = None,
        probabilities: NDArray[Any] | None = None,
        weight: NDArray[Any] | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        log_probabilities: bool = False,
        factor: float = 1.0,
    ) -> None: ...
    def check_target(self, threads: int) -> tuple[float, int]: ...
    def run(
        self,
        threads: int,
        values: NDArray[Any] | None = None,
        output: NDArray[Any] | None = None,
        kind: int = 0,
        grad_scale: float = 1.0,
        grad_output: NDArray[Any] | None = None,
        divisor: float = 1.0,
    ) -> float: ...
    def score(
        self,
        threads: int,
        values: NDArray[Any] | None,
        predicted: NDArray[Any],
        rank: NDArray[Any],
        confidence: NDArray[Any],
        entropy: NDArray[Any],
        brier: NDArray[Any],
    ) -> None: ...

class ShortWay:
    short: bool
    with_gradient: bool
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

class PointwiseJob:
    def __init__(
        self,
        is_double: bool,
        loss: str,
        input: NDArray[Any],
        target: NDArray[Any] | None = None,
        extra: NDArray[Any] | None = None,
        weight: NDArray[Any] | None = None,
        a: float = 0.0,
        b: float = 0.0,
        group: int = 1,
    ) -> None: ...
    def run(
        self,
        threads: int,
        values: NDArray[Any] | None = None,
        output: NDArray[Any] | None = None,
        derivative: int = 0,
        grad_scale: float = 1.0,
        grad_output: NDArray[Any] | None = None,
        divisor: float = 1.0,
    ) -> float: ...

class MarginJob:
    def __init__(
        self,
        is_double: bool,
        input: NDArray[Any],
        rows: int,
        classes: int,
        target: NDArray[Any],
        weight: NDArray[Any] | None = None,
        several: bool = False,
        power: int = 1,
        margin: float = 1.0,
    ) -> None: ...
    def run(
        self,
        threads: int,
        values: NDArray[Any] | None = None,
        output: NDArray[Any] | None = None,
        grad_scale: float = 1.0,
        grad_output: NDArray[Any] | None = None,
        divisor: float = 1.0,
    ) -> float: ...
