#if defined(__x86_64__)
#include "../simd/avx2_f64.h"
#include "../kernels/table.h"
const struct crossent_table crossent_avx2_f64 = TABLE("avx2");
#include "../simd/target_end.h"
#endif
