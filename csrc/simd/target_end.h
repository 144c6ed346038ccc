/* Closes the region that target_begin.h opened, if one was opened: the last line of every file in targets/. */
#if defined(__clang__) && defined(TARGET_ISA)
#pragma clang attribute pop
#endif
