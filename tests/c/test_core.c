/* test_core.c -- the C API without Python: cross entropy of every instruction set of this CPU against long double, value and
   gradient, over many shapes, with guard bytes around the outputs and the same bits for 1, 2 and 7 threads; what is scored of
   each position against plain loops; every elementwise loss and derivative against the scalar kernels; inputs of every type and
   byte order.
       cc -Icsrc csrc/(all).c tests/c/test_core.c -fopenmp -lm       (`make test-c`)
   With --list it prints the instruction sets of this CPU and does nothing else. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crossent.h"
#include "derivatives.h"
#include "simd/half.h"

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
static struct crossent_view view(const struct array *a) {
    const ptrdiff_t shape[] = {(ptrdiff_t)a->n}, strides[] = {(ptrdiff_t)size_of(a->dtype)};
    struct crossent_view v;
    if (crossent_view(&v, data(a), a->dtype, 0, 1, shape, strides)) exit(1);
    return v;
}
static struct crossent_result result(const struct array *a) { return (struct crossent_result){data(a), a->dtype}; }

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

/* A sum that keeps what is rounded away: on some machines a long double is a double. Source: Knuth, TAOCP volume 2, 4.2.2. */
struct long_sum {
    long double sum, lost;
};
static void add(struct long_sum *total, long double term) {
    const long double sum = total->sum + term, of_term = sum - total->sum;
    total->lost += (total->sum - (sum - of_term)) + (term - of_term);
    total->sum = sum;
}
static long double value_of(struct long_sum total) { return total.sum + total.lost; }

/* Value and gradient of one position in long double, by the formula in crossent.h, without cancellation. */
static long double reference(const struct inputs *in, size_t outer, size_t inner, long double *gradient) {
    const size_t classes = in->shape.classes, start = outer * classes * in->shape.inner + inner;
    const size_t position = outer * in->shape.inner + inner;
    const long double eps = in->options.smoothing;
    struct long_sum rest_sum = {0, 0}, value = {0, 0}, mass = {0, 0};
    size_t top = 0;
    for (size_t c = 0; c < classes; c++) {
        gradient[c] = 0;
        if (get(&in->x, start + c * in->shape.inner) > get(&in->x, start + top * in->shape.inner)) top = c;
    }
    if (!in->options.probabilities && in->target[position] < 0) return 0;
    const long double max = get(&in->x, start + top * in->shape.inner);
    for (size_t c = 0; c < classes; c++) add(&rest_sum, c == top ? 0 : expl(get(&in->x, start + c * in->shape.inner) - max));
    const long double rest = value_of(rest_sum);
    for (size_t c = 0; c < classes; c++) {
        const long double w = in->options.weighted ? get(&in->w, c) : 1;
        const long double q = in->options.probabilities ? get(&in->q, start + c * in->shape.inner)
                                                        : (long double)((size_t)in->target[position] == c);
        const long double w_index = in->options.probabilities || !in->options.weighted || q == 0 ? w : get(&in->w, c);
        gradient[c] = w_index * (1 - eps) * q + w * eps / classes;
        add(&mass, gradient[c]);
        add(&value, gradient[c] * (log1pl(rest) + (max - get(&in->x, start + c * in->shape.inner))));
    }
    for (size_t c = 0; c < classes; c++) {
        const long double p = expl(get(&in->x, start + c * in->shape.inner) - max) / (1 + rest);
        gradient[c] = get(&in->g, position) * 0.5L * (value_of(mass) * p - gradient[c]);
    }
    return value_of(value);
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
        .input = view(&in.x),
        .target = options.probabilities ? NULL : in.target,
        .weight = options.weighted ? data(&in.w) : NULL,
        .grad_output = data(&in.g),
        .ignore_index = -100,
        .label_smoothing = options.smoothing,
        .grad_scale = 0.5,
        .values = data(&values),
        .output = result(&gradient),
        .kind = CROSSENT_GRADIENT,
    };
    if (options.probabilities) job.probabilities = view(&in.q);
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

/* What a position is scored by, and what its loss is. */
struct figures {
    struct array value;
    int64_t *predicted, *rank;
    double *confidence, *entropy, *brier;
};

