/* pointwise_formula.h -- the elementwise losses: value and derivatives of each side by side, a vector at a time.
   Not here: weights, reductions, the gradient that flows in, memory (all in pointwise.h).

   Letters: x input, y target, z a third operand (1 where there is none), d = x - y, a and b the job's parameters,
       e = exp(-|x|), which never overflows:  softplus(x) = log(1 + exp x) = max(x, 0) + log1p(e),
       sigmoid(-|x|) = e / (1 + e),  sigmoid(|x|) = 1 / (1 + e),  1 - sigmoid(x) = sigmoid(-x);
   e is given to the formulas that takes_exponential() names. What a caller does not use of the result is not computed: the
   functions are compiled into loops that want one of it.
   Semantics are torch's (its names, its corners), but for infinities where a limit exists: see docs/from-torch.md. */
struct terms {
    vec value, by_input, by_target, by_extra;
};

SIMD vec v_negative(vec a) { return v_sub(v_set(0), a); }

/* 1, -1 or 0; 0 for nan too */
SIMD vec sign_of(vec a) {
    const vec zero = v_set(0), one = v_set(1);
    return v_select(v_not_less(zero, a), v_select(v_not_less(a, zero), zero, v_negative(one)), one);
}

/* a b + c, but c where a is 0, whatever b is */
SIMD vec add_unless_zero(vec a, vec b, vec c) { return v_add_where(v_unequal(a, v_set(0)), c, v_mul(a, b)); }
SIMD vec zero_forgives(vec a, vec b) { return add_unless_zero(a, b, v_set(0)); }

/* What the logistic functions of x are made of: see the letters above. q = e / (1 + e) is rounded twice, and an error of it
   counts q <= 1/2 times in  e / (1 + e) = e - e q,  1 / (1 + e) = 1 - q,  which are rounded once more: each is within 2 ULP,
   e's own error included. */
struct logistic {
    vec e, q, small;                /* e - e q */
    vec sigmoid, opposite;          /* sigmoid(x), sigmoid(-x) */
    vec up, down, log, plus, minus; /* max(x, 0), max(-x, 0), log1p(e); softplus(x) = up + log, softplus(-x) = down + log */
};
SIMD vec exp_of_size(vec x) { return v_exp_scaled(v_min(x, v_negative(x)), v_set(0), exp_floor()); }
SIMD struct logistic logistic(vec x, vec e) {
    const vec zero = v_set(0), one = v_set(1), opposite = v_negative(x), log = v_log1p_unit(e);
    const vec q = v_div(e, v_add(one, e)), small = v_neg_mul_add(e, q, e), large = v_sub(one, q);
    const vec up = v_max(zero, x), down = v_max(zero, opposite);
    const mask positive = v_not_less(x, zero);
    return (struct logistic){
        .e = e,
        .q = q,
        .small = small,
        .sigmoid = v_select(positive, large, small),
        .opposite = v_select(positive, small, large),
        .up = up,
        .down = down,
        .log = log,
        .plus = v_add(up, log),
        .minus = v_add(down, log),
    };
}

/* e / (1 + e)^2 = s (1 - s) for s = small + lost, which is e - e q with nothing rounded away. Where e is below `tiny` that is
   e, and e^2 would be a subnormal number, which takes long: `lost` is too much there, and e the smaller of the two. */
SIMD vec logistic_slope(const struct logistic *l) {
    const vec one = v_set(1), tiny = v_set((real)0x1p-60), e = v_max(tiny, l->e), s = l->small;
    const vec lost = v_neg_mul_add(e, l->q, v_sub(e, s)), share = v_neg_mul_add(v_set(2), s, one);
    return v_min(v_add(s, v_neg_mul_add(s, s, v_mul(lost, share))), l->e);
}

/* l = d^2,  dl/dx = 2 d */
SIMD struct terms mse_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec d = v_sub(x, y), slope = v_add(d, d);
    return (struct terms){.value = v_mul(d, d), .by_input = slope, .by_target = v_negative(slope)};
}

/* l = |d|,  dl/dx = sign d */
SIMD struct terms l1_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec d = v_sub(x, y), slope = sign_of(d);
    return (struct terms){.value = v_abs(d), .by_input = slope, .by_target = v_negative(slope)};
}

