/* Sums of float64 lanes, with what each addition rounded away kept beside them: float64 has no wider type to go to.
   Included by every ..._f64.h behind its verbs. Source: Knuth's TwoSum, The Art of Computer Programming 2, 4.2.2. */
typedef struct {
    vec sum, lost;
} wide;

SIMD wide wide_zero(void) { return (wide){v_set(0), v_set(0)}; }
SIMD wide wide_add(wide a, vec b) {
    const vec sum = v_add(a.sum, b), b_seen = v_sub(sum, a.sum);
    const vec error = v_add(v_sub(a.sum, v_sub(sum, b_seen)), v_sub(b, b_seen));
    return (wide){sum, v_add_where(v_equal(error, error), a.lost, error)}; /* nothing is lost of an infinite sum */
}
SIMD vec wide_to_vec(wide a) { return v_add(a.sum, a.lost); }
SIMD vec wide_mul(wide a, vec high, vec low) {
    const vec sum = wide_to_vec(a);
    return v_mul_add(sum, high, v_mul(sum, low));
}
SIMD double wide_sum(wide a) { return sum_of_lanes(a.sum) + sum_of_lanes(a.lost); }
