/* parallel.c -- OpenMP over numbered blocks: the only file that knows threads. Called by batch.c. */
#include "parallel.h"

#include "crossent.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>

/* libgomp's threads do not survive a fork, and a parallel region in the child would wait for them for ever (GCC bug 58378,
   closed as invalid): a forked child computes on one thread. */
static volatile int forked;
static void note_fork(void) { forked = 1; }
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, note_fork); }
#else
enum { forked = 0 };
#endif

int crossent_has_openmp(void) {
#if defined(_OPENMP)
    return 1;
#else
    return 0;
#endif
}

/* What OMP_NUM_THREADS, threadpoolctl or omp_set_num_threads allow at this moment. */
int crossent_openmp_max_threads(void) {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int crossent_usable_threads(int wanted) {
#if defined(_OPENMP)
    return forked || wanted < 1 || omp_in_parallel() ? 1 : wanted;
#else
    (void)wanted;
    return 1;
#endif
}

/* How many threads `blocks` blocks get; one does all of them here. */
static int share(size_t blocks, int threads, void (*body)(void *context, size_t block, size_t worker), void *context) {
    threads = crossent_usable_threads(threads);
    if ((size_t)threads > blocks) threads = (int)blocks;
    for (size_t block = 0; threads <= 1 && block < blocks; block++) body(context, block, 0);
    return threads;
}

void parallel_for(size_t blocks, int threads, void (*body)(void *context, size_t block, size_t worker), void *context) {
    if ((threads = share(blocks, threads, body, context)) <= 1) return;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (ptrdiff_t block = 0; block < (ptrdiff_t)blocks; block++) body(context, (size_t)block, (size_t)omp_get_thread_num());
#endif
}

void parallel_runs(size_t blocks, int threads, void (*body)(void *context, size_t block, size_t worker), void *context) {
    if ((threads = share(blocks, threads, body, context)) <= 1) return;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) schedule(static)
    for (ptrdiff_t block = 0; block < (ptrdiff_t)blocks; block++) body(context, (size_t)block, (size_t)omp_get_thread_num());
#endif
}
