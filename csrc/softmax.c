/* softmax.c -- the driver of the softmax family: cuts a job into blocks and hands them to batch.c.
   No formula, no instruction set and no thread is known here. Called by the binding _kernels.pyx, or by any C program. */
#include <stdint.h>
#include <stdlib.h>

#include "batch.h"
#include "crossent.h"
#include "double_sum.h"

enum {
    BLOCK_LOGITS = 1 << 15,    /* per block of the batch: some 5 us of work, far above the cost of handing it out */
    BLOCK_POSITIONS = 1 << 14, /* the same, where a position costs one element */
    COLUMNS_SHARE = 8,         /* as SHARE, of blocks of a row's columns */
    TILE_POSITIONS = 64,       /* a multiple of every tile of kernels/softmax_positions.h: no block cuts one */
    GROUP_ROWS = 16,           /* the same of the rows that kernels/softmax_rows.h finishes together */
};

/* A job cut into blocks, and what they leave. */
struct run {
    const struct crossent_table *kernels;
    const struct crossent_softmax_job *job;
    size_t outer, positions; /* outer * positions is cut along the positions; rows are the positions of one outer */
    size_t per_block, blocks_per_outer;
    size_t column_blocks; /* of one row */
    size_t *bad;
    struct crossent_partial *partials;
    struct crossent_row *finished;
};

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

static struct span positions_of(const struct run *run, size_t block) {
    return span_of(run->positions, run->per_block, block % run->blocks_per_outer);
}

static double positions_body(const void *context, size_t block, void *scratch) {
    const struct run *run = context;
    const struct span s = positions_of(run, block);
    return run->kernels->positions(run->job, block / run->blocks_per_outer, s.first, s.count, scratch);
}

static double rows_body(const void *context, size_t block, void *scratch) {
    const struct run *run = context;
    const struct span s = positions_of(run, block);
    return run->kernels->rows(run->job, s.first, s.count, scratch);
}

static double nll_body(const void *context, size_t block, void *scratch) {
    (void)scratch;
    const struct run *run = context;
    const struct span s = positions_of(run, block);
    return run->kernels->nll(run->job, s.first, s.count);
}

static double target_body(const void *context, size_t block, void *scratch) {
    (void)scratch;
    const struct run *run = context;
    const struct span s = positions_of(run, block);
    return run->kernels->target_weight(run->job, s.first, s.count, &run->bad[block]);
}

static void row_block_body(const void *context, size_t i, void *scratch) {
    const struct run *run = context;
    run->kernels->row_block(run->job, i / run->column_blocks, i % run->column_blocks, &run->partials[i], scratch);
}

static void row_output_body(const void *context, size_t i, void *scratch) {
    const struct run *run = context;
    const size_t row = i / run->column_blocks;
    run->kernels->row_output(run->job, row, i % run->column_blocks, run->partials[i].max, &run->finished[row], scratch);
}

static double merge_rows(const struct run *run, struct span s) {
    struct double_sum sum = {0, 0};
    for (size_t row = s.first; row < s.first + s.count; row++)
        add_to(&sum, run->kernels->row_merge(run->job, row, run->partials + row * run->column_blocks, &run->finished[row]));
    return value_of(sum);
}

/* Fewer rows than threads: the threads share each row's columns, in the blocks in which one thread would take them. */
static int split_rows(struct run *run, int threads, double *sum) {
    const size_t rows = run->positions, pieces = rows * run->column_blocks, scratch = run->kernels->rows_scratch(run->job);
    run->partials = calloc(pieces, sizeof *run->partials);
    run->finished = calloc(rows, sizeof *run->finished);
    int failed = run->partials == NULL || run->finished == NULL;
    if (!failed) failed = run_over_blocks(pieces, COLUMNS_SHARE, scratch, threads, row_block_body, run);
    if (!failed) {
        struct double_sum total = {0, 0};
        for (size_t block = 0; block < block_count(run); block++) add_to(&total, merge_rows(run, positions_of(run, block)));
        *sum = value_of(total);
        if (crossent_writes_output(run->job->kind))
            failed = run_over_blocks(pieces, COLUMNS_SHARE, scratch, threads, row_output_body, run);
    }
    free(run->partials);
    free(run->finished);
    return failed ? -1 : 0;
}

int crossent_softmax(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum) {
    const size_t per_block = BLOCK_LOGITS / (job->classes + 1) + 1;
    const size_t whole_groups = per_block < GROUP_ROWS ? per_block : round_up(per_block, GROUP_ROWS);
    const int narrow = job->inner == 1 && job->classes <= kernels->narrow;
    if (job->inner != 1 || narrow) {
        const size_t whole_tiles = round_up(per_block, TILE_POSITIONS);
        const struct run run = cut(kernels, job, narrow ? 1 : job->outer, narrow ? job->outer : job->inner, whole_tiles);
        return sum_over_blocks(block_count(&run), SHARE, kernels->positions_scratch(job), threads, positions_body, &run, sum);
    }
    struct run run = cut(kernels, job, 1, job->outer, whole_groups);
    const int usable = crossent_usable_threads(threads);
    if (run.column_blocks > 1 && job->outer < (size_t)usable) return split_rows(&run, usable, sum);
    return sum_over_blocks(block_count(&run), SHARE, kernels->rows_scratch(job), threads, rows_body, &run, sum);
}

int crossent_nll(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum) {
    const struct run run = cut(kernels, job, 1, job->outer * job->inner, BLOCK_POSITIONS);
    return sum_over_blocks(block_count(&run), SHARE, 0, threads, nll_body, &run, sum);
}

int crossent_check_target(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads,
                          double *weight, size_t *bad) {
    struct run run = cut(kernels, job, 1, job->outer * job->inner, BLOCK_POSITIONS);
    size_t few[16];
    const size_t blocks = block_count(&run);
    *bad = SIZE_MAX;
    run.bad = blocks <= sizeof few / sizeof *few ? few : malloc(blocks * sizeof *run.bad);
    if (run.bad == NULL) return -1;
    for (size_t block = 0; block < blocks; block++) run.bad[block] = SIZE_MAX;
    const int failed = sum_over_blocks(blocks, SHARE, 0, threads, target_body, &run, weight);
    for (size_t block = 0; block < blocks && !failed && *bad == SIZE_MAX; block++) *bad = run.bad[block];
    if (run.bad != few) free(run.bad);
    return failed ? -1 : *bad != SIZE_MAX;
}
