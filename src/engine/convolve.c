/* Convolutions forward and their data gradients, each as a sum of terms (kernels.h):
 *
 *                forward                                 data gradient
 *     CONV_3     y[f] = sum of w[k] x[f + distance(k)]   the same over dy with -distance
 *     CONV_3_2   x is split into eight phases of y's     eight phases of dx, with 1, 2, 4 or 8
 *                size: a tap is a phase and a distance   taps each
 *     CONV_UP    eight phases of y, with one tap each    one sum over the eight phases of dy
 *
 * Of each pass this file makes the map of its weights, its scratch and its list of terms;
 * sweep.c and spread.c run them. */
#include "engine/correlate.h"
#include "engine/moments.h"
#include "engine/pack.h"
#include "engine/phase.h"
#include "engine/ref.h"
#include "engine/scratch.h"
#include "engine/spread.h"
#include "engine/strided.h"
#include "engine/sweep.h"
#include "engine/widen.h"
#include "engine/winograd.h"

#include <assert.h>

tensor conv_output(const engine *e, const conv *c, const tensor *x)
{
    switch (c->kind) {
    case CONV_3_2:
        return tensor_describe(e, x->n, c->out, (x->d + 1) / 2, (x->h + 1) / 2, (x->w + 1) / 2);
    case CONV_UP:
        return tensor_describe(e, x->n, c->out, x->d * 2, x->h * 2, x->w * 2);
    default:
        return tensor_describe(e, x->n, c->out, x->d, x->h, x->w);
    }
}

double conv_flops(const conv *c, const tensor *x)
{
    const double taps = c->kind == CONV_UP ? 8 : 27;
    double positions = (double)(x->n * x->d * x->h * x->w);
    if (c->kind == CONV_3_2)
        positions = (double)(x->n * ((x->d + 1) / 2) * ((x->h + 1) / 2) * ((x->w + 1) / 2));
    return 2 * positions * taps * (double)((c->in[0] + c->in[1]) * c->out);
}

/* ---- maps from a product's weights to the master weights ------------------------------- */

static weight_map map_take(const engine *e, scratch_pieces *s, int64_t terms, int64_t channels)
{
    weight_map m = {.terms = terms, .channels = channels};
    m.term_at = scratch_take(s, (size_t)(terms * CHANNELS_PER_UNIT(e->dtype)), sizeof *m.term_at);
    m.channel_at = scratch_take(s, (size_t)channels, sizeof *m.channel_at);
    return m;
}

/* Terms of `units` units that hold `channels` channels, `taps` taps each from tap[]; a channel's
 * weights lie `stride` floats apart. Starts at term `at`; returns the term behind. */
static int64_t map_terms(const engine *e, weight_map *m, int64_t at, int64_t first,
                         int64_t channels, int64_t stride, const int *tap, int taps)
{
    const int per = CHANNELS_PER_UNIT(e->dtype);
    for (int64_t u = 0; u < units_of(e, channels); u++)
        for (int k = 0; k < taps; k++, at++)
            for (int half = 0; half < per; half++) {
                const int64_t c = u * per + half;
                m->term_at[at * per + half] = c < channels ? (first + c) * stride + tap[k] : -1;
            }
    return at;
}

static const int all_taps[27] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26};

static void map_channels(weight_map *m, int64_t first, int64_t stride)
{
    for (int64_t c = 0; c < m->channels; c++)
        m->channel_at[c] = (first + c) * stride;
}

