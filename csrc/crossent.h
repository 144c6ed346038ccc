/* crossent.h -- the C API: what a job is, and the table of kernels that each instruction set offers.
   Usable without Python: fill a struct, choose a table with crossent_kernels(), call crossent_softmax(), crossent_nll(),
   crossent_pointwise() or crossent_margin(). Nothing here checks shapes or allocates outputs; src/crossent/_arguments.py does
   that for Python.

   The large inputs are views: any strides, any of four types, read where they lie. "real" is the type that is computed in,
   the table's: float or double. Outputs are dense, in C order. */
#ifndef CROSSENT_H
#define CROSSENT_H

#include <stddef.h>
#include <stdint.h>

/* The first two are computed in; the others are only read and written. */
enum crossent_dtype {
    CROSSENT_FLOAT32,
    CROSSENT_FLOAT64,
    CROSSENT_REALS,
    CROSSENT_FLOAT16 = CROSSENT_REALS,
    CROSSENT_BFLOAT16,
};

static inline size_t crossent_size_of(enum crossent_dtype dtype) {
    return dtype == CROSSENT_FLOAT64 ? sizeof(double) : dtype == CROSSENT_FLOAT32 ? sizeof(float) : sizeof(uint16_t);
}

/* An array to read: of any strides (0 repeats, negative ones run backwards), in C order of its dimensions. No data: absent. */
enum { CROSSENT_DIMS = 8 };
struct crossent_view {
    const char *data;
    enum crossent_dtype dtype;
    int swapped;   /* its bytes are in the other order than this machine's */
    int dense;     /* native, aligned, one element behind the other */
    double factor; /* read as factor x, in reals; -1 for a softmin */
    int ndim;
    size_t shape[CROSSENT_DIMS];
    ptrdiff_t strides[CROSSENT_DIMS]; /* in bytes */
};

/* An array to write: dense, aligned, native. No data: not wanted. */
struct crossent_result {
    void *data;
    enum crossent_dtype dtype;
};

enum crossent_output {
    CROSSENT_NO_OUTPUT,
    CROSSENT_SCORES,      /* none either, but struct crossent_scores; where there is a target and no label_smoothing */
    CROSSENT_GRADIENT,    /* of the value with respect to the input; the softmax, where there is no target */
    CROSSENT_LOG_SOFTMAX, /* input - logsumexp; where there is no target */
    CROSSENT_OUTPUTS,
};

static inline int crossent_writes_output(enum crossent_output kind) { return kind >= CROSSENT_GRADIENT; }

/* What a position has beside its value, each (outer, inner). Of an ignored position: -1, -1, 0, 0, 0. Of one without a softmax
   (a nan, an infinity, nothing but -inf): -1, the number of classes, nan, nan, nan. */
struct crossent_scores {
    int64_t *predicted; /* the class of the largest logit, the first of equals */
    int64_t *rank;      /* how many classes come before the target: of a larger logit, or of an equal one and a lower index */
    double *confidence; /* max_c p_c */
    double *entropy;    /* sum_c -p_c log p_c */
    double *brier;      /* sum_c (p_c - [c = target])^2 */
};

/* One softmax job over arrays seen as (outer, classes, inner): the class axis is in the middle, inner is the product of the
   dimensions behind it. A "position" is one (outer, inner) pair: one softmax. With p = softmax(x), and a row of coefficients a
   that the target gives,

       value    = sum_c a_c * -log p_c                      (no target at all: logsumexp(x))
       gradient = k * (p * sum_c a_c  -  a)                 (no target at all: k * p)

       class indices y:   a_c = (1 - eps) w_y [c = y] + eps/C w_c
       probabilities q:   a_c = w_c ((1 - eps) q_c + eps/C)

   with eps = label_smoothing, w = weight (or 1), k = grad_scale * grad_output (or 1). A position whose class index is
   ignore_index is not read: its value is 0 and so is its gradient. */
