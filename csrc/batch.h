/* batch.h -- a batch cut into blocks: each computed by some thread, with scratch of its worker; their sums added in order.
   The drivers softmax.c and pointwise.c use it. */
#ifndef CROSSENT_BATCH_H
#define CROSSENT_BATCH_H

#include <stddef.h>

static inline size_t divide_up(size_t a, size_t b) { return a / b + (a % b != 0); }
static inline size_t round_up(size_t a, size_t to) { return divide_up(a, to) * to; } /* to a multiple of it */

/* `items` things, per_block to a block but for the last one. The borders depend on the shape alone, never on threads. */
struct span {
    size_t first, count;
};
static inline struct span span_of(size_t items, size_t per_block, size_t block) {
    const size_t first = block * per_block, left = items - first;
    return (struct span){first, left < per_block ? left : per_block};
}

enum { SHARE = 2 }; /* blocks of some 5 us that are worth a thread: to start one takes 10 us */

/* *sum = body(context, 0, ...) + body(context, 1, ...) + ..., each called once, with `scratch_size` bytes of scratch (NULL for
   0) that no other call has at the same time, on so many of the threads that each has `share` blocks or more. Returns 0, or -1
   if memory ran out. */
int sum_over_blocks(size_t blocks, size_t share, size_t scratch_size, int threads,
                    double (*body)(const void *context, size_t block, void *scratch), const void *context, double *sum);

/* The same without a sum, for blocks of equal work: a thread has neighbours, and in the next call of as many the same ones. */
int run_over_blocks(size_t blocks, size_t share, size_t scratch_size, int threads,
                    void (*body)(const void *context, size_t block, void *scratch), const void *context);

#endif
