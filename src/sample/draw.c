/* The draws of one patch: (plan, cases, seed, step, place in the batch) in, patch_draw out.
 *
 * Probabilities and ranges: docs/method.md, "Sampling and augmentation". The way of drawing is that
 * of nnU-Net 2: one angle per axis, one scale for all axes, one noise level for all channels; blur
 * per channel and axis, the other factors per channel; of a range about 1 either half is taken with
 * equal chance (for gamma 0.7 to 1.5 that is not the uniform draw). Every number is drawn whether
 * it is used or not, so that changing one probability leaves all other draws of a run as they
 * were. */
#include "sample/transform.h"

#include <math.h>

static random_stream open_stream(const plan *p, uint32_t purpose, int64_t step, int64_t index)
{
    return random_open((uint64_t)p->seed, purpose, (uint32_t)step, (uint32_t)index);
}

int64_t draw_forced_patches(int64_t patches, double share)
{
    const int64_t forced = patches - (int64_t)nearbyint((double)patches * (1 - share));
    return share > 0 && forced < 1 ? 1 : forced;
}

/* A random voxel of a random present class, as d, h, w; false where the case has no foreground. */
static bool draw_foreground(const preprocessed *c, random_stream *r, int64_t voxel[3])
{
    int present[4], classes = 0;
    for (int k = 1; k < 4; k++)
        if (c->foreground_count[k] > 0)
            present[classes++] = k;
    if (!classes)
        return false;
    const int k = present[random_below(r, classes)];
    const int64_t at = c->foreground[k][random_below(r, c->foreground_count[k])];
    const int64_t *n = c->geometry.shape;
    voxel[0] = at / (n[0] * n[1]);
    voxel[1] = at / n[0] % n[1];
    voxel[2] = at % n[0];
    return true;
}

/* Patches stay within the volume (nnU-Net does so at the low end, and here at the high end too: a
 * tumour at the edge keeps its surroundings); a volume smaller than the patch lies in its
 * middle. */
static void draw_place(const plan *p, const preprocessed *c, bool forced, random_stream *r,
                       int64_t begin[3])
{
    int64_t voxel[3];
    const bool centred = forced && draw_foreground(c, r, voxel);
    for (int i = 0; i < 3; i++) {
        const int64_t room = c->geometry.shape[2 - i] - p->patch[i];
        if (room < 0)
            begin[i] = -(-room / 2);
        else if (!centred)
            begin[i] = random_below(r, room + 1);
        else
            begin[i] = voxel[i] - p->patch[i] / 2;
        if (room >= 0 && begin[i] < 0)
            begin[i] = 0;
        if (room >= 0 && begin[i] > room)
            begin[i] = room;
    }
}

