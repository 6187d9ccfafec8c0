/* WebAssembly with 128-bit vectors, no fused multiply-add. On an x86-64 it runs with 15 registers:
 * 4 x 2 sums + 2 inputs + a weight + a product are 12, 4 x 3 would be 17 (1.36 times as long). bf16
 * widened to fp32. */
#define VL      4
#define TILE    4
#define VECTORS 2
#define HALVES  2
#define DOT     0
#define NAME    kernels_wasm_bf16
#if defined(__wasm__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
