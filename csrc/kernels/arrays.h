/* arrays.h -- pieces of arrays as reals side by side, which is all that a loop works on: where an array is that already, its
   own memory, else a copy of the piece in scratch that stays in the L1 cache. Strides, byte orders, float16 and bfloat16 are
   known here and nowhere else. Called by every kernel.

   Indices count the elements of an array in C order. */
#include "../crossent.h"

enum { LINE = 64 }; /* bytes of a cache line */

static const enum crossent_dtype REAL = sizeof(real) == sizeof(float) ? CROSSENT_FLOAT32 : CROSSENT_FLOAT64;

/* Whether the view's own memory is reals side by side. */
SIMD int is_direct(const struct crossent_view *view) { return view->dense && view->factor == 1 && view->dtype == REAL; }

SIMD double double_of(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* X(dtype, its bits, their reversal, their value) */
#define EACH_DTYPE(X) \
    X(CROSSENT_FLOAT32, uint32_t, __builtin_bswap32, float_of) \
    X(CROSSENT_FLOAT64, uint64_t, __builtin_bswap64, double_of) \
    X(CROSSENT_FLOAT16, uint16_t, __builtin_bswap16, float_of_f16) \
    X(CROSSENT_BFLOAT16, uint16_t, __builtin_bswap16, float_of_bf16)

/* n elements from p on, `stride` bytes apart, one by one: memcpy because they may lie at odd addresses. */
SIMD void copy_strided(const struct crossent_view *view, const char *p, ptrdiff_t stride, size_t n, real *out) {
    switch (view->dtype) {
#define COPY(dtype, bits, reversed, value) \
    case dtype: \
        for (size_t i = 0; i < n; i++, p += stride) { \
            bits b; \
            memcpy(&b, p, sizeof b); \
            out[i] = (real)value(view->swapped ? reversed(b) : b); \
        } \
        break;
        EACH_DTYPE(COPY)
#undef COPY
        default:
            break;
    }
}

SIMD void widen(const uint16_t *p, size_t n, real *out, vec (*load)(const uint16_t *p, size_t n)) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(out + i, load(p + i, LANES));
    if (i < n) v_store_first(out + i, load(p + i, n - i), n - i);
}
SIMD void widen_halves(const struct crossent_view *view, const uint16_t *p, size_t n, real *out) {
    if (view->dtype == CROSSENT_FLOAT16)
        widen(p, n, out, v_load_f16);
    else
        widen(p, n, out, v_load_bf16);
}

SIMD void copy_run(const struct crossent_view *view, const char *p, ptrdiff_t stride, size_t n, real *out) {
    const int is_half = view->dtype >= CROSSENT_REALS;
    if (stride == 0 && n > 1) {
        copy_strided(view, p, 0, 1, out);
        for (size_t i = 1; i < n; i++) out[i] = out[0];
    } else if (view->dtype == REAL && !view->swapped && stride == sizeof(real)) {
        memcpy(out, p, n * sizeof(real));
    } else if (is_half && !view->swapped && stride == sizeof(uint16_t) && (uintptr_t)p % sizeof(uint16_t) == 0) {
        widen_halves(view, (const uint16_t *)p, n, out);
    } else {
        copy_strided(view, p, stride, n, out);
    }
}

/* Elements first .. first + n of a view of any strides: run after run along its last dimension. */
SIMD void copy_runs(const struct crossent_view *view, size_t first, size_t n, real *out) {
    const int last = view->ndim - 1;
    size_t index[CROSSENT_DIMS] = {0};
    const char *p = view->data;
    for (int d = last; d >= 0; first /= view->shape[d], d--) {
        index[d] = first % view->shape[d];
        p += (ptrdiff_t)index[d] * view->strides[d];
    }
    while (n > 0) {
        const size_t left = last < 0 ? 1 : view->shape[last] - index[last], run = left < n ? left : n;
        const ptrdiff_t stride = last < 0 ? 0 : view->strides[last];
        copy_run(view, p, stride, run, out);
        out += run;
        n -= run;
        if (n == 0) break;
        index[last] += run;
        p += (ptrdiff_t)run * stride;
        for (int d = last; d > 0 && index[d] == view->shape[d]; d--) {
            p += view->strides[d - 1] - (ptrdiff_t)view->shape[d] * view->strides[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

/* Rows that repeat, as a weight for each class does: one of them, and copies of it. */
SIMD void copy_rows(const struct crossent_view *view, size_t first, size_t n, real *out) {
    const int repeats = view->ndim == 2 && view->strides[0] == 0;
    size_t done = repeats && view->shape[1] < n ? view->shape[1] : n;
    copy_runs(view, first, done, out);
    for (size_t more; done < n; done += more) {
        more = done < n - done ? done : n - done;
        memcpy(out + done, out, more * sizeof(real));
    }
}

static __attribute__((noinline)) void pack(const struct crossent_view *view, size_t first, size_t n, real *out) {
    if (view->dense && view->dtype >= CROSSENT_REALS)
        widen_halves(view, (const uint16_t *)view->data + first, n, out);
    else
        copy_rows(view, first, n, out);
    const vec factor = v_set((real)view->factor);
    for (size_t i = 0; view->factor != 1 && i < n; i += LANES)
        v_store_first(out + i, v_mul(v_load_first(out + i, n - i, factor), factor), n - i);
}

/* Elements first .. first + n of a view, in its own memory or in scratch. */
SIMD const real *fetch(const struct crossent_view *view, size_t first, size_t n, real *scratch) {
    if (is_direct(view)) return (const real *)view->data + first;
    pack(view, first, n, scratch);
    return scratch;
}

/* The same, to a place of their own. */
SIMD void copy_to(real *to, const struct crossent_view *view, size_t first, size_t n) {
    const real *const from = fetch(view, first, n, to);
    if (from != to) memcpy(to, from, n * sizeof(real));
}

/* Where a kernel writes elements from `first` on: the result itself, or scratch, which put() then delivers. */
SIMD real *place(const struct crossent_result *result, size_t first, real *scratch) {
    return result->dtype == REAL ? (real *)result->data + first : scratch;
}

static __attribute__((noinline)) void narrow(const struct crossent_result *result, size_t first, size_t n, const real *from) {
    uint16_t *const to = (uint16_t *)result->data + first;
    if (result->dtype == CROSSENT_FLOAT16)
        for (size_t i = 0; i < n; i += LANES) v_store_f16(to + i, v_load_first(from + i, n - i, v_set(0)), n - i);
    else if (result->dtype == CROSSENT_BFLOAT16)
        for (size_t i = 0; i < n; i += LANES) v_store_bf16(to + i, v_load_first(from + i, n - i, v_set(0)), n - i);
    else if (result->dtype == CROSSENT_FLOAT32)
        for (size_t i = 0; i < n; i++) ((float *)result->data)[first + i] = (float)from[i];
    else
        for (size_t i = 0; i < n; i++) ((double *)result->data)[first + i] = (double)from[i];
}

/* Elements first .. first + n of a result, unless place() put them there. */
SIMD void put(const struct crossent_result *result, size_t first, size_t n, const real *from) {
    if (result->dtype != REAL)
        narrow(result, first, n, from);
    else if ((real *)result->data + first != from)
        memcpy((real *)result->data + first, from, n * sizeof(real));
}

SIMD void put_zeros(const struct crossent_result *result, size_t first, size_t n) {
    const size_t size = crossent_size_of(result->dtype);
    memset((char *)result->data + first * size, 0, n * size); /* 0 is no bits in all of them */
}
