# cython: language_level=3, freethreading_compatible=True, cdivision=True
"""The only module that sees both NumPy and C: ndarray to pointer, dtype to table, GIL dropped, nothing else.

It trusts its arguments: contiguous, aligned, native arrays of matching sizes, established in ``_arguments.py`` before.
Called by ``_plans.py`` and, for threads and instruction sets, by ``_runtime.py``.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from crossent._kernels cimport (
    CROSSENT_DTYPES, CROSSENT_FLOAT32, CROSSENT_FLOAT64, CROSSENT_GRADIENT, CROSSENT_LOG_SOFTMAX, CROSSENT_NO_OUTPUT,
    crossent_check_target, crossent_has_openmp, crossent_isa_name, crossent_kernels, crossent_nll, crossent_openmp_max_threads,
    crossent_output_t, crossent_softmax, crossent_softmax_job, crossent_table,
)

cnp.import_array()

# Work below this many logits keeps the GIL: some microseconds, about what handing it over and back can cost.
cdef size_t SMALL = 8192

# The tables in use, by dtype. Written at import and by use_isa(), which only tests and benchmarks call.
cdef const crossent_table *tables[<int>CROSSENT_DTYPES]

NO_OUTPUT = CROSSENT_NO_OUTPUT
GRADIENT = CROSSENT_GRADIENT
LOG_SOFTMAX = CROSSENT_LOG_SOFTMAX


def isa_names():
    """Instruction sets of this CPU that have kernels, best first."""
    names = []
    while crossent_isa_name(len(names)) != NULL:
        names.append(crossent_isa_name(len(names)).decode())
    return names


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


cdef inline const crossent_table *table_of(cnp.ndarray array) noexcept:
    return tables[<int>(CROSSENT_FLOAT32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else CROSSENT_FLOAT64)]


cdef inline void *data_of(cnp.ndarray array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef class Job:
    """The inputs of a softmax job, or an nll job where they are log_probabilities. Keeps its arrays alive."""

    cdef crossent_softmax_job job
    cdef const crossent_table *table
    cdef tuple arrays
    cdef size_t size
    cdef bint log_probabilities

    def __init__(self, cnp.ndarray input not None, size_t outer, size_t classes, size_t inner, cnp.ndarray target=None,
                 cnp.ndarray probabilities=None, cnp.ndarray weight=None, int64_t ignore_index=-100,
                 double label_smoothing=0.0, bint log_probabilities=False):
        self.arrays = (input, target, probabilities, weight)
        self.table = table_of(input)
        self.size = outer * classes * inner
        self.log_probabilities = log_probabilities
        self.job.outer, self.job.classes, self.job.inner = outer, classes, inner
        self.job.input = data_of(input)
        self.job.target = <const int64_t *>data_of(target)
        self.job.probabilities = data_of(probabilities)
        self.job.weight = data_of(weight)
        self.job.ignore_index = ignore_index
        self.job.label_smoothing = label_smoothing

    def check_target(self, int threads):
        """(sum of the weights of the targets that count, position of the first one out of bounds or -1)"""
        cdef double weight
        cdef size_t bad
        cdef int status
        if self.size < SMALL:
            status = crossent_check_target(self.table, &self.job, threads, &weight, &bad)
        else:
            with nogil:
                status = crossent_check_target(self.table, &self.job, threads, &weight, &bad)
        if status < 0:
            raise MemoryError("crossent: no memory for the sums of the targets' weights")
        return weight, <Py_ssize_t>bad if status else -1

    def run(self, int threads, cnp.ndarray values=None, cnp.ndarray output=None, int kind=CROSSENT_NO_OUTPUT,
            double grad_scale=1.0, cnp.ndarray grad_output=None, double divisor=1.0):
        """Compute what is asked for; the sum of the values over divisor, rounded to the input's dtype."""
        cdef crossent_softmax_job job = self.job
        cdef double total
        cdef int status
        job.values, job.output = data_of(values), data_of(output)
        job.kind = <crossent_output_t>kind
        job.grad_scale, job.grad_output = grad_scale, data_of(grad_output)
        run = crossent_nll if self.log_probabilities else crossent_softmax
        if self.size < SMALL:
            status = run(self.table, &job, threads, &total)
        else:
            with nogil:
                status = run(self.table, &job, threads, &total)
        if status < 0:
            raise MemoryError("crossent: no memory for the partial sums")
        total /= divisor
        return <float>total if cnp.PyArray_TYPE(<cnp.ndarray>self.arrays[0]) == cnp.NPY_FLOAT32 else total


def map_exp(cnp.ndarray values not None, cnp.ndarray out not None):
    """out = exp(values), by the kernels' own exp: for the tests of its accuracy."""
    table_of(values).exp(data_of(values), data_of(out), <size_t>cnp.PyArray_SIZE(values))


def map_log1p(cnp.ndarray values not None, cnp.ndarray out not None):
    """out = log1p(values) for values >= 0, by the kernels' own log1p: for the tests of its accuracy."""
    table_of(values).log1p(data_of(values), data_of(out), <size_t>cnp.PyArray_SIZE(values))


use_isa(isa_names()[0])
