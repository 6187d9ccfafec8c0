/* Intel since Haswell, AMD since Excavator: 8 floats a vector, fused multiply-add, 16 registers. */
#define VL      8
#define TILE    4
#define VECTORS 3
#define HALVES  1
#define DOT     0
#define NAME    kernels_avx2
#if defined(__x86_64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
