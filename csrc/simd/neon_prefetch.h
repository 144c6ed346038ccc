/* Prefetching on NEON, in either type. Included by its headers, behind `vec`.
   An asm that seems to change a vector, because compilers gather prefetches that stand free: four at once wait for each other.
 */
SIMD vec v_prefetch(vec beside, const void *p) {
    __asm__ volatile("prfm pldl1keep, [%1]" : "+w"(beside) : "r"(p));
    return beside;
}
SIMD vec v_prefetch_far(vec beside, const void *p) {
    __asm__ volatile("prfm pldl2keep, [%1]" : "+w"(beside) : "r"(p));
    return beside;
}
