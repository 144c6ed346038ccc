/* view.c -- an array's dimensions brought to as few as there can be. Called by the binding _kernels.pyx for every input. */
#include <stdint.h>

#include "crossent.h"

int crossent_view(struct crossent_view *view, const void *data, enum crossent_dtype dtype, int swapped, int ndim,
                  const ptrdiff_t *shape, const ptrdiff_t *strides) {
    const ptrdiff_t size = (ptrdiff_t)crossent_size_of(dtype);
    view->data = data;
    view->dtype = dtype;
    view->swapped = swapped;
    view->factor = 1;
    int n = 0;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] == 1) continue;
        if (n > 0 && view->strides[n - 1] == shape[d] * strides[d]) { /* this dimension lies inside the one before */
            view->shape[n - 1] *= (size_t)shape[d];
            view->strides[n - 1] = strides[d];
            continue;
        }
        if (n == CROSSENT_DIMS) return -1;
        view->shape[n] = (size_t)shape[d];
        view->strides[n++] = strides[d];
    }
    view->ndim = n;
    view->dense = !swapped && (n == 0 || (n == 1 && view->strides[0] == size)) && (uintptr_t)data % (uintptr_t)size == 0;
    return 0;
}
