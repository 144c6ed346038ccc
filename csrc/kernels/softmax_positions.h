/* softmax_positions.h -- the softmax family with lanes across positions: each lane is one softmax, the loop runs over the
   classes. It serves a class axis that is not the last (segmentation), and rows of few classes (inner == 1): no lane is idle
   and nothing is summed across lanes. Either is brought into a tile that stays in the L1 cache, rows by a transposition,
   images because their class planes, a power of two apart, would fall on the same few lines of every cache (tiles.h).
   Called by the driver softmax.c through table.h; the formulas are those of softmax_formula.h. */

enum {
    SHORT = 4,            /* classes added in the lanes' type before they go to float64, */
    FINE = 16,            /* or what the sum of so many rounds away before it goes to two numbers */
    TILE_BYTES = 1 << 14, /* so many of logits, and the rows that they come from or go to, share an L1 cache */
    STRIP = 256,          /* positions of a plane that are written at once; a multiple of TILE, whoever computes */
    STRIP_CLASSES = 256,  /* up to which a strip of all classes stays in a second-level cache */
    FEW = 32,             /* classes whose tiles are on the stack: at most 20 KiB, for threads that have 64 KiB of it */
};

/* The sum of all terms e^(x - m), raised: `coarse` starts from that of the maximum, which none exceeds, so that what an
   addition rounds away is known exactly (Dekker's Fast2Sum); that is summed in `fine`, of a group of classes, and then in low +
   lowest. While the others are too small to change it, adding the maximum's own term doubles it exactly: none of them is lost.
 */
struct rest_sum {
    vec of_max, coarse, fine, low, lowest;
};

SIMD struct rest_sum no_rest(vec of_max) {
    const vec zero = v_set(0);
    return (struct rest_sum){of_max, of_max, zero, zero, zero};
}
SIMD void add_to_rest(struct rest_sum *rest, vec e) {
    const vec sum = v_add(rest->coarse, e);
    rest->fine = v_add(rest->fine, v_sub(e, v_sub(sum, rest->coarse)));
    rest->coarse = sum;
}
SIMD void end_group(struct rest_sum *rest, int is_first) {
    vec lost = v_set(0);
    rest->low = is_first ? rest->fine : two_sum(rest->low, rest->fine, &lost);
    rest->lowest = v_add(rest->lowest, lost);
    rest->fine = v_set(0);
}
/* The sum without the start and one maximum, times high + low, as state->rest and what that rounds away. Nothing but ties with
   the maximum are a whole number, which of_max times high + low is not quite. */
SIMD void set_rest(const struct rest_sum *rest, vec high, vec low, struct row_state *state) {
    const vec zero = v_set(0), magic = v_set(ROUNDING_MAGIC), twice = v_add(rest->of_max, rest->of_max);
    const vec of_others = v_sub(rest->coarse, twice), lost = v_sub(v_sub(rest->coarse, of_others), twice);
    const vec product = v_mul(of_others, high), rounded = v_mul_add(of_others, high, v_sub(zero, product));
    const vec part = v_add(lost, rest->low), small = v_mul_add(of_others, low, v_mul(rest->lowest, high));
    const vec more = v_add(rounded, v_mul_add(part, high, small)), sum = v_add(product, more);
    const vec count = v_sub(v_add(product, magic), magic), left = less_multiple(of_others, count, rest->of_max);
    const mask is_whole = v_equal(v_add(left, part), zero);
    state->rest = v_select(is_whole, count, sum);
    state->rest_low = v_select(is_whole, zero, v_sub(more, v_sub(sum, product)));
}

/* rest, distance and mass of one vector of positions; e^(x - m) over the scale's inverse, raised (see v_exp_raised), stays in
   the tile for a gradient */
