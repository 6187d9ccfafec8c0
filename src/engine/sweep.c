/* Sums of terms over whole tensors: packed weights, the split into tasks, moments.
 *
 * A task is one chunk of one sample's positions for a group of output channels, so that its sums
 * and their order do not depend on the number of threads. */
#include "engine/convolve.h"

#include <math.h>

#define MOST_TILE 8 /* of any target */

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

int64_t packed_count(const engine *e, int64_t terms, int64_t channels)
{
    return terms * e->kernels->weights_of_term * round_up(channels, e->kernels->tile);
}

typedef struct {
    const engine *e;
    const weight_map *map;
    const float *weight;
    float *packed;
    int64_t last_half;
} packing;

/* The weights of a term's half for a tile of channels, as weight_map says; asks for those of the
 * next unit, runs of 27 that no hardware prefetcher follows (a quarter of the time). */
static void pack_row(const packing *j, int64_t term_half, const int64_t *channel, int64_t tile,
                     float *out)
{
    const int64_t at = j->map->term_at[term_half], last = j->last_half;
    const int64_t next = j->map->term_at[term_half + 64 < last ? term_half + 64 : last];
    for (int64_t c = 0; c < tile; c++) {
        __builtin_prefetch(j->weight + (next < 0 || channel[c] < 0 ? 0 : next + channel[c]));
        out[c] = at < 0 || channel[c] < 0 ? 0 : j->weight[at + channel[c]];
    }
}

static void pack_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const packing *j = context;
    const kernels *k = j->e->kernels;
    const int64_t rows = j->map->terms * k->weights_of_term, tile = k->tile;
    int64_t channel[MOST_TILE];
    for (int64_t c = 0; c < tile; c++)
        channel[c] =
            block * tile + c < j->map->channels ? j->map->channel_at[block * tile + c] : -1;
    float *to = j->packed + block * rows * tile;
    for (int64_t r = 0; r < rows; r++, to += tile) {
        if (!k->dot) {
            pack_row(j, r, channel, tile, to);
            continue;
        }
        float low[MOST_TILE], high[MOST_TILE];
        uint32_t pair[MOST_TILE];
        pack_row(j, 2 * r, channel, tile, low);
        pack_row(j, 2 * r + 1, channel, tile, high);
        for (int64_t c = 0; c < tile; c++)
            pair[c] = float_to_bf16(low[c]) | (uint32_t)float_to_bf16(high[c]) << 16;
        memcpy(to, pair, (size_t)tile * sizeof *pair);
    }
}

void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed)
{
    packing j = {.e = e, .map = map, .weight = weight, .packed = packed};
    j.last_half = map->terms * CHANNELS_PER_UNIT(e->dtype) - 1;
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
        const bool pads = y == t->h;
        y = pads ? 0 : y + 1;
        const int64_t pad = row + t->w;
        if (!pads) {
            if (pad >= from && pad < to)
                unit[pad] = 0;
            continue;
        }
        const int64_t first = row < from ? from : row, end = pad + 1 < to ? pad + 1 : to;
        memset(unit + first, 0, (size_t)(end - first) * sizeof *unit);
    }
    const int64_t behind = row > from ? row : from;
    if (behind < to)
        memset(unit + behind, 0, (size_t)(to - behind) * sizeof *unit);
}

void clear_tail(const tensor *t)
{
    memset((uint32_t *)t->data + t->n * t->sample_stride, 0, (size_t)t->lead * sizeof(uint32_t));
}

/* ---- the sweep ------------------------------------------------------------------------- */

/* Where plane z's chunks begin: the last multiple of 16 that is not behind it. */
static int64_t plane_begin(const tensor *t, int64_t z)
{
    return z < t->d ? z * t->plane & ~(int64_t)15 : t->span;
}

int64_t chunks_of_plane(const tensor *t, int64_t chunk)
{
    const int64_t positions = t->h * t->row;
    return t->row < 32 || positions < chunk * 3 / 4 ? 0 : (positions + 30 + chunk - 1) / chunk;
}

int64_t sweep_chunks(const tensor *out, int64_t chunk)
{
    const int64_t of_plane = chunks_of_plane(out, chunk);
    return of_plane ? out->d * of_plane : (out->span + chunk - 1) / chunk;
}