/* Forward of all kinds. The products' channels of CONV_UP are its phase tensor's. */
static weight_map forward_map(const engine *e, const conv *c, scratch_pieces *s)
{
    const int per = CHANNELS_PER_UNIT(e->dtype);
    const int64_t in = c->in[0] + c->in[1];
    if (c->kind == CONV_UP) {
        const int64_t units = units_of(e, c->out);
        weight_map m = map_take(e, s, units_of(e, in), units * 8 * per);
        if (!s->base)
            return m;
        map_terms(e, &m, 0, 0, in, c->out * 8, all_taps, 1);
        for (int64_t i = 0; i < m.channels; i++) {
            const int64_t o = i / (8 * per) * per + i % per, phase = i / per % 8;
            m.channel_at[i] = o < c->out ? o * 8 + phase : -1;
        }
        return m;
    }
    weight_map m = map_take(e, s, 27 * (units_of(e, c->in[0]) + units_of(e, c->in[1])), c->out);
    if (!s->base)
        return m;
    const int64_t next = map_terms(e, &m, 0, 0, c->in[0], 27, all_taps, 27);
    map_terms(e, &m, next, c->in[0], c->in[1], 27, all_taps, 27);
    map_channels(&m, 0, in * 27);
    return m;
}

/* Taps of a stride-2 convolution that input phase (pz, py, px) takes part in, and where each one's
 * output lies: an even position meets tap 1 here; an odd one tap 2 here and tap 0 one behind. */
static int phase_taps(const tensor *dy, int phase, int tap[8], int64_t distance[8])
{
    int count = 0;
    for (int k = 0; k < 27; k++) {
        const int z = k / 9, y = k / 3 % 3, x = k % 3;
        if ((z != 1) != (phase >> 2) || (y != 1) != (phase >> 1 & 1) || (x != 1) != (phase & 1))
            continue;
        tap[count] = k;
        distance[count] = (z == 0) * dy->plane + (y == 0) * dy->row + (x == 0);
        count++;
    }
    return count;
}

/* Data gradient: terms are dy's units; channels those of input `side`. For CONV_3_2 it has room for
 * the phase of most taps. */
static weight_map gradient_map(const engine *e, const conv *c, int side, scratch_pieces *s)
{
    const int64_t in = c->in[0] + c->in[1];
    const int taps = c->kind == CONV_3 ? 27 : 8;
    const bool up = c->kind == CONV_UP;
    weight_map m = map_take(e, s, units_of(e, c->out) * taps, c->in[side]);
    if (!s->base)
        return m;
    map_terms(e, &m, 0, 0, c->out, up ? 8 : in * 27, all_taps, taps);
    map_channels(&m, side ? c->in[0] : 0, up ? c->out * 8 : 27);
    return m;
}

/* ---- scratch --------------------------------------------------------------------------- */

typedef struct {
    float *packed, *bias;
    weight_map map;
    const uint32_t **term;
    double *partial;
    int64_t chunk, rows; /* of a task */
    uint32_t *local;
    int64_t local_count;
    panel_kind read; /* of a small strided layer */
    int32_t *row;
} layer_scratch;

/* Threads' memory for the phases of whole's units (3 or 2 blocks of 4) at a chunk's positions. */
static void take_split(const engine *e, scratch_pieces *s, layer_scratch *l, int64_t units,
                       int blocks, const tensor *half)
{
    l->chunk = chunk_for(units * blocks * 4, half->n * half->span, CHUNK);
    l->local_count = units * blocks * 4 * phases_length(half, l->chunk);
    l->local =
        scratch_take(s, (size_t)(l->local_count * pool_threads(e->threads)), sizeof *l->local);
}

/* The same for rows of products into phases. */
static void take_spread(const engine *e, scratch_pieces *s, layer_scratch *l, int64_t units,
                        const tensor *half)
{
    l->rows = chunk_for(units * 8, half->n * half->span, CHUNK) / half->row;
    if (l->rows < 1)
        l->rows = 1;
    l->local_count = units * 8 * phases_length(half, l->rows * half->row);
    l->local =
        scratch_take(s, (size_t)(l->local_count * pool_threads(e->threads)), sizeof *l->local);
}

