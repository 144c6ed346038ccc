"""Every other function of the package, once: time of the value and of value and gradient, and of both in bfloat16.

Inputs come from the registry of the tests, so that a new loss is measured when it has its row there.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

import crossent

from .common import dtype_named

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import cases
import cases_pointwise

FUNCTIONS = sorted((set(cases_pointwise.POINTWISE) | set(cases.CASES)) - {"one_hot", "cross_entropy"})


def first_variant(name):
    found = cases_pointwise.pointwise_variants if name in cases_pointwise.POINTWISE else cases.variants
    return found(name)[0]


class Losses:
    """Time per call on an input of (4096, 100), with the options that come first, one thread."""

    params = (FUNCTIONS, ["value", "value and gradient"], ["float32", "bfloat16"])
    param_names = ("function", "computed", "dtype")

    def setup(self, name, computed, dtype):
        try:
            dtype = dtype_named(dtype)
        except ImportError:
            raise NotImplementedError("ml_dtypes is not installed") from None
        crossent.set_num_threads(1)
        warnings.simplefilter("ignore")
        call = first_variant(name).call(np.random.default_rng(0), (4096, 100), dtype)
        function, args, kwargs = call.case.function, call.args, call.kwargs
        if computed == "value":
            self.call = lambda: function(*args, **kwargs)
            self.call()
            return
        value = np.asarray(function(*args, **kwargs))
        flow = np.ones(value.shape, value.dtype)
        out = np.empty_like(args[0])
        self.call = lambda: crossent.vjp(function, *args, **kwargs)[1](flow, out=out)
        if value.ndim == 0:
            both = crossent.value_and_grad(function)
            self.call = lambda: both(*args, out=out, **kwargs)
        self.call()

    def time_call(self, name, computed, dtype):
        self.call()
