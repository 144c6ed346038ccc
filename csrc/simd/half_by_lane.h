/* float16 and bfloat16 lane by lane, for headers whose type or instruction set has no conversion of a whole vector.
   Included behind v_load and v_store. A float64 goes through float32. */
SIMD vec v_load_f16(const uint16_t *p, size_t n) {
    real lanes[LANES] = {0};
    for (size_t i = 0; i < n && i < LANES; i++) lanes[i] = (real)float_of_f16(p[i]);
    return v_load(lanes);
}
SIMD vec v_load_bf16(const uint16_t *p, size_t n) {
    real lanes[LANES] = {0};
    for (size_t i = 0; i < n && i < LANES; i++) lanes[i] = (real)float_of_bf16(p[i]);
    return v_load(lanes);
}
SIMD void v_store_f16(uint16_t *p, vec a, size_t n) {
    real lanes[LANES];
    v_store(lanes, a);
    for (size_t i = 0; i < n && i < LANES; i++) p[i] = f16_of_float((float)lanes[i]);
}
SIMD void v_store_bf16(uint16_t *p, vec a, size_t n) {
    real lanes[LANES];
    v_store(lanes, a);
    for (size_t i = 0; i < n && i < LANES; i++) p[i] = bf16_of_float((float)lanes[i]);
}