static struct figures run_score(const char *isa, const struct inputs *in, enum crossent_output kind, int threads) {
    const size_t n = in->shape.outer * in->shape.inner;
    struct figures f = {.value = make(in->x.dtype, n)};
    f.predicted = calloc(n, sizeof *f.predicted), f.rank = calloc(n, sizeof *f.rank);
    f.confidence = calloc(n, sizeof(double)), f.entropy = calloc(n, sizeof(double)), f.brier = calloc(n, sizeof(double));
    const struct crossent_softmax_job job = {
        .outer = in->shape.outer,
        .classes = in->shape.classes,
        .inner = in->shape.inner,
        .input = view(&in->x),
        .target = in->target,
        .weight = in->options.weighted ? data(&in->w) : NULL,
        .ignore_index = -100,
        .grad_scale = 1,
        .values = data(&f.value),
        .kind = kind,
        .scores = {f.predicted, f.rank, f.confidence, f.entropy, f.brier},
    };
    double sum;
    if (crossent_softmax(crossent_kernels(isa, in->x.dtype), &job, threads, &sum)) exit(1);
    check_guards(&f.value, "the loss of a scored position");
    return f;
}

static void free_figures(struct figures f) {
    free(f.value.bytes), free(f.predicted), free(f.rank), free(f.confidence), free(f.entropy), free(f.brier);
}

static int same_figures(const struct figures *a, const struct figures *b) {
    const size_t n = a->value.n, bytes = n * sizeof(double);
    return !memcmp(data(&a->value), data(&b->value), n * size_of(a->value.dtype)) &&
           !memcmp(a->predicted, b->predicted, bytes) && !memcmp(a->rank, b->rank, bytes) &&
           !memcmp(a->confidence, b->confidence, bytes) && !memcmp(a->entropy, b->entropy, bytes) &&
           !memcmp(a->brier, b->brier, bytes);
}

/* One position by the definitions of struct crossent_scores, in long double. */
static void check_figures(const char *isa, const struct inputs *in, const struct figures *f, size_t outer, size_t inner) {
    const size_t classes = in->shape.classes, step = in->shape.inner, start = outer * classes * step + inner;
    const size_t position = outer * step + inner, t = (size_t)in->target[position];
    /* 4 ULP; where a long double is a double, as under valgrind, the reference rounds x - max, which is up to 16 */
    const volatile long double one = 1;
    const double unit = in->x.dtype == CROSSENT_FLOAT32                          ? 5e-7
                        : one + LDBL_EPSILON > one && LDBL_EPSILON < DBL_EPSILON ? 9e-16
                                                                                 : 8e-15;
    if (in->target[position] < 0) {
        if (f->predicted[position] == -1 && f->rank[position] == -1 && f->confidence[position] == 0 &&
            f->entropy[position] == 0 && f->brier[position] == 0)
            return;
        printf("%s: an ignored position was scored\n", isa);
        exit(1);
    }
    size_t best = 0, before = 0;
    for (size_t c = 0; c < classes; c++) {
        const double x = get(&in->x, start + c * step), target = get(&in->x, start + t * step);
        if (x > get(&in->x, start + best * step)) best = c;
        before += x > target || (x == target && c < t);
    }
    /* with sums that leave out a class, so that nothing cancels */
    struct long_sum rest = {0, 0}, others = {0, 0}, surprise = {0, 0}, squares = {0, 0};
    for (size_t c = 0; c < classes; c++) {
        const long double below = (long double)get(&in->x, start + best * step) - get(&in->x, start + c * step);
        add(&rest, c != best ? expl(-below) : 0);
        add(&others, c != t ? expl(-below) : 0);
        add(&squares, c != t ? expl(-2 * below) : 0);
        add(&surprise, below * expl(-below));
    }
    const long double sum = 1 + value_of(rest), entropy = log1pl(value_of(rest)) + value_of(surprise) / sum;
    const long double brier = (value_of(others) * value_of(others) + value_of(squares)) / (sum * sum);
    if (f->predicted[position] != (int64_t)best || f->rank[position] != (int64_t)before) {
        printf("%s (%zu, %zu, %zu): predicted %lld of rank %lld, expected %zu of rank %zu\n", isa, in->shape.outer, classes,
               step, (long long)f->predicted[position], (long long)f->rank[position], best, before);
        exit(1);
    }
    compare(isa, "a confidence", in, f->confidence[position], 1 / sum, 0, unit);
    compare(isa, "an entropy", in, f->entropy[position], entropy, 0, unit);
    compare(isa, "a Brier score", in, f->brier[position], brier, 0, unit);
}

