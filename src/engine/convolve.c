/* Convolutions forward and their data gradients, each as a sum of terms (kernels.h):
 *
 *     CONV_3     y[f]  = sum of w[k] x[f + distance(k)]; its data gradient the same with -distance
 *     CONV_3_2   x falls into eight phases at y's resolution, where a tap is a phase and a
 * distance; its data gradient makes eight phases of 1, 2, 4 or 8 taps each CONV_UP    eight phases
 * of one tap each; its data gradient is one sum over phases of dy */
#include "engine/convolve.h"

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

int64_t units_of(const engine *e, int64_t channels)
{
    const int per = CHANNELS_PER_UNIT(e->dtype);
    return (channels + per - 1) / per;
}

/* Sample n of a tensor as a tensor. */
static tensor sample_of(const tensor *t, int64_t n)
{
    tensor one = *t;
    one.n = 1;
    one.data = (uint32_t *)t->data + n * t->sample_stride;
    return one;
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
        if (dy)
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
    float *packed;
    weight_map map;
    const uint32_t **term;
    double *partial;
    float *bias;
    tensor phases;
} layer_scratch;

static void take_phases(const engine *e, scratch_pieces *s, layer_scratch *l, int64_t channels,
                        const tensor *small)
{
    l->phases = phases_describe(e, units_of(e, channels), small->d, small->h, small->w);
    l->phases.data = scratch_take(s, tensor_bytes(&l->phases), 1);
}

static layer_scratch forward_scratch(const engine *e, const conv *c, const tensor *x,
                                     scratch_pieces *s)
{
    layer_scratch l = {0};
    const tensor y = conv_output(e, c, x);
    const int64_t units = units_of(e, c->in[0]) + units_of(e, c->in[1]);
    const int64_t terms = c->kind == CONV_UP ? units : units * 27;
    l.term = scratch_take(s, (size_t)(x->n * terms), sizeof *l.term);
    l.partial = scratch_take(s, (size_t)(x->n * sweep_chunks(&y) * c->out * 2), sizeof(double));
    if (c->kind == CONV_3_2)
        take_phases(e, s, &l, c->in[0], &y);
    if (c->kind == CONV_UP) {
        take_phases(e, s, &l, c->out, x);
        l.bias = scratch_take(s, (size_t)l.phases.c, sizeof *l.bias);
    }
    return l;
}

static layer_scratch gradient_scratch(const engine *e, const conv *c, const tensor *x, int side,
                                      scratch_pieces *s)
{
    layer_scratch l = {0};
    l.map = gradient_map(e, c, side, s);
    const int64_t packed_terms = units_of(e, c->out) * (c->kind == CONV_UP ? 8 : 27);
    l.packed = scratch_take(s, (size_t)packed_count(e, packed_terms, c->in[side]), sizeof(float));
    l.term = scratch_take(s, (size_t)(x->n * l.map.terms), sizeof *l.term);
    const tensor y = conv_output(e, c, x);
    if (c->kind == CONV_3_2)
        take_phases(e, s, &l, c->in[0], &y);
    if (c->kind == CONV_UP)
        take_phases(e, s, &l, c->out, x);
    return l;
}

size_t conv_scratch_bytes(const engine *e, const conv *c, const tensor *x, conv_pass pass)
{
    if (e->target == TARGET_REF)
        return 0;
    if (pass == CONV_WEIGHT_GRADIENT)
        return weight_gradient_scratch(e, c, x);
    size_t most = 0;
    for (int side = 0; side < (c->in[1] ? 2 : 1); side++) {
        scratch_pieces s = {0};
        if (pass == CONV_FORWARD)
            forward_scratch(e, c, x, &s);
        else
            gradient_scratch(e, c, x, side, &s);
        most = s.used > most ? s.used : most;
    }
    return most;
}

