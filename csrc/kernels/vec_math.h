/* vec_math.h -- exp, log1p and log of a vector, written once in the verbs of simd/; their constants are in simd/float32.h and
   simd/float64.h, fitted by tools/fit_vec_math.py. Called by the formulas and, one by one, by the tests.

   | function           | domain             | max error              | special values                                     |
   | v_exp              | all                | 1 ULP, subnormals too  | e^-inf = 0, e^inf = inf, e^nan = nan, e^0 = 1       |
   | v_exp_reduced      | abs(x) < 1024, nan | 0.3 ULP, high and low  | nan gives nan                                       |
   | v_exp_scaled       | see scale_of()     | 1 ULP, subnormals too  | -inf gives 0, nan nan                               |
   | v_exp_raised       | see scale_of()     | 1 ULP, until lowered   | the same                                            |
   | v_log1p            | x >= -1, nan       | 1 ULP                  | log1p(0) = 0, of -1 -inf, of inf inf, of nan nan    |
   | v_log1p_parts      | x >= 0, nan        | 0.5 ULP, high and low  | of nan nan                                          |
   | v_log1p_unit       | 0 <= x <= 1, nan   | 1 ULP                  | of nan nan                                          |
   | v_log              | all                | 1 ULP                  | log 0 = -inf, of less nan, log 1 = 0, of inf inf    | */

#include <math.h>

#include "../simd/two_sum.h"

/* c[0] + x (odd(x^2) x + even(x^2)): two chains of half the length, and a last step that keeps the error small */
SIMD vec long_polynomial(vec x, const real *c, int n) {
    const vec square = v_mul(x, x);
    vec last = v_set(c[n - 1]), other = v_set(c[n - 2]);
#pragma GCC unroll 16
    for (int i = n - 3; i > 0; i -= 2) {
        last = v_mul_add(last, square, v_set(c[i]));
        if (i > 1) other = v_mul_add(other, square, v_set(c[i - 1]));
    }
    const vec rest = n % 2 == 0 ? v_mul_add(other, x, last) : v_mul_add(last, x, other);
    return v_mul_add(rest, x, v_set(c[0]));
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1), by Horner's rule */
SIMD vec polynomial(vec x, const real *c, int n) {
    if (n > 8) return long_polynomial(x, c, n);
    vec sum = v_set(c[n - 1]);
#pragma GCC unroll 8
    for (int i = n - 2; i >= 0; i--) sum = v_mul_add(sum, x, v_set(c[i]));
    return sum;
}

/* e^x = 2^n e^r for n in steps of 1 / STEPS;  r = x - n ln 2 = high - n LN2_LOW,  e^r = 1 + p,  p = r + r^2 Q(r);
   2^n = 2^floor(n) step,  and step is a number, times 1 + STEP_LOW;  t = n + magic, STEP_MAGIC less a whole number */
struct exp_parts {
    vec t, n, high, r, q;
};

SIMD struct exp_parts exp_parts(vec x, vec magic) {
    const vec t = v_mul_add(x, v_set(LOG2_E), magic), n = v_sub(t, magic);
    const vec high = v_neg_mul_add(n, v_set(LN2_HIGH), x), r = v_neg_mul_add(n, v_set(LN2_LOW), high);
    const vec q = polynomial(r, EXP_POLYNOMIAL, sizeof EXP_POLYNOMIAL / sizeof *EXP_POLYNOMIAL);
    return (struct exp_parts){t, n, high, r, q};
}

/* (1 + p) (1 + STEP_LOW) - 1, but for p STEP_LOW, which is nothing */
SIMD vec with_step_low(vec p, vec t) { return STEPS == 1 ? p : v_add(p, v_step(STEP_LOW, t)); }

