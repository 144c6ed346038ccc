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

/* The vectors of one piece; returns the sum so far. Some values are added in their own type before they go to float64. */
SIMD wide pointwise_piece(const struct crossent_pointwise_job *job, const struct operands *in, size_t n, real *values,
                          real *output, wide sum, pointwise_formula formula, enum crossent_derivative derivative) {
    const vec zero = v_set(0), one = v_set(1), scale = v_set((real)job->grad_scale);
    real exponentials[PIECE];
    for (size_t i = 0; takes_exponential(formula) && i < n; i += LANES)
        v_store(exponentials + i, v_prefetch(exp_of_size(v_load_first(in->x + i, n - i, zero)), in->x + i + AHEAD));
    vec short_sum = zero;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i;
        const vec e = takes_exponential(formula) ? v_load(exponentials + i) : zero;
        const vec x = v_load_first(in->x + i, left, zero), y = in->y ? v_load_first(in->y + i, left, zero) : zero;
        const vec z = in->z ? v_load_first(in->z + i, left, one) : one;
        const struct terms f = formula(x, e, y, z, job->parameters);
        const vec w = in->weight ? v_load_first(in->weight + i, left, zero) : one;
        vec value = in->weight ? v_mul(f.value, w) : f.value;
        if (!is_light(formula) && !takes_exponential(formula)) value = v_prefetch(value, in->x + i + AHEAD);
        if (!is_light(formula) && in->y) value = v_prefetch(value, in->y + i + AHEAD);
        if (values) v_store_first(values + i, value, left);
        if (left < LANES) value = v_select(m_first(left), value, zero);
        short_sum = v_add(short_sum, value);
        if (i % (SUMMED * LANES) == (SUMMED - 1) * LANES) sum = wide_add(sum, short_sum), short_sum = zero;
        if (derivative == CROSSENT_NO_DERIVATIVE) continue;
        const vec flow = in->grad_output ? v_mul(scale, v_load_first(in->grad_output + i, left, zero)) : scale;
        const vec slope = derivative_of(f, derivative);
        v_store_first(output + i, v_mul(in->weight ? v_mul(slope, w) : slope, flow), left);
    }
    return wide_add(sum, short_sum);
}

SIMD double pointwise_run(const struct crossent_pointwise_job *job, size_t first, size_t count, real *scratch,
                          pointwise_formula formula, enum crossent_derivative derivative) {
    wide sum = wide_zero();
    for (size_t done = 0; done < count; done += PIECE) {
        const size_t n = count - done < PIECE ? count - done : PIECE, at = first + done;
        const struct operands in = operands_of(job, at, n, scratch);
        real *const results = scratch ? scratch + OPERANDS * PIECE : NULL;
        real *const values = job->values.data && job->group == 1 ? place(&job->values, at, results) : NULL;
        real *const output = derivative ? place(&job->output, at, scratch ? results + PIECE : NULL) : NULL;
        sum = pointwise_piece(job, &in, n, values, output, sum, formula, derivative);
        if (values) put(&job->values, at, n, values);
        if (derivative) put(&job->output, at, n, output);
    }
    return wide_sum(sum);
}

/* pointwise_run, compiled for a loss and a derivative of it. */
typedef double (*pointwise_kernel)(const struct crossent_pointwise_job *job, size_t first, size_t count, real *scratch);

/* One value for each group of elements. */
SIMD double pointwise_groups(pointwise_kernel kernel, const struct crossent_pointwise_job *job, size_t first, size_t count,
                             real *scratch) {
    struct double_sum sum = {0, 0};
    if (job->group == 1) return kernel(job, first, count, scratch);
    for (size_t done = 0; done < count; done += job->group) {
        const double total = kernel(job, first + done, job->group, scratch) / (double)job->group;
        const real value = (real)total;
        if (job->values.data) put(&job->values, (first + done) / job->group, 1, &value);
        add_to(&sum, total);
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
