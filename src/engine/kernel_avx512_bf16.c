/* Intel since Skylake-SP, AMD since Zen 4: 16 floats a vector, 32 registers. bf16 widened to
 * fp32. */
#define VL      16
#define TILE    8
#define VECTORS 3
#define HALVES  2
#define DOT     0
#define NAME    kernels_avx512_bf16
#if defined(__x86_64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
