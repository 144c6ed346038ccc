/* float64: the type, its limits and the constants of its exp and log1p, for every simd/..._f64.h. */
#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline, unused))

typedef double real;
typedef uint64_t real_bits;

enum {
    BLOCK = 2048, /* columns: 16 KiB, half of a small L1 cache */
    NARROW = 24,  /* classes; measured crossing of lanes across rows and lanes along classes */
    MANTISSA_BITS = 52,
    EXPONENT_BIAS = 1023,
};

/* exp and log1p, see kernels/vec_math.h. Polynomials by tools/fit_vec_math.py. */
static const real LOG2_E = 0x1.71547652b82fep+0;   /* 1 / ln 2 */
static const real LN2_HIGH = 0x1.62e42fefa3p-1;    /* ln 2, its first 41 bits: n times it is exact for |n| < 2048 */
static const real LN2_LOW = 0x1.3de6af278ece6p-42; /* ln 2 - LN2_HIGH */
static const real EXP_LOWEST = -746.0;             /* below -745.14 e^x is less than half of the smallest number */
static const real EXP_HIGHEST = 710.0;             /* above 709.79 e^x is infinite */
/* (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2, relative error in e^r 6.5e-17 */
static const real EXP_POLYNOMIAL[] = {0x1.0000000000000p-1,  0x1.5555555555555p-3,  0x1.5555555555550p-5,
                                      0x1.1111111111667p-7,  0x1.6c16c16c25894p-10, 0x1.a01a019b8e250p-13,
                                      0x1.a01a00b48d87ap-16, 0x1.71de499cc6385p-19, 0x1.27e9aba98a173p-22,
                                      0x1.ae83e805088d6p-26, 0x1.1075d1c907a41p-29};
/* (log1p(f) - f) / f^2 on [-1/4, 1/2], relative error in log1p(f) 1.3e-18 */
static const real LOG1P_POLYNOMIAL[] = {
    -0x1.fffffffffffffp-2, 0x1.5555555555543p-2,  -0x1.00000000002b6p-2, 0x1.999999999d723p-3,  -0x1.5555555518588p-3,
    0x1.249249222c242p-3,  -0x1.000000111b68ep-3, 0x1.c71c7341f3fbcp-4,  -0x1.999995c06c387p-4, 0x1.745cd79b2715bp-4,
    -0x1.55554f573a658p-4, 0x1.3b198cab4893dp-4,  -0x1.249e10d35bebfp-4, 0x1.10ce99ca7aae3p-4,  -0x1.fdd826e019b63p-5,
    0x1.e2b9445946bddp-5,  -0x1.d9d873327969bp-5, 0x1.d025ab08e37cfp-5,  -0x1.8273b62ddf4cap-5, 0x1.b1c9816e886efp-6,
    -0x1.cc7f3970e7868p-8};

/* for the scalar twin, which does with the bits what the others have instructions for */
static const real ROUNDING_MAGIC = 0x1.8p52; /* 1.5 * 2^MANTISSA_BITS: a sum with it has no bits behind the point */
SIMD real_bits bits_of(real a) {
    real_bits bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
SIMD real real_of(real_bits bits) {
    real a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
