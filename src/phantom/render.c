/* One case: tissue shares per voxel -> signals by the sequences' equations -> coil's bias field,
 * Rician noise, the scanner's gain -> int16. */
#include "phantom/anatomy.h"
#include "phantom/phantom.h"
#include "phantom/tumour.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

/* Streams of a case, by their last key. Noise has one per row and modality. */
enum { STREAM_ANATOMY, STREAM_TUMOUR, STREAM_SCANNER, STREAM_ROWS };

typedef struct {
    float signal[TISSUES]; /* of a voxel full of that tissue */
    float noise;           /* standard deviation in either of the two channels */
    float gain;
    float bias; /* of the coil field's logarithm */
    field coil;
} scan;

typedef struct {
    phantom_case *out;
    uint64_t seed;
    uint32_t index;
    anatomy brain;
    tumour mass;
    scan scans[MODALITIES];
} rendering;

/* TR and TE within what hospitals use; TI nulls CSF, to a few per cent. */
static sequence draw_sequence(random_stream *r, modality m, const sequence *before_contrast)
{
    sequence s = {0};
    switch (m) {
    case T1:
        s.tr_ms = random_uniform(r, 450, 700);
        s.te_ms = random_uniform(r, 8, 15);
        break;
    case T1CE:
        s = *before_contrast;
        s.contrast_agent = true;
        break;
    case T2:
        s.tr_ms = random_uniform(r, 3500, 6000);
        s.te_ms = random_uniform(r, 80, 115);
        break;
    default:
        s.tr_ms = random_uniform(r, 8000, 11000);
        s.te_ms = random_uniform(r, 100, 140);
        s.ti_ms = inversion_time_of_null(tissues[TISSUE_CSF].t1_ms, s.tr_ms, s.te_ms) *
                  random_uniform(r, 0.96, 1);
    }
    return s;
}

/* Tissues differ from person to person by a few per cent, tumours by more; uptake most. */
static void draw_tissues(random_stream *r, tissue drawn[TISSUES])
{
    for (int i = 0; i < TISSUES; i++) {
        const double spread = i >= TISSUE_EDEMA ? 0.1 : 0.03;
        drawn[i] = tissues[i];
        drawn[i].t1_ms *= exp(spread * random_normal(r));
        drawn[i].t2_ms *= exp(spread * random_normal(r));
        drawn[i].gadolinium_mm *= exp(0.2 * random_normal(r));
    }
    /* enhancing or not, it is one tumour: without contrast agent the two look alike */
    drawn[TISSUE_ENHANCING].t1_ms = drawn[TISSUE_SOLID].t1_ms;
    drawn[TISSUE_ENHANCING].t2_ms = drawn[TISSUE_SOLID].t2_ms;
}

static void draw_scans(random_stream *r, scan scans[MODALITIES])
{
    tissue drawn[TISSUES];
    sequence t1 = {0};
    draw_tissues(r, drawn);
    for (int m = 0; m < MODALITIES; m++) {
        scan *s = &scans[m];
        const sequence q = draw_sequence(r, (modality)m, &t1);
        if (m == T1)
            t1 = q;
        for (int i = 0; i < TISSUES; i++)
            s->signal[i] = (float)tissue_signal(&drawn[i], &q);
        const double white = s->signal[TISSUE_WHITE];
        s->noise = (float)(white * random_uniform(r, 0.015, 0.045));
        s->gain = (float)(exp(random_uniform(r, log(150), log(1200))) / white);
        s->bias = (float)random_uniform(r, 0.03, 0.1);
        s->coil = field_draw(r, 4, 180, 400);
    }
}

/* |signal + complex noise|: the noise's radius and angle are those of Box and Muller. */
static float rician(random_stream *r, float signal, float deviation)
{
    const float u = (float)(random_u32(r) >> 8) * 0x1p-24f + 0x1p-25f;
    const float angle = (float)(random_u32(r) >> 8) * (6.2831853f * 0x1p-24f);
    const float radius = deviation * sqrtf(-2 * logf(u));
    return sqrtf(fmaxf(signal * signal + 2 * signal * radius * cosf(angle) + radius * radius, 0));
}

static int16_t to_int16(float x)
{
    return (int16_t)(x < 1 ? 1 : x > 32767 ? 32767 : (int)(x + 0.5f));
}

