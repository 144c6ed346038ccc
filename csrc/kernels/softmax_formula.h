/* softmax_formula.h -- the formulas of the softmax family, of one row or of one vector of rows.
   Not here: loops over classes (softmax_rows.h, softmax_positions.h), threads, divisors of a mean.

   Letters: x the logits of a row, m = max x, t the target class, a the coefficients that the target gives (crossent.h),
       rest     = sum e^(x_c - m) over all classes but one that has the maximum
       distance = sum b_c (m - x_c),   mass = sum b_c       b: the part of a that is spread over the classes
   so that sum e^(x_c - m) = 1 + rest and -log p_c = (m - x_c) + log1p(rest): a sum of two terms that are not negative, in
   which nothing cancels, down to losses of 1e-38.
   Source: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, 2021, algorithm 4.1. */
#include "../double_sum.h"

/* How e^(x - m) is computed for a row: as e^(x - origin) 2^-power times `inverse`, which is known as inverse + inverse_low:
   all terms share its error. With |m| <= NEAR the origin is 0: x enters the exponential as it is, and the rounding error of
   x - m, which would cost a probability up to |x - m| half ULP, is not made; power and inverse are those of 1 / e^m. Further
   out the origin is m, the power 0 and the inverse 1. */
struct scale {
    vec origin, power, floor, inverse, inverse_low;
};

SIMD struct scale scale_of(vec max) {
    const vec zero = v_set(0);
    const mask near = v_not_less(v_set(NEAR), v_max(max, v_sub(zero, max)));
    const vec top = v_select(near, max, zero);
    const vec far_origin = v_select(v_equal(max, v_set(-INFINITY)), zero, max); /* -inf is measured from 0: e^x is 0 there */
    struct scale scale = {.origin = v_select(near, zero, far_origin), .floor = v_add(top, exp_floor())};
    const vec power = v_exp_reduced(v_sub(zero, top), &scale.inverse, &scale.inverse_low); /* e^-m = 2^power inverse */
    scale.power = v_sub(zero, power);
    return scale;
}

/* The same of a row in each lane, to be taken row by row, and its maximum. */
struct scale_lanes {
    real max[LANES], origin[LANES], power[LANES], floor[LANES], inverse[LANES], inverse_low[LANES];
};
SIMD void store_scale(vec max, struct scale_lanes *to) {
    const struct scale scale = scale_of(max);
    v_store(to->max, max);
    v_store(to->origin, scale.origin);
    v_store(to->power, scale.power);
    v_store(to->floor, scale.floor);
    v_store(to->inverse, scale.inverse);
    v_store(to->inverse_low, scale.inverse_low);
}

SIMD vec scaled_exp(vec x, const struct scale *scale) {
    return v_exp_scaled(v_sub(x, scale->origin), scale->power, scale->floor);
}

SIMD real first_lane(vec a) {
    real lanes[LANES];
    v_store(lanes, a);
    return lanes[0];
}

/* Which b a row has: the loops are compiled once for each. */
enum spread {
    NO_SPREAD,              /* b = 0: a class index without smoothing, or no target */
    UNIFORM,                /* b = 1: label smoothing */
    WEIGHTS,                /* b = w: label smoothing with weights */
    PROBABILITIES,          /* b = (1 - eps) q + eps/C */
    WEIGHTED_PROBABILITIES, /* b = w ((1 - eps) q + eps/C) */
    SPREADS,
};

SIMD enum spread spread_of(const struct crossent_softmax_job *job) {
    if (job->probabilities.data) return job->weight ? WEIGHTED_PROBABILITIES : PROBABILITIES;
    if (job->target && job->label_smoothing != 0) return job->weight ? WEIGHTS : UNIFORM;
    return NO_SPREAD;
}

/* The sums over classes that a row needs, in a lane's type, and in a wider one. Only those are added up that a kernel makes;
   the mass of UNIFORM is known without. */
struct lane_sums {
    vec rest, distance, mass, surprise, squares;
};
struct wide_sums {
    wide rest, distance, mass, surprise, squares;
};

SIMD struct lane_sums no_sums(void) {
    const vec zero = v_set(0);
    return (struct lane_sums){zero, zero, zero, zero, zero};
}
SIMD struct wide_sums no_wide_sums(void) {
    const wide zero = wide_zero();
    return (struct wide_sums){zero, zero, zero, zero, zero};
}

