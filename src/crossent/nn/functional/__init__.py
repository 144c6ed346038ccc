"""The public functions, with torch's names, argument order and defaults: ``torch.nn.functional`` for NumPy arrays.

Each body prepares a plan (``_plans.py``, ``_pointwise.py``, ``_margins.py``); ``@Differentiable`` makes a function of it
that returns the plan's value, and that ``crossent.value_and_grad``, ``grad`` and ``vjp`` take. No check and no formula is
here.

What all losses share
---------------------
``reduction`` is "none" (a value for each position), "mean" or "sum". ``size_average`` and ``reduce`` are torch's older
words for it and win where they are given, with torch's warning: (True, True) is "mean", (False, True) "sum",
(any, False) "none". ``out`` is the array for the result. Values are in nats and have the input's dtype; a result without
dimensions is a NumPy scalar. float16, bfloat16 (that of ml_dtypes) and float32 are computed in float32, float64 in
float64, sums over positions in float64; the result is rounded once, at the end. Inputs are anything NumPy can view as an
array; they are never changed.
"""

from crossent.nn.functional.activations import log_softmax, logsigmoid, sigmoid, softmax, softmin
from crossent.nn.functional.activations import logsumexp as logsumexp  # public as crossent.logsumexp, as in torch
from crossent.nn.functional.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    multilabel_soft_margin_loss,
    sigmoid_focal_loss,
    soft_margin_loss,
)
from crossent.nn.functional.classes import cross_entropy, nll_loss, one_hot
from crossent.nn.functional.distances import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from crossent.nn.functional.likelihoods import gaussian_nll_loss, kl_div, poisson_nll_loss
from crossent.nn.functional.margins import hinge_embedding_loss, multi_margin_loss, multilabel_margin_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "log_softmax",
    "logsigmoid",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "one_hot",
    "poisson_nll_loss",
    "sigmoid",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
]
