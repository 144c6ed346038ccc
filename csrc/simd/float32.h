/* float32: the type, its limits and the constants of its exp and log, for every simd/..._f32.h. */
#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "half.h"

#define SIMD static inline __attribute__((always_inline, unused))

typedef float real;
typedef uint32_t real_bits;

enum {
    BLOCK = 4096, /* columns: 16 KiB, half of a small L1 cache */
    NARROW = 192, /* classes up to which lanes run across rows */
    NEAR = 1024,  /* of a row's maximum, for which e^x needs no x - max: n stays below 2^11, see LN2_HIGH */
    MANTISSA_BITS = 23,
    LIFT = 48, /* of numbers that are raised: see raised.h */
    EXPONENT_BIAS = 127,
};

/* 1.5 * 2^MANTISSA_BITS: a number added to it is rounded to the nearest whole one, and is whole when it is taken away. A
   part of it rounds to steps: multiples of 1 / STEPS, whose bits are then the lowest of the sum. */
static const real ROUNDING_MAGIC = 0x1.8p23f, STEP_MAGIC = 0x1.8p23f / STEPS;

/* exp, log1p and log, see kernels/vec_math.h. Polynomials by tools/fit_vec_math.py. */
static const real LOG2_E = 0x1.715476p+0f;   /* 1 / ln 2 */
static const real LN2_HIGH = 0x1.62e4p-1f;   /* ln 2, its first 16 bits: x - n LN2_HIGH, fused, is exact for |n| < 2^12 */
static const real LN2_LOW = 0x1.7f7d1cp-20f; /* ln 2 - LN2_HIGH */
static const real EXP_LOWEST = -104.0f;      /* below -103.98 e^x is less than half of the smallest number */
static const real RAISED_LOWEST = -119.0f;   /* below -119.9 not even half of e^x 2^LIFT is a normal number */
static const real EXP_HIGHEST = 89.0f;       /* above 88.73 e^x is infinite */
/* exp cuts a binade into STEPS, and log1p [0, 1]: as many as the instruction set looks up in a register, which makes the
   polynomials short. EXP_POLYNOMIAL is (e^r - 1 - r) / r^2 on |r| <= ln 2 / (2 STEPS); 2^(j / STEPS) is STEP_HIGH[j]
   (1 + STEP_LOW[j]). UNIT_POLYNOMIAL is (log1p(r) - r) / r^2; UNIT_SCALE[j] is about 1 / (1 + j / (STEPS - 1)), in 8 bits, and
   UNIT_LOG_HIGH[j] + UNIT_LOG_LOW[j] its logarithm's opposite. */
#if STEPS == 16 /* relative errors in e^r 4.7e-9, in log1p(r) 9.9e-10 */
static const real EXP_POLYNOMIAL[] = {0x1.000148p-1f, 0x1.55565cp-3f};
static const real STEP_HIGH[] = {0x1.000000p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fe0p+0f, 0x1.3dea64p+0f,
                                 0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
                                 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};
static const real STEP_LOW[] = {0x0.000000p+0f,   0x1.8d96d4p-25f,  -0x1.9c0c22p-27f, 0x1.964904p-25f,
                                0x1.125002p-25f,  0x1.370be4p-25f,  -0x1.0a3550p-25f, -0x1.00d8acp-27f,
                                0x1.26055cp-26f,  -0x1.05cb44p-25f, 0x1.67a1cap-28f,  0x1.a3b5e4p-28f,
                                -0x1.f9c304p-27f, -0x1.6961b4p-28f, -0x1.a5217cp-28f, 0x1.61428ep-28f};
static const real UNIT_POLYNOMIAL[] = {-0x1.fffffep-2f, 0x1.55556cp-2f, -0x1.002d3cp-2f, 0x1.987c08p-3f};
static const real UNIT_SCALE[] = {0x1.000000p+0f, 0x1.e00000p-1f, 0x1.c40000p-1f, 0x1.aa0000p-1f,
                                  0x1.940000p-1f, 0x1.800000p-1f, 0x1.6e0000p-1f, 0x1.5e0000p-1f,
                                  0x1.4e0000p-1f, 0x1.400000p-1f, 0x1.340000p-1f, 0x1.280000p-1f,
                                  0x1.1c0000p-1f, 0x1.120000p-1f, 0x1.080000p-1f, 0x1.000000p-1f};