SIMD void reduce_positions(const struct crossent_softmax_job *job, const struct tile *tile, struct lanes l, enum spread spread,
                           enum crossent_output kind, const struct scale *scale, struct row_state *state) {
    const vec zero = v_set(0), one = v_set(1);
    const vec origin = v_select(v_equal(state->max, v_set(-INFINITY)), zero, state->max);
    const char *next_input = tile->input_ahead.at + l.at / LANES * tile->input_ahead.next_vector;
    const char *next_output = tile->output_ahead.at + l.at / LANES * tile->output_ahead.next_vector;
    /* Numbers of their own: a store to the tile might change them where they are, for all that a compiler knows. */
    const size_t step = tile->step, input_step = tile->input_ahead.next_class, output_step = tile->output_ahead.next_class;
    real *at = tile->x + l.at;
    const int has_more = spread != NO_SPREAD || kind == CROSSENT_SCORES; /* sums than that of the terms */
    const size_t group = has_more ? SHORT : FINE;
    struct wide_sums total = no_wide_sums();
    const vec max_there = v_select(v_equal(state->max, v_set(INFINITY)), zero, state->max); /* see shift_far */
    struct rest_sum rest = no_rest(v_exp_raised(max_there, scale->power, scale->floor));
    vec below_count = zero;
    for (size_t first = 0; first < job->classes; first += group) {
        const size_t end = job->classes - first < group ? job->classes : first + group;
        struct lane_sums sums = no_sums();
#pragma GCC unroll((LANES + 7) / 8) /* only of sixteen lanes are there so few steps that the loop's own count */
        for (size_t c = first; c < end; c++, at += step) {
            const vec x = v_load(at);
            vec e = v_prefetch_far(v_exp_raised(x, scale->power, scale->floor), next_input);
            if (crossent_writes_output(kind)) e = v_prefetch_far(e, next_output);
            add_to_rest(&rest, e);
            if (spread != NO_SPREAD) {
                const vec b = position_spread(job, tile, c, l, spread);
                vec term = v_sub(origin, x);
                if (spread != UNIFORM) term = v_mul(b, term);
                if (spread >= PROBABILITIES) term = v_select(v_equal(b, zero), zero, term); /* 0 * inf is 0 here */
                sums.distance = v_add(sums.distance, term);
                if (spread >= WEIGHTS) sums.mass = v_add(sums.mass, b);
            }
            if (kind == CROSSENT_SCORES) {
                const mask below = v_unequal(x, state->max);
                sums.surprise = v_mul_add(e, finite_below(origin, x), sums.surprise);
                sums.squares = v_mul_add_where(below, e, e, sums.squares);
                below_count = v_add_where(below, below_count, one);
            }
            if (kind == CROSSENT_GRADIENT) v_store(at, e);
            next_input += input_step, next_output += output_step;
        }
        end_group(&rest, first == 0);
        if (has_more) add_wide(&total, sums, spread, kind);
    }
    const vec inverse = v_lower(scale->inverse), inverse_low = v_lower(scale->inverse_low);
    set_rest(&rest, inverse, inverse_low, state);
    state->distance = wide_to_vec(total.distance);
    state->mass = spread == UNIFORM ? v_set((real)job->classes) : wide_to_vec(total.mass);
    if (kind != CROSSENT_SCORES) return;
    const vec ties = v_sub(v_sub(v_set((real)job->classes), below_count), one);
    state->surprise = wide_to_vec(wide_mul(total.surprise, inverse, inverse_low));
    state->squares = wide_to_vec(wide_add(wide_mul(total.squares, v_mul(inverse, inverse), zero), ties));
}

