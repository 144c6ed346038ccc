/* Memory one lane after the other, through a small array: for verbs that an instruction set has no instruction for.
   Included by the headers that need it, behind their v_load and v_store. */
SIMD vec load_by_lane(const real *p, size_t stride, size_t n, vec fill) {
    real lanes[LANES];
    v_store(lanes, fill);
    for (size_t i = 0; i < n && i < LANES; i++) lanes[i] = p[i * stride];
    return v_load(lanes);
}
SIMD void store_by_lane(real *p, size_t stride, vec a, size_t n) {
    real lanes[LANES];
    v_store(lanes, a);
    for (size_t i = 0; i < n && i < LANES; i++) p[i * stride] = lanes[i];
}
