/* softmax_positions.h -- the softmax family with lanes across positions: each lane is one softmax, the loop runs over the
   classes. It serves a class axis that is not the last (segmentation), where neighbouring positions are neighbours in
   memory, and rows of few classes (inner == 1), which are transposed into a tile first: then no lane is idle and nothing is
   summed across lanes. A tile of TILE vectors is finished before the next is begun, so that it stays in the L1 cache.
   Called by the driver softmax.c through table.h; the formulas are those of softmax_formula.h. */

enum {
    TILE = 4,  /* vectors of positions */
    SHORT = 4, /* classes added in the lanes' type before they go to float64 */
};

/* TILE vectors of positions: logits, probabilities and output of class c are at c * stride, a vector behind the other. */
struct tile {
    const real *x, *probabilities;
    real *output;
    size_t stride, positions;
};

SIMD size_t lanes_of(const struct tile *tile, size_t v) {
    const size_t before = v * LANES;
    return before >= tile->positions ? 0 : tile->positions - before < LANES ? tile->positions - before : LANES;
}

SIMD void tile_max(const struct tile *tile, size_t classes, vec max[TILE]) {
    for (size_t v = 0; v < TILE; v++) max[v] = v_set(-INFINITY);
    for (size_t c = 0; c < classes; c++)
#pragma GCC unroll 4
        for (size_t v = 0; v < TILE; v++) {
            const vec x = v_load_first(tile->x + c * tile->stride + v * LANES, lanes_of(tile, v), v_set(0));
            max[v] = v_max(x, max[v]);
        }
}

/* b of class c for one vector of positions */
SIMD vec position_spread(const struct crossent_softmax_job *job, const struct tile *tile, size_t c, size_t v, size_t n,
                         enum spread spread) {
    const vec w = v_set(spread == WEIGHTS || spread == WEIGHTED_PROBABILITIES ? ((const real *)job->weight)[c] : 1);
    if (spread < PROBABILITIES) return w;
    const double eps = job->label_smoothing;
    const vec slope = v_set((real)(1.0 - eps)), offset = v_set((real)(eps / (double)job->classes));
    const vec q = v_load_first(tile->probabilities + c * tile->stride + v * LANES, n, v_set(0));
    const vec b = v_mul_add(slope, q, offset);
    return spread == PROBABILITIES ? b : v_mul(b, w);
}

/* rest, distance and mass of one vector of positions; e^(x - m) unit goes to the output for a gradient */
SIMD void reduce_positions(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, size_t n,
                           enum spread spread, enum crossent_output kind, const struct scale *scale, struct row_state *state) {
    const vec zero = v_set(0), one = v_set(1);
    const vec origin = v_select(v_equal(state->max, v_set(-INFINITY)), zero, state->max);
    wide rest = wide_zero(), distance = wide_zero(), mass = wide_zero();
    vec below_count = zero;
    for (size_t first = 0; first < job->classes; first += SHORT) {
        const size_t end = job->classes - first < SHORT ? job->classes : first + SHORT;
        vec short_rest = zero, short_distance = zero, short_mass = zero;
        for (size_t c = first; c < end; c++) {
            const size_t at = c * tile->stride + v * LANES;
            const vec x = v_load_first(tile->x + at, n, zero);
            const vec e = scaled_exp(x, scale);
            const mask below = v_unequal(x, state->max); /* a nan is below, so that it reaches the sum */
            short_rest = v_add_where(below, short_rest, e);
            below_count = v_add_where(below, below_count, one);
            if (spread != NO_SPREAD) {
                const vec b = position_spread(job, tile, c, v, n, spread);
                vec term = v_sub(origin, x);
                if (spread != UNIFORM) term = v_mul(b, term);
                if (spread >= PROBABILITIES) term = v_select(v_equal(b, zero), zero, term); /* 0 * inf is 0 here */
                short_distance = v_add(short_distance, term);
                short_mass = v_add(short_mass, b);
            }
            if (kind == CROSSENT_GRADIENT) v_store_first(tile->output + at, e, n);
        }
        rest = wide_add(rest, short_rest);
        if (spread != NO_SPREAD) {
            distance = wide_add(distance, short_distance);
            mass = wide_add(mass, short_mass);
        }
    }
    const vec ties = v_sub(v_sub(v_set((real)job->classes), below_count), one);
    state->rest = v_add(wide_div(rest, scale->unit, scale->unit_low), ties);
    state->distance = wide_to_vec(distance);
    state->mass = wide_to_vec(mass);
}