/* What the targets are to the formulas: the target's logit, its weight, the factor of the gradient. */
SIMD void set_targets(const struct crossent_softmax_job *job, const struct tile *tile, struct lanes l, size_t position,
                      const struct position_targets *targets, enum spread spread, struct row_state *state) {
    const real *const weight = job->weight;
    real k[LANES];
    state->k = v_set((real)job->grad_scale);
    for (size_t i = 0; job->grad_output && i < LANES; i++) k[i] = i < l.n ? gradient_factor(job, position + i) : 0;
    if (job->grad_output) state->k = v_load(k);
    state->v = v_set(spread_factor(job, spread));
    state->at_target = state->max;
    state->u = state->spread_at_target = v_set(0);
    if (job->target == NULL) return;
    state->at_target = v_look_up(tile->x + l.at, targets->class_of, tile->step);
    state->u = v_set((real)(1.0 - job->label_smoothing));
    state->spread_at_target = v_set(1);
    if (weight == NULL) return;
    real u[LANES], of_target[LANES];
    for (size_t i = 0; i < LANES; i++) {
        u[i] = index_weight(job, targets->class_of[i]);
        of_target[i] = weight[targets->class_of[i]];
    }
    state->u = v_load(u);
    if (spread == WEIGHTS) state->spread_at_target = v_load(of_target);
}

/* The first class of each position that has the maximum, and how many classes come before the target: from the logits as they
   came, because two that differ may not when they are shifted. In reals, as ties are: float32 holds 2^24 classes. */
struct position_counts {
    vec argmax, before;
};

SIMD struct position_counts count_positions(const struct tile *tile, size_t classes, struct lanes l, vec max,
                                            const struct position_targets *targets) {
    real target[LANES];
    const vec one = v_set(1), zero = v_set(0), none = v_set(NAN);
    const vec at_target = v_look_up(tile->x + l.at, targets->class_of, tile->step);
    for (size_t i = 0; i < LANES; i++) target[i] = (real)targets->class_of[i];
    vec argmax = zero, not_greater = zero, equal_before = zero;
    for (size_t c = classes; c-- > 0;) {
        const vec x = v_load(tile->x + c * tile->step + l.at), index = v_set((real)c);
        const vec tie = v_select(v_not_less(index, v_load(target)), none, at_target);
        argmax = v_select(v_equal(x, max), index, argmax);
        not_greater = v_add_where(v_not_less(at_target, x), not_greater, one);
        equal_before = v_add_where(v_equal(x, tie), equal_before, one);
    }
    return (struct position_counts){argmax, v_add(v_sub(v_set((real)classes), not_greater), equal_before)};
}

/* What is scored of one vector of positions. */
SIMD void score_positions(const struct crossent_softmax_job *job, struct lanes l, size_t position,
                          const struct position_targets *targets, const struct position_counts *counts,
                          const struct scale *scale, const struct row_finish *done, struct row_state *state) {
    real live[LANES], argmax[LANES], before[LANES];
    struct score_lanes score;
    state->before = counts->before;
    store_score(score_row(state, done, scale), &score);
    v_store(live, v_select(targets->live, v_set(1), v_set(0)));
    v_store(argmax, counts->argmax);
    v_store(before, counts->before);
    for (size_t i = 0; i < LANES && i < l.n; i++)
        put_score(job, position + i, live[i] != 0, &score, i, (size_t)argmax[i], (size_t)before[i]);
}

/* Logits that are measured from their maximum m (see struct scale) are x - m in the tile from here on. Returns what m is
   then: 0, or still infinite: then there is no softmax, which finish_row() sees. Rare: in a function of its own. */
static __attribute__((noinline)) vec shift_far(const struct tile *tile, size_t classes, struct lanes l, vec shift, vec max) {
    const vec difference = v_sub(max, shift);
    const mask finite = v_equal(difference, difference);
    const vec at_max = v_select(finite, difference, v_set(0));
    for (size_t c = 0; c < classes; c++) {
        real *const at = tile->x + c * tile->step + l.at;
        const vec x = v_load(at);
        v_store(at, v_select(v_equal(x, max), at_max, v_sub(x, shift)));
    }
    return v_select(finite, difference, max);
}

/* A tile, from logits to values and output; `position` is its first one. Returns the sum with its values, each in its lane, 0
   where a position is ignored. */
