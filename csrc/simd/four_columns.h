/* Columns of rows four at a time, whose squares of four by four are all that is shuffled. Included by the headers of more than
   four lanes, behind load_fours() and store_fours(), which take a vector's fours from every fourth row, and
   transpose_squares(). */
SIMD void v_load_columns(const real *p, size_t step, size_t n, vec columns[COLUMNS]) {
#pragma GCC unroll 4
    for (size_t i = 0; i < COLUMNS; i++, p += step) columns[i] = load_fours(p, step, n);
    transpose_squares(columns);
}
SIMD void v_store_columns(real *p, size_t step, size_t n, vec columns[COLUMNS]) {
    transpose_squares(columns);
#pragma GCC unroll 4
    for (size_t i = 0; i < COLUMNS; i++, p += step) store_fours(p, step, columns[i], n);
}