/* l = d^2 / 2a for |d| < a, else |d| - a/2;  dl/dx = d / a, else sign d */
SIMD struct terms smooth_l1_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z;
    const vec a = v_set((real)p[0]), half = v_set((real)0.5), d = v_sub(x, y), size = v_abs(d), ratio = v_div(d, a);
    const mask far = v_not_less(size, a);
    const vec slope = v_select(far, v_select(v_equal(d, d), sign_of(d), d), ratio); /* of nan: nan, unlike l1's */
    const vec value = v_select(far, v_sub(size, v_mul(half, a)), v_mul(v_mul(half, d), ratio));
    return (struct terms){.value = value, .by_input = slope, .by_target = v_negative(slope)};
}

/* l = d^2 / 2 for |d| <= a, else a (|d| - a/2);  dl/dx = d, between -a and a */
SIMD struct terms huber_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z;
    const vec a = v_set((real)p[0]), half = v_set((real)0.5), d = v_sub(x, y), size = v_abs(d);
    const mask near = v_not_less(a, size);
    const vec value = v_select(near, v_mul(v_mul(half, d), d), v_mul(a, v_sub(size, v_mul(half, a))));
    const vec slope = v_max(v_negative(a), v_min(a, d));
    return (struct terms){.value = value, .by_input = slope, .by_target = v_negative(slope)};
}

/* l = -y max(log x, -100) - (1 - y) max(log(1 - x), -100)
   dl/dx = (x - y) / max(x (1 - x), 1e-12),  dl/dy = log(1 - x) - log x */
SIMD struct terms binary_cross_entropy(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec one = v_set(1), lowest = v_set(-100);
    const vec log_x = v_log(x), log_rest = v_log1p(v_negative(x)), rest = v_sub(one, x);
    const vec likelihood = v_mul_add(y, v_max(lowest, log_x), v_mul(v_sub(one, y), v_max(lowest, log_rest)));
    return (struct terms){
        .value = v_negative(likelihood),
        .by_input = v_div(v_sub(x, y), v_max(v_set((real)1e-12), v_mul(x, rest))),
        .by_target = v_sub(log_rest, log_x),
    };
}

/* l = (1 - y) softplus(x) + z y softplus(-x), with the common log taken out: no term is negative for y of [0, 1], so nothing
   cancels dl/dx = (1 - y) sigmoid(x) - z y sigmoid(-x),  dl/dy = z softplus(-x) - softplus(x), which is -x for z = 1 */
SIMD struct terms binary_cross_entropy_with_logits(vec x, vec e, vec y, vec z, const double *p) {
    (void)p;
    const struct logistic s = logistic(x, e);
    const vec off = v_sub(v_set(1), y), on = v_mul(z, y);
    return (struct terms){
        .value = add_unless_zero(off, s.up, add_unless_zero(on, s.down, v_mul(v_add(off, on), s.log))),
        .by_input = v_neg_mul_add(on, s.opposite, v_mul(off, s.sigmoid)),
        .by_target = v_mul_add(v_sub(z, v_set(1)), s.log, v_sub(v_mul(z, s.down), s.up)),
    };
}

/* l = y log y - y x, 0 for y = 0 even where x is -inf;  dl/dx = -y,  dl/dy = log y + y / y - x, which is nan for y = 0 */
SIMD struct terms kl_div(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec zero = v_set(0), log_y = v_log(y), ratio = v_sub(log_y, x);
    const vec of_zero = v_select(v_equal(x, v_set(-INFINITY)), zero, v_mul(y, x));
    return (struct terms){
        .value = v_select(v_equal(y, zero), of_zero, v_neg_mul_add(y, x, v_mul(y, log_y))),
        .by_input = v_negative(y),
        .by_target = v_add(v_div(y, y), ratio),
    };
}

/* l = e^y (y - x);  dl/dx = -e^y,  dl/dy = e^y (y - x + 1) */
SIMD struct terms kl_div_log_target(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec probability = v_exp(y), ratio = v_sub(y, x);
    return (struct terms){
        .value = v_mul(probability, ratio),
        .by_input = v_negative(probability),
        .by_target = v_mul(probability, v_add(v_set(1), ratio)),
    };
}

