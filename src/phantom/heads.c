/* One head: a pose, a field of view, four images whose contrasts are drawn one by one, and the
 * brain's mask. Half of the contrasts follow the signal equations, as T1, T1CE, T2 and FLAIR with
 * the sequences of many scanners; in the other half every tissue has a signal of its own at random,
 * as in SynthStrip (Hoopes 2022): a network that has seen any contrast asks for none. */
#include "phantom/anatomy.h"
#include "phantom/head.h"
#include "phantom/headscan.h"
#include "phantom/tumour.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_POSE, STREAM_HEAD, STREAM_BRAIN, STREAM_TUMOUR, STREAM_CONTRAST, STREAM_SCANNER };
enum { KNOTS = 6 };

/* Signals of one image. Of a real brain, the image `source` through `curve`, or times `gain` where
 * that is not 0. */
typedef struct {
    float signal[HEAD_TISSUES];
    int source;
    float gain, curve[KNOTS];
    float bias, near; /* of the coil's field: its logarithm's deviation; more signal at the skin */
    field coil;
    float texture; /* unevenness of tissues */
    field grain;
} contrast;

typedef struct {
    phantom_case *out;
    const real_brain *real;
    double turn[3][3], shift[3], scale; /* scanner to head: turn^T (w - shift) / scale */
    double first[3];                    /* place of voxel 0 in the scanner, mm */
    anatomy brain;
    tumour mass;
    bool with_tumour;
    head_anatomy head;
    contrast contrasts[MODALITIES];
    float *image[MODALITIES];
    bool defaced;
    float face_plane;
} head_job;

static const double voxel_mm = 2;

/* ---- what is drawn -------------------------------------------------------------------------- */

static void draw_rotation(random_stream *r, double turn[3][3])
{
    double a[3];
    for (int k = 0; k < 3; k++)
        a[k] = (k == 0 ? 0.2 : 0.1) * random_normal(r); /* radians; heads nod more than they turn */
    a[0] = fmax(-0.5, fmin(0.5, a[0]));
    const double cx = cos(a[0]), sx = sin(a[0]), cy = cos(a[1]), sy = sin(a[1]);
    const double cz = cos(a[2]), sz = sin(a[2]);
    const double m[3][3] = {{cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz},
                            {cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz},
                            {-sy, sx * cy, cx * cy}};
    memcpy(turn, m, sizeof m);
}

/* The field of view, mm to either side of the middle: all of the head, or cut off on any side. */
static void draw_view(random_stream *r, double low[3], double high[3])
{
    low[0] = -random_uniform(r, 82, 110);
    high[0] = random_uniform(r, 82, 110);
    low[1] = -random_uniform(r, 105, 130);
    high[1] = random_uniform(r, 100, 130);
    low[2] = -random_uniform(r, 75, 190);
    high[2] = random_uniform(r, 82, 115);
    if (random_chance(r, 0.12))
        low[2] = -random_uniform(r, 20, 75);
    if (random_chance(r, 0.12))
        high[2] = random_uniform(r, 35, 82);
    if (random_chance(r, 0.05))
        low[0] = -random_uniform(r, 40, 82);
    if (random_chance(r, 0.05))
        high[0] = random_uniform(r, 40, 82);
    if (random_chance(r, 0.05))
        low[1] = -random_uniform(r, 60, 105);
    if (random_chance(r, 0.05))
        high[1] = random_uniform(r, 60, 100);
}

static sequence draw_sequence(random_stream *r, modality m)
{
    sequence s = {.contrast_agent = m == T1CE};
    if (m == T2) {
        s.tr_ms = random_uniform(r, 2500, 7000);
        s.te_ms = random_uniform(r, 70, 130);
    } else if (m == FLAIR) {
        s.tr_ms = random_uniform(r, 6000, 11000);
        s.te_ms = random_uniform(r, 90, 150);
        s.ti_ms = inversion_time_of_null(tissues[TISSUE_CSF].t1_ms, s.tr_ms, s.te_ms) *
                  random_uniform(r, 0.9, 1);
    } else if (random_chance(r, 0.5)) { /* spin echo */
        s.tr_ms = random_uniform(r, 400, 800);
        s.te_ms = random_uniform(r, 6, 18);
    } else { /* a prepared gradient echo */
        s.tr_ms = random_uniform(r, 1600, 2500);
        s.te_ms = random_uniform(r, 2, 5);
        s.ti_ms = random_uniform(r, 750, 1100);
    }
    return s;
}

