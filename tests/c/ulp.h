/* ulp.h -- float32 numbers as bit patterns, and how far one is from an exact value. Used by exhaustive.c. */
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* |got - exact| in units in the last place of `exact` rounded to float32, those of subnormal numbers 2^-149. A result that
   overflows counts as 2^128; infinite where a nan, an infinity or its sign is wrong. */
static inline double ulp_error(float got, double exact) {
    const uint32_t smallest = 0x00800000u, largest = 0x7f000000u; /* exponents: of 2^-126 and of 2^127 */
    if (isnan(exact) || isnan(got)) return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (isinf(exact)) return (double)got == exact ? 0 : INFINITY;
    const uint32_t exponent = of_float((float)exact) & 0x7f800000u;
    const double unit = (double)of_bits(exponent < smallest ? smallest : exponent > largest ? largest : exponent) * 0x1p-23;
    const double top = copysign(0x1p128, exact);
    const double value = isinf(got) ? copysign(0x1p128, (double)got) : (double)got;
    return fabs(value - (fabs(exact) > 0x1p128 ? top : exact)) / unit;
}
