/* test_core.c -- the C API without Python: cross entropy of every instruction set of this CPU against long double, value and
   gradient, over many shapes, with guard bytes around the outputs and the same bits for 1, 2 and 7 threads.
       cc -Icsrc csrc/(all).c tests/c/test_core.c -fopenmp -lm       (`make test-c`)
   With --list it prints the instruction sets of this CPU and does nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crossent.h"

enum { GUARD = 64 };

/* An array of n reals of either type, its bytes between two guards. */
struct array {
    enum crossent_dtype dtype;
    size_t n;
    unsigned char *bytes;
};

static size_t size_of(enum crossent_dtype dtype) { return dtype == CROSSENT_FLOAT32 ? sizeof(float) : sizeof(double); }
static void *data(const struct array *a) { return a->bytes + GUARD; }

static struct array make(enum crossent_dtype dtype, size_t n) {
    const size_t bytes = n * size_of(dtype) + 2 * GUARD;
    struct array a = {dtype, n, malloc(bytes)};
    memset(a.bytes, 0xa5, bytes);
    return a;
}
static double get(const struct array *a, size_t i) {
    return a->dtype == CROSSENT_FLOAT32 ? (double)((float *)data(a))[i] : ((double *)data(a))[i];
}
static void set(const struct array *a, size_t i, double value) {
    if (a->dtype == CROSSENT_FLOAT32)
        ((float *)data(a))[i] = (float)value;
    else
        ((double *)data(a))[i] = value;
}
static struct array random_array(enum crossent_dtype dtype, size_t n, double low, double high) {
    struct array a = make(dtype, n);
    for (size_t i = 0; i < n; i++) set(&a, i, low + (high - low) * rand() / RAND_MAX);
    return a;
}
static void check_guards(const struct array *a, const char *what) {
    const size_t end = GUARD + a->n * size_of(a->dtype);
    for (size_t i = 0; i < GUARD; i++) {
        if (a->bytes[i] == 0xa5 && a->bytes[end + i] == 0xa5) continue;
        printf("%s: written outside its array\n", what);
        exit(1);
    }
}

struct shape {
    size_t outer, classes, inner;
};

/* The options of one case. */
struct options {
    int probabilities, weighted;
    double smoothing;
};

struct inputs {
    struct shape shape;
    struct options options;
    struct array x, q, w, g;
    int64_t *target;
};

/* Value and gradient of one position in long double, by the formula in crossent.h. */
static long double reference(const struct inputs *in, size_t outer, size_t inner, long double *gradient) {
    const size_t classes = in->shape.classes, start = outer * classes * in->shape.inner + inner;
    const size_t position = outer * in->shape.inner + inner;
    const long double eps = in->options.smoothing;
    long double max = -INFINITY, sum = 0, value = 0, mass = 0;
    for (size_t c = 0; c < classes; c++) {
        gradient[c] = 0;
        if (get(&in->x, start + c * in->shape.inner) > max) max = get(&in->x, start + c * in->shape.inner);
    }
    if (!in->options.probabilities && in->target[position] < 0) return 0;
    for (size_t c = 0; c < classes; c++) sum += expl(get(&in->x, start + c * in->shape.inner) - max);
    for (size_t c = 0; c < classes; c++) {
        const long double w = in->options.weighted ? get(&in->w, c) : 1;
        const long double q = in->options.probabilities ? get(&in->q, start + c * in->shape.inner)
                                                        : (long double)((size_t)in->target[position] == c);
        const long double w_index = in->options.probabilities || !in->options.weighted || q == 0 ? w : get(&in->w, c);
        gradient[c] = w_index * (1 - eps) * q + w * eps / classes;
        mass += gradient[c];
        value += gradient[c] * (logl(sum) + max - get(&in->x, start + c * in->shape.inner));
    }
    for (size_t c = 0; c < classes; c++) {
        const long double p = expl(get(&in->x, start + c * in->shape.inner) - max) / sum;
        gradient[c] = get(&in->g, position) * 0.5L * (mass * p - gradient[c]);
    }
    return value;
}

static void compare(const char *isa, const char *what, const struct inputs *in, double got, long double wanted, double scale,
                    double unit) {
    if (fabsl(got - wanted) <= unit * (fabsl(wanted) + scale)) return;
    printf("%s float%d (%zu, %zu, %zu) %s%s smoothing %g: %s is %.9g, expected %.9Lg\n", isa,
           in->x.dtype == CROSSENT_FLOAT32 ? 32 : 64, in->shape.outer, in->shape.classes, in->shape.inner,
           in->options.probabilities ? "probabilities" : "indices", in->options.weighted ? " weights" : "",
           in->options.smoothing, what, got, wanted);
    exit(1);
}

