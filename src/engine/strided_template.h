/* Panels of strided layers (strided.c), once per target: filled from tensors, multiplied, and their
 * sums written to tensors. Included by phase_template.h. */

/* Elements at p as one row of a panel, or as one for each channel where bf16 is widened. */
INLINE void put_row(float *row, vf elements)
{
#if WIDENS
    const vu pair = (vu)elements;
    *(vf_unaligned *)row = (vf)(pair << 16);
    *(vf_unaligned *)(row + RUN_STRIDE) = (vf)(pair & TOP);
#else
    *(vf_unaligned *)row = elements;
#endif
}

#define PANEL_ROW (RUN_STRIDE * WEIGHTS_OF_TERM)

INLINE void fill_voxels(const uint32_t *unit, const voxel_run *r, const bool ahead, float *row)
{
    const int64_t next = r->ahead;
    for (const run_vector *v = r->vector, *end = v + r->vectors; v < end; v++) {
        const uint32_t *in = unit + v->in;
        if (ahead)
            prefetch_run(in + next, VL);
        put_row(row + v->at, load(in));
    }
}

/* A row of the even positions from `unit` on, and one of the odd ones. */
INLINE void fill_pairs(const uint32_t *unit, const voxel_run *r, float *row)
{
    const int64_t next = r->ahead;
    for (const run_vector *v = r->vector, *end = v + r->vectors; v < end; v++) {
        const uint32_t *in = unit + v->in;
        float *to = row + v->at;
        prefetch_run(in + next, 2 * VL);
        const vf a = load(in), b = load(in + VL);
        put_row(to, __builtin_shufflevector(a, b, EVENS(0)));
        put_row(to + PANEL_ROW, __builtin_shufflevector(a, b, EVENS(1)));
    }
}

/* The same behind a row of the odd positions before the even ones. */
INLINE void fill_triples(const uint32_t *unit, const voxel_run *r, const bool ahead, float *row)
{
    const int64_t next = r->ahead;
    for (const run_vector *v = r->vector, *end = v + r->vectors; v < end; v++) {
        const uint32_t *in = unit + v->in;
        float *to = row + v->at;
        if (ahead)
            prefetch_run(in + next, 2 * VL);
        const vf a = load(in), b = load(in + VL), c = load(in - 1), d = load(in + VL - 1);
        put_row(to, __builtin_shufflevector(c, d, EVENS(0)));
        put_row(to + PANEL_ROW, __builtin_shufflevector(a, b, EVENS(0)));
        put_row(to + 2 * PANEL_ROW, __builtin_shufflevector(a, b, EVENS(1)));
    }
}

static void panel_fill(panel_kind kind, const tensor *t, int64_t first, int64_t units,
                       const voxel_run *r, float *panel)
{
    const int64_t plane = t->plane, row = t->row;
    for (int64_t u = first; u < first + units; u++) {
        const uint32_t *unit = tensor_unit(t, 0, u);
        if (kind == PANEL_VOXELS)
            fill_voxels(unit, r, true, panel);
        for (int k = 0; kind == PANEL_BEHIND && k < 8; k++)
            fill_voxels(unit + (k >> 2) * plane + (k >> 1 & 1) * row + (k & 1), r, k == 7,
                        panel + k * PANEL_ROW);
        for (int k = 0; kind == PANEL_PHASES && k < 4; k++)
            fill_pairs(unit + (k >> 1) * plane + (k & 1) * row, r, panel + 2 * k * PANEL_ROW);
        for (int k = 0; kind == PANEL_TAPS && k < 9; k++) /* row -1 is prefetched as row 1 */
            fill_triples(unit + (k / 3 - 1) * plane + (k % 3 - 1) * row, r, k % 3 > 0,
                         panel + 3 * k * PANEL_ROW);
        panel += panel_rows_of(kind) * PANEL_ROW;
    }
}

/* ---- the product ----------------------------------------------------------------------- */

/* A tile of channels at `vectors` (constant where inlined) vectors from `at` on. */
INLINE void panel_tile(const int vectors, const panel_product *p, const float *weight,
                       const float *bias, float *sums, int64_t at)
{
    vf sum[TILE][VECTORS];
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            sum[c][v] = bias ? splat(bias[c]) : load(sums + c * RUN_STRIDE + at + v * VL);
        }
    }
    const float *panel = p->panel + at;
    for (int64_t i = 0; i < p->rows; i++, weight += TILE) {
        const float *in = panel + (p->row ? p->row[i] : i) * RUN_STRIDE;
        vf x[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++)
        {
            x[v] = load(in + v * VL);
        }
        multiply_step(vectors, DOT, x, weight, sum);
    }
    UNROLL for (int c = 0; c < TILE; c++)
    {
        UNROLL for (int v = 0; v < vectors; v++)
        {
            store(sums + c * RUN_STRIDE + at + v * VL, sum[c][v]);
        }
    }
}