stretch sweep_stretch(const tensor *out, int64_t chunk, int64_t index)
{
    const int64_t of_plane = chunks_of_plane(out, chunk);
    stretch s = {.from = index * chunk, .to = out->span, .next = out->span};
    if (of_plane) {
        const int64_t z = index / of_plane;
        s.from = plane_begin(out, z) + index % of_plane * chunk;
        s.to = round_up(z * out->plane + out->h * out->row, 16);
        s.next = plane_begin(out, z + 1);
        if (s.from >= s.to) /* the last chunk has room for a plane that begins badly */
            s.from = s.to = s.next;
    }
    if (s.to - s.from > chunk)
        s.to = s.next = s.from + chunk;
    return s;
}

/* 200 Ki elements are 800 KiB, which leaves room for weights in a second-level cache of 2 MiB; 16
 * tasks keep a few threads evenly busy. */
int64_t chunk_for(int64_t per_position, int64_t positions, int64_t most)
{
    int64_t chunk = 200 * 1024 / per_position;
    chunk = chunk < positions / 16 ? chunk : positions / 16;
    chunk = chunk / 96 * 96;
    return chunk < 96 ? 96 : smaller(chunk, most);
}

static int64_t tasks_of_sample(const sweep *s)
{
    return s->widened ? widened_tasks(s) : sweep_chunks(s->out, s->chunk);
}

/* Channels of a task: all where it splits phases for them; else CHANNEL_GROUP, fewer where there
 * are not chunks enough for a few threads (of which each widens anew what it reads). */
static int64_t group_channels(const sweep *s)
{
    if (s->split)
        return s->channels;
    int64_t group = s->channels < CHANNEL_GROUP ? s->channels : CHANNEL_GROUP;
    const int64_t positions = s->out->n * tasks_of_sample(s), least = s->widened ? 16 : 32;
    while (group > 8 && positions * ((s->channels + group - 1) / group) < least)
        group = round_up((group + 1) / 2, 8);
    return round_up(group, 8);
}

/* Partial moments and pads of what was just computed. */
static void finish_stretch(const sweep *s, int64_t n, int64_t chunk, int64_t first,
                           int64_t channels, stretch at)
{
    const tensor *t = s->out;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t voxels = s->partial ? count_voxels(t, at.from, at.to) : 0;
    for (int64_t c = first; c < first + channels; c += per) {
        uint32_t *unit = tensor_unit(t, n, c / per);
        double sum[2] = {0}, squares[2] = {0};
        if (voxels > 0)
            s->e->kernels->moments(t, unit, at.from, at.to, voxels, sum, squares);
        clear_pads(t, unit, at.from, at.next);
        if (!s->partial)
            continue;
        double *out = s->partial + ((n * sweep_chunks(t, s->chunk) + chunk) * s->channels + c) * 3;
        for (int i = 0; i < per && c + i < s->channels; i++, out += 3) {
            out[0] = (double)voxels;
            out[1] = sum[i];
            out[2] = squares[i];
        }
    }
}

/* Splits what a chunk reads; returns the thread's terms. */
static const uint32_t *const *split_terms(const sweep *s, int64_t n, int64_t from, int64_t to,
                                          int thread)
{
    const int64_t row = s->out->row, before = s->blocks == 3 ? row + 1 : 0;
    const int64_t low = from - before;
    phases p = {
        .half = s->out,
        .first_row = low < 0 ? -((row - 1 - low) / row) : low / row,
        .length = phases_length(s->out, s->chunk),
        .blocks = s->blocks,
        .data = s->local + thread * s->local_count,
    };
    p.rows = (to + row - 1) / row - p.first_row;
    s->e->kernels->phases_split(s->split, n, 0, tensor_units(s->split), &p);
    const uint32_t **term = s->term + thread * s->terms;
    for (int64_t t = 0; t < s->terms; t++)
        term[t] = split_term(&p, t, s->blocks == 3 ? 27 : 8);
    return term;
}

void sweep_chunk(const sweep *s, const share *part, int64_t chunk, const uint32_t *const *term,
                 int64_t terms)
{
    const tensor *t = s->out;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const stretch at = sweep_stretch(t, s->chunk, chunk);
    for (int64_t c = part->first; c < part->end; c += CHANNEL_GROUP) {
        const product p = {
            .term = term,
            .terms = terms,
            .term_block = s->channels > 8 ? 27 * 8 : terms,
            .weight = s->packed + c * s->terms * s->e->kernels->weights_of_term,
            .bias = s->bias ? s->bias + c : NULL,
            .channels = part->end - c < CHANNEL_GROUP ? part->end - c : CHANNEL_GROUP,
            .out = tensor_unit(t, part->n, c / per),
            .stride = t->unit_stride,
            .add = s->add,
            .floats = s->widened != NULL,
            .ahead = part->ahead,
            .aheads = c == part->first ? part->aheads : 0,
        };
        s->e->kernels->multiply(&p, at.from, at.to);
        finish_stretch(s, part->n, chunk, c, p.channels, at);
    }
}

