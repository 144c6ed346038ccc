/* failing_malloc.c -- a library to preload: the n-th allocation that some shared library asks for fails, and what it has not
   given back is counted. Nobody else's allocations are touched. For glibc; tests/test_memory.py builds and drives it. */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static struct {
    const char *name;
    uintptr_t first, end;
} watched;
static size_t least;                       /* bytes: smaller allocations never fail */
static long until_failure, failures, live; /* 0: none fails */

static int find(struct dl_phdr_info *library, size_t size, void *unused) {
    (void)size, (void)unused;
    if (!strstr(library->dlpi_name, watched.name)) return 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const uintptr_t at = library->dlpi_addr + library->dlpi_phdr[i].p_vaddr;
        if (library->dlpi_phdr[i].p_type == PT_LOAD && library->dlpi_phdr[i].p_flags & PF_X)
            watched.first = at, watched.end = at + library->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

/* From now on, have the n-th allocation of `smallest` bytes or more fail, of the library that has this in its name; 0: none.
   Whether there is such a library. */
int fail_malloc(const char *name, size_t smallest, long n) {
    watched.name = name;
    least = smallest, until_failure = n, failures = 0;
    return dl_iterate_phdr(find, NULL);
}
/* Allocations that failed since then, and those of the library that are not freed. */
long failed_mallocs(void) { return __atomic_load_n(&failures, __ATOMIC_RELAXED); }
long live_mallocs(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }

static int is_watched(const void *caller) { return (uintptr_t)caller >= watched.first && (uintptr_t)caller < watched.end; }
static int fails(const void *caller, size_t size) {
    if (!is_watched(caller) || size < least || __atomic_load_n(&until_failure, __ATOMIC_RELAXED) <= 0) return 0;
    const int now = __atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) == 0;
    if (now) __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    return now;
}
static void *counted(const void *caller, void *p) {
    if (p && is_watched(caller)) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return p;
}

void *malloc(size_t size) {
    const void *const caller = __builtin_return_address(0);
    return fails(caller, size) ? NULL : counted(caller, __libc_malloc(size));
}
void *calloc(size_t count, size_t size) {
    const void *const caller = __builtin_return_address(0);
    return fails(caller, count * size) ? NULL : counted(caller, __libc_calloc(count, size));
}
void *realloc(void *p, size_t size) { return fails(__builtin_return_address(0), size) ? NULL : __libc_realloc(p, size); }
void free(void *p) {
    if (p && is_watched(__builtin_return_address(0))) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(p);
}
