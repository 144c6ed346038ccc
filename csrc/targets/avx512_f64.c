#if defined(__x86_64__)
#include "../simd/avx512_f64.h"
#include "../kernels/table.h"
const struct crossent_table crossent_avx512_f64 = TABLE("avx512");
#include "../simd/target_end.h"
#endif
