/* derivatives.h -- which derivatives an elementwise loss has. Used by test_core.c and test_guard.c, which call every kernel. */
#include "crossent.h"

/* Whether a loss has a derivative is asked of its second argument: kernels of it would be called through NULL. */
static inline int has_derivative(enum crossent_pointwise loss, enum crossent_derivative derivative) {
    const int only_input = loss == CROSSENT_soft_margin_loss || loss == CROSSENT_hinge_embedding_loss ||
                           loss == CROSSENT_logsigmoid || loss == CROSSENT_sigmoid;
    return derivative == CROSSENT_BY_EXTRA    ? loss == CROSSENT_gaussian_nll_loss
           : derivative == CROSSENT_BY_TARGET ? !only_input
                                              : 1;
}
