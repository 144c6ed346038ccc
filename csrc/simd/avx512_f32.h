/* AVX-512 float32: sixteen lanes. Include it first: everything after it is compiled for AVX-512.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 16
#define TARGET_ISA "avx512f,avx512dq,avx512bw,avx512vl,fma,popcnt"
#include "target_begin.h"

#include <immintrin.h>

#include "float32.h"

enum { LANES = 16, COLUMNS = 4 };
typedef __m512 vec;
typedef __mmask16 mask;
typedef struct {
    __m512d low, high;
} wide;

SIMD mask m_first(size_t n) { return n >= LANES ? (mask)0xffff : (mask)((1u << n) - 1); }
SIMD size_t m_count(mask m) { return (size_t)_mm_popcnt_u32(_cvtmask16_u32(m)); } /* the builtin counts 16 bits: slower */

#include "x86_prefetch.h"

SIMD vec v_set(real a) { return _mm512_set1_ps(a); }
SIMD vec v_load(const real *p) { return _mm512_loadu_ps(p); }
SIMD void v_store(real *p, vec a) { _mm512_storeu_ps(p, a); }
SIMD vec v_load_first(const real *p, size_t n, vec fill) {
    return n >= LANES ? v_load(p) : _mm512_mask_loadu_ps(fill, m_first(n), p);
}
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n >= LANES)
        v_store(p, a);
    else
        _mm512_mask_storeu_ps(p, m_first(n), a);
}

SIMD __m256i load_16_bits(const uint16_t *p, size_t n) {
    return n >= LANES ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskz_loadu_epi16(m_first(n), p);
}
SIMD void store_16_bits(uint16_t *p, __m256i a, size_t n) {
    if (n >= LANES)
        _mm256_storeu_si256((__m256i *)p, a);
    else
        _mm256_mask_storeu_epi16(p, m_first(n), a);
}
SIMD vec v_load_f16(const uint16_t *p, size_t n) { return _mm512_cvtph_ps(load_16_bits(p, n)); }
SIMD void v_store_f16(uint16_t *p, vec a, size_t n) { store_16_bits(p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT), n); }
SIMD vec v_load_bf16(const uint16_t *p, size_t n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_16_bits(p, n)), 16));
}
SIMD void v_store_bf16(uint16_t *p, vec a, size_t n) {
    const __m512i bits = _mm512_castps_si512(a), half = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000)); /* to even, where it is in the middle */
    const __m512i rounded = _mm512_mask_add_epi32(half, odd, half, _mm512_set1_epi32(1));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); /* it must not be rounded to infinity, but made quiet */
    const __m512i kept = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    const __m512i high_halves = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29, 27, 25, 23, 21, 19, 17,
                                                 15, 13, 11, 9, 7, 5, 3, 1);
    store_16_bits(p, _mm512_castsi512_si256(_mm512_permutexvar_epi16(high_halves, kept)), n);
}

/* A load of eight targets is one read of each: another thread may be writing them. */
SIMD __mmask8 eight_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t *index) {
    const __mmask8 here = n >= 8 ? (__mmask8)0xff : (__mmask8)((1u << n) - 1);
    const __m512i v = _mm512_maskz_loadu_epi64(here, t), bound = _mm512_set1_epi64((int64_t)classes);
    const __mmask8 counts = _mm512_mask_cmpneq_epi64_mask(here, v, _mm512_set1_epi64(ignored));
    const __mmask8 live = _mm512_mask_cmplt_epu64_mask(counts, v, bound);
    _mm512_storeu_si512(index, _mm512_maskz_mov_epi64(live, v));
    return live;
}
SIMD mask m_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t index[LANES]) {
    const __mmask8 low = eight_targets(t, n, ignored, classes, index);
    const __mmask8 high = eight_targets(t + 8, n > 8 ? n - 8 : 0, ignored, classes, index + 8);
    return (mask)(low | high << 8);
}
#include "look_up_four.h"
SIMD vec v_look_up(const real *p, const size_t index[LANES], size_t stride) {
    const __m512 low = _mm512_castps256_ps512(look_up_eight(p, index, stride));
    return _mm512_insertf32x8(low, look_up_eight(p + 8, index + 8, stride), 1);
}

SIMD vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
SIMD vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
SIMD vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
SIMD vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
SIMD vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
SIMD vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
SIMD vec v_abs(vec a) { return _mm512_abs_ps(a); }

SIMD mask v_equal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SIMD mask v_unequal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
SIMD vec v_select(mask m, vec yes, vec no) { return _mm512_mask_blend_ps(m, no, yes); }
SIMD mask v_not_less(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ); }
SIMD vec v_add_where(mask m, vec a, vec b) { return _mm512_mask_add_ps(a, m, a, b); }
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return _mm512_mask3_fmadd_ps(a, b, c, m); }

