/* dispatch.c -- CPU -> table, best first: the only file that knows CPU features. Called once, when the tables are chosen. */
#include <string.h>

#include "crossent.h"

#define DECLARE(isa) extern const struct crossent_table crossent_##isa##_f32, crossent_##isa##_f64;
#define TABLES(isa) {&crossent_##isa##_f32, &crossent_##isa##_f64}

struct choice {
    int (*supported)(void);
    const struct crossent_table *tables[CROSSENT_REALS];
};

static int always(void) { return 1; }

#if defined(__x86_64__)
static int has_avx512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
DECLARE(avx512)
DECLARE(avx2)
#elif defined(__aarch64__)
DECLARE(neon)
#endif
DECLARE(scalar)

static const struct choice choices[] = {
#if defined(__x86_64__)
    {has_avx512, TABLES(avx512)},
    {has_avx2, TABLES(avx2)},
#elif defined(__aarch64__)
    {always, TABLES(neon)}, /* every AArch64 CPU has NEON */
#endif
    {always, TABLES(scalar)},
};
enum { CHOICES = sizeof choices / sizeof *choices };

const char *crossent_isa_name(size_t i) {
    for (size_t c = 0; c < CHOICES; c++)
        if (choices[c].supported() && i-- == 0) return choices[c].tables[CROSSENT_FLOAT32]->isa;
    return NULL;
}

const struct crossent_table *crossent_kernels(const char *isa, enum crossent_dtype dtype) {
    for (size_t c = 0; c < CHOICES; c++) {
        const struct crossent_table *table = choices[c].tables[dtype];
        if (choices[c].supported() && (isa == NULL || strcmp(isa, table->isa) == 0)) return table;
    }
    return NULL;
}
