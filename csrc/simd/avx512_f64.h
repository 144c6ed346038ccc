/* AVX-512 float64: eight lanes. Include it first: everything after it is compiled for AVX-512.
   The meaning of each verb is in simd/README.md. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H

#define STEPS 8
#define TARGET_ISA "avx512f,avx512dq,avx512bw,avx512vl,fma"
#include "target_begin.h"

#include <immintrin.h>

#include "float64.h"

enum { LANES = 8 };
typedef __m512d vec;
typedef __mmask8 mask;

SIMD mask m_first(size_t n) { return n >= LANES ? (mask)0xff : (mask)((1u << n) - 1); }
SIMD size_t m_count(mask m) { return (size_t)__builtin_popcount(m); }

#include "x86_prefetch.h"

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

#include "half_by_lane.h"

/* A load of eight targets is one read of each: another thread may be writing them. */
SIMD mask m_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t index[LANES]) {
    const __m512i v = _mm512_maskz_loadu_epi64(m_first(n), t), bound = _mm512_set1_epi64((int64_t)classes);
    const mask counts = _mm512_mask_cmpneq_epi64_mask(m_first(n), v, _mm512_set1_epi64(ignored));
    const mask live = _mm512_mask_cmplt_epu64_mask(counts, v, bound);
    _mm512_storeu_si512(index, _mm512_maskz_mov_epi64(live, v));
    return live;
}
SIMD vec v_look_up(const real *p, const size_t index[LANES], size_t stride) {
    const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), step = _mm512_set1_epi64((int64_t)stride);
    return _mm512_i64gather_pd(_mm512_add_epi64(_mm512_mullo_epi64(_mm512_loadu_si512(index), step), lanes), p, sizeof(real));
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
SIMD vec v_mul_add_where(mask m, vec a, vec b, vec c) { return _mm512_mask3_fmadd_pd(a, b, c, m); }

SIMD vec v_split(vec a, vec *exponent) {
    const vec m = _mm512_getmant_pd(a, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    *exponent = _mm512_sub_pd(_mm512_getexp_pd(a), _mm512_getexp_pd(m)); /* that of m is -1 below 1, else 0 */
    return m;
}
SIMD vec v_exponent(vec a) { return _mm512_getexp_pd(a); }
SIMD vec v_scale_by_pow2(vec a, vec n) { return _mm512_scalef_pd(a, n); }
SIMD vec v_step(const real *table, vec t) {
    return _mm512_permutexvar_pd(_mm512_castpd_si512(t), v_load(table)); /* which takes the lowest bits of t */
}
SIMD vec v_raise_where(mask m, vec p, vec t) {
    const vec step = v_step(STEP_HIGH, t);
    return _mm512_maskz_scalef_pd(m, v_mul_add(step, p, step), v_sub(t, v_set(STEP_MAGIC))); /* which takes the floor */
}
#include "at_once.h"

/* Squares of 2, 4 and 8 rows in turn: each step exchanges the halves of pairs of such squares. */
SIMD void v_transpose(vec rows[LANES]) {
    vec a[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) {
        a[i] = _mm512_unpacklo_pd(rows[i], rows[i + 1]);
        a[i + 1] = _mm512_unpackhi_pd(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const int i = j / 2 * 4 + j % 2;
        rows[i] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0x88);
        rows[i + 2] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f64x2(rows[i], rows[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f64x2(rows[i], rows[i + 4], 0xdd);
    }
    for (int i = 0; i < LANES; i++) rows[i] = a[i];
}

#include "square_columns.h"

SIMD real v_reduce_max(vec a) { return _mm512_reduce_max_pd(a); }

SIMD double sum_of_lanes(vec a) { return _mm512_reduce_add_pd(a); }

#include "wide_f64.h"

#endif