static void panel_multiply(const panel_product *p)
{
    for (int64_t c = 0; c < p->channels; c += TILE) {
        const float *weight = p->weight + c / TILE * p->weight_apart;
        const float *bias = p->bias ? p->bias + c : NULL;
        float *sums = p->sums + c * RUN_STRIDE;
        for (int64_t at = 0; at < p->count; at += VECTORS * VL) {
            const int64_t left = p->count - at;
            if (VECTORS > 2 && left > 2 * VL)
                panel_tile(VECTORS, p, weight, bias, sums, at);
            else if (left > VL)
                panel_tile(2, p, weight, bias, sums, at);
            else
                panel_tile(1, p, weight, bias, sums, at);
        }
    }
}

/* ---- its sums -------------------------------------------------------------------------- */

/* Elements of the sums of HALVES channels, RUN_STRIDE apart; `halves`: that are there. */
INLINE vf elements_of(const float *sums, int64_t halves)
{
    vf value[HALVES];
    for (int h = 0; h < HALVES; h++)
        value[h] = h < halves ? load(sums + h * RUN_STRIDE) : (vf){0};
    uint32_t elements[VL] __attribute__((aligned(4 * VL)));
    store_halves(elements, value);
    return load(elements);
}

/* The first `count` of VL elements, no more of them than there are. */
INLINE void put_some(uint32_t *to, vf value, int64_t count, bool add)
{
    if (count >= VL) {
        put_elements(to, value, add);
        return;
    }
    uint32_t part[VL] __attribute__((aligned(4 * VL))) = {0};
    for (int64_t i = 0; add && i < count; i++)
        part[i] = to[i];
    put_elements(part, value, add);
    const uint32_t *from = part;
    if (VL > 8 && count & 8) {
        memcpy(to, from, 32);
        to += 8, from += 8;
    }
    if (VL > 4 && count & 4) {
        memcpy(to, from, 16);
        to += 4, from += 4;
    }
    for (int64_t i = 0; i < (count & 3); i++)
        to[i] = from[i];
}

/* Sums of HALVES channels plus what the first `count` elements at `to` hold. */
INLINE vf elements_onto(const float *sums, int64_t halves, const uint32_t *to, int64_t count)
{
    uint32_t part[VL] __attribute__((aligned(4 * VL))) = {0};
    for (int64_t i = 0; i < count && i < VL; i++)
        part[i] = to[i];
    vf value[HALVES];
    for (int h = 0; h < HALVES; h++)
        value[h] = (h < halves ? load(sums + h * RUN_STRIDE) : (vf){0}) + load_half(part, h);
    store_halves(part, value);
    return load(part);
}

static void panel_rows(const float *sums, int64_t channels, const voxel_run *r, const tensor *half,
                       int64_t first, bool add)
{
    for (int64_t c = 0; c < channels; c += HALVES) {
        uint32_t *unit = tensor_unit(half, 0, first + c / HALVES);
        for (const run_piece *p = r->piece; p < r->piece + r->pieces; p++)
            for (int64_t i = 0; i < p->count; i += VL) {
                const float *from = sums + c * RUN_STRIDE + p->at + i;
                uint32_t *to = unit + p->in_half + i;
                const int64_t left = p->count - i;
                put_some(to,
                         add ? elements_onto(from, channels - c, to, left)
                             : elements_of(from, channels - c),
                         left, false);
            }
    }
}

/* A piece of a row of `width` elements, of its even and odd ones. */
INLINE void merge_piece(const float *even, const float *odd, uint32_t *to, int64_t width,
                        int64_t ahead, bool add)
{
    for (int64_t i = 0; 2 * i < width; i += VL) {
        for (int k = 0; k < 2 * VL; k += 16)
            __builtin_prefetch(to + 2 * i + ahead + k);
        const vf a = elements_of(even + i, HALVES), b = elements_of(odd + i, HALVES);
        put_some(to + 2 * i, __builtin_shufflevector(a, b, MIX(0)), width - 2 * i, add);
        if (width - 2 * i > VL)
            put_some(to + 2 * i + VL, __builtin_shufflevector(a, b, MIX(VL / 2)),
                     width - 2 * i - VL, add);
    }
}

static void panel_phases(const float *sums, int64_t phase_apart, const voxel_run *r,
                         const tensor *whole, int64_t unit, int64_t ahead, bool add)
{
    uint32_t *to = tensor_unit(whole, 0, unit);
    for (const run_piece *p = r->piece; p < r->piece + r->pieces; p++) {
        const int64_t left = whole->w - 2 * p->x;
        const int64_t width = 2 * p->count < left ? 2 * p->count : left;
        for (int k = 0; k < 4; k++) {
            if (2 * p->z + k / 2 >= whole->d || 2 * p->y + k % 2 >= whole->h)
                continue;
            uint32_t *row = to + p->in_whole + k / 2 * whole->plane + k % 2 * whole->row;
            const float *even = sums + 2 * k * phase_apart + p->at;
            merge_piece(even, even + phase_apart, row, width, ahead, add);
            if (width == left)
                row[width] = 0;
        }
    }
}

/* Of the table in kernel_template.h. */
#define PANEL_KERNELS                                                                              \
    .lanes = VL, .panel_fill = panel_fill, .panel_multiply = panel_multiply,                       \
    .panel_rows = panel_rows, .panel_phases = panel_phases
