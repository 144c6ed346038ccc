/* exp without a table: a binade is one step, and 2^(j / STEPS) is 1. Included by the headers whose instruction set has no
   permutation that is worth it. */
SIMD vec v_of_step(vec t, vec p, vec *step) {
    (void)t;
    *step = v_set(1);
    return p;
}