SIMD vec v_split(vec a, vec *exponent) {
    const vec m = _mm512_getmant_ps(a, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    *exponent = _mm512_sub_ps(_mm512_getexp_ps(a), _mm512_getexp_ps(m)); /* that of m is -1 below 1, else 0 */
    return m;
}
SIMD vec v_exponent(vec a) { return _mm512_getexp_ps(a); }
SIMD vec v_scale_by_pow2(vec a, vec n) { return _mm512_scalef_ps(a, n); }
SIMD vec v_step(const real *table, vec t) {
    return _mm512_permutexvar_ps(_mm512_castps_si512(t), v_load(table)); /* which takes the lowest bits of t */
}
SIMD vec v_raise_where(mask m, vec p, vec t) {
    const vec step = v_step(STEP_HIGH, t);
    return _mm512_maskz_scalef_ps(m, v_mul_add(step, p, step), v_sub(t, v_set(STEP_MAGIC))); /* which takes the floor */
}
#include "at_once.h"

/* The squares of four by four that four vectors are, transposed. */
SIMD void transpose_squares(vec a[COLUMNS]) {
    const vec low = _mm512_unpacklo_ps(a[0], a[1]), high = _mm512_unpackhi_ps(a[0], a[1]);
    const vec low_next = _mm512_unpacklo_ps(a[2], a[3]), high_next = _mm512_unpackhi_ps(a[2], a[3]);
    a[0] = _mm512_shuffle_ps(low, low_next, 0x44);
    a[1] = _mm512_shuffle_ps(low, low_next, 0xee);
    a[2] = _mm512_shuffle_ps(high, high_next, 0x44);
    a[3] = _mm512_shuffle_ps(high, high_next, 0xee);
}

/* Then squares of 8 and 16 rows: each step exchanges the halves of pairs of smaller ones. */
SIMD void v_transpose(vec rows[LANES]) {
    vec a[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) __asm__("" : "+v"(rows[i])); /* or what was loaded would be loaded again for each use */
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) transpose_squares(rows + i);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        const int i = j / 4 * 8 + j % 4;
        a[i] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xdd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        rows[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    }
}

/* Quarters of rows, four numbers each, are put together as they are loaded, which two ports do: only what is left are shuffles,
   which one does. */
SIMD __m128 load_four(const real *p, size_t n) {
    return n >= COLUMNS ? _mm_loadu_ps(p) : _mm_maskz_loadu_ps((__mmask8)m_first(n), p);
}
SIMD void store_four(real *p, __m128 a, size_t n) {
    if (n >= COLUMNS) { /* the extraction and this are one instruction, which leaves the port of the shuffles free */
        _mm_storeu_ps(p, a);
        return;
    }
    __asm__("" : "+v"(a)); /* or these are one, too: its mask would hold off no page fault */
    _mm_mask_storeu_ps(p, (__mmask8)m_first(n), a);
}
/* Halves first: where units have 256 bits, to insert into a whole vector takes two of them. */
SIMD __m256 load_two_fours(const real *p, size_t step, size_t n) {
    return _mm256_set_m128(load_four(p + 4 * step, n), load_four(p, n));
}
SIMD vec load_fours(const real *p, size_t step, size_t n) {
    const vec low = _mm512_castps256_ps512(load_two_fours(p, step, n));
    return _mm512_insertf32x8(low, load_two_fours(p + 8 * step, step, n), 1);
}
SIMD void store_fours(real *p, size_t step, vec a, size_t n) {
    store_four(p, _mm512_castps512_ps128(a), n);
    store_four(p + 4 * step, _mm512_extractf32x4_ps(a, 1), n);
    store_four(p + 8 * step, _mm512_extractf32x4_ps(a, 2), n);
    store_four(p + 12 * step, _mm512_extractf32x4_ps(a, 3), n);
}
#include "four_columns.h"

SIMD real v_reduce_max(vec a) { return _mm512_reduce_max_ps(a); }

SIMD wide wide_zero(void) { return (wide){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
SIMD wide wide_add(wide a, vec b) {
    return (wide){_mm512_add_pd(a.low, _mm512_cvtps_pd(_mm512_castps512_ps256(b))),
                  _mm512_add_pd(a.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(b, 1)))};
}
SIMD vec wide_to_vec(wide a) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.low)), _mm512_cvtpd_ps(a.high), 1);
}
SIMD wide wide_mul(wide a, vec high, vec low) {
    const wide b = wide_add(wide_add(wide_zero(), high), low);
    return (wide){_mm512_mul_pd(a.low, b.low), _mm512_mul_pd(a.high, b.high)};
}
SIMD double wide_sum(wide a) { return _mm512_reduce_add_pd(_mm512_add_pd(a.low, a.high)); }

#endif
