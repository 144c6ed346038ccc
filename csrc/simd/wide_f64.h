/* Sums of float64 lanes, with what each addition rounded away kept beside them: float64 has no wider type to go to.
   Included by every ..._f64.h behind its verbs. */
#include "two_sum.h"

typedef struct {
    vec sum, lost;
} wide;

SIMD wide wide_zero(void) { return (wide){v_set(0), v_set(0)}; }
SIMD wide wide_add(wide a, vec b) {
    vec error;
    const vec sum = two_sum(a.sum, b, &error);
    return (wide){sum, v_add_where(v_equal(error, error), a.lost, error)}; /* nothing is lost of an infinite sum */
}
SIMD vec wide_to_vec(wide a) { return v_add(a.sum, a.lost); }
SIMD wide wide_mul(wide a, vec high, vec low) {
    const vec product = v_mul(a.sum, high), rounded = v_mul_add(a.sum, high, v_sub(v_set(0), product)); /* 0 if not fused */
    return (wide){product, v_mul_add(a.lost, high, v_mul_add(a.sum, low, rounded))};
}
SIMD double wide_sum(wide a) { return sum_of_lanes(a.sum) + sum_of_lanes(a.lost); }