static const real UNIT_LOG_HIGH[] = {0x0.000000p+0f, 0x1.08598cp-4f, 0x1.fe8914p-4f, 0x1.7898d8p-3f,
                                     0x1.e530f0p-3f, 0x1.269622p-2f, 0x1.57bf76p-2f, 0x1.858558p-2f,
                                     0x1.b56fa0p-2f, 0x1.e148a2p-2f, 0x1.04360cp-1f, 0x1.188ee4p-1f,
                                     0x1.2dbf56p-1f, 0x1.4019c2p-1f, 0x1.5322e2p-1f, 0x1.62e430p-1f};
static const real UNIT_LOG_LOW[] = {0x0.000000p+0f,   -0x1.4c38c0p-29f, -0x1.890aa6p-30f, 0x1.51131cp-29f,
                                    -0x1.8efedep-35f, -0x1.d9648ep-27f, -0x1.86e5c0p-27f, -0x1.124680p-27f,
                                    0x1.118a42p-28f,  -0x1.76364cp-28f, -0x1.89fc54p-29f, 0x1.e4794cp-30f,
                                    -0x1.09e418p-26f, 0x1.25ca94p-29f,  0x1.a19e16p-27f,  -0x1.05c610p-29f};
#elif STEPS == 8 /* relative errors in e^r 3.3e-10, in log1p(r) 7.1e-11 */
/* The second is six units less than the fit, with which e^x would fall once: from -0x1.fe0188p-6 to its neighbour. */
static const real EXP_POLYNOMIAL[] = {0x1.000000p-1f, 0x1.555b70p-3f, 0x1.555970p-5f};
static const real STEP_HIGH[] = {0x1.000000p+0f, 0x1.172b84p+0f, 0x1.306fe0p+0f, 0x1.4bfdaep+0f,
                                 0x1.6a09e6p+0f, 0x1.8ace54p+0f, 0x1.ae89fap+0f, 0x1.d5818ep+0f};
static const real STEP_LOW[] = {0x0.000000p+0f,  -0x1.9c0c22p-27f, 0x1.125002p-25f,  -0x1.0a3550p-25f,
                                0x1.26055cp-26f, 0x1.67a1cap-28f,  -0x1.f9c304p-27f, -0x1.a5217cp-28f};
static const real UNIT_POLYNOMIAL[] = {-0x1.000000p-1f, 0x1.555554p-2f,  -0x1.ffff52p-3f,
                                       0x1.99a09cp-3f,  -0x1.56f92ep-3f, 0x1.1f4beap-3f};
static const real UNIT_SCALE[] = {0x1.000000p+0f, 0x1.c00000p-1f, 0x1.8e0000p-1f, 0x1.660000p-1f,
                                  0x1.460000p-1f, 0x1.2a0000p-1f, 0x1.140000p-1f, 0x1.000000p-1f};
static const real UNIT_LOG_HIGH[] = {0x0.000000p+0f, 0x1.1178e8p-3f, 0x1.01eae6p-2f, 0x1.6e60eep-2f,
                                     0x1.ce42f2p-2f, 0x1.151c40p-1f, 0x1.3c6080p-1f, 0x1.62e430p-1f};
static const real UNIT_LOG_LOW[] = {0x0.000000p+0f,   0x1.13f23ep-30f,  -0x1.3b272ep-27f, 0x1.abc65cp-28f,
                                    -0x1.fe6e30p-28f, -0x1.21ad3ep-26f, 0x1.86d7f6p-26f,  -0x1.05c610p-29f};
#else            /* relative error in e^r 7.0e-10 */
static const real EXP_POLYNOMIAL[] = {0x1.000000p-1f, 0x1.555556p-3f,  0x1.55551ap-5f,
                                      0x1.1110f6p-7f, 0x1.6d110ap-10f, 0x1.a0f86cp-13f};
#endif
static const real REAL_MAX = FLT_MAX, SMALLEST = 0x1p-149f; /* the range of numbers that have a logarithm */
/* (log1p(f) - f) / f^2 on [-1/4, 1/2], relative error in log1p(f) 3.1e-9 */
static const real LOG1P_POLYNOMIAL[] = {-0x1.000000p-1f, 0x1.555556p-2f, -0x1.000002p-2f, 0x1.999a56p-3f,
                                        -0x1.5554fap-3f, 0x1.246212p-3f, -0x1.ff6c5ap-4f, 0x1.ce9d12p-4f,
                                        -0x1.b06e16p-4f, 0x1.59db9ap-4f, -0x1.26e24ap-5f};
