/* score.h -- what a scored row has beside its loss: its predicted class, its target's rank, its largest probability, entropy
   and Brier score. Not here: the loss (softmax_formula.h) and the loops that make the sums, in the same pass as the loss's.
   Called by softmax_rows.h and softmax_positions.h.

   With the letters of softmax_formula.h, and S = 1 + rest = sum e^(x_c - m), two more sums:
       surprise = sum (m - x_c) e^(x_c - m),   squares = sum e^2(x_c - m) over all classes but one that has the maximum
       confidence = 1 / S,   entropy = log S + surprise / S
       brier = (rest^2 + squares) / S^2 if the target is the predicted class, else 1 - 2 p_t + (1 + squares) / S^2
   In none of them terms cancel. */

/* from - x for a maximum `from`; where that is so far that e^(x - from) is 0, something finite: their product is 0, not nan. */
SIMD vec finite_below(vec from, vec x) { return v_min(v_set(-2 * EXP_LOWEST), v_sub(from, x)); }

struct row_score {
    vec confidence, entropy, brier;
};
struct score_lanes {
    real confidence[LANES], entropy[LANES], brier[LANES];
};

SIMD struct row_score score_row(const struct row_state *s, const struct row_finish *done, const struct scale *scale) {
    const vec one = v_set(1), rest = v_add(s->rest, v_sub(s->max, s->max)), sum = v_add(one, rest), square = v_mul(sum, sum);
    const vec p = v_div(v_mul(scaled_exp(s->at_target, scale), scale->inverse), sum);
    const vec right = v_div(v_mul_add(rest, rest, s->squares), square);
    const vec wrong = v_add(v_sub(one, v_add(p, p)), v_div(v_add(one, s->squares), square));
    return (struct row_score){
        .confidence = v_div(one, sum),
        .entropy = v_add(done->log_sum, v_div(s->surprise, sum)),
        .brier = v_select(v_equal(s->before, v_set(0)), right, wrong),
    };
}

SIMD void store_score(struct row_score score, struct score_lanes *to) {
    v_store(to->confidence, score.confidence);
    v_store(to->entropy, score.entropy);
    v_store(to->brier, score.brier);
}

/* A lane to its position, by the rules of struct crossent_scores. */
SIMD void put_score(const struct crossent_softmax_job *job, size_t position, int live, const struct score_lanes *from,
                    size_t lane, size_t argmax, size_t before) {
    const struct crossent_scores *to = &job->scores;
    const int exists = live && from->confidence[lane] == from->confidence[lane];
    to->predicted[position] = exists ? (int64_t)argmax : -1;
    to->rank[position] = exists ? (int64_t)before : live ? (int64_t)job->classes : -1;
    to->confidence[position] = live ? (double)from->confidence[lane] : 0;
    to->entropy[position] = live ? (double)from->entropy[lane] : 0;
    to->brier[position] = live ? (double)from->brier[lane] : 0;
}

/* How many of n logits come before a target's: those not less, if the target is behind them all, or those greater. */
SIMD size_t count_before(const real *x, size_t n, real target, int target_is_behind) {
    const vec t = v_set(target);
    size_t before = 0, c = 0;
#pragma GCC unroll 4
    for (; c + LANES <= n; c += LANES) {
        const vec v = v_load(x + c);
        before += target_is_behind ? m_count(v_not_less(v, t)) : LANES - m_count(v_not_less(t, v));
    }
    for (; c < n; c++) before += target_is_behind ? x[c] >= target : x[c] > target;
    return before;
}

/* What is counted of a run of `width` columns from `first` on, at x: the classes before the target, a class of this logit; and
   where the maximum is, of which the first column of its vector is known. */
SIMD void count_block(const real *x, size_t first, size_t width, size_t target, real logit, struct crossent_partial *partial) {
    const size_t lower = target < first ? 0 : target - first < width ? target - first : width; /* columns below the target */
    if (partial->max >= (double)logit)
        partial->before = count_before(x, lower, logit, 1) + count_before(x + lower, width - lower, logit, 0);
    while (partial->argmax < width && (double)x[partial->argmax] != partial->max) partial->argmax++;
    partial->argmax += first;
}
