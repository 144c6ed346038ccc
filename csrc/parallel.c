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

static void work_alone(size_t blocks, void (*body)(void *context, size_t block, size_t worker), void *context) {
    for (size_t block = 0; block < blocks; block++) body(context, block, 0);
}

void parallel_for(size_t blocks, struct team team, void (*body)(void *context, size_t block, size_t worker), void *context) {
    if (team.workers <= 1) {
        work_alone(blocks, body, context);
        return;
    }
#if defined(_OPENMP)
    size_t next = 0;
#pragma omp parallel num_threads(team.threads)
    {
        const int worker = omp_get_thread_num();
        size_t block = 0;
        while (worker < team.workers) {
#pragma omp atomic capture
            block = next++;
            if (block >= blocks) break;
            body(context, block, (size_t)worker);
        }
    }
#endif
}

void parallel_runs(size_t blocks, struct team team, void (*body)(void *context, size_t block, size_t worker), void *context) {
    if (team.workers <= 1) {
        work_alone(blocks, body, context);
        return;
    }
#if defined(_OPENMP)
#pragma omp parallel num_threads(team.threads)
    {
        const int there = omp_get_num_threads(), workers = there < team.workers ? there : team.workers;
        const size_t worker = (size_t)omp_get_thread_num(), run = (blocks - 1) / (size_t)workers + 1;
        for (size_t block = worker * run; block < blocks && block < (worker + 1) * run; block++) body(context, block, worker);
    }
#endif
}
