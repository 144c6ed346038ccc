/* row_blocks.h -- one block of columns of a row, lanes along the classes: where it is in memory, its sums, its output.
   Not here: which rows, in which order, and what becomes of their sums (softmax_rows.h, which calls it). */

enum {
    UNROLL = 4, /* independent sums of a lane, of a vector of columns each */
    FLUSH = 8,  /* additions to each before they go to a wide sum: their errors stay near 1 ULP */
    WIDTH = UNROLL * LANES,
    CHUNK = FLUSH * WIDTH,
};

/* One block of a row of a job: its columns, and what its coefficients b are made of. */
struct row_view {
    const real *x, *probabilities, *weight;
    const char *next;  /* the next block's logits, `size` bytes each, where they are before they are reals side by side, */
    const char *after; /* and of a row of several blocks those after them */
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
    const size_t blocks = block_count(job->classes);
    return (blocks > 1 ? blocks * sizeof(double) : 0) + (is_direct_job(job) ? 0 : 3 * BLOCK * sizeof(real));
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

SIMD const real *logits_of(const struct crossent_softmax_job *job, size_t row, size_t block, const struct row_scratch *scratch,
                           size_t slot) {
    real *const room = scratch->x ? scratch->x + slot * job->classes : NULL;
    return fetch(&job->input, row * job->classes + block * BLOCK, block_width(job->classes, block), room);
}

/* Ask for a line that comes a block later, beside the arithmetic. Beside an output these are the lines of more arrays than an
   L1 cache can wait for at a time, or hold. */
SIMD vec ask(const struct row_view *row, vec beside, const void *p) {
    return crossent_writes_output(row->kind) ? v_prefetch_far(beside, p) : v_prefetch(beside, p);
}

/* b of the n columns from c on; anything behind them. `asks`: whether those a block later are asked for. */
SIMD vec row_spread(const struct row_view *row, size_t c, size_t n, int asks) {
    const vec zero = v_set(0);
    if (row->spread == UNIFORM) return v_set(1);
    if (row->spread == WEIGHTS) return v_load_first(row->weight + c, n, zero);
    vec q = v_load_first(row->probabilities + c, n, zero);
    if (asks) q = ask(row, q, row->probabilities + c + BLOCK);
    const vec b = v_mul_add(row->slope, q, row->offset);
    return row->spread == PROBABILITIES ? b : v_mul(b, v_load_first(row->weight + c, n, zero));
}

/* Twice as many maxima as sums are independent: they are all there is to do, and each takes the time of four. */
SIMD real run_max(const real *x, size_t n) {
    const vec lowest = v_set(-INFINITY);
    vec max[2 * UNROLL] = {lowest, lowest, lowest, lowest, lowest, lowest, lowest, lowest};
    size_t c = 0;
    for (; c + 2 * WIDTH <= n; c += 2 * WIDTH)
#pragma GCC unroll 8
        for (int i = 0; i < 2 * UNROLL; i++) max[i] = v_max(v_load(x + c + (size_t)i * LANES), max[i]);
#pragma GCC unroll 4
    for (int i = 0; i < UNROLL; i++) max[i] = v_max(max[i], max[i + UNROLL]);
    for (; c + WIDTH <= n; c += WIDTH)
#pragma GCC unroll 4
        for (int i = 0; i < UNROLL; i++) max[i] = v_max(v_load(x + c + (size_t)i * LANES), max[i]);
    for (; c < n; c += LANES) max[0] = v_max(v_load_first(x + c, n - c, lowest), max[0]);
    return v_reduce_max(v_max(v_max(max[0], max[1]), v_max(max[2], max[3])));
}

/* The columns of a block from `done` on that are whole groups, a chunk at most. */
SIMD size_t chunk_at(size_t done, size_t n) {
    const size_t left = (n - done) / WIDTH * WIDTH;
    return left < CHUNK ? left : CHUNK;
}
SIMD size_t chunk_count(size_t n) { return (n / WIDTH + FLUSH - 1) / FLUSH; }

/* The maximum where masks cost, and those of each chunk's lanes: a chunk that has not the row's needs no mask. */
SIMD real chunk_maxima(const real *x, size_t n, vec *of_chunk) {
    const vec lowest = v_set(-INFINITY);
    vec highest = lowest;
    size_t done = 0;
    for (size_t columns; (columns = chunk_at(done, n)) > 0; done += columns) {
        vec max[UNROLL] = {lowest, lowest, lowest, lowest};
        for (size_t c = done; c < done + columns; c += WIDTH)
#pragma GCC unroll 4
            for (size_t i = 0; i < UNROLL; i++) max[i] = v_max(v_load(x + c + i * LANES), max[i]);
        *of_chunk = v_max(v_max(max[0], max[1]), v_max(max[2], max[3]));
        highest = v_max(highest, *of_chunk++);
    }
    for (; done < n; done += LANES) highest = v_max(v_load_first(x + done, n - done, lowest), highest);
    return v_reduce_max(highest);
}

SIMD void flush(struct wide_sums *total, struct lane_sums s[UNROLL], enum spread spread, enum crossent_output kind) {
    const struct lane_sums low = sums_of_two(s[0], s[1], spread, kind), high = sums_of_two(s[2], s[3], spread, kind);
    add_wide(total, sums_of_two(low, high, spread, kind), spread, kind);
#pragma GCC unroll 4
    for (int i = 0; i < UNROLL; i++) s[i] = no_sums();
}

/* How many lanes are not at the maximum, and how many of those were known not to be; for CROSSENT_SCORES also the first group
   of columns in which one is, and how many columns come before the target. */
struct tally {
    count below;
    size_t known_below, first_max, before;
};

/* What a row's logits are measured from: see struct scale. Far ones are shifted first: their maximum is 0 then. */
struct measure {
    vec max, origin, power, floor;
};

/* Ask, beside e, for the next block's logits, whose maximum is wanted before anything else is. In a row of several blocks it
   comes from the second-level cache, and the one after it is asked for there: a core waits for more lines of memory there than
   in the first. */
SIMD vec ask_for_next(const struct row_view *row, size_t c, vec e) {
    return v_prefetch_far(ask(row, e, row->next + c * row->size), row->after + c * row->size);
}

/* Take the n <= LANES columns from c on into the sums: x are their logits, shifted if they are far. Of a logit from `rival` on
   a column comes before the target. e^(x - m) is raised, in the sums and the output (see v_exp_raised). Returns which are
   below the maximum; `is_below`: it is known that all are. `asks`: whether they are the first of a line, which is asked for
   once. */
SIMD mask add_columns(const struct row_view *row, size_t c, vec x, size_t n, const struct measure *measure, vec rival, int asks,
                      int is_below, struct lane_sums *sums, struct tally *tally) {
    vec e = v_exp_raised(x, measure->power, measure->floor);
    if (asks) e = ask_for_next(row, c, e);
    const mask below = is_below ? m_first(LANES) : v_unequal(x, measure->max); /* a nan is below, so that it reaches the sum */
    sums->rest = is_below ? v_add(sums->rest, e) : v_add_where(below, sums->rest, e);
    if (row->spread != NO_SPREAD) {
        const vec b = row_spread(row, c, n, asks), zero = v_set(0);
        vec term = v_sub(measure->origin, x);
        if (row->spread != UNIFORM) term = v_mul(b, term);
        if (row->spread >= PROBABILITIES) term = v_select(v_equal(b, zero), zero, term); /* 0 * inf is 0 here */
        const mask here = m_first(n);
        sums->distance = v_add_where(here, sums->distance, term);
        if (row->spread >= WEIGHTS) sums->mass = v_add_where(here, sums->mass, b);
    }
    if (row->kind == CROSSENT_SCORES) {
        sums->surprise = v_mul_add(e, finite_below(measure->origin, x), sums->surprise);
        sums->squares = v_mul_add_where(below, e, e, sums->squares);
    }
    if (row->kind == CROSSENT_GRADIENT) v_store_first(row->output + c, asks ? ask(row, e, row->output + c + BLOCK) : e, n);
    if (!is_below) tally->below = count_add(tally->below, below);
    if (row->kind == CROSSENT_SCORES)
        tally->before += m_count(v_not_less(v_load_first(row->x + c, n, v_set(-INFINITY)), rival));
    return below;
}

/* Take some vectors of columns from c on, whose logits are at x, into as many sums, the last of n columns. */
SIMD void add_group(const struct row_view *row, size_t c, const real *x, int vectors, size_t n, const struct measure *measure,
                    int is_below, struct lane_sums *sums, struct tally *tally) {
    const size_t columns = (size_t)vectors * LANES;
    size_t below = 0;
    const vec lowest = v_set(-INFINITY);
    const vec rival = row->kind == CROSSENT_SCORES ? before_from(&row->target, c, columns) : lowest;
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        const size_t at = (size_t)i * LANES, here = i == vectors - 1 ? n : LANES;
        const int asks = at * sizeof(real) % LINE == 0;
        const vec logits = v_load_first(x + at, here, lowest);
        below += m_count(add_columns(row, c + at, logits, here, measure, rival, asks, is_below, &sums[i], tally));
    }
    if (row->kind == CROSSENT_SCORES && below < columns && tally->first_max > c) tally->first_max = c;
}

