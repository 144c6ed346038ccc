# The C declarations of csrc/crossent.h that the binding uses, name for name.
from libc.stdint cimport int64_t

cdef extern from "crossent.h" nogil:
    ctypedef enum crossent_dtype_t "enum crossent_dtype":
        CROSSENT_FLOAT32
        CROSSENT_FLOAT64
        CROSSENT_REALS
        CROSSENT_FLOAT16
        CROSSENT_BFLOAT16

    ctypedef enum crossent_output_t "enum crossent_output":
        CROSSENT_NO_OUTPUT
        CROSSENT_SCORES
        CROSSENT_GRADIENT
        CROSSENT_LOG_SOFTMAX

    ctypedef enum crossent_pointwise_t "enum crossent_pointwise":
        pass

    ctypedef enum crossent_derivative_t "enum crossent_derivative":
        CROSSENT_NO_DERIVATIVE
        CROSSENT_BY_INPUT
        CROSSENT_BY_TARGET
        CROSSENT_BY_EXTRA

    struct crossent_view:
        const char *data
        double factor

    struct crossent_result:
        void *data
        crossent_dtype_t dtype

    struct crossent_scores:
        int64_t *predicted
        int64_t *rank
        double *confidence
        double *entropy
        double *brier

    struct crossent_softmax_job:
        size_t outer, classes, inner
        crossent_view input
        crossent_view probabilities
        const int64_t *target
        const void *weight
        const void *grad_output
        int64_t ignore_index
        double label_smoothing
        double grad_scale
        void *values
        crossent_result output
        crossent_output_t kind
        crossent_scores scores

    struct crossent_pointwise_job:
        crossent_pointwise_t loss
        crossent_derivative_t derivative
        size_t count, group
        crossent_view input
        crossent_view target
        crossent_view extra
        crossent_view weight
        crossent_view grad_output
        double parameters[2]
        double grad_scale
        crossent_result values
        crossent_result output

    struct crossent_margin_job:
        size_t rows, classes
        crossent_view input
        const int64_t *target
        const void *weight
        const void *grad_output
        int several, power
        double margin, grad_scale
        void *values
        crossent_result output

    struct crossent_table:
        const char *isa
        void exp(const void *input, void *output, size_t n) noexcept
        void log1p(const void *input, void *output, size_t n) noexcept
        void log(const void *input, void *output, size_t n) noexcept

    const crossent_table *crossent_kernels(const char *isa, crossent_dtype_t dtype) noexcept
    const char *crossent_isa_name(size_t i) noexcept
    const char *crossent_pointwise_name(size_t loss) noexcept
    int crossent_view_of "crossent_view"(crossent_view *view, const void *data, crossent_dtype_t dtype, int swapped, int ndim,
                                         const ptrdiff_t *shape, const ptrdiff_t *strides) noexcept
    int crossent_softmax(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                         double *sum) noexcept
    int crossent_nll(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                     double *sum) noexcept
    int crossent_pointwise(const crossent_table *kernels, const crossent_pointwise_job *job, int threads,
                           double *sum) noexcept
    int crossent_margin(const crossent_table *kernels, const crossent_margin_job *job, int threads,
                        double *sum) noexcept
    int crossent_check_target(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                              double *weight, size_t *bad) noexcept
    int crossent_check_range(const crossent_table *kernels, const crossent_view *view, size_t count, double low, double high,
                             int threads, size_t *bad) noexcept
    int crossent_has_openmp() noexcept
    int crossent_openmp_max_threads() noexcept
