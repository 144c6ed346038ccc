/* crossent.h -- the C API: what a job is, and the table of kernels that each instruction set offers.
   Usable without Python: fill a struct, choose a table with crossent_kernels(), call crossent_softmax() or crossent_nll().
   Nothing here checks shapes or allocates outputs; src/crossent/_arguments.py does that for Python.

   Arrays are dense, in C order and seen as (outer, classes, inner): the class axis is in the middle, inner is the product of
   the dimensions behind it. A "position" is one (outer, inner) pair: one softmax. */
#ifndef CROSSENT_H
#define CROSSENT_H

#include <stddef.h>
#include <stdint.h>

enum crossent_output {
    CROSSENT_NO_OUTPUT,
    CROSSENT_GRADIENT,    /* of the value with respect to the input; the softmax, where there is no target */
    CROSSENT_LOG_SOFTMAX, /* input - logsumexp; where there is no target */
    CROSSENT_OUTPUTS,
};

/* One softmax job. With p = softmax(x), and a row of coefficients a that the target gives,

       value    = sum_c a_c * -log p_c                      (no target at all: logsumexp(x))
       gradient = k * (p * sum_c a_c  -  a)                 (no target at all: k * p)

       class indices y:   a_c = (1 - eps) w_y [c = y] + eps/C w_c
       probabilities q:   a_c = w_c ((1 - eps) q_c + eps/C)

   with eps = label_smoothing, w = weight (or 1), k = grad_scale * grad_output (or 1). A position whose class index is
   ignore_index is not read: its value is 0 and so is its gradient. */
struct crossent_softmax_job {
    size_t outer, classes, inner;
    const void *input;         /* (outer, classes, inner) */
    const int64_t *target;     /* (outer, inner) class indices, or NULL */
    const void *probabilities; /* (outer, classes, inner), or NULL */
    const void *weight;        /* (classes), or NULL */
    const void *grad_output;   /* (outer, inner), or NULL */
    int64_t ignore_index;
    double label_smoothing;
    double grad_scale;
    void *values; /* (outer, inner), or NULL */
    void *output; /* (outer, classes, inner), may be the input itself; unused for CROSSENT_NO_OUTPUT */
    enum crossent_output kind;
};

/* What is known of a run of columns of one row, and of a whole row when it is done: see kernels/softmax_formula.h. */
struct crossent_partial {
    double max, rest, distance, mass;
    double at_target; /* the target's logit, 0 if it is in another run */
};
struct crossent_row {
    double max, log_sum, exp_scale, spread_scale, target_gradient;
};

/* A table of kernels: one instruction set, one type. Every pointer in the job is of that type. */
struct crossent_table {
    const char *isa;
    size_t block;  /* a row is reduced in blocks of so many columns, whoever computes it */
    size_t narrow; /* up to so many classes, lanes run across rows */

    /* Positions first .. first + count of one outer index, lanes along the positions; returns the sum of their values. */
    double (*positions)(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t count);
    /* Rows first .. first + count of an input with inner == 1, lanes along the classes; returns the sum of their values.
       `maxima` has room for one number per block of a row. */
    double (*rows)(const struct crossent_softmax_job *job, size_t first, size_t count, double *maxima);
    /* One such row in three steps, so that threads can share it: each block, the merge, each block again. */
    void (*row_block)(const struct crossent_softmax_job *job, size_t row, size_t block, struct crossent_partial *partial);
    double (*row_merge)(const struct crossent_softmax_job *job, size_t row, const struct crossent_partial *partials,
                        struct crossent_row *finished);
    void (*row_output)(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                       const struct crossent_row *finished);

    double (*nll)(const struct crossent_softmax_job *job, size_t first, size_t count);
    /* Sum of weight[target] over the targets that count; *bad is the index of the first one out of bounds, if any. */
    double (*target_weight)(const struct crossent_softmax_job *job, size_t first, size_t count, size_t *bad);
    /* For tests: out[i] = exp(in[i]), log1p(in[i]). */
    void (*exp)(const void *in, void *out, size_t n);
    void (*log1p)(const void *in, void *out, size_t n);
};

enum crossent_dtype { CROSSENT_FLOAT32, CROSSENT_FLOAT64, CROSSENT_DTYPES };

/* The best table of this CPU (isa NULL), or the one of that name, or NULL where there is none. */
const struct crossent_table *crossent_kernels(const char *isa, enum crossent_dtype dtype);
/* The i-th instruction set of this CPU, best first; NULL behind the last. */
const char *crossent_isa_name(size_t i);

/* Run a job on `threads` threads. *sum is the sum of the values, with the same bits for any number of threads.
   Returns 0, or -1 if memory ran out (the outputs are then undefined). */
int crossent_softmax(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum);
int crossent_nll(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum);
/* *weight = sum of weight[target] (their number, without weight) over the targets other than ignore_index.
   Returns 0, -1 if memory ran out, or 1 if a target is out of bounds: *bad is the position of the first. */
int crossent_check_target(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads,
                          double *weight, size_t *bad);

/* What one thread does in a forked child, inside another parallel region, and without OpenMP: threads that a call gets. */
int crossent_usable_threads(int wanted);
int crossent_has_openmp(void);
int crossent_openmp_max_threads(void);

#endif
