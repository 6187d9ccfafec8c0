/* arm64: 4 floats a vector, fused multiply-add, 32 registers. bf16 widened to fp32. */
#define VL      4
#define TILE    8
#define VECTORS 3
#define HALVES  2
#define DOT     0
#define NAME    kernels_neon_bf16
#if defined(__aarch64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
