/* test_threads.c -- every driver of the core on several threads, and called by several threads at once, for ThreadSanitizer to
   watch (`make sanitize-threads`): each job in so many blocks that all threads have some. The results are those of one thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crossent.h"
#include "derivatives.h"

enum { THREADS = 4, CALLERS = 3, COUNT = 300000, TARGETS = COUNT };

/* Bytes that are small numbers in every type. */
static double inputs[COUNT], others[COUNT];
static int64_t targets[TARGETS];

/* Inputs are shared, outputs are a caller's own. */
struct caller {
    const char *isa;
    enum crossent_dtype real;
    int threads;
    double values[COUNT], output[COUNT], confidence[COUNT], entropy[COUNT], brier[COUNT];
    int64_t predicted[COUNT], rank[COUNT];
    uint64_t hash; /* of all that its calls gave: FNV-1a, by C. Fowler, L. C. Noll and K.-P. Vo */
};

static void add_bytes(struct caller *to, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) to->hash = (to->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
}

static struct crossent_view view(const void *data, enum crossent_dtype dtype, size_t n) {
    const ptrdiff_t shape[] = {(ptrdiff_t)n}, strides[] = {(ptrdiff_t)crossent_size_of(dtype)};
    struct crossent_view v;
    if (crossent_view(&v, data, dtype, 0, 1, shape, strides)) abort();
    return v;
}

static void took(struct caller *c, int status, double sum, size_t values, size_t outputs, enum crossent_dtype output) {
    if (status < 0) abort();
    add_bytes(c, &sum, sizeof sum);
    add_bytes(c, c->values, values * crossent_size_of(c->real));
    add_bytes(c, c->output, outputs * crossent_size_of(output));
}

static void call_softmax(struct caller *c, size_t outer, size_t classes, size_t inner, enum crossent_output kind,
                         enum crossent_dtype dtype, int nll) {
    const size_t logits = outer * classes * inner, positions = outer * inner;
    double sum;
    const struct crossent_softmax_job job = {
        .outer = outer,
        .classes = classes,
        .inner = inner,
        .input = view(inputs, dtype, logits),
        .target = targets,
        .weight = others,
        .ignore_index = -100,
        .grad_scale = 1,
        .values = c->values,
        .output = {c->output, dtype},
        .kind = kind,
        .scores = {c->predicted, c->rank, c->confidence, c->entropy, c->brier},
    };
    const struct crossent_table *table = crossent_kernels(c->isa, c->real);
    if (logits > COUNT || positions > TARGETS) abort();
    const int status = nll ? crossent_nll(table, &job, c->threads, &sum) : crossent_softmax(table, &job, c->threads, &sum);
    took(c, status, sum, positions, kind == CROSSENT_GRADIENT ? logits : 0, dtype);
    if (kind == CROSSENT_SCORES) add_bytes(c, c->rank, positions * sizeof *c->rank);
    double weight;
    size_t bad;
    const int found = crossent_check_target(table, &job, c->threads, &weight, &bad);
    took(c, found, weight, 0, 0, dtype);
}

static void call_softmaxes(struct caller *c) {
    static const size_t shapes[][3] = {{20000, 10, 1}, {1000, 200, 1}, {2, 5, 20000}, {1, 30000, 1}, {2, 3, 7}};
    const enum crossent_dtype dtypes[] = {c->real, CROSSENT_FLOAT16};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int d = 0; d < 2; d++) {
            call_softmax(c, shapes[i][0], shapes[i][1], shapes[i][2], CROSSENT_NO_OUTPUT, dtypes[d], 0);
            call_softmax(c, shapes[i][0], shapes[i][1], shapes[i][2], CROSSENT_GRADIENT, dtypes[d], 0);
            call_softmax(c, shapes[i][0], shapes[i][1], shapes[i][2], CROSSENT_SCORES, dtypes[d], 0);
            call_softmax(c, shapes[i][0], shapes[i][1], shapes[i][2], CROSSENT_GRADIENT, dtypes[d], 1);
        }
}

