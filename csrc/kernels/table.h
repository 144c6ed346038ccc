/* table.h -- every kernel of one target, compiled for each kind of coefficients, and the members of its table.
   Included behind a header of simd/ by the files of targets/; nothing else calls these functions by name. */
#include "softmax_formula.h"
#include "softmax_positions.h"
#include "softmax_rows.h"
#include "nll.h"

/* X(spread, kind): a loop is compiled for each kind of coefficients and each output, so that none asks inside which it has.
   A log-softmax has no target, so no spread. */
#define EACH_KERNEL(X) \
    X(NO_SPREAD, LOG_SOFTMAX) \
    X(NO_SPREAD, NO_OUTPUT) \
    X(UNIFORM, NO_OUTPUT) \
    X(WEIGHTS, NO_OUTPUT) \
    X(PROBABILITIES, NO_OUTPUT) \
    X(WEIGHTED_PROBABILITIES, NO_OUTPUT) \
    X(NO_SPREAD, GRADIENT) \
    X(UNIFORM, GRADIENT) X(WEIGHTS, GRADIENT) X(PROBABILITIES, GRADIENT) X(WEIGHTED_PROBABILITIES, GRADIENT)

#define DEFINE(spread, kind) \
    static struct crossent_partial reduce_##spread##_##kind(const struct crossent_softmax_job *job, size_t row, \
                                                            size_t block) { \
        return reduce_block(job, row, block, spread, CROSSENT_##kind); \
    } \
    static void write_##spread##_##kind(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max, \
                                        const struct crossent_row *done) { \
        write_block(job, row, block, block_max, done, spread, CROSSENT_##kind); \
    } \
    static vec finish_##spread##_##kind(const struct crossent_softmax_job *job, const struct tile *tile, size_t v, \
                                        size_t position, vec max) { \
        return finish_positions(job, tile, v, position, max, spread, CROSSENT_##kind); \
    }
EACH_KERNEL(DEFINE)
#undef DEFINE

#define ROW_KERNELS(spread, kind) [CROSSENT_##kind][spread] = {spread, reduce_##spread##_##kind, write_##spread##_##kind},
static const struct row_kernels row_kernels[CROSSENT_OUTPUTS][SPREADS] = {EACH_KERNEL(ROW_KERNELS)};
#undef ROW_KERNELS

#define FINISHER(spread, kind) [CROSSENT_##kind][spread] = finish_##spread##_##kind,
static const position_finisher position_finishers[CROSSENT_OUTPUTS][SPREADS] = {EACH_KERNEL(FINISHER)};
#undef FINISHER

static const struct row_kernels *row_kernels_of(const struct crossent_softmax_job *job) {
    return &row_kernels[job->kind][spread_of(job)];
}

static double positions(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t count) {
    return softmax_positions(position_finishers[job->kind][spread_of(job)], job, outer, first, count);
}

static double rows(const struct crossent_softmax_job *job, size_t first, size_t count, double *maxima) {
    return softmax_rows(row_kernels_of(job), job, first, count, maxima);
}

static void row_block(const struct crossent_softmax_job *job, size_t row, size_t block, struct crossent_partial *partial) {
    const struct crossent_partial nothing = {0};
    *partial = is_live(job, row) ? row_kernels_of(job)->reduce(job, row, block) : nothing;
}

static double row_merge(const struct crossent_softmax_job *job, size_t row, const struct crossent_partial *partials,
                        struct crossent_row *finished) {
    struct crossent_partial whole = partials[0];
    for (size_t block = 1; block < block_count(job->classes); block++) whole = merge_partials(whole, partials[block]);
    struct row_lanes lanes = {0};
    struct row_results results;
    set_lane(&lanes, 0, job, row, is_live(job, row) ? &whole : NULL, spread_of(job));
    finish_lanes(job, &lanes, &results, spread_of(job));
    *finished = result_of(&lanes, &results, 0);
    if (job->values) ((real *)job->values)[row] = results.value[0];
    return (double)results.value[0];
}

static void row_output(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                       const struct crossent_row *finished) {
    real *const output = (real *)job->output + row * job->classes + block * BLOCK;
    if (is_live(job, row))
        row_kernels_of(job)->write(job, row, block, block_max, finished);
    else
        memset(output, 0, block_width(job->classes, block) * sizeof(real));
}

static double nll(const struct crossent_softmax_job *job, size_t first, size_t count) {
    return nll_positions(job, first, count);
}

static double target_weight(const struct crossent_softmax_job *job, size_t first, size_t count, size_t *bad) {
    return sum_target_weight(job, first, count, bad);
}

SIMD void map_vectors(const real *in, real *out, size_t n, vec (*f)(vec)) {
    for (size_t i = 0; i < n; i += LANES) v_store_first(out + i, f(v_load_first(in + i, n - i, v_set(0))), n - i);
}
static void exp_values(const void *in, void *out, size_t n) { map_vectors(in, out, n, v_exp); }
static void log1p_values(const void *in, void *out, size_t n) { map_vectors(in, out, n, v_log1p); }

#define TABLE(name) \
    { \
        .isa = name, \
        .block = BLOCK, \
        .narrow = NARROW, \
        .positions = positions, \
        .rows = rows, \
        .row_block = row_block, \
        .row_merge = row_merge, \
        .row_output = row_output, \
        .nll = nll, \
        .target_weight = target_weight, \
        .exp = exp_values, \
        .log1p = log1p_values, \
    }
