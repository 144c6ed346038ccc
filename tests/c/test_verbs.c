/* test_verbs.c -- every verb of one header of csrc/simd/ against its meaning in plain C. Compiled once per header:
       cc -DHEADER='"simd/avx2_f32.h"' -Icsrc tests/c/test_verbs.c -lm
   (`make test-c` does it for all). Prints the first difference and exits with 1. */
#include HEADER

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PADDED = 4 * LANES };

static int same(real a, real b) { return a == b ? signbit(a) == signbit(b) : a != a && b != b; }

/* the contract leaves the sign of a zero open */
static int same_number(real a, real b) { return a == b || (a != a && b != b); }

/* a fused multiply and add may differ from the two operations by rounding */
static int close_to(real a, real b) {
    const real unit = sizeof(real) == 4 ? FLT_EPSILON : DBL_EPSILON;
    return same(a, b) || fabs(a - b) <= 2 * unit * fabs(b);
}

/* what a number of [1, 2) lost, of which a long double knows as much as it has more digits */
static int close_to_lost(real a, real b) {
    const long double unit = sizeof(real) == 4 ? FLT_EPSILON : DBL_EPSILON;
    return fabsl((long double)a - (long double)b) <= unit * unit + 2 * LDBL_EPSILON;
}

static void fail(const char *verb, size_t lane, double got, double wanted) {
    printf("%s: lane %zu is %a, expected %a\n", verb, lane, got, wanted);
    exit(1);
}

#define CHECK(verb, compare, got, wanted) \
    do { \
        real lanes_[LANES]; \
        v_store(lanes_, got); \
        for (size_t i = 0; i < LANES; i++) { \
            const real a = x[i], b = y[i], c = z[i]; \
            (void)a, (void)b, (void)c; \
            if (!compare(lanes_[i], wanted)) fail(verb, i, (double)lanes_[i], (double)(wanted)); \
        } \
    } while (0)

/* 1 where a mask is true, 0 elsewhere */
static vec shown(mask m) { return v_select(m, v_set(1), v_set(0)); }

static void test_values(const real *x, const real *y, const real *z) {
    const vec a = v_load(x), b = v_load(y), c = v_load(z);
    CHECK("v_load", same, a, x[i]);
    CHECK("v_add", same, v_add(a, b), a + b);
    CHECK("v_sub", same, v_sub(a, b), a - b);
    CHECK("v_mul", same, v_mul(a, b), a * b);
    CHECK("v_div", same, v_div(a, b), a / b);
    CHECK("v_min", same, v_min(a, b), a < b ? a : b);
    CHECK("v_max", same, v_max(a, b), a > b ? a : b);
    CHECK("v_prefetch", same, v_prefetch(a, x + 1), a);
    CHECK("v_prefetch_far", same, v_prefetch_far(a, NULL), a);
    CHECK("v_abs", same, v_abs(a), (real)fabs((double)a));
    CHECK("v_equal", same, shown(v_equal(a, b)), (real)(a == b));
    CHECK("v_unequal", same, shown(v_unequal(a, b)), (real)(a != b));
    CHECK("v_not_less", same, shown(v_not_less(a, b)), (real) !(a < b));
    CHECK("v_add_where", same_number, v_add_where(v_equal(a, b), a, c), a == b ? a + c : a);
    const vec zero_or_nan = v_sub(a, a);
    CHECK("v_mul_add_where", same_number, v_mul_add_where(v_equal(a, b), zero_or_nan, b, c), a == b ? (a - a) * b + c : c);
    CHECK("v_set", same, v_set(x[0]), x[0]);
    size_t equal = 0;
    for (size_t i = 0; i < LANES; i++) equal += x[i] == y[i];
    if (m_count(v_equal(a, b)) != equal) fail("m_count", 0, (double)m_count(v_equal(a, b)), (double)equal);
    const size_t counted = count_sum(count_add(count_add(count_zero(), v_equal(a, b)), m_first(LANES)));
    if (counted != equal + LANES) fail("count_add", 0, (double)counted, (double)(equal + LANES));
}

static void test_transpose(const real *x) {
    vec rows[LANES];
    const real *y = x, *z = x;
    for (size_t r = 0; r < LANES; r++) {
        real row[LANES];
        for (size_t i = 0; i < LANES; i++) row[i] = (real)(r * LANES + i);
        rows[r] = v_load(row);
    }
    v_transpose(rows);
    for (size_t r = 0; r < LANES; r++) CHECK("v_transpose", same, rows[r], (real)(i * LANES + r));
}

