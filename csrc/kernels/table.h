/* table.h -- every kernel of one target, compiled for each kind of coefficients, and the members of its table.
   Included behind a header of simd/ by the files of targets/; nothing else calls these functions by name. */
#include <math.h>

#include "arrays.h"
#include "vec_math.h"
#include "softmax_formula.h"
#include "score.h"
#include "row_blocks.h"
#include "softmax_rows.h"
#include "tiles.h"
#include "position_output.h"
#include "softmax_positions.h"
#include "nll.h"
#include "pointwise.h"
#include "margin.h"

/* X(spread, kind): a loop is compiled for each kind of coefficients and each output, so that none asks inside which it has.
   A log-softmax has no target, so no spread. */
#define EACH_KERNEL(X) \
    X(NO_SPREAD, LOG_SOFTMAX) \
    X(NO_SPREAD, NO_OUTPUT) \
    X(UNIFORM, NO_OUTPUT) \
    X(WEIGHTS, NO_OUTPUT) \
    X(PROBABILITIES, NO_OUTPUT) \
    X(WEIGHTED_PROBABILITIES, NO_OUTPUT) \
    X(NO_SPREAD, SCORES) \
    X(NO_SPREAD, GRADIENT) \
    X(UNIFORM, GRADIENT) X(WEIGHTS, GRADIENT) X(PROBABILITIES, GRADIENT) X(WEIGHTED_PROBABILITIES, GRADIENT)

/* The sums of a log-softmax are a loss's, for its output is made of the logits: compilers keep one copy of two such functions.
 */
SIMD enum crossent_output reduced_as(enum crossent_output kind) {
    return kind == CROSSENT_LOG_SOFTMAX ? CROSSENT_NO_OUTPUT : kind;
}

