/* planted.c -- calls of the core that lie, so that kernels do what they never may: proof that a tool which watches them sees
   it. `planted FAULT ISA` must end with that tool's report: `make sanitize-c`, `make sanitize-threads` and `make valgrind` ask
   for the faults that theirs is for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crossent.h"

enum { COUNT = 64, BEHIND = 16, MANY = 1 << 20 };

static void fill(double *numbers, size_t n) {
    for (size_t i = 0; i < n; i++) numbers[i] = (double)i / MANY;
}

static double *array_of(size_t n) {
    double *const numbers = malloc(n * sizeof *numbers);
    if (numbers == NULL) abort();
    fill(numbers, n);
    return numbers;
}

static struct crossent_view view(const double *data, size_t n) {
    const ptrdiff_t shape[] = {(ptrdiff_t)n}, strides[] = {sizeof *data};
    struct crossent_view v;
    if (crossent_view(&v, data, CROSSENT_FLOAT64, 0, 1, shape, strides)) abort();
    return v;
}

static void square(const char *isa, const double *x, double *output, size_t n) {
    double sum;
    const struct crossent_pointwise_job job = {
        .loss = CROSSENT_mse_loss,
        .derivative = CROSSENT_BY_INPUT,
        .count = n,
        .group = 1,
        .input = view(x, n),
        .grad_scale = 1,
        .output = {output, CROSSENT_FLOAT64},
    };
    if (crossent_pointwise(crossent_kernels(isa, CROSSENT_FLOAT64), &job, 4, &sum)) abort();
}

static void reads(const char *isa) { square(isa, array_of(COUNT), array_of(COUNT + BEHIND), COUNT + BEHIND); }
static void writes(const char *isa) { square(isa, array_of(COUNT + BEHIND), array_of(COUNT), COUNT + BEHIND); }
static void freed(const char *isa) {
    double *const x = array_of(COUNT), *volatile const gone = x;
    free(x);
    square(isa, gone, array_of(COUNT), COUNT);
}
static void leaks(const char *isa) {
    double *volatile lost = array_of(COUNT);
    square(isa, lost, lost, COUNT);
    lost = NULL;
}

/* Targets at an odd address. */
static void misaligned(const char *isa) {
    static const char zeros[(COUNT + 1) * sizeof(int64_t)];
    double *const x = array_of(COUNT), sum;
    const struct crossent_softmax_job job = {
        .outer = COUNT, .classes = 1, .inner = 1, .input = view(x, COUNT), .target = (const void *)(zeros + 1)};
    if (crossent_nll(crossent_kernels(isa, CROSSENT_FLOAT64), &job, 1, &sum)) abort();
    free(x);
}

/* Numbers that nobody wrote, and that the result depends on. */
static void unset(const char *isa) {
    double *volatile const unset = malloc(COUNT * sizeof *unset), *const x = unset; /* the compiler shall not see it */
    const struct crossent_view v = view(x, COUNT);
    size_t bad;
    const int found = crossent_check_range(crossent_kernels(isa, CROSSENT_FLOAT64), &v, COUNT, 0, 1, 1, &bad);
    printf("%d\n", found);
    free(x);
}

/* The output one element behind the input, in the same memory: each block writes what the next one reads. */
static void races(const char *isa) {
    static double x[MANY + 1];
    fill(x, MANY);
    square(isa, x, x + 1, MANY);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*plant)(const char *isa);
    } faults[] = {{"reads", reads},           {"writes", writes}, {"freed", freed}, {"leaks", leaks},
                  {"misaligned", misaligned}, {"unset", unset},   {"races", races}};
    for (size_t i = 0; count == 3 && i < sizeof faults / sizeof *faults; i++)
        if (strcmp(arguments[1], faults[i].name) == 0) faults[i].plant(arguments[2]);
    return 0;
}