/* What a pass of a small strided layer reads, and its threads' memory, for `in` channels read and `out` computed. */
static void take_panels(const engine *e, scratch_pieces *s, layer_scratch *l, conv_kind kind,
                        bool forward, int64_t in, int64_t out)
{
    l->read = kind == CONV_UP ? (forward ? PANEL_VOXELS : PANEL_PHASES)
                              : (forward ? PANEL_TAPS : PANEL_BEHIND);
    const int64_t per = CHANNELS_PER_UNIT(e->dtype), units = units_of(e, in);
    const int64_t sums = l->read == PANEL_VOXELS ? units_of(e, out) * 8 * per : out;
    l->local_count = strided_local(e, l->read, units, out);
    l->local =
        scratch_take(s, (size_t)(l->local_count * pool_threads(e->threads)), sizeof *l->local);
    l->bias = scratch_take(s, (size_t)round_up(sums, e->kernels->tile), sizeof *l->bias);
    if (l->read == PANEL_BEHIND)
        l->row =
            scratch_take(s, (size_t)(units * 27 * e->kernels->weights_of_term), sizeof *l->row);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Pointers to a sweep's terms; threads' memory for the widened channels of CONV_3. */
static void take_terms(const engine *e, scratch_pieces *s, layer_scratch *l, conv_kind kind,
                       int64_t terms, const tensor *out)
{
    const bool wide = widens(e, kind);
    const int threads = pool_threads(e->threads);
    l->term = scratch_take(
        s, (size_t)(wide ? threads * widened_pointers(terms) : most(out->n, threads) * terms),
        sizeof *l->term);
    if (!wide)
        return;
    l->chunk = chunk_for(terms / 27 * 12, out->n * out->span, 2 * CHUNK);
    l->local_count = widened_count(out, terms / 27, l->chunk);
    l->local = scratch_take(s, (size_t)(l->local_count * threads), sizeof *l->local);
}

static bool by_panels(const conv *c, const tensor *x, const tensor *y)
{
    return c->kind != CONV_3 && strided_used(c->kind == CONV_UP ? x : y);
}

static layer_scratch forward_scratch(const engine *e, const conv *c, const tensor *x,
                                     scratch_pieces *s)
{
    layer_scratch l = {.chunk = CHUNK};
    const tensor y = conv_output(e, c, x);
    const int64_t units = units_of(e, c->in[0]) + units_of(e, c->in[1]);
    const int64_t terms = c->kind == CONV_UP ? units : units * 27;
    take_terms(e, s, &l, c->kind, terms, &y);
    if (by_panels(c, x, &y)) {
        take_panels(e, s, &l, c->kind, true, c->in[0], c->out);
        l.chunk = chunk_for(units * 12, y.n * y.span, CHUNK); /* as take_split: its moments' bits */
    } else if (c->kind == CONV_3_2) {
        take_split(e, s, &l, units, 3, &y);
    } else if (c->kind == CONV_UP) {
        take_spread(e, s, &l, units_of(e, c->out), x);
        l.bias = scratch_take(s, (size_t)(units_of(e, c->out) * 8 * 2), sizeof *l.bias);
        return l;
    }
    l.partial =
        scratch_take(s, (size_t)(x->n * sweep_chunks(&y, l.chunk) * c->out * 3), sizeof *l.partial);
    return l;
}

static layer_scratch gradient_scratch(const engine *e, const conv *c, const tensor *x, int side,
                                      scratch_pieces *s)
{
    layer_scratch l = {.chunk = CHUNK};
    const tensor y = conv_output(e, c, x);
    const int64_t terms = units_of(e, c->out) * (c->kind == CONV_UP ? 8 : 27);
    l.map = gradient_map(e, c, side, s);
    l.packed = scratch_take(s, (size_t)packed_count(e, terms, c->in[side]), sizeof(float));
    take_terms(e, s, &l, c->kind, terms, x);
    if (by_panels(c, x, &y))
        take_panels(e, s, &l, c->kind, false, c->out, c->in[side]);
    else if (c->kind == CONV_3_2)
        take_spread(e, s, &l, units_of(e, c->in[0]), &y);
    else if (c->kind == CONV_UP)
        take_split(e, s, &l, units_of(e, c->out), 2, x);
    return l;
}

size_t conv_scratch_bytes(const engine *e, const conv *c, const tensor *x, conv_pass pass)
{
    if (e->target == TARGET_REF)
        return 0;
    if (pass == CONV_WEIGHT_GRADIENT)
        return weight_gradient_scratch(e, c, x);
    if (winograd_used(e, c, pass))
        return winograd_scratch(e, c, x, pass);
    size_t bytes = 0;
    for (int side = 0; side < (c->in[1] ? 2 : 1); side++) {
        scratch_pieces s = {0};
        if (pass == CONV_FORWARD)
            forward_scratch(e, c, x, &s);
        else
            gradient_scratch(e, c, x, side, &s);
        bytes = s.used > bytes ? s.used : bytes;
    }
    return bytes;
}

size_t conv_packed_bytes(const engine *e, const conv *c)
{
    if (e->target == TARGET_REF)
        return (size_t)((c->in[0] + c->in[1]) * c->out * (c->kind == CONV_UP ? 8 : 27)) * 4;
    if (winograd_used(e, c, CONV_FORWARD))
        return winograd_packed_bytes(e, c);
    scratch_pieces s = {0};
    const weight_map m = forward_map(e, c, &s);
    return (size_t)packed_count(e, m.terms, m.channels) * sizeof(float) + s.used;
}

/* The map lies behind the weights. */
void conv_pack(engine *e, const conv *c, const float *weight, void *packed)
{
    if (e->target == TARGET_REF) {
        memcpy(packed, weight, conv_packed_bytes(e, c));
        return;
    }
    if (winograd_used(e, c, CONV_FORWARD)) {
        winograd_pack(e, c, weight, packed);
        return;
    }
    scratch_pieces s = {0};
    const weight_map counted = forward_map(e, c, &s);
    s = (scratch_pieces){.base =
                             (char *)packed + packed_count(e, counted.terms, counted.channels) * 4};
    const weight_map map = forward_map(e, c, &s);
    pack_weights(e, &map, weight, packed);
}

/* 27 terms for each unit of sample n, in the order of the packed weights. */
static const uint32_t **tap_terms(const uint32_t **term, const tensor *x, int64_t n, int sign)
{
    for (int64_t u = 0; u < tensor_units(x); u++)
        for (int k = 0; k < 27; k++)
            *term++ = tensor_unit(x, n, u) + sign * tap_distance(x, k);
    return term;
}

/* ---- forward --------------------------------------------------------------------------- */

static void forward_up(engine *e, const conv *c, const tensor *x, const void *packed,
                       const float *bias, const tensor *y, const layer_scratch *l)
{
    const int per = CHANNELS_PER_UNIT(x->dtype);
    const int64_t units = tensor_units(x);
    spread s = {
        .e = e,
        .whole = y,
        .half = x,
        .products = 1,
        .term = {l->term},
        .terms = {units},
        .channels = units_of(e, c->out) * 8 * per,
        .packed = {packed},
        .bias = l->bias,
        .rows = l->rows,
        .local = l->local,
        .local_count = l->local_count,
    };
    for (int64_t i = 0; i < s.channels; i++) {
        const int64_t o = i / (8 * per) * per + i % per;
        l->bias[i] = o < c->out ? bias[o] : 0;
    }
    for (int64_t t = 0; t < x->n * units; t++)
        l->term[t] = tensor_unit(x, t / units, t % units);
    spread_run(&s);
}

/* A small strided layer: its products' channels of CONV_UP are its phase tensor's. */
static void forward_strided(engine *e, const conv *c, const tensor *x, const void *packed,
                            const float *bias, const tensor *y, double *partial,
                            const layer_scratch *l)
{
    const int per = CHANNELS_PER_UNIT(x->dtype);
    const bool up = c->kind == CONV_UP;
    const int64_t channels = up ? units_of(e, c->out) * 8 * per : c->out;
    for (int64_t i = 0; i < round_up(channels, e->kernels->tile); i++) {
        const int64_t o = up ? i / (8 * per) * per + i % per : i;
        l->bias[i] = o < c->out ? bias[o] : 0;
    }
    strided_run(&(strided){
        .e = e,
        .half = up ? x : y,
        .whole = up ? y : x,
        .read = l->read,
        .products = 1,
        .terms = {tensor_units(x) * panel_rows_of(l->read)},
        .packed = {packed},
        .bias = l->bias,
        .channels = c->out,
        .partial = partial,
        .chunk = l->chunk,
        .local = (float *)l->local,
        .local_count = l->local_count,
    });
}

void conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed, const float *bias,
                  const tensor *y, float *moments, void *scratch)
{
    assert(!moments || c->kind != CONV_UP);
    if (e->target == TARGET_REF) {
        ref_conv_forward(e, c, x, packed, bias, y, moments);
        return;
    }
    if (winograd_used(e, c, CONV_FORWARD)) {
        winograd_forward(e, c, x, packed, bias, y, moments, scratch);
        return;
    }
    scratch_pieces pieces = {.base = scratch};
    const layer_scratch l = forward_scratch(e, c, x[0], &pieces);
    double *partial = moments ? l.partial : NULL;
    const bool panels = by_panels(c, x[0], y);
    if (panels)
        forward_strided(e, c, x[0], packed, bias, y, partial, &l);
    if (c->kind == CONV_UP) {
        if (!panels)
            forward_up(e, c, x[0], packed, bias, y, &l);
        return;
    }
    const sweep s = {
        .e = e,
        .out = y,
        .channels = c->out,
        .term = l.term,
        .terms = 27 * (units_of(e, c->in[0]) + units_of(e, c->in[1])),
        .packed = packed,
        .bias = bias,
        .partial = partial,
        .chunk = l.chunk,
        .split = c->kind == CONV_3_2 ? x[0] : NULL,
        .blocks = 3,
        .widened = widens(e, c->kind) ? x : NULL,
        .local = l.local,
        .local_count = l.local_count,
    };
    const uint32_t **next = l.term;
    for (int64_t n = 0; c->kind == CONV_3 && !s.widened && n < y->n; n++) {
        next = tap_terms(next, x[0], n, 1);
        if (x[1])
            next = tap_terms(next, x[1], n, 1);
    }
    if (!panels)
        sweep_run(&s);
    if (moments)
        moments_join(e, y->n, c->out, sweep_chunks(y, l.chunk), l.partial, moments);
}

