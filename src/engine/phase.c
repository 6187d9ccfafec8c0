/* Phases: even and odd positions of an axis apart and together again (convolve.h). */
#include "engine/convolve.h"

tensor phases_describe(const engine *e, int64_t units, int64_t d, int64_t h, int64_t w)
{
    return tensor_describe(e, 1, 8 * units * CHANNELS_PER_UNIT(e->dtype), d, h, w);
}

/* Tap 0 of an axis is the odd phase one before, tap 1 the even one here, tap 2 the odd one here. */
void stride_tap(const tensor *p, int tap, int *phase, int64_t *distance)
{
    const int z = tap / 9, y = tap / 3 % 3, x = tap % 3;
    *phase = 4 * (z != 1) + 2 * (y != 1) + (x != 1);
    *distance = -((z == 0) * p->plane + (y == 0) * p->row + (x == 0));
}

typedef struct {
    const tensor *p, *x;
    int64_t n;
    bool add;
} job;

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void split_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *p = j->p, *x = j->x;
    const int64_t unit = index / p->d, z = index % p->d;
    const uint32_t *from = tensor_unit(x, j->n, unit);
    for (int phase = 0; phase < 8; phase++) {
        uint32_t *to = tensor_unit(p, 0, unit * 8 + phase);
        if (z == 0)
            memset(to - p->lead, 0, (size_t)p->lead * sizeof *to);
        if (z == p->d - 1)
            memset(to + p->d * p->plane, 0, (size_t)(p->span - p->d * p->plane) * sizeof *to);
        const int64_t in_z = 2 * z + (phase >> 2), dx = phase & 1;
        for (int64_t y = 0; y <= p->h; y++) {
            uint32_t *row = to + z * p->plane + y * p->row;
            const int64_t in_y = 2 * y + (phase >> 1 & 1);
            const uint32_t *in = from + in_z * x->plane + in_y * x->row + dx;
            int64_t count = at_most(p->w, (x->w - dx + 1) / 2);
            if (in_z >= x->d || in_y >= x->h || y == p->h)
                count = 0;
            for (int64_t i = 0; i < count; i++)
                row[i] = in[2 * i];
            for (int64_t i = count; i < p->row; i++)
                row[i] = 0;
        }
    }
}

void phases_split(engine *e, const tensor *x, int64_t n, const tensor *p)
{
    job j = {.p = p, .x = x, .n = n};
    pool_run(e->threads, split_plane, &j, tensor_units(x) * p->d);
    clear_tail(p);
}

static uint32_t add_values(compute_dtype dtype, uint32_t a, uint32_t b)
{
    uint32_t sum = 0;
    for (int64_t c = 0; c < CHANNELS_PER_UNIT(dtype); c++)
        unit_set(&sum, dtype, c, 0, unit_get(&a, dtype, c, 0) + unit_get(&b, dtype, c, 0));
    return sum;
}

/* One row of x out of an even and an odd one. */
static void merge_row(const uint32_t *even, const uint32_t *odd, uint32_t *to, int64_t w)
{
    for (int64_t i = 0; i < w / 2; i++) {
        to[2 * i] = even[i];
        to[2 * i + 1] = odd[i];
    }
    if (w & 1)
        to[w - 1] = even[w / 2];
}

static void add_row(compute_dtype dtype, const uint32_t *even, const uint32_t *odd, uint32_t *to,
                    int64_t w)
{
    for (int64_t i = 0; i < w; i++)
        to[i] = add_values(dtype, to[i], i & 1 ? odd[i / 2] : even[i / 2]);
}

static void merge_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *p = j->p, *x = j->x;
    const int64_t unit = index / x->d, z = index % x->d;
    uint32_t *to = tensor_unit(x, j->n, unit);
    for (int64_t y = 0; y < x->h; y++) {
        const int64_t phase = unit * 8 + 4 * (z & 1) + 2 * (y & 1);
        const int64_t f = z / 2 * p->plane + y / 2 * p->row;
        const uint32_t *even = tensor_unit(p, 0, phase) + f;
        const uint32_t *odd = tensor_unit(p, 0, phase + 1) + f;
        uint32_t *row = to + z * x->plane + y * x->row;
        if (j->add)
            add_row(x->dtype, even, odd, row, x->w);
        else
            merge_row(even, odd, row, x->w);
    }
    if (!j->add)
        clear_pads(x, to, z * x->plane, z == x->d - 1 ? x->span : (z + 1) * x->plane);
}

void phases_merge(engine *e, const tensor *p, const tensor *x, int64_t n, bool add)
{
    job j = {.p = p, .x = x, .n = n, .add = add};
    pool_run(e->threads, merge_plane, &j, tensor_units(x) * x->d);
    if (!add)
        clear_tail(x);
}