/* What a vector of positions has as target. */
struct position_targets {
    real live[LANES], at_target[LANES], spread_at_target[LANES], u[LANES], k[LANES];
    size_t class_of[LANES];
};

SIMD void read_position_targets(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, size_t n,
                                size_t position, enum spread spread, struct position_targets *out) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        size_t t = 0;
        const int live = job->target == NULL || read_target(job, position + i, &t);
        out->live[i] = (real)live;
        out->k[i] = live ? gradient_factor(job, position + i) : 0;
        if (job->target == NULL || !live) continue;
        out->class_of[i] = t;
        out->at_target[i] = tile->x[t * tile->stride + v * LANES + i];
        out->u[i] = index_weight(job, t);
        out->spread_at_target[i] = spread == WEIGHTS ? ((const real *)job->weight)[t] : 1;
    }
}

/* output = e exp_scale - spread_scale b, or x - m - log sum; 0 in the lanes that are ignored */
SIMD void write_positions(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, size_t n,
                          enum spread spread, enum crossent_output kind, vec max, const struct scale *scale,
                          const struct row_finish *done, const struct position_targets *targets) {
    const mask live = v_unequal(v_load(targets->live), v_set(0));
    const vec exp_scale = v_div(done->exp_scale, scale->unit);
    real at_target[LANES];
    v_store(at_target, done->target_gradient);
    for (size_t c = 0; c < job->classes; c++) {
        const size_t at = c * tile->stride + v * LANES;
        vec y;
        if (kind == CROSSENT_LOG_SOFTMAX) {
            y = v_sub(v_sub(v_load_first(tile->x + at, n, max), max), done->log_sum);
        } else {
            y = v_mul(v_load_first(tile->output + at, n, max), exp_scale);
            if (spread != NO_SPREAD) y = v_neg_mul_add(done->spread_scale, position_spread(job, tile, c, v, n, spread), y);
        }
        v_store_first(tile->output + at, v_select(live, y, v_set(0)), n);
    }
    for (size_t i = 0; kind == CROSSENT_GRADIENT && job->target && i < n; i++)
        if (targets->live[i] != 0) tile->output[targets->class_of[i] * tile->stride + v * LANES + i] = at_target[i];
}

/* One vector of a tile, from logits to value and output; `position` is its first one. Returns the values, 0 where ignored. */
SIMD vec finish_positions(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, size_t position, vec max,
                          enum spread spread, enum crossent_output kind) {
    const size_t n = lanes_of(tile, v);
    struct position_targets targets;
    read_position_targets(job, tile, v, n, position, spread, &targets);
    const struct scale scale = scale_of(max);
    struct row_state state = {.max = max};
    reduce_positions(job, tile, v, n, spread, kind, &scale, &state);
    state.at_target = job->target ? v_load(targets.at_target) : max;
    state.spread_at_target = v_load(targets.spread_at_target);
    state.u = v_load(targets.u);
    state.v = v_set(spread_factor(job, spread));
    state.k = v_load(targets.k);
    const int has_target = job->target || job->probabilities.data;
    const struct row_finish done = has_target ? finish_row(state, &scale) : finish_without_target(state);
    if (kind != CROSSENT_NO_OUTPUT) write_positions(job, tile, v, n, spread, kind, max, &scale, &done, &targets);
    const vec value = v_select(v_unequal(v_load(targets.live), v_set(0)), done.value, v_set(0));
    if (job->values) v_store_first((real *)job->values + position, value, n);
    return value;
}

/* Rows of few classes to a tile with a lane per row, and back. */
SIMD void transpose_rows(const real *rows, size_t classes, size_t count, real *tile) {
    for (size_t v = 0; v < TILE; v++) {
        const size_t before = v * LANES, n = before >= count ? 0 : count - before < LANES ? count - before : LANES;
        for (size_t c = 0; c < classes; c++)
            v_store(tile + c * TILE * LANES + before, v_load_strided(rows + before * classes + c, classes, n, v_set(0)));
    }
}
SIMD void transpose_back(const real *tile, size_t classes, size_t count, real *rows) {
    for (size_t v = 0; v * LANES < count; v++) {
        const size_t before = v * LANES, n = count - before < LANES ? count - before : LANES;
        for (size_t c = 0; c < classes; c++)
            v_store_strided(rows + before * classes + c, classes, v_load(tile + c * TILE * LANES + before), n);
    }
}