/* ---- data gradient --------------------------------------------------------------------- */

static void gradient_3_2(engine *e, const conv *c, const float *weight, const tensor *dy,
                         const tensor *dx, bool add, const layer_scratch *l)
{
    const int64_t units = tensor_units(dy);
    spread s = {
        .e = e,
        .whole = dx,
        .half = dy,
        .products = 8,
        .channels = c->in[0],
        .add = add,
        .rows = l->rows,
        .local = l->local,
        .local_count = l->local_count,
    };
    const uint32_t **term = l->term;
    float *packed = l->packed;
    for (int phase = 0; phase < 8; phase++) {
        int tap[8];
        int64_t distance[8];
        const int taps = phase_taps(dy, phase, tap, distance);
        weight_map map = l->map;
        map.terms = s.terms[phase] = units * taps;
        map_terms(e, &map, 0, 0, c->out, c->in[0] * 27, tap, taps);
        pack_weights(e, &map, weight, packed);
        s.packed[phase] = packed;
        packed += packed_count(e, map.terms, c->in[0]);
        s.term[phase] = term;
        for (int64_t t = 0; t < dx->n * map.terms; t++)
            *term++ = tensor_unit(dy, t / map.terms, t % map.terms / taps) + distance[t % taps];
    }
    spread_run(&s);
}