SIMD wide finish_tile(const struct crossent_softmax_job *job, const struct tile *tile, size_t position, wide sum,
                      enum spread spread, enum crossent_output kind) {
    const size_t vectors = (tile->positions + LANES - 1) / LANES;
    struct position_targets targets[TOGETHER];
    struct row_state state[TOGETHER];
    struct scale scale[TOGETHER];
    struct row_finish done[TOGETHER];
    struct lanes l[TOGETHER];
    struct position_counts counts[TOGETHER];
    vec shift[TOGETHER];
    for (size_t v = 0; v < vectors; v++) {
        l[v] = (struct lanes){v * LANES, tile->positions - v * LANES};
        state[v].max = tile->max[v];
    }
    for (size_t v = 0; v < vectors; v++) scale[v] = scale_of(state[v].max);
    for (size_t v = 0; v < vectors; v++) {
        read_position_targets(job, l[v].n, position + l[v].at, &targets[v]);
        if (kind == CROSSENT_SCORES) counts[v] = count_positions(tile, job->classes, l[v], state[v].max, &targets[v]);
        shift[v] = scale[v].origin, scale[v].origin = v_set(0);
        if (m_count(v_equal(shift[v], v_set(0))) != LANES)
            state[v].max = shift_far(tile, job->classes, l[v], shift[v], state[v].max);
        set_targets(job, tile, l[v], position + l[v].at, &targets[v], spread, &state[v]);
        reduce_positions(job, tile, l[v], spread, kind, &scale[v], &state[v]);
    }
    const int has_target = job->target || job->probabilities.data;
    for (size_t v = 0; v < vectors; v++) {
        if (spread == NO_SPREAD && (kind == CROSSENT_NO_OUTPUT || kind == CROSSENT_GRADIENT))
            done[v] = finish_state(has_target, 0, &state[v], &scale[v], shift[v]);
        else
            finish_apart(has_target, &state[v], &scale[v], shift[v], &done[v]);
        const vec value = v_select(targets[v].live, done[v].value, v_set(0));
        if (job->values) v_store_first((real *)job->values + position + l[v].at, value, l[v].n);
        sum = wide_add(sum, v_select(m_first(l[v].n), value, v_set(0)));
    }
    for (size_t v = 0; kind == CROSSENT_SCORES && v < vectors; v++)
        score_positions(job, l[v], position + l[v].at, &targets[v], &counts[v], &scale[v], &done[v], &state[v]);
    for (size_t v = 0; crossent_writes_output(kind) && v < vectors; v++) {
        const struct position_output of = {
            .parts = {state[v].max, done[v].log_sum, v_mul(done[v].exp_scale, scale[v].inverse), done[v].spread_scale},
            .target_gradient = done[v].target_gradient,
            .live = targets[v].live,
        };
        if (tile->result)
            write_rows(job, tile, l[v], spread, kind, &of, &targets[v]);
        else
            write_positions(job, tile, l[v], spread, kind, &of, &targets[v]);
    }
    return sum;
}

/* finish_tile, compiled for what a job asks. */
typedef wide (*tile_finisher)(const struct crossent_softmax_job *job, const struct tile *tile, size_t position, wide sum);

/* How many positions a tile of this job has. */
SIMD size_t tile_positions(const struct crossent_softmax_job *job) {
    size_t n = TILE;
    while (job->inner == 1 && n > LANES && job->classes * n * sizeof(real) > TILE_BYTES) n /= 2;
    return n;
}

