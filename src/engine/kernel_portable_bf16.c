/* What every processor of an architecture has (SSE2 on x86-64, NEON on arm64): 4 floats a vector.
 * bf16 widened to fp32. */
#define VL      4
#define TILE    4
#define VECTORS 3
#define HALVES  2
#define DOT     0
#define NAME    kernels_portable_bf16
#include "engine/kernel_template.h"
