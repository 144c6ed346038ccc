/* tiles.h -- logits into a tile, a class behind the other, TILE positions of each, and results out of it.
   Not here: what is computed there (softmax_positions.h, which calls this). */

enum {
    TOGETHER = 4, /* vectors whose steps are taken side by side: between its loops each is one long chain */
    TILE = TOGETHER * LANES,
};

/* A square of LANES rows by up to LANES columns of a matrix of rows `from`, `count` and `width` of them there, transposed. */
SIMD void transpose_square(const real *from, size_t from_step, size_t count, size_t width, real *to, size_t to_step,
                           size_t to_count, size_t to_width) {
    const vec zero = v_set(0);
    vec square[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) square[i] = i < count ? v_load_first(from + i * from_step, width, zero) : zero;
    v_transpose(square);
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        if (i < to_count) v_store_first(to + i * to_step, square[i], to_width);
}

/* Where the square of classes that should start at c does: the last goes over some classes again, if it can be whole so. */
SIMD size_t square_at(size_t c, size_t classes) { return classes >= LANES && classes - c < LANES ? classes - LANES : c; }

/* Up to LANES rows of few classes to lanes of a tile, and back. */
SIMD void transpose_rows(const real *rows, size_t classes, size_t height, real *tile) {
    for (size_t next = 0; next < classes; next += LANES) {
        const size_t c = square_at(next, classes), width = classes - c < LANES ? classes - c : LANES;
        if (height == LANES && width == LANES)
            transpose_square(rows + c, classes, LANES, LANES, tile + c * TILE, TILE, LANES, LANES);
        else
            transpose_square(rows + c, classes, height, width, tile + c * TILE, TILE, width, LANES);
    }
}
SIMD void transpose_back(const real *tile, size_t classes, size_t height, real *rows) {
    for (size_t next = 0; next < classes; next += LANES) {
        const size_t c = square_at(next, classes), width = classes - c < LANES ? classes - c : LANES;
        if (height == LANES && width == LANES)
            transpose_square(tile + c * TILE, TILE, LANES, LANES, rows + c, classes, LANES, LANES);
        else
            transpose_square(tile + c * TILE, TILE, width, LANES, rows + c, classes, height, width);
    }
}

/* n rows from element `start` on to a tile; `rows` is room for LANES of them. */
SIMD void rows_to_tile(const struct crossent_view *view, size_t classes, size_t start, size_t n, real *tile, real *rows) {
    for (size_t r = 0; r < n; r += LANES) {
        const size_t height = n - r < LANES ? n - r : LANES;
        transpose_rows(fetch(view, start + r * classes, height * classes, rows), classes, height, tile + r);
    }
}
/* Long rows go through `rows` even where the output could be written to: one line after the other, not pieces of LANES rows. */
SIMD void tile_to_rows(const real *tile, size_t classes, size_t start, size_t n, const struct crossent_result *output,
                       real *rows) {
    for (size_t r = 0; r < n; r += LANES) {
        const size_t height = n - r < LANES ? n - r : LANES;
        real *const to = classes <= 4 * LANES ? place(output, start + r * classes, rows) : rows;
        transpose_back(tile + r, classes, height, to);
        put(output, start + r * classes, height * classes, to);
    }
}

/* Positions side by side in memory: one class's plane after the other. */
SIMD void planes_to_tile(const struct crossent_view *view, size_t classes, size_t inner, size_t start, size_t n, real *tile) {
    const int whole = is_direct(view) && n == TILE;
    for (size_t c = 0; c < classes; c++, start += inner, tile += TILE) {
        if (!whole) {
            copy_to(tile, view, start, n);
            for (size_t i = n; i % LANES != 0; i++) tile[i] = 0;
            continue;
        }
        const real *const x = (const real *)view->data + start;
#pragma GCC unroll 4
        for (size_t i = 0; i < TILE; i += LANES) v_store(tile + i, v_load(x + i));
    }
}
