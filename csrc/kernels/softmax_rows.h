/* softmax_rows.h -- the softmax family on rows: the class axis is last, lanes run along the classes.
   A row is reduced in blocks of BLOCK columns, each from its own maximum, and the blocks are merged in order, whether one
   thread computes the row or several do: so a row's bits never depend on who else is there. Each block is read from
   memory once: the second and third look find it in a cache. Called by the driver softmax.c through table.h. */

enum {
    UNROLL = 4,   /* independent sums, to hide the latency of an addition */
    FLUSH = 8,    /* additions of a short lane before it goes to a wide sum: their errors stay near 1 ULP */
    GROUP = 1024, /* up to so many classes LANES rows are finished together: their log1p is then one vector's */
};

/* One block of a row of a job: its columns, and what its coefficients b are made of. */
struct row_view {
    const real *x, *probabilities, *weight;
    const char *next; /* the next block's logits, `size` bytes each, where they are before they are reals side by side */
    size_t size;
    struct target_view target; /* for CROSSENT_SCORES */
    real *output;
    vec slope, offset; /* (1 - eps) and eps/C */
    enum spread spread;
    enum crossent_output kind;
};

/* Room for the blocks that cannot be worked on where they are; all NULL where every block can. A group's rows have an output
   each, `classes` behind the other. */
struct row_scratch {
    double *maxima;
    real *x, *probabilities, *output;
};

SIMD size_t block_count(size_t classes) { return (classes + BLOCK - 1) / BLOCK; }
SIMD size_t block_width(size_t classes, size_t block) {
    const size_t left = classes - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

SIMD int is_direct_job(const struct crossent_softmax_job *job) {
    return is_direct(&job->input) && (!job->probabilities.data || is_direct(&job->probabilities)) &&
           (!crossent_writes_output(job->kind) || job->output.dtype == REAL);
}

SIMD size_t row_scratch_size(const struct crossent_softmax_job *job) {
    const size_t outputs = job->classes <= GROUP ? LANES * job->classes : BLOCK, blocks = block_count(job->classes);
    return (blocks > 1 ? blocks * sizeof(double) : 0) + (is_direct_job(job) ? 0 : (2 * BLOCK + outputs) * sizeof(real));
}

SIMD struct row_scratch row_scratch_in(const struct crossent_softmax_job *job, void *memory) {
    double *const maxima = memory;
    const size_t blocks = block_count(job->classes);
    if (is_direct_job(job)) return (struct row_scratch){.maxima = maxima};
    real *const rest = (real *)(void *)(maxima + (blocks > 1 ? blocks : 0));
    return (struct row_scratch){maxima, rest, rest + BLOCK, rest + 2 * BLOCK};
}

/* The block without its logits: `slot` counts the rows of a group. */
SIMD struct row_view view_block(const struct crossent_softmax_job *job, size_t row, size_t block, enum spread spread,
                                enum crossent_output kind, const struct row_scratch *scratch, size_t slot) {
    const size_t first = block * BLOCK, width = block_width(job->classes, block), start = row * job->classes + first;
    const double eps = job->label_smoothing;
    return (struct row_view){
        .probabilities = spread >= PROBABILITIES ? fetch(&job->probabilities, start, width, scratch->probabilities) : NULL,
        .weight = spread == WEIGHTS || spread == WEIGHTED_PROBABILITIES ? (const real *)job->weight + first : NULL,
        .output = crossent_writes_output(kind) ? place(&job->output, start, scratch->output + slot * job->classes) : NULL,
        .slope = v_set((real)(1.0 - eps)),
        .offset = v_set((real)(eps / (double)job->classes)),
        .spread = spread,
        .kind = kind,
    };
}

SIMD const real *logits_of(const struct crossent_softmax_job *job, size_t row, size_t block,
                           const struct row_scratch *scratch) {
    return fetch(&job->input, row * job->classes + block * BLOCK, block_width(job->classes, block), scratch->x);
}

/* b of the n columns from c on; anything behind them */
SIMD vec row_spread(const struct row_view *row, size_t c, size_t n) {
    const vec zero = v_set(0);
    if (row->spread == UNIFORM) return v_set(1);
    if (row->spread == WEIGHTS) return v_load_first(row->weight + c, n, zero);
    const vec q = v_prefetch(v_load_first(row->probabilities + c, n, zero), row->probabilities + c + BLOCK);
    const vec b = v_mul_add(row->slope, q, row->offset);
    return row->spread == PROBABILITIES ? b : v_mul(b, v_load_first(row->weight + c, n, zero));
}

SIMD real run_max(const real *x, size_t n) {
    const vec lowest = v_set(-INFINITY);
    vec max[UNROLL] = {lowest, lowest, lowest, lowest};
    size_t c = 0;
    for (; c + UNROLL * LANES <= n; c += UNROLL * LANES)
#pragma GCC unroll 4
        for (int i = 0; i < UNROLL; i++) max[i] = v_max(v_load(x + c + (size_t)i * LANES), max[i]);
    for (; c < n; c += LANES) max[0] = v_max(v_load_first(x + c, n - c, lowest), max[0]);
    return v_reduce_max(v_max(v_max(max[0], max[1]), v_max(max[2], max[3])));
}

struct lane_sums {
    vec rest, distance, mass, surprise, squares;
};
struct wide_sums {
    wide rest, distance, mass, surprise, squares;
};

SIMD void flush(struct wide_sums *total, struct lane_sums *lanes, int n, enum spread spread, enum crossent_output kind) {
    const vec zero = v_set(0);
    vec surprise = zero, squares = zero; /* widened together, for two roundings more: a loss has neither */
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        total->rest = wide_add(total->rest, lanes[i].rest);
        if (spread != NO_SPREAD) total->distance = wide_add(total->distance, lanes[i].distance);
        if (spread >= WEIGHTS) total->mass = wide_add(total->mass, lanes[i].mass);
        surprise = v_add(surprise, lanes[i].surprise);
        squares = v_add(squares, lanes[i].squares);
        lanes[i] = (struct lane_sums){zero, zero, zero, zero, zero};
    }
    if (kind != CROSSENT_SCORES) return;
    total->surprise = wide_add(total->surprise, surprise);
    total->squares = wide_add(total->squares, squares);
}

