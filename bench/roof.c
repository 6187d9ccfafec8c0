/* The roof: what this machine's multiply units do when nothing but registers is touched, in the
 * widest form that the engine's target uses, and what its memory delivers. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* 12 independent chains cover a latency of 4 cycles on two units. */
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define ROUNDS    200000
/* A try is about 3 ms. A woken thread can share its waker's processor for a tick (4 ms) of the
 * system, and the try then shows half of the roof: the best of these counts. */
#define TRIES 4

#define ROOF_LOOP(type, start, step)                                                               \
    type b = start(0.999f), c = start(0.001f);                                                     \
    CHAINS(step##_DECLARE)                                                                         \
    for (int i = 0; i < ROUNDS; i++) {                                                             \
        CHAINS(step)                                                                               \
    }

#if defined(__x86_64__)
#define F512_DECLARE(i) __m512 a##i = _mm512_set1_ps((float)i);
#define F512(i)                                                                                    \
    a##i = _mm512_fmadd_ps(a##i, b, c);                                                            \
    __asm__ volatile("" : "+v"(a##i));
__attribute__((target("avx512f"))) static void roof_avx512(void)
{
    ROOF_LOOP(__m512, _mm512_set1_ps, F512)
}

#define F256_DECLARE(i) __m256 a##i = _mm256_set1_ps((float)i);
#define F256(i)                                                                                    \
    a##i = _mm256_fmadd_ps(a##i, b, c);                                                            \
    __asm__ volatile("" : "+x"(a##i));
__attribute__((target("avx2,fma"))) static void roof_avx2(void)
{
    ROOF_LOOP(__m256, _mm256_set1_ps, F256)
}

#define DOT_DECLARE(i) __m512 a##i = _mm512_set1_ps((float)i);
#define DOT(i)                                                                                     \
    a##i = _mm512_dpbf16_ps(a##i, (__m512bh)b, (__m512bh)c);                                       \
    __asm__ volatile("" : "+v"(a##i));
__attribute__((target("avx512f,avx512bf16"))) static void roof_avx512bf16(void)
{
    ROOF_LOOP(__m512, _mm512_set1_ps, DOT)
}
#define IN_REGISTER "+x"
#elif defined(__wasm__)
#define IN_REGISTER "+r"
#else
#define IN_REGISTER "+w"
#endif

#if defined(__aarch64__)
/* Two sets of chains: processors with four units of a latency of 4 cycles need 16. */
#define NEON_DECLARE(i) float32x4_t a##i = vdupq_n_f32((float)i), z##i = vdupq_n_f32((float)-i);
#define NEON(i)                                                                                    \
    a##i = vfmaq_f32(a##i, b, c);                                                                  \
    z##i = vfmaq_f32(z##i, b, c);                                                                  \
    __asm__ volatile("" : "+w"(a##i), "+w"(z##i));
static void roof_neon(void)
{
    ROOF_LOOP(float32x4_t, vdupq_n_f32, NEON)
}
#endif

typedef float four __attribute__((vector_size(16)));
static inline four four_of(float value)
{
    return value - (four){0};
}
#define PORTABLE_DECLARE(i) four a##i = four_of((float)i);
#define PORTABLE(i)                                                                                \
    a##i = a##i * b + c;                                                                           \
    __asm__ volatile("" : IN_REGISTER(a##i));
static void roof_portable(void)
{
    ROOF_LOOP(four, four_of, PORTABLE)
}

typedef struct {
    void (*loop)(void);
    float *a, *b, *d;
    int64_t count;
} job;

static void roof_task(void *context, int64_t index, int thread)
{
    (void)index, (void)thread;
    ((job *)context)->loop();
}

double roof_gflops(engine *e)
{
    job j = {.loop = roof_portable};
    double flops = 4 * 2;
#if defined(__x86_64__)
    const char *target = engine_target(e);
    if (strcmp(target, "avx512bf16") == 0 && engine_dtype(e) == DTYPE_BF16) {
        j.loop = roof_avx512bf16;
        flops = 32 * 2;
    } else if (strncmp(target, "avx512", 6) == 0) {
        j.loop = roof_avx512;
        flops = 16 * 2;
    } else if (strcmp(target, "avx2") == 0) {
        j.loop = roof_avx2;
        flops = 8 * 2;
    }
#elif defined(__aarch64__)
    if (strcmp(engine_target(e), "neon") == 0) {
        j.loop = roof_neon;
        flops = 2 * 4 * 2;
    }
#endif
    const int tasks = pool_threads(engine_pool(e)) * 8;
    double best = 1e30;
    for (int i = 0; i < TRIES; i++) {
        const double start = bench_seconds();
        pool_run(engine_pool(e), roof_task, &j, tasks);
        const double seconds = bench_seconds() - start;
        best = seconds < best ? seconds : best;
    }
    return 12.0 * ROUNDS * flops * tasks / best * 1e-9;
}

#define TRIAD_BLOCK 65536

static void triad_task(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    float *restrict a = j->a + index * TRIAD_BLOCK;
    const float *b = j->b + index * TRIAD_BLOCK, *d = j->d + index * TRIAD_BLOCK;
    for (int i = 0; i < TRIAD_BLOCK; i++)
        a[i] = b[i] + 3.0f * d[i];
}

double triad_gbytes(engine *e, ts_error *error)
{
    job j = {.count = (int64_t)TRIAD_BLOCK * 1024};
    float *memory = memory_allocate(3 * (size_t)j.count, sizeof *memory, "the triad", error);
    if (!memory)
        return 0;
    j.a = memory;
    j.b = j.a + j.count;
    j.d = j.b + j.count;
    double best = 1e30;
    for (int i = 0; i < 4; i++) {
        const double start = bench_seconds();
        pool_run(engine_pool(e), triad_task, &j, 1024);
        const double time = bench_seconds() - start;
        best = time < best ? time : best;
    }
    free(memory);
    return 3.0 * (double)j.count * 4 / best * 1e-9;
}