/* l = softplus(-y x);  dl/dx = -y sigmoid(-y x) */
SIMD struct terms soft_margin_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z, (void)p;
    const vec yx = v_mul(y, x);
    const struct logistic s = logistic(yx, exp_of_size(yx));
    return (struct terms){.value = s.minus, .by_input = v_negative(v_mul(y, s.opposite))};
}

/* l = x where y = 1, max(0, a - x) where y = -1, both for any other y;  dl/dx = 1, -1 where x <= a, their sum */
SIMD struct terms hinge_embedding_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z;
    const vec zero = v_set(0), one = v_set(1), a = v_set((real)p[0]);
    const mask positive = v_equal(y, one), negative = v_equal(y, v_negative(one));
    const vec below = v_sub(a, x), down = v_select(v_equal(v_max(zero, below), below), v_negative(one), zero);
    return (struct terms){
        .value = v_add(v_select(negative, zero, x), v_select(positive, zero, v_max(zero, below))),
        .by_input = v_add(v_select(negative, zero, one), v_select(positive, zero, down)),
    };
}

/* l = (log v + d^2 / v) / 2 + b,  v = max(z, a);  dl/dx = d / v,  dl/dv = (1 - d^2 / v) / 2v, taken for dl/dz as torch does */
SIMD struct terms gaussian_nll_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e;
    const vec half = v_set((real)0.5), v = v_max(v_set((real)p[0]), z), d = v_sub(x, y), slope = v_div(d, v);
    const vec square = v_mul(d, slope);
    return (struct terms){
        .value = v_mul_add(half, v_add(v_log(v), square), v_set((real)p[1])),
        .by_input = slope,
        .by_target = v_negative(slope),
        .by_extra = v_div(v_mul(half, v_sub(v_set(1), square)), v),
    };
}

/* Stirling's approximation of log y!, where y > 1:  s = y log y - y + log(2 pi y) / 2,  ds/dy = log y + 1 / 2y; elsewhere 0
   times that, as torch has it: nan for y <= 0 */
SIMD struct terms stirling(vec y, int wanted) {
    const vec zero = v_set(0), one = v_set(1), half = v_set((real)0.5);
    if (!wanted) return (struct terms){.value = zero, .by_target = zero};
    const vec log_y = v_log(y), log_circle = v_log(v_mul(v_set((real)6.283185307179586), y));
    const mask small = v_not_less(one, y);
    const vec counts = v_select(small, zero, one);
    const vec value = v_mul_add(half, log_circle, v_mul(y, v_sub(log_y, one)));
    return (struct terms){
        .value = v_select(small, zero, value),
        .by_target = v_add(v_mul(counts, log_y), v_div(v_mul(counts, half), y)),
    };
}

/* l = x - y log(x + a) + b s(y);  dl/dx = 1 - y / (x + a),  dl/dy = -log(x + a) + b ds/dy */
SIMD struct terms poisson_nll_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z;
    const struct terms s = stirling(y, p[1] != 0);
    const vec rate = v_add(x, v_set((real)p[0])), log_rate = v_log(rate);
    return (struct terms){
        .value = v_add(v_neg_mul_add(y, log_rate, x), s.value),
        .by_input = v_sub(v_set(1), v_div(y, rate)),
        .by_target = v_sub(s.by_target, log_rate),
    };
}

/* l = e^x - y x + b s(y);  dl/dx = e^x - y,  dl/dy = -x + b ds/dy */
SIMD struct terms poisson_nll_loss_log_input(vec x, vec e, vec y, vec z, const double *p) {
    (void)e, (void)z;
    const struct terms s = stirling(y, p[1] != 0);
    const vec rate = v_exp(x);
    return (struct terms){
        .value = v_add(v_neg_mul_add(y, x, rate), s.value),
        .by_input = v_sub(rate, y),
        .by_target = v_sub(s.by_target, x),
    };
}

