/* For instruction sets that put 2^n into the bits of an exponent, where no subnormal number is: e^x is raised, times 2^LIFT,
   until v_lower rounds what is subnormal, once. Included by their headers, behind the verbs.

   What is too small to count need not be 0 before it is lowered: x is at least RAISED_LOWEST, whose e^x is so near
   2^-(EXPONENT_BIAS + LIFT) that 2^21 of them are less than half of the last bit of the smallest normal number. That takes a
   maximum, where a mask takes a comparison and another step: masks cost here, and loops that need none are worth their size. */
enum { RAISES = 1, MASKS_COST = 1 };
SIMD vec v_lower(vec a) { return v_mul(a, v_set((real)(1.0 / (1ULL << LIFT / 2) / (1ULL << LIFT / 2)))); }