struct crossent_softmax_job {
    size_t outer, classes, inner;
    struct crossent_view input;         /* (outer, classes, inner) */
    struct crossent_view probabilities; /* (outer, classes, inner), or absent */
    const int64_t *target;              /* (outer, inner) class indices, or NULL */
    const void *weight;                 /* (classes) reals, or NULL */
    const void *grad_output;            /* (outer, inner) reals, or NULL */
    int64_t ignore_index;
    double label_smoothing;
    double grad_scale;
    void *values;                  /* (outer, inner) reals, or NULL */
    struct crossent_result output; /* (outer, classes, inner), may be the input itself; used if crossent_writes_output(kind) */
    enum crossent_output kind;
    struct crossent_scores scores; /* used for CROSSENT_SCORES */
};

/* The elementwise losses, by torch's names. x: input, y: target, z: see kernels/pointwise_formula.h. */
#define CROSSENT_EACH_POINTWISE(X) \
    X(mse_loss) \
    X(l1_loss) \
    X(smooth_l1_loss) \
    X(huber_loss) \
    X(binary_cross_entropy) \
    X(binary_cross_entropy_with_logits) \
    X(kl_div) \
    X(kl_div_log_target) \
    X(soft_margin_loss) \
    X(hinge_embedding_loss) \
    X(gaussian_nll_loss) \
    X(poisson_nll_loss) \
    X(poisson_nll_loss_log_input) \
    X(sigmoid_focal_loss) \
    X(logsigmoid) \
    X(sigmoid)

#define CROSSENT_LIST_POINTWISE(name) CROSSENT_##name,
enum crossent_pointwise { CROSSENT_EACH_POINTWISE(CROSSENT_LIST_POINTWISE) CROSSENT_POINTWISE_LOSSES };
#undef CROSSENT_LIST_POINTWISE

/* What is written to the output. */
enum crossent_derivative {
    CROSSENT_NO_DERIVATIVE,
    CROSSENT_BY_INPUT,
    CROSSENT_BY_TARGET,
    CROSSENT_BY_EXTRA,
    CROSSENT_DERIVATIVES,
};

/* One elementwise job over `count` elements: value = w l(x, y, z), output = k w dl/d..., with w = weight (or 1) and
   k = grad_scale * grad_output (or 1). Of each `group` elements in a row one value is made, their sum over `group`. */
struct crossent_pointwise_job {
    enum crossent_pointwise loss;
    enum crossent_derivative derivative;
    size_t count, group;
    struct crossent_view input, target, extra, weight, grad_output; /* all but the input may be absent */
    double parameters[2];                                           /* of the formula */
    double grad_scale;
    struct crossent_result values, output; /* (count / group) and (count); the output may be the input itself */
};

/* Margin losses of rows of scores x, all against the target's score x_t:

       one class y:        value = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p
       several classes:    value = 1 / C sum_{t in targets} sum_{c not in targets} max(0, 1 - x_t + x_c)

   In the second the row of targets ends before the first -1. gradient = k dvalue/dx, k = grad_scale * grad_output (or 1). */
struct crossent_margin_job {
    size_t rows, classes;
    struct crossent_view input; /* (rows, classes) */
    const int64_t *target;      /* (rows), or (rows, classes) if there are several in a row; one out of bounds ends them */
    const void *weight;         /* (classes) reals, or NULL */
    const void *grad_output;    /* (rows) reals, or NULL */
    int several;
    int power; /* 1 or 2 */
    double margin, grad_scale;
    void *values;                  /* (rows) reals, or NULL */
    struct crossent_result output; /* (rows, classes), may be the input itself, or absent */
};

/* What is known of a run of columns of one row, and of a whole row when it is done: see kernels/softmax_formula.h. */
struct crossent_partial {
    double max, rest, distance, mass;
    double at_target;         /* the target's logit, 0 if it is in another run */
    double surprise, squares; /* these four for CROSSENT_SCORES: see kernels/score.h */
    size_t argmax, before;
};
struct crossent_row {
    double max, log_sum, exp_scale, spread_scale, target_gradient;
};

/* A table of kernels: one instruction set, one type of reals. A kernel works on reals side by side, and on copies of pieces of
   what is not: `scratch` is room for as many bytes as the ..._scratch function of that kernel says, which may be 0. */
struct crossent_table {
    const char *isa;
    size_t block;  /* a row is reduced in blocks of so many columns, whoever computes it */
    size_t narrow; /* up to so many classes, lanes run across rows */

