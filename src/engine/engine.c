/* The engine: which kernels this CPU runs, and the door of every operation. */
#include "engine/kernels.h"

#include <assert.h>
#include <stdlib.h>

static const char *const target_names[TARGETS] = {"ref",  "portable", "wasm",      "neon",
                                                  "avx2", "avx512",   "avx512bf16"};

const char *engine_target_name(int index)
{
    return index >= 0 && index < TARGETS ? target_names[index] : NULL;
}

static bool available(int target)
{
    if (target <= TARGET_PORTABLE)
        return true;
#if defined(__aarch64__)
    return target == TARGET_NEON;
#elif defined(__wasm__)
    return target == TARGET_WASM;
#elif defined(__x86_64__)
    if (target < TARGET_AVX2)
        return false;
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq");
    const bool dot = avx512 && __builtin_cpu_supports("avx512bf16");
    return target == TARGET_AVX2 ? avx2 : target == TARGET_AVX512 ? avx512 : dot;
#else
    return false;
#endif
}

/* Whether pairs of bf16 are the faster way. VDPBF16PS at full width takes 4 times as long as a
 * multiply-add on Intel's cores since Sapphire Rapids (measured on Emerald Rapids: 92 against 184
 * GFLOP/s; their bf16 units are AMX), so that widening to fp32 is faster there; on AMD's and on
 * Cooper Lake it does twice the work of a multiply-add in its time. */
static bool dot_pays(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_is("amd") || __builtin_cpu_is("cooperlake");
#else
    return false;
#endif
}

static const kernels *kernels_of(int target, compute_dtype dtype)
{
    const bool bf16 = dtype == DTYPE_BF16;
    switch (target) {
    case TARGET_REF:
        return NULL;
#if defined(__aarch64__)
    case TARGET_NEON:
        return bf16 ? &kernels_neon_bf16 : &kernels_neon;
#elif defined(__wasm__)
    case TARGET_WASM:
        return bf16 ? &kernels_wasm_bf16 : &kernels_wasm;
#elif defined(__x86_64__)
    case TARGET_AVX2:
        return bf16 ? &kernels_avx2_bf16 : &kernels_avx2;
    case TARGET_AVX512:
        return bf16 ? &kernels_avx512_bf16 : &kernels_avx512;
    case TARGET_AVX512BF16:
        return bf16 ? &kernels_avx512_dot : &kernels_avx512;
#endif
    default:
        return bf16 ? &kernels_portable_bf16 : &kernels_portable;
    }
}

static int find_target(const char *name)
{
    for (int i = 0; i < TARGETS; i++)
        if (strcmp(name, target_names[i]) == 0)
            return i;
    return -1;
}

bool engine_target_available(const char *target)
{
    const int i = find_target(target);
    return i >= 0 && available(i);
}

static int best_target(compute_dtype dtype)
{
    int index = dtype == DTYPE_FP32 || dot_pays() ? TARGETS - 1 : TARGET_AVX512;
    while (!available(index))
        index--;
    return index;
}

ts_status engine_create(int threads, compute_dtype dtype, const char *target, engine **out,
                        ts_error *error)
{
    *out = NULL;
    if (!target)
        target = getenv("TWINSEG_TARGET");
    int index = best_target(dtype);
    if (target) {
        index = find_target(target);
        if (index < 0)
            return error_set(error, TS_BAD_INPUT,
                             "there is no engine target '%s': ref, portable, wasm, neon, avx2, "
                             "avx512 or avx512bf16 (TWINSEG_TARGET)",
                             target);
        if (!available(index))
            return error_set(error, TS_BAD_INPUT,
                             "this CPU cannot run the engine target '%s' (TWINSEG_TARGET)", target);
    }
    engine *e = memory_allocate(1, sizeof *e, "the engine", error);
    if (!e)
        return TS_MEMORY;
    e->dtype = dtype;
    e->target = index;
    e->kernels = kernels_of(index, dtype);
    const ts_status status = pool_create(threads, &e->threads, error);
    if (status != TS_OK) {
        free(e);
        return status;
    }
    *out = e;
    return TS_OK;
}

void engine_destroy(engine *e)
{
    if (!e)
        return;
    pool_destroy(e->threads);
    free(e);
}

const char *engine_target(const engine *e)
{
    return target_names[e->target];
}

compute_dtype engine_dtype(const engine *e)
{
    return e->dtype;
}

pool *engine_pool(const engine *e)
{
    return e->threads;
}

/* ref has no vectors; what is portable is its definition here. */
static const kernels *softmax_kernels(const engine *e)
{
    return e->kernels ? e->kernels : &kernels_portable;
}

void softmax_probabilities(const engine *e, float *z, int64_t stride, const uint8_t *labels,
                           int64_t count, softmax_sums *s)
{
    softmax_kernels(e)->softmax_probabilities(z, stride, labels, count, s);
}

void softmax_gradient(const engine *e, float *z, int64_t stride, const uint8_t *labels,
                      int64_t count, const softmax_factors *f)
{
    softmax_kernels(e)->softmax_gradient(z, stride, labels, count, f);
}
