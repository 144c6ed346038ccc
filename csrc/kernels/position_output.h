/* position_output.h -- a tile while it is worked on, each lane a softmax, and what is written of it: to planes as it lies, to
   rows turned. Not here: how logits come into a tile (tiles.h), the sums and the loss (softmax_positions.h, which calls this).
 */

/* Up to TILE positions: logits and probabilities of class c are at c * step; e^(x - m) takes the place of the logits.
   The output of class c goes to output + c * output_step; that of rows to the rows of `result` from element `start` on, by way
   of `rows` where these are not reals. */
struct tile {
    real *x;
    size_t step;
    const vec *max; /* of the logits of each vector of positions */
    const real *probabilities;
    real *output;
    size_t output_step, positions;
    const struct crossent_result *result;
    size_t start;
    real *rows;
    struct ahead input_ahead, output_ahead; /* the next tile's logits, and this one's output */
};

/* One vector of a tile: its first position, and how many there are of LANES. */
struct lanes {
    size_t at, n;
};

/* b of class c for one vector of positions */
SIMD vec position_spread(const struct crossent_softmax_job *job, const struct tile *tile, size_t c, struct lanes l,
                         enum spread spread) {
    const vec w = v_set(spread == WEIGHTS || spread == WEIGHTED_PROBABILITIES ? ((const real *)job->weight)[c] : 1);
    if (spread < PROBABILITIES) return w;
    const double eps = job->label_smoothing;
    const vec slope = v_set((real)(1.0 - eps)), offset = v_set((real)(eps / (double)job->classes));
    const vec q = v_load(tile->probabilities + c * tile->step + l.at);
    const vec b = v_mul_add(slope, q, offset);
    return spread == PROBABILITIES ? b : v_mul(b, w);
}

/* What a vector of positions has as target; lanes that are ignored, or behind the last, have the target 0. */
struct position_targets {
    _Alignas(64) size_t class_of[LANES];
    mask live;
};

/* Written in place: to return it costs rows of two classes 6 % of their time, in copies that wait for their stores. */
SIMD void read_position_targets(const struct crossent_softmax_job *job, size_t n, size_t position,
                                struct position_targets *targets) {
    targets->live = m_first(LANES);
    if (job->target) targets->live = m_targets(job->target + position, n, job->ignore_index, job->classes, targets->class_of);
}

/* What the output of one vector of positions is made of. */
struct position_output {
    struct output_parts parts;
    vec target_gradient;
    mask live;
};

/* The output of class c, of what is in the tile; 0 in the lanes that are ignored, anything behind the last. */
SIMD vec position_output(const struct crossent_softmax_job *job, const struct tile *tile, size_t c, struct lanes l,
                         enum spread spread, enum crossent_output kind, const struct position_output *of, vec x_or_e) {
    const vec b = spread == NO_SPREAD ? v_set(0) : position_spread(job, tile, c, l, spread);
    return v_select(of->live, output_of(spread, kind, x_or_e, b, &of->parts), v_set(0));
}

/* The gradients of the target's classes, of which class i is `step` elements behind the other, and lane i `next`. */
SIMD void write_targets(const struct position_output *of, const size_t class_of[LANES], size_t step, size_t next,
                        real *output) {
    real at_target[LANES];
    v_store(at_target, v_select(of->live, of->target_gradient, v_set(0))); /* class 0 of an ignored lane is 0 already */
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) output[class_of[i] * step + i * next] = at_target[i];
}

SIMD void write_positions(const struct crossent_softmax_job *job, const struct tile *tile, struct lanes l, enum spread spread,
                          enum crossent_output kind, const struct position_output *of, const struct position_targets *targets) {
    const size_t classes = job->classes, step = tile->step, output_step = tile->output_step;
    const real *at = tile->x + l.at;
    real *output = tile->output + l.at;
    for (size_t c = 0; c < classes; c++, at += step, output += output_step)
        v_store(output, position_output(job, tile, c, l, spread, kind, of, v_load(at)));
    if (kind == CROSSENT_GRADIENT && job->target) write_targets(of, targets->class_of, output_step, 1, tile->output + l.at);
}

/* The same of LANES whole rows, n columns at a time, which is COLUMNS or all, turned on their way from the tile to the rows. */
SIMD void write_columns_of(const struct crossent_softmax_job *job, const struct tile *tile, struct lanes l, size_t n,
                           enum spread spread, enum crossent_output kind, const struct position_output *of, real *rows) {
    const size_t classes = job->classes, step = tile->step;
    for (size_t next = 0; next < classes; next += n) {
        const size_t c = next + n > classes ? classes - n : next; /* the last go over some classes again */
        const real *from = tile->x + l.at + c * step;
        vec columns[COLUMNS];
#pragma GCC unroll 8
        for (size_t i = 0; i < COLUMNS; i++, from += i < n ? step : 0)
            columns[i] = position_output(job, tile, i < n ? c + i : c, l, spread, kind, of, v_load(from));
        v_store_columns(rows + c, classes, n, columns);
    }
}
SIMD void write_rows(const struct crossent_softmax_job *job, const struct tile *tile, struct lanes l, enum spread spread,
                     enum crossent_output kind, const struct position_output *of, const struct position_targets *targets) {
    const size_t classes = job->classes, start = tile->start + l.at * classes;
    if (l.n < LANES) { /* the last rows of a batch */
        write_positions(job, tile, l, spread, kind, of, targets);
        tile_to_rows(tile->x + l.at, tile->step, classes, start, l.n, tile->result, tile->rows);
        return;
    }
    real *const to = place(tile->result, start, tile->rows);
    if (classes >= COLUMNS)
        write_columns_of(job, tile, l, COLUMNS, spread, kind, of, to);
    else
        write_columns_of(job, tile, l, classes, spread, kind, of, to);
    if (kind == CROSSENT_GRADIENT && job->target) write_targets(of, targets->class_of, 1, classes, to);
    put(tile->result, start, LANES * classes, to);
}