size_t conv_packed_bytes(const engine *e, const conv *c)
{
    if (e->target == TARGET_REF)
        return (size_t)((c->in[0] + c->in[1]) * c->out * (c->kind == CONV_UP ? 8 : 27)) * 4;
    scratch_pieces s = {0};
    const weight_map m = forward_map(e, c, &s);
    return (size_t)packed_count(e, m.terms, m.channels) * sizeof(float) + s.used;
}

void conv_pack(engine *e, const conv *c, const float *weight, void *packed)
{
    if (e->target == TARGET_REF) {
        memcpy(packed, weight, conv_packed_bytes(e, c));
        return;
    }
    scratch_pieces s = {0};
    const weight_map counted = forward_map(e, c, &s);
    s = (scratch_pieces){.base =
                             (char *)packed + packed_count(e, counted.terms, counted.channels) * 4};
    const weight_map map = forward_map(e, c, &s);
    pack_weights(e, &map, weight, packed);
}

/* ---- terms ----------------------------------------------------------------------------- */

/* 27 terms for each unit of sample n, in the order of the packed weights. */
static const uint32_t **tap_terms(const uint32_t **term, const tensor *x, int64_t n, int sign)
{
    for (int64_t u = 0; u < tensor_units(x); u++)
        for (int k = 0; k < 27; k++)
            *term++ = tensor_unit(x, n, u) + sign * tap_distance(x, k);
    return term;
}

/* ---- forward --------------------------------------------------------------------------- */

static void forward_3(const sweep *layer, conv_inputs x, const uint32_t **term)
{
    const uint32_t **next = term;
    for (int64_t n = 0; n < x[0]->n; n++) {
        next = tap_terms(next, x[0], n, 1);
        if (x[1])
            next = tap_terms(next, x[1], n, 1);
    }
    sweep_run(layer);
}

static void forward_3_2(const sweep *layer, const tensor *x, const layer_scratch *l)
{
    sweep s = *layer;
    for (int64_t n = 0; n < x->n; n++) {
        phases_split(s.e, x, n, &l->phases);
        for (int64_t t = 0; t < s.terms; t++) {
            int phase;
            int64_t distance;
            stride_tap(&l->phases, (int)(t % 27), &phase, &distance);
            l->term[t] = tensor_unit(&l->phases, 0, t / 27 * 8 + phase) + distance;
        }
        const tensor one = sample_of(layer->out, n);
        s.out = &one;
        if (layer->partial)
            s.partial = layer->partial + n * sweep_chunks(&one) * s.channels * 2;
        sweep_run(&s);
    }
}

static void forward_up(const sweep *layer, const tensor *x, const tensor *y, const float *bias,
                       const layer_scratch *l)
{
    sweep s = *layer;
    const int per = CHANNELS_PER_UNIT(x->dtype);
    for (int64_t i = 0; i < l->phases.c; i++) {
        const int64_t o = i / (8 * per) * per + i % per;
        l->bias[i] = o < y->c ? bias[o] : 0;
    }
    s.out = &l->phases;
    s.channels = l->phases.c;
    s.bias = l->bias;
    for (int64_t n = 0; n < x->n; n++) {
        for (int64_t t = 0; t < s.terms; t++)
            l->term[t] = tensor_unit(x, n, t);
        sweep_run(&s);
        phases_merge(s.e, &l->phases, y, n, false);
    }
}

void conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed, const float *bias,
                  const tensor *y, float *moments, void *scratch)
{
    assert(!moments || c->kind != CONV_UP);
    if (e->target == TARGET_REF) {
        ref_conv_forward(e, c, x, packed, bias, y, moments);
        return;
    }
    scratch_pieces pieces = {.base = scratch};
    const layer_scratch l = forward_scratch(e, c, x[0], &pieces);
    const int64_t units = units_of(e, c->in[0]) + units_of(e, c->in[1]);
    const sweep s = {
        .e = e,
        .out = y,
        .channels = c->out,
        .term = l.term,
        .terms = c->kind == CONV_UP ? units : units * 27,
        .packed = packed,
        .bias = bias,
        .partial = moments ? l.partial : NULL,
    };
    if (c->kind == CONV_3)
        forward_3(&s, x, l.term);
    else if (c->kind == CONV_3_2)
        forward_3_2(&s, x[0], &l);
    else
        forward_up(&s, x[0], y, bias, &l);
    if (moments)
        moments_finish(y, l.partial, moments);
}

