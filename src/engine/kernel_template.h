/* The kernels, compiled once per target and type. The including file sets
 *     VL      32-bit elements in a vector
 *     TILE    output channels in the register tile
 *     HALVES  channels in an element: 1 (fp32) or 2 (bf16)
 *     DOT     1 where the target multiplies pairs of bf16 (VDPBF16PS), else 0
 *     NAME    the table's name
 *     VECTORS of voxels in the register tile
 * These combinations exist:
 *     NAME                        VL  TILE  HALVES  DOT   compiled with
 *     kernels_portable, ..._bf16   4     4    1, 2    0   what the architecture has (SSE2, NEON)
 *     kernels_wasm, ..._bf16       4     4    1, 2    0   WebAssembly: SIMD128; VECTORS 2, else 3
 *     kernels_neon, ..._bf16       4     8    1, 2    0   arm64: NEON, its 32 registers
 *     kernels_avx2, ..._bf16       8     4    1, 2    0   AVX2, FMA
 *     kernels_avx512, ..._bf16    16     8    1, 2    0   AVX-512 F, VL, BW, DQ
 *     kernels_avx512_dot          16     8       2    1   and AVX512_BF16
 *
 * The register tile is TILE channels x VECTORS vectors of neighbouring voxels. A step of multiply
 * loads the input vectors and, for each channel, one weight into all lanes, which all of them take:
 *     AVX-512   8 x 3 = 24 sums + 3 inputs + 1 weight = 28 of 32 registers; 24 multiply-adds for 11
 *               loads: 12 cycles where two units multiply and two load (an unaligned vector crosses
 *               a cache line and counts twice: 14 half-cycles of loads)
 *     AVX2      4 x 3 = 12 + 3 + 1 = 16 of 16 registers
 *     NEON      8 x 3 = 24 + 3 + 2 = 29 of 32: the 8 weights are two vectors, and a multiply-add
 *               takes its weight from one of their lanes: 24 multiply-adds for 5 loads
 * correlate has the same tile with terms in place of voxels: TILE channels x 3 terms.
 *
 * With DOT a multiply-add takes both channels of an element. Without it bf16 is widened into
 * floats first, once for all output channels, and then computed as fp32: widened in the tile's
 * registers it would take two more of them than AVX2 has (66 % of the roof instead of 90). */
#include "engine/kernels.h"

#include <math.h>

#if DOT
#include <immintrin.h>
#endif

#if !(VL == 4 && TILE == 4) && !(VL == 4 && TILE == 8) && !(VL == 8 && TILE == 4) &&               \
    !(VL == 16 && TILE == 8)
#error "no such register tile: see the table above"
#endif
#if (HALVES != 1 && HALVES != 2) || (DOT && (VL != 16 || HALVES != 2))
#error "no such type: see the table above"
#endif

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef float vf_unaligned __attribute__((vector_size(4 * VL), aligned(2), may_alias));
typedef uint32_t vu_unaligned __attribute__((vector_size(4 * VL), aligned(2), may_alias));
typedef vf vf_aligned __attribute__((may_alias));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define TOP             0xffff0000u
#define UNIT_DTYPE      (HALVES == 2 ? DTYPE_BF16 : DTYPE_FP32)
#define WEIGHTS_OF_TERM (DOT ? 1 : HALVES)
/* A multiply-add can take its weight from a lane of a vector (NEON: fmla v.4s, v.4s, v.s[lane]). */
#define BY_LANE (VL == 4 && TILE == 8)
/* bf16 that is computed as fp32. Terms that are not widened yet are, WIDE_TERMS at a time. */
#define WIDENS (HALVES == 2 && !DOT)

/* Keeps a compiler from loading a value again for each use, as an operand of the instruction: loads
 * are what a tile is short of. */
#if VL == 16
#define IN_REGISTER(value) __asm__("" : "+v"(value))
#elif defined(__x86_64__)
#define IN_REGISTER(value) __asm__("" : "+x"(value))
#elif defined(__wasm__)
#define IN_REGISTER(value) (void)(value) /* no instruction has an operand in memory */
#else
#define IN_REGISTER(value) __asm__("" : "+w"(value))
#endif

