/* What every processor of an architecture has (SSE2 on x86-64, NEON on arm64): 4 floats a
 * vector. */
#define VL      4
#define TILE    4
#define VECTORS 3
#define HALVES  1
#define DOT     0
#define NAME    kernels_portable
#include "engine/kernel_template.h"