    /* Positions first .. first + count of one outer index, lanes along the positions; returns the sum of their values. */
    double (*positions)(const struct crossent_softmax_job *job, size_t outer, size_t first, size_t count, void *scratch);
    size_t (*positions_scratch)(const struct crossent_softmax_job *job);
    /* Rows first .. first + count of an input with inner == 1, lanes along the classes; returns the sum of their values. */
    double (*rows)(const struct crossent_softmax_job *job, size_t first, size_t count, void *scratch);
    size_t (*rows_scratch)(const struct crossent_softmax_job *job);
    /* One such row in three steps, so that threads can share it: each block, the merge, each block again. */
    void (*row_block)(const struct crossent_softmax_job *job, size_t row, size_t block, struct crossent_partial *partial,
                      void *scratch);
    double (*row_merge)(const struct crossent_softmax_job *job, size_t row, const struct crossent_partial *partials,
                        struct crossent_row *finished);
    void (*row_output)(const struct crossent_softmax_job *job, size_t row, size_t block, double block_max,
                       const struct crossent_row *finished, void *scratch);

    double (*nll)(const struct crossent_softmax_job *job, size_t first, size_t count);
    /* Sum of weight[target] over the targets that count; *bad is the index of the first one out of bounds, if any. */
    double (*target_weight)(const struct crossent_softmax_job *job, size_t first, size_t count, size_t *bad);

    /* Elements first .. first + count; returns the sum of their values. */
    double (*pointwise)(const struct crossent_pointwise_job *job, size_t first, size_t count, void *scratch);
    size_t (*pointwise_scratch)(const struct crossent_pointwise_job *job);
    /* The first of the elements first .. first + count that is not between low and high, or SIZE_MAX. */
    size_t (*outside)(const struct crossent_view *view, double low, double high, size_t first, size_t count, void *scratch);
    double (*margin)(const struct crossent_margin_job *job, size_t first, size_t count, void *scratch);
    size_t (*margin_scratch)(const struct crossent_margin_job *job);

    /* For tests: out[i] = exp(in[i]), log1p(in[i]), log(in[i]). */
    void (*exp)(const void *in, void *out, size_t n);
    void (*log1p)(const void *in, void *out, size_t n);
    void (*log)(const void *in, void *out, size_t n);
};

/* The best table of this CPU (isa NULL), or the one of that name, or NULL where there is none; dtype is one of reals. */
const struct crossent_table *crossent_kernels(const char *isa, enum crossent_dtype dtype);
/* The i-th instruction set of this CPU, best first; NULL behind the last. */
const char *crossent_isa_name(size_t i);

/* A view of an array of this shape and these strides in bytes; dimensions that lie behind each other become one.
   Returns 0, or -1 if more than CROSSENT_DIMS are left. */
int crossent_view(struct crossent_view *view, const void *data, enum crossent_dtype dtype, int swapped, int ndim,
                  const ptrdiff_t *shape, const ptrdiff_t *strides);

/* The name of a loss of enum crossent_pointwise; NULL behind the last. */
const char *crossent_pointwise_name(size_t loss);

/* Run a job on `threads` threads. *sum is the sum of the values, with the same bits for any number of threads.
   Returns 0, or -1 if memory ran out (the outputs are then undefined). */
int crossent_softmax(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum);
int crossent_nll(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads, double *sum);
int crossent_pointwise(const struct crossent_table *kernels, const struct crossent_pointwise_job *job, int threads,
                       double *sum);
int crossent_margin(const struct crossent_table *kernels, const struct crossent_margin_job *job, int threads, double *sum);
/* *weight = sum of weight[target] (their number, without weight) over the targets other than ignore_index.
   Returns 0, -1 if memory ran out, or 1 if a target is out of bounds: *bad is the position of the first. */
int crossent_check_target(const struct crossent_table *kernels, const struct crossent_softmax_job *job, int threads,
                          double *weight, size_t *bad);
/* Returns 0, -1 if memory ran out, or 1 if one of the `count` elements is not between low and high (a nan is not): *bad is
   the index of the first. */
int crossent_check_range(const struct crossent_table *kernels, const struct crossent_view *view, size_t count, double low,
                         double high, int threads, size_t *bad);

/* What one thread does in a forked child, inside another parallel region, and without OpenMP: threads that a call gets. */
int crossent_usable_threads(int wanted);
int crossent_has_openmp(void);
int crossent_openmp_max_threads(void);

#endif
