"""Special operands of the losses of elements and of margins: infinities, nan, zeros of both signs, subnormal and huge numbers,
corners met exactly. What comes of them is torch's answer, which ``test_pointwise_against_torch.py`` asks for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reference import Array


class Special(NamedTuple):
    """Operands in float64 whose result torch knows, but for the positions where it has nan or nothing, and we what is right."""

    args: tuple[Array, ...]
    kwargs: dict[str, Any] = {}  # noqa: RUF012
    differs: Array | bool = False  # from torch


inf, nan = np.inf, np.nan
TINY, SMALLEST = np.finfo(np.float64).tiny, np.finfo(np.float64).smallest_subnormal
FINITE = (0.0, -0.0, 1.0, -1.0, 0.5, SMALLEST, -SMALLEST, TINY / 4, 1e-20, 50.0, -50.0, 700.0, -700.0, 1e150, -1e150)
NUMBERS = (*FINITE, inf, -inf, nan)
POSITIVE = tuple(x for x in FINITE if not np.signbit(x))


def pairs(first: Any, second: Any) -> tuple[Array, Array]:
    """Every number of the first with every one of the second."""
    a, b = (grid.reshape(-1) for grid in np.meshgrid(np.array(first, float), np.array(second, float), indexing="ij"))
    return a, b


def around(corner: float) -> Array:
    """Differences at a corner, next to it, at its opposite, and 0."""
    at = np.array([corner, -corner])
    return np.concatenate([at, np.nextafter(at, 0), np.nextafter(at, 2 * at), [0.0, -0.0, SMALLEST]])


def against_zero(differences: Array) -> tuple[Array, Array]:
    return differences, np.zeros_like(differences)


def with_logits(x: Array, y: Array) -> Array:
    """Where torch has nan, for 0 times infinity or infinity minus infinity, or has lost e^-50 beside 1, or 1e-20"""
    return ((x == inf) & (y == 1)) | (x == -inf) | np.isin(np.abs(x), (50, 700, SMALLEST, TINY / 4, 1e-20))


_distances = pairs(NUMBERS, NUMBERS)
_logits = pairs(NUMBERS, (0.0, 1.0, 0.5, 0.25))
_signs = pairs((*NUMBERS, 800.0, -800.0), (1.0, -1.0))
_divergence = pairs(NUMBERS, (0.0, -0.0, 1.0, 0.5, 1e-300, 1e-20, 3.0, -0.5, inf, nan))
_log_divergence = pairs(NUMBERS, (0.0, -1.0, -50.0, -700.0, 1.0, inf, -inf, nan))
_probabilities = pairs(
    (0.0, -0.0, 1.0, 0.5, SMALLEST, 1e-300, 1e-20, 1e-12, 1e-13, 1 - 2.0**-53, 1 - 1e-12), (0.0, 1.0, 0.5, 1e-20)
)
_rows = np.array(
    [
        [1.0, 0.0, 0.5, -1.0],  # x_y - x_c is the margin, less, more
        [0.0, 0.0, 0.0, 0.0],
        [inf, 0.0, -inf, 1.0],
        [-inf, 0.0, 1.0, 2.0],
        [0.0, -inf, inf, 1.0],
        [nan, 0.0, 1.0, 2.0],
        [0.0, nan, 1.0, 2.0],
        [1e300, -1e300, 0.0, 1.0],
        [SMALLEST, -SMALLEST, 1.0, -0.0],
    ]
)
_labels = np.array([[0, -1, 2, 3], [0, 1, -1, 3], [-1, 0, 1, 2], [0, 1, 2, 3], [0, 0, 2, -1], [3, -1, -1, -1]])

SPECIAL: dict[str, list[Special]] = {
    "mse_loss": [Special(_distances), Special(_distances, {"weight": np.zeros_like(_distances[0])})],
    "l1_loss": [Special(_distances), Special(_distances, {"weight": np.full_like(_distances[0], -2)})],
    "smooth_l1_loss": [
        *[Special(_distances, {"beta": beta}) for beta in (1.0, 0.0, 0.5, 1e-200)],
        *[Special(against_zero(around(beta)), {"beta": beta}) for beta in (1.0, 0.5, 0.1)],
        Special(against_zero(np.array([1.0, -2.0, 0.0])), {"beta": inf}),
    ],
    "huber_loss": [
        *[Special(_distances, {"delta": delta}) for delta in (1.0, 0.5, 1e-300)],
        *[Special(against_zero(around(delta)), {"delta": delta}) for delta in (1.0, 0.5, 0.1)],
        Special(against_zero(np.array([1.0, -2.0, 0.0])), {"delta": inf}),
        Special(_distances, {"weight": np.full_like(_distances[0], -2)}),
    ],
    "binary_cross_entropy": [Special(_probabilities), Special(_probabilities, {"weight": np.array(-2.0)})],
    "binary_cross_entropy_with_logits": [
        Special(_logits, differs=with_logits(*_logits)),
        Special(_logits, {"pos_weight": np.array(3.0)}, with_logits(*_logits)),
        Special(_logits, {"weight": np.array(0.0)}, with_logits(*_logits)),
        Special(pairs((0.0, -0.0, SMALLEST, 1.0, -2.5, 12.0, -12.0), (2.0, -1.0, 1e10)), {"pos_weight": np.array(0.0)}),
    ],
    "sigmoid_focal_loss": [
        Special(_logits, {"alpha": alpha, "gamma": gamma}, np.isinf(_logits[0]) | np.isin(np.abs(_logits[0]), (50, 700)))
        for alpha in (0.25, -1)
        for gamma in (2, 0, 1.5)
    ],
    "multilabel_soft_margin_loss": [
        Special(
            (_logits[0].reshape(-1, 1), _logits[1].reshape(-1, 1)),
            differs=with_logits(*_logits),
        )
    ],
    "soft_margin_loss": [Special(_signs, differs=_signs[0] * _signs[1] < -700)],
    "kl_div": [
        Special(_divergence, differs=(_divergence[1] == 0) & (_divergence[0] == -inf)),
        Special(_log_divergence, {"log_target": True}),
    ],
    "gaussian_nll_loss": [
        *[Special((*_distances, np.full_like(_distances[0], v))) for v in (1.0, 0.0, SMALLEST, 1e-6, 1e-7, 1e300, inf, nan)],
        Special((*_distances, np.full_like(_distances[0], 2.0)), {"full": True, "eps": 3.0}),
    ],
    "poisson_nll_loss": [
        *[Special(pairs(NUMBERS, POSITIVE), {"full": full}) for full in (False, True)],
        *[Special(pairs(NUMBERS, POSITIVE), {"full": full, "log_input": False}) for full in (False, True)],
        Special(pairs((0.5, 2.0), (np.nextafter(1.0, 0), 1.0, np.nextafter(1.0, 2), 2.0, -1.0, nan)), {"full": True}),
        Special((np.array([-1e-8, -2e-8, 0.0]), np.array([1.0, 1.0, 0.0])), {"log_input": False}),
    ],
    "hinge_embedding_loss": [
        *[
            Special(
                pairs((*NUMBERS, margin, *np.nextafter(margin, [-inf, inf])), (1.0, -1.0, 0.0, 0.5, nan)), {"margin": margin}
            )
            for margin in (1.0, 0.5, 0.0, -1.0)
        ]
    ],
    "multi_margin_loss": [
        Special((_rows, np.full(len(_rows), y)), {"p": p, "margin": margin})
        for p in (1, 2)
        for margin in (1.0, -1.0)
        for y in range(4)
    ],
    "multilabel_margin_loss": [Special((_rows, np.tile(labels, (len(_rows), 1)))) for labels in _labels],
    "logsigmoid": [Special((np.array(NUMBERS),))],
    "sigmoid": [Special((np.array(NUMBERS),), differs=np.isin(NUMBERS, (50, 700)))],
    "softmin": [Special((_rows,), {"dim": 1}), Special((_rows,), {"dim": 0})],
}
