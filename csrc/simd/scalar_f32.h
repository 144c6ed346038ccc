/* Scalar float32: the verbs of scalar.h on float. */
#ifndef CROSSENT_SIMD_H
#define CROSSENT_SIMD_H
#include "float32.h"

#include "scalar.h"
#endif