/* Whole logits of -8 to 8 have many equals. */
static void test_scores(const char *isa, enum crossent_dtype dtype, struct shape shape, int whole, int weighted) {
    const size_t positions = shape.outer * shape.inner, logits = positions * shape.classes;
    struct inputs in = {.shape = shape,
                        .options = {.weighted = weighted},
                        .x = random_array(dtype, logits, -8, 8),
                        .w = random_array(dtype, shape.classes, 0.5, 2),
                        .target = malloc((positions + 1) * sizeof(int64_t))};
    for (size_t i = 0; whole && i < logits; i++) set(&in.x, i, floor(get(&in.x, i)));
    for (size_t i = 0; i < positions; i++) in.target[i] = rand() % 8 ? rand() % (int64_t)shape.classes : -100;
    const struct figures one = run_score(isa, &in, CROSSENT_SCORES, 1), loss = run_score(isa, &in, CROSSENT_NO_OUTPUT, 1);
    for (int threads = 2; threads <= 7; threads += 5) {
        const struct figures several = run_score(isa, &in, CROSSENT_SCORES, threads);
        if (!same_figures(&one, &several)) {
            printf("%s: %d threads score otherwise than one\n", isa, threads);
            exit(1);
        }
        free_figures(several);
    }
    if (memcmp(data(&one.value), data(&loss.value), positions * size_of(dtype))) {
        printf("%s (%zu, %zu, %zu): a scored loss has other bits\n", isa, shape.outer, shape.classes, shape.inner);
        exit(1);
    }
    for (size_t o = 0; o < shape.outer; o++)
        for (size_t i = 0; i < shape.inner; i++) check_figures(isa, &in, &one, o, i);
    free_figures(one), free_figures(loss);
    free(in.x.bytes), free(in.w.bytes), free(in.target);
}

/* A row with an infinite logit has no softmax: nan, no class, and nothing undefined on the way there. Its neighbour is as ever.
 */
