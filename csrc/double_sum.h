/* double_sum.h -- a sum of doubles that keeps what each addition rounds away, for sums over a batch.
   Used by the kernels and by the driver; the sums within a row are the `wide` ones of simd/.
   Source: Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, 1974. */
#ifndef CROSSENT_DOUBLE_SUM_H
#define CROSSENT_DOUBLE_SUM_H

#include <math.h>

struct double_sum {
    double sum, lost;
};

static inline void add_to(struct double_sum *total, double term) {
    const double sum = total->sum + term;
    const double lost = fabs(total->sum) >= fabs(term) ? (total->sum - sum) + term : (term - sum) + total->sum;
    total->sum = sum;
    total->lost += lost;
}

/* Nothing is lost of an infinite sum. */
static inline double value_of(struct double_sum total) { return isfinite(total.sum) ? total.sum + total.lost : total.sum; }

#endif
