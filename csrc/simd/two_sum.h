/* a + b as the rounded sum and what rounding took from it, exactly; nan where the sum is not finite. Included behind the verbs.
   Source: Knuth's TwoSum, The Art of Computer Programming 2, 4.2.2. */
#ifndef CROSSENT_TWO_SUM_H
#define CROSSENT_TWO_SUM_H

SIMD vec two_sum(vec a, vec b, vec *lost) {
    const vec sum = v_add(a, b), b_seen = v_sub(sum, a);
    *lost = v_add(v_sub(a, v_sub(sum, b_seen)), v_sub(b, b_seen));
    return sum;
}

#endif
