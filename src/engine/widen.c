/* bf16 on a target that does not multiply pairs of it: a task widens what it reads into floats of
 * its thread, each channel by itself, and multiplies those as fp32.
 *
 * A task takes one chunk of each of a few planes, one below the other: of each channel it holds
 * three *slices*, what the chunk's taps reach in the planes z - 1, z and z + 1, and widens one new
 * slice a plane. Where chunks go on across planes (sweep_stretch) a task is one of them. */
#include "engine/convolve.h"

#define PLANES      8  /* of a task */
#define TASKS_LEAST 32 /* keep a few threads evenly busy */

bool widens(const engine *e, conv_kind kind)
{
    return kind == CONV_3 && e->dtype == DTYPE_BF16 && !e->kernels->dot;
}

/* A chunk begins up to 15 positions before its place in the plane. */
static int64_t slice_elements(const tensor *out, int64_t chunk)
{
    return round_up(chunk + 16 + 2 * (out->row + 1), PLANE_STEP);
}

int64_t widened_count(const tensor *out, int64_t units, int64_t chunk)
{
    return units * 6 * slice_elements(out, chunk);
}

/* Two halves of each term, and of each unit what is asked for. */
int64_t widened_pointers(int64_t terms)
{
    return terms * 2 + terms / 27;
}

static int64_t planes_of_task(const sweep *s)
{
    const tensor *t = s->out;
    const int64_t planes = t->n * t->d * chunks_of_plane(t, s->chunk) / TASKS_LEAST;
    return planes < 1 ? 1 : smaller(planes, PLANES);
}

int64_t widened_tasks(const sweep *s)
{
    const int64_t of_plane = chunks_of_plane(s->out, s->chunk), planes = planes_of_task(s);
    return of_plane ? of_plane * ((s->out->d + planes - 1) / planes)
                    : sweep_chunks(s->out, s->chunk);
}

/* A task's slices: of plane z elements [z * plane + first, .. + count), at place (z + 3) % 3. */
typedef struct {
    const sweep *s;
    const share *part;
    int64_t first, count;
    uint32_t *data; /* [unit][half][place][slice_elements] */
    const uint32_t **term, **ahead;
} slices;

static void widen_plane(const slices *w, int64_t z)
{
    const sweep *s = w->s;
    const int64_t slice = slice_elements(s->out, s->chunk);
    uint32_t *low = w->data + (z + 3) % 3 * slice;
    for (int side = 0; side < 2 && s->widened[side]; side++) {
        const tensor *x = s->widened[side];
        for (int64_t u = 0; u < tensor_units(x); u++, low += 6 * slice)
            s->e->kernels->part_channels(tensor_unit(x, w->part->n, u) + z * x->plane + w->first,
                                         w->count, low, low + 3 * slice);
    }
}

/* The terms of plane z, for flat positions of the output. */
static void list_plane(const slices *w, int64_t z)
{
    const sweep *s = w->s;
    const tensor *t = s->out;
    const int64_t slice = slice_elements(t, s->chunk), origin = z * t->plane + w->first;
    const uint32_t *low = w->data, **next = w->term;
    for (int64_t u = 0; u < s->terms / 27; u++, low += 6 * slice)
        for (int k = 0; k < 27; k++, next += 2) {
            const int tap = s->flipped ? 26 - k : k;
            const int64_t place = (z + tap / 9 + 2) % 3;
            next[0] = low + place * slice + (tap / 3 % 3 - 1) * t->row + tap % 3 - 1 - origin;
            next[1] = next[0] + 3 * slice;
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
    w.count = round_up(w.count, PLANE_STEP);
    list_ahead(&w);
    for (int64_t z = from; z < to; z++) {
        for (int64_t plane = z == from ? z - 1 : z + 1; plane <= z + 1; plane++)
            widen_plane(&w, plane);
        list_plane(&w, z);
        mine.aheads = z + 1 < to ? s->terms / 27 : 0;
        sweep_chunk(s, &mine, of_plane ? z * of_plane + task % of_plane : task, w.term,
                    2 * s->terms);
    }
}
