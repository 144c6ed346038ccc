/* batch.c -- blocks of a batch on threads: scratch for each worker, sums in block order. No formula is known here, and no
   thread: parallel.c has those. Called by the drivers softmax.c and pointwise.c. */
#include "batch.h"

#include <stdint.h>
#include <stdlib.h>

#include "crossent.h"
#include "double_sum.h"
#include "parallel.h"

enum { CACHE_LINE = 64 }; /* workers do not share one, and no vector lies across two */

struct work {
    double (*sum_body)(const void *context, size_t block, void *scratch);
    void (*body)(const void *context, size_t block, void *scratch);
    const void *context;
    double *sums;
    char *memory;
    char *scratch; /* of the first worker: the start of a cache line in the memory */
    size_t scratch_size;
};

static void work_on(void *context, size_t block, size_t worker) {
    const struct work *work = context;
    void *const scratch = work->scratch ? work->scratch + worker * work->scratch_size : NULL;
    if (work->sums)
        work->sums[block] = work->sum_body(work->context, block, scratch);
    else
        work->body(work->context, block, scratch);
}

static int allocate_scratch(struct work *work, size_t size, int workers) {
    work->scratch_size = round_up(size, CACHE_LINE);
    if (size == 0) return 0;
    if (size > SIZE_MAX / 2 / (size_t)workers) return -1;
    work->memory = malloc(work->scratch_size * (size_t)workers + CACHE_LINE - 1);
    if (work->memory == NULL) return -1;
    work->scratch = work->memory + -(uintptr_t)work->memory % CACHE_LINE;
    return 0;
}

static struct team team_for(size_t blocks, size_t share, int threads) {
    const size_t most = blocks / share, usable = (size_t)crossent_usable_threads(threads);
    return (struct team){.threads = (int)usable, .workers = usable > most ? (int)most + (most == 0) : (int)usable};
}

int run_over_blocks(size_t blocks, size_t share, size_t scratch_size, int threads,
                    void (*body)(const void *context, size_t block, void *scratch), const void *context) {
    struct work work = {.body = body, .context = context};
    const struct team team = team_for(blocks, share, threads);
    if (allocate_scratch(&work, scratch_size, team.workers) < 0) return -1;
    parallel_runs(blocks, team, work_on, &work);
    free(work.memory);
    return 0;
}

int sum_over_blocks(size_t blocks, size_t share, size_t scratch_size, int threads,
                    double (*body)(const void *context, size_t block, void *scratch), const void *context, double *sum) {
    double few[16];
    struct work work = {.sum_body = body, .context = context, .sums = few};
    const struct team team = team_for(blocks, share, threads);
    if (blocks > sizeof few / sizeof *few) work.sums = blocks > SIZE_MAX / sizeof *few ? NULL : malloc(blocks * sizeof *few);
    if (work.sums == NULL) return -1;
    const int failed = allocate_scratch(&work, scratch_size, team.workers) < 0;
    struct double_sum total = {0, 0};
    if (!failed) {
        parallel_for(blocks, team, work_on, &work);
        for (size_t block = 0; block < blocks; block++) add_to(&total, work.sums[block]);
    }
    *sum = value_of(total);
    free(work.memory);
    if (work.sums != few) free(work.sums);
    return failed ? -1 : 0;
}
