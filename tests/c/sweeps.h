/* sweeps.h -- what exhaustive.c sweeps: families of functions of one float32 that share a reference, how the tables compute
   them, and how exact each must be. The references are float64: their error is 2^-28 of a float32's ULP or less. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "crossent.h"
#include "ulp.h"

enum { CHUNK = 4096, EXACTS = 5, FUNCTIONS = 12, RANGES = 4 };

struct function {
    const char *name;
    int exact, sign; /* which of the family's exact values, and its sign */
    double bar;      /* ULP */
    int grows;       /* whether it must never fall where x grows */
};

/* Bit patterns first .. last; with the pattern x grows (1), falls (-1) or neither (0). */
struct range {
    uint32_t first, last;
    int direction;
};

struct family {
    void (*exact)(const float *x, size_t n, double values[][CHUNK]);
    /* All functions of the family: function i of x[0..n) to values[i]. */
    void (*compute)(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]);
    const struct function *functions;
    size_t count;
    struct range ranges[RANGES];
};

/* --- exp, log, log1p */

static void exact_exp(const float *x, size_t n, double values[][CHUNK]) {
    for (size_t i = 0; i < n; i++) values[0][i] = exp((double)x[i]);
}
static void exact_log(const float *x, size_t n, double values[][CHUNK]) {
    for (size_t i = 0; i < n; i++) values[0][i] = log((double)x[i]);
}
static void exact_log1p(const float *x, size_t n, double values[][CHUNK]) {
    for (size_t i = 0; i < n; i++) values[0][i] = log1p((double)x[i]);
}
static void compute_exp(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    kernels->exp(x, values[0], n);
}
static void compute_log(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    kernels->log(x, values[0], n);
}
static void compute_log1p(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    kernels->log1p(x, values[0], n);
}

static const struct function exp_function[] = {{"exp", 0, 1, 1.0, 1}};
static const struct function log_function[] = {{"log", 0, 1, 1.0, 1}};
static const struct function log1p_function[] = {{"log1p", 0, 1, 1.0, 1}};

/* --- the logistic losses: e = exp(-|x|), which does not overflow */

enum { SIGMOID, OPPOSITE, SLOPE, SOFTPLUS, OPPOSITE_SOFTPLUS };

static void exact_logistic(const float *x, size_t n, double values[][CHUNK]) {
    for (size_t i = 0; i < n; i++) {
        const double e = exp(-fabs((double)x[i])), one_and_e = 1 + e, log = log1p(e);
        const double high = 1 / one_and_e, low = e / one_and_e;
        values[SIGMOID][i] = x[i] < 0 ? low : high;
        values[OPPOSITE][i] = x[i] < 0 ? high : low; /* 1 - sigmoid(x) */
        values[SLOPE][i] = high * low;
        values[SOFTPLUS][i] = (x[i] < 0 ? 0 : (double)x[i]) + log;
        values[OPPOSITE_SOFTPLUS][i] = (x[i] < 0 ? -(double)x[i] : 0) + log;
    }
}

/* Value and derivative of the i-th loss stand at 2 i and 2 i + 1. */
static const struct function logistic_functions[FUNCTIONS] = {
    {"sigmoid", SIGMOID, 1, 2.0, 0},
    {"sigmoid, derivative", SLOPE, 1, 2.0, 0},
    {"logsigmoid", OPPOSITE_SOFTPLUS, -1, 2.0, 0},
    {"logsigmoid, derivative", OPPOSITE, 1, 2.0, 0},
    {"binary_cross_entropy_with_logits, target 0", SOFTPLUS, 1, 2.0, 0},
    {"binary_cross_entropy_with_logits, target 0, derivative", SIGMOID, 1, 2.0, 0},
    {"binary_cross_entropy_with_logits, target 1", OPPOSITE_SOFTPLUS, 1, 2.0, 0},
    {"binary_cross_entropy_with_logits, target 1, derivative", OPPOSITE, -1, 2.0, 0},
    {"soft_margin_loss, target -1", SOFTPLUS, 1, 2.0, 0},
    {"soft_margin_loss, target -1, derivative", SIGMOID, 1, 2.0, 0},
    {"soft_margin_loss, target 1", OPPOSITE_SOFTPLUS, 1, 2.0, 0},
    {"soft_margin_loss, target 1, derivative", OPPOSITE, -1, 2.0, 0},
};
static const struct {
    enum crossent_pointwise loss;
    float target;
} logistic_losses[] = {
    {CROSSENT_sigmoid, 0},
    {CROSSENT_logsigmoid, 0},
    {CROSSENT_binary_cross_entropy_with_logits, 0},
    {CROSSENT_binary_cross_entropy_with_logits, 1},
    {CROSSENT_soft_margin_loss, -1},
    {CROSSENT_soft_margin_loss, 1},
};

static struct crossent_view view_of(const void *data, enum crossent_dtype dtype, size_t n) {
    const ptrdiff_t shape = (ptrdiff_t)n, stride = (ptrdiff_t)crossent_size_of(dtype);
    struct crossent_view view;
    crossent_view(&view, data, dtype, 0, 1, &shape, &stride);
    return view;
}

