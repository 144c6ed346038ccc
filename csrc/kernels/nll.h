/* nll.h -- negative log-likelihood of log-probabilities: one element of each position is read, one is written.
   Called by the driver softmax.c through table.h. */

/* value = -w_y x_y,  gradient = -k w_y [c = y], for positions first .. first + count of (outer, inner) */
SIMD double nll_positions(const struct crossent_softmax_job *job, size_t first, size_t count) {
    const real *weight = job->weight;
    real *const values = job->values;
    struct double_sum sum = {0, 0};
    for (size_t position = first; position < first + count; position++) {
        const size_t outer = position / job->inner, inner = position % job->inner;
        const size_t start = outer * job->classes * job->inner + inner;
        size_t t;
        const int live = read_target(job, position, &t);
        const real w = live && weight ? weight[t] : 1;
        real one;
        const real value = live ? -(w * *fetch(&job->input, start + t * job->inner, 1, &one)) : 0;
        if (values) values[position] = value;
        add_to(&sum, (double)value);
        if (job->kind == CROSSENT_NO_OUTPUT) continue;
        for (size_t c = 0; c < job->classes; c++) put_zeros(&job->output, start + c * job->inner, 1);
        one = live ? -(w * gradient_factor(job, position)) : 0;
        if (live) put(&job->output, start + t * job->inner, 1, &one);
    }
    return value_of(sum);
}

/* sum of weight[target] over the targets first .. first + count that count; *bad: the first one out of bounds */
SIMD double sum_target_weight(const struct crossent_softmax_job *job, size_t first, size_t count, size_t *bad) {
    const real *weight = job->weight;
    struct double_sum sum = {0, 0};
    size_t total = 0;
    for (size_t done = 0; done < count; done += LANES) {
        const int64_t *const target = job->target + first + done;
        const size_t n = count - done < LANES ? count - done : LANES;
        size_t index[LANES];
        const mask live = m_targets(target, n, job->ignore_index, job->classes, index);
        total += m_count(live);
        for (size_t i = 0; m_count(live) < n && i < n; i++)
            if (target[i] != job->ignore_index && (uint64_t)target[i] >= (uint64_t)job->classes && *bad > first + done + i)
                *bad = first + done + i;
        real counts[LANES];
        if (weight) v_store(counts, v_select(live, v_set(1), v_set(0)));
        for (size_t i = 0; weight && i < n; i++)
            if (counts[i] != 0) add_to(&sum, (double)weight[index[i]]);
    }
    return weight ? value_of(sum) : (double)total;
}