#define DEFINE(spread, kind) \
    static void reduce_##spread##_##kind(const struct crossent_softmax_job *job, const size_t *rows, size_t n, size_t block, \
                                         const struct row_scratch *scratch, struct crossent_partial *partials) { \
        reduce_blocks(job, rows, n, block, spread, reduced_as(CROSSENT_##kind), scratch, partials); \
    } \
    static void write_##spread##_##kind(const struct crossent_softmax_job *job, size_t row, size_t block, double scale, \
                                        const struct crossent_row *done, const struct row_scratch *scratch, size_t slot) { \
        if (crossent_writes_output(CROSSENT_##kind)) /* or nobody calls this */ \
            write_block(job, row, block, scale, done, spread, CROSSENT_##kind, scratch, slot); \
    } \
    static wide finish_##spread##_##kind(const struct crossent_softmax_job *job, const struct tile *tile, size_t position, \
                                         wide sum) { \
        return finish_tile(job, tile, position, sum, spread, CROSSENT_##kind); \
    }
EACH_KERNEL(DEFINE)
#undef DEFINE

#define ROW_KERNELS(spread, kind) [CROSSENT_##kind][spread] = {spread, reduce_##spread##_##kind, write_##spread##_##kind},
static const struct row_kernels row_kernels[CROSSENT_OUTPUTS][SPREADS] = {EACH_KERNEL(ROW_KERNELS)};
#undef ROW_KERNELS

#define FINISHER(spread, kind) [CROSSENT_##kind][spread] = finish_##spread##_##kind,
static const tile_finisher tile_finishers[CROSSENT_OUTPUTS][SPREADS] = {EACH_KERNEL(FINISHER)};
#undef FINISHER

static const struct row_kernels *row_kernels_of(const struct crossent_softmax_job *job) {
    return &row_kernels[job->kind][spread_of(job)];
}

static double positions(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t count, void *scratch) {
    return softmax_positions(tile_finishers[job->kind][spread_of(job)], job, outer, first, count, scratch);
}
static size_t positions_scratch(const struct crossent_softmax_job *job) { return position_scratch_size(job); }

static double rows(const struct crossent_softmax_job *job, size_t first, size_t count, void *scratch) {
    return softmax_rows(row_kernels_of(job), job, first, count, scratch);
}
static size_t rows_scratch(const struct crossent_softmax_job *job) { return row_scratch_size(job); }

static void row_block(const struct crossent_softmax_job *job, size_t row, size_t block, struct crossent_partial *partial,
                      void *memory) {
    const struct crossent_partial nothing = {0};
    const struct row_scratch scratch = row_scratch_in(job, memory);
    *partial = nothing;
    if (is_live(job, row)) row_kernels_of(job)->reduce(job, &row, 1, block, &scratch, partial);
}

static double row_merge(const struct crossent_softmax_job *job, size_t row, const struct crossent_partial *partials,
                        struct crossent_row *finished) {
    struct crossent_partial whole = partials[0];
    for (size_t block = 1; block < block_count(job->classes); block++) whole = merge_partials(whole, partials[block]);
    struct row_lanes lanes = {0};
    struct row_results results;
    if (is_live(job, row)) set_lane(&lanes, 0, job, row, &whole, spread_of(job));
    finish_lanes(job, &lanes, &results, spread_of(job));
    *finished = result_of(&lanes, &results, 0);
    if (job->values) ((real *)job->values)[row] = results.value[0];
    if (job->kind == CROSSENT_SCORES) put_score(job, row, is_live(job, row), &results.score, 0, whole.argmax, whole.before);
    return (double)results.value[0];
}

static void row_output(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                       const struct crossent_row *finished, void *memory) {
    const struct row_scratch scratch = row_scratch_in(job, memory);
    if (is_live(job, row))
        write_one_of_blocks(row_kernels_of(job), job, row, block, block_max, finished, &scratch);
    else
        put_zeros(&job->output, row * job->classes + block * BLOCK, block_width(job->classes, block));
}

static double nll(const struct crossent_softmax_job *job, size_t first, size_t count) {
    return nll_positions(job, first, count);
}

static double target_weight(const struct crossent_softmax_job *job, size_t first, size_t count, size_t *bad) {
    return sum_target_weight(job, first, count, bad);
}

/* X(loss, derivative): what there is of each loss. */
#define EACH_VALUE(X) CROSSENT_EACH_POINTWISE(X)
#define EACH_DERIVATIVE(X) \
    X(mse_loss, BY_INPUT) \
    X(mse_loss, BY_TARGET) \
    X(l1_loss, BY_INPUT) \
    X(l1_loss, BY_TARGET) \
    X(smooth_l1_loss, BY_INPUT) \
    X(smooth_l1_loss, BY_TARGET) \
    X(huber_loss, BY_INPUT) \
    X(huber_loss, BY_TARGET) \
    X(binary_cross_entropy, BY_INPUT) \
    X(binary_cross_entropy, BY_TARGET) \
    X(binary_cross_entropy_with_logits, BY_INPUT) \
    X(binary_cross_entropy_with_logits, BY_TARGET) \
    X(kl_div, BY_INPUT) \
    X(kl_div, BY_TARGET) \
    X(kl_div_log_target, BY_INPUT) \
    X(kl_div_log_target, BY_TARGET) \
    X(soft_margin_loss, BY_INPUT) \
    X(hinge_embedding_loss, BY_INPUT) \
    X(gaussian_nll_loss, BY_INPUT) \
    X(gaussian_nll_loss, BY_TARGET) \
    X(gaussian_nll_loss, BY_EXTRA) \
    X(poisson_nll_loss, BY_INPUT) \
    X(poisson_nll_loss, BY_TARGET) \
    X(poisson_nll_loss_log_input, BY_INPUT) \
    X(poisson_nll_loss_log_input, BY_TARGET) \
    X(sigmoid_focal_loss, BY_INPUT) \
    X(sigmoid_focal_loss, BY_TARGET) \
    X(logsigmoid, BY_INPUT) \
    X(sigmoid, BY_INPUT)

#define POINTWISE_KERNEL(loss, derivative) \
    static double loss##_##derivative(const struct crossent_pointwise_job *job, size_t first, size_t count, real *scratch, \
                                      real *each) { \
        return pointwise_run(job, first, count, scratch, each, loss, CROSSENT_##derivative); \
    }
#define POINTWISE_VALUE(loss) POINTWISE_KERNEL(loss, NO_DERIVATIVE)
EACH_VALUE(POINTWISE_VALUE)
EACH_DERIVATIVE(POINTWISE_KERNEL)
#undef POINTWISE_VALUE
#undef POINTWISE_KERNEL

#define POINTWISE_ENTRY(loss, derivative) [CROSSENT_##loss][CROSSENT_##derivative] = loss##_##derivative,
#define POINTWISE_VALUE(loss) POINTWISE_ENTRY(loss, NO_DERIVATIVE)
static const pointwise_kernel pointwise_kernels[CROSSENT_POINTWISE_LOSSES][CROSSENT_DERIVATIVES] = {
    EACH_VALUE(POINTWISE_VALUE) EACH_DERIVATIVE(POINTWISE_ENTRY)};
#undef POINTWISE_VALUE
#undef POINTWISE_ENTRY

static double pointwise(const struct crossent_pointwise_job *job, size_t first, size_t count, void *scratch) {
    return pointwise_groups(pointwise_kernels[job->loss][job->derivative], job, first, count, scratch);
}
static size_t pointwise_scratch(const struct crossent_pointwise_job *job) { return pointwise_scratch_size(job); }
static size_t outside(const struct crossent_view *view, double low, double high, size_t first, size_t count, void *scratch) {
    return first_outside(view, low, high, first, count, scratch);
}

static double margin(const struct crossent_margin_job *job, size_t first, size_t count, void *scratch) {
    return margin_rows(job, first, count, scratch);
}
static size_t margin_scratch(const struct crossent_margin_job *job) { return margin_scratch_size(job); }

SIMD void map_vectors(const real *in, real *out, size_t n, vec (*f)(vec)) {
    for (size_t i = 0; i < n; i += LANES) v_store_first(out + i, f(v_load_first(in + i, n - i, v_set(0))), n - i);
}
static void exp_values(const void *in, void *out, size_t n) { map_vectors(in, out, n, v_exp); }
static void log1p_values(const void *in, void *out, size_t n) { map_vectors(in, out, n, v_log1p); }
static void log_values(const void *in, void *out, size_t n) { map_vectors(in, out, n, v_log); }

#define TABLE(name) \
    { \
        .isa = name, \
        .block = BLOCK, \
        .narrow = NARROW, \
        .positions = positions, \
        .positions_scratch = positions_scratch, \
        .rows = rows, \
        .rows_scratch = rows_scratch, \
        .row_block = row_block, \
        .row_merge = row_merge, \
        .row_output = row_output, \
        .nll = nll, \
        .target_weight = target_weight, \
        .pointwise = pointwise, \
        .pointwise_scratch = pointwise_scratch, \
        .outside = outside, \
        .margin = margin, \
        .margin_scratch = margin_scratch, \
        .exp = exp_values, \
        .log1p = log1p_values, \
        .log = log_values, \
    }
