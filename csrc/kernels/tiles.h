/* tiles.h -- logits into a tile, a class `step` elements behind the other, up to TILE positions of each, with their maxima,
   results out of it, and the memory that is asked for ahead. Not here: what is computed there (softmax_positions.h, which calls
   this). A tile's lines are side by side: classes further apart than a tile is wide would leave sets of the cache unused. */

enum {
    TOGETHER = 4, /* vectors whose steps are taken side by side: between its loops each is one long chain */
    TILE = TOGETHER * LANES,
    MAXIMA = 4,       /* independent maxima, to hide the latency of a comparison */
    PLANES_AHEAD = 2, /* so many planes before one is written its lines are asked for: few enough to share a set of a cache */
};

SIMD vec largest(const vec max[MAXIMA]) { return v_max(v_max(max[0], max[1]), v_max(max[2], max[3])); }

/* The maxima of the lanes of one vector of positions, over the classes of its tile. */
SIMD vec lanes_max(const real *tile, size_t step, size_t classes) {
    const vec lowest = v_set(-INFINITY);
    vec max[MAXIMA] = {lowest, lowest, lowest, lowest};
    size_t c = 0;
    for (; c + MAXIMA <= classes; c += MAXIMA)
#pragma GCC unroll 4
        for (size_t i = 0; i < MAXIMA; i++, tile += step) max[i] = v_max(v_load(tile), max[i]);
    for (; c < classes; c++, tile += step) max[0] = v_max(v_load(tile), max[0]);
    return largest(max);
}

/* A square of LANES rows by up to LANES columns of a matrix of rows `from`, `count` and `width` of them there, transposed. */
static __attribute__((noinline)) void transpose_square(const real *from, size_t from_step, size_t count, size_t width, real *to,
                                                       size_t to_step, size_t to_count, size_t to_width) {
    const vec zero = v_set(0);
    vec square[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) square[i] = i < count ? v_load_first(from + i * from_step, width, zero) : zero;
    v_transpose(square);
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        if (i < to_count) v_store_first(to + i * to_step, square[i], to_width);
}

/* LANES rows of some classes to lanes of a tile, n columns at a time, which is COLUMNS or all; the last go over some classes
   again. Returns the maxima of the lanes, taken while the columns are at hand. */
SIMD vec columns_to_tile(const real *rows, size_t classes, size_t n, real *tile, size_t step) {
    const vec lowest = v_set(-INFINITY);
    vec max[MAXIMA] = {lowest, lowest, lowest, lowest};
    for (size_t next = 0; next < classes; next += n) {
        const size_t c = next + n > classes ? classes - n : next;
        vec columns[COLUMNS];
        real *to = tile + c * step;
        v_load_columns(rows + c, classes, n, columns);
#pragma GCC unroll 8
        for (size_t i = 0; i < COLUMNS; i++, to += step)
            if (i < n) {
                v_store(to, columns[i]);
                max[i % MAXIMA] = v_max(columns[i], max[i % MAXIMA]);
            }
    }
    return largest(max);
}

/* Up to LANES rows of few classes to lanes of a tile. The last rows of a batch are squares that are not full. COLUMNS
   as a constant, not the smaller of two numbers: loads and stores without masks. */
SIMD vec transpose_rows(const real *rows, size_t classes, size_t height, real *tile, size_t step) {
    if (height == LANES && classes >= COLUMNS) return columns_to_tile(rows, classes, COLUMNS, tile, step);
    if (height == LANES) return columns_to_tile(rows, classes, classes, tile, step);
    for (size_t c = 0; c < classes; c += LANES) {
        const size_t width = classes - c < LANES ? classes - c : LANES;
        transpose_square(rows + c, classes, height, width, tile + c * step, step, width, LANES);
    }
    return lanes_max(tile, step, classes);
}

/* n rows from element `start` on to a tile, and the maxima of its vectors; `rows` is room for LANES of them. */
SIMD void rows_to_tile(const struct crossent_view *view, size_t classes, size_t start, size_t n, real *tile, size_t step,
                       real *rows, vec max[TOGETHER]) {
    for (size_t r = 0; r < n; r += LANES) {
        const size_t height = n - r < LANES ? n - r : LANES;
        const real *const from = fetch(view, start + r * classes, height * classes, rows);
        max[r / LANES] = transpose_rows(from, classes, height, tile + r, step);
    }
}
/* Fewer than LANES rows back, from element `start` on. */
static __attribute__((noinline)) void tile_to_rows(const real *tile, size_t step, size_t classes, size_t start, size_t n,
                                                   const struct crossent_result *output, real *rows) {
    real *const to = place(output, start, rows);
    for (size_t c = 0; c < classes; c += LANES) {
        const size_t width = classes - c < LANES ? classes - c : LANES;
        transpose_square(tile + c * step, step, width, LANES, to + c, classes, n, width);
    }
    put(output, start, n * classes, to);
}

/* Of a run of elements that is asked for line by line, the first line that no run before it ends in. Arrays of NumPy start 16
   bytes behind a line's start: a run's last line would be asked for by the next run, when it is wanted already. */
SIMD const char *first_line(const void *run) { return (const char *)run + LINE - 1; }

/* n positions of a strip, a class `step` behind the other, to their planes, from element `start` on. The lines of one
   that follows are asked for while one is written: no two of a plane share a set of a cache, however planes lie. */
SIMD void strip_to_planes(const real *strip, size_t step, size_t n, size_t classes, size_t inner, size_t start,
                          const struct crossent_result *output) {
    const size_t size = crossent_size_of(output->dtype);
    for (size_t c = 0; c < classes; c++, strip += step, start += inner) {
        const char *const next = first_line((const char *)output->data + (start + PLANES_AHEAD * inner) * size);
        for (size_t line = 0; c + PLANES_AHEAD < classes && line < n * size; line += LINE)
            v_prefetch_far(v_set(0), next + line);
        put(output, start, n, strip);
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

/* Memory that is wanted soon, in bytes: `at` for the first class and vector of a tile, and the ways to the next ones. It is
   asked for bit by bit, beside the arithmetic, because a core waits for no more than some ten lines at a time, and into the
   second-level cache: in the first planes throw each other out, and waiting for two arrays at once takes all it has. */
struct ahead {
    const char *at;
    size_t next_class, next_vector;
};

/* Ahead of an array's element, a class `step` elements behind the other, a vector `jump`; nothing of one that is not dense. */
SIMD struct ahead ahead_of(const void *data, enum crossent_dtype dtype, int dense, size_t element, size_t step, size_t jump) {
    const size_t size = crossent_size_of(dtype);
    if (!dense || data == NULL) return (struct ahead){(const char *)data, 0, 0};
    return (struct ahead){first_line((const char *)data + element * size), step * size, jump * size};
}

/* The output's planes, if it is wanted, unless they lie so that all fall on the same lines of a cache and throw out each other:
   64 KiB is what one way of a second-level cache holds, or a part of that. Else memory that is at hand. */
SIMD struct ahead planes_ahead(const struct crossent_result *output, int wanted, size_t start, size_t inner, const real *x) {
    const int collide = inner * crossent_size_of(output->dtype) % (1 << 16) == 0;
    if (!wanted || collide) return (struct ahead){(const char *)x, 0, 0};
    return ahead_of(output->data, output->dtype, 1, start, inner, LANES);
}