static void multiply(const double a[3][3], const double b[3][3], double out[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
}

void draw_matrix(const double angle[3], double scale, double out[3][3])
{
    const double c[3] = {cos(angle[0]), cos(angle[1]), cos(angle[2])};
    const double s[3] = {sin(angle[0]), sin(angle[1]), sin(angle[2])};
    const double x[3][3] = {
        {scale, 0, 0}, {0, scale * c[0], -scale * s[0]}, {0, scale * s[0], scale * c[0]}};
    const double y[3][3] = {{c[1], 0, s[1]}, {0, 1, 0}, {-s[1], 0, c[1]}};
    const double z[3][3] = {{c[2], -s[2], 0}, {s[2], c[2], 0}, {0, 0, 1}};
    double yx[3][3];
    multiply(y, x, yx);
    multiply(z, yx, out);
}

static void draw_spatial(const plan *p, random_stream *r, patch_draw *out)
{
    const double limit = p->rotation_degrees * (3.14159265358979323846 / 180);
    double angle[3];
    const bool rotate = random_chance(r, p->p_rotation), scale = random_chance(r, p->p_scaling);
    for (int i = 0; i < 3; i++)
        angle[i] = random_uniform(r, -limit, limit) * rotate;
    const double factor = random_uniform(r, p->scaling_low, p->scaling_high);
    for (int i = 0; i < 3; i++)
        out->mirror[i] = random_chance(r, 0.5) && p->mirror_augment;
    out->warp = rotate || scale;
    draw_matrix(angle, scale ? factor : 1, out->matrix);
}

/* A factor from a range around 1: below or above 1 with equal chance, uniform within either. */
static double draw_factor(random_stream *r, double low, double high)
{
    const bool below = random_chance(r, 0.5);
    const double at = random_uniform(r, 0, 1);
    if (low >= 1 || high <= 1)
        return low + (high - low) * at;
    return below ? low + (1 - low) * at : 1 + (high - 1) * at;
}

static void draw_factors(random_stream *r, double probability, double low, double high,
                         double out[MODALITIES])
{
    const bool use = random_chance(r, probability);
    for (int m = 0; m < MODALITIES; m++) {
        const double factor = draw_factor(r, low, high);
        out[m] = use ? factor : 1;
    }
}

static void draw_intensity(const plan *p, random_stream *r, patch_draw *out)
{
    /* The setting is the noise's variance, so its root is the deviation; nnU-Net's code takes the
     * number that it calls variance for the deviation. */
    const bool noise = random_chance(r, p->p_noise);
    out->noise_deviation = sqrt(random_uniform(r, 0, p->noise_variance)) * noise;
    const bool blur = random_chance(r, p->p_blur);
    for (int m = 0; m < MODALITIES; m++) {
        const bool use = random_chance(r, 0.5) && blur;
        for (int i = 0; i < 3; i++)
            out->blur_sigma[m][i] = random_uniform(r, p->blur_low, p->blur_high) * use;
    }
    draw_factors(r, p->p_brightness, 1 - p->brightness_range, 1 + p->brightness_range,
                 out->brightness);
    draw_factors(r, p->p_contrast, 1 - p->contrast_range, 1 + p->contrast_range, out->contrast);
    const bool low_resolution = random_chance(r, p->p_low_resolution);
    for (int m = 0; m < MODALITIES; m++) {
        const bool use = random_chance(r, 0.5) && low_resolution;
        const double zoom = random_uniform(r, p->low_resolution_zoom, 1);
        out->zoom[m] = use ? zoom : 1;
    }
    draw_factors(r, p->p_gamma_inverted, p->gamma_low, p->gamma_high, out->gamma_inverted);
    draw_factors(r, p->p_gamma, p->gamma_low, p->gamma_high, out->gamma);
}

/* The case of a patch, from all or from those of the step's kind. */
static size_t draw_source(const plan *p, const preprocessed *cases, size_t count, int64_t step,
                          random_stream *r)
{
    size_t complete = 0;
    for (size_t i = 0; i < count; i++)
        complete += cases[i].present == ALL_MODALITIES;
    if (complete == 0 || complete == count)
        return (size_t)random_below(r, (int64_t)count);
    const double of_cases = (double)(count - complete) / (double)count;
    random_stream kind = open_stream(p, RANDOM_KIND, step, 0);
    const bool partial =
        random_chance(&kind, p->partial_share < of_cases ? p->partial_share : of_cases);
    int64_t left = random_below(r, (int64_t)(partial ? count - complete : complete));
    for (size_t i = 0;; i++)
        if ((cases[i].present == ALL_MODALITIES) != partial && left-- == 0)
            return i;
}

void draw_patch(const plan *p, const preprocessed *cases, size_t count, int64_t step, int64_t index,
                patch_draw *out)
{
    random_stream place = open_stream(p, RANDOM_PATCH, step, index);
    *out = (patch_draw){0};
    out->source = draw_source(p, cases, count, step, &place);
    const bool forced = index >= p->batch - draw_forced_patches(p->batch, p->foreground);
    draw_place(p, &cases[out->source], forced, &place, out->begin);
    if (!p->augment)
        return;
    random_stream spatial = open_stream(p, RANDOM_SPATIAL, step, index);
    random_stream intensity = open_stream(p, RANDOM_INTENSITY, step, index);
    draw_spatial(p, &spatial, out);
    draw_intensity(p, &intensity, out);
}
