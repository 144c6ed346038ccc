/* AVX2 + FMA float32: eight lanes. Include it first: everything after it is compiled for AVX2.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 8
#define TARGET_ISA "avx2,fma,f16c"
#include "target_begin.h"

#include <immintrin.h>

#include "float32.h"

enum { LANES = 8, COLUMNS = 4 };
typedef __m256 vec;
typedef __m256 mask;
typedef struct {
    __m256d low, high;
} wide;
typedef __m256i count;

SIMD __m256i lane_numbers(void) { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
SIMD mask m_first(size_t n) {
    const int lanes = n >= LANES ? LANES : (int)n;
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), lane_numbers()));
}
SIMD size_t m_count(mask m) { return (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(m)); }
SIMD count count_zero(void) { return _mm256_setzero_si256(); }
SIMD count count_add(count a, mask m) { return _mm256_sub_epi32(a, _mm256_castps_si256(m)); } /* true is -1 */
SIMD size_t count_sum(count a) {
    uint32_t lanes[LANES];
    size_t sum = 0;
    _mm256_storeu_si256((__m256i *)lanes, a);
    for (int i = 0; i < LANES; i++) sum += lanes[i];
    return sum;
}

#include "x86_prefetch.h"

SIMD vec v_set(real a) { return _mm256_set1_ps(a); }
SIMD vec v_select(mask m, vec yes, vec no) { return _mm256_blendv_ps(no, yes, m); }
SIMD vec v_load(const real *p) { return _mm256_loadu_ps(p); }
SIMD void v_store(real *p, vec a) { _mm256_storeu_ps(p, a); }
SIMD vec v_load_first(const real *p, size_t n, vec fill) {
    if (n >= LANES) return v_load(p);
    const mask m = m_first(n);
    return v_select(m, _mm256_maskload_ps(p, _mm256_castps_si256(m)), fill);
}
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n >= LANES)
        v_store(p, a);
    else
        _mm256_maskstore_ps(p, _mm256_castps_si256(m_first(n)), a);
}

/* AVX2 masks no 16-bit elements: a rest goes through a small array. */
SIMD __m128i load_16_bits(const uint16_t *p, size_t n) {
    uint16_t lanes[LANES] = {0};
    if (n >= LANES) return _mm_loadu_si128((const __m128i *)p);
    memcpy(lanes, p, n * sizeof *p);
    return _mm_loadu_si128((const __m128i *)lanes);
}
SIMD void store_16_bits(uint16_t *p, __m128i a, size_t n) {
    uint16_t lanes[LANES];
    if (n >= LANES) {
        _mm_storeu_si128((__m128i *)p, a);
        return;
    }
    _mm_storeu_si128((__m128i *)lanes, a);
    memcpy(p, lanes, n * sizeof *p);
}
SIMD vec v_load_f16(const uint16_t *p, size_t n) { return _mm256_cvtph_ps(load_16_bits(p, n)); }
SIMD void v_store_f16(uint16_t *p, vec a, size_t n) { store_16_bits(p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT), n); }
SIMD vec v_load_bf16(const uint16_t *p, size_t n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16_bits(p, n)), 16));
}
SIMD void v_store_bf16(uint16_t *p, vec a, size_t n) {
    const __m256i bits = _mm256_castps_si256(a), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const vec rounded = _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))));
    const vec quiet = _mm256_or_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000))); /* a nan must stay one */
    const __m256i kept = _mm256_castps_si256(v_select(_mm256_cmp_ps(a, a, _CMP_UNORD_Q), quiet, rounded));
    const __m256i high = _mm256_srli_epi32(kept, 16);
    store_16_bits(p, _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)), n);
}

SIMD vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
SIMD vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
SIMD vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
SIMD vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
SIMD vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
SIMD vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
SIMD vec v_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

SIMD mask v_equal(vec a, vec b) { return (mask)(a == b); }
SIMD mask v_unequal(vec a, vec b) { return (mask)(a != b); }
SIMD mask v_not_less(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_NLT_UQ); }

#include "avx2_targets.h"
SIMD mask m_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t index[LANES]) {
    const __m256i low = four_targets(t, n, ignored, classes, index);
    const __m256i high = four_targets(t + 4, n > 4 ? n - 4 : 0, ignored, classes, index + 4);
    const __m256 halves = _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88); /* 0 1 4 5 2 3 6 7 */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(halves), 0xd8));
}
#include "look_up_four.h"
SIMD vec v_look_up(const real *p, const size_t index[LANES], size_t stride) { return look_up_eight(p, index, stride); }

SIMD vec where(mask m, vec a) { return (vec)((__m256i)m & (__m256i)a); }
SIMD vec v_add_where(mask m, vec a, vec b) { return v_add(a, where(m, b)); }
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return v_select(m, v_mul_add(a, b, c), c); }

