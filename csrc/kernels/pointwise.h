/* pointwise.h -- the loop of the elementwise losses: operands in, weight and flowing gradient applied, values and one
   derivative out, the sum taken, all in one pass. The formulas are in pointwise_formula.h. Called by the driver pointwise.c
   through table.h. */
#include "pointwise_formula.h"

enum {
    PIECE = 1024, /* elements that are worked on at a time: operands that must be copied stay in the L1 cache */
    OPERANDS = 5,
    AHEAD = PIECE, /* elements between what is read and what will be */
    SUMMED = 4,    /* values of a lane that are added before the sum goes to float64 */
};

/* The operands' pieces, or NULL where there is none; `scratch` is room for a piece of each and of both results. */
struct operands {
    const real *x, *y, *z, *weight, *grad_output;
};

SIMD const real *operand(const struct crossent_view *view, size_t first, size_t n, real *scratch, size_t number) {
    return view->data ? fetch(view, first, n, scratch ? scratch + number * PIECE : NULL) : NULL;
}

SIMD struct operands operands_of(const struct crossent_pointwise_job *job, size_t first, size_t n, real *scratch) {
    return (struct operands){
        .x = operand(&job->input, first, n, scratch, 0),
        .y = operand(&job->target, first, n, scratch, 1),
        .z = operand(&job->extra, first, n, scratch, 2),
        .weight = operand(&job->weight, first, n, scratch, 3),
        .grad_output = operand(&job->grad_output, first, n, scratch, 4),
    };
}

SIMD size_t pointwise_scratch_size(const struct crossent_pointwise_job *job) {
    const struct crossent_view *views[OPERANDS] = {&job->input, &job->target, &job->extra, &job->weight, &job->grad_output};
    int direct = (!job->values.data || job->values.dtype == REAL) && (!job->output.data || job->output.dtype == REAL);
    for (int i = 0; i < OPERANDS; i++) direct &= !views[i]->data || is_direct(views[i]);
    return direct ? 0 : (OPERANDS + 2) * PIECE * sizeof(real);
}

SIMD vec derivative_of(struct terms f, enum crossent_derivative derivative) {
    return derivative == CROSSENT_BY_INPUT ? f.by_input : derivative == CROSSENT_BY_TARGET ? f.by_target : f.by_extra;
}

/* Whether there is an operand or a result that most jobs have not, and a plain one has never: code for it is put out of the
   loop's way, which has only so many jumps taken. */
SIMD int rarely(int plain, const real *p) { return !plain && __builtin_expect(p != NULL, 0); }

/* The vectors of one piece, all whole; returns the sum so far. Some values are added in their own type before they go to
   float64. */
SIMD wide pointwise_vectors(const struct crossent_pointwise_job *job, const struct operands *in, size_t n, real *values,
                            real *output, wide sum, pointwise_formula formula, enum crossent_derivative derivative, int plain) {
    const vec zero = v_set(0), one = v_set(1), scale = v_set((real)job->grad_scale);
    real exponentials[PIECE];
    for (size_t i = 0; takes_exponential(formula) && i < n; i += LANES)
        v_store(exponentials + i, v_prefetch(exp_of_size(v_load(in->x + i)), in->x + i + AHEAD));
    for (size_t i = 0; i < n;) {
        vec short_sum = zero;
        for (const size_t end = n - i < SUMMED * LANES ? n : i + SUMMED * LANES; i < end; i += LANES) {
            const vec e = takes_exponential(formula) ? v_load(exponentials + i) : zero;
            const vec x = v_load(in->x + i), y = plain || in->y ? v_load(in->y + i) : zero;
            const vec z = rarely(plain, in->z) ? v_load(in->z + i) : one;
            const struct terms f = formula(x, e, y, z, job->parameters);
            const vec w = rarely(plain, in->weight) ? v_load(in->weight + i) : one;
            vec value = rarely(plain, in->weight) ? v_mul(f.value, w) : f.value;
            if (!is_light(formula) && !takes_exponential(formula)) value = v_prefetch(value, in->x + i + AHEAD);
            if (!is_light(formula) && (plain || in->y)) value = v_prefetch(value, in->y + i + AHEAD);
            if (rarely(plain, values)) v_store(values + i, value);
            short_sum = v_add(short_sum, value);
            if (derivative == CROSSENT_NO_DERIVATIVE) continue;
            const vec flow = rarely(plain, in->grad_output) ? v_mul(scale, v_load(in->grad_output + i)) : scale;
            const vec slope = derivative_of(f, derivative);
            v_store(output + i, v_mul(rarely(plain, in->weight) ? v_mul(slope, w) : slope, flow));
        }
        sum = wide_add(sum, short_sum);
    }
    return sum;
}

SIMD wide pointwise_piece(const struct crossent_pointwise_job *job, const struct operands *in, size_t n, real *values,
                          real *output, wide sum, pointwise_formula formula, enum crossent_derivative derivative) {
    const int plain = in->y && !in->z && !in->weight && !in->grad_output && !values;
    if (is_common(formula) && plain) return pointwise_vectors(job, in, n, NULL, output, sum, formula, derivative, 1);
    return pointwise_vectors(job, in, n, values, output, sum, formula, derivative, 0);
}

/* Up to PIECE elements: whole vectors of the operands, and where the results of these go. Of the last elements, fewer than a
   vector's, they are copies. */
