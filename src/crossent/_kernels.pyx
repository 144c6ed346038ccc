# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The only module that sees both NumPy and C: ndarray to pointer and view, dtype to table, GIL dropped, nothing else.

It trusts its arguments, which ``_arguments.py`` established before: inputs are float16, bfloat16, float32 or float64 of any
layout and of matching sizes; class indices, class weights, values and outputs are dense, aligned and native.
A job computes in float64 if `is_double`, else in float32. Called by the plans and, for threads and instruction sets, by
``_runtime.py``.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memset

from crossent._kernels cimport (
    CROSSENT_BFLOAT16, CROSSENT_BY_EXTRA, CROSSENT_BY_INPUT, CROSSENT_BY_TARGET, CROSSENT_FLOAT16, CROSSENT_FLOAT32,
    CROSSENT_FLOAT64, CROSSENT_GRADIENT, CROSSENT_LOG_SOFTMAX, CROSSENT_NO_DERIVATIVE, CROSSENT_NO_OUTPUT, CROSSENT_REALS,
    CROSSENT_SCORES,
    crossent_check_range, crossent_check_target, crossent_derivative_t, crossent_dtype_t, crossent_has_openmp,
    crossent_isa_name, crossent_kernels, crossent_margin, crossent_margin_job, crossent_nll, crossent_openmp_max_threads,
    crossent_output_t, crossent_pointwise, crossent_pointwise_job, crossent_pointwise_name, crossent_pointwise_t,
    crossent_result, crossent_scores, crossent_softmax, crossent_softmax_job, crossent_table, crossent_view, crossent_view_of,
)

cnp.import_array()

# Work below this many elements keeps the GIL: some microseconds, about what handing it over and back can cost.
cdef size_t SMALL = 8192

# The tables in use, by type. Written at import and by use_isa(), which only tests and benchmarks call.
cdef const crossent_table *tables[<int>CROSSENT_REALS]

NO_OUTPUT = CROSSENT_NO_OUTPUT
GRADIENT = CROSSENT_GRADIENT
LOG_SOFTMAX = CROSSENT_LOG_SOFTMAX
NO_DERIVATIVE = CROSSENT_NO_DERIVATIVE
BY_INPUT = CROSSENT_BY_INPUT
BY_TARGET = CROSSENT_BY_TARGET
BY_EXTRA = CROSSENT_BY_EXTRA


def isa_names():
    """Instruction sets of this CPU that have kernels, best first."""
    names = []
    while crossent_isa_name(len(names)) != NULL:
        names.append(crossent_isa_name(len(names)).decode())
    return names


def pointwise_names():
    """The elementwise losses that have kernels, in the order of their numbers."""
    names = []
    while crossent_pointwise_name(len(names)) != NULL:
        names.append(crossent_pointwise_name(len(names)).decode())
    return names


cdef dict loss_numbers = {name: number for number, name in enumerate(pointwise_names())}


def use_isa(str name):
    """Compute with the kernels of this instruction set, one of isa_names(), from now on."""
    cdef bytes encoded = name.encode()
    tables[<int>CROSSENT_FLOAT32] = crossent_kernels(encoded, CROSSENT_FLOAT32)
    tables[<int>CROSSENT_FLOAT64] = crossent_kernels(encoded, CROSSENT_FLOAT64)


def current_isa():
    return tables[<int>CROSSENT_FLOAT32].isa.decode()


def has_openmp():
    return bool(crossent_has_openmp())


def openmp_max_threads():
    return crossent_openmp_max_threads()


# What is asked for the number of threads where no caller says it: _runtime.py's get_num_threads.
cdef object get_num_threads = openmp_max_threads


def ask_for_threads(function):
    global get_num_threads
    get_num_threads = function


cdef inline const crossent_table *table_of(bint is_double) noexcept:
    return tables[<int>(CROSSENT_FLOAT64 if is_double else CROSSENT_FLOAT32)]