/* How many lanes are not at the maximum, and, for CROSSENT_SCORES, the first group of columns in which one is and how many
   columns come before the target. */
struct tally {
    size_t below, first_max, before;
};

/* Take the n <= LANES columns from c on into the sums. Of a logit from `rival` on a column comes before the target. */
SIMD void add_columns(const struct row_view *row, size_t c, size_t n, vec max, vec origin, const struct scale *scale, vec rival,
                      struct lane_sums *sums, struct tally *tally) {
    const vec x = v_load_first(row->x + c, n, v_set(-INFINITY));
    /* Beside it the next block is asked for, whose maximum is wanted before anything else is. */
    const vec e = v_prefetch(scaled_exp(x, scale), row->next + c * row->size);
    const mask below = v_unequal(x, max); /* a nan is below, so that it reaches the sum */
    sums->rest = v_add_where(below, sums->rest, e);
    if (row->spread != NO_SPREAD) {
        const vec b = row_spread(row, c, n), zero = v_set(0);
        vec term = v_sub(origin, x);
        if (row->spread != UNIFORM) term = v_mul(b, term);
        if (row->spread >= PROBABILITIES) term = v_select(v_equal(b, zero), zero, term); /* 0 * inf is 0 here */
        const mask here = m_first(n);
        sums->distance = v_add_where(here, sums->distance, term);
        if (row->spread >= WEIGHTS) sums->mass = v_add_where(here, sums->mass, b);
    }
    if (row->kind == CROSSENT_SCORES) {
        sums->surprise = v_mul_add(e, finite_below(origin, x), sums->surprise);
        sums->squares = v_mul_add_where(below, e, e, sums->squares);
    }
    if (row->kind == CROSSENT_GRADIENT) v_store_first(row->output + c, v_prefetch_to_write(e, row->output + c + BLOCK), n);
    tally->below += m_count(below);
    if (row->kind == CROSSENT_SCORES) tally->before += m_count(v_not_less(x, rival));
}

/* Take `count` vectors of columns from c on into the sums, the last of n columns. */
SIMD void add_group(const struct row_view *row, size_t c, int count, size_t n, vec max, vec origin, const struct scale *scale,
                    struct lane_sums *sums, struct tally *tally) {
    const size_t columns = (size_t)count * LANES, below = tally->below;
    const vec rival = row->kind == CROSSENT_SCORES ? before_from(&row->target, c, columns) : max;
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
        add_columns(row, c + (size_t)i * LANES, i == count - 1 ? n : LANES, max, origin, scale, rival, &sums[i], tally);
    if (row->kind == CROSSENT_SCORES && tally->below - below < columns && tally->first_max > c) tally->first_max = c;
}