struct piece {
    struct operands in;
    real *values, *output;
    real padded[OPERANDS][LANES], last_values[LANES], last_output[LANES];
};

SIMD const real *pad(const real *from, size_t n, real *to) {
    if (from == NULL) return NULL;
    v_store(to, v_load_first(from, n, v_set((real)0.5))); /* of which no loss takes long */
    return to;
}

/* The same for all losses: functions of their own. */
static __attribute__((noinline)) void open_piece(const struct crossent_pointwise_job *job, const struct crossent_result *values,
                                                 size_t first, size_t values_first, size_t n, real *scratch,
                                                 struct piece *piece) {
    const struct operands in = operands_of(job, first, n, scratch);
    real *const results = scratch ? scratch + OPERANDS * PIECE : NULL;
    piece->in = in;
    piece->values = values->data ? place(values, values_first, results) : NULL;
    piece->output = job->derivative ? place(&job->output, first, scratch ? results + PIECE : NULL) : NULL;
    if (n >= LANES) return;
    piece->in = (struct operands){
        .x = pad(in.x, n, piece->padded[0]),
        .y = pad(in.y, n, piece->padded[1]),
        .z = pad(in.z, n, piece->padded[2]),
        .weight = pad(in.weight, n, piece->padded[3]),
        .grad_output = pad(in.grad_output, n, piece->padded[4]),
    };
    piece->values = piece->last_values, piece->output = piece->last_output;
}
static __attribute__((noinline)) void close_piece(const struct crossent_pointwise_job *job,
                                                  const struct crossent_result *values, size_t first, size_t values_first,
                                                  size_t n, const struct piece *piece) {
    if (values->data) put(values, values_first, n, piece->values);
    if (job->derivative) put(&job->output, first, n, piece->output);
}

/* How many of the elements that are left are taken at a time: as many whole vectors as a piece holds, then the rest. */
SIMD size_t piece_of(size_t left) { return left < LANES ? left : left < PIECE ? left / LANES * LANES : PIECE; }

/* Elements first .. first + count. A job wants a value of each, or one of each group: then `each`, if it is not NULL, is room
   for theirs. */
SIMD double pointwise_run(const struct crossent_pointwise_job *job, size_t first, size_t count, real *scratch, real *each,
                          pointwise_formula formula, enum crossent_derivative derivative) {
    const struct crossent_result own = {each, REAL}, values = job->group == 1 ? job->values : own;
    const size_t values_first = job->group == 1 ? first : 0;
    wide sum = wide_zero();
    struct piece piece;
    for (size_t n, done = 0; done < count; done += n) {
        n = piece_of(count - done);
        open_piece(job, &values, first + done, values_first + done, n, scratch, &piece);
        const wide with_all = pointwise_piece(job, &piece.in, n, piece.values, piece.output, sum, formula, derivative);
        sum = n < LANES ? wide_add(sum, v_load_first(piece.values, n, v_set(0))) : with_all;
        close_piece(job, &values, first + done, values_first + done, n, &piece);
    }
    return wide_sum(sum);
}

/* pointwise_run, compiled for a loss and a derivative of it. */
typedef double (*pointwise_kernel)(const struct crossent_pointwise_job *job, size_t first, size_t count, real *scratch,
                                   real *each);

SIMD double sum_of(const real *values, size_t n) {
    wide sum = wide_zero();
    for (size_t i = 0; i < n; i += LANES) sum = wide_add(sum, v_load_first(values + i, n - i, v_set(0)));
    return wide_sum(sum);
}

/* One value for each group of elements: of as many groups as a piece holds all elements' values first, or a sum of one. */
SIMD double pointwise_groups(pointwise_kernel kernel, const struct crossent_pointwise_job *job, size_t first, size_t count,
                             real *scratch) {
    struct double_sum sum = {0, 0};
    real each[PIECE];
    if (job->group == 1) return kernel(job, first, count, scratch, NULL);
    const size_t group = job->group, most = group < PIECE ? PIECE / group * group : group;
    for (size_t done = 0; done < count; done += group) {
        const size_t in_piece = done % most, left = count - done, n = left < most ? left : most;
        if (in_piece == 0 && group < PIECE) kernel(job, first + done, n, scratch, each);
        const double total = group < PIECE ? sum_of(each + in_piece, group) : kernel(job, first + done, group, scratch, NULL);
        const double mean = total / (double)group;
        const real value = (real)mean;
        if (job->values.data) put(&job->values, (first + done) / group, 1, &value);
        add_to(&sum, mean);
    }
    return value_of(sum);
}

/* The first element that is not between low and high, or SIZE_MAX. */
SIMD size_t first_outside(const struct crossent_view *view, double low, double high, size_t first, size_t count,
                          real *scratch) {
    const vec lowest = v_set((real)low), highest = v_set((real)high);
    for (size_t done = 0; done < count; done += PIECE) {
        const size_t n = count - done < PIECE ? count - done : PIECE;
        const real *const x = fetch(view, first + done, n, scratch);
        size_t inside = 0;
        for (size_t i = 0; i < n; i += LANES) {
            const vec v = v_load_first(x + i, n - i, lowest);
            inside += m_count(v_equal(v, v_max(lowest, v_min(highest, v))));
        }
        if (inside == (n + LANES - 1) / LANES * LANES) continue;
        for (size_t i = 0; i < n; i++)
            if (!(x[i] >= (real)low && x[i] <= (real)high)) return first + done + i;
    }
    return SIZE_MAX;
}
