/* The kernels, once per target: the including file sets VL (32-bit elements in a vector), TILE
 * (output channels in the register tile) and NAME (the table's name).
 *
 * The register tile is TILE channels x 3 vectors of neighbouring voxels. A step of multiply loads
 * 3 input vectors and, for each channel, one weight into all lanes, used 3 times:
 *     AVX-512: 8 x 3 = 24 sums + 3 inputs + 1 weight = 28 of 32 registers; 24 multiply-adds for 11
 *              loads, 12 cycles where two units multiply and two load (an unaligned vector crosses
 *              a cache line and counts twice: 14 half-cycles of loads);
 *     AVX2:    4 x 3 = 12 + 3 + 1 = 16 of 16.
 * correlate has the same tile with terms in place of voxels: TILE channels x 3 terms. */
#include "engine/kernels.h"

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef float vf_unaligned __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef float vf_aligned __attribute__((vector_size(4 * VL), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE vf splat(float value)
{
    return value - (vf){0};
}

INLINE vf load(const uint32_t *p)
{
    return *(const vf_unaligned *)p;
}

INLINE void store(uint32_t *p, vf value)
{
    *(vf_aligned *)p = value;
}

/* Keeps a compiler from loading a value anew for each of its uses as an instruction's operand:
 * loads are what a tile is short of. */
#if VL == 16
#define IN_REGISTER(value) __asm__("" : "+v"(value))
#elif defined(__x86_64__)
#define IN_REGISTER(value) __asm__("" : "+x"(value))
#else
#define IN_REGISTER(value) __asm__("" : "+w"(value))
#endif

/* ---- multiply -------------------------------------------------------------------------- */

enum start { FROM_BIAS, FROM_OUT };

/* `vectors` (1..3, constant where inlined) vectors of TILE channels over `terms` terms. */
INLINE void multiply_tile(const int vectors, enum start start, const float *bias,
                          const uint32_t *const *term, int64_t terms, int64_t f,
                          const float *weight, uint32_t *out, int64_t stride)
{
    vf sum[TILE][3];
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            sum[c][v] = start == FROM_BIAS ? splat(bias[c]) : load(out + c * stride + v * VL);
        }
    }
    for (int64_t t = 0; t < terms; t++, weight += TILE) {
        const uint32_t *in = term[t] + f;
        vf x[3];
        UNROLL for (int v = 0; v < vectors; v++)
        {
            x[v] = load(in + v * VL);
        }
        UNROLL for (int c = 0; c < TILE; c++)
        {
            const vf w = splat(weight[c]);
            UNROLL for (int v = 0; v < vectors; v++)
            {
                sum[c][v] += x[v] * w;
            }
        }
    }
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            store(out + c * stride + v * VL, sum[c][v]);
        }
    }
}

static void multiply_3(enum start start, const float *bias, const uint32_t *const *term,
                       int64_t terms, int64_t f, const float *weight, uint32_t *out, int64_t stride)
{
    multiply_tile(3, start, bias, term, terms, f, weight, out, stride);
}

static void multiply_1(enum start start, const float *bias, const uint32_t *const *term,
                       int64_t terms, int64_t f, const float *weight, uint32_t *out, int64_t stride)
{
    multiply_tile(1, start, bias, term, terms, f, weight, out, stride);
}

/* All channels at positions [f, f + vectors * VL). The last tile of channels may be part-filled:
 * it works in `spare`. */
static void multiply_at(const product *p, int64_t f, int vectors)
{
    uint32_t spare[TILE * 3 * VL] __attribute__((aligned(4 * VL)));
    for (int64_t t = 0; t < p->terms; t += p->term_block) {
        const int64_t block = p->terms - t < p->term_block ? p->terms - t : p->term_block;
        for (int64_t c = 0; c < p->channels; c += TILE) {
            const int64_t left = p->channels - c;
            float bias[TILE] = {0};
            for (int i = 0; p->bias && t == 0 && i < TILE && i < left; i++)
                bias[i] = p->bias[c + i];
            uint32_t *out = p->out + c * p->stride + f;
            int64_t stride = p->stride;
            if (left < TILE) {
                for (int i = 0; i < left; i++)
                    memcpy(spare + i * 3 * VL, out + i * stride, (size_t)vectors * VL * 4);
                out = spare;
                stride = 3 * VL;
            }
            (vectors == 3 ? multiply_3 : multiply_1)(
                t == 0 && !p->add ? FROM_BIAS : FROM_OUT, bias, p->term + t, block, f,
                p->weight + (c * p->terms + t * TILE), out, stride);
            for (int i = 0; left < TILE && i < left; i++)
                memcpy(p->out + (c + i) * p->stride + f, spare + i * 3 * VL,
                       (size_t)vectors * VL * 4);
        }
    }
}

