/* Sums over a unit's voxels, moments, instance norm with leaky ReLU and its gradient, once per
 * target. Included by kernel_template.h. */

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
    for (int h = 0; h < HALVES; h++) {
        vf part[4] = {{0}};
        for (int64_t f = from; f < to; f += 16) {
            UNROLL for (int i = 0; i < 16; i += VL)
            {
                part[i / VL & 3] += load_half(unit + f + i, h);
            }
        }
        sum[h] = total((part[0] + part[1]) + (part[2] + part[3]));
    }
}

/* yes where value > 0, else no. */
INLINE vf choose(vf value, vf yes, vf no)
{
    const vi positive = value > 0;
    return (vf)((positive & (vi)yes) | (~positive & (vi)no));
}

/* VL elements from 16 - n on keep the first n of a vector (n < 16). */
static const float keep_first[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* sums[h] += distance from middle[h], all[h] += its square, for each channel h of the unit. */
INLINE void add_distances(const uint32_t *at, const vf *middle, vf keep, bool part, vf *sums,
                          vf *all)
{
    UNROLL for (int h = 0; h < HALVES; h++)
    {
        vf distance = load_half(at, h) - middle[h];
        if (part) /* what lies behind may be anything, NaN too: chosen, not multiplied */
            distance = choose(keep, distance, splat(0));
        sums[h] += distance;
        all[h] += distance * distance;
    }
}

/* Row by row, sums of the distances from the first voxel and of their squares. */
static void moments(const tensor *t, const uint32_t *unit, int64_t from, int64_t to, int64_t voxels,
                    double sum[2], double squares[2])
{
    const int64_t first_row = from / t->row;
    int64_t y = first_row % (t->h + 1), row = first_row * t->row;
    int64_t voxel = from; /* the first */
    if (y == t->h || from - row >= t->w)
        voxel = row + t->row * (y == t->h - 1 ? 2 : 1);
    float start[HALVES];
    vf middle[HALVES], sums[2][HALVES] = {{{0}}}, all[2][HALVES] = {{{0}}};
    for (int h = 0; h < HALVES; h++) {
        start[h] = unit_get(unit, t->dtype, h, voxel);
        middle[h] = splat(start[h]);
    }
    for (; row < to && row < t->d * t->plane; row += t->row) {
        const int64_t end = row + t->w < to ? row + t->w : to;
        int64_t f = row < from ? from : row;
        const bool pads = y == t->h;
        y = pads ? 0 : y + 1;
        if (pads)
            continue;
        for (; f + 2 * VL <= end; f += 2 * VL) {
            add_distances(unit + f, middle, splat(0), false, sums[0], all[0]);
            add_distances(unit + f + VL, middle, splat(0), false, sums[1], all[1]);
        }
        for (; f < end; f += VL)
            add_distances(unit + f, middle, load(keep_first + 16 - (end - f < VL ? end - f : VL)),
                          true, sums[0], all[0]);
    }
    const double count = (double)voxels;
    for (int h = 0; h < HALVES; h++) {
        const double distances = total(sums[0][h] + sums[1][h]);
        sum[h] = distances + count * (double)start[h];
        squares[h] = total(all[0][h] + all[1][h]) - distances * distances / count;
    }
}

/* A channel's factors in all lanes. */
typedef struct {
    vf mean, rstd, scale, beta, g_mean, gx_mean;
} factors;

INLINE void spread_factors(const norm_channel *n, factors *k)
{
    for (int h = 0; h < HALVES; h++)
        k[h] = (factors){splat(n->mean[h]), splat(n->rstd[h]),   splat(n->gamma[h] * n->rstd[h]),
                         splat(n->beta[h]), splat(n->g_mean[h]), splat(n->gx_mean[h])};
}

static void norm_forward_range(const norm_channel *n, const uint32_t *y, uint32_t *a, int64_t from,
                               int64_t to)
{
    factors k[HALVES];
    spread_factors(n, k);
    for (int64_t f = from; f < to; f += VL) {
        vf out[HALVES];
        UNROLL for (int h = 0; h < HALVES; h++)
        {
            const vf value = (load_half(y + f, h) - k[h].mean) * k[h].scale + k[h].beta;
            out[h] = choose(value, value, value * LEAKY_SLOPE);
        }
        store_halves(a + f, out);
    }
}

/* The gradient behind the leaky ReLU, at the norm's output. */
INLINE vf gradient_at_norm(const factors *k, vf centred, vf gradient)
{
    return choose(centred * k->scale + k->beta, gradient, gradient * LEAKY_SLOPE);
}

static void norm_sums_range(const norm_channel *n, const uint32_t *y, const uint32_t *da,
                            int64_t from, int64_t to, double g[2], double gx[2])
{
    factors k[HALVES];
    spread_factors(n, k);
    vf g_all[HALVES] = {{0}}, gx_all[HALVES] = {{0}};
    for (int64_t f = from; f < to; f += VL) {
        UNROLL for (int h = 0; h < HALVES; h++)
        {
            const vf centred = load_half(y + f, h) - k[h].mean;
            const vf at_norm = gradient_at_norm(&k[h], centred, load_half(da + f, h));
            g_all[h] += at_norm;
            gx_all[h] += at_norm * (centred * k[h].rstd);
        }
    }
    for (int h = 0; h < HALVES; h++) {
        g[h] += total(g_all[h]);
        gx[h] += total(gx_all[h]);
    }
}

static void norm_backward_range(const norm_channel *n, const uint32_t *y, const uint32_t *da,
                                uint32_t *dy, int64_t from, int64_t to)
{
    factors k[HALVES];
    spread_factors(n, k);
    for (int64_t f = from; f < to; f += VL) {
        vf out[HALVES];
        UNROLL for (int h = 0; h < HALVES; h++)
        {
            const vf centred = load_half(y + f, h) - k[h].mean;
            const vf at_norm = gradient_at_norm(&k[h], centred, load_half(da + f, h));
            out[h] = k[h].scale * (at_norm - k[h].g_mean - centred * k[h].rstd * k[h].gx_mean);
        }
        store_halves(dy + f, out);
    }
}
