/* Strided layers (strided.h): the voxels of half in runs, each a panel, a product and its sums. */
#include "engine/strided.h"
#include "engine/pads.h"
#include "engine/sweep.h"

bool strided_used(const tensor *half)
{
    return half->w < 16;
}

/* Tasks for each thread where the layer is large enough; they change no result. */
#define TASKS_OF_THREAD 8

static bool is_spread(const strided *s)
{
    return s->read == PANEL_VOXELS || s->read == PANEL_BEHIND;
}

/* Rows of a panel for so many units. */
static int64_t rows_of(const engine *e, panel_kind read, int64_t units)
{
    return units * panel_rows_of(read) * e->kernels->weights_of_term;
}

/* Units whose rows are a panel of which sums are taken at a time. */
static int64_t units_of_block(const engine *e, panel_kind read)
{
    const int64_t units = PANEL_ROWS / rows_of(e, read, 1);
    return units < 1 ? 1 : units;
}

/* Channels of one product of a spread task: those of the units that a tile of each phase holds, or
 * the eight phases of one unit. */
static int64_t spread_channels(const engine *e, panel_kind read)
{
    return read == PANEL_BEHIND ? e->kernels->tile : 8 * CHANNELS_PER_UNIT(e->dtype);
}

/* Rows of a thread's panel. */
static int64_t panel_rows(const engine *e, panel_kind read, int64_t units)
{
    const bool spread = read == PANEL_VOXELS || read == PANEL_BEHIND;
    return rows_of(e, read, spread ? units : smaller(units, units_of_block(e, read)));
}

int64_t strided_local(const engine *e, panel_kind read, int64_t units, int64_t channels)
{
    int64_t sums = round_up(channels, e->kernels->tile);
    if (read == PANEL_VOXELS || read == PANEL_BEHIND)
        sums = spread_channels(e, read) * (read == PANEL_BEHIND ? 8 : 1);
    return (panel_rows(e, read, units) + sums) * RUN_STRIDE + 16;
}

/* ---- runs ------------------------------------------------------------------------------ */

/* The piece that begins at voxel number `voxel` of half's samples. */
static run_piece piece_at(const strided *s, int64_t voxel)
{
    const tensor *half = s->half, *whole = s->whole;
    const int64_t row = voxel / half->w, plane = row / half->h, n = plane / half->d;
    run_piece p = {
        .z = plane - n * half->d, .y = row - plane * half->h, .x = voxel - row * half->w};
    p.in_half = n * half->sample_stride + p.z * half->plane + p.y * half->row + p.x;
    p.in_whole = n * whole->sample_stride + 2 * (p.z * whole->plane + p.y * whole->row + p.x);
    return p;
}

/* The run from voxel `first` on, which ends before `end`. */
static void run_from(const strided *s, int64_t first, int64_t end, voxel_run *r)
{
    const int64_t lanes = s->e->kernels->lanes;
    const bool whole = !is_spread(s);
    r->pieces = r->vectors = 0;
    r->count = smaller(RUN, end - first);
    for (int64_t at = 0; at < r->count;) {
        run_piece *p = &r->piece[r->pieces++];
        *p = piece_at(s, first + at);
        p->at = at;
        p->count = smaller(s->half->w - p->x, r->count - at);
        for (int64_t i = 0; i < p->count; i += lanes)
            r->vector[r->vectors++] =
                (run_vector){at + i, whole ? p->in_whole + 2 * i : p->in_half + i};
        at += p->count;
    }
    const run_piece next = piece_at(s, first + r->count == end ? first : first + r->count);
    r->whole_ahead = next.in_whole - r->piece[0].in_whole;
    r->ahead = whole ? next.in_whole - r->piece[0].in_whole : next.in_half - r->piece[0].in_half;
}

/* Product k's channels [c, c + channels). */
static panel_product product_of(const strided *s, int k, int64_t c, int64_t channels,
                                const voxel_run *r)
{
    const int64_t rows = s->terms[k] * s->e->kernels->weights_of_term;
    return (panel_product){
        .row = s->row[k],
        .rows = rows,
        .count = r->count,
        .weight = s->packed[k] + c * rows,
        .weight_apart = s->e->kernels->tile * rows,
        .bias = s->bias + c,
        .channels = channels,
    };
}