static void draw_physical(random_stream *r, modality m, contrast *c)
{
    const sequence s = draw_sequence(r, m);
    for (int i = 0; i < HEAD_TISSUES; i++) {
        tissue t = i < TISSUES ? tissues[i] : head_tissues[i];
        const double spread = i < TISSUES ? 0.05 : 0.2;
        t.t1_ms *= exp(spread * random_normal(r));
        t.t2_ms *= exp(spread * random_normal(r));
        t.density *= exp(spread * random_normal(r));
        t.gadolinium_mm *= exp(0.4 * random_normal(r));
        c->signal[i] = (float)fabs(tissue_signal(&t, &s));
    }
    c->signal[HEAD_SINUS] *= (float)random_uniform(r, 0, 1.3); /* blood that flows */
    const double fat = random_chance(r, 0.3) ? random_uniform(r, 0.05, 0.5) : 1;
    c->signal[HEAD_FAT] *= (float)fat;
    c->signal[HEAD_MARROW] *= (float)fat;
    c->source = (int)m;
    c->gain = 0.5f * (c->signal[TISSUE_WHITE] + c->signal[TISSUE_GREY]);
}

static void draw_random(random_stream *r, contrast *c)
{
    for (int i = 0; i < HEAD_TISSUES; i++)
        c->signal[i] = (float)random_uniform(r, 0.05, 1);
    if (random_chance(r, 0.7))
        c->signal[HEAD_BONE] *= 0.2f;
    c->signal[HEAD_AIR] = random_chance(r, 0.9) ? 0 : (float)random_uniform(r, 0, 0.3);
    c->signal[TISSUE_DEEP_GREY] = 0.6f * c->signal[TISSUE_GREY] + 0.4f * c->signal[TISSUE_WHITE];
    if (random_chance(r, 0.5)) /* cord and brain are of one kind */
        c->signal[HEAD_NERVE] = c->signal[TISSUE_WHITE];
    c->source = (int)random_below(r, MODALITIES);
    c->gain = 0;
    for (int k = 0; k < KNOTS; k++)
        c->curve[k] = (float)random_uniform(r, 0.05, 1);
}

static void draw_contrast(random_stream *r, modality m, contrast *c)
{
    if (random_chance(r, 0.5))
        draw_physical(r, m, c);
    else
        draw_random(r, c);
    c->bias = (float)random_uniform(r, 0, 0.4);
    c->near = random_chance(r, 0.3) ? (float)random_uniform(r, 0, 0.8) : 0;
    c->coil = field_draw(r, 4, 130, 400);
    c->texture = (float)random_uniform(r, 0, 0.12);
    c->grain = field_draw(r, 12, 7, 22);
}

/* ---- voxels --------------------------------------------------------------------------------- */

/* Piecewise linear over values from 0 to 2.5 times the median. */
static float through_curve(const float curve[KNOTS], float value)
{
    const float at = clamped(value * 2, 0, KNOTS - 1.001f);
    const int k = (int)at;
    return curve[k] + (at - (float)k) * (curve[k + 1] - curve[k]);
}

static float brain_signal(const contrast *c, const real_brain *b, const float values[MODALITIES])
{
    int source = c->source;
    for (int k = 0; k < MODALITIES && !(b->present >> source & 1); k++)
        source = (source + 1) % MODALITIES;
    return c->gain > 0 ? c->gain * clamped(values[source], 0, 6)
                       : through_curve(c->curve, values[source]);
}

