/* Targets four at a time, for AVX2 in either type. Included by its headers, behind the intrinsics. */

/* Which of the first n <= 4 targets are classes and not ignored, all bits of a lane or none, and their indices, 0 of the
   others. A load of four is one read of each: another thread may be writing them. */
SIMD __m256i four_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t *index) {
    const __m256i here = _mm256_cmpgt_epi64(_mm256_set1_epi64x((int64_t)n), _mm256_set_epi64x(3, 2, 1, 0));
    const __m256i v = n >= 4 ? _mm256_loadu_si256((const __m256i *)t) : _mm256_maskload_epi64((const long long *)t, here);
    const __m256i below = _mm256_cmpgt_epi64(_mm256_set1_epi64x((int64_t)classes), v);
    const __m256i not_negative = _mm256_cmpgt_epi64(v, _mm256_set1_epi64x(-1));
    const __m256i counts = _mm256_andnot_si256(_mm256_cmpeq_epi64(v, _mm256_set1_epi64x(ignored)), here);
    const __m256i live = _mm256_and_si256(_mm256_and_si256(below, not_negative), counts);
    _mm256_storeu_si256((__m256i *)index, _mm256_and_si256(live, v));
    return live;
}
