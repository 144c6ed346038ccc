/* dispatch.c -- CPU -> table, best first: the only file that knows CPU features. */
#include <stdatomic.h>
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
#include <cpuid.h>

/* Whether the CPU has these bits of CPUID's leaf 1 (ECX) and leaf 7 (EBX), and the system saves these registers (XCR0).
   Not __builtin_cpu_supports(): clang 14 knows no "f16c", and where the runtime library is not GCC's the rest may be missing.
   Source: Intel SDM volume 1, 13.2 and 14.3. */
static int has(unsigned leaf1, unsigned leaf7, unsigned registers) {
    unsigned a, b, c, d, saved, upper;
    const unsigned wanted = leaf1 | bit_OSXSAVE;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted) != wanted) return 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    return (saved & registers) == registers && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7) == leaf7;
}
enum { YMM = 0x6, ZMM = 0xe6 }; /* XCR0: SSE and AVX; those, opmask and both halves of ZMM */
static int has_avx512(void) { return has(bit_FMA, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL, ZMM); }
static int has_avx2(void) { return has(bit_FMA | bit_F16C, bit_AVX2, YMM); }
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

/* Asked once: CPUID takes a hypervisor some microseconds. Threads that ask at the same time get the same answer. */
static int supported(size_t choice) {
    static atomic_schar known[CHOICES]; /* 1 yes, -1 no */
    if (known[choice] == 0) known[choice] = choices[choice].supported() ? 1 : -1;
    return known[choice] > 0;
}

const char *crossent_isa_name(size_t i) {
    for (size_t c = 0; c < CHOICES; c++)
        if (supported(c) && i-- == 0) return choices[c].tables[CROSSENT_FLOAT32]->isa;
    return NULL;
}

const struct crossent_table *crossent_kernels(const char *isa, enum crossent_dtype dtype) {
    for (size_t c = 0; c < CHOICES; c++) {
        const struct crossent_table *table = choices[c].tables[dtype];
        if (supported(c) && (isa == NULL || strcmp(isa, table->isa) == 0)) return table;
    }
    return NULL;
}
