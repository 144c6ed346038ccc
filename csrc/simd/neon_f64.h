/* NEON (AArch64) float64: two lanes. The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 1

#include <arm_neon.h>

#include "float64.h"

enum { LANES = 2 };
typedef float64x2_t vec;
typedef uint64x2_t mask, count;

SIMD mask m_first(size_t n) {
    static const uint64_t numbers[LANES] = {0, 1};
    return vcltq_u64(vld1q_u64(numbers), vdupq_n_u64(n >= LANES ? LANES : n));
}
SIMD size_t m_count(mask m) { return (size_t)vaddvq_u64(vshrq_n_u64(m, 63)); }
SIMD count count_zero(void) { return vdupq_n_u64(0); }
SIMD count count_add(count a, mask m) { return vsubq_u64(a, m); } /* true is -1 */
SIMD size_t count_sum(count a) { return (size_t)vaddvq_u64(a); }

#include "neon_prefetch.h"

SIMD vec v_set(real a) { return vdupq_n_f64(a); }
SIMD vec v_load(const real *p) { return vld1q_f64(p); }
SIMD void v_store(real *p, vec a) { vst1q_f64(p, a); }

#include "half_by_lane.h"

SIMD vec v_add(vec a, vec b) { return vaddq_f64(a, b); }
SIMD vec v_sub(vec a, vec b) { return vsubq_f64(a, b); }
SIMD vec v_mul(vec a, vec b) { return vmulq_f64(a, b); }
SIMD vec v_div(vec a, vec b) { return vdivq_f64(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return vfmaq_f64(c, a, b); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return vfmsq_f64(c, a, b); }
SIMD vec v_select(mask m, vec yes, vec no) { return vbslq_f64(m, yes, no); }
/* compare and select, not vmin and vmax: those return nan if either is */
SIMD vec v_min(vec a, vec b) { return v_select(vcltq_f64(a, b), a, b); }
SIMD vec v_max(vec a, vec b) { return v_select(vcgtq_f64(a, b), a, b); }
SIMD vec v_abs(vec a) { return vabsq_f64(a); }

SIMD mask v_equal(vec a, vec b) { return vceqq_f64(a, b); }
SIMD mask v_unequal(vec a, vec b) { return veorq_u64(vceqq_f64(a, b), vdupq_n_u64(UINT64_MAX)); }
SIMD mask v_not_less(vec a, vec b) { return veorq_u64(vcltq_f64(a, b), vdupq_n_u64(UINT64_MAX)); }

/* NEON has no masked memory access and no gather. */
#include "by_lane.h"
SIMD vec v_load_first(const real *p, size_t n, vec fill) { return n >= LANES ? v_load(p) : load_by_lane(p, n, fill); }
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n >= LANES)
        v_store(p, a);
    else
        store_by_lane(p, a, n);
}

SIMD vec v_add_where(mask m, vec a, vec b) { return v_select(m, v_add(a, b), a); }
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return v_select(m, v_mul_add(a, b, c), c); }

SIMD vec v_split(vec a, vec *exponent) {
    const mask normal = v_not_less(a, v_set(DBL_MIN));
    const vec lifted = v_select(normal, a, v_mul(a, v_set(0x1p64))), lift = v_select(normal, v_set(0), v_set(64));
    const int64x2_t bits = vreinterpretq_s64_f64(lifted);
    const int64x2_t k = vshrq_n_s64(vsubq_s64(bits, vdupq_n_s64(0x3fe8000000000000)), 52); /* 3/4 */
    *exponent = v_sub(vcvtq_f64_s64(k), lift);
    return vreinterpretq_f64_s64(vsubq_s64(bits, vshlq_n_s64(k, 52)));
}
SIMD vec v_exponent(vec a) {
    const int64x2_t biased = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(a), 52));
    return vcvtq_f64_s64(vsubq_s64(biased, vdupq_n_s64(1023)));
}
/* 2^n for an integer n of [-1022, 1023] */
SIMD vec pow2(int64x2_t n) { return vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(n, vdupq_n_s64(1023)), 52)); }
SIMD vec v_scale_by_pow2(vec a, vec n) {
    /* in two steps, so that subnormal results are rounded once and 2^1024 is reached */
    const int64x2_t whole = vcvtq_s64_f64(n), half = vshrq_n_s64(whole, 1);
    return vmulq_f64(vmulq_f64(a, pow2(half)), pow2(vsubq_s64(whole, half)));
}

#include "one_step.h"
SIMD vec v_raise_where(mask m, vec p, vec t) {
    const int64x2_t one = vdupq_n_s64((1023LL + LIFT) << 52); /* 2^0, raised; the bits of the magic number fall off t */
    const vec power = vreinterpretq_f64_s64(vaddq_s64(vshlq_n_s64(vreinterpretq_s64_f64(t), 52), one));
    return v_select(m, v_mul_add(power, p, power), v_set(0));
}
#include "raised.h"

SIMD void v_transpose(vec rows[LANES]) {
    const vec first = vtrn1q_f64(rows[0], rows[1]);
    rows[1] = vtrn2q_f64(rows[0], rows[1]);
    rows[0] = first;
}

#include "square_columns.h"

SIMD real v_reduce_max(vec a) { return vmaxvq_f64(a); }

SIMD double sum_of_lanes(vec a) { return vaddvq_f64(a); }

#include "wide_f64.h"

#endif
