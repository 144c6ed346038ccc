/* vec_math.h -- exp and log1p of a vector, written once in the verbs of simd/; their constants are in simd/float32.h and
   simd/float64.h, fitted by tools/fit_vec_math.py. Called by the softmax formulas and, one by one, by the tests.

   | function           | domain             | max error              | special values                                     |
   | v_exp              | all                | 1 ULP, subnormals too  | e^-inf = 0, e^inf = inf, e^nan = nan, e^0 = 1       |
   | v_exp_reduced      | abs(x) < 1024, nan | 0.3 ULP, high and low  | nan gives nan                                       |
   | v_exp_scaled       | see scale_of()     | 1 ULP, subnormals too  | -inf gives 0, nan nan                               |
   | v_log1p            | x >= 0, inf, nan   | 1 ULP                  | log1p(0) = 0, log1p(inf) = inf, log1p(nan) = nan    | */

#include <math.h>

/* c[0] + c[1] x + ... + c[n-1] x^(n-1), by Horner's rule */
SIMD vec polynomial(vec x, const real *c, int n) {
    vec sum = v_set(c[n - 1]);
#pragma GCC unroll 16
    for (int i = n - 2; i >= 0; i--) sum = v_mul_add(sum, x, v_set(c[i]));
    return sum;
}

/* e^x = 2^n e^r,  r = x - n ln 2 = high - n LN2_LOW,  e^r = 1 + (r + r^2 Q(r)) = 1 + (r + curve) */
struct exp_parts {
    vec n, high, r, curve;
};

SIMD struct exp_parts exp_parts(vec x) {
    const vec magic = v_set(ROUNDING_MAGIC), n = v_sub(v_mul_add(x, v_set(LOG2_E), magic), magic);
    const vec high = v_neg_mul_add(n, v_set(LN2_HIGH), x), r = v_neg_mul_add(n, v_set(LN2_LOW), high);
    const vec q = polynomial(r, EXP_POLYNOMIAL, sizeof EXP_POLYNOMIAL / sizeof *EXP_POLYNOMIAL);
    return (struct exp_parts){n, high, r, v_mul(v_mul(r, r), q)};
}

/* e^x 2^-k for x >= floor, 0 below it, for a whole k. r + curve comes first, or e^x would not be monotone. */
SIMD vec v_exp_scaled(vec x, vec k, vec floor) {
    const mask counts = v_not_less(x, floor); /* the others cost no underflow; a nan counts */
    const struct exp_parts p = exp_parts(x);
    return v_scale_by_pow2_where(counts, v_add(v_set(1), v_add(p.r, p.curve)), v_sub(p.n, k));
}

/* e^x 2^-n, for |x| so small that n needs no care, as *high + *low within 0.3 ULP of *high; returns n */
SIMD vec v_exp_reduced(vec x, vec *high, vec *low) {
    const struct exp_parts p = exp_parts(x);
    const vec one = v_set(1), beyond_one = v_add(p.high, v_neg_mul_add(p.n, v_set(LN2_LOW), p.curve));
    *high = v_add(one, beyond_one);
    *low = v_sub(beyond_one, v_sub(*high, one)); /* exact: Dekker's Fast2Sum, for |beyond_one| < 1 */
    return p.n;
}

SIMD vec v_exp(vec x) { return v_exp_scaled(v_min(v_set(EXP_HIGHEST), x), v_set(0), v_set(EXP_LOWEST)); }

/* log1p(x) = k ln 2 + log1p(f),  1 + x = 2^k (1 + f),  f in [-1/4, 1/2),  log1p(f) = f + f^2 P(f).
   f comes from x, not from the rounded 1 + x, so that no bit of a small x is lost. */
SIMD vec v_log1p(vec x) {
    const vec one = v_set(1);
    const vec k = v_add(v_exponent(v_mul(v_add(one, x), v_set((real)(2.0 / 3.0)))), one);
    const vec scale = v_scale_by_pow2(one, v_sub(v_set(0), k));
    const vec f = v_mul_add(x, scale, v_sub(scale, one));
    const vec p = polynomial(f, LOG1P_POLYNOMIAL, sizeof LOG1P_POLYNOMIAL / sizeof *LOG1P_POLYNOMIAL);
    const vec tail = v_mul_add(v_mul(f, f), p, v_mul(k, v_set(LN2_LOW)));
    const vec log = v_mul_add(k, v_set(LN2_HIGH), v_add(f, tail));
    return v_select(v_equal(x, v_set(INFINITY)), x, log);
}