static void make_voxel(const head_job *j, const double from[3], size_t voxel)
{
    float head[3], template[3], values[MODALITIES] = {0}, place[3];
    head_point point = {0};
    const float h = (float)(sqrt(voxel_mm * voxel_mm + 1) / j->scale);
    for (int i = 0; i < 3; i++) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += j->turn[k][i] * (from[k] - j->shift[k]);
        head[i] = (float)(sum / j->scale);
        place[i] = (float)from[i];
    }
    memcpy(template, head, sizeof head);
    if (j->real)
        real_brain_at(j->real, head, &point.depth, values);
    else {
        float cerebrum;
        anatomy_to_template(&j->brain, head, template);
        point.depth = anatomy_mask(&j->brain, template, &cerebrum);
        if (point.depth > -h) {
            anatomy_point healthy;
            float source[3];
            memcpy(source, template, sizeof source);
            if (j->with_tumour)
                tumour_source(&j->mass, template, source);
            anatomy_at(&j->brain, template, source, h, &healthy);
            if (j->with_tumour)
                tumour_apply(&j->mass, template, h, &healthy);
            memcpy(point.share, healthy.share, sizeof healthy.share);
        }
    }
    if (j->real)
        point.share[TISSUE_WHITE] = 1; /* stands for all of the brain */
    const float depth = point.depth;
    head_at(&j->head, template, h, &point);
    j->out->labels[voxel] = depth > 0;
    for (int m = 0; m < MODALITIES; m++) {
        const contrast *c = &j->contrasts[m];
        float sum = 0;
        for (int i = 0; i < HEAD_TISSUES; i++)
            sum += point.share[i] *
                   (i == TISSUE_WHITE && j->real ? brain_signal(c, j->real, values) : c->signal[i]);
        j->image[m][voxel] = 0;
        if (sum <= 0 || (j->defaced && depth < -6 && head[1] + 0.6f * head[2] < j->face_plane))
            continue;
        const float skin = c->near > 0 ? expf(-fmaxf(depth + 15, 0) / 25) : 0;
        sum *= expf(c->bias * field_at(&c->coil, place)) * (1 + c->near * skin);
        if (!j->real || depth <= 0)
            sum *= 1 + c->texture * field_at(&c->grain, template);
        j->image[m][voxel] = fmaxf(sum, 0);
    }
}

static void make_slice(void *context, int64_t z, int thread)
{
    const head_job *j = context;
    const int64_t *n = j->out->shape;
    (void)thread;
    for (int64_t y = 0; y < n[1]; y++)
        for (int64_t x = 0; x < n[0]; x++) {
            const double at[3] = {j->first[0] + (double)x * voxel_mm,
                                  j->first[1] + (double)y * voxel_mm,
                                  j->first[2] + (double)z * voxel_mm};
            make_voxel(j, at, (size_t)((z * n[1] + y) * n[0] + x));
        }
}

/* ---- the whole ------------------------------------------------------------------------------ */

typedef struct {
    head_job *job;
    uint64_t seed;
    uint32_t index;
} scan_job;

static float brain_level(const float *image, const uint8_t *labels, int64_t voxels)
{
    double sum = 0, count = 0;
    for (int64_t i = 0; i < voxels; i++)
        if (labels[i]) {
            sum += image[i];
            count++;
        }
    return count > 0 ? (float)(sum / count) : 0.5f;
}

