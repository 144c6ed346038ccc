/* pointwise.c -- the driver of the elementwise losses and of the margin losses: cuts a job into blocks for batch.c.
   No formula, no instruction set and no thread is known here. Called by the binding _kernels.pyx, or by any C program. */
#include <stdint.h>
#include <stdlib.h>

#include "batch.h"
#include "crossent.h"

enum { BLOCK_ELEMENTS = 1 << 15 }; /* per block of the batch: some 5 us of work, far above the cost of handing it out */

const char *crossent_pointwise_name(size_t loss) {
#define NAME(name) #name,
    static const char *const names[] = {CROSSENT_EACH_POINTWISE(NAME)};
#undef NAME
    return loss < CROSSENT_POINTWISE_LOSSES ? names[loss] : NULL;
}

struct pointwise_run {
    const struct crossent_table *kernels;
    const struct crossent_pointwise_job *job;
    size_t groups, per_block;
};

static double pointwise_body(const void *context, size_t block, void *scratch) {
    const struct pointwise_run *run = context;
    const struct span s = span_of(run->groups, run->per_block, block);
    return run->kernels->pointwise(run->job, s.first * run->job->group, s.count * run->job->group, scratch);
}

int crossent_pointwise(const struct crossent_table *kernels, const struct crossent_pointwise_job *job, int threads,
                       double *sum) {
    const size_t groups = job->count / job->group, per_block = divide_up(BLOCK_ELEMENTS, job->group);
    const struct pointwise_run run = {kernels, job, groups, per_block};
    return sum_over_blocks(divide_up(groups, per_block), SHARE, kernels->pointwise_scratch(job), threads, pointwise_body, &run,
                           sum);
}

struct range_run {
    const struct crossent_table *kernels;
    const struct crossent_view *view;
    size_t count;
    double low, high;
    size_t *bad;
};

static void range_body(const void *context, size_t block, void *scratch) {
    const struct range_run *run = context;
    const struct span s = span_of(run->count, BLOCK_ELEMENTS, block);
    run->bad[block] = run->kernels->outside(run->view, run->low, run->high, s.first, s.count, scratch);
}

int crossent_check_range(const struct crossent_table *kernels, const struct crossent_view *view, size_t count, double low,
                         double high, int threads, size_t *bad) {
    const size_t blocks = divide_up(count, BLOCK_ELEMENTS);
    const struct crossent_pointwise_job job = {.input = *view};
    *bad = SIZE_MAX;
    struct range_run run = {kernels, view, count, low, high, malloc(blocks * sizeof(size_t) + 1)};
    if (run.bad == NULL) return -1;
    const int failed = run_over_blocks(blocks, SHARE, kernels->pointwise_scratch(&job), threads, range_body, &run);
    for (size_t block = 0; block < blocks && !failed && *bad == SIZE_MAX; block++) *bad = run.bad[block];
    free(run.bad);
    return failed ? -1 : *bad != SIZE_MAX;
}

struct margin_run {
    const struct crossent_table *kernels;
    const struct crossent_margin_job *job;
    size_t per_block;
};

static double margin_body(const void *context, size_t block, void *scratch) {
    const struct margin_run *run = context;
    const struct span s = span_of(run->job->rows, run->per_block, block);
    return run->kernels->margin(run->job, s.first, s.count, scratch);
}

int crossent_margin(const struct crossent_table *kernels, const struct crossent_margin_job *job, int threads, double *sum) {
    const struct margin_run run = {kernels, job, BLOCK_ELEMENTS / (job->classes + 1) + 1};
    const size_t blocks = divide_up(job->rows, run.per_block);
    return sum_over_blocks(blocks, SHARE, kernels->margin_scratch(job), threads, margin_body, &run, sum);
}
