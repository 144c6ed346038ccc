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

/* What a run of columns knows of the target: its logit, the next larger number, and its column, which is negative or behind the
   run's end if it is in another. */
struct target_view {
    real logit, above;
    ptrdiff_t column;
};

SIMD struct target_view view_target(real logit, ptrdiff_t column) {
    const real above =
        sizeof(real) == sizeof(float) ? (real)nextafterf((float)logit, INFINITY) : (real)nextafter(logit, INFINITY);
    return (struct target_view){logit, above, column};
}

/* From which logit on one of the n columns from c on comes before the target: an equal one does if its class is lower. Where
   the target is among them none does yet: finish_counts() counts those. */
SIMD vec before_from(const struct target_view *target, size_t c, size_t n) {
    if ((ptrdiff_t)(c + n) <= target->column) return v_set(target->logit);
    return v_set((ptrdiff_t)c > target->column ? target->above : (real)INFINITY);
}

/* What the loop over a run of `width` columns from `first` on, at x, has left: the columns before the target that are in its
   group of `group` columns, behind the last whole one of LANES; and where the maximum is, of which the group is known. */
SIMD void finish_counts(const real *x, size_t first, size_t width, size_t group, const struct target_view *target,
                        struct crossent_partial *partial) {
    if (target->column >= 0 && (size_t)target->column < width) {
        const size_t t = (size_t)target->column, columns = t < width - width % group ? group : LANES;
        const size_t begin = t - t % columns, end = begin + columns < width ? begin + columns : width;
        partial->before +=
            count_before(x + begin, t - begin, target->logit, 1) + count_before(x + t, end - t, target->logit, 0);
    }
    const vec max = v_set((real)partial->max);
    size_t c = partial->argmax;
    while (c + LANES <= width && m_count(v_equal(v_load(x + c), max)) == 0) c += LANES;
    while (c < width && (double)x[c] != partial->max) c++;
    partial->argmax = first + c;
}
