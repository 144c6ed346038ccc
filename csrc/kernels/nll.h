/* nll.h -- negative log-likelihood of log-probabilities: one element of each position is read, one is written.
   Called by the driver softmax.c through table.h. */

/* Zeros for the gradients of positions first .. first + n of one `outer`. */
SIMD void put_zero_positions(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t n) {
    const size_t start = outer * job->classes * job->inner + first;
    if (job->inner == 1)
        put_zeros(&job->output, start, job->classes);
    else
        for (size_t c = 0; c < job->classes; c++) put_zeros(&job->output, start + c * job->inner, n);
}

/* Positions first .. first + n of one `outer`, n up to NLL_RUN: all are read before the gradients, maybe over them, are put. */
enum { NLL_RUN = 64 };
SIMD void nll_run(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t n, struct double_sum *sum) {
    const real *weight = job->weight;
    real *const values = job->values, gradients[NLL_RUN], one;
    size_t at[NLL_RUN];
    int live[NLL_RUN];
    for (size_t i = 0; i < n; i++) {
        const size_t position = outer * job->inner + first + i;
        size_t t;
        live[i] = read_target(job, position, &t);
        const real w = live[i] && weight ? weight[t] : 1;
        at[i] = live[i] ? (outer * job->classes + t) * job->inner + first + i : 0;
        const real value = live[i] ? -(w * *fetch(&job->input, at[i], 1, &one)) : 0;
        if (values) values[position] = value;
        add_to(sum, (double)value);
        gradients[i] = job->kind == CROSSENT_NO_OUTPUT ? 0 : -(w * gradient_factor(job, position));
    }
    if (job->kind == CROSSENT_NO_OUTPUT) return;
    put_zero_positions(job, outer, first, n);
    for (size_t i = 0; i < n; i++)
        if (live[i]) put(&job->output, at[i], 1, &gradients[i]);
}

/* value = -w_y x_y,  gradient = -k w_y [c = y], for positions first .. first + count of (outer, inner) */
SIMD double nll_positions(const struct crossent_softmax_job *job, size_t first, size_t count) {
    struct double_sum sum = {0, 0};
    for (size_t position = first, n; position < first + count; position += n) {
        const size_t inner = position % job->inner, left = first + count - position, in_outer = job->inner - inner;
        n = left < in_outer ? left : in_outer;
        if (n > NLL_RUN) n = NLL_RUN;
        nll_run(job, position / job->inner, inner, n, &sum);
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
