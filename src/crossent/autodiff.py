"""value_and_grad, grad and vjp: JAX's names and meaning, for every differentiable function of the package.

No mathematics is here: each public function prepares a plan (``_plans.py``), and these ask it for the gradient too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from numpy.typing import ArrayLike, NDArray

from crossent import _arguments as arguments
from crossent import _kernels
from crossent._plans import Plan, Value

P = ParamSpec("P")
Gradient = NDArray[Any]
Argnums = int | Sequence[int]


class Differentiable(_kernels.ShortWay, Generic[P]):
    """A public function that is written as the preparation of its plan; calling it gives the plan's value."""

    __name__: str
    __qualname__: str

    def __init__(self, plan: Callable[P, Plan]) -> None:
        update_wrapper(self, plan)
        self.plan = plan

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Value: ...

    def long_way(self, *args: P.args, **kwargs: P.kwargs) -> Value:
        out: Any = kwargs.pop("out", None)
        return self.plan(*args, **kwargs).value(out)

    def __repr__(self) -> str:
        return f"<function {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> str:
        return self.__qualname__

    @cached_property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.plan).parameters)


def _plan_of(fn: Any, caller: str) -> Differentiable[...]:
    if not isinstance(fn, Differentiable):
        raise TypeError(f"{caller}: expected a differentiable function of crossent, but got {fn!r}")
    return fn


def _names(fn: Differentiable[...], argnums: Argnums) -> tuple[str, ...]:
    """The parameters that argnums counts."""
    numbers = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    names = []
    for number in numbers:
        is_number = hasattr(number, "__index__") and not isinstance(number, bool)
        if not is_number or not 0 <= number < len(fn.parameters):
            raise ValueError(f"argnums must be positions of arguments of {fn.__name__}, but got {argnums!r}")
        names.append(fn.parameters[number])
    return tuple(names)


def _prepared(fn: Differentiable[...], names: tuple[str, ...], args: Any, kwargs: Any) -> Plan:
    """The plan of a call, which must differentiate by all these parameters."""
    plan = fn.plan(*args, **kwargs)
    for name in names:
        if name not in plan.differentiable:
            raise TypeError(f"{fn.__name__} is not differentiable with respect to argument '{name}'")
    return plan


def _delivered(gradients: tuple[Gradient, ...], out: Any) -> tuple[Gradient, ...]:
    """Several gradients in the arrays of `out`, which may be the very arguments: all are computed before one is written."""
    if out is None:
        return gradients
    if not isinstance(out, (tuple, list)) or len(out) != len(gradients):
        raise ValueError(f"expected out to be a tuple of {len(gradients)} arrays, as argnums is")
    for gradient, buffer in zip(gradients, out, strict=True):
        arguments.output(buffer, gradient.shape, gradient.dtype, ())
    return tuple(arguments.deliver(gradient, buffer) for gradient, buffer in zip(gradients, out, strict=True))


def value_and_grad(fn: Callable[..., Value], argnums: Argnums = 0) -> Callable[..., tuple[Value, Any]]:
    """A function that computes the value of `fn` and its gradient in one pass over the data.

    Parameters
    ----------
    fn : function
        A differentiable function of crossent whose result, for the arguments it will get, is a scalar.
    argnums : int or sequence of ints, default 0
        Position of the argument, or arguments, to differentiate by.

    Returns
    -------
    function
        Takes fn's arguments and ``out=``, the array for the gradient: an array like the argument, which may be the
        argument itself (8 bytes moved per float32 element instead of 12). It returns ``(value, gradient)``; the
        gradient is a tuple where argnums is a sequence.

    Raises
    ------
    TypeError
        If `fn` cannot be differentiated by that argument, or its result is not a scalar; `vjp` takes those.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> import crossent.nn.functional as F
    >>> logits, target = np.log([[1.0, 3.0]]), np.array([0])
    >>> loss, gradient = crossent.value_and_grad(F.cross_entropy)(logits, target)
    >>> round(float(loss), 6), gradient.round(6).tolist()
    (1.386294, [[-0.75, 0.75]])
    """
    return _ValueAndGrad(_plan_of(fn, "value_and_grad"), argnums)


