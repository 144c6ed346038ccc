#include "../simd/scalar_f64.h"
#include "../kernels/table.h"
const struct crossent_table crossent_scalar_f64 = TABLE("scalar");
