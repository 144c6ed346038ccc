/* Scalar float64: the verbs of scalar.h on double. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H
#define STEPS 1
#include "float64.h"

#include "scalar.h"

SIMD double sum_of_lanes(vec a) { return a; }

#include "wide_f64.h"
#endif
