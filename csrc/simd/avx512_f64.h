/* AVX-512 float64: eight lanes. Include it first: everything after it is compiled for AVX-512.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define TARGET_ISA "avx512f,avx512dq,avx512bw,avx512vl,fma"
#include "target_begin.h"

#include <immintrin.h>

#include "float64.h"

enum { LANES = 8 };
typedef __m512d vec;
typedef __mmask8 mask;

SIMD mask m_first(size_t n) { return n >= LANES ? (mask)0xff : (mask)((1u << n) - 1); }
SIMD size_t m_count(mask m) { return (size_t)__builtin_popcount(m); }

SIMD vec v_set(real a) { return _mm512_set1_pd(a); }
SIMD vec v_load(const real *p) { return _mm512_loadu_pd(p); }
SIMD void v_store(real *p, vec a) { _mm512_storeu_pd(p, a); }
SIMD vec v_load_first(const real *p, size_t n, vec fill) {
    return n >= LANES ? v_load(p) : _mm512_mask_loadu_pd(fill, m_first(n), p);
}
SIMD void v_store_first(real *p, vec a, size_t n) {
    if (n >= LANES)
        v_store(p, a);
    else
        _mm512_mask_storeu_pd(p, m_first(n), a);
}

SIMD __m256i lane_offsets(size_t stride) {
    return _mm256_mullo_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32((int)stride));
}
#include "half_by_lane.h"
SIMD vec v_load_strided(const real *p, size_t stride, size_t n, vec fill) {
    return _mm512_mask_i32gather_pd(fill, m_first(n), lane_offsets(stride), p, sizeof(real));
}
SIMD void v_store_strided(real *p, size_t stride, vec a, size_t n) {
    _mm512_mask_i32scatter_pd(p, m_first(n), lane_offsets(stride), a, sizeof(real));
}

SIMD vec v_add(vec a, vec b) { return _mm512_add_pd(a, b); }
SIMD vec v_sub(vec a, vec b) { return _mm512_sub_pd(a, b); }
SIMD vec v_mul(vec a, vec b) { return _mm512_mul_pd(a, b); }
SIMD vec v_div(vec a, vec b) { return _mm512_div_pd(a, b); }
SIMD vec v_mul_add(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
SIMD vec v_neg_mul_add(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
SIMD vec v_min(vec a, vec b) { return _mm512_min_pd(a, b); }
SIMD vec v_max(vec a, vec b) { return _mm512_max_pd(a, b); }
SIMD vec v_abs(vec a) { return _mm512_abs_pd(a); }

SIMD mask v_equal(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
SIMD mask v_unequal(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ); }
SIMD vec v_select(mask m, vec yes, vec no) { return _mm512_mask_blend_pd(m, no, yes); }
SIMD mask v_not_less(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ); }
SIMD vec v_add_where(mask m, vec a, vec b) { return _mm512_mask_add_pd(a, m, a, b); }

SIMD vec v_exponent(vec a) { return _mm512_getexp_pd(a); }
SIMD vec v_scale_by_pow2(vec a, vec n) { return _mm512_scalef_pd(a, n); }
SIMD vec v_scale_by_pow2_where(mask m, vec a, vec n) { return _mm512_maskz_scalef_pd(m, a, n); }

SIMD real v_reduce_max(vec a) { return _mm512_reduce_max_pd(a); }

SIMD double sum_of_lanes(vec a) { return _mm512_reduce_add_pd(a); }

#include "wide_f64.h"

#endif
