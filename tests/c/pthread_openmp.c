/* pthread_openmp.c -- OpenMP's part in parallel.c on POSIX threads: what GCC makes of its parallel regions calls these
   functions. Linked before libgomp by `make sanitize-threads`, because ThreadSanitizer knows what pthread_create() and
   pthread_join() order, and nothing of libgomp, whose code is not instrumented. Blocks are handed out by a relaxed counter,
   which orders nothing: two blocks that touch the same memory are a race, whichever thread had them. */
#include <pthread.h>
#include <stdlib.h>

enum { MOST = 64 };

struct team {
    void (*body)(void *data);
    void *data;
    int threads;
};
struct member {
    struct team *team;
    int number;
};
static _Thread_local struct member self;

static void *work(void *member) {
    self = *(struct member *)member;
    self.team->body(self.team->data);
    self.team = NULL;
    return NULL;
}

void GOMP_parallel(void (*body)(void *data), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
int omp_in_parallel(void);

void GOMP_parallel(void (*body)(void *data), void *data, unsigned threads, unsigned flags) {
    struct team team = {.body = body, .data = data, .threads = (int)threads};
    struct member members[MOST];
    pthread_t others[MOST];
    if (threads > MOST || flags) abort();
    for (unsigned i = 0; i < threads; i++) members[i] = (struct member){&team, (int)i};
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, work, &members[i])) abort();
    work(&members[0]);
    for (unsigned i = 1; i < threads; i++) pthread_join(others[i], NULL);
}

int omp_get_thread_num(void) { return self.number; }
int omp_get_num_threads(void) { return self.team->threads; }
int omp_get_max_threads(void) { return 4; }
int omp_in_parallel(void) { return self.team != NULL; }