cdef inline void *data_of(cnp.ndarray array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef inline crossent_dtype_t dtype_of(cnp.ndarray array) noexcept:
    cdef int number = cnp.PyArray_TYPE(array)
    if number == cnp.NPY_FLOAT32:
        return CROSSENT_FLOAT32
    if number == cnp.NPY_FLOAT64:
        return CROSSENT_FLOAT64
    # The number of bfloat16 is given by whoever registers it; no other dtype reaches this module.
    return CROSSENT_FLOAT16 if number == cnp.NPY_FLOAT16 else CROSSENT_BFLOAT16


cdef inline cnp.ndarray set_view(crossent_view *view, cnp.ndarray array):
    """See the array as it lies; or a dense copy, if it has more separate dimensions than a view. The array that is seen."""
    view.data = NULL
    if array is None:
        return None
    if not view_of(view, array):
        array = cnp.PyArray_GETCONTIGUOUS(array)
        view_of(view, array)
    return array


cdef inline bint view_of(crossent_view *view, cnp.ndarray array) noexcept:
    return crossent_view_of(view, cnp.PyArray_DATA(array), dtype_of(array), cnp.PyArray_ISBYTESWAPPED(array),
                            cnp.PyArray_NDIM(array), <const ptrdiff_t *>cnp.PyArray_DIMS(array),
                            <const ptrdiff_t *>cnp.PyArray_STRIDES(array)) == 0


cdef inline crossent_result result_of(cnp.ndarray array) noexcept:
    cdef crossent_result result
    result.data = data_of(array)
    result.dtype = CROSSENT_FLOAT32 if array is None else dtype_of(array)
    return result


cdef inline double rounded(double total, bint is_double) noexcept:
    return total if is_double else <float>total


cdef int out_of_memory() except -1:
    raise MemoryError("crossent: no memory for partial sums and scratch")


cdef inline bint is_small(const crossent_softmax_job *job) noexcept:
    return job.outer * job.classes * job.inner < SMALL


cdef int check_target(const crossent_table *table, const crossent_softmax_job *job, int threads, double *weight,
                      size_t *bad) noexcept:
    if is_small(job):
        return crossent_check_target(table, job, threads, weight, bad)
    with nogil:
        return crossent_check_target(table, job, threads, weight, bad)


cdef int run_softmax(const crossent_table *table, const crossent_softmax_job *job, int threads, bint log_probabilities,
                     double *total) noexcept:
    run = crossent_nll if log_probabilities else crossent_softmax
    if is_small(job):
        return run(table, job, threads, total)
    with nogil:
        return run(table, job, threads, total)


cdef class Job:
    """The inputs of a softmax job, or an nll job where they are log_probabilities. Keeps its arrays alive."""

    cdef crossent_softmax_job job
    cdef const crossent_table *table
    cdef tuple arrays
    cdef bint log_probabilities, is_double

    def __init__(self, bint is_double, cnp.ndarray input not None, size_t outer, size_t classes, size_t inner,
                 cnp.ndarray target=None, cnp.ndarray probabilities=None, cnp.ndarray weight=None, int64_t ignore_index=-100,
                 double label_smoothing=0.0, bint log_probabilities=False, double factor=1.0):
        self.is_double, self.table = is_double, table_of(is_double)
        self.log_probabilities = log_probabilities
        self.job.outer, self.job.classes, self.job.inner = outer, classes, inner
        self.arrays = (set_view(&self.job.input, input), target, set_view(&self.job.probabilities, probabilities), weight)
        self.job.input.factor = factor
        self.job.target = <const int64_t *>data_of(target)
        self.job.weight = data_of(weight)
        self.job.ignore_index = ignore_index
        self.job.label_smoothing = label_smoothing

    def check_target(self, int threads):
        """(sum of the weights of the targets that count, position of the first one out of bounds or -1)"""
        cdef double weight
        cdef size_t bad
        cdef int status = check_target(self.table, &self.job, threads, &weight, &bad)
        if status < 0:
            out_of_memory()
        return weight, <Py_ssize_t>bad if status else -1

    def run(self, int threads, cnp.ndarray values=None, cnp.ndarray output=None, int kind=CROSSENT_NO_OUTPUT,
            double grad_scale=1.0, cnp.ndarray grad_output=None, double divisor=1.0):
        """Compute what is asked for; the sum of the values over divisor, rounded to the type that is computed in."""
        cdef crossent_softmax_job job = self.job
        job.values, job.output = data_of(values), result_of(output)
        job.kind = <crossent_output_t>kind
        job.grad_scale, job.grad_output = grad_scale, data_of(grad_output)
        return rounded(self.sum_of(job, threads) / divisor, self.is_double)

    def score(self, int threads, cnp.ndarray values, cnp.ndarray predicted not None, cnp.ndarray rank not None,
              cnp.ndarray confidence not None, cnp.ndarray entropy not None, cnp.ndarray brier not None):
        """Compute the values, if wanted, and the figures of struct crossent_scores, of a job of class indices, not smoothed."""
        cdef crossent_softmax_job job = self.job
        job.kind = CROSSENT_SCORES
        job.values = data_of(values)
        job.scores = crossent_scores(
            <int64_t *>data_of(predicted), <int64_t *>data_of(rank), <double *>data_of(confidence),
            <double *>data_of(entropy), <double *>data_of(brier),
        )
        self.sum_of(job, threads)

    cdef double sum_of(self, crossent_softmax_job job, int threads) except? -1:
        cdef double total
        if run_softmax(self.table, &job, threads, self.log_probabilities, &total) < 0:
            out_of_memory()
        return total


cdef class PointwiseJob:
    """The operands of an elementwise loss, all of one shape or None. Keeps its arrays alive."""

    cdef crossent_pointwise_job job
    cdef const crossent_table *table
    cdef tuple arrays
    cdef bint is_double

    def __init__(self, bint is_double, str loss, cnp.ndarray input not None, cnp.ndarray target=None, cnp.ndarray extra=None,
                 cnp.ndarray weight=None, double a=0.0, double b=0.0, size_t group=1):
        self.is_double, self.table = is_double, table_of(is_double)
        self.job.loss = <crossent_pointwise_t><int>loss_numbers[loss]
        self.job.count, self.job.group = cnp.PyArray_SIZE(input), group
        self.arrays = (set_view(&self.job.input, input), set_view(&self.job.target, target),
                       set_view(&self.job.extra, extra), set_view(&self.job.weight, weight))
        self.job.parameters[0], self.job.parameters[1] = a, b

    def run(self, int threads, cnp.ndarray values=None, cnp.ndarray output=None, int derivative=CROSSENT_NO_DERIVATIVE,
            double grad_scale=1.0, cnp.ndarray grad_output=None, double divisor=1.0):
        """Compute what is asked for; the sum of the values over divisor, rounded to the type that is computed in."""
        cdef crossent_pointwise_job job = self.job
        cdef double total
        cdef int status
        job.values, job.output = result_of(values), result_of(output)
        job.derivative = <crossent_derivative_t>derivative
        job.grad_scale = grad_scale
        grad_output = set_view(&job.grad_output, grad_output)
        if job.count < SMALL:
            status = crossent_pointwise(self.table, &job, threads, &total)
        else:
            with nogil:
                status = crossent_pointwise(self.table, &job, threads, &total)
        if status < 0:
            out_of_memory()
        return rounded(total / divisor, self.is_double)


cdef class MarginJob:
    """The inputs of a margin loss of rows; class indices are in bounds. Keeps its arrays alive."""

    cdef crossent_margin_job job
    cdef const crossent_table *table
    cdef tuple arrays
    cdef bint is_double

    def __init__(self, bint is_double, cnp.ndarray input not None, size_t rows, size_t classes, cnp.ndarray target not None,
                 cnp.ndarray weight=None, bint several=False, int power=1, double margin=1.0):
        self.is_double, self.table = is_double, table_of(is_double)
        self.job.rows, self.job.classes = rows, classes
        self.arrays = (set_view(&self.job.input, input), target, weight)
        self.job.target = <const int64_t *>data_of(target)
        self.job.weight = data_of(weight)
        self.job.several, self.job.power, self.job.margin = several, power, margin

    def run(self, int threads, cnp.ndarray values=None, cnp.ndarray output=None, double grad_scale=1.0,
            cnp.ndarray grad_output=None, double divisor=1.0):
        """Compute what is asked for; the sum of the values over divisor, rounded to the type that is computed in."""
        cdef crossent_margin_job job = self.job
        cdef double total
        cdef int status
        job.values, job.output = data_of(values), result_of(output)
        job.grad_scale, job.grad_output = grad_scale, data_of(grad_output)
        with nogil:
            status = crossent_margin(self.table, &job, threads, &total)
        if status < 0:
            out_of_memory()
        return rounded(total / divisor, self.is_double)


cdef inline bint is_plain(object array, int ndim) noexcept:
    """Whether an object is an array that kernels take as it is: no subclass, dense, aligned, native."""
    return cnp.PyArray_CheckExact(array) and cnp.PyArray_NDIM(array) == ndim and cnp.PyArray_ISCARRAY_RO(array)


cdef inline bint are_apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef char *first = cnp.PyArray_BYTES(a)
    cdef char *second = cnp.PyArray_BYTES(b)
    return first + cnp.PyArray_NBYTES(a) <= second or second + cnp.PyArray_NBYTES(b) <= first


cdef inline bint fits(object out, cnp.ndarray input, cnp.ndarray target) noexcept:
    """Whether a gradient of the input can be written to `out` at once."""
    return (cnp.PyArray_CheckExact(out) and cnp.PyArray_ISCARRAY(out)
            and cnp.PyArray_TYPE(out) == cnp.PyArray_TYPE(input) and cnp.PyArray_SAMESHAPE(out, input)
            and (cnp.PyArray_DATA(out) == cnp.PyArray_DATA(input) or are_apart(out, input)) and are_apart(out, target))


cpdef object short_cross_entropy(object input, object target, object out=None, bint with_gradient=False):
    """The short way of cross_entropy(input, target), and of its gradient, for rows and without options.

    The mean loss, or (loss, gradient); None where the long way must be taken: any other array, a target out of bounds.
    """
    cdef crossent_softmax_job job
    cdef double weight, total
    cdef size_t bad
    cdef float rounded_total
    cdef int threads = 1
    cdef const crossent_table *table
    if not is_plain(input, 2) or not is_plain(target, 1) or cnp.PyArray_TYPE(target) != cnp.NPY_INT64:
        return None
    cdef cnp.ndarray x = input
    cdef cnp.ndarray y = target
    cdef int number = cnp.PyArray_TYPE(x)
    if number != cnp.NPY_FLOAT32 and number != cnp.NPY_FLOAT64:
        return None
    if cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(y, 0) or cnp.PyArray_SIZE(x) == 0:
        return None
    if with_gradient and out is None:
        out = cnp.PyArray_EMPTY(2, cnp.PyArray_DIMS(x), number, 0)
    elif with_gradient and not fits(out, x, y):
        return None
    table = table_of(number == cnp.NPY_FLOAT64)
    memset(&job, 0, sizeof(job))
    job.outer, job.classes, job.inner = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), 1
    set_view(&job.input, x)
    job.target, job.ignore_index = <const int64_t *>data_of(y), -100
    if not is_small(&job):
        threads = get_num_threads()
    if check_target(table, &job, threads, &weight, &bad) != 0:
        return None
    if with_gradient:
        job.output, job.kind = result_of(out), CROSSENT_GRADIENT
        job.grad_scale = 1.0 / weight
    if run_softmax(table, &job, threads, False, &total) != 0:
        return None
    total /= weight
    rounded_total = <float>total
    value = cnp.PyArray_ToScalar(&rounded_total if number == cnp.NPY_FLOAT32 else <void *>&total, x)
    return (value, out) if with_gradient else value


