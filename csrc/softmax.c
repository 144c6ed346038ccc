/* softmax.c -- the driver: cuts a job into blocks, hands them to parallel_for, adds their sums in block order.
   No formula, no instruction set and no thread is known here. Called by the binding _kernels.pyx, or by any C program. */
#include <stdlib.h>

#include "crossent.h"
#include "double_sum.h"
#include "parallel.h"

enum {
    BLOCK_LOGITS = 1 << 16,    /* per block of the batch: some 10 us of work, far above the cost of handing it out */
    BLOCK_POSITIONS = 1 << 14, /* the same, where a position costs one element */
    TILE_POSITIONS = 64,       /* a multiple of every tile of kernels/softmax_positions.h: no block cuts one */
};

/* A job cut into blocks, and what they leave. The borders depend on the shape alone, never on the number of threads. */
struct run {
    const struct crossent_table *kernels;
    const struct crossent_softmax_job *job;
    size_t outer, positions; /* outer * positions is cut along the positions; rows are the positions of one outer */
    size_t per_block, blocks_per_outer;
    size_t column_blocks; /* of one row */
    double *sums, *maxima;
    size_t *bad;
    struct crossent_partial *partials;
    struct crossent_row *finished;
};

/* The positions of one block of the batch. */
struct span {
    size_t outer, first, count;
};

static size_t divide_up(size_t a, size_t b) { return a / b + (a % b != 0); }

static struct run cut(const struct crossent_table *kernels, const struct crossent_softmax_job *job, size_t outer,
                      size_t positions, size_t per_block) {
    return (struct run){
        .kernels = kernels,
        .job = job,
        .outer = outer,
        .positions = positions,
        .per_block = per_block,
        .blocks_per_outer = divide_up(positions, per_block),
        .column_blocks = divide_up(job->classes, kernels->block),
    };
}

static size_t block_count(const struct run *run) { return run->outer * run->blocks_per_outer; }

static struct span span_of(const struct run *run, size_t block) {
    const size_t first = block % run->blocks_per_outer * run->per_block, left = run->positions - first;
    return (struct span){block / run->blocks_per_outer, first, left < run->per_block ? left : run->per_block};
}

static double add_in_order(const double *sums, size_t n) {
    struct double_sum total = {0, 0};
    for (size_t i = 0; i < n; i++) add_to(&total, sums[i]);
    return value_of(total);
}

/* One double for each block, `each` more for each block, in one piece; NULL if there is no memory. */
static double *allocate_sums(size_t blocks, size_t each) {
    if (each > SIZE_MAX / sizeof(double) / (blocks + 1) - 1) return NULL;
    return calloc(blocks * (1 + each) + 1, sizeof(double));
}

static void positions_body(void *context, size_t block) {
    const struct run *run = context;
    const struct span s = span_of(run, block);
    run->sums[block] = run->kernels->positions(run->job, s.outer, s.first, s.count);
}

static void rows_body(void *context, size_t block) {
    const struct run *run = context;
    const struct span s = span_of(run, block);
    run->sums[block] = run->kernels->rows(run->job, s.first, s.count, run->maxima + block * run->column_blocks);
}

static void nll_body(void *context, size_t block) {
    const struct run *run = context;
    const struct span s = span_of(run, block);
    run->sums[block] = run->kernels->nll(run->job, s.first, s.count);
}

static void target_body(void *context, size_t block) {
    const struct run *run = context;
    const struct span s = span_of(run, block);
    run->sums[block] = run->kernels->target_weight(run->job, s.first, s.count, &run->bad[block]);
}

static int sum_over_blocks(struct run *run, size_t each, int threads, void (*body)(void *, size_t), double *sum) {
    const size_t blocks = block_count(run);
    run->sums = allocate_sums(blocks, each);
    if (run->sums == NULL) return -1;
    run->maxima = run->sums + blocks;
    parallel_for(blocks, threads, body, run);
    *sum = add_in_order(run->sums, blocks);
    free(run->sums);
    return 0;
}

static void row_block_body(void *context, size_t i) {
    const struct run *run = context;
    run->kernels->row_block(run->job, i / run->column_blocks, i % run->column_blocks, &run->partials[i]);
}

static void row_output_body(void *context, size_t i) {
    const struct run *run = context;
    const size_t row = i / run->column_blocks;
    run->kernels->row_output(run->job, row, i % run->column_blocks, run->partials[i].max, &run->finished[row]);
}

static double merge_rows(const struct run *run, struct span s) {
    struct double_sum sum = {0, 0};
    for (size_t row = s.first; row < s.first + s.count; row++)
        add_to(&sum, run->kernels->row_merge(run->job, row, run->partials + row * run->column_blocks, &run->finished[row]));
    return value_of(sum);
}

/* Fewer rows than threads: the threads share each row's columns, in the blocks in which one thread would take them. */
static int split_rows(struct run *run, int threads, double *sum) {
    const size_t rows = run->positions, pieces = rows * run->column_blocks;
    run->partials = calloc(pieces, sizeof *run->partials);
    run->finished = calloc(rows, sizeof *run->finished);
    const int failed = run->partials == NULL || run->finished == NULL;
    if (!failed) {
        parallel_for(pieces, threads, row_block_body, run);
        struct double_sum total = {0, 0};
        for (size_t block = 0; block < block_count(run); block++) add_to(&total, merge_rows(run, span_of(run, block)));
        *sum = value_of(total);
        if (run->job->kind != CROSSENT_NO_OUTPUT) parallel_for(pieces, threads, row_output_body, run);
    }
    free(run->partials);
    free(run->finished);
    return failed ? -1 : 0;
}

int crossent_softmax(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum) {
    const size_t per_block = BLOCK_LOGITS / (job->classes + 1) + 1;
    if (job->inner != 1) {
        struct run run = cut(kernels, job, job->outer, job->inner, divide_up(per_block, TILE_POSITIONS) * TILE_POSITIONS);
        return sum_over_blocks(&run, 0, threads, positions_body, sum);
    }
    if (job->classes <= kernels->narrow) {
        struct run run = cut(kernels, job, 1, job->outer, divide_up(per_block, TILE_POSITIONS) * TILE_POSITIONS);
        return sum_over_blocks(&run, 0, threads, positions_body, sum);
    }
    struct run run = cut(kernels, job, 1, job->outer, per_block);
    const int usable = crossent_usable_threads(threads);
    if (run.column_blocks > 1 && job->outer < (size_t)usable) return split_rows(&run, usable, sum);
    return sum_over_blocks(&run, run.column_blocks, threads, rows_body, sum);
}

int crossent_nll(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum) {
    struct run run = cut(kernels, job, 1, job->outer * job->inner, BLOCK_POSITIONS);
    return sum_over_blocks(&run, 0, threads, nll_body, sum);
}

int crossent_check_target(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads,
                          double *weight, size_t *bad) {
    struct run run = cut(kernels, job, 1, job->outer * job->inner, BLOCK_POSITIONS);
    const size_t blocks = block_count(&run);
    *bad = SIZE_MAX;
    run.bad = malloc((blocks + 1) * sizeof *run.bad);
    if (run.bad == NULL) return -1;
    for (size_t block = 0; block < blocks; block++) run.bad[block] = SIZE_MAX;
    const int failed = sum_over_blocks(&run, 0, threads, target_body, weight);
    for (size_t block = 0; block < blocks && !failed && *bad == SIZE_MAX; block++) *bad = run.bad[block];
    free(run.bad);
    return failed ? -1 : *bad != SIZE_MAX;
}
