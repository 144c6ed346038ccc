"""Fit the polynomials of csrc/kernels/vec_math.h and print them as the C constants of csrc/simd/float32.h and float64.h.

    python tools/fit_vec_math.py        (needs mpmath; some seconds)

Each polynomial is fitted in 60 digits by Chebyshev interpolation, which is within a small factor of the best there is, and
rounded to the type; the error printed beside it is that of the rounded coefficients in exact arithmetic, relative to the
function. The first coefficient is fixed at +-1/2, the one that is exact, so that its rounding costs nothing.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60
HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.0001")  # a hair more: n is rounded from a rounded product


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


def fitted(rest, interval, terms, first, dtype):
    """first + x * (a polynomial of so many terms), lowest power first, rounded to dtype"""
    return [dtype(first), *(dtype(float(c)) for c in reversed(mp.chebyfit(rest, interval, terms)))]


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


def show(name, coefficients, error):
    digits = 6 if coefficients[0].dtype == np.float32 else 13
    suffix = "f" if digits == 6 else ""
    texts = []
    for c in coefficients:
        mantissa, exponent = float(c).hex().split("p")
        head, tail = mantissa.split(".")
        texts.append(f"{head}.{tail[:digits]}p{int(exponent):+d}{suffix}")
    print(f"/* relative error {mp.nstr(error, 2)} */")
    print(f"static const real {name}[] = {{{', '.join(texts)}}};")


def main():
    exp_range, log_range = [-HALF_LN2, HALF_LN2], [mp.mpf(-1) / 4, mp.mpf(1) / 2]
    for dtype, exp_terms, log_terms in ((np.float32, 5, 10), (np.float64, 11, 22)):
        print(f"{dtype.__name__}:")
        c = fitted(exp_rest, exp_range, exp_terms, 0.5, dtype)
        show("EXP_POLYNOMIAL", c, relative_error(c, mp.exp, lambda r: 1 + r, exp_range))
        c = fitted(log1p_rest, log_range, log_terms, -0.5, dtype)
        show("LOG1P_POLYNOMIAL", c, relative_error(c, mp.log1p, lambda f: f, log_range))


if __name__ == "__main__":
    main()
