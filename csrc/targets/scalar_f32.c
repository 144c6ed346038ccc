#include "../simd/scalar_f32.h"
#include "../kernels/table.h"
const struct crossent_table crossent_scalar_f32 = TABLE("scalar");