static void render_voxel(const rendering *c, const float head[3], const float template[3],
                         size_t voxel, random_stream noise[MODALITIES])
{
    /* a scanner's point spread, 1.2 mm, on top of the voxel */
    const float h = sqrtf((float)(c->out->spacing_mm * c->out->spacing_mm) + 1.44f);
    float source[3];
    anatomy_point place;
    tumour_source(&c->mass, template, source);
    anatomy_at(&c->brain, template, source, h, &place);
    c->out->labels[voxel] = (uint8_t)tumour_apply(&c->mass, template, h, &place);
    for (int m = 0; m < MODALITIES; m++) {
        const scan *s = &c->scans[m];
        float signal = 0;
        for (int i = 0; i < TISSUES; i++)
            signal += place.share[i] * s->signal[i];
        signal *= expf(s->bias * field_at(&s->coil, head));
        c->out->images[m][voxel] = to_int16(s->gain * rician(&noise[m], signal, s->noise));
    }
}

static void render_slice(void *context, int64_t z, int thread)
{
    rendering *c = context;
    const int64_t *shape = c->out->shape;
    const double h = c->out->spacing_mm;
    (void)thread;
    /* The atlas lies 2.5 mm above the middle of its 155 mm, and so do we. */
    float head[3] = {0, 0, (float)(((double)z + 0.5 - 0.5 * (double)shape[2]) * h - 2.5)};
    for (int64_t y = 0; y < shape[1]; y++) {
        random_stream noise[MODALITIES];
        for (int m = 0; m < MODALITIES; m++)
            noise[m] = random_open(c->seed, RANDOM_PHANTOM, c->index,
                                   (uint32_t)(STREAM_ROWS + (z * shape[1] + y) * MODALITIES + m));
        head[1] = (float)(((double)y + 0.5 - 0.5 * (double)shape[1]) * h - 8);
        for (int64_t x = 0; x < shape[0]; x++) {
            float template[3], cerebrum;
            head[0] = (float)(((double)x + 0.5 - 0.5 * (double)shape[0]) * h);
            anatomy_to_template(&c->brain, head, template);
            if (anatomy_mask(&c->brain, template, &cerebrum) > 0)
                render_voxel(c, head, template, (size_t)((z * shape[1] + y) * shape[0] + x), noise);
        }
    }
}

/* The field of view in the world is BraTS's whatever the spacing: x from +0.5 mm to the right,
 * y from 239.5 mm to the front, z upwards from -0.5 mm. */
static void set_geometry(phantom_case *c, const int64_t shape[3])
{
    memset(c, 0, sizeof *c);
    memcpy(c->shape, shape, sizeof c->shape);
    const double h = c->spacing_mm = 240.0 / (double)shape[0], half = (h - 1) / 2;
    const double affine[4][4] = {
        {-h, 0, 0, -half}, {0, -h, 0, 239 - half}, {0, 0, h, half}, {0, 0, 0, 1}};
    memcpy(c->affine, affine, sizeof affine);
}

ts_status phantom_check_shape(const int64_t shape[3], ts_error *error)
{
    for (int k = 0; k < 3; k++)
        if (shape[k] < 16 || shape[k] > 1024)
            return error_set(error, TS_BAD_INPUT,
                             "a phantom of %lld,%lld,%lld voxels cannot be made: each axis has 16 "
                             "to 1024",
                             (long long)shape[0], (long long)shape[1], (long long)shape[2]);
    return TS_OK;
}

ts_status phantom_make(uint64_t seed, int64_t index, const int64_t shape[3], pool *p,
                       phantom_case *out, ts_error *error)
{
    memset(out, 0, sizeof *out);
    const ts_status status = phantom_check_shape(shape, error);
    if (status != TS_OK)
        return status;
    set_geometry(out, shape);
    const size_t voxels = (size_t)voxel_count(shape);
    rendering *c = memory_allocate(1, sizeof *c, "a phantom's parameters", error);
    if (!c)
        return TS_MEMORY;
    out->labels = memory_allocate(voxels, 1, "a phantom's labels", error);
    bool complete = out->labels != NULL;
    for (int m = 0; m < MODALITIES && complete; m++) {
        out->images[m] = memory_allocate(voxels, sizeof(int16_t), "a phantom's images", error);
        complete = out->images[m] != NULL;
    }
    if (!complete) {
        phantom_free(out);
        free(c);
        return TS_MEMORY;
    }
    c->out = out;
    c->seed = seed;
    c->index = (uint32_t)index;
    random_stream r = random_open(seed, RANDOM_PHANTOM, c->index, STREAM_ANATOMY);
    c->brain = anatomy_draw(&r);
    r = random_open(seed, RANDOM_PHANTOM, c->index, STREAM_TUMOUR);
    c->mass = tumour_draw(&r, &c->brain);
    r = random_open(seed, RANDOM_PHANTOM, c->index, STREAM_SCANNER);
    draw_scans(&r, c->scans);
    pool_run(p, render_slice, c, shape[2]);
    free(c);
    return TS_OK;
}

void phantom_free(phantom_case *c)
{
    for (int m = 0; m < MODALITIES; m++)
        free(c->images[m]);
    free(c->labels);
    memset(c, 0, sizeof *c);
}