static void test_infinite(const char *isa, enum crossent_dtype dtype, struct shape shape) {
    const size_t n = shape.outer * shape.classes * shape.inner, here = shape.classes / 2 * shape.inner;
    int64_t *target = calloc(shape.outer * shape.inner, sizeof *target);
    const struct inputs in = {.shape = shape, .x = random_array(dtype, n, -3, 3), .target = target};
    set(&in.x, here, INFINITY);
    for (int kind = 0; kind < CROSSENT_OUTPUTS; kind++) {
        if (crossent_writes_output((enum crossent_output)kind)) continue;
        const struct figures f = run_score(isa, &in, (enum crossent_output)kind, 1);
        const size_t last = shape.outer * shape.inner - 1;
        const int missed = kind == CROSSENT_SCORES && (f.predicted[0] != -1 || f.predicted[last] < 0);
        if (!isnan(get(&f.value, 0)) || isnan(get(&f.value, last)) || missed) {
            printf("%s (%zu, %zu, %zu): an infinite logit gives %g\n", isa, shape.outer, shape.classes, shape.inner,
                   get(&f.value, 0));
            exit(1);
        }
        free_figures(f);
    }
    free(in.x.bytes), free(target);
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

/* Operands of a loss: within (0, 1), where every loss is defined. */
struct operands {
    struct array x, y, z, w;
};

static double run_pointwise(const char *isa, const struct operands *in, enum crossent_pointwise loss,
                            enum crossent_derivative derivative, int threads, struct array *values, struct array *output) {
    struct crossent_pointwise_job job = {
        .loss = loss,
        .derivative = derivative,
        .count = in->x.n,
        .group = 1,
        .input = view(&in->x),
        .target = view(&in->y),
        .extra = view(&in->z),
        .weight = view(&in->w),
        .parameters = {0.25, 1.5},
        .grad_scale = 0.5,
        .values = result(values),
        .output = result(output),
    };
    double sum;
    if (crossent_pointwise(crossent_kernels(isa, in->x.dtype), &job, threads, &sum)) exit(1);
    check_guards(values, "values");
    check_guards(output, "gradient");
    return sum;
}

static void test_pointwise(const char *isa, enum crossent_dtype dtype, size_t n) {
    struct operands in = {random_array(dtype, n, 0.1, 0.9), random_array(dtype, n, 0.1, 0.9), random_array(dtype, n, 0.5, 2),
                          random_array(dtype, n, 0.5, 2)};
    struct array values = make(dtype, n), output = make(dtype, n), plain = make(dtype, n), plain_output = make(dtype, n);
    for (int loss = 0; loss < CROSSENT_POINTWISE_LOSSES; loss++)
        for (int derivative = 0; derivative < CROSSENT_DERIVATIVES; derivative++) {
            if (!has_derivative((enum crossent_pointwise)loss, (enum crossent_derivative)derivative)) continue;
            double sums[3];
            for (int k = 0; k < 3; k++)
                sums[k] = run_pointwise(isa, &in, (enum crossent_pointwise)loss, (enum crossent_derivative)derivative,
                                        3 * k + 1, &values, &output);
            run_pointwise("scalar", &in, (enum crossent_pointwise)loss, (enum crossent_derivative)derivative, 1, &plain,
                          &plain_output);
            const double unit = dtype == CROSSENT_FLOAT32 ? 4e-6 : 1e-14; /* sums of up to ten roundings, some of them of 4 */
            for (size_t i = 0; i < n; i++) {
                const int wrong = fabs(get(&values, i) - get(&plain, i)) > unit * (1 + fabs(get(&plain, i)));
                const double g = get(&output, i), wanted = get(&plain_output, i);
                if (!wrong && (derivative == 0 || fabs(g - wanted) <= unit * (1 + fabs(wanted)))) continue;
                printf("%s: %s differs from the scalar kernel\n", isa, crossent_pointwise_name((size_t)loss));
                exit(1);
            }
            if (sums[0] == sums[1] && sums[1] == sums[2]) continue;
            printf("%s: %s has another sum with more threads\n", isa, crossent_pointwise_name((size_t)loss));
            exit(1);
        }
    free(in.x.bytes), free(in.y.bytes), free(in.z.bytes), free(in.w.bytes);
    free(values.bytes), free(output.bytes), free(plain.bytes), free(plain_output.bytes);
}

/* The bits of a number that the type can hold. */
static uint64_t bits_of_number(double number, enum crossent_dtype dtype) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return dtype == CROSSENT_FLOAT64   ? bits
           : dtype == CROSSENT_FLOAT32 ? float_bits((float)number)
           : dtype == CROSSENT_FLOAT16 ? f16_of_float((float)number)
                                       : bf16_of_float((float)number);
}

/* The numbers of an array as a file may hold them: the most significant byte first or last, running backwards, at odd
   addresses. `bytes` has room for twice their size. */
static struct crossent_view stored(const struct array *a, enum crossent_dtype dtype, int big, unsigned char *bytes) {
    const uint16_t one = 1;
    const int big_machine = *(const unsigned char *)&one == 0;
    const size_t size = crossent_size_of(dtype), gap = 2 * size - 1;
    for (size_t i = 0; i < a->n; i++) {
        const uint64_t bits = bits_of_number(get(a, i), dtype);
        for (size_t b = 0; b < size; b++)
            bytes[(a->n - 1 - i) * gap + b] = (unsigned char)(bits >> 8 * (big ? size - 1 - b : b));
    }
    const ptrdiff_t shape[] = {(ptrdiff_t)a->n}, strides[] = {-(ptrdiff_t)gap};
    struct crossent_view v;
    if (crossent_view(&v, bytes + (a->n - 1) * gap, dtype, big != big_machine, 1, shape, strides)) exit(1);
    return v;
}