/* Scanner, gain, whole numbers. */
static ts_status scan_image(void *context, int64_t m, int thread, ts_error *error)
{
    const scan_job *s = context;
    head_job *j = s->job;
    phantom_case *out = j->out;
    const int64_t voxels = voxel_count(out->shape);
    (void)thread;
    random_stream r =
        random_open(s->seed, RANDOM_HEAD, s->index, (uint32_t)(STREAM_SCANNER + 1 + m));
    const scanner sc = scanner_draw(&r);
    const bool masked = random_chance(&r, 0.3);
    const float level = brain_level(j->image[m], out->labels, voxels);
    const ts_status status = scanner_apply(&sc, out->shape, level, &r, j->image[m], error);
    const float gain = (float)exp(random_uniform(&r, log(150), log(1500))) / level;
    const float floor = masked ? (2.5f * sc.noise + 0.02f) * level : 0;
    for (int64_t i = 0; i < voxels && status == TS_OK; i++) {
        const float v = j->image[m][i] * gain;
        /* 0 where the scanner's own software cuts the background off */
        out->images[m][i] = j->image[m][i] < floor ? 0 : (int16_t)fminf(v + 1, 32000);
    }
    return status;
}

static void draw_job(head_job *j, uint64_t seed, uint32_t index)
{
    random_stream r = random_open(seed, RANDOM_HEAD, index, STREAM_POSE);
    double low[3], high[3];
    draw_rotation(&r, j->turn);
    j->scale = random_uniform(&r, 0.86, 1.1);
    for (int k = 0; k < 3; k++)
        j->shift[k] = random_uniform(&r, -6, 6);
    draw_view(&r, low, high);
    phantom_case *out = j->out;
    out->spacing_mm = voxel_mm;
    for (int k = 0; k < 3; k++) {
        out->shape[k] = (int64_t)((high[k] - low[k]) * j->scale / voxel_mm);
        j->first[k] = low[k] * j->scale + j->shift[k];
    }
    const double affine[4][4] = {{-voxel_mm, 0, 0, -j->first[0]},
                                 {0, -voxel_mm, 0, -j->first[1]},
                                 {0, 0, voxel_mm, j->first[2]},
                                 {0, 0, 0, 1}};
    memcpy(out->affine, affine, sizeof affine);
    j->defaced = random_chance(&r, 0.12);
    j->face_plane = (float)random_uniform(&r, -105, -80);
    j->with_tumour = random_chance(&r, 0.7);
    r = random_open(seed, RANDOM_HEAD, index, STREAM_HEAD);
    j->head = head_draw(&r);
    r = random_open(seed, RANDOM_HEAD, index, STREAM_BRAIN);
    j->brain = anatomy_draw(&r);
    r = random_open(seed, RANDOM_HEAD, index, STREAM_TUMOUR);
    j->mass = tumour_draw(&r, &j->brain);
    r = random_open(seed, RANDOM_HEAD, index, STREAM_CONTRAST);
    for (int m = 0; m < MODALITIES; m++)
        draw_contrast(&r, (modality)m, &j->contrasts[m]);
}

ts_status head_make(uint64_t seed, int64_t index, const real_brain *brain, pool *p,
                    phantom_case *out, ts_error *error)
{
    *out = (phantom_case){0};
    head_job *j = memory_allocate(1, sizeof *j, "a head's parameters", error);
    if (!j)
        return TS_MEMORY;
    j->out = out;
    j->real = brain;
    draw_job(j, seed, (uint32_t)index);
    const size_t voxels = (size_t)voxel_count(out->shape);
    out->labels = memory_allocate(voxels, 1, "a head's labels", error);
    ts_status status = out->labels ? TS_OK : TS_MEMORY;
    for (int m = 0; m < MODALITIES && status == TS_OK; m++) {
        out->images[m] = memory_allocate(voxels, sizeof(int16_t), "a head's images", error);
        j->image[m] = out->images[m]
                          ? memory_allocate(voxels, sizeof(float), "a head's images", error)
                          : NULL;
        status = j->image[m] ? TS_OK : TS_MEMORY;
    }
    if (status == TS_OK) {
        scan_job s = {j, seed, (uint32_t)index};
        pool_run(p, make_slice, j, out->shape[2]);
        status = pool_run_status(p, scan_image, &s, MODALITIES, error);
    }
    for (int m = 0; m < MODALITIES; m++)
        free(j->image[m]);
    free(j);
    if (status != TS_OK)
        phantom_free(out);
    return status;
}
