/* softmax_rows.h -- the softmax family on rows: the class axis is last, lanes run along the classes.
   A row is reduced in blocks of BLOCK columns, each from its own maximum, and the blocks are merged in order, whether one
   thread computes the row or several do: so a row's bits never depend on who else is there. Each block is read from
   memory once: the second and third look find it in a cache. Rows of one block go side by side, in steps, so that none waits
   for the end of the one before. Called by the driver softmax.c through table.h; the loops over columns are row_blocks.h's. */

/* Rows that are finished together, a lane each, and what becomes of them. */
struct row_lanes {
    real max[LANES], rest[LANES], rest_low[LANES], distance[LANES], mass[LANES], at_target[LANES], spread_at_target[LANES],
        u[LANES], k[LANES];
    real surprise[LANES], squares[LANES], before[LANES];
};
struct row_results {
    real value[LANES], log_sum[LANES], exp_scale[LANES], spread_scale[LANES], target_gradient[LANES];
    real block_scale[LANES]; /* exp_scale over what e^(x - m) of a row of one block must still be multiplied by */
    struct score_lanes score;
};

/* Put row number `row` into a lane; a lane of zeros is an ignored row: its value is 0. */
SIMD void set_lane(struct row_lanes *lanes, size_t lane, const struct crossent_softmax_job *job, size_t row,
                   const struct crossent_partial *sums, enum spread spread) {
    size_t t = 0;
    const int has_class = job->target && read_target(job, row, &t);
    const real w = spread == WEIGHTS && has_class ? ((const real *)job->weight)[t] : 1;
    lanes->max[lane] = (real)sums->max;
    lanes->rest[lane] = (real)sums->rest;
    lanes->rest_low[lane] = (real)(sums->rest - (double)lanes->rest[lane]);
    lanes->distance[lane] = (real)sums->distance;
    lanes->mass[lane] = (real)sums->mass;
    lanes->at_target[lane] = has_class ? (real)sums->at_target : (real)sums->max;
    lanes->spread_at_target[lane] = spread == UNIFORM || spread == WEIGHTS ? w : 0;
    lanes->u[lane] = has_class ? index_weight(job, t) : 0;
    lanes->k[lane] = gradient_factor(job, row);
    if (job->kind != CROSSENT_SCORES) return;
    lanes->surprise[lane] = (real)sums->surprise;
    lanes->squares[lane] = (real)sums->squares;
    lanes->before[lane] = (real)sums->before;
}

