"""The classes: they hold options and call the functions. No mathematics and no checks are here.

Calling one computes the result; ``backward(grad_output=None)`` then gives the gradient of the input.
"""

from crossent.nn.modules.activations import LogSigmoid, LogSoftmax, Sigmoid, Softmax, Softmax2d, Softmin
from crossent.nn.modules.base import Module
from crossent.nn.modules.binary import BCELoss, BCEWithLogitsLoss, MultiLabelSoftMarginLoss, SoftMarginLoss
from crossent.nn.modules.classes import CrossEntropyLoss, LabelSmoothingLoss, NLLLoss
from crossent.nn.modules.distances import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from crossent.nn.modules.likelihoods import GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from crossent.nn.modules.margins import HingeEmbeddingLoss, MultiLabelMarginLoss, MultiMarginLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LabelSmoothingLoss",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmax2d",
    "Softmin",
]
