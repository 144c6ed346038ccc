#if defined(__x86_64__)
#include "../simd/avx2_f32.h"
#include "../kernels/table.h"
const struct crossent_table crossent_avx2_f32 = TABLE("avx2");
#include "../simd/target_end.h"
#endif
