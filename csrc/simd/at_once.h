/* For instruction sets that count a mask's bits and scale into the subnormal numbers in one step: nothing is counted lane by
   lane, nothing is raised, and a mask costs nothing. Included by their headers, behind m_count. */
typedef size_t count;
SIMD count count_zero(void) { return 0; }
SIMD count count_add(count a, mask m) { return a + m_count(m); }
SIMD size_t count_sum(count a) { return a; }

enum { RAISES = 0, MASKS_COST = 0 };
SIMD vec v_lower(vec a) { return a; }
