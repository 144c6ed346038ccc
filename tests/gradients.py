"""What tests of gradients share: a gradient to flow in, and the differences of values that an analytic gradient must equal."""

import numpy as np


def flowing_in(shape, dtype=np.float64):
    """A gradient of this shape: of both signs, without symmetry, with one zero, at the end."""
    if not shape:
        return np.asarray(0.75, dtype)
    steps = np.linspace(-48, 63, int(np.prod(shape))).round() + 0.5
    g = (steps / 32).reshape(shape).astype(dtype)  # numbers that every dtype has
    g.flat[-1:] = 0
    return g


def fourth_order_difference(function, args, argument, g, step=1e-3):
    """Of g * function(*args), by each element of an argument.

    In error by step^4 / 30 times a fifth derivative, and by the rounding of the values over step.
    """
    slopes = np.empty_like(args[argument])
    for at in np.ndindex(slopes.shape):
        moved = []
        for steps in (-2, -1, 1, 2):
            others = list(args)
            others[argument] = args[argument].copy()
            others[argument][at] += steps * step
            moved.append(np.asarray(function(*others), np.longdouble))
        slopes[at] = (g * (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3])).sum() / (12 * step)
    return slopes
