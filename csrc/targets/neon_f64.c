#if defined(__aarch64__)
#include "../simd/neon_f64.h"
#include "../kernels/table.h"
const struct crossent_table crossent_neon_f64 = TABLE("neon");
#endif