SIMD vec v_split(vec a, vec *exponent) {
    const mask normal = v_not_less(a, v_set(FLT_MIN));
    const vec lifted = v_select(normal, a, v_mul(a, v_set(0x1p32f))), lift = v_select(normal, v_set(0), v_set(32));
    const __m256i start = _mm256_set1_epi32(0x3f400000), bits = _mm256_sub_epi32(_mm256_castps_si256(lifted), start); /* 3/4 */
    const __m256i k = _mm256_srai_epi32(bits, 23);
    *exponent = v_sub(_mm256_cvtepi32_ps(k), lift);
    return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(lifted), _mm256_slli_epi32(k, 23)));
}
SIMD vec v_exponent(vec a) {
    const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
}
/* 2^n for an integer n of [-126, 127] */
SIMD vec pow2(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
SIMD vec v_scale_by_pow2(vec a, vec n) {
    /* in two steps, so that subnormal results are rounded once and 2^128 is reached */
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(a, pow2(half)), pow2(_mm256_sub_epi32(whole, half)));
}

SIMD vec v_step(const real *table, vec t) {
    return _mm256_permutevar8x32_ps(v_load(table), _mm256_castps_si256(t)); /* which takes the lowest bits of t */
}
SIMD vec v_raise_where(mask m, vec p, vec t) {
    /* as bits, 2^n is that of its step and t behind the bits of an exponent; t brings its step along, which is taken off first
     */
    const __m256i step = _mm256_slli_epi32(lane_numbers(), 20), lift = _mm256_set1_epi32(LIFT << 23);
    const __m256i table = _mm256_add_epi32(_mm256_sub_epi32(_mm256_castps_si256(v_load(STEP_HIGH)), step), lift);
    const __m256i bits = _mm256_castps_si256(t), exponent = _mm256_slli_epi32(bits, 20);
    const vec power = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_permutevar8x32_epi32(table, bits), exponent));
    return where(m, v_mul_add(power, p, power));
}
#include "raised.h"

/* The squares of four by four that four vectors are, transposed. */
SIMD void transpose_squares(vec a[COLUMNS]) {
    const vec low = _mm256_unpacklo_ps(a[0], a[1]), high = _mm256_unpackhi_ps(a[0], a[1]);
    const vec low_next = _mm256_unpacklo_ps(a[2], a[3]), high_next = _mm256_unpackhi_ps(a[2], a[3]);
    a[0] = _mm256_shuffle_ps(low, low_next, 0x44);
    a[1] = _mm256_shuffle_ps(low, low_next, 0xee);
    a[2] = _mm256_shuffle_ps(high, high_next, 0x44);
    a[3] = _mm256_shuffle_ps(high, high_next, 0xee);
}

/* Then squares of 8 rows: the halves of pairs of smaller ones are exchanged. */
SIMD void v_transpose(vec rows[LANES]) {
    vec a[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) transpose_squares(rows + i);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[i] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20);
        a[i + 4] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31);
    }
    for (int i = 0; i < LANES; i++) rows[i] = a[i];
}

/* Halves of rows, four numbers each, are put together as they are loaded, which three ports do: only what is left are shuffles.
 */
SIMD __m128i first_of_four(size_t n) { return _mm256_castsi256_si128(_mm256_castps_si256(m_first(n))); }
SIMD __m128 load_four(const real *p, size_t n) { return n >= COLUMNS ? _mm_loadu_ps(p) : _mm_maskload_ps(p, first_of_four(n)); }
SIMD void store_four(real *p, __m128 a, size_t n) {
    if (n >= COLUMNS)
        _mm_storeu_ps(p, a);
    else
        _mm_maskstore_ps(p, first_of_four(n), a);
}
SIMD vec load_fours(const real *p, size_t step, size_t n) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(load_four(p, n)), load_four(p + 4 * step, n), 1);
}
SIMD void store_fours(real *p, size_t step, vec a, size_t n) {
    store_four(p, _mm256_castps256_ps128(a), n);
    store_four(p + 4 * step, _mm256_extractf128_ps(a, 1), n);
}
#include "four_columns.h"

SIMD real v_reduce_max(vec a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

SIMD wide wide_zero(void) { return (wide){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
SIMD wide wide_add(wide a, vec b) {
    return (wide){_mm256_add_pd(a.low, _mm256_cvtps_pd(_mm256_castps256_ps128(b))),
                  _mm256_add_pd(a.high, _mm256_cvtps_pd(_mm256_extractf128_ps(b, 1)))};
}
SIMD vec wide_to_vec(wide a) { return _mm256_set_m128(_mm256_cvtpd_ps(a.high), _mm256_cvtpd_ps(a.low)); }
SIMD wide wide_mul(wide a, vec high, vec low) {
    const wide b = wide_add(wide_add(wide_zero(), high), low);
    return (wide){_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)};
}
SIMD double wide_sum(wide a) {
    const __m256d s = _mm256_add_pd(a.low, a.high);
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

#endif