/* The sums of a block's n columns, measured from their own maximum; e^(x - m) over `inverse` goes to the output for a gradient.
 */
SIMD struct crossent_partial reduce_run(const struct row_view *row, size_t n) {
    const real highest = run_max(row->x, n);
    const vec max = v_set(highest), origin = v_set((real)reference(highest)), zero = v_set(0);
    const struct scale scale = scale_of(max);
    const struct lane_sums none = {zero, zero, zero, zero, zero};
    struct lane_sums lanes[UNROLL] = {none, none, none, none};
    struct wide_sums total = {wide_zero(), wide_zero(), wide_zero(), wide_zero(), wide_zero()};
    const size_t width = UNROLL * LANES;
    struct tally tally = {0, n, 0};
    size_t done = 0;
    while (n - done >= width) {
        const size_t left = (n - done) / width, steps = left < FLUSH ? left : FLUSH;
        for (size_t s = 0; s < steps; s++, done += width)
            add_group(row, done, UNROLL, LANES, max, origin, &scale, lanes, &tally);
        flush(&total, lanes, UNROLL, row->spread, row->kind);
    }
    for (; n - done >= LANES; done += LANES) add_group(row, done, 1, LANES, max, origin, &scale, lanes, &tally);
    if (done < n) {
        add_group(row, done, 1, n - done, max, origin, &scale, lanes, &tally);
        done += LANES;
    }
    flush(&total, lanes, 1, row->spread, row->kind);
    const double inverse = (double)first_lane(scale.inverse) + (double)first_lane(scale.inverse_low);
    const double ties = (double)(done - tally.below) - 1.0;
    return (struct crossent_partial){
        .max = highest,
        .rest = wide_sum(total.rest) * inverse + ties,
        .distance = wide_sum(total.distance),
        .mass = row->spread == UNIFORM ? (double)n : wide_sum(total.mass),
        .surprise = wide_sum(total.surprise) * inverse,
        .squares = wide_sum(total.squares) * (inverse * inverse) + ties,
        .argmax = tally.first_max,
        .before = tally.before,
    };
}

/* output = e exp_scale - spread_scale b, or x - m - log sum, for a block's n columns */
SIMD void write_run(const struct row_view *row, size_t n, const struct crossent_row *done, double exp_scale) {
    const vec max = v_set((real)done->max), log_sum = v_set((real)done->log_sum);
    const vec scale = v_set((real)exp_scale), spread_scale = v_set((real)done->spread_scale);
    for (size_t c = 0; c < n; c += LANES) {
        const size_t left = n - c;
        vec y;
        if (row->kind == CROSSENT_LOG_SOFTMAX) {
            y = v_sub(v_sub(v_load_first(row->x + c, left, max), max), log_sum);
        } else {
            y = v_mul(v_load_first(row->output + c, left, max), scale);
            if (row->spread != NO_SPREAD) y = v_neg_mul_add(spread_scale, row_spread(row, c, left), y);
        }
        v_store_first(row->output + c, y, left);
    }
}

/* Rows that are finished together, a lane each, and what becomes of them. */
struct row_lanes {
    real max[LANES], rest[LANES], distance[LANES], mass[LANES], at_target[LANES], spread_at_target[LANES], u[LANES], k[LANES];
    real surprise[LANES], squares[LANES], before[LANES];
};
struct row_results {
    real value[LANES], log_sum[LANES], exp_scale[LANES], spread_scale[LANES], target_gradient[LANES];
    struct score_lanes score;
};