SIMD void finish_lanes(const struct crossent_softmax_job *job, const struct row_lanes *in, struct row_results *out,
                       enum spread spread) {
    struct row_state state = {
        .max = v_load(in->max),
        .rest = v_load(in->rest),
        .rest_low = v_load(in->rest_low),
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
    struct row_finish f;
    finish_apart(has_target, &state, &scale, v_set(0), &f);
    v_store(out->value, f.value);
    v_store(out->log_sum, f.log_sum);
    v_store(out->exp_scale, f.exp_scale);
    v_store(out->block_scale, v_mul(f.exp_scale, scale.inverse));
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

/* The logits of one block of up to LANES rows, and what they are measured from. */
struct opened {
    const real *x[LANES];
    struct scale_lanes scale;
    vec chunk_max[BLOCK / CHUNK + LANES]; /* where masks cost: of as many rows as a block has columns for */
};

/* First step, the same for whatever is asked: all maxima, so that no row waits for its own, and their scales, one vector's. */
static __attribute__((noinline)) void open_rows(const struct crossent_softmax_job *job, const size_t *rows, size_t n,
                                                size_t block, const struct row_scratch *scratch, struct opened *opened) {
    const size_t width = block_width(job->classes, block), chunks = chunk_count(width);
    vec max = v_set(0);
    for (size_t i = 0; i < n; i++) {
        const real *const x = opened->x[i] = logits_of(job, rows[i], block, scratch, i);
        const real highest = MASKS_COST ? chunk_maxima(x, width, opened->chunk_max + i * chunks) : run_max(x, width);
        max = v_select(m_first(i), max, v_set(highest));
    }
    store_scale(max, &opened->scale);
}

/* Second step: reduce one block of a row. The target's logit is taken now, for the output may be the input. */
SIMD struct crossent_partial reduce_block(const struct crossent_softmax_job *job, size_t row, size_t block,
                                          const struct opened *opened, size_t lane, enum spread spread,
                                          enum crossent_output kind, const struct row_scratch *scratch, size_t slot) {
    struct row_view view = view_block(job, row, block, spread, kind, scratch, slot);
    const real *const x = view.x = opened->x[lane];
    view.size = job->input.dense ? crossent_size_of(job->input.dtype) : 0;
    view.next = job->input.data + (row * job->classes + (block + 1) * BLOCK) * view.size;
    view.after = view.next + (job->classes > BLOCK ? BLOCK * view.size : 0);
    size_t t = 0;
    const size_t first = block * BLOCK, width = block_width(job->classes, block);
    const int has_class = job->target && read_target(job, row, &t), is_here = has_class && t - first < width;
    const double at_target = is_here ? (double)x[t - first] : 0;
    if (kind == CROSSENT_SCORES && has_class) {
        real elsewhere;
        view.target = view_target(is_here ? x[t - first] : *fetch(&job->input, row * job->classes + t, 1, &elsewhere),
                                  (ptrdiff_t)t - (ptrdiff_t)first);
    }
    const vec *const chunk_max = MASKS_COST ? opened->chunk_max + lane * chunk_count(width) : NULL;
    struct crossent_partial partial = reduce_run(&view, width, &opened->scale, lane, chunk_max);
    partial.at_target = at_target;
    if (kind == CROSSENT_SCORES && has_class) finish_counts(x, first, width, WIDTH, &view.target, &partial);
    return partial;
}

/* How many rows of a job, of LANES at most, have so many columns. */
SIMD size_t rows_of(const struct crossent_softmax_job *job, size_t columns) {
    const size_t fit = columns / job->classes;
    return fit == 0 ? 1 : fit < LANES ? fit : LANES;
}

/* Both steps for any number of rows, as many at a time as an L1 cache holds from the first step to the second; each array
   beside the logits has lines of its own there, and others that are asked for. */
SIMD void reduce_blocks(const struct crossent_softmax_job *job, const size_t *rows, size_t n, size_t block, enum spread spread,
                        enum crossent_output kind, const struct row_scratch *scratch, struct crossent_partial *partials) {
    const int others = crossent_writes_output(kind) + (spread >= PROBABILITIES);
    const size_t most = rows_of(job, BLOCK >> 2 * others);
    struct opened opened;
    for (size_t i = 0, lane = most; i < n; i++, lane++) {
        if (lane == most) {
            open_rows(job, rows + i, n - i < most ? n - i : most, block, scratch, &opened);
            lane = 0;
        }
        partials[i] = reduce_block(job, rows[i], block, &opened, lane, spread, kind, scratch, i);
    }
}

/* Last step: the output of one block, of e times `scale`, and of the target's class if it is there. */
SIMD void write_block(const struct crossent_softmax_job *job, size_t row, size_t block, double scale,
                      const struct crossent_row *done, enum spread spread, enum crossent_output kind,
                      const struct row_scratch *scratch, size_t slot) {
    struct row_view view = view_block(job, row, block, spread, kind, scratch, slot);
    if (kind == CROSSENT_LOG_SOFTMAX) view.x = logits_of(job, row, block, scratch, 0);
    size_t t = 0;
    const size_t first = block * BLOCK, width = block_width(job->classes, block);
    write_run(&view, width, done, scale);
    if (kind == CROSSENT_GRADIENT && job->target && read_target(job, row, &t) && t - first < width)
        view.output[t - first] = (real)done->target_gradient;
    if (crossent_writes_output(kind)) put(&job->output, row * job->classes + first, width, view.output);
}

/* The second step and the last, compiled for what a job asks; open_rows and finish_lanes are the same for all. */
struct row_kernels {
    enum spread spread;
    void (*reduce)(const struct crossent_softmax_job *job, const size_t *rows, size_t n, size_t block,
                   const struct row_scratch *scratch, struct crossent_partial *partials);
    void (*write)(const struct crossent_softmax_job *job, size_t row, size_t block, double scale,
                  const struct crossent_row *done, const struct row_scratch *scratch, size_t slot);
};

/* Reduce the blocks of a row in order, merging as they come. */
SIMD struct crossent_partial reduce_long_row(const struct row_kernels *kernels, const struct crossent_softmax_job *job,
                                             size_t row, const struct row_scratch *scratch) {
    struct crossent_partial whole;
    for (size_t block = 0; block < block_count(job->classes); block++) {
        struct crossent_partial partial;
        kernels->reduce(job, &row, 1, block, scratch, &partial);
        scratch->maxima[block] = partial.max;
        whole = block == 0 ? partial : merge_partials(whole, partial);
    }
    return whole;
}

/* The output of one block of several. Where it goes through scratch, other blocks' e^(x - m) are there now: they are made
   again, to the same bits. */
SIMD void write_one_of_blocks(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t row,
                              size_t block, double block_max, const struct crossent_row *done,
                              const struct row_scratch *scratch) {
    struct crossent_partial again;
    if (job->kind == CROSSENT_GRADIENT && job->output.dtype != REAL) kernels->reduce(job, &row, 1, block, scratch, &again);
    const double rescale = block_max == done->max ? 1.0 : exp(block_max - done->max);
    const double inverse = (double)first_lane(scale_of(v_set((real)block_max)).inverse);
    kernels->write(job, row, block, done->exp_scale * rescale * inverse, done, scratch, 0);
}

SIMD void write_row(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t row, double scale,
                    const struct crossent_row *done, const struct row_scratch *scratch, size_t slot) {
    const size_t blocks = block_count(job->classes);
    if (blocks == 1) kernels->write(job, row, 0, scale, done, scratch, slot);
    for (size_t block = 0; blocks > 1 && block < blocks; block++)
        write_one_of_blocks(kernels, job, row, block, scratch->maxima[block], done, scratch);
}

/* Up to LANES rows, a lane each: which of them count, and what is known of those. */
struct row_group {
    size_t first, n;
    int live[LANES];
    struct row_lanes lanes;
    struct row_results results;
    size_t argmax[LANES], before[LANES];
};

SIMD void reduce_group(const struct row_kernels *kernels, const struct crossent_softmax_job *job, struct row_group *group,
                       const struct row_scratch *scratch) {
    struct crossent_partial partials[LANES];
    size_t rows[LANES], lanes[LANES], live = 0;
    memset(&group->lanes, 0, sizeof group->lanes);
    for (size_t i = 0; i < group->n; i++) {
        group->argmax[i] = group->before[i] = 0;
        group->live[i] = is_live(job, group->first + i);
        if (group->live[i]) rows[live] = group->first + i, lanes[live++] = i;
    }
    if (block_count(job->classes) == 1)
        kernels->reduce(job, rows, live, 0, scratch, partials);
    else if (live)
        partials[0] = reduce_long_row(kernels, job, rows[0], scratch);
    for (size_t i = 0; i < live; i++) {
        set_lane(&group->lanes, lanes[i], job, rows[i], &partials[i], kernels->spread);
        group->argmax[lanes[i]] = partials[i].argmax, group->before[lanes[i]] = partials[i].before;
    }
    finish_lanes(job, &group->lanes, &group->results, kernels->spread);
}

SIMD void write_group(const struct row_kernels *kernels, const struct crossent_softmax_job *job, const struct row_group *group,
                      const struct row_scratch *scratch) {
    for (size_t i = 0, slot = 0; i < group->n; i++) {
        const size_t row = group->first + i;
        const struct crossent_row done = result_of(&group->lanes, &group->results, i);
        if (group->live[i])
            write_row(kernels, job, row, (double)group->results.block_scale[i], &done, scratch, slot++);
        else
            put_zeros(&job->output, row * job->classes, job->classes);
    }
}

/* How many rows are finished together, so that their log1p is one vector's: of an output, as many as an L1 cache still holds
   when e^(x - m) is read again, which is as many as its scratch has room for. */
SIMD size_t rows_together(const struct crossent_softmax_job *job) {
    return crossent_writes_output(job->kind) || job->classes > BLOCK ? rows_of(job, BLOCK) : LANES;
}

SIMD double softmax_rows(const struct row_kernels *kernels, const struct crossent_softmax_job *job, size_t first, size_t count,
                         void *memory) {
    const struct row_scratch scratch = row_scratch_in(job, memory);
    const size_t most = rows_together(job);
    struct double_sum sum = {0, 0};
    for (size_t done = 0; done < count; done += most) {
        struct row_group group; /* without initial zeros: there would be 2 KiB of them, and one row may be all there is */
        group.first = first + done;
        group.n = count - done < most ? count - done : most;
        reduce_group(kernels, job, &group, &scratch);
        if (job->values) v_store_first((real *)job->values + group.first, v_load(group.results.value), group.n);
        /* one by one: with the same bits, whatever is finished together */
        for (size_t i = 0; i < group.n; i++) add_to(&sum, (double)group.results.value[i]);
        for (size_t i = 0; job->kind == CROSSENT_SCORES && i < group.n; i++)
            put_score(job, group.first + i, group.live[i], &group.results.score, i, group.argmax[i], group.before[i]);
        if (crossent_writes_output(job->kind)) write_group(kernels, job, &group, &scratch);
    }
    return value_of(sum);
}