static void multiply(const product *p, int64_t from, int64_t to)
{
    int64_t f = from;
    for (; f + 3 * VL <= to; f += 3 * VL)
        multiply_at(p, f, 3);
    for (; f < to; f += VL)
        multiply_at(p, f, 1);
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
#elif VL == 4 && TILE == 4
    *(vt *)dw += FOLD(FOLD(sum[0], sum[1], 2), FOLD(sum[2], sum[3], 2), 1);
#endif
}

/* `terms` (1..3, constant where inlined) terms against TILE channels. */
INLINE void correlate_tile(const int terms, const uint32_t *const *a, const uint32_t *const *term,
                           int64_t from, int64_t to, float *dw, int64_t dw_stride)
{
    vf sum[3][TILE];
    UNROLL for (int t = 0; t < terms; t++)
    {
        UNROLL for (int c = 0; c < TILE; c++)
        {
            sum[t][c] = (vf){0};
        }
    }
    for (int64_t f = from; f < to; f += VL) {
        vf x[3];
        UNROLL for (int t = 0; t < terms; t++)
        {
            x[t] = load(term[t] + f);
        }
        UNROLL for (int c = 0; c < TILE; c++)
        {
            vf y = load(a[c] + f);
            IN_REGISTER(y);
            UNROLL for (int t = 0; t < terms; t++)
            {
                sum[t][c] += x[t] * y;
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
static void correlate(const correlation *k, int64_t from, int64_t to)
{
    for (int64_t c = 0; c < k->channels; c += TILE) {
        const uint32_t *a[TILE];
        for (int i = 0; i < TILE; i++)
            a[i] = k->a[c + i < k->channels ? c + i : k->channels - 1];
        int64_t t = 0;
        for (; t + 3 <= k->terms; t += 3)
            correlate_tile(3, a, k->term + t, from, to, k->dw + t * k->dw_stride + c, k->dw_stride);
        for (; t < k->terms; t++)
            correlate_tile(1, a, k->term + t, from, to, k->dw + t * k->dw_stride + c, k->dw_stride);
    }
}

/* ---- sums and norm --------------------------------------------------------------------- */

INLINE double total(vf sum)
{
#if VL == 16
    sum = FOLD(sum, sum, 8);
#endif
#if VL >= 8
    sum = FOLD(sum, sum, 4);
#endif
    sum = FOLD(sum, sum, 2);
    sum = FOLD(sum, sum, 1);
    return (double)sum[0];
}

/* Sums run in several vectors, because one addition waits 4 cycles for the one before. */
static void sum_range(const uint32_t *unit, int64_t from, int64_t to, double sum[2])
{
    vf part[4] = {{0}};
    for (int64_t f = from; f < to; f += 16) {
        UNROLL for (int i = 0; i < 16; i += VL)
        {
            part[i / VL & 3] += load(unit + f + i);
        }
    }
    sum[0] = total((part[0] + part[1]) + (part[2] + part[3]));
}

/* VL elements from 16 - n on keep the first n of a vector (n < 16). */
static const float keep_first[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Row by row, sums of the distances from the first voxel and of their squares. */
static void moments(const tensor *t, const uint32_t *unit, int64_t from, int64_t to, int64_t voxels,
                    double sum[2], double squares[2])
{
    const int64_t first_row = from / t->row;
    int64_t y = first_row % (t->h + 1), row = first_row * t->row;
    int64_t voxel = from; /* the first */
    if (y == t->h || from - row >= t->w)
        voxel = row + t->row * (y == t->h - 1 ? 2 : 1);
    const float start = unit_get(unit, t->dtype, 0, voxel);
    const vf middle = splat(start);
    vf sums[2] = {{0}}, all[2] = {{0}};
    for (; row < to && row < t->d * t->plane; row += t->row) {
        const int64_t end = row + t->w < to ? row + t->w : to;
        int64_t f = row < from ? from : row;
        const bool pads = y == t->h;
        y = pads ? 0 : y + 1;
        if (pads)
            continue;
        for (; f + 2 * VL <= end; f += 2 * VL) {
            UNROLL for (int i = 0; i < 2; i++)
            {
                const vf distance = load(unit + f + i * VL) - middle;
                sums[i] += distance;
                all[i] += distance * distance;
            }
        }
        for (; f < end; f += VL) {
            vf distance = load(unit + f) - middle;
            if (end - f < VL)
                distance *= *(const vf_unaligned *)(keep_first + 16 - (end - f));
            sums[0] += distance;
            all[0] += distance * distance;
        }
    }
    const double distances = total(sums[0] + sums[1]), count = (double)voxels;
    sum[0] = distances + count * (double)start;
    squares[0] = total(all[0] + all[1]) - distances * distances / count;
}

/* yes where value > 0, else no. */
INLINE vf choose(vf value, vf yes, vf no)
{
    const vi positive = value > 0;
    return (vf)((positive & (vi)yes) | (~positive & (vi)no));
}

static void norm_forward_range(const norm_channel *n, const uint32_t *y, uint32_t *a, int64_t from,
                               int64_t to)
{
    const vf mean = splat(n->mean[0]), scale = splat(n->gamma[0] * n->rstd[0]);
    const vf beta = splat(n->beta[0]);
    for (int64_t f = from; f < to; f += VL) {
        const vf value = (load(y + f) - mean) * scale + beta;
        store(a + f, choose(value, value, value * LEAKY_SLOPE));
    }
}

static void norm_sums_range(const norm_channel *n, const uint32_t *y, const uint32_t *da,
                            int64_t from, int64_t to, double g[2], double gx[2])
{
    const vf mean = splat(n->mean[0]), rstd = splat(n->rstd[0]), beta = splat(n->beta[0]);
    const vf scale = splat(n->gamma[0] * n->rstd[0]);
    vf g_all = {0}, gx_all = {0};
    for (int64_t f = from; f < to; f += VL) {
        const vf centred = load(y + f) - mean, gradient = load(da + f);
        const vf at_norm = choose(centred * scale + beta, gradient, gradient * LEAKY_SLOPE);
        g_all += at_norm;
        gx_all += at_norm * (centred * rstd);
    }
    g[0] += total(g_all);
    gx[0] += total(gx_all);
}

static void norm_backward_range(const norm_channel *n, const uint32_t *y, const uint32_t *da,
                                uint32_t *dy, int64_t from, int64_t to)
{
    const vf mean = splat(n->mean[0]), rstd = splat(n->rstd[0]), beta = splat(n->beta[0]);
    const vf scale = splat(n->gamma[0] * n->rstd[0]);
    const vf g_mean = splat(n->g_mean[0]), gx_mean = splat(n->gx_mean[0]);
    for (int64_t f = from; f < to; f += VL) {
        const vf centred = load(y + f) - mean, gradient = load(da + f);
        const vf at_norm = choose(centred * scale + beta, gradient, gradient * LEAKY_SLOPE);
        store(dy + f, scale * (at_norm - g_mean - centred * rstd * gx_mean));
    }
}

/* ---- rows of plain floats -------------------------------------------------------------- */

INLINE vf load_first(const float *p, int64_t count)
{
    float part[VL] __attribute__((aligned(4 * VL))) = {0};
    memcpy(part, p, (size_t)count * sizeof *part);
    return *(const vf_aligned *)part;
}

INLINE vf load_plain(const float *p, int64_t count)
{
    if (count >= VL)
        return *(const vf_unaligned *)p;
    return load_first(p, count);
}

INLINE void store_plain(float *p, vf value, int64_t count)
{
    if (count >= VL)
        *(vf_unaligned *)p = value;
    else
        memcpy(p, &value, (size_t)count * sizeof *p);
}

static void head_forward_row(const head_row *h, const float *weight, const float *bias)
{
    for (int64_t k = 0; k < h->classes; k++, weight += h->channels)
        for (int64_t x = 0; x < h->w; x += VL) {
            vf sum = splat(bias[k]);
            for (int64_t c = 0; c < h->channels; c++)
                sum += load(h->unit[c] + x) * splat(weight[c]);
            store_plain(h->logits + k * h->stride + x, sum, h->w - x);
        }
}

static void head_data_row(const head_row *h, const float *weight, bool add)
{
    for (int64_t c = 0; c < h->channels; c++)
        for (int64_t x = 0; x < h->w; x += VL) {
            float *to = (float *)h->unit[c] + x;
            vf sum = add ? load_plain(to, h->w - x) : (vf){0};
            for (int64_t k = 0; k < h->classes; k++)
                sum += load_plain(h->logits + k * h->stride + x, h->w - x) *
                       splat(weight[k * h->channels + c]);
            store_plain(to, sum, h->w - x);
        }
}

static void head_weight_row(const head_row *h, double *dweight)
{
    for (int64_t k = 0; k < h->classes; k++, dweight += h->channels)
        for (int64_t c = 0; c < h->channels; c++) {
            vf sum = {0};
            for (int64_t x = 0; x < h->w; x += VL)
                sum += load(h->unit[c] + x) * load_plain(h->logits + k * h->stride + x, h->w - x);
            dweight[c] += total(sum);
        }
}

/* ---- even and odd ---------------------------------------------------------------------- */

#define EVEN_4(i, h) 2 * (i) + h, 2 * (i) + 2 + h, 2 * (i) + 4 + h, 2 * (i) + 6 + h
#define MIX_4(i, h)  (i) / 2 + h, (i) / 2 + VL + h, (i) / 2 + 1 + h, (i) / 2 + VL + 1 + h
#if VL == 16
#define EVENS(h) EVEN_4(0, h), EVEN_4(4, h), EVEN_4(8, h), EVEN_4(12, h)
#define MIX(h)   MIX_4(0, h), MIX_4(4, h), MIX_4(8, h), MIX_4(12, h)
#elif VL == 8
#define EVENS(h) EVEN_4(0, h), EVEN_4(4, h)
#define MIX(h)   MIX_4(0, h), MIX_4(4, h)
#else
#define EVENS(h) EVEN_4(0, h)
#define MIX(h)   MIX_4(0, h)
#endif

static void split_row(const uint32_t *in, uint32_t *even, uint32_t *odd, int64_t count)
{
    int64_t i = 0;
    for (; i + VL <= count; i += VL) {
        const vf a = load(in + 2 * i), b = load(in + 2 * i + VL);
        *(vf_unaligned *)(even + i) = __builtin_shufflevector(a, b, EVENS(0));
        *(vf_unaligned *)(odd + i) = __builtin_shufflevector(a, b, EVENS(1));
    }
    for (; i < count; i++) {
        even[i] = in[2 * i];
        odd[i] = in[2 * i + 1];
    }
}

static void merge_row(const uint32_t *even, const uint32_t *odd, uint32_t *out, int64_t count,
                      bool add)
{
    int64_t i = 0;
    for (; i + VL <= count; i += VL) {
        const vf a = load(even + i), b = load(odd + i);
        vf first = __builtin_shufflevector(a, b, MIX(0));
        vf second = __builtin_shufflevector(a, b, MIX(VL / 2));
        if (add) {
            first += load(out + 2 * i);
            second += load(out + 2 * i + VL);
        }
        *(vf_unaligned *)(out + 2 * i) = first;
        *(vf_unaligned *)(out + 2 * i + VL) = second;
    }
    for (; i < count; i++)
        for (int h = 0; h < 2; h++) {
            const uint32_t value = h ? odd[i] : even[i];
            float *to = (float *)out + 2 * i + h;
            *to = unit_get(&value, DTYPE_FP32, 0, 0) + (add ? *to : 0);
        }
}

const kernels NAME = {
    .tile = TILE,
    .multiply = multiply,
    .correlate = correlate,
    .moments = moments,
    .sum = sum_range,
    .norm_forward = norm_forward_range,
    .norm_sums = norm_sums_range,
    .norm_backward = norm_backward_range,
    .split_row = split_row,
    .merge_row = merge_row,
    .head_forward = head_forward_row,
    .head_data = head_data_row,
    .head_weight = head_weight_row,
};
