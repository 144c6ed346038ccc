/* exhaustive.c -- exp, log1p and log of every float32 of their domain, on every instruction set of this CPU, against the C
   library's float64 functions (their error is 2^-29 of a float32's ULP). Prints the largest error of each; exits with 1 if
   one is above 1 ULP or a special value is wrong, or if exp is not monotone. `make exhaustive`; some minutes. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "crossent.h"

enum { CHUNK = 1 << 16 };

static float of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* |got - exact| in units of the last place of exact, rounded to float32 */
static double ulp_error(float got, double exact) {
    const float rounded = (float)exact;
    if (isnan(exact)) return isnan(got) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(got)) return got == rounded ? 0 : isinf(got) && isinf(rounded) ? INFINITY : 2;
    int exponent;
    frexp((double)rounded, &exponent);
    const double unit = ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
    return fabs((double)got - exact) / unit;
}

struct worst {
    double error;
    float at;
    int not_monotone;
};

/* The bit patterns first .. last; `sign` of a growing bit pattern's value is +1 or -1: exp must grow with it or fall. */
static struct worst sweep(void (*f)(const void *, void *, size_t), double (*reference)(double), uint32_t first, uint32_t last,
                          int sign) {
    static float in[CHUNK], out[CHUNK];
    struct worst worst = {0, 0, 0};
    float before = sign > 0 ? -INFINITY : INFINITY;
    for (uint64_t start = first; start <= last; start += CHUNK) {
        const size_t n = last - start + 1 < CHUNK ? (size_t)(last - start + 1) : CHUNK;
        for (size_t i = 0; i < n; i++) in[i] = of_bits((uint32_t)start + (uint32_t)i);
        f(in, out, n);
        for (size_t i = 0; i < n; i++) {
            const double error = ulp_error(out[i], reference((double)in[i]));
            if (error > worst.error) worst.error = error, worst.at = in[i];
            worst.not_monotone |= sign > 0 ? out[i] < before : out[i] > before;
            before = out[i];
        }
    }
    return worst;
}

static int report(const char *isa, const char *name, struct worst w, int monotone) {
    const int bad = !(w.error <= 1.0) || (monotone && w.not_monotone);
    printf("| %-6s | %-22s | %.4f | %-14a | %s |\n", isa, name, w.error, (double)w.at,
           !monotone        ? ""
           : w.not_monotone ? "NOT MONOTONE"
                            : "monotone");
    fflush(stdout);
    return bad;
}

int main(void) {
    const uint32_t infinity = 0x7f800000u, minus = 0x80000000u;
    int bad = 0;
    printf("| isa    | function               | max ULP | at           | |\n|---|---|---|---|---|\n");
    for (size_t i = 0; crossent_isa_name(i); i++) {
        const char *isa = crossent_isa_name(i);
        const struct crossent_table *table = crossent_kernels(isa, CROSSENT_FLOAT32);
        bad |= report(isa, "exp, x from -0 to -inf", sweep(table->exp, exp, minus, minus + infinity, -1), 1);
        bad |= report(isa, "exp, x from 0 to inf", sweep(table->exp, exp, 0, infinity, 1), 1);
        bad |= report(isa, "exp of nan", sweep(table->exp, exp, infinity + 1, infinity + 0xffff, 0), 0);
        bad |= report(isa, "log1p, x from 0 to inf", sweep(table->log1p, log1p, 0, infinity, 1), 0);
        bad |= report(isa, "log1p, x from -0 to -1", sweep(table->log1p, log1p, minus, of_float(-1), -1), 0);
        bad |= report(isa, "log, x from 0 to inf", sweep(table->log, log, 0, infinity, 1), 0);
        bad |= report(isa, "log, x below 0", sweep(table->log, log, minus + 1, minus + infinity, 0), 0);
        bad |= report(isa, "log of nan", sweep(table->log, log, infinity + 1, infinity + 0xffff, 0), 0);
        bad |= report(isa, "log1p of nan", sweep(table->log1p, log1p, infinity + 1, infinity + 0xffff, 0), 0);
    }
    return bad;
}
