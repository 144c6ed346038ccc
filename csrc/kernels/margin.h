/* margin.h -- the margin losses of rows: every score against the score of a target. Formulas in crossent.h, corners torch's: a
   term counts where it is above 0, so a nan does not. Called by the driver pointwise.c through table.h. */

/* sum over c of max(0, margin + x_c - x_t)^p where `others` is 1; the factors of the gradients go to `slopes`, added; returns
   the sum of terms, and in *total the sum of the factors */
SIMD double hinge_terms(const real *x, const real *others, real *slopes, size_t n, double margin, real at_target, int power,
                        double *total) {
    const vec zero = v_set(0), one = v_set(1), m = v_set((real)margin), top = v_set(at_target);
    wide sum = wide_zero(), slope_sum = wide_zero();
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i;
        const vec z = v_add(v_sub(m, top), v_load_first(x + i, left, zero));
        const mask live = v_equal(v_select(v_not_less(zero, z), zero, v_load_first(others + i, left, zero)), one);
        const vec slope = v_select(live, power == 1 ? one : v_add(z, z), zero);
        sum = wide_add(sum, v_select(live, power == 1 ? z : v_mul(z, z), zero));
        slope_sum = wide_add(slope_sum, slope);
        v_store_first(slopes + i, v_add(v_load_first(slopes + i, left, zero), slope), left);
    }
    *total = wide_sum(slope_sum);
    return wide_sum(sum);
}

/* A row's targets, each read once, because another thread may be writing them: others[c] is 0 where c is one, else 1; returns
   how many there are. One that is out of bounds by now ends them, as -1 does. */
SIMD size_t read_targets(const struct crossent_margin_job *job, size_t row, size_t *targets, real *others) {
    const size_t classes = job->classes, most = job->several ? classes : 1;
    for (size_t c = 0; c < classes; c++) others[c] = 1;
    size_t count = 0;
    for (; count < most; count++) {
        const int64_t t = *(const volatile int64_t *)(job->target + row * most + count);
        if ((uint64_t)t >= (uint64_t)classes) break;
        targets[count] = (size_t)t;
        others[t] = 0;
    }
    return count;
}

SIMD size_t margin_scratch_size(const struct crossent_margin_job *job) {
    return job->classes * (4 * sizeof(real) + sizeof(size_t));
}

SIMD double margin_row(const struct crossent_margin_job *job, size_t row, void *scratch) {
    const size_t classes = job->classes;
    real *const copy = scratch, *const others = copy + classes, *const slopes = copy + 2 * classes;
    real *const results = copy + 3 * classes;
    size_t *const targets = (size_t *)(void *)(copy + 4 * classes);
    const real *const x = fetch(&job->input, row * classes, classes, copy), *const weight = job->weight;
    const size_t count = read_targets(job, row, targets, others);
    memset(slopes, 0, classes * sizeof(real));
    double value = 0;
    for (size_t i = 0; i < count; i++) {
        double total;
        value += hinge_terms(x, others, slopes, classes, job->margin, x[targets[i]], job->power, &total);
        slopes[targets[i]] -= (real)total;
    }
    const double share = (weight && count ? (double)weight[targets[0]] : 1.0) / (double)classes;
    const double flow = job->grad_output ? (double)((const real *)job->grad_output)[row] : 1.0;
    const real factor = (real)(share * job->grad_scale * flow);
    if (job->output.data) {
        real *const output = place(&job->output, row * classes, results);
        for (size_t c = 0; c < classes; c++) output[c] = slopes[c] == 0 ? 0 : factor * slopes[c];
        put(&job->output, row * classes, classes, output);
    }
    if (job->values) ((real *)job->values)[row] = (real)(share * value);
    return share * value;
}

SIMD double margin_rows(const struct crossent_margin_job *job, size_t first, size_t count, void *scratch) {
    struct double_sum sum = {0, 0};
    for (size_t row = first; row < first + count; row++) add_to(&sum, margin_row(job, row, scratch));
    return value_of(sum);
}