/* Columns of rows with a gap between them, which stays as it is, out and back. */
static void test_columns(const real *x) {
    enum { STEP = COLUMNS + 3, SIZE = LANES * STEP };
    const real *y = x, *z = x;
    real in[SIZE], out[SIZE];
    for (size_t n = 1; n <= COLUMNS; n++) {
        for (size_t k = 0; k < SIZE; k++) in[k] = (real)k, out[k] = -1;
        real exact[SIZE]; /* so that a sanitizer sees what is read behind the last row's n columns */
        const size_t used = (LANES - 1) * STEP + n;
        memcpy(exact + SIZE - used, in, used * sizeof(real));
        vec columns[COLUMNS];
        v_load_columns(exact + SIZE - used, STEP, n, columns);
        for (size_t k = 0; k < n; k++) CHECK("v_load_columns", same, columns[k], (real)(i * STEP + k));
        v_store_columns(out, STEP, n, columns);
        for (size_t k = 0; k < SIZE; k++)
            if (!same(out[k], k % STEP < n ? in[k] : -1)) fail("v_store_columns", k, (double)out[k], (double)in[k]);
    }
}

static void test_tails(const real *x, const real *y) {
    const real *z = y;
    for (size_t n = 0; n <= LANES + 1; n++) {
        real in[PADDED], out[PADDED];
        for (size_t i = 0; i < PADDED; i++) in[i] = (real)i, out[i] = -1;
        CHECK("m_first", same, shown(m_first(n)), (real)(i < n));
        CHECK("v_load_first", same, v_load_first(in, n, v_load(y)), i < n ? (real)i : b);
        v_store_first(out + 1, v_load(x), n);
        for (size_t i = 0; i < PADDED; i++)
            if (!same(out[i], i >= 1 && i <= n && i <= LANES ? x[i - 1] : -1)) fail("v_store_first", i, (double)out[i], -1);
        int64_t targets[LANES];
        size_t index[LANES];
        for (size_t i = 0; i < LANES; i++) targets[i] = (int64_t)(rand() % 5) - 1; /* 2 is ignored, there are 3 classes */
        const mask live = m_targets(targets, n, 2, 3, index);
        CHECK("m_targets", same, shown(live), (real)(i < n && (targets[i] == 0 || targets[i] == 1)));
        for (size_t i = 0; i < LANES; i++)
            if (index[i] != (i < n && targets[i] == 1)) fail("m_targets' index", i, (double)index[i], (double)targets[i]);
        CHECK("v_look_up", same, v_look_up(in, index, 2), (real)(index[i] * 2 + i));
    }
}

/* Every number of 16 bits is read; float32 numbers of all kinds, and the tails, are written as half.h says. */
static void test_halves(const real *x) {
    const real *y = x, *z = x;
    uint16_t in[PADDED], out[PADDED];
    for (uint32_t first = 0; first < 65536; first += LANES) {
        for (size_t i = 0; i < LANES; i++) in[i] = (uint16_t)(first + i);
        CHECK("v_load_f16", same, v_load_f16(in, LANES), (real)float_of_f16(in[i]));
        CHECK("v_load_bf16", same, v_load_bf16(in, LANES), (real)float_of_bf16(in[i]));
    }
    for (size_t n = 0; n <= LANES + 1; n++) {
        CHECK("v_load_f16", same, v_load_f16(in, n), i < n ? (real)float_of_f16(in[i]) : 0);
        CHECK("v_load_bf16", same, v_load_bf16(in, n), i < n ? (real)float_of_bf16(in[i]) : 0);
        for (int kind = 0; kind < 2; kind++) {
            for (size_t i = 0; i < PADDED; i++) out[i] = 0xa5a5;
            if (kind)
                v_store_f16(out + 1, v_load(x), n);
            else
                v_store_bf16(out + 1, v_load(x), n);
            for (size_t i = 0; i < PADDED; i++) {
                const int written = i >= 1 && i <= n && i <= LANES;
                const float number = written ? (float)x[i - 1] : 0;
                const uint16_t wanted = !written ? 0xa5a5 : kind ? f16_of_float(number) : bf16_of_float(number);
                if (out[i] != wanted) fail(kind ? "v_store_f16" : "v_store_bf16", i, out[i], wanted);
            }
        }
    }
}

static void test_finite(const real *x, const real *y, const real *z) {
    const vec a = v_load(x), b = v_load(y);
    CHECK("v_mul_add", close_to, v_mul_add(a, a, v_mul(b, b)), a * a + b * b);
    CHECK("v_mul_add_where", close_to, v_mul_add_where(v_equal(a, a), a, a, v_mul(b, b)), a * a + b * b);
    CHECK("v_neg_mul_add", close_to, v_neg_mul_add(v_sub(v_set(0), a), a, v_mul(b, b)), b * b + a * a);
    wide sums = wide_zero();
    double total = 0, largest = (double)x[0];
    for (size_t i = 0; i < LANES; i++) {
        total += (double)x[i] + (double)y[i];
        if ((double)x[i] > largest) largest = (double)x[i];
    }
    sums = wide_add(wide_add(sums, a), b);
    CHECK("wide_to_vec", same, wide_to_vec(sums), (real)((double)a + (double)b));
    if (fabs(wide_sum(sums) - total) > 1e-13 * (fabs(total) + 1e3)) fail("wide_sum", 0, wide_sum(sums), total);
    if ((double)v_reduce_max(a) != largest) fail("v_reduce_max", 0, (double)v_reduce_max(a), largest);
}

