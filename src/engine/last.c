/* Backward through a head and the norm before it at once: the gradient between the two is made
 * chunk by chunk in memory of the thread, once to be summed and once to be used, and never lies in
 * a tensor. Chunks are those of norm.c, and so are all sums and their order. */
#include "engine/norm.h"
#include "engine/pads.h"
#include "engine/ref.h"
#include "engine/scratch.h"

typedef struct {
    engine *e;
    const last_backward *l;
    int64_t chunks, units, channels; /* of a sample; channels of whole units */
    double *sums;                    /* [n][chunks][channels] of beta's and gamma's gradient */
    float *means;                    /* [n][channels] of the same over voxels */
    uint32_t *local;                 /* [threads][units][apart] */
    int64_t apart;
} job;

static job take_scratch(const engine *e, const tensor *y, scratch_pieces *s)
{
    job j = {.chunks = (y->span + CHUNK - 1) / CHUNK, .units = tensor_units(y)};
    j.channels = j.units * CHANNELS_PER_UNIT(y->dtype);
    j.apart = CHUNK + 2 * y->row;
    j.sums = scratch_take(s, (size_t)(y->n * j.chunks * j.channels * 2), sizeof *j.sums);
    j.means = scratch_take(s, (size_t)(y->n * j.channels * 2), sizeof *j.means);
    j.local =
        scratch_take(s, (size_t)(pool_threads(e->threads) * j.units * j.apart), sizeof *j.local);
    return j;
}

/* ref has the gradient in a tensor. */
size_t last_scratch_bytes(const engine *e, const tensor *y)
{
    scratch_pieces s = {0};
    if (e->target == TARGET_REF)
        return tensor_bytes(y);
    take_scratch(e, y, &s);
    return s.used;
}

/* Adds the caller's gradient to rows [row, row + rows) of plane z. */
static void add_more(const job *j, int64_t n, int64_t z, int64_t row, int64_t rows,
                     uint32_t *const *unit)
{
    const tensor *t = j->l->y;
    for (int64_t c = 0; j->l->more && c < t->c; c++) {
        const float *from = j->l->more + (((n * t->c + c) * t->d + z) * t->h + row) * t->w;
        uint32_t *to = unit[c / CHANNELS_PER_UNIT(t->dtype)];
        for (int64_t y = 0; y < rows; y++, to += t->row)
            for (int64_t x = 0; x < t->w; x++)
                unit_set(to, t->dtype, c, x, unit_get(to, t->dtype, c, x) + *from++);
    }
}

/* The gradient behind the head at the rows that chunk [from, to) of sample n touches, zero at pads.
 * Returns the thread's memory at position 0. */
static uint32_t *make_chunk(const job *j, int64_t n, int64_t from, int64_t to, int thread)
{
    const last_backward *l = j->l;
    const tensor *t = l->y;
    const int64_t high = t->h + 1, voxels = t->d * t->h * t->w;
    const int64_t first = from / t->row, end = (to + t->row - 1) / t->row;
    uint32_t *local = j->local + thread * j->units * j->apart, *unit[UNITS_MOST];
    for (int64_t r = first; r < end && r < t->d * high; r = (r / high + 1) * high) {
        const int64_t z = r / high, y = r % high, rows = smaller(end - r, t->h - y);
        if (rows <= 0)
            continue;
        for (int64_t u = 0; u < j->units; u++)
            unit[u] = local + u * j->apart + (r - first) * t->row;
        const head_plane p = {
            .unit = unit,
            .channels = t->c,
            .classes = l->classes,
            .h = rows,
            .w = t->w,
            .row = t->row,
            .logits =
                (float *)(uintptr_t)l->dlogits + n * l->classes * voxels + (z * t->h + y) * t->w,
            .stride = voxels,
        };
        j->e->kernels->head_data(&p, l->weight, false);
        add_more(j, n, z, y, rows, unit);
    }
    uint32_t *const start = local - first * t->row;
    for (int64_t u = 0; u < j->units; u++)
        clear_pads_within(t, start + u * j->apart, first * t->row, end * t->row);
    return start;
}

static void sum_chunk(void *context, int64_t index, int thread)
{
    const job *j = context;
    const tensor *t = j->l->y;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t n = index / j->chunks, from = index % j->chunks * CHUNK;
    const int64_t to = smaller(from + CHUNK, t->span);
    const uint32_t *da = make_chunk(j, n, from, to, thread);
    double *sums = j->sums + index * j->channels * 2;
    for (int64_t u = 0; u < j->units; u++, da += j->apart) {
        const norm_channel k = norm_channel_of(&j->l->norm, t, n, u);
        double g[2] = {0}, gx[2] = {0};
        j->e->kernels->norm_sums(&k, tensor_unit(t, n, u), da, from, to, g, gx);
        for (int h = 0; h < per; h++) {
            *sums++ = g[h];
            *sums++ = gx[h];
        }
    }
}

/* Adds chunks, then samples, in their order. */
static void join(const job *j)
{
    const tensor *t = j->l->y;
    const double count = (double)(t->d * t->h * t->w);
    for (int64_t c = 0; c < t->c; c++) {
        double all[2] = {0};
        for (int64_t n = 0; n < t->n; n++)
            for (int i = 0; i < 2; i++) {
                const double *sums = j->sums + (n * j->chunks * j->channels + c) * 2 + i;
                double sum = 0;
                for (int64_t k = 0; k < j->chunks; k++)
                    sum += sums[k * j->channels * 2];
                j->means[(n * j->channels + c) * 2 + i] = (float)(sum / count);
                all[i] += sum;
            }
        j->l->dbeta[c] = (float)all[0];
        j->l->dgamma[c] = (float)all[1];
    }
}

static void write_chunk(void *context, int64_t index, int thread)
{
    const job *j = context;
    const tensor *t = j->l->y;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t n = index / j->chunks, from = index % j->chunks * CHUNK;
    const int64_t to = smaller(from + CHUNK, t->span);
    const uint32_t *da = make_chunk(j, n, from, to, thread);
    for (int64_t u = 0; u < j->units; u++, da += j->apart) {
        norm_channel k = norm_channel_of(&j->l->norm, t, n, u);
        for (int h = 0; h < per && u * per + h < t->c; h++) {
            k.g_mean[h] = j->means[(n * j->channels + u * per + h) * 2];
            k.gx_mean[h] = j->means[(n * j->channels + u * per + h) * 2 + 1];
        }
        uint32_t *dy = tensor_unit(j->l->dy, n, u);
        j->e->kernels->norm_backward(&k, tensor_unit(t, n, u), da, dy, from, to);
        clear_pads(t, dy, from, to);
    }
}

static void last_backward_ref(engine *e, const last_backward *l, void *scratch)
{
    tensor da = *l->y;
    da.data = scratch;
    head_data_gradient(e, l->dlogits, l->weight, l->classes, &da, false);
    if (l->more)
        tensor_add(e, l->more, &da);
    norm_backward(e, l->y, &l->norm, &da, &da, l->dgamma, l->dbeta, NULL);
    memcpy(l->dy->data, da.data, tensor_bytes(&da));
}

void last_backward_run(engine *e, const last_backward *l, void *scratch)
{
    if (e->target == TARGET_REF) {
        last_backward_ref(e, l, scratch);
        return;
    }
    scratch_pieces pieces = {.base = scratch};
    job j = take_scratch(e, l->y, &pieces);
    j.e = e;
    j.l = l;
    pool_run(e->threads, sum_chunk, &j, l->y->n * j.chunks);
    join(&j);
    pool_run(e->threads, write_chunk, &j, l->y->n * j.chunks);
    clear_tail(l->dy);
}
