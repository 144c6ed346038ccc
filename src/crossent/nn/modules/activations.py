"""Activations: softmax and its relatives along an axis, sigmoid and its logarithm position by position."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from crossent._arguments import image
from crossent.nn import functional as F
from crossent.nn.modules.base import Module


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


class Softmin(Module):
    """Softmax of the negative input along an axis: :func:`crossent.nn.functional.softmin` with its options.

    Parameters
    ----------
    dim : int, optional
        The axis of the classes.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> nn.Softmin(dim=-1)(np.log([1.0, 3.0])).round(6).tolist()
    [0.75, 0.25]
    """

    _function = F.softmin

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def __call__(self, input: ArrayLike) -> Any:
        return self._apply(input)


class Softmax2d(Module):
    """Softmax over the channels at each position of an image: :func:`crossent.nn.functional.softmax` along axis -3.

    The input has shape (C, H, W) or (N, C, H, W); ValueError for another number of dimensions.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> nn.Softmax2d()(np.log([[[1.0]], [[3.0]]])).round(6).tolist()
    [[[0.25]], [[0.75]]]
    """

    _function = F.softmax

    def __call__(self, input: ArrayLike) -> Any:
        image(input, "Softmax2d")
        return self._apply(input, -3)


class LogSigmoid(Module):
    """Logarithm of the sigmoid: :func:`crossent.nn.functional.logsigmoid`.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> nn.LogSigmoid()(np.log([1.0, 3.0])).round(6).tolist()
    [-0.693147, -0.287682]
    """

    _function = F.logsigmoid

    def __call__(self, input: ArrayLike) -> Any:
        return self._apply(input)


class Sigmoid(Module):
    """Sigmoid of each entry: :func:`crossent.nn.functional.sigmoid`.

    Examples
    --------
    >>> import numpy as np, crossent.nn as nn
    >>> activation = nn.Sigmoid()
    >>> activation(np.log([1.0, 3.0])).round(6).tolist()
    [0.5, 0.75]
    >>> activation.backward([1.0, 1.0]).round(6).tolist()
    [0.25, 0.1875]
    """

    _function = F.sigmoid

    def __call__(self, input: ArrayLike) -> Any:
        return self._apply(input)
