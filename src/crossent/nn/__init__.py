"""Classes and functions with torch's names, as ``torch.nn`` has them."""

from crossent.nn import functional
from crossent.nn.modules import CrossEntropyLoss, LabelSmoothingLoss, LogSoftmax, NLLLoss, Softmax

__all__ = ["CrossEntropyLoss", "LabelSmoothingLoss", "LogSoftmax", "NLLLoss", "Softmax", "functional"]
