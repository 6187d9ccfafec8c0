/* One sum of terms over a whole tensor, split into tasks.
 *
 * A task is one chunk of one sample's positions for a group of output channels, so that its sums
 * and their order do not depend on the number of threads. */
#include "engine/sweep.h"
#include "engine/pads.h"
#include "engine/phase.h"
#include "engine/sizes.h"
#include "engine/widen.h"

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

int64_t chunk_for(int64_t per_position, int64_t positions, int64_t most)
{
    int64_t chunk = LOCAL_ELEMENTS / per_position;
    chunk = chunk < positions / TASKS_LEAST ? chunk : positions / TASKS_LEAST;
    chunk = chunk / CHUNK_STEP * CHUNK_STEP;
    return chunk < CHUNK_STEP ? CHUNK_STEP : smaller(chunk, most);
}

static int64_t tasks_of_sample(const sweep *s)
{
    return s->widened ? widened_tasks(s) : sweep_chunks(s->out, s->chunk);
}

/* Channels of a task: all where it splits phases for them; else CHANNEL_GROUP, fewer where there
 * are not chunks enough for a few threads (each group widens what it reads for itself). */
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

void finish_chunk(const engine *e, const tensor *t, const stretch *at, int64_t n, int64_t first,
                  int64_t channels, double *partial)
{
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t voxels = partial ? count_voxels(t, at->from, at->to) : 0;
    for (int64_t c = first; c < first + channels; c += per) {
        uint32_t *unit = tensor_unit(t, n, c / per);
        double sum[2] = {0}, squares[2] = {0};
        if (voxels > 0)
            e->kernels->moments(t, unit, at->from, at->to, voxels, sum, squares);
        clear_pads(t, unit, at->from, at->next);
        if (!partial)
            continue;
        double *out = partial + c * 3;
        for (int i = 0; i < per && c + i < t->c; i++, out += 3) {
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
            .term_block = s->split ? PHASE_BLOCK : TERM_BLOCK,
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
        finish_chunk(s->e, t, &at, part->n, c, p.channels,
                     s->partial ? s->partial + (part->n * sweep_chunks(t, s->chunk) + chunk) *
                                                   s->channels * 3
                                : NULL);
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