class _ValueAndGrad(_kernels.ShortWay):
    """What value_and_grad returns."""

    def __init__(self, fn: Differentiable[...], argnums: Argnums) -> None:
        update_wrapper(self, fn, updated=())
        self.fn, self.argnums, self.names = fn, argnums, _names(fn, argnums)
        self.short, self.with_gradient = fn.short and argnums == 0, True

    def __repr__(self) -> str:
        return f"<value_and_grad of {self.fn!r} by {', '.join(self.names)}>"

    def long_way(self, *args: Any, out: Any = None, **kwargs: Any) -> tuple[Value, Any]:
        plan = _prepared(self.fn, self.names, args, kwargs)
        if plan.shape != ():
            raise TypeError(
                f"value_and_grad needs a scalar result, but {self.fn.__name__} gives one of shape {plan.shape}: "
                "use crossent.vjp, or reduction='mean' or 'sum'"
            )
        if not isinstance(self.argnums, Sequence):
            return plan.value_and_gradient(self.names[0], out)
        if not self.names:
            return plan.value(), _delivered((), out)
        value, first = plan.value_and_gradient(self.names[0])
        return value, _delivered((first, *(plan.gradient(name, 1.0) for name in self.names[1:])), out)


def grad(fn: Callable[..., Value], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that computes the gradient of `fn`: `value_and_grad` without the value.

    Parameters
    ----------
    fn, argnums
        As in `value_and_grad`.

    Returns
    -------
    function
        Takes fn's arguments and ``out=``; returns the gradient, or a tuple of them.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> import crossent.nn.functional as F
    >>> crossent.grad(F.cross_entropy)(np.log([[1.0, 3.0]]), np.array([0])).round(6).tolist()
    [[-0.75, 0.75]]
    """
    both = value_and_grad(_plan_of(fn, "grad"), argnums)

    def gradient(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        return both(*args, out=out, **kwargs)[1]

    update_wrapper(gradient, fn)
    return gradient


def vjp(fn: Callable[..., Value], *args: Any, argnums: Argnums = 0, **kwargs: Any) -> tuple[Value, Callable[..., Any]]:
    """The value of a call, and the function that pulls a gradient back through it.

    Parameters
    ----------
    fn : function
        A differentiable function of crossent.
    *args, **kwargs
        Its arguments. The arrays must not change until the last call of `pullback`.
    argnums : int or sequence of ints, default 0
        Position of the argument, or arguments, to differentiate by.

    Returns
    -------
    value : array or scalar
        ``fn(*args, **kwargs)``.
    pullback : function
        ``pullback(grad_output, out=None)``: the sum of grad_output, which has value's shape, times the derivatives of
        value; an array like the argument, or a tuple of them where argnums is a sequence. `out` is its memory.

    Examples
    --------
    >>> import numpy as np, crossent
    >>> import crossent.nn.functional as F
    >>> logits, target = np.log([[1.0, 3.0], [1.0, 1.0]]), np.array([0, 1])
    >>> losses, pullback = crossent.vjp(F.cross_entropy, logits, target, reduction="none")
    >>> losses.round(6).tolist()
    [1.386294, 0.693147]
    >>> pullback(np.array([1.0, 10.0])).round(6).tolist()
    [[-0.75, 0.75], [5.0, -5.0]]
    """
    fn = _plan_of(fn, "vjp")
    names = _names(fn, argnums)
    plan = _prepared(fn, names, args, kwargs)

    def pullback(grad_output: ArrayLike, out: Any = None) -> Any:
        if not isinstance(argnums, Sequence):
            return plan.gradient(names[0], grad_output, out)
        return _delivered(tuple(plan.gradient(name, grad_output) for name in names), out)

    return plan.value(), pullback
