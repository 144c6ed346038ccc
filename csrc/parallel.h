/* parallel.h -- run numbered blocks on threads. */
#ifndef CROSSENT_PARALLEL_H
#define CROSSENT_PARALLEL_H

#include <stddef.h>

/* Call body(context, block, worker) for every block below `blocks`, in any order, on at most `threads` threads; a worker is a
   number below `threads` that no other block has at the same time. What a block does must not depend on the order; sums are
   stored per block and added by the caller, in block order. */
void parallel_for(size_t blocks, int threads, void (*body)(void *context, size_t block, size_t worker), void *context);

/* The same in runs: a thread has blocks that are neighbours, and in the next call of as many the same ones, which its caches
   may still hold. For blocks of equal work. */
void parallel_runs(size_t blocks, int threads, void (*body)(void *context, size_t block, size_t worker), void *context);

#endif
