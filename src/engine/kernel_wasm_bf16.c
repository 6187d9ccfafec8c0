/* WebAssembly with 128-bit vectors, which browsers run with 16 registers (x86-64) or 32 (arm64); no fused
 * multiply-add. bf16 widened to fp32. */
#define VL     4
#define TILE   4
#define HALVES 2
#define DOT    0
#define NAME   kernels_wasm_bf16
#if defined(__wasm__)
#include "engine/kernel_template.h"
#else
#include "engine/kernels.h"
#endif