SIMD struct lane_sums sums_of_two(struct lane_sums a, struct lane_sums b, enum spread spread, enum crossent_output kind) {
    a.rest = v_add(a.rest, b.rest);
    if (spread != NO_SPREAD) a.distance = v_add(a.distance, b.distance);
    if (spread >= WEIGHTS) a.mass = v_add(a.mass, b.mass);
    if (kind == CROSSENT_SCORES) {
        a.surprise = v_add(a.surprise, b.surprise);
        a.squares = v_add(a.squares, b.squares);
    }
    return a;
}

SIMD void add_wide(struct wide_sums *total, struct lane_sums s, enum spread spread, enum crossent_output kind) {
    total->rest = wide_add(total->rest, s.rest);
    if (spread != NO_SPREAD) total->distance = wide_add(total->distance, s.distance);
    if (spread >= WEIGHTS) total->mass = wide_add(total->mass, s.mass);
    if (kind == CROSSENT_SCORES) {
        total->surprise = wide_add(total->surprise, s.surprise);
        total->squares = wide_add(total->squares, s.squares);
    }
}

/* A row's numbers before the last step, a lane per row. u and v: a = u [c = t] + v b; k: the factor of the gradient. */
struct row_state {
    vec max, rest, rest_low, distance, mass, at_target, spread_at_target, u, v, k; /* rest_low: what rest rounds away */
    vec surprise, squares, before;                                                 /* for CROSSENT_SCORES: see score.h */
};

/* What the last step leaves: the value, and  output = e^(x - m) exp_scale - spread_scale b,  but for the target class. */
struct row_finish {
    vec value, log_sum, exp_scale, spread_scale, target_gradient;
};

/* (m - x_t) + log1p(rest), rounded once; the target's logit may be -inf. */
SIMD vec index_loss(const struct row_state *s, vec log_high, vec log_low) {
    vec below_low, lost;
    const vec below = two_sum(s->max, v_sub(v_set(0), s->at_target), &below_low);
    const vec sum = two_sum(below, log_high, &lost), low = v_add(lost, v_add(below_low, log_low));
    return v_add_where(v_equal(low, low), sum, low); /* nothing is lost of an infinite sum */
}

/* value = u ((m - x_t) + log1p(rest)) + v (distance + mass log1p(rest));   gradient = k ((u + v mass) p - a)
   Without a spread v is 0, and its parts are not computed. */
SIMD struct row_finish finish_row(int has_spread, struct row_state s, const struct scale *scale) {
    const vec one = v_set(1), zero = v_set(0);
    /* m - m is 0, or nan if the maximum is infinite: then there is no softmax */
    const vec rest = v_add(s.rest, v_sub(s.max, s.max));
    vec log_low;
    const vec log_high = v_log1p_parts(rest, s.rest_low, &log_low), log_sum = v_add(log_high, log_low), sum = v_add(one, rest);
    const vec index_part = v_mul(s.u, index_loss(&s, log_high, log_low));
    const vec spread_part = v_mul(s.v, v_mul_add(s.mass, log_sum, s.distance));

    /* 1 - p_t = (the other terms) / sum, which does not cancel as p_t - 1 would */
    const vec e_target = v_mul(scaled_exp(s.at_target, scale), scale->inverse);
    const vec others = v_select(v_equal(s.at_target, s.max), rest, v_add(v_sub(one, e_target), rest));
    const vec spread_gradient = v_mul(s.v, v_sub(v_div(v_mul(s.mass, e_target), sum), s.spread_at_target));
    const vec index_gradient = v_mul(s.u, v_div(others, sum));
    return (struct row_finish){
        .value = has_spread ? v_add(index_part, spread_part) : index_part,
        .log_sum = log_sum,
        .exp_scale = v_div(v_mul(s.k, has_spread ? v_mul_add(s.v, s.mass, s.u) : s.u), sum),
        .spread_scale = v_mul(s.k, s.v),
        .target_gradient = v_mul(s.k, v_sub(has_spread ? spread_gradient : zero, index_gradient)),
    };
}