static void compute_logistic(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    for (size_t i = 0; i < FUNCTIONS / 2; i++) {
        float target[CHUNK];
        for (size_t k = 0; k < n; k++) target[k] = logistic_losses[i].target;
        const struct crossent_pointwise_job job = {
            .loss = logistic_losses[i].loss,
            .derivative = CROSSENT_BY_INPUT,
            .count = n,
            .group = 1,
            .input = view_of(x, CROSSENT_FLOAT32, n),
            .target = view_of(target, CROSSENT_FLOAT32, n),
            .grad_scale = 1,
            .values = {values[2 * i], CROSSENT_FLOAT32},
            .output = {values[2 * i + 1], CROSSENT_FLOAT32},
        };
        kernels->pointwise(&job, 0, n, NULL);
    }
}

/* --- conversions to and from 16 bits: those of `mantissa` bits of a fraction, 10 of float16 and 7 of bfloat16 */

static const struct {
    enum crossent_dtype dtype;
    int mantissa;
} halves[] = {{CROSSENT_FLOAT16, 10}, {CROSSENT_BFLOAT16, 7}};

static int largest_exponent(int mantissa) { return (1 << (14 - mantissa)) - 1; }

/* The number that 16 bits mean: IEEE 754-2019, 3.4. */
static double value_of_half(uint16_t half, int mantissa) {
    const int exponent = (half & 0x7fff) >> mantissa, fraction = half & ((1 << mantissa) - 1),
              bias = largest_exponent(mantissa);
    const double sign = half >> 15 ? -1 : 1;
    if (exponent == 2 * bias + 1) return fraction ? NAN : sign * INFINITY;
    return sign * ldexp(fraction + (exponent ? 1 << mantissa : 0), (exponent ? exponent : 1) - bias - mantissa);
}

/* x as the nearest number of 16 bits, the even one of two: a sum of 2^52 and more has no digits behind the point. */
static double nearest_half(float x, int mantissa) {
    const int bias = largest_exponent(mantissa);
    const uint32_t exponent = of_float(x) & 0x7f800000u, smallest = (uint32_t)(128 - bias) << 23;
    if (!isfinite(x)) return (double)x;
    const double unit = ldexp((double)of_bits(exponent > smallest ? exponent : smallest), -mantissa);
    const double nearest = (((double)x / unit + 0x1.8p52) - 0x1.8p52) * unit;
    return fabs(nearest) < ldexp(2, bias) ? nearest : copysign(INFINITY, nearest);
}

/* huber_loss has a derivative that is x for a target of 0 and no limit: what is left are the conversions. */
static void convert(const struct crossent_table *kernels, const void *in, enum crossent_dtype from, size_t n, void *out,
                    enum crossent_dtype to) {
    static const float zeros[CHUNK];
    const struct crossent_pointwise_job job = {
        .loss = CROSSENT_huber_loss,
        .derivative = CROSSENT_BY_INPUT,
        .count = n,
        .group = 1,
        .input = view_of(in, from, n),
        .target = view_of(zeros, CROSSENT_FLOAT32, n),
        .parameters = {INFINITY, 0},
        .grad_scale = 1,
        .output = {out, to},
    };
    void *const scratch = malloc(kernels->pointwise_scratch(&job));
    if (scratch == NULL) abort();
    kernels->pointwise(&job, 0, n, scratch);
    free(scratch);
}

static void exact_narrowed(const float *x, size_t n, double values[][CHUNK]) {
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < n; i++) values[k][i] = nearest_half(x[i], halves[k].mantissa);
}
static void compute_narrowed(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    for (int k = 0; k < 2; k++) {
        uint16_t narrow[CHUNK];
        convert(kernels, x, CROSSENT_FLOAT32, n, narrow, halves[k].dtype);
        for (size_t i = 0; i < n; i++) values[k][i] = (float)value_of_half(narrow[i], halves[k].mantissa);
    }
}
static const struct function narrowed_functions[] = {{"float32 to float16", 0, 1, 0, 0}, {"float32 to bfloat16", 1, 1, 0, 0}};

/* The low 16 bits of x's pattern are the number. */
static void exact_widened(const float *x, size_t n, double values[][CHUNK]) {
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < n; i++) values[k][i] = value_of_half((uint16_t)of_float(x[i]), halves[k].mantissa);
}
static void compute_widened(const struct crossent_table *kernels, const float *x, size_t n, float values[][CHUNK]) {
    uint16_t narrow[CHUNK];
    for (size_t i = 0; i < n; i++) narrow[i] = (uint16_t)of_float(x[i]);
    for (int k = 0; k < 2; k++) convert(kernels, narrow, halves[k].dtype, n, values[k], CROSSENT_FLOAT32);
}
static const struct function widened_functions[] = {{"float16 to float32", 0, 1, 0, 0}, {"bfloat16 to float32", 1, 1, 0, 0}};

/* --- all of them */

/* 0 up to inf, -0 down to `lowest`, nan of either sign */
#define FLOATS(lowest) \
    {{0x00000000u, 0x7f800000u, 1}, {0x80000000u, lowest, -1}, {0x7f800001u, 0x7fffffffu, 0}, {0xff800001u, 0xffffffffu, 0}}
static const struct family families[] = {
    {exact_exp, compute_exp, exp_function, 1, FLOATS(0xff800000u)},
    {exact_log, compute_log, log_function, 1, FLOATS(0xff800000u)},
    {exact_log1p, compute_log1p, log1p_function, 1, FLOATS(0xbf800000u)}, /* its domain begins at -1 */
    {exact_logistic, compute_logistic, logistic_functions, FUNCTIONS, FLOATS(0xff800000u)},
    {exact_narrowed, compute_narrowed, narrowed_functions, 2, FLOATS(0xff800000u)},
    {exact_widened, compute_widened, widened_functions, 2, {{0, 0xffffu, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}}},
};