INLINE vf splat(float value)
{
    return value - (vf){0};
}

INLINE vf load(const void *p)
{
    return *(const vf_unaligned *)p;
}

INLINE void store(void *p, vf value)
{
    *(vf_aligned *)p = value;
}

/* Channel `half` of the elements at p, as floats. */
INLINE vf load_half(const uint32_t *p, int half)
{
#if HALVES == 2
    const vu pair = *(const vu_unaligned *)p;
    return (vf)(half ? pair & TOP : pair << 16);
#else
    (void)half;
    return load(p);
#endif
}

/* Rounds to nearest, ties to even. */
INLINE vu bf16_bits(vf value)
{
    const vu bits = (vu)value;
    return bits + 0x7fff + (bits >> 16 & 1);
}

#if DOT
/* Value i of the low 16 halves of a vector, then value i of the high ones. */
#define PAIR_2(i) i, (i) + 16, (i) + 1, (i) + 17
#define PAIR_8(i) PAIR_2(i), PAIR_2((i) + 2), PAIR_2((i) + 4), PAIR_2((i) + 6)
typedef uint16_t vh __attribute__((vector_size(4 * VL)));
#endif

/* Elements of HALVES channels to anywhere. */
INLINE void store_halves(uint32_t *p, const vf *value)
{
#if DOT
    const vh both = (vh)_mm512_cvtne2ps_pbh((__m512)value[1], (__m512)value[0]);
    *(vu_unaligned *)p = (vu)__builtin_shufflevector(both, both, PAIR_8(0), PAIR_8(8));
#elif HALVES == 2
    *(vu_unaligned *)p = bf16_bits(value[0]) >> 16 | (bf16_bits(value[1]) & TOP);
#else
    *(vf_unaligned *)p = value[0];
#endif
}

/* Prefetches the lines of `count` elements from p on (p may lie beyond all memory). Each unit
 * begins 27 short runs of lines in a tile of multiply, which no hardware prefetcher follows: the
 * first tile of channels prefetches what the next run of positions reads. Without that an 8 -> 8 layer at 64^3 waits a third of
 * its time (62 % of the roof instead of 88 on Zen 5). */
INLINE void prefetch_run(const uint32_t *p, const int count)
{
    UNROLL for (int i = 0; i < count; i += 16)
    {
        __builtin_prefetch(p + i);
    }
}

/* ---- multiply -------------------------------------------------------------------------- */

/* sum[c][v] += x[v] * weight[c], pairs of bf16 with dot. */
INLINE void multiply_step(const int vectors, const int dot, const vf *x, const float *weight,
                          vf (*sum)[VECTORS])
{
#if BY_LANE
    (void)dot;
    vf four[TILE / VL];
    UNROLL for (int i = 0; i < TILE / VL; i++)
    {
        four[i] = load(weight + i * VL);
        IN_REGISTER(four[i]);
    }
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            sum[c][v] += x[v] * four[c / VL][c % VL];
        }
    }
#else
    UNROLL for (int c = 0; c < TILE; c++)
    {
        vf w = splat(weight[c]);
        IN_REGISTER(w);
        UNROLL for (int v = 0; v < vectors; v++)
        {
#if DOT
            if (dot) {
                sum[c][v] = _mm512_dpbf16_ps(sum[c][v], (__m512bh)x[v], (__m512bh)w);
                continue;
            }
#endif
            (void)dot;
            sum[c][v] += x[v] * w;
        }
    }
#endif
}

/* Sums of TILE channels at `vectors` vectors of positions. */
typedef struct {
    const uint32_t *const *term; /* read at f */
    int64_t terms, f;
    int64_t ahead;       /* the prefetched positions lie so much behind */
    const float *weight; /* [terms][TILE] */
    const float *bias;   /* [TILE], what sums start from; NULL: from `sums` */
    float *sums;         /* floats, channel c at c * stride: where sums go, unless to `units` */
    int64_t stride;
    uint32_t *units; /* NULL, or the units of these channels, unit_stride apart */
    int64_t unit_stride;
} tile;