/* Logits of n <= CHUNK columns, in `chunk` if they must be shifted by their maximum, which is rare: in a function of its own.
   An infinite one is 0 then as well: its row has no softmax, which finish_row() sees. */
static __attribute__((noinline)) const real *shift_columns(const real *x, size_t n, real shift, real *chunk) {
    const vec max = v_set(shift), zero = v_set(0);
    for (size_t i = 0; i < n; i += LANES) {
        const vec logits = v_load_first(x + i, n - i, zero);
        v_store_first(chunk + i, v_select(v_equal(logits, max), zero, v_sub(logits, max)), n - i);
    }
    return chunk;
}
SIMD const real *shifted(const real *x, size_t n, real shift, real *chunk) {
    return shift == 0 ? x : shift_columns(x, n, shift, chunk);
}

/* The same of a chunk's columns, in whole groups. */
SIMD void add_chunk(const struct row_view *row, size_t c, const real *x, size_t columns, const struct measure *measure,
                    int is_below, struct lane_sums *sums, struct tally *tally) {
    for (const real *const end = x + columns; x < end; x += WIDTH, c += WIDTH)
        add_group(row, c, x, UNROLL, LANES, measure, is_below, sums, tally);
    if (is_below) tally->known_below += columns;
}

/* The sums of a block's n columns, measured from their own maximum; e^(x - m) over `inverse` goes to the output for a gradient.
   `chunk_max`: see chunk_maxima; NULL where masks cost nothing. */
