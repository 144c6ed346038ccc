/* parallel.h -- run numbered blocks on threads. */
#ifndef CROSSENT_PARALLEL_H
#define CROSSENT_PARALLEL_H

#include <stddef.h>

/* A team of threads, of which the first `workers` take blocks. The others wait: libgomp ends the threads that a smaller team
   does not need, and to start one again takes 25 us, so that teams should be of one size. One worker needs no team. */
struct team {
    int threads, workers;
};

/* Call body(context, block, worker) for every block below `blocks`, in any order; a worker is a number below `workers` that no
   other block has at the same time. What a block does must not depend on the order; sums are stored per block and added by the
   caller, in block order. */
void parallel_for(size_t blocks, struct team team, void (*body)(void *context, size_t block, size_t worker), void *context);

/* The same in runs: a worker has blocks that are neighbours, and in the next call of as many the same ones, which its caches
   may still hold. For blocks of equal work. */
void parallel_runs(size_t blocks, struct team team, void (*body)(void *context, size_t block, size_t worker), void *context);

#endif
