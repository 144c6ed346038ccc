"""Fit the polynomials of csrc/kernels/vec_math.h and print them as the C constants of csrc/simd/float32.h and float64.h.

    python tools/fit_vec_math.py        (needs mpmath; some seconds)

Each polynomial is fitted in 60 digits by Chebyshev interpolation, which is within a small factor of the best there is, and
rounded to the type; the error printed beside it is that of the rounded coefficients in exact arithmetic, relative to the
function. The first coefficient is fixed at +-1/2, the one that is exact, so that its rounding costs nothing; but for exp in
steps, where x^2 is so small that it costs nothing anyway.

exp cuts a binade into STEPS, as many as an instruction set can look up in a register, and log1p its argument: the more there
are, the shorter the polynomial between them. What is looked up is printed as the nearest numbers and what those round away.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60
TERMS = {
    (np.float32, 1): (6, 11),
    (np.float32, 8): (3, 6),
    (np.float32, 16): (2, 4),
    (np.float64, 1): (12, 23),
    (np.float64, 8): (6, 13),
}
"""Coefficients of exp and of log1p for each type and number of steps: enough for an error far below half a unit."""

LOG_INTERVAL = [mp.mpf(-1) / 4, mp.mpf(1) / 2]


def half_step(steps):
    """Half of a step in x; a hair more, because n is rounded from a rounded product."""
    return mp.log(2) / 2 / steps * mp.mpf("1.0001")


def exp_second(r):
    """(e^r - 1 - r) / r^2"""
    if abs(r) < mp.mpf(10) ** -12:
        return mp.mpf(1) / 2 + r / 6
    return (mp.exp(r) - 1 - r) / r**2


def exp_rest(r):
    """(e^r - 1 - r - r^2/2) / r^3"""
    if abs(r) < mp.mpf(10) ** -12:
        return mp.mpf(1) / 6 + r / 24
    return (mp.exp(r) - 1 - r - r * r / 2) / r**3


def log1p_rest(f):
    """(log1p(f) - f + f^2/2) / f^3"""
    if abs(f) < mp.mpf(10) ** -12:
        return mp.mpf(1) / 3 - f / 4
    return (mp.log1p(f) - f + f * f / 2) / f**3


def fitted(function, interval, terms, dtype):
    """A polynomial of so many terms, lowest power first, rounded to dtype"""
    return [dtype(float(c)) for c in reversed(mp.chebyfit(function, interval, terms))]


def fitted_exp(interval, steps, terms, dtype):
    if steps > 1:
        return fitted(exp_second, interval, terms, dtype)
    return [dtype(0.5), *fitted(exp_rest, interval, terms - 1, dtype)]


def relative_error(coefficients, function, leading, interval):
    """Largest error of leading(x) + x^2 * polynomial(x) against the function, over 2001 points"""
    low, high = interval
    worst = mp.mpf(0)
    for i in range(2001):
        x = low + (high - low) * i / 2000
        if abs(x) < mp.mpf(10) ** -9:
            continue
        value = leading(x) + x * x * mp.polyval([mp.mpf(float(c)) for c in reversed(coefficients)], x)
        worst = max(worst, abs(value / function(x) - 1))
    return worst


def show(name, numbers):
    """A C array of numbers of NumPy's"""
    digits, suffix = (6, "f") if numbers[0].dtype == np.float32 else (13, "")
    texts = []
    for number in numbers:
        mantissa, exponent = float(number).hex().split("p")
        head, tail = mantissa.split(".")
        texts.append(f"{head}.{tail[:digits]:0<{digits}}p{int(exponent):+d}{suffix}")
    print(f"static const real {name}[] = {{{', '.join(texts)}}};")


def show_polynomial(name, coefficients, error):
    print(f"/* relative error {mp.nstr(error, 2)} */")
    show(name, coefficients)


def show_parts(name, exact, dtype):
    high = [dtype(float(e)) for e in exact]
    show(f"{name}_HIGH", high)
    show(f"{name}_LOW", [dtype(float(e - mp.mpf(float(h)))) for e, h in zip(exact, high, strict=True)])


def show_steps(steps, dtype):
    """2^(j / steps) as the nearest number times 1 + low"""
    exact = [mp.mpf(2) ** (mp.mpf(j) / steps) for j in range(steps)]
    high = [dtype(float(e)) for e in exact]
    show("STEP_HIGH", high)
    show("STEP_LOW", [dtype(float(e / mp.mpf(float(h)) - 1)) for e, h in zip(exact, high, strict=True)])


def log1p_second(r):
    """(log1p(r) - r) / r^2"""
    if abs(r) < mp.mpf(10) ** -12:
        return -mp.mpf(1) / 2 + r / 3
    return (mp.log1p(r) - r) / r**2


def show_unit_log(steps, terms, dtype):
    """log1p on [0, 1] around j / (steps - 1): c is about 1 / (1 + that), in so few bits that c (1 + x) - 1 is rounded once"""
    points = [mp.mpf(j) / (steps - 1) for j in range(steps)]
    scales = [mp.nint(256 / (1 + point)) / 256 for point in points]
    half = mp.mpf("1.0001") / 2 / (steps - 1)
    ends = [c * (1 + min(max(x + s * half, 0), 1)) - 1 for c, x in zip(scales, points, strict=True) for s in (-1, 1)]
    interval = [min(ends), max(ends)]
    c = fitted(log1p_second, interval, terms, dtype)
    show_polynomial("UNIT_POLYNOMIAL", c, relative_error(c, mp.log1p, lambda r: r, interval))
    show("UNIT_SCALE", [dtype(float(scale)) for scale in scales])
    show_parts("UNIT_LOG", [-mp.log(scale) for scale in scales], dtype)


def main():
    for (dtype, steps), (exp_terms, log_terms) in TERMS.items():
        print(f"{dtype.__name__}, {steps} steps:")
        interval = [-half_step(steps), half_step(steps)]
        c = fitted_exp(interval, steps, exp_terms, dtype)
        show_polynomial("EXP_POLYNOMIAL", c, relative_error(c, mp.exp, lambda r: 1 + r, interval))
        if steps > 1:
            show_steps(steps, dtype)
            show_unit_log(steps, log_terms, dtype)
        else:
            c = [dtype(-0.5), *fitted(log1p_rest, LOG_INTERVAL, log_terms - 1, dtype)]
            show_polynomial("LOG1P_POLYNOMIAL", c, relative_error(c, mp.log1p, lambda f: f, LOG_INTERVAL))


if __name__ == "__main__":
    main()
