/* AVX-512 float32: sixteen lanes. Include it first: everything after it is compiled for AVX-512.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define TARGET_ISA "avx512f,avx512dq,avx512bw,avx512vl,fma"
#include "target_begin.h"

#include <immintrin.h>

#include "float32.h"

enum { LANES = 16 };
typedef __m512 vec;
typedef __mmask16 mask;
typedef struct {
    __m512d low, high;
} wide;

SIMD mask m_first(size_t n) { return n >= LANES ? (mask)0xffff : (mask)((1u << n) - 1); }
SIMD size_t m_count(mask m) { return (size_t)__builtin_popcount(m); }

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

SIMD vec v_load_f16(const uint16_t *p, size_t n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m_first(n), p)); }
SIMD void v_store_f16(uint16_t *p, vec a, size_t n) {
    _mm256_mask_storeu_epi16(p, m_first(n), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
SIMD vec v_load_bf16(const uint16_t *p, size_t n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m_first(n), p)), 16));
}
SIMD void v_store_bf16(uint16_t *p, vec a, size_t n) {
    const __m512i bits = _mm512_castps_si512(a), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000)); /* a nan must not be rounded to infinity */
    const __m512i kept = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), rounded, quiet);
    _mm256_mask_storeu_epi16(p, m_first(n), _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16)));
}

SIMD __m512i lane_offsets(size_t stride) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)stride));
}
SIMD vec v_load_strided(const real *p, size_t stride, size_t n, vec fill) {
    return _mm512_mask_i32gather_ps(fill, m_first(n), lane_offsets(stride), p, sizeof(real));
}
SIMD void v_store_strided(real *p, size_t stride, vec a, size_t n) {
    _mm512_mask_i32scatter_ps(p, m_first(n), lane_offsets(stride), a, sizeof(real));
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

SIMD vec v_exponent(vec a) { return _mm512_getexp_ps(a); }
SIMD vec v_scale_by_pow2(vec a, vec n) { return _mm512_scalef_ps(a, n); }
SIMD vec v_scale_by_pow2_where(mask m, vec a, vec n) { return _mm512_maskz_scalef_ps(m, a, n); }

SIMD real v_reduce_max(vec a) { return _mm512_reduce_max_ps(a); }

SIMD wide wide_zero(void) { return (wide){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
SIMD wide wide_add(wide a, vec b) {
    return (wide){_mm512_add_pd(a.low, _mm512_cvtps_pd(_mm512_castps512_ps256(b))),
                  _mm512_add_pd(a.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(b, 1)))};
}
SIMD vec wide_to_vec(wide a) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.low)), _mm512_cvtpd_ps(a.high), 1);
}
SIMD vec wide_div(wide a, vec high, vec low) {
    const wide b = wide_add(wide_add(wide_zero(), high), low);
    return wide_to_vec((wide){_mm512_div_pd(a.low, b.low), _mm512_div_pd(a.high, b.high)});
}
SIMD double wide_sum(wide a) { return _mm512_reduce_add_pd(_mm512_add_pd(a.low, a.high)); }

#endif