/* The same, for p = r (1 + r Q): a step less than r + r^2 Q, where r is so small that the rounding of 1 + r Q is nothing. */
SIMD vec e_less_1(const struct exp_parts *e) {
    if (STEPS == 1) return v_mul_add(v_mul(e->r, e->r), e->q, e->r);
    return v_mul_add(e->r, v_mul_add(e->r, e->q, v_set(1)), v_step(STEP_LOW, e->t));
}

/* Below it an exponential is 0, when it is lowered, and costs no underflow. */
SIMD vec exp_floor(void) { return v_set(RAISES ? RAISED_LOWEST : EXP_LOWEST); }

/* e^x 2^-k for x >= floor, 0 below it (or what is 0 when it is lowered: see raised.h), for a whole k, but raised: times the
   number that v_lower() takes off, so that what is subnormal is rounded once. */
SIMD vec v_exp_raised(vec x, vec k, vec floor) {
    const mask counts = RAISES ? m_first(LANES) : v_not_less(x, floor); /* a nan counts, */
    const vec at_least = RAISES ? v_max(floor, x) : x;                  /* and is the larger */
    const struct exp_parts e = exp_parts(at_least, v_sub(v_set(STEP_MAGIC), k));
    return v_raise_where(counts, e_less_1(&e), e.t);
}
SIMD vec v_exp_scaled(vec x, vec k, vec floor) { return v_lower(v_exp_raised(x, k, floor)); }

/* e^x 2^-n for n = floor(x / ln 2), as *high + *low within 0.3 ULP of *high; |x| so small that n needs no care. Returns n. */
SIMD vec v_exp_reduced(vec x, vec *high, vec *low) {
    const struct exp_parts e = exp_parts(x, v_set(STEP_MAGIC));
    const vec magic = v_set(ROUNDING_MAGIC), to_floor = v_set((real)(0.5 - 0.5 / STEPS)), step = v_step(STEP_HIGH, e.t);
    const vec p = v_add(e.high, v_neg_mul_add(e.n, v_set(LN2_LOW), v_mul(v_mul(e.r, e.r), e.q)));
    const vec beyond_step = v_mul(step, with_step_low(p, e.t));
    *high = v_add(step, beyond_step);
    *low = v_sub(beyond_step, v_sub(*high, step)); /* exact: Dekker's Fast2Sum, for |beyond_step| < step */
    return v_sub(v_add(v_sub(e.n, to_floor), magic), magic);
}

/* Of large x the scale is taken off and put on again, so that its power of 2 stays among the exponents. */
SIMD vec v_exp(vec x) {
    const vec zero = v_set(0), taken = v_set(2 * LIFT);
    const mask high = v_not_less(x, v_set(LIFT));
    const vec e = v_exp_scaled(v_min(v_set(EXP_HIGHEST), x), v_select(high, taken, zero), exp_floor());
    return v_select(high, v_scale_by_pow2(e, taken), e);
}

/* k ln 2 + log1p(f),  f in [-1/4, 1/2),  log1p(f) = f + f^2 P(f), as the sum that is returned and *low. What k LN2_HIGH + f
   rounds away is kept: it can be half of a unit of a result that is smaller than either. */
SIMD vec log_of_parts(vec k, vec f, vec *low) {
    const vec p = polynomial(f, LOG1P_POLYNOMIAL, sizeof LOG1P_POLYNOMIAL / sizeof *LOG1P_POLYNOMIAL);
    const vec high = v_mul(k, v_set(LN2_HIGH)), sum = v_add(high, f), lost = v_sub(f, v_sub(sum, high));
    *low = v_add(v_mul_add(v_mul(f, f), p, v_mul(k, v_set(LN2_LOW))), lost);
    return sum;
}

/* 1 + x = 2^k (1 + f); f comes from x, not from the rounded 1 + x, so that no bit is lost. */
struct log1p_reduced {
    vec k, scale, f;
};
SIMD struct log1p_reduced log1p_reduced(vec x) {
    const vec one = v_set(1);
    const vec k = v_add(v_exponent(v_mul(v_add(one, x), v_set((real)(2.0 / 3.0)))), one);
    const vec scale = v_scale_by_pow2(one, v_sub(v_set(0), k));
    return (struct log1p_reduced){k, scale, v_mul_add(x, scale, v_sub(scale, one))};
}

