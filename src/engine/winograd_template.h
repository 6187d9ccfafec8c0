/* Winograd's F(2x2x2, 3x3x3) (Winograd 1980; Lavin, Gray 2016), once per target: 64 multiplications
 * for 8 outputs instead of 216. Included by kernel_template.h.
 *
 * A tile is a block of 4x4x4 inputs that gives 2x2x2 outputs; tiles overlap by 2. A vector's lanes
 * are neighbouring tiles of a row. Of an axis, inputs d0..d3 become
 *     d0 - d2, d1 + d2, d2 - d1, d1 - d3                                   (winograd_input)
 * which are multiplied by transformed weights and summed over input channels as in multiply_tile
 * (TILE channels x VECTORS vectors), and sums m0..m3 become outputs
 *     m0 + m1 + m2, m1 - m2 - m3                                           (winograd_output)
 * so that d3 reaches the second output alone: beyond an odd extent it may hold anything. */

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

typedef double vd __attribute__((vector_size(8 * TILE)));

/* Three weights along an axis to four; `from` and `to` apart. */
INLINE void transform_weights(const vd *w, const int from, vd *out, const int to)
{
    const vd ends = (w[0] + w[2 * from]) / 2, middle = w[from] / 2;
    out[0] = w[0];
    out[to] = ends + middle;
    out[2 * to] = ends - middle;
    out[3 * to] = w[2 * from];
}

static void winograd_weights(const float *weight, int64_t channel_apart, int64_t channels,
                             bool flipped, float *packed, int64_t apart)
{
    vd w[27] = {{0}}, x[36], y[48], z[64];
    for (int64_t c = 0; c < channels; c++)
        for (int k = 0; k < 27; k++)
            w[k][c] = (double)weight[c * channel_apart + (flipped ? 26 - k : k)];
    for (int i = 0; i < 9; i++)
        transform_weights(w + i * 3, 1, x + i * 4, 1);
    for (int i = 0; i < 12; i++)
        transform_weights(x + i / 4 * 12 + i % 4, 4, y + i / 4 * 16 + i % 4, 4);
    for (int k = 0; k < 16; k++)
        transform_weights(y + k, 16, z + k, 16);
    for (int k = 0; k < 64; k++)
        *(vt *)(packed + k * apart) = __builtin_convertvector(z[k], vt);
}

/* v[i * apart], i = 0..3, along an axis. */
INLINE void transform_inputs(vf *v, const int apart)
{
    const vf d0 = v[0], d1 = v[apart], d2 = v[2 * apart], d3 = v[3 * apart];
    v[0] = d0 - d2;
    v[apart] = d1 + d2;
    v[2 * apart] = d2 - d1;
    v[3 * apart] = d1 - d3;
}

/* A row of inputs, from the position of the tiles' second input, transformed along x. */
INLINE void transform_row(const uint32_t *p, int half, vf out[4])
{
    const vf a = load_half(p - 1, half), b = load_half(p + VL - 1, half);
    const vf c = load_half(p + 1, half), d = load_half(p + VL + 1, half);
    out[0] = __builtin_shufflevector(a, b, EVENS(0));
    out[1] = __builtin_shufflevector(a, b, EVENS(1));
    out[2] = __builtin_shufflevector(c, d, EVENS(0));
    out[3] = __builtin_shufflevector(c, d, EVENS(1));
    transform_inputs(out, 1);
}

/* VL tiles of one channel; component k = 16 kz + 4 ky + kx goes to v + k * stride. */
INLINE void transform_tiles(const uint32_t *const row[4][4], int64_t x, int half, float *v,
                            int64_t stride)
{
    vf along_x[4][16]; /* [kx][4 z + y] */
    UNROLL for (int r = 0; r < 16; r++)
    {
        vf out[4];
        transform_row(row[r / 4][r % 4] + 2 * x, half, out);
        UNROLL for (int k = 0; k < 4; k++)
        {
            along_x[k][r] = out[k];
        }
    }
    for (int kx = 0; kx < 4; kx++) {
        vf t[16];
        UNROLL for (int i = 0; i < 16; i++)
        {
            t[i] = along_x[kx][i];
        }
        UNROLL for (int i = 0; i < 4; i++)
        {
            transform_inputs(t + 4 * i, 1);
        }
        UNROLL for (int i = 0; i < 4; i++)
        {
            transform_inputs(t + i, 4);
        }
        UNROLL for (int i = 0; i < 16; i++)
        {
            *(vf_unaligned *)(v + (i * 4 + kx) * stride) = t[i];
        }
    }
}

