/* guard.h -- memory between two pages that nobody may touch, and trials of kernels in it.
   Not here: which kernels there are, and what they are called with (test_guard.c, the only caller).

   A trial calls a kernel with the same numbers in many places: its arrays flush against the page behind them or before them,
   or up to 63 bytes away. A stray access of a page is caught. Beside that inputs stay as they are, and so do the bytes around
   every array; a result has the same bits in every place, whatever was there before: all of it is written. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crossent.h"

enum {
    PAGE = 1 << 16, /* a multiple of every system's */
    ROOM = 2 * PAGE,
    ARRAYS = 12,
    OFFSETS = 64,
    AROUND = 2 * OFFSETS, /* bytes on either side of an array that are looked at */
    PAINT = 0xa5,
    OTHER_PAINT = 0x5a,
};

/* How an array that is read lies in memory. */
enum layout { DENSE, SWAPPED, BACKWARDS, LAYOUTS };

/* What is scratch may hold anything after a call. */
enum role { READ, WRITTEN, READ_AND_WRITTEN, SCRATCH };

/* One array of a trial. What is only read, and through a view, may lie at any address. */
struct array {
    enum role role;
    size_t count, size;         /* elements, and the bytes of one */
    const void *content;        /* if it is read */
    void *pointer;              /* that gets its address, if there is one */
    struct crossent_view *view; /* that is made of it, if there is one: of this type and layout */
    enum crossent_dtype dtype;
    enum layout layout;
};

/* How much scratch a call wants is asked when the arrays before it are in their places. */
struct trial {
    const char *name;
    struct array arrays[ARRAYS];
    int count;
    size_t (*scratch_size)(void);
    double (*call)(void);
};

/* Near the page behind the arrays, or near the one before them. */
struct place {
    int behind;
    size_t offset;
};

static struct {
    unsigned char *rooms[ARRAYS], *starts[ARRAYS];
    unsigned char results[ARRAYS][ROOM];
    double result;
    sigjmp_buf caught;
    long calls;
} guard;

static void catch_fault(int number) {
    (void)number;
    siglongjmp(guard.caught, 1);
}

static void open_rooms(void) {
    struct sigaction action = {.sa_handler = catch_fault, .sa_flags = SA_NODEFER};
    if (sigaction(SIGSEGV, &action, NULL) || sigaction(SIGBUS, &action, NULL)) abort();
    for (int i = 0; i < ARRAYS; i++) {
        unsigned char *const all = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(all + PAGE, ROOM, PROT_READ | PROT_WRITE)) abort();
        guard.rooms[i] = memset(all + PAGE, PAINT, ROOM);
    }
}

static size_t step_of(const struct array *a) { return a->layout == BACKWARDS ? 2 * a->size - 1 : a->size; }
static size_t bytes_of(const struct array *a) { return a->count ? (a->count - 1) * step_of(a) + a->size : 0; }

/* What must be aligned lies as near to the page as that allows. */
static unsigned char *start_of(const struct array *a, unsigned char *room, struct place place) {
    const size_t unit = a->role == SCRATCH ? OFFSETS : a->role == READ && a->view ? 1 : a->size, bytes = bytes_of(a);
    if (bytes > ROOM - OFFSETS) abort();
    return room + (place.behind ? (ROOM - bytes - place.offset) / unit * unit : (place.offset + unit - 1) / unit * unit);
}

static void set_view(const struct array *a, unsigned char *start) {
    const ptrdiff_t shape[] = {(ptrdiff_t)a->count}, step = (ptrdiff_t)step_of(a);
    const ptrdiff_t strides[] = {a->layout == BACKWARDS ? -step : step};
    unsigned char *const first = a->layout == BACKWARDS && a->count ? start + bytes_of(a) - a->size : start;
    if (crossent_view(a->view, first, a->dtype, a->layout == SWAPPED, 1, shape, strides)) abort();
}

static void put_arrays(struct trial *trial, struct place place, int paint) {
    for (int i = 0; i < trial->count; i++) {
        struct array *const a = &trial->arrays[i];
        if (a->role == SCRATCH) a->count = trial->scratch_size();
        unsigned char *const start = guard.starts[i] = start_of(a, guard.rooms[i], place);
        if (a->content)
            memcpy(start, a->content, bytes_of(a));
        else
            memset(start, paint, bytes_of(a));
        if (a->view) set_view(a, start);
        void *const address = a->role == SCRATCH && a->count == 0 ? NULL : start; /* as batch.c does */
        if (a->pointer) memcpy(a->pointer, &address, sizeof address);
    }
}

static int is_painted(const unsigned char *from, const unsigned char *end) {
    while (from < end && *from == PAINT) from++;
    return from == end;
}

/* What is wrong with an array after a call, if anything is; its place is painted again. */
static const char *check_array(const struct array *a, int i, int is_first) {
    unsigned char *const start = guard.starts[i], *const end = start + bytes_of(a), *const room = guard.rooms[i];
    const char *wrong = NULL;
    if (!is_painted(start - room > AROUND ? start - AROUND : room, start)) wrong = "is written before its first byte";
    if (!is_painted(end, room + ROOM - end > AROUND ? end + AROUND : room + ROOM)) wrong = "is written behind its last byte";
    if (a->role == READ && memcmp(start, a->content, bytes_of(a))) wrong = "is an input, and changed";
    if (a->role == WRITTEN || a->role == READ_AND_WRITTEN) {
        if (is_first) memcpy(guard.results[i], start, bytes_of(a));
        if (memcmp(start, guard.results[i], bytes_of(a))) wrong = "has other bits than in another place";
    }
    memset(wrong ? room : start, PAINT, wrong ? ROOM : bytes_of(a));
    return wrong;
}

/* Whether a trial goes well in a place: if not, what is wrong is printed, unless `quiet`. */
static int try_place(struct trial *trial, struct place place, int is_first, int quiet) {
    volatile int bad = 0;
    put_arrays(trial, place, is_first ? PAINT : OTHER_PAINT);
    guard.calls++;
    if (sigsetjmp(guard.caught, 0) == 0) {
        const double result = trial->call();
        if (is_first) guard.result = result;
        bad = memcmp(&result, &guard.result, sizeof result) != 0;
        if (bad && !quiet) printf("%s: returns something else than in another place\n", trial->name);
    } else {
        bad = 1;
        if (!quiet) printf("%s: touches a page beside an array\n", trial->name);
    }
    for (int i = 0; i < trial->count; i++) {
        const char *const wrong = check_array(&trial->arrays[i], i, is_first);
        if (wrong && !quiet) printf("%s: array %d %s\n", trial->name, i, wrong);
        bad |= wrong != NULL;
    }
    if (bad && !quiet) printf("    %zu bytes from the page %s\n", place.offset, place.behind ? "behind" : "before");
    return !bad;
}

/* Whether a trial goes well everywhere, or at every step-th offset. */
static int try_places(struct trial *trial, size_t step, int quiet) {
    for (int behind = 0; behind < 2; behind++)
        for (size_t offset = 0; offset < OFFSETS; offset += step)
            if (!try_place(trial, (struct place){behind, offset}, !behind && !offset, quiet)) return 0;
    return 1;
}