/* An input of any type and byte order gives the bits of the same numbers in reals; a gradient of 16 bits is the real one,
   rounded. */
static void test_layouts(const char *isa, enum crossent_dtype dtype) {
    enum { N = 3001 };
    struct array x = random_array(dtype, N, -8, 8), y = random_array(dtype, N, -8, 8), wanted = make(dtype, N),
                 got = make(dtype, N);
    unsigned char *bytes = malloc(N * 2 * sizeof(double));
    for (size_t i = 0; i < N; i++) set(&x, i, rint(get(&x, i) * 16) / 16); /* 8 bits: what a bfloat16 holds */
    struct crossent_pointwise_job job = {
        .loss = CROSSENT_mse_loss,
        .derivative = CROSSENT_BY_INPUT,
        .count = N,
        .group = 1,
        .input = view(&x),
        .target = view(&y),
        .grad_scale = 1,
        .output = result(&wanted),
    };
    const struct crossent_table *table = crossent_kernels(isa, dtype);
    double sum, other_sum;
    if (crossent_pointwise(table, &job, 1, &sum)) exit(1);
    for (int type = 0; type <= CROSSENT_BFLOAT16; type++) {
        const enum crossent_dtype other = (enum crossent_dtype)type;
        for (int big = 0; big < 2; big++) {
            job.input = stored(&x, other, big, bytes);
            job.output = result(&got);
            if (crossent_pointwise(table, &job, 1, &other_sum)) exit(1);
            if (sum == other_sum && !memcmp(data(&got), data(&wanted), N * size_of(dtype))) continue;
            printf("%s: type %d, %s-endian, is read as other numbers\n", isa, type, big ? "big" : "little");
            exit(1);
        }
        if (other < CROSSENT_REALS) continue;
        job.output.dtype = other;
        if (crossent_pointwise(table, &job, 1, &other_sum)) exit(1);
        for (size_t i = 0; i < N; i++) {
            if (((uint16_t *)data(&got))[i] == bits_of_number(get(&wanted, i), other)) continue;
            printf("%s: type %d is written as other numbers\n", isa, type);
            exit(1);
        }
    }
    free(bytes), free(x.bytes), free(y.bytes), free(wanted.bytes), free(got.bytes);
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
        for (int dtype = 0; dtype < CROSSENT_REALS; dtype++)
            for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
                for (int k = 0; k < 8; k++) {
                    const struct options options = {k & 1, k >> 1 & 1, k >> 2 ? 0.1 : 0};
                    test(isa, (enum crossent_dtype)dtype, (struct shape){classes[c] > 100 ? 2 : 70, classes[c], 1}, options);
                    if (classes[c] < 100) test(isa, (enum crossent_dtype)dtype, (struct shape){2, classes[c], 67}, options);
                    const struct shape narrow = {classes[c] > 100 ? 5 : 70, classes[c], 1}, wide = {2, classes[c], 67};
                    test_scores(isa, (enum crossent_dtype)dtype, narrow, k & 1, k >> 1 & 1);
                    if (classes[c] < 2000) test_scores(isa, (enum crossent_dtype)dtype, wide, k & 1, k >> 1 & 1);
                }
        test_targets(isa);
        for (int dtype = 0; dtype < CROSSENT_REALS; dtype++) {
            test_infinite(isa, (enum crossent_dtype)dtype, (struct shape){2, 5, 1});
            test_infinite(isa, (enum crossent_dtype)dtype, (struct shape){2, 5, 3});
            test_infinite(isa, (enum crossent_dtype)dtype, (struct shape){2, 300, 1});
            test_infinite(isa, (enum crossent_dtype)dtype, (struct shape){2, 9000, 1});
        }
        for (int dtype = 0; dtype < CROSSENT_REALS; dtype++) test_layouts(isa, (enum crossent_dtype)dtype);
        static const size_t sizes[] = {0, 1, 15, 16, 17, 1023, 1025, 100000};
        for (int dtype = 0; dtype < CROSSENT_REALS; dtype++)
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) test_pointwise(isa, (enum crossent_dtype)dtype, sizes[k]);
        printf("%s: value and gradient agree with long double\n", isa);
    }
    return 0;
}