/* ---- into phases ----------------------------------------------------------------------- */

/* The pads of units [first, end) of whole around the rows of half's row number `row`, but those
 * behind rows. */
static void clear_around(const strided *s, int64_t row, int64_t first, int64_t end)
{
    const tensor *whole = s->whole, *half = s->half;
    const int64_t n = row / (half->d * half->h), z = row / half->h % half->d, y = row % half->h;
    if ((z > 0 || y > 0) && y < half->h - 1)
        return;
    for (int64_t u = first; u < end; u++) {
        uint32_t *to = tensor_unit(whole, n, u);
        if (z == 0 && y == 0)
            memset(to - whole->lead, 0, (size_t)whole->lead * sizeof *to);
        for (int64_t plane = 2 * z; y == half->h - 1 && plane < smaller(2 * z + 2, whole->d);
             plane++)
            memset(to + plane * whole->plane + whole->h * whole->row, 0,
                   (size_t)whole->row * sizeof *to);
        if (z == half->d - 1 && y == half->h - 1)
            memset(to + whole->d * whole->plane, 0,
                   (size_t)(whole->span - whole->d * whole->plane) * sizeof *to);
    }
}

/* How a layer is shared out: tasks are parts of its voxels, and groups of its units. */
typedef struct {
    int64_t parts, groups, of_part, of_group;
} shares;

static shares spread_shares(const strided *s)
{
    const tensor *half = s->half;
    const int64_t rows = half->n * half->d * half->h, units = tensor_units(s->whole);
    const int64_t least = TASKS_OF_THREAD * pool_threads(s->e->threads);
    const int64_t of_run = (RUN + half->w - 1) / half->w;
    shares a = {.of_part = round_up((rows + least - 1) / least, of_run), .of_group = units};
    a.parts = (rows + a.of_part - 1) / a.of_part;
    while (a.of_group > 8 && a.parts * ((units + a.of_group - 1) / a.of_group) < least)
        a.of_group = round_up((a.of_group + 1) / 2, 8);
    a.groups = (units + a.of_group - 1) / a.of_group;
    return a;
}

/* The phases of a run's voxels for units [first, end). */
static void spread_run_of(const strided *s, const voxel_run *r, int64_t first, int64_t end,
                          float *panel)
{
    const kernels *k = s->e->kernels;
    const int per = CHANNELS_PER_UNIT(s->half->dtype);
    const bool behind = s->read == PANEL_BEHIND;
    const int64_t channels = spread_channels(s->e, s->read), units = behind ? channels / per : 1;
    const int64_t phase_apart = channels * RUN_STRIDE / (behind ? 1 : 8);
    float *sums = panel + panel_rows(s->e, s->read, tensor_units(s->half)) * RUN_STRIDE + 16;
    k->panel_fill(s->read, s->half, 0, tensor_units(s->half), r, panel);
    for (int64_t u = first; u < end; u += units) {
        for (int i = 0; i < s->products; i++) {
            panel_product p = product_of(s, i, behind ? u * per : u * channels, channels, r);
            p.panel = panel;
            p.sums = sums + i * phase_apart;
            k->panel_multiply(&p);
        }
        const int64_t step = u + units < end ? units * s->whole->unit_stride
                                             : (first - u) * s->whole->unit_stride + r->whole_ahead;
        for (int64_t v = u; v < smaller(u + units, end); v++)
            k->panel_phases(sums + (v - u) * per * RUN_STRIDE, phase_apart, r, s->whole, v, step,
                            s->add);
    }
}

static void spread_task(void *context, int64_t index, int thread)
{
    const strided *s = context;
    const shares a = spread_shares(s);
    const tensor *half = s->half;
    const int64_t first = index % a.groups * a.of_group, row = index / a.groups * a.of_part;
    const int64_t end = smaller(first + a.of_group, tensor_units(s->whole));
    const int64_t end_row = smaller(row + a.of_part, half->n * half->d * half->h);
    voxel_run r;
    for (int64_t at = row * half->w; at < end_row * half->w; at += r.count) {
        run_from(s, at, end_row * half->w, &r);
        spread_run_of(s, &r, first, end, s->local + thread * s->local_count);
    }
    for (int64_t i = row; i < end_row; i++)
        clear_around(s, i, first, end);
}

/* ---- into half ------------------------------------------------------------------------- */

