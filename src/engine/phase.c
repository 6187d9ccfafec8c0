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
    engine *e;
    const tensor *p, *x;
    int64_t n;
    bool add;
} job;

/* Row (z, y) of the two phases that differ in x alone, from row (in_z, in_y) of x. */
static void split_pair(const job *j, const uint32_t *in, uint32_t *even, uint32_t *odd)
{
    const tensor *p = j->p, *x = j->x;
    const int64_t pairs = in ? x->w / 2 : 0;
    if (in)
        j->e->kernels->split_row(in, even, odd, pairs);
    memset(even + pairs, 0, (size_t)(p->row - pairs) * sizeof *even);
    memset(odd + pairs, 0, (size_t)(p->row - pairs) * sizeof *odd);
    if (in && x->w & 1)
        even[pairs] = in[x->w - 1];
}

static void split_plane(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *p = j->p, *x = j->x;
    const int64_t unit = index / p->d, z = index % p->d;
    const uint32_t *from = tensor_unit(x, j->n, unit);
    for (int phase = 0; phase < 8; phase += 2) {
        uint32_t *even = tensor_unit(p, 0, unit * 8 + phase);
        uint32_t *odd = tensor_unit(p, 0, unit * 8 + phase + 1);
        const int64_t in_z = 2 * z + (phase >> 2);
        for (int64_t y = 0; y <= p->h; y++) {
            const int64_t in_y = 2 * y + (phase >> 1 & 1), f = z * p->plane + y * p->row;
            const bool there = y < p->h && in_z < x->d && in_y < x->h;
            split_pair(j, there ? from + in_z * x->plane + in_y * x->row : NULL, even + f, odd + f);
        }
        for (int i = 0; i < 2; i++) {
            uint32_t *to = i ? odd : even;
            if (z == 0)
                memset(to - p->lead, 0, (size_t)p->lead * sizeof *to);
            if (z == p->d - 1)
                memset(to + p->d * p->plane, 0, (size_t)(p->span - p->d * p->plane) * sizeof *to);
        }
    }
}

void phases_split(engine *e, const tensor *x, int64_t n, const tensor *p)
{
    job j = {.e = e, .p = p, .x = x, .n = n};
    pool_run(e->threads, split_plane, &j, tensor_units(x) * p->d);
    clear_tail(p);
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
        j->e->kernels->merge_row(even, odd, row, x->w / 2, j->add);
        if (x->w & 1) {
            uint32_t beside[2];
            beside[0] = row[x->w - 1];
            j->e->kernels->merge_row(even + x->w / 2, odd + x->w / 2, beside, 1, j->add);
            row[x->w - 1] = beside[0];
        }
    }
    if (!j->add)
        clear_pads(x, to, z * x->plane, z == x->d - 1 ? x->span : (z + 1) * x->plane);
}

void phases_merge(engine *e, const tensor *p, const tensor *x, int64_t n, bool add)
{
    job j = {.e = e, .p = p, .x = x, .n = n, .add = add};
    pool_run(e->threads, merge_plane, &j, tensor_units(x) * x->d);
    if (!add)
        clear_tail(x);
}
