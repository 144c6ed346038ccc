/* exp and log1p without a table: a binade is one step, and 2^0 is 1. Included by the headers whose instruction set has no
   permutation that is worth it. The UNIT numbers are not used: kernels/vec_math.h has another way for one step. */
static const real STEP_HIGH[] = {1}, STEP_LOW[] = {0};
static const real UNIT_POLYNOMIAL[] = {0}, UNIT_SCALE[] = {1}, UNIT_LOG_HIGH[] = {0}, UNIT_LOG_LOW[] = {0};
SIMD vec v_step(const real *table, vec t) {
    (void)t;
    return v_set(table[0]);
}
