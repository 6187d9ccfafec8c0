/* arm64: 4 floats a vector, fused multiply-add, 32 registers. */
#define VL      4
#define TILE    8
#define VECTORS 3
#define HALVES  1
#define DOT     0
#define NAME    kernels_neon
#if defined(__aarch64__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