/* q^n: by squaring for the whole part of n, by exp and log for the rest */
static __attribute__((noinline, unused)) vec power(vec q, double n) {
    const double whole = n >= 0 && n < 64 ? floor(n) : 0, rest = n - whole;
    vec result = v_set(1), square = q;
    for (int i = (int)whole; i > 0; i >>= 1, square = v_mul(square, square))
        if (i & 1) result = v_mul(result, square);
    return rest == 0 ? result : v_mul(result, v_exp(v_mul(v_set((real)rest), v_log(q))));
}

/* c = (1 - y) softplus(x) + y softplus(-x),  q = (1 - y) sigmoid(x) + y sigmoid(-x),  t = (1 - y)(1 - a) + y a, or 1 for a < 0
   l = t c q^b
   dl/dx = t (q^b (sigmoid(x) - y) + b q^(b-1) c (1 - 2y) sigmoid(x) sigmoid(-x))
   dl/dy = (2a - 1) c q^b + t (b q^(b-1) c (sigmoid(-x) - sigmoid(x)) - q^b x),  with 0 for 2a - 1 where a < 0 */
SIMD struct terms sigmoid_focal_loss(vec x, vec e, vec y, vec z, const double *p) {
    (void)z;
    const double a = p[0], b = p[1];
    const vec one = v_set(1), off = v_sub(one, y);
    const struct logistic s = logistic(x, e);
    const vec up = s.sigmoid, down = s.opposite;
    const vec c = v_add(zero_forgives(off, s.plus), zero_forgives(y, s.minus));
    const vec q = v_mul_add(off, up, v_mul(y, down)), focus = power(q, b);
    const vec t = a < 0 ? one : v_mul_add(y, v_set((real)a), v_mul(off, v_set((real)(1 - a))));
    const vec slope = b == 0 ? v_set(0) : v_mul(c, v_mul(v_set((real)b), power(q, b - 1)));
    const vec of_loss = v_sub(v_mul(off, up), v_mul(y, down)), of_focus = v_mul(v_sub(off, y), v_mul(up, down));
    const vec by_y = v_sub(v_mul(slope, v_sub(down, up)), v_mul(focus, x));
    return (struct terms){
        .value = v_mul(t, zero_forgives(focus, c)),
        .by_input = v_mul(t, v_mul_add(focus, of_loss, zero_forgives(of_focus, slope))),
        .by_target = v_mul_add(t, by_y, v_mul(v_set((real)(a < 0 ? 0 : 2 * a - 1)), v_mul(c, focus))),
    };
}

/* l = -softplus(-x);  dl/dx = sigmoid(-x) */
SIMD struct terms logsigmoid(vec x, vec e, vec y, vec z, const double *p) {
    (void)y, (void)z, (void)p;
    const struct logistic s = logistic(x, e);
    return (struct terms){.value = v_negative(s.minus), .by_input = s.opposite};
}

/* l = sigmoid(x);  dl/dx = sigmoid(x) sigmoid(-x) = e / (1 + e)^2 */
SIMD struct terms sigmoid(vec x, vec e, vec y, vec z, const double *p) {
    (void)y, (void)z, (void)p;
    const struct logistic s = logistic(x, e);
    return (struct terms){.value = s.sigmoid, .by_input = logistic_slope(&s)};
}

/* Which formulas are given e. Made together for many x, exponentials do not wait for the logarithm or the division of those
   before: of a chain of some 100 cycles for each vector, a core has too few under way. */
typedef struct terms (*pointwise_formula)(vec x, vec e, vec y, vec z, const double *parameters);
SIMD int takes_exponential(pointwise_formula f) {
    return f == binary_cross_entropy_with_logits || f == sigmoid_focal_loss || f == logsigmoid || f == sigmoid;
}

/* Which formulas are asked for so often that a loop of their own for jobs without weights and the like is worth its size;
   kl_div would be, but is slower so. */
SIMD int is_common(pointwise_formula f) { return f == mse_loss || f == binary_cross_entropy_with_logits; }

/* Which formulas take so few steps that their loads come as fast as memory does. A loop of another one would wait for memory
   half of its time if it did not ask ahead; this one would only ask for what is on its way. */
SIMD int is_light(pointwise_formula f) {
    return f == mse_loss || f == l1_loss || f == smooth_l1_loss || f == huber_loss || f == hinge_embedding_loss;
}
