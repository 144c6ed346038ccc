/* float16 and bfloat16, one number at a time, in integer arithmetic: what the headers without an instruction for it use,
   and what the others are tested against. Source: IEEE 754-2019, 3.6 (binary16); bfloat16 is the upper half of a float32. */
#ifndef CROSSENT_HALF_H
#define CROSSENT_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline float float_of(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline float float_of_f16(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest > 0x7c00u) return float_of(sign | 0x7fc00000u | rest << 13); /* a nan, made quiet as hardware does */
    if (rest == 0x7c00u) return float_of(sign | 0x7f800000u);
    const float magnitude = float_of(rest << 13) * 0x1p112f; /* the exponents' biases are 15 and 127; exact, subnormals too */
    return float_of(sign | float_bits(magnitude));
}

static inline uint16_t f16_of_float(float a) {
    const uint32_t bits = float_bits(a), rest = bits & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520, half way to 2^16, and above */
    if (rest < 0x38800000u)                                     /* below 2^-14: 0.5 + a ends in units of 2^-24 */
        return (uint16_t)(sign | (float_bits(float_of(rest) + 0.5f) - float_bits(0.5f)));
    return (uint16_t)(sign | (((rest + 0xfffu + (rest >> 13 & 1u)) >> 13) - (112u << 10)));
}

static inline float float_of_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

static inline uint16_t bf16_of_float(float a) {
    const uint32_t bits = float_bits(a);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
