/* AVX2 + FMA float64: four lanes. Include it first: everything after it is compiled for AVX2.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 1
#define TARGET_ISA "avx2,fma,f16c"
#include "target_begin.h"

#include <immintrin.h>

#include "float64.h"

enum { LANES = 4 };
typedef __m256d vec;
typedef __m256d mask;
typedef __m256i count;

SIMD mask m_first(size_t n) {
    const long long lanes = n >= LANES ? LANES : (long long)n;
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_set_epi64x(3, 2, 1, 0)));
}
SIMD size_t m_count(mask m) { return (size_t)__builtin_popcount((unsigned)_mm256_movemask_pd(m)); }
SIMD count count_zero(void) { return _mm256_setzero_si256(); }
SIMD count count_add(count a, mask m) { return _mm256_sub_epi64(a, _mm256_castpd_si256(m)); } /* true is -1 */
SIMD size_t count_sum(count a) {
    uint64_t lanes[LANES];
    _mm256_storeu_si256((__m256i *)lanes, a);
    return (size_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
}

#include "x86_prefetch.h"

SIMD vec v_set(real a) { return _mm256_set1_pd(a); }
SIMD vec v_select(mask m, vec yes, vec no) { return _mm256_blendv_pd(no, yes, m); }
SIMD vec v_load(const real *p) { return _mm256_loadu_pd(p); }
SIMD void v_store(real *p, vec a) { _mm256_storeu_pd(p, a); }
SIMD vec v_load_first(const real *p, size_t n, vec fill) {
    if (n >= LANES) return v_load(p);
    const mask m = m_first(n);
    return v_select(m, _mm256_maskload_pd(p, _mm256_castpd_si256(m)), fill);
}
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n >= LANES)
        v_store(p, a);
    else
        _mm256_maskstore_pd(p, _mm256_castpd_si256(m_first(n)), a);
}

#include "half_by_lane.h"
SIMD vec v_add(vec a, vec b) { return _mm256_add_pd(a, b); }
SIMD vec v_sub(vec a, vec b) { return _mm256_sub_pd(a, b); }
SIMD vec v_mul(vec a, vec b) { return _mm256_mul_pd(a, b); }
SIMD vec v_div(vec a, vec b) { return _mm256_div_pd(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return _mm256_fnmadd_pd(a, b, c); }
SIMD vec v_min(vec a, vec b) { return _mm256_min_pd(a, b); }
SIMD vec v_max(vec a, vec b) { return _mm256_max_pd(a, b); }
SIMD vec v_abs(vec a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }

SIMD mask v_equal(vec a, vec b) { return (mask)(a == b); }
SIMD mask v_unequal(vec a, vec b) { return (mask)(a != b); }
SIMD mask v_not_less(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_NLT_UQ); }

#include "avx2_targets.h"
SIMD mask m_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t index[LANES]) {
    return _mm256_castsi256_pd(four_targets(t, n, ignored, classes, index));
}
SIMD __m128d look_up_two(const real *p, const size_t *index, size_t stride) {
    return _mm_loadh_pd(_mm_load_sd(p + index[0] * stride), p + index[1] * stride + 1);
}
SIMD vec v_look_up(const real *p, const size_t index[LANES], size_t stride) {
    return _mm256_set_m128d(look_up_two(p + 2, index + 2, stride), look_up_two(p, index, stride));
}

SIMD vec where(mask m, vec a) { return (vec)((__m256i)m & (__m256i)a); }
SIMD vec v_add_where(mask m, vec a, vec b) { return v_add(a, where(m, b)); }
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return v_select(m, v_mul_add(a, b, c), c); }

/* The integer n of a lane (|n| < 2^51) as int64: adding 1.5 * 2^52 leaves n in the low bits of the mantissa. */
SIMD __m256i to_int64(vec n) {
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    return _mm256_sub_epi64(_mm256_castpd_si256(_mm256_add_pd(n, magic)), _mm256_castpd_si256(magic));
}
SIMD vec v_split(vec a, vec *exponent) {
    const mask normal = v_not_less(a, v_set(DBL_MIN));
    const vec lifted = v_select(normal, a, v_mul(a, v_set(0x1p64))), lift = v_select(normal, v_set(0), v_set(64));
    /* the sign bit is 0: with the bias of 1022 and a quarter taken off, the exponent's bits are k, plus 2^11 if it is negative
     */
    const __m256i start = _mm256_set1_epi64x(0x3fe8000000000000), bits = _mm256_castpd_si256(lifted); /* 3/4 */
    const __m256i shifted = _mm256_add_epi64(_mm256_sub_epi64(bits, start), _mm256_set1_epi64x(1LL << 62));
    const __m256i biased = _mm256_srli_epi64(shifted, 52); /* k + 1024 */
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    const vec k = _mm256_sub_pd(_mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(biased, _mm256_castpd_si256(magic))), magic),
                                _mm256_set1_pd(1024));
    *exponent = v_sub(k, lift);
    const __m256i whole = _mm256_slli_epi64(_mm256_sub_epi64(biased, _mm256_set1_epi64x(1024)), 52);
    return _mm256_castsi256_pd(_mm256_sub_epi64(bits, whole));
}
SIMD vec v_exponent(vec a) {
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    const __m256i biased = _mm256_srli_epi64(_mm256_castpd_si256(a), 52);
    const __m256d shifted = _mm256_castsi256_pd(_mm256_add_epi64(biased, _mm256_castpd_si256(magic)));
    return _mm256_sub_pd(_mm256_sub_pd(shifted, magic), _mm256_set1_pd(1023.0));
}
/* 2^n for an integer n of [-1022, 1023] */
SIMD vec pow2(__m256i n) { return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(n, _mm256_set1_epi64x(1023)), 52)); }
SIMD vec v_scale_by_pow2(vec a, vec n) {
    /* in two steps, so that subnormal results are rounded once and 2^1024 is reached */
    const vec half = _mm256_floor_pd(_mm256_mul_pd(n, _mm256_set1_pd(0.5)));
    return _mm256_mul_pd(_mm256_mul_pd(a, pow2(to_int64(half))), pow2(to_int64(_mm256_sub_pd(n, half))));
}

#include "one_step.h"
SIMD vec v_raise_where(mask m, vec p, vec t) {
    const __m256i one = _mm256_set1_epi64x((1023LL + LIFT) << 52); /* 2^0, raised; the bits of the magic number fall off t */
    const vec power = _mm256_castsi256_pd(_mm256_add_epi64(_mm256_slli_epi64(_mm256_castpd_si256(t), 52), one));
    return where(m, v_mul_add(power, p, power));
}
#include "raised.h"

/* Squares of 2 and 4 rows in turn: each step exchanges the halves of pairs of such squares. */
SIMD void v_transpose(vec rows[LANES]) {
    const vec a = _mm256_unpacklo_pd(rows[0], rows[1]), b = _mm256_unpackhi_pd(rows[0], rows[1]);
    const vec c = _mm256_unpacklo_pd(rows[2], rows[3]), d = _mm256_unpackhi_pd(rows[2], rows[3]);
    rows[0] = _mm256_permute2f128_pd(a, c, 0x20);
    rows[1] = _mm256_permute2f128_pd(b, d, 0x20);
    rows[2] = _mm256_permute2f128_pd(a, c, 0x31);
    rows[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#include "square_columns.h"

SIMD real v_reduce_max(vec a) {
    const __m128d m = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(m, _mm_unpackhi_pd(m, m)));
}

SIMD double sum_of_lanes(vec a) {
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

#include "wide_f64.h"

#endif