/* vectors (1 or VECTORS) and dot are constants where this is inlined. */
INLINE void multiply_tile(const int vectors, const int dot, const int ahead, const tile t)
{
    vf sum[TILE][VECTORS];
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            sum[c][v] = t.bias ? splat(t.bias[c]) : load(t.sums + c * t.stride + v * VL);
        }
    }
    const float *weight = t.weight;
    for (int64_t i = 0; i < t.terms; i++) {
        const uint32_t *in = t.term[i] + t.f;
        vf x[VECTORS];
        if (ahead)
            prefetch_run(in + t.ahead, VECTORS * VL);
        UNROLL for (int v = 0; v < vectors; v++)
        {
            x[v] = load(in + v * VL);
        }
        multiply_step(vectors, dot, x, weight, sum);
        weight += TILE;
    }
    if (t.units) {
        UNROLL for (int c = 0; c < TILE; c += HALVES)
        {
            UNROLL for (int v = 0; v < vectors; v++)
            {
                const vf value[2] = {sum[c][v], sum[c + HALVES - 1][v]};
                store_halves(t.units + c / HALVES * t.unit_stride + v * VL, value);
            }
        }
        return;
    }
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            store(t.sums + c * t.stride + v * VL, sum[c][v]);
        }
    }
}

/* A block of a product's terms at the run of positions from `at` on. */
typedef struct {
    const uint32_t *const *term; /* position `at` of the output is read at `read` */
    int64_t first, terms, at, read, weights_of_term, ahead;
#if WIDENS
    float wide[WIDE_TERMS * 6 * VL] __attribute__((aligned(4 * VL)));
    const uint32_t *wide_term[WIDE_TERMS * 2];
#endif
} term_run;

/* One tile of channels, from c on, at place i of the run: its sums go to `sums`, or to p's units. */
INLINE void multiply_vectors(const int vectors, const int ahead, const product *p,
                             const term_run *b, int64_t c, int64_t i, const float *bias,
                             float *sums, bool to_units)
{
    const tile t = {
        .term = b->term,
        .terms = b->terms,
        .f = b->read + i,
        .ahead = b->ahead,
        .weight = p->weight + (c * p->terms + b->first * TILE) * b->weights_of_term,
        .bias = bias,
        .sums = sums,
        .stride = RUN,
        .units = to_units ? p->out + c / HALVES * p->stride + b->at + i : NULL,
        .unit_stride = p->stride,
    };
    multiply_tile(vectors, DOT, ahead, t);
}

static void multiply_whole(const product *p, const term_run *b, int64_t c, int64_t i,
                           const float *bias, float *sums, bool to_units)
{
    multiply_vectors(VECTORS, 0, p, b, c, i, bias, sums, to_units);
}

static void multiply_whole_ahead(const product *p, const term_run *b, int64_t c, int64_t i,
                                 const float *bias, float *sums, bool to_units)
{
    multiply_vectors(VECTORS, 1, p, b, c, i, bias, sums, to_units);
}

static void multiply_1(const product *p, const term_run *b, int64_t c, int64_t i, const float *bias,
                       float *sums, bool to_units)
{
    multiply_vectors(1, 0, p, b, c, i, bias, sums, to_units);
}

/* Terms of plain floats, from 0 (winograd_template.h). */
INLINE tile tile_of_floats(const uint32_t *const *term, int64_t terms, int64_t f,
                           const float *weight, float *sums, int64_t stride)
{
    static const float zero[TILE];
    return (tile){.term = term,
                  .terms = terms,
                  .f = f,
                  .ahead = VECTORS * VL,
                  .weight = weight,
                  .bias = zero,
                  .sums = sums,
                  .stride = stride};
}

static void multiply_floats_whole(const uint32_t *const *term, int64_t terms, int64_t f,
                                  const float *weight, float *out, int64_t stride)
{
    multiply_tile(VECTORS, 0, 1, tile_of_floats(term, terms, f, weight, out, stride));
}

static void multiply_floats_1(const uint32_t *const *term, int64_t terms, int64_t f,
                              const float *weight, float *out, int64_t stride)
{
    multiply_tile(1, 0, 0, tile_of_floats(term, terms, f, weight, out, stride));
}

