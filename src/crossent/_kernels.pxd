# The C declarations of csrc/crossent.h that the binding uses, name for name.
from libc.stdint cimport int64_t

cdef extern from "crossent.h" nogil:
    ctypedef enum crossent_output_t "enum crossent_output":
        CROSSENT_NO_OUTPUT
        CROSSENT_GRADIENT
        CROSSENT_LOG_SOFTMAX

    enum crossent_dtype:
        CROSSENT_FLOAT32
        CROSSENT_FLOAT64
        CROSSENT_DTYPES

    struct crossent_softmax_job:
        size_t outer, classes, inner
        const void *input
        const int64_t *target
        const void *probabilities
        const void *weight
        const void *grad_output
        int64_t ignore_index
        double label_smoothing
        double grad_scale
        void *values
        void *output
        crossent_output_t kind

    struct crossent_table:
        const char *isa
        void exp(const void *input, void *output, size_t n) noexcept
        void log1p(const void *input, void *output, size_t n) noexcept

    const crossent_table *crossent_kernels(const char *isa, crossent_dtype dtype) noexcept
    const char *crossent_isa_name(size_t i) noexcept
    int crossent_softmax(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                         double *sum) noexcept
    int crossent_nll(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                     double *sum) noexcept
    int crossent_check_target(const crossent_table *kernels, const crossent_softmax_job *job, int threads,
                              double *weight, size_t *bad) noexcept
    int crossent_has_openmp() noexcept
    int crossent_openmp_max_threads() noexcept
