/* What arithmetic rounds away, exactly. Included behind the verbs. */
#ifndef CROSSENT_TWO_SUM_H
#define CROSSENT_TWO_SUM_H

/* a + b as the rounded sum and what rounding took from it; nan where the sum is not finite.
   Source: Knuth's TwoSum, The Art of Computer Programming 2, 4.2.2. */
SIMD vec two_sum(vec a, vec b, vec *lost) {
    const vec sum = v_add(a, b), b_seen = v_sub(sum, a);
    *lost = v_add(v_sub(a, v_sub(sum, b_seen)), v_sub(b, b_seen));
    return sum;
}

/* c - k b for a c near it and a whole k of so few bits that a half of b times it is a number: by halves (Veltkamp's)
   where products need not fuse; float32 is multiplied in float64 then. */
SIMD vec less_multiple(vec c, vec k, vec b) {
    if (sizeof(real) == sizeof(float)) return v_neg_mul_add(k, b, c);
    const vec split = v_mul(b, v_set((real)(1 + (1LL << (MANTISSA_BITS + 2) / 2))));
    const vec high = v_sub(split, v_sub(split, b)), low = v_sub(b, high);
    return v_sub(v_sub(c, v_mul(k, high)), v_mul(k, low));
}

#endif