/* The sums of the tile of channels from c on, of which some may be missing, into or onto p's
 * units. */
static void store_sums(const product *p, int64_t c, int64_t f, int vectors, const float *sums)
{
    for (int64_t i = 0; i < TILE && c + i < p->channels; i += HALVES)
        for (int v = 0; v < vectors; v++) {
            uint32_t *to = p->out + (c + i) / HALVES * p->stride + f + v * VL;
            vf value[HALVES];
            for (int h = 0; h < HALVES; h++) {
                value[h] = (vf){0};
                if (c + i + h < p->channels)
                    value[h] = load(sums + (i + h) * RUN + v * VL);
                if (p->add)
                    value[h] += load_half(to, h);
            }
            store_halves(to, value);
        }
}

#if WIDENS
/* Widens the block's terms at `count` positions (one tile at most) into `wide`: each becomes two,
 * of its low and its high channels. */
static void widen(const product *p, term_run *b, int64_t count)
{
    float *to = b->wide;
    for (int64_t t = b->first; t < b->first + b->terms; t++) {
        const uint32_t *in = p->term[t] + b->at;
        prefetch_run(in + 3 * VL + 16, 3 * VL);
        for (int64_t i = 0; i < count; i += VL) {
            store(to + i, load_half(in + i, 0));
            store(to + 3 * VL + i, load_half(in + i, 1));
        }
        to += 6 * VL;
    }
    b->term = b->wide_term;
    b->terms *= 2;
    b->read = 0;
}
#endif

/* A tile of channels, from c on, at a run's positions, tile by tile. first and last say of the
 * block of terms whether it is so. */
static void multiply_run(const product *p, const term_run *b, int64_t c, int64_t count, bool first,
                         bool last, float *sums)
{
    const bool to_units = last && !p->add && c + TILE <= p->channels;
    float bias[TILE] = {0};
    for (int64_t i = c; first && p->bias && i < c + TILE && i < p->channels; i++)
        bias[i - c] = p->bias[i];
    for (int64_t i = 0; i < count;) {
        const int vectors = count - i >= VECTORS * VL ? VECTORS : 1;
        (vectors == 1 ? multiply_1
         : c == 0     ? multiply_whole_ahead
                      : multiply_whole)(p, b, c, i, first ? bias : NULL, sums + i, to_units);
        if (last && !to_units)
            store_sums(p, c, b->at + i, vectors, sums + i);
        i += vectors * VL;
    }
}

/* All channels at `count` positions from b->at on, `block` terms at a time, whose sums are kept in
 * `sums` between blocks. */
static void multiply_at(const product *p, term_run *b, int64_t count, int64_t block)
{
    float sums[CHANNEL_GROUP * RUN] __attribute__((aligned(4 * VL)));
    for (int64_t t = 0; t < p->terms; t += block) {
        const bool last = p->terms - t <= block;
        b->first = t;
        b->term = p->term + t;
        b->terms = last ? p->terms - t : block;
        b->read = b->at;
#if WIDENS
        if (!p->floats)
            widen(p, b, count);
#endif
        for (int64_t c = 0; c < p->channels; c += TILE)
            multiply_run(p, b, c, count, t == 0, last, sums + c * RUN);
    }
}

/* What a block of terms reads at a run, and a block's weights of a tile of channels, stay in the
 * first-level cache: the one while all channels pass over it, the others while the run's tiles do.
 * One tile of channels reads nothing twice. */
static void multiply(const product *p, int64_t from, int64_t to)
{
    term_run b;
    int64_t block = p->term_block, run = RUN;
    if (p->channels <= TILE) {
        block = p->terms;
        run = VECTORS * VL;
    }
    b.weights_of_term = p->floats ? 1 : WEIGHTS_OF_TERM;
#if WIDENS
    for (int i = 0; i < 2 * WIDE_TERMS; i++)
        b.wide_term[i] = (const uint32_t *)b.wide + i * 3 * VL;
    if (!p->floats) {
        block = WIDE_TERMS;
        run = 3 * VL;
    }
#endif
    b.ahead = run + 16;
    for (b.at = from; b.at < to; b.at += run) {
        const int64_t count = to - b.at < run ? to - b.at : run;
        for (int64_t i = 0; i < p->aheads; i++)
            for (int64_t k = 0; k < count; k += 16)
                __builtin_prefetch(p->ahead[i] + b.at + k, 0, 2); /* into the second-level cache */
        multiply_at(p, &b, count, block);
    }
}