/* Rows first .. first + n of few classes, n up to `step`, in tiles at x and q; `rows` is room for LANES of them. */
SIMD wide softmax_of_few(tile_finisher finish, const struct crossent_softmax_job *job, size_t first, size_t n, wide sum,
                         real *x, real *q, size_t step, real *rows) {
    const size_t classes = job->classes, start = first * classes;
    vec max[TOGETHER], unused[TOGETHER];
    rows_to_tile(&job->input, classes, start, n, x, step, rows, max);
    if (job->probabilities.data) rows_to_tile(&job->probabilities, classes, start, n, q, step, rows, unused);
    const struct tile tile = {
        .x = x,
        .step = step,
        .max = max,
        .probabilities = q,
        .output = x,
        .output_step = step,
        .positions = n,
        .result = &job->output,
        .start = start,
        .rows = rows,
        .input_ahead =
            ahead_of(job->input.data, job->input.dtype, job->input.dense, start + n * classes, LANES, LANES * classes),
        .output_ahead = ahead_of(job->output.data, job->output.dtype, 1, start, LANES, LANES * classes),
    };
    return finish(job, &tile, first, sum);
}

/* Positions first .. first + n of one `outer`, n up to TILE, in tiles at x and q; the output goes to `output`, a class `step`
   behind the other. */
SIMD wide softmax_of_planes(tile_finisher finish, const struct crossent_softmax_job *job, size_t outer, size_t first, size_t n,
                            wide sum, real *x, real *q, real *output, size_t step) {
    const size_t classes = job->classes, inner = job->inner, start = outer * classes * inner + first;
    vec max[TOGETHER];
    planes_to_tile(&job->input, classes, inner, start, n, x);
    for (size_t v = 0; v * LANES < n; v++) max[v] = lanes_max(x + v * LANES, TILE, classes);
    if (job->probabilities.data) planes_to_tile(&job->probabilities, classes, inner, start, n, q);
    const struct tile tile = {
        .x = x,
        .step = TILE,
        .max = max,
        .probabilities = q,
        .output = output,
        .output_step = step,
        .positions = n,
        .input_ahead = ahead_of(job->input.data, job->input.dtype, job->input.dense, start + 2 * TILE, inner, LANES),
        .output_ahead = planes_ahead(&job->output, step > 0, start, inner, x),
    };
    return finish(job, &tile, outer * inner + first, sum);
}

/* How many positions of planes are written at once. Planes a power of two apart fall on the same few lines of every cache: a
   tile's lines, written to each plane in turn, throw each other out before they are full. */
SIMD size_t strip_of(const struct crossent_softmax_job *job) {
    if (job->inner == 1 || !crossent_writes_output(job->kind)) return 0;
    return job->classes <= STRIP_CLASSES ? STRIP : TILE;
}

SIMD size_t position_scratch_size(const struct crossent_softmax_job *job) {
    const size_t tiles = TILE * (job->probabilities.data ? 2 : 1), rows = job->inner == 1 ? LANES : 0, strip = strip_of(job);
    return job->classes <= FEW && !strip ? 0 : job->classes * (tiles + rows + strip) * sizeof(real);
}

SIMD double softmax_positions(tile_finisher finish, const struct crossent_softmax_job *job, size_t outer, size_t first,
                              size_t count, real *scratch) {
    _Alignas(64) real few[FEW * (2 * TILE + LANES)]; /* as the scratch: no vector lies across two cache lines */
    real *const x = scratch ? scratch : few, *const q = x + job->classes * TILE;
    real *const rest = job->probabilities.data ? q + job->classes * TILE : q; /* rows, or a strip */
    const size_t strip = strip_of(job), most = tile_positions(job);
    wide sum = wide_zero();
    for (size_t done = 0; done < count; done += most) {
        const size_t n = count - done < most ? count - done : most, in_strip = strip ? done % strip : 0;
        if (job->inner == 1) {
            sum = softmax_of_few(finish, job, first + done, n, sum, x, q, most, rest);
            continue;
        }
        sum = softmax_of_planes(finish, job, outer, first + done, n, sum, x, q, rest + in_strip, strip);
        if (!strip || (in_strip + TILE < strip && done + TILE < count)) continue;
        strip_to_planes(rest, strip, in_strip + n, job->classes, job->inner,
                        outer * job->classes * job->inner + first + done - in_strip, &job->output);
    }
    return wide_sum(sum);
}
