/* Sums of terms over whole tensors: packed weights, the split into tasks, moments.
 *
 * A task is one chunk of one sample's positions for a group of output channels, so that its sums
 * and their order do not depend on the number of threads. */
#include "engine/convolve.h"

#include <math.h>

void *scratch_take(scratch_pieces *s, size_t count, size_t size)
{
    void *piece = s->base ? s->base + s->used : NULL;
    s->used += (count * size + 63) & ~(size_t)63;
    return piece;
}

int64_t tap_distance(const tensor *t, int tap)
{
    return (tap / 9 - 1) * t->plane + (tap / 3 % 3 - 1) * t->row + tap % 3 - 1;
}

/* ---- packed weights -------------------------------------------------------------------- */

static int64_t round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

int64_t packed_count(const engine *e, int64_t terms, int64_t channels)
{
    return terms * CHANNELS_PER_UNIT(e->dtype) * round_up(channels, e->kernels->tile);
}

typedef struct {
    const engine *e;
    const weight_map *map;
    const float *weight;
    float *packed;
} packing;

static void pack_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const packing *j = context;
    const weight_map *m = j->map;
    const int64_t tile = j->e->kernels->tile;
    const int64_t rows = m->terms * CHANNELS_PER_UNIT(j->e->dtype);
    float *to = j->packed + block * rows * tile;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < tile; i++) {
            const int64_t c = block * tile + i;
            const bool there = c < m->channels && m->channel_at[c] >= 0 && m->term_at[r] >= 0;
            *to++ = there ? j->weight[m->term_at[r] + m->channel_at[c]] : 0;
        }
}

void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed)
{
    packing j = {.e = e, .map = map, .weight = weight, .packed = packed};
    const int64_t tile = e->kernels->tile;
    pool_run(e->threads, pack_block, &j, (map->channels + tile - 1) / tile);
}

/* ---- pads ------------------------------------------------------------------------------ */

int64_t count_voxels(const tensor *t, int64_t from, int64_t to)
{
    int64_t count = 0, y = from / t->row % (t->h + 1);
    for (int64_t row = from / t->row * t->row; row < to && row < t->d * t->plane; row += t->row) {
        const int64_t first = row < from ? from : row;
        const int64_t end = row + t->w < to ? row + t->w : to;
        if (y < t->h && end > first)
            count += end - first;
        y = y == t->h ? 0 : y + 1;
    }
    return count;
}

void clear_pads(const tensor *t, uint32_t *unit, int64_t from, int64_t to)
{
    if (from == 0)
        memset(unit - t->lead, 0, (size_t)t->lead * sizeof *unit);
    int64_t y = from / t->row % (t->h + 1), row = from / t->row * t->row;
    for (; row < to && row < t->d * t->plane; row += t->row) {
        int64_t first = y < t->h ? row + t->w : row;
        const int64_t end = row + t->row < to ? row + t->row : to;
        for (first = first < from ? from : first; first < end; first++)
            unit[first] = 0;
        y = y == t->h ? 0 : y + 1;
    }
    for (int64_t f = row > from ? row : from; f < to; f++)
        unit[f] = 0;
}

void clear_tail(const tensor *t)
{
    memset((uint32_t *)t->data + t->n * t->sample_stride, 0, (size_t)t->lead * sizeof(uint32_t));
}

/* ---- the sweep ------------------------------------------------------------------------- */

int64_t sweep_chunks(const tensor *out)
{
    return (out->span + CHUNK - 1) / CHUNK;
}

/* Channels of a task: all up to CHANNEL_GROUP where there are chunks enough for many threads. */
static int64_t group_channels(const sweep *s)
{
    int64_t group = s->channels < CHANNEL_GROUP ? s->channels : CHANNEL_GROUP;
    const int64_t positions = s->out->n * sweep_chunks(s->out);
    while (group > 8 && positions * ((s->channels + group - 1) / group) < 32)
        group = round_up((group + 1) / 2, 8);
    return round_up(group, 8);
}

static void sweep_task(void *context, int64_t index, int thread)
{
    (void)thread;
    const sweep *s = context;
    const tensor *t = s->out;
    const kernels *k = s->e->kernels;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t chunks = sweep_chunks(t), group = group_channels(s);
    const int64_t groups = (s->channels + group - 1) / group;
    const int64_t n = index / (chunks * groups), chunk = index / groups % chunks;
    const int64_t first = index % groups * group;
    const int64_t left = s->channels - first;
    const int64_t from = chunk * CHUNK, to = from + CHUNK < t->span ? from + CHUNK : t->span;
    product p = {
        .term = s->term + n * s->terms,
        .terms = s->terms,
        .term_block = s->channels > 8 ? 27 * 8 : s->terms,
        .weight = s->packed + first * s->terms * per,
        .bias = s->bias ? s->bias + first : NULL,
        .channels = left < group ? left : group,
        .out = tensor_unit(t, n, (s->channel + first) / per),
        .stride = t->unit_stride,
        .add = s->add,
    };
    k->multiply(&p, from, to);
    const int64_t voxels = s->partial ? count_voxels(t, from, to) : 0;
    for (int64_t c = 0; c < p.channels; c += per) {
        uint32_t *unit = p.out + c / per * p.stride;
        clear_pads(t, unit, from, to);
        if (!s->partial)
            continue;
        double sum[2] = {0}, squares[2] = {0};
        if (voxels > 0)
            k->moments(t, unit, from, to, voxels, sum, squares);
        for (int i = 0; i < per && c + i < p.channels; i++) {
            double *out = s->partial + ((n * chunks + chunk) * s->channels + first + c + i) * 2;
            out[0] = sum[i];
            out[1] = squares[i];
        }
    }
}

void sweep_run(const sweep *s)
{
    const int64_t group = group_channels(s), groups = (s->channels + group - 1) / group;
    sweep copy = *s;
    pool_run(s->e->threads, sweep_task, &copy, s->out->n * sweep_chunks(s->out) * groups);
    clear_tail(s->out);
}

/* Joins the chunks' sums (Chan, Golub, LeVeque 1983) in the order of the chunks. */
void moments_finish(const tensor *y, const double *partial, float *moments)
{
    const int64_t chunks = sweep_chunks(y);
    for (int64_t n = 0; n < y->n; n++)
        for (int64_t c = 0; c < y->c; c++) {
            double count = 0, mean = 0, squares = 0;
            for (int64_t k = 0; k < chunks; k++) {
                const int64_t to = (k + 1) * CHUNK < y->span ? (k + 1) * CHUNK : y->span;
                const double here = (double)count_voxels(y, k * CHUNK, to);
                const double *p = partial + ((n * chunks + k) * y->c + c) * 2;
                if (here == 0)
                    continue;
                const double distance = p[0] / here - mean;
                squares += p[1] + distance * distance * count * here / (count + here);
                mean += distance * here / (count + here);
                count += here;
            }
            moments[(n * y->c + c) * 2] = (float)mean;
            moments[(n * y->c + c) * 2 + 1] =
                (float)(1 / sqrt((squares > 0 ? squares : 0) / count + NORM_EPSILON));
        }
}