/* ---- correlate ------------------------------------------------------------------------- */

/* Element i of a vector that takes the first (of each pair, half == 0) or the second groups of g
 * elements out of two vectors laid end to end. */
#define PICK(i, g, half) (((i) / (g)) * 2 * (g) + (i) % (g) + (half) * (g))
#define PICK_4(i, g, h)  PICK(i, g, h), PICK(i + 1, g, h), PICK(i + 2, g, h), PICK(i + 3, g, h)
#if VL == 16
#define PICKS(g, h) PICK_4(0, g, h), PICK_4(4, g, h), PICK_4(8, g, h), PICK_4(12, g, h)
#elif VL == 8
#define PICKS(g, h) PICK_4(0, g, h), PICK_4(4, g, h)
#else
#define PICKS(g, h) PICK_4(0, g, h)
#endif
/* Adds the two halves of each group of 2g elements of a, then those of b. */
#define FOLD(a, b, g)                                                                              \
    (__builtin_shufflevector(a, b, PICKS(g, 0)) + __builtin_shufflevector(a, b, PICKS(g, 1)))

typedef float vt __attribute__((vector_size(4 * TILE), aligned(4), may_alias));

/* dw[c] += sum of the elements of sum[c], by a tree: VL/TILE elements are left of each after
 * log2(TILE) folds of pairs, then those are folded. */
INLINE void add_sums(const vf *sum, float *dw)
{
#if VL == 16 && TILE == 8
    const vf a = FOLD(FOLD(sum[0], sum[1], 8), FOLD(sum[2], sum[3], 8), 4);
    const vf b = FOLD(FOLD(sum[4], sum[5], 8), FOLD(sum[6], sum[7], 8), 4);
    const vf pairs = FOLD(a, b, 2), all = FOLD(pairs, pairs, 1);
    *(vt *)dw += __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7);
#elif VL == 8 && TILE == 4
    const vf pairs = FOLD(FOLD(sum[0], sum[1], 4), FOLD(sum[2], sum[3], 4), 2);
    const vf all = FOLD(pairs, pairs, 1);
    *(vt *)dw += __builtin_shufflevector(all, all, 0, 1, 2, 3);
#elif VL == 4
    UNROLL for (int c = 0; c < TILE; c += VL)
    {
        const vf low = FOLD(sum[c], sum[c + 1], 2), high = FOLD(sum[c + 2], sum[c + 3], 2);
        *(vf_unaligned *)(dw + c) += FOLD(low, high, 1);
    }
#endif
}

/* `terms` (1 or 3, constant where inlined) terms against TILE channels, `bytes` bytes of each;
 * the offset runs in bytes. What a later call reads, at `next`, is prefetched on the way: the
 * next call's terms, of which 3 are taps of one row and so mostly the same lines, or what the
 * task splits into channels next. */
INLINE void correlate_tile(const int terms, const char *const *a, const char *const *term,
                           const char *next, int64_t bytes, float *dw, int64_t dw_stride)
{
    vf sum[3][TILE];
    UNROLL for (int t = 0; t < terms; t++)
    {
        UNROLL for (int c = 0; c < TILE; c++)
        {
            sum[t][c] = (vf){0};
        }
    }
    for (int64_t f = 0; f < bytes; f += 4 * VL) {
        vf x[3];
        UNROLL for (int t = 0; t < terms; t++)
        {
            x[t] = load(term[t] + f);
        }
        __builtin_prefetch(next + f);
        UNROLL for (int c = 0; c < TILE; c++)
        {
            vf y = load(a[c] + f);
            IN_REGISTER(y);
            UNROLL for (int t = 0; t < terms; t++)
            {
#if DOT
                sum[t][c] = _mm512_dpbf16_ps(sum[t][c], (__m512bh)x[t], (__m512bh)y);
#else
                sum[t][c] += x[t] * y;
#endif
            }
        }
    }
    UNROLL for (int t = 0; t < terms; t++)
    {
        add_sums(sum[t], dw + t * dw_stride);
    }
}

