/* Intel since Cooper Lake, AMD since Zen 4: AVX-512 that multiplies pairs of bf16. */
#define VL      16
#define TILE    8
#define VECTORS 3
#define HALVES  2
#define DOT     1
#define NAME    kernels_avx512_dot
#if defined(__x86_64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
