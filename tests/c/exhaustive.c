/* exhaustive.c -- every float32 through the functions of sweeps.h, on every instruction set of this CPU.
   Prints a Markdown table: the largest error of each and where it is, whether nan and infinities are right, whether those grow
   that must. Exits with 1 if a bar is missed. `make exhaustive`; with --quick every 4,099th float. */
#include <stdio.h>
#include <stdlib.h>

#include "parallel.h"
#include "sweeps.h"

enum { ISAS = 8, WORKERS = 64, QUICK_STEP = 4099, SMALL = 1 << 16 };

/* Every step-th pattern of a range, and the last; a small range is never thinned, and one that ends before it begins is empty.
 */
struct walk {
    struct range range;
    uint64_t step, inputs;
};
static struct walk walk_over(struct range range, uint32_t step) {
    const uint64_t distance = (uint64_t)range.last - range.first, by = distance < SMALL ? 1 : step;
    return (struct walk){range, by, range.last < range.first ? 0 : (distance + by - 1) / by + 1};
}
static uint32_t pattern(const struct walk *walk, uint64_t i) {
    const uint64_t bits = walk->range.first + i * walk->step;
    return bits < walk->range.last ? (uint32_t)bits : walk->range.last;
}

struct worst {
    double error;
    uint32_t at;
    int falls; /* somewhere, where x grows */
};

/* The worse of two; of two that are as bad, the one of the lower pattern, so that threads change nothing. */
static struct worst worse(struct worst a, struct worst b) {
    const int second = b.error > a.error || (b.error == a.error && b.at < a.at);
    return (struct worst){second ? b.error : a.error, second ? b.at : a.at, a.falls | b.falls};
}

/* One chunk's inputs and results: those of the first instruction set, and of the one that is compared. */
struct chunk {
    float x[CHUNK], values[2][FUNCTIONS][CHUNK];
    double exact[EXACTS][CHUNK];
};

struct worker {
    struct chunk chunk;
    struct worst worst[ISAS][FUNCTIONS];
};

struct sweep {
    const struct family *family;
    struct walk walk;
    struct worker *workers;
};

static struct worst worst_of(const float *x, const float *values, const double *exact, size_t n, double sign, int direction) {
    struct worst worst = {0, of_float(x[0]), 0};
    for (size_t i = 0; i < n; i++) {
        const double error = ulp_error(values[i], sign * exact[i]);
        if (error > worst.error) worst.error = error, worst.at = of_float(x[i]);
        if (i > 0) worst.falls |= direction * ((double)values[i] - (double)values[i - 1]) < 0;
    }
    return worst;
}

/* Results with the bits of the first instruction set's are as far from the exact ones: they are not compared again. */
static void compare(const struct sweep *sweep, struct worker *worker, size_t n) {
    struct worst first[FUNCTIONS];
    struct chunk *c = &worker->chunk;
    for (size_t isa = 0; crossent_isa_name(isa); isa++) {
        float (*values)[CHUNK] = c->values[isa > 0];
        sweep->family->compute(crossent_kernels(crossent_isa_name(isa), CROSSENT_FLOAT32), c->x, n, values);
        for (size_t f = 0; f < sweep->family->count; f++) {
            const struct function *function = &sweep->family->functions[f];
            const double *exact = c->exact[function->exact];
            const int known = isa > 0 && memcmp(values[f], c->values[0][f], n * sizeof(float)) == 0;
            const struct worst here =
                known ? first[f] : worst_of(c->x, values[f], exact, n, function->sign, sweep->walk.range.direction);
            if (isa == 0) first[f] = here;
            worker->worst[isa][f] = worse(worker->worst[isa][f], here);
        }
    }
}

/* Chunks share an input with the next: the values of two neighbours are always compared. */
static void sweep_chunk(void *context, size_t block, size_t number) {
    const struct sweep *sweep = context;
    struct worker *worker = &sweep->workers[number];
    const uint64_t start = (uint64_t)block * (CHUNK - 1), left = sweep->walk.inputs - start;
    const size_t n = left < CHUNK ? (size_t)left : CHUNK;
    for (size_t i = 0; i < n; i++) worker->chunk.x[i] = of_bits(pattern(&sweep->walk, start + i));
    sweep->family->exact(worker->chunk.x, n, worker->chunk.exact);
    compare(sweep, worker, n);
}

static int report(const struct family *family, struct worst worst[ISAS][FUNCTIONS], uint64_t inputs) {
    int missed = 0;
    for (size_t f = 0; f < family->count; f++)
        for (size_t isa = 0; crossent_isa_name(isa); isa++) {
            const struct function *function = &family->functions[f];
            const struct worst w = worst[isa][f];
            const int bad = !(w.error <= function->bar) || (function->grows && w.falls);
            printf("| %s | %s | %llu | %.4f | %g | %a | %s | %s | %s |\n", function->name, crossent_isa_name(isa),
                   (unsigned long long)inputs, w.error, function->bar, (double)of_bits(w.at),
                   isinf(w.error) ? "wrong" : "right",
                   !function->grows ? ""
                   : w.falls        ? "no"
                                    : "yes",
                   bad ? "missed" : "held");
            missed |= bad;
        }
    fflush(stdout);
    return missed;
}

static int run(const struct family *family, uint32_t step, int threads) {
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    struct worst total[ISAS][FUNCTIONS] = {0};
    uint64_t inputs = 0;
    if (workers == NULL) abort();
    for (size_t r = 0; r < RANGES; r++) {
        struct sweep sweep = {family, walk_over(family->ranges[r], step), workers};
        const struct team team = {threads, threads};
        parallel_for((size_t)((sweep.walk.inputs + CHUNK - 2) / (CHUNK - 1)), team, sweep_chunk, &sweep);
        inputs += sweep.walk.inputs;
    }
    for (int worker = 0; worker < threads; worker++)
        for (size_t isa = 0; isa < ISAS; isa++)
            for (size_t f = 0; f < FUNCTIONS; f++) total[isa][f] = worse(total[isa][f], workers[worker].worst[isa][f]);
    free(workers);
    return report(family, total, inputs);
}

int main(int count, char **arguments) {
    const uint32_t step = count > 1 && strcmp(arguments[1], "--quick") == 0 ? QUICK_STEP : 1;
    const int most = crossent_openmp_max_threads(), threads = most < WORKERS ? most : WORKERS;
    int missed = 0;
    printf("| function | instruction set | inputs | largest error, ULP | bar | at | nan, inf | never falls | |\n");
    printf("|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) missed |= run(&families[i], step, threads);
    return missed;
}
