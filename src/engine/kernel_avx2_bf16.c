/* Intel since Haswell, AMD since Excavator: 8 floats a vector, fused multiply-add, 16 registers.
 * bf16 widened to fp32. */
#define VL      8
#define TILE    4
#define VECTORS 3
#define HALVES  2
#define DOT     0
#define NAME    kernels_avx2_bf16
#if defined(__x86_64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