/* The row of a panel (PANEL_BEHIND) that holds a tap's output: one behind along each axis where the
 * tap is 0. */
static int row_behind(int tap)
{
    return 4 * (tap < 9) + 2 * (tap / 3 % 3 == 0) + (tap % 3 == 0);
}

/* The products of CONV_3_2's eight phases. */
static void phase_products(engine *e, const conv *c, const float *weight, const layer_scratch *l,
                           strided *s)
{
    const int64_t units = units_of(e, c->out);
    const int halves = e->kernels->weights_of_term;
    float *packed = l->packed;
    int32_t *row = l->row;
    for (int phase = 0; phase < 8; phase++) {
        int tap[8];
        int64_t distance[8];
        const int taps = phase_taps(s->half, phase, tap, distance);
        weight_map map = l->map;
        map.terms = s->terms[phase] = units * taps;
        map_terms(e, &map, 0, 0, c->out, c->in[0] * 27, tap, taps);
        pack_weights(e, &map, weight, packed);
        s->packed[phase] = packed;
        packed += packed_count(e, map.terms, c->in[0]);
        s->row[phase] = row;
        for (int64_t u = 0; u < units; u++)
            for (int k = 0; k < taps; k++)
                for (int h = 0; h < halves; h++)
                    *row++ = (int32_t)(u * 8 + row_behind(tap[k])) * halves + h;
    }
}