/* Put row number `row` into a lane; an ignored row, which has no partial, becomes one whose value is 0. */
SIMD void set_lane(struct row_lanes *lanes, size_t lane, const struct crossent_softmax_job *job, size_t row,
                   const struct crossent_partial *p, enum spread spread) {
    size_t t = 0;
    const int has_class = job->target && read_target(job, row, &t);
    const struct crossent_partial none = {0};
    const struct crossent_partial sums = p ? *p : none;
    const real w = spread == WEIGHTS && has_class ? ((const real *)job->weight)[t] : 1;
    lanes->max[lane] = (real)sums.max;
    lanes->rest[lane] = (real)sums.rest;
    lanes->distance[lane] = (real)sums.distance;
    lanes->mass[lane] = (real)sums.mass;
    lanes->at_target[lane] = has_class ? (real)sums.at_target : (real)sums.max;
    lanes->spread_at_target[lane] = spread == UNIFORM || spread == WEIGHTS ? w : 0;
    lanes->u[lane] = has_class ? index_weight(job, t) : 0;
    lanes->k[lane] = p ? gradient_factor(job, row) : 0;
    if (job->kind != CROSSENT_SCORES) return;
    lanes->surprise[lane] = (real)sums.surprise;
    lanes->squares[lane] = (real)sums.squares;
    lanes->before[lane] = (real)sums.before;
}

SIMD void finish_lanes(const struct crossent_softmax_job *job, const struct row_lanes *in, struct row_results *out,
                       enum spread spread) {
    struct row_state state = {
        .max = v_load(in->max),
        .rest = v_load(in->rest),
        .distance = v_load(in->distance),
        .mass = v_load(in->mass),
        .at_target = v_load(in->at_target),
        .spread_at_target = v_load(in->spread_at_target),
        .u = v_load(in->u),
        .v = v_set(spread_factor(job, spread)),
        .k = v_load(in->k),
    };
    const int has_target = job->target || job->probabilities.data;
    const struct scale scale = scale_of(state.max);
    const struct row_finish f = has_target ? finish_row(state, &scale) : finish_without_target(state, v_set(0));
    v_store(out->value, f.value);
    v_store(out->log_sum, f.log_sum);
    v_store(out->exp_scale, f.exp_scale);
    v_store(out->spread_scale, f.spread_scale);
    v_store(out->target_gradient, f.target_gradient);
    if (job->kind != CROSSENT_SCORES) return;
    state.surprise = v_load(in->surprise);
    state.squares = v_load(in->squares);
    state.before = v_load(in->before);
    store_score(score_row(&state, &f, &scale), &out->score);
}

SIMD struct crossent_row result_of(const struct row_lanes *in, const struct row_results *out, size_t lane) {
    return (struct crossent_row){
        .max = (double)in->max[lane],
        .log_sum = (double)out->log_sum[lane],
        .exp_scale = (double)out->exp_scale[lane],
        .spread_scale = (double)out->spread_scale[lane],
        .target_gradient = (double)out->target_gradient[lane],
    };
}

SIMD int is_live(const struct crossent_softmax_job *job, size_t row) {
    size_t t;
    return !job->target || read_target(job, row, &t);
}

/* First step: reduce one block of a row. The target's logit is taken now, for the output may be the input. */
SIMD struct crossent_partial reduce_block(const struct crossent_softmax_job *job, size_t row, size_t block, enum spread spread,
                                          enum crossent_output kind, const struct row_scratch *scratch, size_t slot) {
    struct row_view view = view_block(job, row, block, spread, kind, scratch, slot);
    view.x = logits_of(job, row, block, scratch);
    view.size = job->input.dense ? crossent_size_of(job->input.dtype) : 0;
    view.next = job->input.data + (row * job->classes + (block + 1) * BLOCK) * view.size;
    size_t t = 0;
    const size_t first = block * BLOCK, width = block_width(job->classes, block);
    const int has_class = job->target && read_target(job, row, &t), is_here = has_class && t - first < width;
    const double at_target = is_here ? (double)view.x[t - first] : 0;
    if (kind == CROSSENT_SCORES && has_class) {
        real elsewhere;
        view.target = view_target(is_here ? view.x[t - first] : *fetch(&job->input, row * job->classes + t, 1, &elsewhere),
                                  (ptrdiff_t)t - (ptrdiff_t)first);
    }
    struct crossent_partial partial = reduce_run(&view, width);
    partial.at_target = at_target;
    if (kind == CROSSENT_SCORES && has_class) finish_counts(view.x, first, width, UNROLL * LANES, &view.target, &partial);
    return partial;
}

