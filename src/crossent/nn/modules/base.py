"""What all classes share: options that are plain attributes, a call, and the gradient of the last call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent.autodiff import vjp


class Module:
    """A function with its options, and the gradient of its last call."""

    _function: Callable[..., Any]
    _pullback: Callable[..., Any] | None = None
    _shape: tuple[int, ...] = ()

    def _options(self) -> dict[str, Any]:
        """The public attributes: they are the function's keyword arguments."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def _apply(self, *args: ArrayLike) -> Any:
        value, self._pullback = vjp(type(self)._function, *args, **self._options())
        return value

    def backward(self, grad_output: ArrayLike | None = None, out: NDArray[Any] | None = None) -> Any:
        """Gradient of the input of the last call.

        Parameters
        ----------
        grad_output : array_like, optional
            The gradient that flows into the result, of its shape; 1 where it is not given, for a scalar result.
        out : array, optional
            The array for the gradient; it may be the input.

        Returns
        -------
        array
            Of the input's shape and dtype.

        Raises
        ------
        RuntimeError
            If nothing has been computed yet.
        ValueError
            If grad_output has not the result's shape.
        """
        if self._pullback is None:
            raise RuntimeError(f"{type(self).__name__}.backward: call the object with an input first")
        return self._pullback(1.0 if grad_output is None else grad_output, out=out)

    def __getstate__(self) -> dict[str, Any]:
        return self._options()

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items() if value is not None)
        return f"{type(self).__name__}({options})"