/* No target: value = logsumexp(x) = (m + shift) + log1p(rest),  exp_scale = k / sum; shift: what was taken from x before. */
SIMD struct row_finish finish_without_target(struct row_state s, vec shift) {
    const vec rest = v_add(s.rest, v_sub(s.max, s.max)), zero = v_set(0);
    return (struct row_finish){
        .value = v_add(v_add(s.max, shift), v_log1p(s.rest)),
        .log_sum = v_log1p(rest),
        .exp_scale = v_div(s.k, v_add(v_set(1), rest)),
        .spread_scale = zero,
        .target_gradient = zero,
    };
}

SIMD struct row_finish finish_state(int has_target, int has_spread, const struct row_state *s, const struct scale *scale,
                                    vec shift) {
    return has_target ? finish_row(has_spread, *s, scale) : finish_without_target(*s, shift);
}
/* What an output is made of, and the output: of e = e^(x - m), or of x for a log-softmax. b is not used without a spread. */
struct output_parts {
    vec max, log_sum, exp_scale, spread_scale;
};
SIMD vec output_of(enum spread spread, enum crossent_output kind, vec x_or_e, vec b, const struct output_parts *of) {
    if (kind == CROSSENT_LOG_SOFTMAX) return v_sub(v_sub(x_or_e, of->max), of->log_sum);
    const vec y = v_mul(v_lower(x_or_e), of->exp_scale);
    return spread == NO_SPREAD ? y : v_neg_mul_add(of->spread_scale, b, y);
}
/* finish_state in a function of its own, for loops that are not so common that 5 % of few classes are worth a copy of it. */
static __attribute__((noinline)) void finish_apart(int has_target, const struct row_state *s, const struct scale *scale,
                                                   vec shift, struct row_finish *done) {
    *done = finish_state(has_target, 1, s, scale, shift);
}

/* x - m, where m is a maximum over x: a run of nothing but -inf is measured from 0, so that e^(x - m) is 0 and not nan. */
SIMD double reference(double max) { return max == -INFINITY ? 0.0 : max; }

/* Two runs of columns of one row as one. */
SIMD struct crossent_partial merge_partials(struct crossent_partial a, struct crossent_partial b) {
    const struct crossent_partial high = a.max >= b.max ? a : b, low = a.max >= b.max ? b : a; /* of equals a, the first */
    const double factor = low.max == high.max ? 1.0 : exp(low.max - high.max);
    const double shift = reference(high.max) - reference(low.max);
    const double gained = (low.rest + 1.0) * factor; /* + 1: the maximum of the lower run counts now */
    return (struct crossent_partial){
        .max = high.max,
        .rest = high.rest + gained,
        .distance = high.distance + low.distance + (low.mass == 0 ? 0 : low.mass * shift),
        .mass = high.mass + low.mass,
        .at_target = high.at_target + low.at_target, /* one of the two is 0 */
        .surprise = high.surprise + low.surprise * factor + shift * gained,
        .squares = high.squares + (low.squares + 1.0) * factor * factor,
        .argmax = high.argmax,
        .before = high.before + low.before,
    };
}

/* The target of a position, read once: another thread may be writing it. False where the position is ignored. */
SIMD int read_target(const struct crossent_softmax_job *job, size_t position, size_t *target) {
    const int64_t t = *(const volatile int64_t *)(job->target + position);
    *target = (size_t)t;
    return t != job->ignore_index && (uint64_t)t < (uint64_t)job->classes;
}

/* (1 - eps) w_t, the coefficient u of a class index. */
SIMD real index_weight(const struct crossent_softmax_job *job, size_t target) {
    const double w = job->weight ? (double)((const real *)job->weight)[target] : 1.0;
    return (real)((1.0 - job->label_smoothing) * w);
}

/* The coefficient v of the spread part, the same for every row. */
SIMD real spread_factor(const struct crossent_softmax_job *job, enum spread spread) {
    if (spread == UNIFORM || spread == WEIGHTS) return (real)(job->label_smoothing / (double)job->classes);
    return spread == NO_SPREAD ? 0 : 1;
}

SIMD real gradient_factor(const struct crossent_softmax_job *job, size_t position) {
    const double g = job->grad_output ? (double)((const real *)job->grad_output)[position] : 1.0;
    return (real)(job->grad_scale * g);
}
