/* NEON (AArch64) float32: four lanes. The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 1

#include <arm_neon.h>

#include "float32.h"

enum { LANES = 4 };
typedef float32x4_t vec;
typedef uint32x4_t mask;
typedef struct {
    float64x2_t low, high;
} wide;
typedef uint32x4_t count;

SIMD mask m_first(size_t n) {
    static const uint32_t numbers[LANES] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(numbers), vdupq_n_u32(n >= LANES ? LANES : (uint32_t)n));
}
SIMD size_t m_count(mask m) { return vaddvq_u32(vshrq_n_u32(m, 31)); }
SIMD count count_zero(void) { return vdupq_n_u32(0); }
SIMD count count_add(count a, mask m) { return vsubq_u32(a, m); } /* true is -1 */
SIMD size_t count_sum(count a) { return vaddvq_u32(a); }

#include "neon_prefetch.h"

SIMD vec v_set(real a) { return vdupq_n_f32(a); }
SIMD vec v_load(const real *p) { return vld1q_f32(p); }
SIMD void v_store(real *p, vec a) { vst1q_f32(p, a); }

SIMD uint16x4_t load_16_bits(const uint16_t *p, size_t n) {
    uint16_t lanes[LANES] = {0};
    if (n >= LANES) return vld1_u16(p);
    memcpy(lanes, p, n * sizeof *p);
    return vld1_u16(lanes);
}
SIMD void store_16_bits(uint16_t *p, uint16x4_t a, size_t n) {
    uint16_t lanes[LANES];
    vst1_u16(lanes, a);
    memcpy(p, lanes, (n < LANES ? n : LANES) * sizeof *p);
}
SIMD vec v_load_f16(const uint16_t *p, size_t n) { return vcvt_f32_f16(vreinterpret_f16_u16(load_16_bits(p, n))); }
SIMD void v_store_f16(uint16_t *p, vec a, size_t n) { store_16_bits(p, vreinterpret_u16_f16(vcvt_f16_f32(a)), n); }
SIMD vec v_load_bf16(const uint16_t *p, size_t n) { return vreinterpretq_f32_u32(vshll_n_u16(load_16_bits(p, n), 16)); }
SIMD void v_store_bf16(uint16_t *p, vec a, size_t n) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000)); /* a nan must not be rounded to infinity */
    store_16_bits(p, vshrn_n_u32(vbslq_u32(vceqq_f32(a, a), rounded, quiet), 16), n);
}

SIMD vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
SIMD vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
SIMD vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
SIMD vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
SIMD vec v_select(mask m, vec yes, vec no) { return vbslq_f32(m, yes, no); }
/* compare and select, not vmin and vmax: those return nan if either is */
SIMD vec v_min(vec a, vec b) { return v_select(vcltq_f32(a, b), a, b); }
SIMD vec v_max(vec a, vec b) { return v_select(vcgtq_f32(a, b), a, b); }
SIMD vec v_abs(vec a) { return vabsq_f32(a); }

SIMD mask v_equal(vec a, vec b) { return vceqq_f32(a, b); }
SIMD mask v_unequal(vec a, vec b) { return vmvnq_u32(vceqq_f32(a, b)); }
SIMD mask v_not_less(vec a, vec b) { return vmvnq_u32(vcltq_f32(a, b)); }

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
    const mask normal = v_not_less(a, v_set(FLT_MIN));
    const vec lifted = v_select(normal, a, v_mul(a, v_set(0x1p32f))), lift = v_select(normal, v_set(0), v_set(32));
    const int32x4_t bits = vreinterpretq_s32_f32(lifted),
                    k = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(0x3f400000)), 23); /* 3/4 */
    *exponent = v_sub(vcvtq_f32_s32(k), lift);
    return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(k, 23)));
}
SIMD vec v_exponent(vec a) {
    const int32x4_t biased = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a), 23));
    return vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)));
}
/* 2^n for an integer n of [-126, 127] */
SIMD vec pow2(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
SIMD vec v_scale_by_pow2(vec a, vec n) {
    /* in two steps, so that subnormal results are rounded once and 2^128 is reached */
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(a, pow2(half)), pow2(vsubq_s32(whole, half)));
}

#include "one_step.h"
SIMD vec v_raise_where(mask m, vec p, vec t) {
    const int32x4_t one = vdupq_n_s32((127 + LIFT) << 23); /* 2^0, raised; the bits of the magic number fall off t */
    const vec power = vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32(vreinterpretq_s32_f32(t), 23), one));
    return v_select(m, v_mul_add(power, p, power), v_set(0));
}
#include "raised.h"

/* Squares of 2 and 4 rows in turn: each step exchanges the halves of pairs of such squares. */
SIMD void v_transpose(vec rows[LANES]) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(rows[0], rows[1]));
    const float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(rows[0], rows[1]));
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(rows[2], rows[3]));
    const float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(rows[2], rows[3]));
    rows[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    rows[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    rows[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    rows[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

#include "square_columns.h"

SIMD real v_reduce_max(vec a) { return vmaxvq_f32(a); }

SIMD wide wide_zero(void) { return (wide){vdupq_n_f64(0.0), vdupq_n_f64(0.0)}; }
SIMD wide wide_add(wide a, vec b) {
    return (wide){vaddq_f64(a.low, vcvt_f64_f32(vget_low_f32(b))), vaddq_f64(a.high, vcvt_high_f64_f32(b))};
}
SIMD vec wide_to_vec(wide a) { return vcvt_high_f32_f64(vcvt_f32_f64(a.low), a.high); }
SIMD wide wide_mul(wide a, vec high, vec low) {
    const wide b = wide_add(wide_add(wide_zero(), high), low);
    return (wide){vmulq_f64(a.low, b.low), vmulq_f64(a.high, b.high)};
}
SIMD double wide_sum(wide a) { return vaddvq_f64(vaddq_f64(a.low, a.high)); }

#endif
