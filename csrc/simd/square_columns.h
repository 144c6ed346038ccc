/* Columns of rows as a square of them, as many as there are lanes. Included by the headers of two numbers a quarter or fewer
   lanes, behind v_transpose. */
enum { COLUMNS = LANES };
SIMD void v_load_columns(const real *p, size_t step, size_t n, vec columns[COLUMNS]) {
#pragma GCC unroll 8
    for (size_t i = 0; i < COLUMNS; i++) columns[i] = v_load_first(p + i * step, n, v_set(0));
    v_transpose(columns);
}
SIMD void v_store_columns(real *p, size_t step, size_t n, vec columns[COLUMNS]) {
    v_transpose(columns);
#pragma GCC unroll 8
    for (size_t i = 0; i < COLUMNS; i++) v_store_first(p + i * step, columns[i], n);
}