cdef class ShortWay:
    """What is called as ``cross_entropy(input, target)``, if `short`, or as its value_and_grad: the short way is tried without
    a step in Python, of which each costs as much as a row. All else is for the subclass's ``long_way``.
    """

    cdef public bint short, with_gradient

    def __call__(self, *args, **kwargs):
        cdef bint has_out = self.with_gradient and len(kwargs) == 1 and "out" in kwargs
        if self.short and len(args) == 2 and (has_out or not kwargs):
            result = short_cross_entropy(args[0], args[1], kwargs["out"] if has_out else None, self.with_gradient)
            if result is not None:
                return result
        return self.long_way(*args, **kwargs)


cdef inline const crossent_table *table_for(cnp.ndarray values) noexcept:
    return table_of(dtype_of(values) == CROSSENT_FLOAT64)


def first_outside(cnp.ndarray values not None, double low, double high, int threads):
    """Index, in C order, of the first value that is not between low and high, or -1."""
    cdef crossent_view view
    cdef const crossent_table *table = table_for(values)
    cdef size_t bad, count = <size_t>cnp.PyArray_SIZE(values)
    cdef int status
    values = set_view(&view, values)
    with nogil:
        status = crossent_check_range(table, &view, count, low, high, threads, &bad)
    if status < 0:
        out_of_memory()
    return <Py_ssize_t>bad if status else -1


def map_exp(cnp.ndarray values not None, cnp.ndarray out not None):
    """out = exp(values), by the kernels' own exp: for the tests of its accuracy."""
    table_for(values).exp(data_of(values), data_of(out), <size_t>cnp.PyArray_SIZE(values))


def map_log1p(cnp.ndarray values not None, cnp.ndarray out not None):
    """out = log1p(values) for values >= -1, by the kernels' own log1p: for the tests of its accuracy."""
    table_for(values).log1p(data_of(values), data_of(out), <size_t>cnp.PyArray_SIZE(values))


def map_log(cnp.ndarray values not None, cnp.ndarray out not None):
    """out = log(values), by the kernels' own log: for the tests of its accuracy."""
    table_for(values).log(data_of(values), data_of(out), <size_t>cnp.PyArray_SIZE(values))


use_isa(isa_names()[0])
