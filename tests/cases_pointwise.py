"""The registry of the losses of elements and of margins: options, makers of inputs, references, accuracy.

Tests and benchmarks iterate it; it needs neither pytest nor torch. A new loss is a new row of ``POINTWISE``. Margins, betas,
deltas, alphas are numbers that every dtype has: a rounded one would move the corner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import crossent.nn.functional as F
import makers_pointwise as makers
import reference_pointwise as reference
from cases import legal_options
from makers_pointwise import Arguments, Options, Rng, Shape
from reference_pointwise import PointwiseExact


class PointwiseCase(NamedTuple):
    """A public function."""

    name: str  # of the function in crossent.nn.functional
    reference: Callable[..., PointwiseExact]
    torch: str  # where torch has it, or torchvision
    options: Mapping[str, tuple[Any, ...]]  # the product of these is tested, but for what `is_legal` refuses
    arguments: Callable[..., Arguments]  # (rng, shape, dtype, options)
    differentiable: tuple[str, ...]  # the arguments that have a gradient, which are the first ones
    value_units: float  # how far a value may be, in units in the last place of its condition
    gradient_units: float  # how far a gradient may be, in units in the last place of its condition
    is_legal: Callable[[Options], bool] = lambda options: True
    dimensions: tuple[int, int] = (0, 5)  # how few and how many an input has

    @property
    def function(self) -> Callable[..., Any]:
        return getattr(F, self.name)

    def takes(self, shape: Shape) -> bool:
        """Whether an input can have this shape; losses that have rows of classes need a class."""
        fewest, most = self.dimensions
        return fewest <= len(shape) <= most and (most > 2 or shape[-1] > 0)


class PointwiseCall(NamedTuple):
    """A function with arguments for it."""

    case: PointwiseCase
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def value(self, **more: Any) -> Any:
        return self.case.function(*self.args, **self.kwargs, **more)

    def exact(self) -> PointwiseExact:
        return self.case.reference(*self.args, **self.kwargs)

    @property
    def argnums(self) -> tuple[int, ...]:
        """The arguments that have a gradient here: a number given as variance has none."""
        return tuple(n for n in range(len(self.case.differentiable)) if isinstance(self.args[n], np.ndarray))


class PointwiseVariant(NamedTuple):
    """A function with one choice of options; str() says it in words."""

    case: PointwiseCase
    options: Options

    def __str__(self) -> str:
        words = (WORDS.get(name, f"{name} {{}}".format)(value) for name, value in self.options.items())
        return ", ".join(filter(None, (self.case.name, *words)))

    def call(self, rng: Rng, shape: Shape, dtype: Any) -> PointwiseCall:
        args, kwargs = self.case.arguments(rng, shape, np.dtype(dtype), self.options)
        args = tuple(np.asarray(arg) if isinstance(arg, np.generic) else arg for arg in args)
        return PointwiseCall(self.case, args, kwargs)

    @property
    def is_scalar(self) -> bool:
        return self.options.get("reduction", "none") != "none"


WORDS: dict[str, Callable[[Any], str]] = {
    "reduction": str,
    "weight": lambda kind: "with weights" if kind is True else f"weights of {kind}" if kind else "",
    "pos_weight": lambda kind: f"positive weights of {kind}" if kind else "",
    "broadcast": lambda is_broadcast: "one target for all rows" if is_broadcast else "",
    "log_target": lambda is_log: "logarithms as target" if is_log else "",
    "log_input": lambda is_log: "logarithms as input" if is_log else "",
    "full": lambda is_full: "with the constant" if is_full else "",
    "var": lambda kind: f"variances of {kind}",
    "alpha": lambda alpha: f"alpha {alpha}" if alpha >= 0 else "no alpha",
}


def pointwise_variants(*names: str, **chosen: Any) -> list[PointwiseVariant]:
    """Every legal choice of options of the functions of these names, or of all; `chosen` fixes some options."""
    return [PointwiseVariant(POINTWISE[name], o) for name in names or POINTWISE for o in legal_options(POINTWISE[name], chosen)]


REDUCTIONS = ("mean", "sum", "none")
TRUTH = (False, True)
WEIGHTS = (None, "elements", "last axis")

# Units: each rounding counts one, exp and log two, and what the reductions and the product with the gradient add, three.
POINTWISE = {
    case.name: case
    for case in [
        PointwiseCase(
            name="mse_loss",
            reference=reference.mse_loss,
            torch="nn.functional.mse_loss",
            options={"reduction": REDUCTIONS, "weight": WEIGHTS[:2]},
            arguments=makers.distance_arguments,
            differentiable=("input", "target"),
            value_units=5,
            gradient_units=5,
        ),
        PointwiseCase(
            name="l1_loss",
            reference=reference.l1_loss,
            torch="nn.functional.l1_loss",
            options={"reduction": REDUCTIONS, "weight": WEIGHTS[:2]},
            arguments=makers.distance_arguments,
            differentiable=("input", "target"),
            value_units=4,
            gradient_units=4,
        ),
        PointwiseCase(
            name="smooth_l1_loss",
            reference=reference.smooth_l1_loss,
            torch="nn.functional.smooth_l1_loss",
            options={"reduction": REDUCTIONS, "beta": (1.0, 0.0, 0.5, 2.0)},
            arguments=makers.distance_arguments,
            differentiable=("input", "target"),
            value_units=5,
            gradient_units=5,
        ),
        PointwiseCase(
            name="huber_loss",
            reference=reference.huber_loss,
            torch="nn.functional.huber_loss",
            options={"reduction": REDUCTIONS, "delta": (1.0, 0.5, 3.0), "weight": WEIGHTS[:2]},
            arguments=makers.distance_arguments,
            differentiable=("input", "target"),
            value_units=5,
            gradient_units=5,
        ),
        PointwiseCase(
            name="binary_cross_entropy",
            reference=reference.binary_cross_entropy,
            torch="nn.functional.binary_cross_entropy",
            options={"reduction": REDUCTIONS, "weight": WEIGHTS},
            arguments=makers.probability_arguments,
            differentiable=("input", "target"),
            value_units=7,
            gradient_units=8,
        ),
        PointwiseCase(
            name="binary_cross_entropy_with_logits",
            reference=reference.binary_cross_entropy_with_logits,
            torch="nn.functional.binary_cross_entropy_with_logits",
            options={"reduction": REDUCTIONS, "weight": WEIGHTS, "pos_weight": WEIGHTS},
            arguments=makers.logit_arguments,
            differentiable=("input", "target"),
            value_units=9,
            gradient_units=9,
        ),
        PointwiseCase(
            name="sigmoid_focal_loss",
            reference=reference.sigmoid_focal_loss,
            torch="ops.sigmoid_focal_loss",
            options={"reduction": REDUCTIONS, "alpha": (0.25, -1), "gamma": (2, 0, 1.5, 1)},
            arguments=makers.logit_arguments,
            differentiable=("inputs", "targets"),
            value_units=12,
            gradient_units=14,
        ),
        PointwiseCase(
            name="multilabel_soft_margin_loss",
            reference=reference.multilabel_soft_margin_loss,
            torch="nn.functional.multilabel_soft_margin_loss",
            options={"reduction": REDUCTIONS, "weight": WEIGHTS},
            arguments=makers.logit_arguments,
            differentiable=("input", "target"),
            value_units=9,
            gradient_units=9,
            dimensions=(1, 5),
        ),
        PointwiseCase(
            name="soft_margin_loss",
            reference=reference.soft_margin_loss,
            torch="nn.functional.soft_margin_loss",
            options={"reduction": REDUCTIONS, "broadcast": TRUTH},
            arguments=makers.soft_margin_arguments,
            differentiable=("input",),
            value_units=7,
            gradient_units=8,
        ),
        PointwiseCase(
            name="kl_div",
            reference=reference.kl_div,
            torch="nn.functional.kl_div",
            options={"reduction": (*REDUCTIONS, "batchmean"), "log_target": TRUTH, "broadcast": TRUTH},
            arguments=makers.divergence_arguments,
            differentiable=("input", "target"),
            value_units=7,
            gradient_units=7,
        ),
        PointwiseCase(
            name="gaussian_nll_loss",
            reference=reference.gaussian_nll_loss,
            torch="nn.functional.gaussian_nll_loss",
            options={
                "reduction": REDUCTIONS,
                "var": ("elements", "rows", "rows, short", "one number"),
                "full": TRUTH,
                "eps": (1e-6, 0.25),
            },
            arguments=makers.gaussian_arguments,
            differentiable=("input", "target", "var"),
            value_units=9,
            gradient_units=10,
        ),
        PointwiseCase(
            name="poisson_nll_loss",
            reference=reference.poisson_nll_loss,
            torch="nn.functional.poisson_nll_loss",
            options={"reduction": REDUCTIONS, "log_input": (True, False), "full": TRUTH, "broadcast": TRUTH},
            arguments=makers.poisson_arguments,
            differentiable=("input", "target"),
            value_units=9,
            gradient_units=8,
        ),
        PointwiseCase(
            name="hinge_embedding_loss",
            reference=reference.hinge_embedding_loss,
            torch="nn.functional.hinge_embedding_loss",
            options={"reduction": REDUCTIONS, "margin": (1.0, 0.5, -1.0), "broadcast": TRUTH},
            arguments=makers.hinge_arguments,
            differentiable=("input",),
            value_units=4,
            gradient_units=3,
        ),
        PointwiseCase(
            name="multi_margin_loss",
            reference=reference.multi_margin_loss,
            torch="nn.functional.multi_margin_loss",
            options={"reduction": REDUCTIONS, "p": (1, 2), "margin": (1.0, 0.5), "weight": TRUTH},
            arguments=makers.multi_margin_arguments,
            differentiable=("input",),
            value_units=8,
            gradient_units=8,
            dimensions=(1, 2),
        ),
        PointwiseCase(
            name="multilabel_margin_loss",
            reference=reference.multilabel_margin_loss,
            torch="nn.functional.multilabel_margin_loss",
            options={"reduction": REDUCTIONS},
            arguments=makers.multilabel_margin_arguments,
            differentiable=("input",),
            value_units=7,
            gradient_units=5,
            dimensions=(1, 2),
        ),
        PointwiseCase(
            name="logsigmoid",
            reference=reference.logsigmoid,
            torch="nn.functional.logsigmoid",
            options={},
            arguments=makers.input_arguments,
            differentiable=("input",),
            value_units=4,
            gradient_units=5,
        ),
        PointwiseCase(
            name="sigmoid",
            reference=reference.sigmoid,
            torch="sigmoid",
            options={},
            arguments=makers.input_arguments,
            differentiable=("input",),
            value_units=4,
            gradient_units=7,
        ),
        PointwiseCase(
            name="softmin",
            reference=reference.softmin,
            torch="nn.functional.softmin",
            options={"dim": (-1, 0)},
            arguments=makers.input_arguments,
            differentiable=("input",),
            value_units=4,
            gradient_units=8,
            dimensions=(1, 5),
        ),
    ]
}