static void test(const char *isa, enum crossent_dtype dtype, struct shape shape, struct options options) {
    const size_t positions = shape.outer * shape.inner, logits = positions * shape.classes;
    struct inputs in = {shape,
                        options,
                        random_array(dtype, logits, -8, 8),
                        random_array(dtype, logits, 0, 1),
                        random_array(dtype, shape.classes, 0.5, 2),
                        random_array(dtype, positions, -1, 1),
                        malloc((positions + 1) * sizeof(int64_t))};
    for (size_t i = 0; i < positions; i++) in.target[i] = rand() % 8 ? rand() % (int64_t)shape.classes : -100;
    struct array values = make(dtype, positions), gradient = make(dtype, logits);
    const struct crossent_table *table = crossent_kernels(isa, dtype);
    struct crossent_softmax_job job = {
        .outer = shape.outer,
        .classes = shape.classes,
        .inner = shape.inner,
        .input = data(&in.x),
        .target = options.probabilities ? NULL : in.target,
        .probabilities = options.probabilities ? data(&in.q) : NULL,
        .weight = options.weighted ? data(&in.w) : NULL,
        .grad_output = data(&in.g),
        .ignore_index = -100,
        .label_smoothing = options.smoothing,
        .grad_scale = 0.5,
        .values = data(&values),
        .output = data(&gradient),
        .kind = CROSSENT_GRADIENT,
    };
    double first = 0, sum = 0;
    unsigned char *bits = malloc(logits * size_of(dtype) + 1);
    for (int threads = 1; threads <= 7; threads += threads == 1 ? 1 : 5) {
        if (crossent_softmax(table, &job, threads, &sum)) exit(1);
        if (threads == 1) memcpy(bits, data(&gradient), logits * size_of(dtype)), first = sum;
        if (memcmp(bits, data(&gradient), logits * size_of(dtype)) || memcmp(&first, &sum, sizeof sum)) {
            printf("%s: %d threads give other bits than one\n", isa, threads);
            exit(1);
        }
    }
    check_guards(&values, "values");
    check_guards(&gradient, "gradient");

    /* The float32 difference x - max costs up to 2^-20 here; the terms of a sum are as large as the weights' mass times 16. */
    const double unit = dtype == CROSSENT_FLOAT32 ? 1e-6 : 4e-15;
    long double *wanted = malloc(shape.classes * sizeof *wanted);
    for (size_t o = 0; o < shape.outer; o++) {
        for (size_t i = 0; i < shape.inner; i++) {
            const long double value = reference(&in, o, i, wanted);
            compare(isa, "the value", &in, get(&values, o * shape.inner + i), value, 0.1, unit);
            for (size_t c = 0; c < shape.classes; c++) {
                const double got = get(&gradient, (o * shape.classes + c) * shape.inner + i);
                compare(isa, "a gradient", &in, got, wanted[c], options.probabilities ? (double)shape.classes / 100 + 1 : 1,
                        unit);
            }
        }
    }
    free(wanted), free(bits), free(in.target);
    free(in.x.bytes), free(in.q.bytes), free(in.w.bytes), free(in.g.bytes), free(values.bytes), free(gradient.bytes);
}

static void test_targets(const char *isa) {
    const int64_t target[] = {0, 2, -100, 1};
    struct crossent_softmax_job job = {.outer = 4, .classes = 2, .inner = 1, .target = target, .ignore_index = -100};
    double weight;
    size_t bad;
    if (crossent_check_target(crossent_kernels(isa, CROSSENT_FLOAT32), &job, 2, &weight, &bad) != 1 || bad != 1) {
        printf("%s: the target out of bounds at position 1 was not found\n", isa);
        exit(1);
    }
}

int main(int count, char **arguments) {
    static const size_t classes[] = {1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 49, 65, 100, 1000, 2049, 4097, 9000};
    srand(2);
    if (count > 1 && strcmp(arguments[1], "--list") == 0) {
        for (size_t i = 0; crossent_isa_name(i); i++) puts(crossent_isa_name(i));
        return 0;
    }
    for (size_t i = 0; crossent_isa_name(i); i++) {
        const char *isa = crossent_isa_name(i);
        for (int dtype = 0; dtype < CROSSENT_DTYPES; dtype++)
            for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
                for (int k = 0; k < 8; k++) {
                    const struct options options = {k & 1, k >> 1 & 1, k >> 2 ? 0.1 : 0};
                    test(isa, (enum crossent_dtype)dtype, (struct shape){classes[c] > 100 ? 2 : 70, classes[c], 1}, options);
                    if (classes[c] < 100) test(isa, (enum crossent_dtype)dtype, (struct shape){2, classes[c], 67}, options);
                }
        test_targets(isa);
        printf("%s: value and gradient agree with long double\n", isa);
    }
    return 0;
}
