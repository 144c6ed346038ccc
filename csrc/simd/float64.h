/* float64: the type, its limits and the constants of its exp and log, for every simd/..._f64.h. */
#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "half.h"

#define SIMD static inline __attribute__((always_inline, unused))

typedef double real;
typedef uint64_t real_bits;

enum {
    BLOCK = 2048, /* columns: 16 KiB, half of a small L1 cache */
    NARROW = 128, /* classes up to which lanes run across rows */
    NEAR = 640,   /* of a row's maximum, for which e^x needs no x - max: n stays below 2048, see LN2_HIGH */
    MANTISSA_BITS = 52,
    LIFT = 96, /* of numbers that are raised: see raised.h */
    EXPONENT_BIAS = 1023,
};

/* 1.5 * 2^MANTISSA_BITS: a number added to it is rounded to the nearest whole one, and is whole when it is taken away. A
   part of it rounds to steps: multiples of 1 / STEPS, whose bits are then the lowest of the sum. */
static const real ROUNDING_MAGIC = 0x1.8p52, STEP_MAGIC = 0x1.8p52 / STEPS;

/* exp, log1p and log, see kernels/vec_math.h. Polynomials by tools/fit_vec_math.py. */
static const real LOG2_E = 0x1.71547652b82fep+0;   /* 1 / ln 2 */
static const real LN2_HIGH = 0x1.62e42fefa3p-1;    /* ln 2, its first 41 bits: n times it is exact for |n| < 2048 */
static const real LN2_LOW = 0x1.3de6af278ece6p-42; /* ln 2 - LN2_HIGH */
static const real EXP_LOWEST = -746.0;             /* below -745.14 e^x is less than half of the smallest number */
static const real RAISED_LOWEST = -773.0;          /* below -774.2 not even half of e^x 2^LIFT is a normal number */
static const real EXP_HIGHEST = 710.0;             /* above 709.79 e^x is infinite */
/* exp cuts a binade into STEPS, and log1p [0, 1]: as many as the instruction set looks up in a register, which makes the
   polynomials short. EXP_POLYNOMIAL is (e^r - 1 - r) / r^2 on |r| <= ln 2 / (2 STEPS); 2^(j / STEPS) is STEP_HIGH[j]
   (1 + STEP_LOW[j]). UNIT_POLYNOMIAL is (log1p(r) - r) / r^2; UNIT_SCALE[j] is about 1 / (1 + j / (STEPS - 1)), in 8 bits, and
   UNIT_LOG_HIGH[j] + UNIT_LOG_LOW[j] its logarithm's opposite. */
#if STEPS == 8 /* relative errors in e^r 1.0e-17, in log1p(r) 8.9e-20 */
static const real EXP_POLYNOMIAL[] = {0x1.000000000002ep-1, 0x1.555555555556ap-3,  0x1.5555554e93acap-5,
                                      0x1.1111110e10556p-7, 0x1.6c1b7131a0993p-10, 0x1.a01e2c15a33f3p-13};
static const real STEP_HIGH[] = {0x1.0000000000000p+0, 0x1.172b83c7d517bp+0, 0x1.306fe0a31b715p+0, 0x1.4bfdad5362a27p+0,
                                 0x1.6a09e667f3bcdp+0, 0x1.8ace5422aa0dbp+0, 0x1.ae89f995ad3adp+0, 0x1.d5818dcfba487p+0};
static const real STEP_LOW[] = {0x0.0000000000000p+0,   -0x1.01b15eaa59348p-55, 0x1.34d754db0abb6p-55, 0x1.690cebb7aafb0p-56,
                                -0x1.3b3efbf5e2228p-54, 0x1.db72fc1f0eab4p-55,  0x1.c1a7792cb3387p-55, 0x1.4a385a63d07a7p-56};
static const real UNIT_POLYNOMIAL[] = {-0x1.0000000000000p-1, 0x1.5555555555555p-2, -0x1.0000000000002p-2, 0x1.9999999999a94p-3,
                                       -0x1.5555555552273p-3, 0x1.249249241efb1p-3, -0x1.0000000d5d703p-3, 0x1.c71c74ad4cc60p-4,
                                       -0x1.99996793f1a68p-4, 0x1.74587ae34f207p-4, -0x1.557f4fe9d06a7p-4, 0x1.3ea449e925c15p-4,
                                       -0x1.18b58329ec25bp-4};
static const real UNIT_SCALE[] = {0x1.0000000000000p+0, 0x1.c000000000000p-1, 0x1.8e00000000000p-1, 0x1.6600000000000p-1,
                                  0x1.4600000000000p-1, 0x1.2a00000000000p-1, 0x1.1400000000000p-1, 0x1.0000000000000p-1};
static const real UNIT_LOG_HIGH[] = {0x0.0000000000000p+0, 0x1.1178e8227e47cp-3, 0x1.01eae5626c691p-2, 0x1.6e60ee6af1972p-2,
                                     0x1.ce42f18064743p-2, 0x1.151c3f6f29612p-1, 0x1.3c6080c36bfb5p-1, 0x1.62e42fefa39efp-1};
static const real UNIT_LOG_LOW[] = {0x0.0000000000000p+0,  -0x1.0e63a5f01c691p-58, -0x1.18290bd2932e2p-59,
                                    0x1.657c222d868cdp-58, 0x1.0798270b29f39p-56,  0x1.342eb628dba17p-56,
                                    0x1.1930603d87b6ep-56, 0x1.abc9e3b39803fp-56};
#else /* relative error in e^r 5.7e-19 */
static const real EXP_POLYNOMIAL[] = {0x1.0000000000000p-1,  0x1.5555555555555p-3,  0x1.5555555555556p-5,
                                      0x1.1111111111111p-7,  0x1.6c16c16c162d4p-10, 0x1.a01a01a019b2ap-13,
                                      0x1.a01a01a6d889cp-16, 0x1.71de3a590520ap-19, 0x1.27e4db646b17ep-22,
                                      0x1.ae643449fe524p-26, 0x1.1f730349868cep-29, 0x1.61b2b7617544bp-33};
#endif
static const real REAL_MAX = DBL_MAX, SMALLEST = 0x1p-1074; /* the range of numbers that have a logarithm */
/* (log1p(f) - f) / f^2 on [-1/4, 1/2], relative error in log1p(f) 3.2e-18 */
static const real LOG1P_POLYNOMIAL[] = {
    -0x1.0000000000000p-1, 0x1.5555555555555p-2,  -0x1.ffffffffffffdp-3, 0x1.9999999999977p-3,  -0x1.5555555555b6dp-3,
    0x1.2492492495ab8p-3,  -0x1.ffffffff7b1cep-4, 0x1.c71c71c2da602p-4,  -0x1.999999bf34e02p-4, 0x1.745d189e4a570p-4,
    -0x1.555550c2bf635p-4, 0x1.3b1375e704998p-4,  -0x1.24925d2cc17c9p-4, 0x1.1116a98e7917fp-4,  -0x1.00098a5443165p-4,
    0x1.e15e1559eb514p-5,  -0x1.c52baf657b917p-5, 0x1.b04d8db1ceaecp-5,  -0x1.ab331de246021p-5, 0x1.a34fdebbfc24dp-5,
    -0x1.5bdabb7fcad5dp-5, 0x1.83de64ccfe0fap-6,  -0x1.98b764c100364p-8};