static void test_exponents(void) {
    const int highest = EXPONENT_BIAS, lowest = -EXPONENT_BIAS - MANTISSA_BITS - 2;
    real x[LANES] = {0};
    const real y[LANES] = {0}, *z = y;
    for (int n = lowest; n <= highest + 1; n++) {
        for (size_t i = 0; i < LANES; i++) x[i] = (real)(1.0 + 0.999 * (double)i / LANES);
        CHECK("v_scale_by_pow2", same, v_scale_by_pow2(v_load(x), v_set((real)n)), (real)ldexpl((long double)a, n));
        if (n < -EXPONENT_BIAS - MANTISSA_BITS + 1 || n > highest) continue;
        for (size_t i = 0; i < LANES; i++) x[i] = (real)ldexpl((long double)x[i], n);
        vec k;
        const vec m = v_split(v_load(x), &k);
        CHECK("v_split", same, v_scale_by_pow2(m, k), a);
        CHECK("v_split's range", same, shown(v_not_less(m, v_set((real)0.75))), 1);
        CHECK("v_split's range", same, shown(v_not_less(m, v_set((real)1.5))), 0);
        if (n < -EXPONENT_BIAS + 1) continue;
        CHECK("v_exponent", same, v_exponent(v_load(x)), (real)n);
    }
    CHECK("v_scale_by_pow2 of nan", same, v_scale_by_pow2(v_set((real)NAN), v_set((real)NAN)), (real)NAN);
}

/* Powers of 2 in steps: their parts, and numbers near 1 raised to them, down to where nothing is left. */
static void test_steps(void) {
    const int lowest = -EXPONENT_BIAS - MANTISSA_BITS - 2, highest = EXPONENT_BIAS - LIFT;
    const real y[LANES] = {0}, *z = y;
    real x[LANES];
    for (int n = lowest * STEPS; n <= highest * STEPS; n++) {
        for (size_t i = 0; i < LANES; i++) x[i] = (real)((double)i / (64 * LANES) - 1.0 / 128);
        const int whole = (int)floor((double)n / STEPS);
        const vec t = v_add(v_set((real)((double)n / STEPS)), v_set(STEP_MAGIC));
        const long double exact = powl(2, (long double)n / STEPS - whole), nearest = (long double)(real)exact;
        CHECK("v_step", same, v_step(STEP_HIGH, t), (real)exact);
        CHECK("v_step", close_to_lost, v_step(STEP_LOW, t), (real)((exact - nearest) / nearest));
        const vec other = v_step(UNIT_LOG_HIGH, v_add(v_set((real)(n + 5 * STEPS * highest)), v_set(ROUNDING_MAGIC)));
        CHECK("v_step", same, other, UNIT_LOG_HIGH[(n + 5 * STEPS * highest) % STEPS]);
        const vec raised = v_raise_where(m_first(LANES), v_load(x), t);
        CHECK("v_raise_where", same, v_lower(raised), (real)ldexpl((long double)(real)(nearest * (1 + (long double)a)), whole));
    }
    const real odd[] = {(real)NAN, (real)-INFINITY, (real)1e30, -5000};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        for (size_t i = 0; i < LANES; i++) x[i] = i % 2 ? odd[k] : 3;
        const vec number = v_load(x), p = v_select(v_equal(number, v_set(3)), v_set((real)0.5), number);
        const vec raised = v_raise_where(v_equal(number, v_set(3)), p, v_add(number, v_set(STEP_MAGIC)));
        CHECK("v_raise_where", same, v_lower(raised), a == 3 ? 12 : 0);
    }
    for (size_t i = 0; i < LANES; i++) x[i] = (real)NAN;
    CHECK("v_raise_where of nan", same, v_raise_where(m_first(LANES), v_load(x), v_set(STEP_MAGIC)), a);
}

/* Numbers of all kinds for test_values; ordinary ones for test_finite. */
static real any_number(void) {
    static const double special[] = {0.0, -0.0, 1.0, -1.0, 1e-40, 3e38, INFINITY, -INFINITY, NAN, 2.5, -0.5};
    const int k = rand() % 22;
    return k < 11 ? (real)special[k] : (real)((double)rand() / RAND_MAX * 20 - 10);
}

int main(void) {
    srand(1);
    for (int round = 0; round < 20000; round++) {
        real x[LANES], y[LANES], z[LANES];
        for (size_t i = 0; i < LANES; i++) x[i] = any_number(), y[i] = rand() % 3 ? any_number() : x[i], z[i] = any_number();
        test_values(x, y, z);
        if (round < 50) test_tails(x, y), test_halves(x);
        for (size_t i = 0; i < LANES; i++) {
            x[i] = (real)((double)rand() / RAND_MAX * 20 - 10);
            y[i] = (real)((double)rand() / RAND_MAX * 20 - 10);
            z[i] = (real)(rand() % 4001 - 2000) / 2 + (real)(rand() % 3 - 1) / 8;
        }
        test_finite(x, y, z);
    }
    test_exponents();
    test_steps();
    const real zeros[LANES] = {0};
    test_transpose(zeros);
    test_columns(zeros);
    printf("verbs of %s: as their contract says\n", HEADER);
    return 0;
}

#include "simd/target_end.h"