static void sweep_task(void *context, int64_t index, int thread)
{
    const sweep *s = context;
    const int64_t group = group_channels(s), groups = (s->channels + group - 1) / group;
    const int64_t tasks = tasks_of_sample(s), first = index % groups * group;
    const share part = {
        .n = index / (tasks * groups),
        .first = first,
        .end = first + group < s->channels ? first + group : s->channels,
        .thread = thread,
    };
    const int64_t task = index / groups % tasks;
    if (s->widened) {
        widened_task(s, &part, task);
        return;
    }
    const stretch at = sweep_stretch(s->out, s->chunk, task);
    sweep_chunk(s, &part, task,
                s->split ? split_terms(s, part.n, at.from, at.to, thread)
                         : s->term + part.n * s->terms,
                s->terms);
}

void sweep_run(const sweep *s)
{
    const int64_t group = group_channels(s), groups = (s->channels + group - 1) / group;
    sweep copy = *s;
    pool_run(s->e->threads, sweep_task, &copy, s->out->n * tasks_of_sample(s) * groups);
    clear_tail(s->out);
}

/* Joins the tasks' sums (Chan, Golub, LeVeque 1983) in the order of the tasks. */
void moments_join(int64_t samples, int64_t channels, int64_t tasks, const double *partial,
                  float *moments)
{
    const int64_t stride = channels * 3;
    for (int64_t i = 0; i < samples * channels; i++) {
        const double *p = partial + i / channels * tasks * stride + i % channels * 3;
        double count = 0, mean = 0, squares = 0;
        for (int64_t k = 0; k < tasks; k++, p += stride) {
            if (p[0] == 0)
                continue;
            const double distance = p[1] / p[0] - mean;
            squares += p[2] + distance * distance * count * p[0] / (count + p[0]);
            mean += distance * p[0] / (count + p[0]);
            count += p[0];
        }
        moments[i * 2] = (float)mean;
        moments[i * 2 + 1] = (float)(1 / sqrt((squares > 0 ? squares : 0) / count + NORM_EPSILON));
    }
}

/* ---- products into phases -------------------------------------------------------------- */

static void spread_task(void *context, int64_t index, int thread)
{
    const spread *s = context;
    const tensor *half = s->half;
    const int per = CHANNELS_PER_UNIT(half->dtype);
    const int64_t all_rows = half->d * (half->h + 1);
    const int64_t tasks = (all_rows + s->rows - 1) / s->rows, n = index / tasks;
    phases p = {
        .half = half,
        .first_row = index % tasks * s->rows,
        .length = phases_length(half, s->rows * half->row),
        .blocks = 2,
        .data = s->local + thread * s->local_count,
    };
    p.rows = all_rows - p.first_row < s->rows ? all_rows - p.first_row : s->rows;
    const int64_t from = p.first_row * half->row;
    const int64_t to = from + round_up(p.rows * half->row, 16);
    const int64_t apart = p.length * (s->products > 1 ? s->products : 1);
    for (int k = 0; k < s->products; k++)
        for (int64_t c = 0; c < s->channels; c += CHANNEL_GROUP) {
            const product q = {
                .term = s->term[k] + n * s->terms[k],
                .terms = s->terms[k],
                .term_block = 27 * 8,
                .weight = s->packed[k] + c * s->terms[k] * s->e->kernels->weights_of_term,
                .bias = s->bias ? s->bias + c : NULL,
                .channels = s->channels - c < CHANNEL_GROUP ? s->channels - c : CHANNEL_GROUP,
                .out = p.data + k * p.length + c / per * apart - from,
                .stride = apart,
            };
            s->e->kernels->multiply(&q, from, to);
        }
    s->e->kernels->phases_merge(&p, s->whole, n, s->add);
}

void spread_run(const spread *s)
{
    spread copy = *s;
    const int64_t all_rows = s->half->d * (s->half->h + 1);
    pool_run(s->e->threads, spread_task, &copy, s->whole->n * ((all_rows + s->rows - 1) / s->rows));
    if (!s->add)
        clear_tail(s->whole);
}
