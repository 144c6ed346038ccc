/* Memory one lane after the other, through a small array: for verbs that an instruction set has no instruction for.
   Included by the headers that need it, behind their m_first, v_load and v_store. */
SIMD vec load_by_lane(const real *p, size_t n, vec fill) {
    real lanes[LANES];
    v_store(lanes, fill);
    for (size_t i = 0; i < n && i < LANES; i++) lanes[i] = p[i];
    return v_load(lanes);
}
SIMD void store_by_lane(real *p, vec a, size_t n) {
    real lanes[LANES];
    v_store(lanes, a);
    for (size_t i = 0; i < n && i < LANES; i++) p[i] = lanes[i];
}

/* Each target is read once: another thread may be writing it. */
SIMD mask m_targets(const int64_t *t, size_t n, int64_t ignored, size_t classes, size_t index[LANES]) {
    real live[LANES];
    for (size_t i = 0; i < LANES; i++) {
        const int64_t target = i < n ? *(const volatile int64_t *)(t + i) : ignored;
        const int counts = target != ignored && (uint64_t)target < (uint64_t)classes;
        index[i] = counts ? (size_t)target : 0;
        live[i] = (real)counts;
    }
    return v_unequal(v_load(live), v_set(0));
}
SIMD vec v_look_up(const real *p, const size_t index[LANES], size_t stride) {
    real lanes[LANES];
    for (size_t i = 0; i < LANES; i++) lanes[i] = p[index[i] * stride + i];
    return v_load(lanes);
}
