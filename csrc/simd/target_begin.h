/* Opens the region that is compiled for TARGET_ISA; target_end.h closes it.
   GCC takes the rest of the file, clang wants a push and a pop. */
#if defined(__clang__)
#define TARGET_PRAGMA_(text) _Pragma(#text)
#define TARGET_PRAGMA(isa) TARGET_PRAGMA_(clang attribute push(__attribute__((target(isa))), apply_to = function))
TARGET_PRAGMA(TARGET_ISA)
#elif defined(__GNUC__)
#define TARGET_PRAGMA_(text) _Pragma(#text)
#define TARGET_PRAGMA(isa) TARGET_PRAGMA_(GCC target(isa))
TARGET_PRAGMA(TARGET_ISA)
#endif