/* log1p(x + x_low) as the sum that is returned and *low, for an x_low that is less than a unit of x:
   log1p(f + d) = log1p(f) + d / (1 + f),  and 1 / (1 + f) is about 1 - f + f^2 */
SIMD vec v_log1p_parts(vec x, vec x_low, vec *low) {
    const struct log1p_reduced r = log1p_reduced(x);
    const vec one = v_set(1), slope = v_neg_mul_add(r.f, v_sub(one, r.f), one), log = log_of_parts(r.k, r.f, low);
    *low = v_mul_add(v_mul(x_low, r.scale), slope, *low);
    return log;
}

/* log1p(x) = k ln 2 + log1p(f) */
SIMD vec v_log1p(vec x) {
    vec low;
    const vec sum = v_add(v_set(1), x);
    const struct log1p_reduced r = log1p_reduced(x);
    const vec high = log_of_parts(r.k, r.f, &low), log = v_add(high, low);
    const vec finite = v_select(v_equal(x, v_set(INFINITY)), x, log);
    return v_select(v_equal(sum, v_set(0)), v_set(-INFINITY), finite);
}

/* The same for x of [0, 1] and nan: k is 1 above 1/2, where f = (x - 1) / 2, and 0 below, where f = x. */
SIMD vec log1p_of_halves(vec x) {
    const vec zero = v_set(0), half = v_set((real)0.5);
    const mask low = v_not_less(half, x);
    const vec f = v_select(low, x, v_mul_add(x, half, v_set((real)-0.5)));
    const vec p = polynomial(f, LOG1P_POLYNOMIAL, sizeof LOG1P_POLYNOMIAL / sizeof *LOG1P_POLYNOMIAL);
    const vec tail = v_mul_add(v_mul(f, f), p, v_select(low, zero, v_set(LN2_LOW)));
    return v_add(v_select(low, zero, v_set(LN2_HIGH)), v_add(f, tail));
}

/* log1p(x) = -log c + log1p(r),  r = c (1 + x) - 1, for x of [0, 1] and nan: c is UNIT_SCALE[j] for x near j / (STEPS - 1), and
   its few bits make r exact but for one rounding. */
SIMD vec v_log1p_unit(vec x) {
    if (STEPS == 1) return log1p_of_halves(x);
    const vec t = v_mul_add(x, v_set(STEPS - 1), v_set(ROUNDING_MAGIC)), c = v_step(UNIT_SCALE, t);
    const vec r = v_mul_add(x, c, v_sub(c, v_set(1)));
    const vec p = polynomial(r, UNIT_POLYNOMIAL, sizeof UNIT_POLYNOMIAL / sizeof *UNIT_POLYNOMIAL);
    const vec rest = v_mul_add(v_mul(r, r), p, v_step(UNIT_LOG_LOW, t));
    return v_add(v_step(UNIT_LOG_HIGH, t), v_add(r, rest));
}

/* log(x) = k ln 2 + log1p(f),  x = 2^k (1 + f) */
SIMD vec v_log(vec x) {
    vec k, low;
    const vec m = v_split(x, &k), high = log_of_parts(k, v_sub(m, v_set(1)), &low), log = v_add(high, low);
    const mask usual = v_equal(x, v_min(v_set(REAL_MAX), v_max(v_set(SMALLEST), x)));
    if (m_count(usual) == LANES) return log;
    const vec zero = v_set(0);
    const vec finite = v_select(v_not_less(x, v_set(INFINITY)), x, log); /* inf and nan are their own logarithms */
    return v_select(v_not_less(zero, x), v_select(v_equal(x, zero), v_set(-INFINITY), v_add(x, v_set(NAN))), finite);
}
