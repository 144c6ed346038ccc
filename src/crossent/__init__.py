"""crossent: PyTorch's classification losses, forward and backward, for NumPy on a CPU.

``crossent.nn.functional`` and ``crossent.nn`` mirror torch's; ``value_and_grad``, ``grad`` and ``vjp`` are JAX's names;
``score``, ``score_rows``, ``Scorer`` and ``fit_temperature`` tell how good logits are, those larger than memory too.
"""

from typing import Any

from crossent import information, nn
from crossent._runtime import get_num_threads, num_threads, set_num_threads, show_config
from crossent._version import __version__
from crossent.autodiff import grad, value_and_grad, vjp
from crossent.nn.functional import logsumexp

__all__ = [
    "Scorer",
    "__version__",
    "fit_temperature",
    "get_num_threads",
    "grad",
    "information",
    "logsumexp",
    "nn",
    "num_threads",
    "score",
    "score_rows",
    "set_num_threads",
    "show_config",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    """Scoring is imported when it is first asked for: most programs never do."""
    if name in ("score", "score_rows", "Scorer", "fit_temperature"):
        from crossent import scoring

        return getattr(scoring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