static void winograd_input(const uint32_t *const row[4][4], int64_t x, int64_t tiles, float *v,
                           int64_t stride, int64_t half_apart, int halves)
{
    for (int h = 0; h < halves; h++)
        for (int64_t i = 0; i < tiles; i += VL)
            transform_tiles(row, x + i, h, v + h * half_apart + i, stride);
}

static void winograd_multiply(const uint32_t *const *term, int64_t terms, const float *weight,
                              float *out, int64_t lanes, int64_t stride)
{
    int64_t f = 0;
    for (; f + VECTORS * VL <= lanes; f += VECTORS * VL)
        multiply_floats_whole(term, terms, f, weight, out + f, stride);
    for (; f < lanes; f += VL)
        multiply_floats_1(term, terms, f, weight, out + f, stride);
}

/* Sums m[i * apart], i = 0..3, to two outputs. */
INLINE void transform_sums(const vf *m, const int apart, vf *first, vf *second)
{
    *first = m[0] + m[apart] + m[2 * apart];
    *second = m[apart] - m[2 * apart] - m[3 * apart];
}

/* VL tiles of one channel: out[4 pz + 2 py + px]. */
INLINE void outputs_of_tiles(const float *m, int64_t stride, vf out[8])
{
    vf along_zy[4][4]; /* [2 pz + py][kx] */
    UNROLL for (int kx = 0; kx < 4; kx++)
    {
        vf t[16], z[8];
        UNROLL for (int i = 0; i < 16; i++)
        {
            t[i] = load(m + (i * 4 + kx) * stride);
        }
        UNROLL for (int y = 0; y < 4; y++)
        {
            transform_sums(t + y, 4, &z[y], &z[4 + y]);
        }
        transform_sums(z, 1, &along_zy[0][kx], &along_zy[1][kx]);
        transform_sums(z + 4, 1, &along_zy[2][kx], &along_zy[3][kx]);
    }
    UNROLL for (int r = 0; r < 4; r++)
    {
        transform_sums(along_zy[r], 1, &out[2 * r], &out[2 * r + 1]);
    }
}

/* count values (at most VL) to a row; moments of them, as distances from the bias. */
INLINE void finish_outputs(const winograd_outputs *o, const vf *value, uint32_t *to, int64_t count,
                           vf *sum, vf *squares)
{
    const vf keep = load(keep_first + 16 - (count < VL ? count : VL));
    vf biased[HALVES];
    UNROLL for (int h = 0; h < HALVES; h++)
    {
        const vf kept = count < VL ? choose(keep, value[h], splat(0)) : value[h];
        sum[h] += kept;
        squares[h] += kept * kept;
        biased[h] = value[h] + (o->add ? load_half(to, h) : splat(o->bias[h]));
    }
    if (count >= VL) {
        store_halves(to, biased);
        return;
    }
    uint32_t part[VL] __attribute__((aligned(4 * VL)));
    store_halves(part, biased);
    for (int64_t i = 0; i < count; i++)
        to[i] = part[i];
}

static void winograd_output(const winograd_outputs *o, const float *m, int64_t stride,
                            int64_t half_apart, int64_t tiles, double sum[2], double squares[2])
{
    vf sums[HALVES] = {{0}}, all[HALVES] = {{0}};
    for (int64_t i = 0; i < tiles; i += VL) {
        vf out[HALVES][8];
        for (int h = 0; h < HALVES; h++)
            outputs_of_tiles(m + h * half_apart + i, stride, out[h]);
        const int64_t x = 2 * (o->x + i), left = o->w - x;
        const int64_t voxels = left < 2 * (tiles - i) ? left : 2 * (tiles - i);
        for (int r = 0; r < 4; r++) {
            if (!o->row[r])
                continue;
            vf low[HALVES], high[HALVES];
            UNROLL for (int h = 0; h < HALVES; h++)
            {
                const vf even = out[h][2 * r], odd = out[h][2 * r + 1];
                low[h] = __builtin_shufflevector(even, odd, MIX(0));
                high[h] = __builtin_shufflevector(even, odd, MIX(VL / 2));
            }
            finish_outputs(o, low, o->row[r] + x, voxels, sums, all);
            if (voxels > VL)
                finish_outputs(o, high, o->row[r] + x + VL, voxels - VL, sums, all);
        }
    }
    for (int h = 0; h < HALVES; h++) {
        sum[h] += total(sums[h]);
        squares[h] += total(all[h]);
    }
}