SIMD struct crossent_partial reduce_run(const struct row_view *row, size_t n, const struct scale_lanes *scale, size_t lane,
                                        const vec *chunk_max) {
    const real highest = scale->max[lane], shift = scale->origin[lane], zero = 0;
    const struct measure measure = {
        .max = v_set(shift == 0 ? highest : zero),
        .origin = v_set(shift == 0 ? (real)reference(highest) : zero),
        .power = v_set(scale->power[lane]),
        .floor = v_set(scale->floor[lane]),
    };
    struct lane_sums lanes[UNROLL] = {no_sums(), no_sums(), no_sums(), no_sums()};
    struct wide_sums total = no_wide_sums();
    struct tally tally = {count_zero(), 0, n, 0};
    real chunk[CHUNK];
    size_t done = 0;
    for (size_t columns; (columns = chunk_at(done, n)) > 0; done += columns) {
        const real *const x = shifted(row->x + done, columns, shift, chunk);
        if (chunk_max && m_count(v_unequal(*chunk_max++, v_set(highest))) == LANES)
            add_chunk(row, done, x, columns, &measure, 1, lanes, &tally);
        else
            add_chunk(row, done, x, columns, &measure, 0, lanes, &tally);
        if (columns == CHUNK) flush(&total, lanes, row->spread, row->kind);
    }
    const real *x = shifted(row->x + done, n - done, shift, chunk);
    for (; n - done >= LANES; done += LANES, x += LANES) add_group(row, done, x, 1, LANES, &measure, 0, &lanes[0], &tally);
    if (done < n) {
        add_group(row, done, x, 1, n - done, &measure, 0, &lanes[1], &tally);
        done += LANES;
    }
    flush(&total, lanes, row->spread, row->kind);
    const double raised = (double)scale->inverse[lane] + (double)scale->inverse_low[lane];
    const double inverse = raised * (double)first_lane(v_lower(v_set(1)));
    const double ties = (double)(done - tally.known_below - count_sum(tally.below)) - 1.0;
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

/* The output of the n <= LANES columns from c on, where e^(x - m) is if it is not a log-softmax. */
SIMD void write_columns(const struct row_view *row, size_t c, size_t n, int asks, const struct output_parts *of) {
    const int is_log = row->kind == CROSSENT_LOG_SOFTMAX;
    const vec x_or_e = v_load_first((is_log ? row->x : row->output) + c, n, of->max);
    const vec b = row->spread == NO_SPREAD || is_log ? v_set(0) : row_spread(row, c, n, 0);
    const vec y = output_of(row->spread, row->kind, x_or_e, b, of);
    v_store_first(row->output + c, is_log && asks ? ask(row, y, row->output + c + BLOCK) : y, n);
}

/* The same for a block's n columns. */
SIMD void write_run(const struct row_view *row, size_t n, const struct crossent_row *done, double exp_scale) {
    const struct output_parts of = {
        .max = v_set((real)done->max),
        .log_sum = v_set((real)done->log_sum),
        .exp_scale = v_set((real)exp_scale),
        .spread_scale = v_set((real)done->spread_scale),
    };
    size_t c = 0;
    for (; c + WIDTH <= n; c += WIDTH)
#pragma GCC unroll 4
        for (size_t i = 0; i < UNROLL; i++) write_columns(row, c + i * LANES, LANES, i * LANES * sizeof(real) % LINE == 0, &of);
    for (; c < n; c += LANES) write_columns(row, c, n - c, 1, &of);
}
