/* bf16 on a target that does not multiply pairs of it: a task widens what it reads into floats of
 * its thread, each channel by itself, and multiplies those as fp32.
 *
 * A task takes one chunk of each of a few planes, one below the other: of each channel it holds
 * three *slices*, what the chunk's taps reach in the planes z - 1, z and z + 1, and widens one new
 * slice a plane. Where chunks go on across planes (sweep_stretch) a task is one of them, and slices
 * that would overlap are one run. */
#include "engine/widen.h"

bool widens(const engine *e, conv_kind kind)
{
    return kind == CONV_3 && e->dtype == DTYPE_BF16 && !e->kernels->dot;
}

/* A chunk begins up to 15 positions before its place in the plane. */
static int64_t slice_elements(const tensor *out, int64_t chunk)
{
    return round_up(chunk + 16 + 2 * (out->row + 1), PLANE_STEP);
}

/* From a slice to the next. */
static int64_t slice_distance(const tensor *out, int64_t chunk)
{
    const int64_t slice = slice_elements(out, chunk);
    return chunks_of_plane(out, chunk) ? slice : smaller(slice, out->plane);
}

/* Of one channel. */
static int64_t slices_elements(const tensor *out, int64_t chunk)
{
    return round_up(2 * slice_distance(out, chunk) + slice_elements(out, chunk), PLANE_STEP);
}

int64_t widened_count(const tensor *out, int64_t units, int64_t chunk)
{
    return units * 2 * slices_elements(out, chunk);
}

/* The two halves of each term, and for each unit what is prefetched. */
int64_t widened_pointers(int64_t terms)
{
    return terms * 2 + terms / 27;
}

static int64_t planes_of_task(const sweep *s)
{
    const tensor *t = s->out;
    const int64_t planes = t->n * t->d * chunks_of_plane(t, s->chunk) / TASKS_LEAST;
    return planes < 1 ? 1 : smaller(planes, WIDENED_PLANES);
}

int64_t widened_tasks(const sweep *s)
{
    const int64_t of_plane = chunks_of_plane(s->out, s->chunk), planes = planes_of_task(s);
    return of_plane ? of_plane * ((s->out->d + planes - 1) / planes)
                    : sweep_chunks(s->out, s->chunk);
}

/* A task's slices: of plane z elements [z * plane + first, .. + count), at place (z + 1) % 3. */
typedef struct {
    const sweep *s;
    const share *part;
    int64_t first, count;
    int64_t distance, channel; /* from a slice and from a channel to the next */
    uint32_t *data;            /* [unit][half][place] */
    const uint32_t **term, **ahead;
} slices;

static void widen_plane(const slices *w, int64_t z, int64_t count)
{
    const sweep *s = w->s;
    uint32_t *low = w->data + (z + 1) % 3 * w->distance;
    for (int side = 0; side < 2 && s->widened[side]; side++) {
        const tensor *x = s->widened[side];
        for (int64_t u = 0; u < tensor_units(x); u++, low += 2 * w->channel)
            s->e->kernels->split_channels(tensor_unit(x, w->part->n, u) + z * x->plane + w->first,
                                          count, low, low + w->channel);
    }
}

/* The terms of plane z, for flat positions of the output. */
static void list_plane(const slices *w, int64_t z)
{
    const sweep *s = w->s;
    const tensor *t = s->out;
    const int64_t origin = z * t->plane + w->first;
    const uint32_t *low = w->data, **next = w->term;
    for (int64_t u = 0; u < s->terms / 27; u++, low += 2 * w->channel)
        for (int i = 0; i < 3; i++) {
            const int64_t place = (z + (s->flipped ? 2 - i : i)) % 3;
            const uint32_t *slice = low + place * w->distance - origin;
            for (int k = 0; k < 9; k++, next += 2) {
                const int tap = s->flipped ? 8 - k : k;
                next[0] = slice + (tap / 3 - 1) * t->row + tap % 3 - 1;
                next[1] = next[0] + w->channel;
            }
        }
}

/* What the next plane of the task widens: the one behind its neighbour. */
static void list_ahead(const slices *w)
{
    const uint32_t **next = w->ahead;
    for (int side = 0; side < 2 && w->s->widened[side]; side++) {
        const tensor *x = w->s->widened[side];
        for (int64_t u = 0; u < tensor_units(x); u++)
            *next++ = tensor_unit(x, w->part->n, u) + 2 * x->plane;
    }
}

void widened_task(const sweep *s, const share *part, int64_t task)
{
    const tensor *t = s->out;
    const int64_t of_plane = chunks_of_plane(t, s->chunk), planes = planes_of_task(s);
    const int64_t reach = t->row + 1;
    int64_t from = 0, to = 1;
    share mine = *part;
    slices w = {
        .s = s,
        .part = part,
        .distance = slice_distance(t, s->chunk),
        .channel = slices_elements(t, s->chunk),
        .data = s->local + part->thread * s->local_count,
        .term = s->term + part->thread * widened_pointers(s->terms),
    };
    w.ahead = w.term + 2 * s->terms;
    mine.ahead = w.ahead;
    if (of_plane) {
        from = task / of_plane * planes;
        to = smaller(from + planes, t->d);
        w.first = task % of_plane * s->chunk - 16 - reach;
        w.count = smaller(s->chunk + 16 + 2 * reach, t->h * t->row + 15 + reach - w.first);
    } else {
        const stretch at = sweep_stretch(t, s->chunk, task);
        w.first = at.from - reach;
        w.count = at.to - at.from + 2 * reach;
    }
    list_ahead(&w);
    const bool joined = w.distance == t->plane;
    for (int64_t z = from; z < to; z++) {
        if (joined)
            widen_plane(&w, z - 1, round_up(w.count + 2 * t->plane, PLANE_STEP));
        for (int64_t plane = z == from ? z - 1 : z + 1; plane <= z + 1 && !joined; plane++)
            widen_plane(&w, plane, round_up(w.count, PLANE_STEP));
        list_plane(&w, z);
        mine.aheads = z + 1 < to ? s->terms / 27 : 0;
        sweep_chunk(s, &mine, of_plane ? z * of_plane + task % of_plane : task, w.term,
                    2 * s->terms);
    }
}