/* Last step: the output of one block, and of the target's class if it is there. */
SIMD void write_block(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                      const struct crossent_row *done, enum spread spread, enum crossent_output kind,
                      const struct row_scratch *scratch, size_t slot) {
    struct row_view view = view_block(job, row, block, spread, kind, scratch, slot);
    if (kind == CROSSENT_LOG_SOFTMAX) view.x = logits_of(job, row, block, scratch);
    size_t t = 0;
    const size_t first = block * BLOCK, width = block_width(job->classes, block);
    const double rescale = block_max == done->max ? 1.0 : exp(block_max - done->max);
    const double inverse = kind == CROSSENT_GRADIENT ? (double)first_lane(scale_of(v_set((real)block_max)).inverse) : 1.0;
    write_run(&view, width, done, done->exp_scale * rescale * inverse);
    if (kind == CROSSENT_GRADIENT && job->target && read_target(job, row, &t) && t - first < width)
        view.output[t - first] = (real)done->target_gradient;
    if (crossent_writes_output(kind)) put(&job->output, row * job->classes + first, width, view.output);
}

/* The two steps, compiled for what a job asks; the middle one, finish_lanes, is the same for all. */
struct row_kernels {
    enum spread spread;
    struct crossent_partial (*reduce)(const struct crossent_softmax_job *job, size_t row, size_t block,
                                      const struct row_scratch *scratch, size_t slot);
    void (*write)(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                  const struct crossent_row *done, const struct row_scratch *scratch, size_t slot);
};

/* Reduce the blocks of a row in order, merging as they come. */
SIMD struct crossent_partial reduce_row(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t row,
                                        const struct row_scratch *scratch, size_t slot) {
    struct crossent_partial whole = kernels->reduce(job, row, 0, scratch, slot);
    if (block_count(job->classes) > 1) scratch->maxima[0] = whole.max;
    for (size_t block = 1; block < block_count(job->classes); block++) {
        const struct crossent_partial partial = kernels->reduce(job, row, block, scratch, slot);
        scratch->maxima[block] = partial.max;
        whole = merge_partials(whole, partial);
    }
    return whole;
}

/* The output of one block of several. Where it goes through scratch, other blocks' e^(x - m) are there now: they are made
   again, to the same bits. */
SIMD void write_one_of_blocks(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t row,
                              size_t block, double block_max, const struct crossent_row *done,
                              const struct row_scratch *scratch) {
    if (job->kind == CROSSENT_GRADIENT && job->output.dtype != REAL) kernels->reduce(job, row, block, scratch, 0);
    kernels->write(job, row, block, block_max, done, scratch, 0);
}

SIMD void write_row(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t row, int live,
                    const struct crossent_row *done, const struct row_scratch *scratch, size_t slot) {
    const size_t blocks = block_count(job->classes);
    if (!live)
        put_zeros(&job->output, row * job->classes, job->classes);
    else if (blocks == 1)
        kernels->write(job, row, 0, done->max, done, scratch, slot);
    else
        for (size_t block = 0; block < blocks; block++)
            write_one_of_blocks(kernels, job, row, block, scratch->maxima[block], done, scratch);
}

SIMD double softmax_rows(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t first, size_t count,
                         void *memory) {
    const struct row_scratch scratch = row_scratch_in(job, memory);
    const size_t group = job->classes <= GROUP ? LANES : 1;
    struct double_sum sum = {0, 0};
    for (size_t start = first; start < first + count; start += group) {
        const size_t rows = first + count - start < group ? first + count - start : group;
        struct row_lanes lanes = {0};
        struct row_results results;
        int live[LANES];
        size_t argmax[LANES], before[LANES];
        for (size_t i = 0; i < rows; i++) {
            struct crossent_partial whole;
            live[i] = is_live(job, start + i);
            if (live[i]) whole = reduce_row(kernels, job, start + i, &scratch, i);
            argmax[i] = live[i] ? whole.argmax : 0, before[i] = live[i] ? whole.before : 0;
            set_lane(&lanes, i, job, start + i, live[i] ? &whole : NULL, kernels->spread);
        }
        finish_lanes(job, &lanes, &results, kernels->spread);
        for (size_t i = 0; i < rows; i++) {
            if (job->values) ((real *)job->values)[start + i] = results.value[i];
            add_to(&sum, (double)results.value[i]);
            if (job->kind == CROSSENT_SCORES) put_score(job, start + i, live[i], &results.score, i, argmax[i], before[i]);
            const struct crossent_row done = result_of(&lanes, &results, i);
            if (crossent_writes_output(job->kind)) write_row(kernels, job, start + i, live[i], &done, &scratch, i);
        }
    }
    return value_of(sum);
}