static void gradient_strided(engine *e, const conv *c, const float *weight, const tensor *dy,
                             const tensor *dx, bool add, const layer_scratch *l)
{
    const bool up = c->kind == CONV_UP;
    strided s = {
        .e = e,
        .half = up ? dx : dy,
        .whole = up ? dy : dx,
        .read = l->read,
        .products = up ? 1 : 8,
        .terms = {l->map.terms},
        .packed = {l->packed},
        .bias = l->bias,
        .channels = c->in[0],
        .add = add,
        .chunk = l->chunk,
        .local = (float *)l->local,
        .local_count = l->local_count,
    };
    memset(l->bias, 0, (size_t)round_up(c->in[0], e->kernels->tile) * sizeof *l->bias);
    if (up)
        pack_weights(e, &l->map, weight, l->packed);
    else
        phase_products(e, c, weight, l, &s);
    strided_run(&s);
}

static void data_gradient(engine *e, const conv *c, int side, const float *weight, const tensor *dy,
                          const tensor *dx, bool add, void *scratch)
{
    scratch_pieces pieces = {.base = scratch};
    const layer_scratch l = gradient_scratch(e, c, dx, side, &pieces);
    if (l.bias) { /* by panels */
        gradient_strided(e, c, weight, dy, dx, add, &l);
        return;
    }
    if (c->kind == CONV_3_2) {
        gradient_3_2(e, c, weight, dy, dx, add, &l);
        return;
    }
    const conv_inputs source = {dy};
    const sweep s = {
        .e = e,
        .out = dx,
        .channels = c->in[side],
        .term = l.term,
        .terms = l.map.terms,
        .packed = l.packed,
        .add = add,
        .chunk = l.chunk,
        .split = c->kind == CONV_UP ? dy : NULL,
        .blocks = 2,
        .widened = widens(e, c->kind) ? source : NULL,
        .flipped = true,
        .local = l.local,
        .local_count = l.local_count,
    };
    pack_weights(e, &l.map, weight, l.packed);
    const uint32_t **next = l.term;
    for (int64_t n = 0; c->kind == CONV_3 && !s.widened && n < dy->n; n++)
        next = tap_terms(next, dy, n, -1);
    sweep_run(&s);
}

void conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                        conv_inputs dx, const bool add[2], void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_conv_data_gradient(e, c, weight, dy, dx, add);
        return;
    }
    const bool winograd = winograd_used(e, c, CONV_DATA_GRADIENT);
    for (int side = 0; side < 2; side++)
        if (dx[side])
            (winograd ? winograd_data_gradient : data_gradient)(e, c, side, weight, dy, dx[side],
                                                                add[side], scratch);
}
