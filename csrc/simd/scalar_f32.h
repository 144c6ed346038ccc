/* Scalar float32: the verbs of scalar.h on float. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H
#define STEPS 1
#include "float32.h"

#include "scalar.h"

typedef double wide;
SIMD wide wide_zero(void) { return 0.0; }
SIMD wide wide_add(wide a, vec b) { return a + (double)b; }
SIMD vec wide_to_vec(wide a) { return (vec)a; }
SIMD wide wide_mul(wide a, vec high, vec low) { return a * ((double)high + (double)low); }
SIMD double wide_sum(wide a) { return a; }
#endif
