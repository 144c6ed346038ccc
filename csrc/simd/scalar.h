/* The readable twin: one lane, plain C. It is the fallback on a CPU without a vector header of its own, and the
   definition that the others are tested against. scalar_f32.h and scalar_f64.h include it for their type.
   The meaning of each verb is in simd/README.md. */

#include <math.h>
#include <string.h>

enum { LANES = 1 };
typedef real vec;
typedef int mask;

SIMD mask m_first(size_t n) { return n > 0; }
SIMD size_t m_count(mask m) { return (size_t)m; }

SIMD vec v_set(real a) { return a; }
SIMD vec v_prefetch(vec beside, const void *p) {
    __builtin_prefetch(p);
    return beside;
}
SIMD vec v_prefetch_far(vec beside, const void *p) {
    __builtin_prefetch(p, 0, 2);
    return beside;
}
SIMD vec v_load(const real *p) { return *p; }
SIMD void v_store(real *p, vec a) { *p = a; }
SIMD vec v_load_first(const real *p, size_t n, vec fill) { return n > 0 ? *p : fill; }
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n > 0) *p = a;
}
#include "half_by_lane.h"
SIMD vec v_add(vec a, vec b) { return a + b; }
SIMD vec v_sub(vec a, vec b) { return a - b; }
SIMD vec v_mul(vec a, vec b) { return a * b; }
SIMD vec v_div(vec a, vec b) { return a / b; }
/* not fma(): without the instruction that is a slow emulation. float64 arithmetic is as good as fused for float32. */
SIMD vec v_mul_add(vec a, vec b, vec c) { return (vec)((double)a * (double)b + (double)c); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return (vec)((double)c - (double)a * (double)b); }
SIMD vec v_min(vec a, vec b) { return a < b ? a : b; }
SIMD vec v_max(vec a, vec b) { return a > b ? a : b; }

SIMD mask v_equal(vec a, vec b) { return a == b; }
SIMD mask v_unequal(vec a, vec b) { return a != b; }
SIMD vec v_select(mask m, vec yes, vec no) { return m ? yes : no; }
SIMD mask v_not_less(vec a, vec b) { return !(a < b); }

#include "by_lane.h"
SIMD vec v_add_where(mask m, vec a, vec b) { return m ? a + b : a; }
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return m ? v_mul_add(a, b, c) : c; }

SIMD real_bits bits_of(real a) {
    real_bits bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
SIMD real real_of(real_bits bits) {
    real a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
SIMD vec v_abs(vec a) { return real_of(bits_of(a) & (real_bits)-1 >> 1); }
SIMD vec v_split(vec a, vec *exponent) {
    int k;
    const real m = (real)frexp((double)a, &k); /* of [1/2, 1) */
    const int low = m < (real)0.75;
    *exponent = (real)(k - low);
    return low ? m + m : m;
}
SIMD vec v_exponent(vec a) { return (real)((int)(bits_of(a) >> MANTISSA_BITS) - EXPONENT_BIAS); }
/* 2^n for an integer n of [1 - EXPONENT_BIAS, EXPONENT_BIAS] */
SIMD vec pow2(int n) { return real_of((real_bits)(n + EXPONENT_BIAS) << MANTISSA_BITS); }
SIMD vec v_scale_by_pow2(vec a, vec n) {
    /* in two steps, so that subnormal results are rounded once and the largest power is reached; a nan gives itself */
    if (n != n || n > 4 * EXPONENT_BIAS) return a * n; /* of the infinity of a row without a softmax no int is made */
    const int whole = (int)n, half = whole / 2;
    return a * pow2(half) * pow2(whole - half);
}

#include "one_step.h"
SIMD vec v_raise_where(mask m, vec p, vec t) { return m ? v_scale_by_pow2(1 + p, t - STEP_MAGIC) : 0; }
#include "at_once.h"

SIMD void v_transpose(vec rows[LANES]) { (void)rows; }

#include "square_columns.h"

SIMD real v_reduce_max(vec a) { return a; }