/* finish_positions, compiled for what a job asks. */
typedef vec (*position_finisher)(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, size_t position,
                                 vec max);

/* One tile of positions: where it is, or in scratch. */
struct positions_at {
    size_t start, positions; /* the index of class 0 at the first position; how many there are */
};

SIMD struct tile tile_in_place(const struct crossent_softmax_job *job, struct positions_at at) {
    return (struct tile){
        .x = (const real *)job->input.data + at.start,
        .probabilities = job->probabilities.data ? (const real *)job->probabilities.data + at.start : NULL,
        .output = job->output.data ? (real *)job->output.data + at.start : NULL,
        .stride = job->inner,
        .positions = at.positions,
    };
}

/* Rows of few classes, transposed; `rows` is room for them. */
SIMD struct tile transposed_tile(const struct crossent_softmax_job *job, struct positions_at at, real *logits,
                                 real *probabilities, real *rows) {
    const size_t classes = job->classes, size = at.positions * classes;
    transpose_rows(fetch(&job->input, at.start, size, rows), classes, at.positions, logits);
    if (job->probabilities.data)
        transpose_rows(fetch(&job->probabilities, at.start, size, rows), classes, at.positions, probabilities);
    return (struct tile){logits, probabilities, logits, TILE * LANES, at.positions};
}
SIMD void put_transposed(const struct crossent_softmax_job *job, struct positions_at at, const real *logits, real *rows) {
    real *const output = place(&job->output, at.start, rows);
    transpose_back(logits, job->classes, at.positions, output);
    put(&job->output, at.start, at.positions * job->classes, output);
}

/* Positions that are not reals side by side. */
SIMD struct tile copied_tile(const struct crossent_softmax_job *job, struct positions_at at, real *logits) {
    const size_t step = TILE * LANES;
    real *const probabilities = logits + job->classes * step;
    for (size_t c = 0; c < job->classes; c++) {
        copy_to(logits + c * step, &job->input, at.start + c * job->inner, at.positions);
        if (job->probabilities.data)
            copy_to(probabilities + c * step, &job->probabilities, at.start + c * job->inner, at.positions);
    }
    return (struct tile){logits, probabilities, logits, step, at.positions};
}
SIMD void put_copied(const struct crossent_softmax_job *job, struct positions_at at, const real *logits) {
    for (size_t c = 0; c < job->classes; c++)
        put(&job->output, at.start + c * job->inner, at.positions, logits + c * TILE * LANES);
}

SIMD size_t position_scratch_size(const struct crossent_softmax_job *job) {
    if (job->inner == 1 || is_direct_job(job)) return 0;
    return job->classes * TILE * LANES * (job->probabilities.data ? 2 : 1) * sizeof(real);
}

SIMD double softmax_positions(position_finisher finish, const struct crossent_softmax_job *job, size_t outer, size_t first,
                              size_t count, real *scratch) {
    real logits[NARROW * TILE * LANES], probabilities[NARROW * TILE * LANES], rows[NARROW * TILE * LANES];
    const size_t classes = job->classes, step = TILE * LANES;
    const int narrow_rows = job->inner == 1, has_output = job->kind != CROSSENT_NO_OUTPUT;
    wide sum = wide_zero();
    for (size_t done = 0; done < count; done += step) {
        const struct positions_at at = {
            .start = outer * classes * job->inner + (first + done) * (narrow_rows ? classes : 1),
            .positions = count - done < step ? count - done : step,
        };
        const struct tile tile = narrow_rows ? transposed_tile(job, at, logits, probabilities, rows)
                                 : scratch   ? copied_tile(job, at, scratch)
                                             : tile_in_place(job, at);
        vec max[TILE];
        tile_max(&tile, classes, max);
        for (size_t v = 0; v * LANES < at.positions; v++)
            sum = wide_add(sum, finish(job, &tile, v, outer * job->inner + first + done + v * LANES, max[v]));
        if (narrow_rows && has_output) put_transposed(job, at, logits, rows);
        if (!narrow_rows && scratch && has_output) put_copied(job, at, scratch);
    }
    return wide_sum(sum);
}