/* dw has room for whole tiles: dw_stride is a multiple of TILE. A part-filled tile repeats the last
 * channel. */
static void correlate(const correlation *k, int64_t count)
{
    const int64_t bytes = count * (DOT ? 2 : 4);
    for (int64_t c = 0; c < k->channels; c += TILE) {
        const char *a[TILE];
        for (int i = 0; i < TILE; i++)
            a[i] = k->a[c + i < k->channels ? c + i : k->channels - 1];
        const char *const *term = (const char *const *)k->term;
        float *dw = k->dw + c;
        int64_t t = 0;
        for (; t + 3 <= k->terms; t += 3) {
            const bool ahead = c == 0 && t / 3 < k->aheads;
            correlate_tile(3, a, term + t,
                           ahead ? k->ahead[t / 3] : term[t + 3 < k->terms ? t + 3 : 0], bytes,
                           dw + t * k->dw_stride, k->dw_stride);
        }
        for (; t < k->terms; t++)
            correlate_tile(1, a, term + t, term[t], bytes, dw + t * k->dw_stride, k->dw_stride);
    }
}

#if HALVES == 2
/* Every second of 64 16-bit halves, from the first or the second on. */
#define WORDS_8(i)    i, (i) + 2, (i) + 4, (i) + 6, (i) + 8, (i) + 10, (i) + 12, (i) + 14
#define HALF_WORDS(h) WORDS_8(h), WORDS_8(16 + (h)), WORDS_8(32 + (h)), WORDS_8(48 + (h))

/* Each channel's values by themselves: floats, or for DOT bf16, so that a lane holds neighbouring
 * voxels of one channel. */
static void split_channels(const uint32_t *unit, int64_t count, void *low, void *high)
{
    for (int64_t f = 0; f < count; f += 2 * VL) {
#if DOT
        const vu first = *(const vu_unaligned *)(unit + f);
        const vu second = *(const vu_unaligned *)(unit + f + VL);
        const vh l = __builtin_shufflevector((vh)first, (vh)second, HALF_WORDS(0));
        const vh h = __builtin_shufflevector((vh)first, (vh)second, HALF_WORDS(1));
        *(vu_unaligned *)((uint16_t *)low + f) = (vu)l;
        *(vu_unaligned *)((uint16_t *)high + f) = (vu)h;
#else
        UNROLL for (int64_t i = f; i < f + 2 * VL; i += VL)
        {
            const vf first = load_half(unit + i, 0), second = load_half(unit + i, 1);
            *(vf_unaligned *)((float *)low + i) = first;
            *(vf_unaligned *)((float *)high + i) = second;
        }
#endif
    }
}
#endif

#include "engine/norm_template.h"

#include "engine/head_template.h"

#include "engine/softmax_template.h"

#include "engine/winograd_template.h"

#include "engine/phase_template.h"

const kernels NAME = {
    .tile = TILE,
    .weights_of_term = WEIGHTS_OF_TERM,
    .plane_bytes = DOT ? 2 : 4,
    .dot = DOT,
    .multiply = multiply,
    .correlate = correlate,
#if HALVES == 2
    .split_channels = split_channels,
#endif
    .moments = moments,
    .sum = sum_range,
    .norm_forward = norm_forward_range,
    .norm_sums = norm_sums_range,
    .norm_backward = norm_backward_range,
    .winograd_weights = winograd_weights,
    .winograd_input = winograd_input,
    .winograd_multiply = winograd_multiply,
    .winograd_output = winograd_output,
    .phases_split = phases_split,
    .phases_merge = phases_merge,
    PANEL_KERNELS,
    .head_forward = head_forward_plane,
    .head_data = head_data_plane,
    .head_weight = head_weight_plane,
    .softmax_probabilities = softmax_probabilities_range,
    .softmax_gradient = softmax_gradient_range,
};