/* ---- data gradient --------------------------------------------------------------------- */

static void gradient_3(sweep *s, const tensor *dy, const layer_scratch *l)
{
    const uint32_t **next = l->term;
    for (int64_t n = 0; n < dy->n; n++)
        next = tap_terms(next, dy, n, -1);
    sweep_run(s);
}

/* Phase `phase` of every unit, as a tensor. */
static tensor phase_view(const tensor *phases, int phase, int64_t channels)
{
    tensor view = *phases;
    view.c = channels;
    view.data = (uint32_t *)phases->data + phase * phases->unit_stride;
    view.sample_stride -= phase * phases->unit_stride;
    view.unit_stride *= 8;
    return view;
}

static void gradient_3_2(sweep *s, const conv *c, const float *weight, const tensor *dy,
                         const tensor *dx, bool add, const layer_scratch *l)
{
    int64_t packed_terms[9] = {0}, distance[8];
    int tap[8];
    const int64_t units = tensor_units(dy);
    for (int phase = 0; phase < 8; phase++) {
        weight_map m = l->map;
        const int taps = phase_taps(NULL, phase, tap, NULL);
        m.terms = units * taps;
        map_terms(s->e, &m, 0, 0, c->out, c->in[0] * 27, tap, taps);
        pack_weights(s->e, &m, weight,
                     l->packed + packed_count(s->e, packed_terms[phase], c->in[0]));
        packed_terms[phase + 1] = packed_terms[phase] + m.terms;
    }
    for (int64_t n = 0; n < dx->n; n++) {
        for (int phase = 0; phase < 8; phase++) {
            const int taps = phase_taps(&l->phases, phase, tap, distance);
            const tensor view = phase_view(&l->phases, phase, c->in[0]);
            for (int64_t t = 0; t < units * taps; t++)
                l->term[t] = tensor_unit(dy, n, t / taps) + distance[t % taps];
            s->out = &view;
            s->terms = units * taps;
            s->packed = l->packed + packed_count(s->e, packed_terms[phase], c->in[0]);
            sweep_run(s);
        }
        phases_merge(s->e, &l->phases, dx, n, add);
    }
}

static void gradient_up(sweep *s, const tensor *dy, const tensor *dx, const layer_scratch *l)
{
    for (int64_t n = 0; n < dx->n; n++) {
        phases_split(s->e, dy, n, &l->phases);
        for (int64_t t = 0; t < s->terms; t++)
            l->term[t] = tensor_unit(&l->phases, 0, t);
        const tensor one = sample_of(dx, n);
        s->out = &one;
        sweep_run(s);
    }
}

void conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                        conv_inputs dx, const bool add[2], void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_conv_data_gradient(e, c, weight, dy, dx, add);
        return;
    }
    for (int side = 0; side < 2; side++) {
        if (!dx[side])
            continue;
        scratch_pieces pieces = {.base = scratch};
        const layer_scratch l = gradient_scratch(e, c, dx[side], side, &pieces);
        sweep s = {
            .e = e,
            .out = dx[side],
            .channels = c->in[side],
            .term = l.term,
            .terms = l.map.terms,
            .packed = l.packed,
            .add = add[side] && c->kind != CONV_3_2,
        };
        if (c->kind == CONV_3_2) {
            gradient_3_2(&s, c, weight, dy, dx[side], add[side], &l);
            continue;
        }
        pack_weights(e, &l.map, weight, l.packed);
        if (c->kind == CONV_3)
            gradient_3(&s, dy, &l);
        else
            gradient_up(&s, dy, dx[side], &l);
    }
}