/* Parts are chunks (sweep.h), whose moments are taken by themselves: a few where they are short. */
static shares gather_shares(const strided *s)
{
    const int64_t chunks = sweep_chunks(s->half, s->chunk);
    const int64_t least = TASKS_OF_THREAD * pool_threads(s->e->threads);
    shares a = {.of_part = (2 * RUN + s->chunk - 1) / s->chunk, .of_group = s->channels};
    a.parts = (chunks + a.of_part - 1) / a.of_part;
    while (a.of_group > 64 &&
           s->half->n * a.parts * ((s->channels + a.of_group - 1) / a.of_group) < least)
        a.of_group = round_up((a.of_group + 1) / 2, 32);
    a.groups = (s->channels + a.of_group - 1) / a.of_group;
    return a;
}

/* The first voxel of a sample at or behind flat position f. */
static int64_t voxel_at(const tensor *t, int64_t f)
{
    const int64_t z = smaller(f / t->plane, t->d), y = smaller((f - z * t->plane) / t->row, t->h);
    if (z == t->d || y == t->h)
        return smaller(z + 1, t->d) * t->h * t->w;
    return (z * t->h + y) * t->w + smaller(f - z * t->plane - y * t->row, t->w);
}

/* Channels [first, end) of one run. */
static void gather_run(const strided *s, const voxel_run *r, int64_t first, int64_t end,
                       float *panel)
{
    const kernels *k = s->e->kernels;
    const tensor *from = s->whole;
    const int64_t units = tensor_units(from), most = units_of_block(s->e, s->read);
    const int per = CHANNELS_PER_UNIT(from->dtype);
    float *sums = panel + panel_rows(s->e, s->read, units) * RUN_STRIDE + 16;
    for (int64_t u = 0; u < units; u += most) {
        const int64_t block = smaller(most, units - u);
        k->panel_fill(s->read, from, u, block, r, panel);
        for (int64_t c = first; c < end; c += CHANNEL_GROUP) {
            panel_product p = product_of(s, 0, c, smaller(CHANNEL_GROUP, end - c), r);
            p.panel = panel;
            p.rows = rows_of(s->e, s->read, block);
            p.weight += rows_of(s->e, s->read, u) * k->tile;
            p.bias = u ? NULL : p.bias;
            p.sums = sums + (c - first) * RUN_STRIDE;
            k->panel_multiply(&p);
            if (u + block == units)
                k->panel_rows(p.sums, p.channels, r, s->half, c / per, s->add);
        }
    }
}

static void gather_task(void *context, int64_t index, int thread)
{
    const strided *s = context;
    const shares a = gather_shares(s);
    const tensor *half = s->half;
    const int64_t first = index % a.groups * a.of_group;
    const int64_t part = index / a.groups % a.parts, n = index / a.groups / a.parts;
    const int64_t end = smaller(first + a.of_group, s->channels);
    const int64_t chunks = sweep_chunks(half, s->chunk), chunk = part * a.of_part;
    const int64_t end_chunk = smaller(chunk + a.of_part, chunks);
    const int64_t sample = n * half->d * half->h * half->w;
    const int64_t to = sample + voxel_at(half, sweep_stretch(half, s->chunk, end_chunk - 1).to);
    voxel_run r;
    for (int64_t at = sample + voxel_at(half, sweep_stretch(half, s->chunk, chunk).from); at < to;
         at += r.count) {
        run_from(s, at, to, &r);
        gather_run(s, &r, first, end, s->local + thread * s->local_count);
    }
    double *partial = s->partial;
    for (int64_t i = chunk; i < end_chunk; i++) {
        const stretch at = sweep_stretch(half, s->chunk, i);
        if (s->partial)
            partial = s->partial + (n * chunks + i) * s->channels * 3;
        finish_chunk(s->e, half, &at, n, first, end - first, partial);
    }
}

void strided_run(const strided *s)
{
    strided copy = *s;
    const shares a = is_spread(s) ? spread_shares(s) : gather_shares(s);
    pool_run(s->e->threads, is_spread(s) ? spread_task : gather_task, &copy,
             a.parts * a.groups * (is_spread(s) ? 1 : s->half->n));
    if (!is_spread(s) || !s->add)
        clear_tail(is_spread(s) ? s->whole : s->half);
}