static void call_pointwise(struct caller *c, enum crossent_pointwise loss, enum crossent_derivative derivative, size_t group) {
    const size_t n = 100000 / group * group;
    double sum;
    const struct crossent_pointwise_job job = {
        .loss = loss,
        .derivative = derivative,
        .count = n,
        .group = group,
        .input = view(inputs, c->real, n),
        .target = view(others, c->real, n),
        .extra = view(others, c->real, n),
        .parameters = {0.25, 1.5},
        .grad_scale = 1,
        .values = {c->values, c->real},
        .output = {c->output, c->real},
    };
    const int status = crossent_pointwise(crossent_kernels(c->isa, c->real), &job, c->threads, &sum);
    took(c, status, sum, n / group, derivative ? n : 0, c->real);
}

static void call_pointwises(struct caller *c) {
    for (int loss = 0; loss < CROSSENT_POINTWISE_LOSSES; loss++)
        for (int derivative = 0; derivative < CROSSENT_DERIVATIVES; derivative++)
            if (has_derivative((enum crossent_pointwise)loss, (enum crossent_derivative)derivative))
                call_pointwise(c, (enum crossent_pointwise)loss, (enum crossent_derivative)derivative, derivative ? 1 : 20);
    const struct crossent_view all = view(inputs, c->real, COUNT);
    size_t bad;
    const int found = crossent_check_range(crossent_kernels(c->isa, c->real), &all, COUNT, 0, 0.01, c->threads, &bad);
    took(c, found, (double)bad, 0, 0, c->real);
}

static void call_margin(struct caller *c) {
    double sum;
    for (int several = 0; several < 2; several++) {
        const struct crossent_margin_job job = {
            .rows = 10000,
            .classes = 10,
            .input = view(inputs, c->real, 100000),
            .target = targets,
            .several = several,
            .power = 1,
            .margin = 1,
            .grad_scale = 1,
            .values = c->values,
            .output = {c->output, c->real},
        };
        const int status = crossent_margin(crossent_kernels(c->isa, c->real), &job, c->threads, &sum);
        took(c, status, sum, job.rows, job.rows * job.classes, c->real);
    }
}

static void *call_all(void *caller) {
    struct caller *const c = caller;
    memset(c->values, 0, sizeof c->values);
    memset(c->output, 0, sizeof c->output);
    c->hash = 0xcbf29ce484222325u;
    call_softmaxes(c);
    call_pointwises(c);
    call_margin(c);
    return NULL;
}

/* One caller's results on one thread, on several, and those of several callers at once. */
static void test(const char *isa, enum crossent_dtype real) {
    static struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    callers[0].isa = isa, callers[0].real = real, callers[0].threads = 1;
    call_all(&callers[0]);
    const uint64_t wanted = callers[0].hash;
    for (int i = 0; i < CALLERS; i++) {
        callers[i].isa = isa, callers[i].real = real, callers[i].threads = THREADS;
        if (pthread_create(&threads[i], NULL, call_all, &callers[i])) abort();
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        if (callers[i].hash == wanted) continue;
        printf("%s: caller %d has other bits on %d threads than on one\n", isa, i, THREADS);
        exit(1);
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof inputs; i++) ((unsigned char *)inputs)[i] = (unsigned char)(0x3c + rand() % 3);
    memcpy(others, inputs, sizeof others);
    for (size_t i = 0; i < TARGETS; i++) targets[i] = i % 7 ? (int64_t)(i % 3) : -100;
    for (size_t i = 0; crossent_isa_name(i); i++) {
        for (int real = 0; real < CROSSENT_REALS; real++) test(crossent_isa_name(i), (enum crossent_dtype)real);
        printf("%s: all drivers on %d threads, and by %d callers at once\n", crossent_isa_name(i), THREADS, CALLERS);
    }
    return 0;
}
