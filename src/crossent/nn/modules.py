"""The classes: they hold options and call the functions. No mathematics and no checks are here.

Calling one computes the result; ``backward(grad_output=None)`` then gives the gradient of the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from crossent import _plans
from crossent.autodiff import Differentiable, vjp
from crossent.nn import functional as F


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


class CrossEntropyLoss(Module):
    """Softmax cross entropy: :func:`crossent.nn.functional.cross_entropy` with its options.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.CrossEntropyLoss(reduction="sum")
    >>> print(criterion(np.log([[1.0, 3.0]]), [0]).round(6))
    1.386294
    >>> criterion.backward().round(6).tolist()
    [[-0.75, 0.75]]
    """

    _function = F.cross_entropy

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class NLLLoss(Module):
    """Negative log-likelihood: :func:`crossent.nn.functional.nll_loss` with its options.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction
        As in the function. All are plain attributes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> criterion = nn.NLLLoss()
    >>> print(criterion(np.log([[0.25, 0.75]]), [1]).round(6))
    0.287682
    >>> criterion.backward().tolist()
    [[0.0, -1.0]]
    """

    _function = F.nll_loss

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        self.weight = weight
        self.size_average, self.reduce, self.reduction = size_average, reduce, reduction
        self.ignore_index = ignore_index

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)


class Softmax(Module):
    """Softmax along an axis: :func:`crossent.nn.functional.softmax` with its options.

    Parameters
    ----------
    dim : int, optional
        The axis of the classes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> nn.Softmax(dim=-1)(np.log([1.0, 3.0])).round(6).tolist()
    [0.25, 0.75]
    """

    _function = F.softmax

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def __call__(self, input: ArrayLike) -> Any:
        return self._apply(input)


class LogSoftmax(Module):
    """Logarithm of the softmax: :func:`crossent.nn.functional.log_softmax` with its options.

    Parameters
    ----------
    dim : int, optional
        The axis of the classes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> nn.LogSoftmax(dim=-1)(np.log([1.0, 3.0])).round(6).tolist()
    [-1.386294, -0.287682]
    """

    _function = F.log_softmax

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def __call__(self, input: ArrayLike) -> Any:
        return self._apply(input)


@Differentiable
def _label_smoothing_loss(input: ArrayLike, target: ArrayLike, smoothing: float, dim: int) -> _plans.Plan:
    return _plans.label_smoothing_loss(input, target, smoothing, dim)


class LabelSmoothingLoss(Module):
    r"""Mean cross entropy against targets of 1 - s at the class and s / (C - 1) at each other one.

    .. math:: \ell_n = -(1 - s) \log p_{n y_n} - \frac{s}{C - 1} \sum_{c \ne y_n} \log p_{nc}

    CrossEntropyLoss spreads its label_smoothing over all C classes instead, the target's among them: this is that loss
    with label_smoothing = s C / (C - 1).

    Parameters
    ----------
    smoothing : float, default 0.05
        s, from 0 to 1.
    dim : int, default -1
        The axis of the C classes, which must be two or more.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> print(nn.LabelSmoothingLoss(smoothing=0.5)(np.log([[1.0, 3.0]]), [0]).round(6))
    0.836988
    """

    _function = _label_smoothing_loss

    def __init__(self, smoothing: float = 0.05, dim: int = -1) -> None:
        self.smoothing = smoothing
        self.dim = dim

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        return self._apply(input, target)
