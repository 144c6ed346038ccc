/* Prefetching on x86, in either type and instruction set. Included by their headers, behind `vec`.
   An asm that seems to change a vector, because compilers gather prefetches that stand free: four at once wait for each other.
 */
SIMD vec v_prefetch(vec beside, const void *p) {
    __asm__ volatile("prefetcht0 %1" : "+v"(beside) : "m"(*(const char *)p));
    return beside;
}
SIMD vec v_prefetch_far(vec beside, const void *p) {
    __asm__ volatile("prefetcht1 %1" : "+v"(beside) : "m"(*(const char *)p));
    return beside;
}
