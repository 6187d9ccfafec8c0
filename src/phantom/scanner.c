/* What a scanner does to an image: point spread, thick slices, ghosts, Rician noise. */
#include "phantom/headscan.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Axial slices are the most common of thick ones. */
scanner scanner_draw(random_stream *r)
{
    scanner s = {.axis = 2, .slice_voxels = 1};
    const double kind = random_uniform(r, 0, 1);
    s.axis = kind < 0.7 ? 2 : kind < 0.85 ? 1 : 0;
    if (random_chance(r, 0.65))
        s.slice_voxels = (float)random_uniform(r, 1, 3.3);
    s.gap = (float)random_uniform(r, 0, 0.25);
    s.blur = (float)random_uniform(r, 0, 0.18);
    if (random_chance(r, 0.2))
        s.ghost = (float)random_uniform(r, 0.02, 0.12);
    s.ghost_axis = random_below(r, 2);
    s.ghost_shift = 20 + random_below(r, 45);
    s.noise = (float)exp(random_uniform(r, log(0.005), log(0.1)));
    s.sharp = random_chance(r, 0.5);
    return s;
}

/* Each line along an axis of in [shape] becomes a line of `count` values in out, which has that
 * extent there: out[k] = sum over taps of weight * in[clamped]. */
typedef struct {
    int64_t first;
    float weight[12];
    int taps;
} stencil;

static void apply_stencils(const float *in, const int64_t shape[3], int axis, const stencil *s,
                           int64_t count, float *out)
{
    const int64_t inner = axis == 0 ? 1 : axis == 1 ? shape[0] : shape[0] * shape[1];
    const int64_t n = shape[axis], outer = voxel_count(shape) / (inner * n);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < count; k++) {
            float *to = out + (o * count + k) * inner;
            memset(to, 0, (size_t)inner * sizeof *to);
            for (int t = 0; t < s[k].taps; t++) {
                int64_t at = s[k].first + t;
                at = at < 0 ? 0 : at >= n ? n - 1 : at;
                const float *from = in + (o * n + at) * inner, w = s[k].weight[t];
                for (int64_t i = 0; i < inner; i++)
                    to[i] += w * from[i];
            }
        }
}

/* The average over a slice about `centre`, in voxels. */
static stencil slice_stencil(double centre, double width)
{
    stencil s = {.first = (int64_t)floor(centre - width / 2 + 0.5)};
    const int64_t last = (int64_t)ceil(centre + width / 2 - 0.5);
    s.taps = (int)(last - s.first + 1);
    double sum = 0;
    for (int t = 0; t < s.taps; t++) {
        const double at = (double)(s.first + t);
        const double low = fmax(at - 0.5, centre - width / 2);
        const double high = fmin(at + 0.5, centre + width / 2);
        s.weight[t] = (float)fmax(high - low, 0);
        sum += s.weight[t];
    }
    for (int t = 0; t < s.taps; t++)
        s.weight[t] = (float)(s.weight[t] / sum);
    return s;
}

/* Linear, or Catmull and Rom's cubic. */
static stencil between_stencil(double at, bool sharp)
{
    const double whole = floor(at);
    const float t = (float)(at - whole);
    if (!sharp)
        return (stencil){.first = (int64_t)whole, .weight = {1 - t, t}, .taps = 2};
    return (stencil){.first = (int64_t)whole - 1,
                     .weight = {0.5f * t * (-1 + t * (2 - t)), 0.5f * (2 + t * t * (-5 + 3 * t)),
                                0.5f * t * (1 + t * (4 - 3 * t)), 0.5f * t * t * (t - 1)},
                     .taps = 4};
}

static void add_ghost(const scanner *s, const int64_t shape[3], const float *copy, float *image)
{
    const int axis = (int)s->ghost_axis;
    for (int64_t i = 0; i < voxel_count(shape); i++) {
        const int64_t stride = axis ? shape[0] : 1, at = i / stride % shape[axis];
        const int64_t from = (at + s->ghost_shift) % shape[axis];
        image[i] += s->ghost * copy[i + (from - at) * stride];
    }
}

/* |signal + complex noise|. */
static void add_noise(float *image, int64_t count, float deviation, random_stream *r)
{
    for (int64_t i = 0; i < count; i++) {
        const float u = (float)(random_u32(r) >> 8) * 0x1p-24f + 0x1p-25f;
        const float angle = (float)(random_u32(r) >> 8) * (6.2831853f * 0x1p-24f);
        const float radius = deviation * sqrtf(-2 * logf(u)), signal = image[i];
        image[i] =
            sqrtf(fmaxf(signal * signal + 2 * signal * radius * cosf(angle) + radius * radius, 0));
    }
}

ts_status scanner_apply(const scanner *s, const int64_t shape[3], float level, random_stream *r,
                        float *image, ts_error *error)
{
    const int64_t n = shape[s->axis], voxels = voxel_count(shape);
    const bool thick = s->slice_voxels > 1 && (double)n / s->slice_voxels >= 4;
    const int64_t slices = thick ? (int64_t)((double)n / s->slice_voxels) : n;
    const double shift = thick ? ((double)n - (double)slices * s->slice_voxels) / 2 : 0;
    int64_t coarse[3] = {shape[0], shape[1], shape[2]}, longest = 0;
    coarse[s->axis] = slices;
    for (int axis = 0; axis < 3; axis++)
        longest = shape[axis] > longest ? shape[axis] : longest;
    float *work = memory_take((size_t)voxels, sizeof *work, "a head's slices", error);
    stencil *stencils =
        work ? memory_take((size_t)longest, sizeof *stencils, "a head's slices", error) : NULL;
    if (!stencils) {
        free(work);
        return TS_MEMORY;
    }
    for (int axis = 0; axis < 3; axis++) {
        for (int64_t k = 0; k < shape[axis]; k++)
            stencils[k] = (stencil){k - 1, {s->blur, 1 - 2 * s->blur, s->blur}, 3};
        apply_stencils(image, shape, axis, stencils, shape[axis], work);
        memcpy(image, work, (size_t)voxels * sizeof *image);
    }
    for (int64_t k = 0; k < slices && thick; k++)
        stencils[k] = slice_stencil(shift + ((double)k + 0.5) * s->slice_voxels - 0.5,
                                    fmax((1 - s->gap) * s->slice_voxels, 1));
    if (thick)
        apply_stencils(image, shape, s->axis, stencils, slices, work);
    else
        memcpy(work, image, (size_t)voxels * sizeof *image);
    if (s->ghost > 0) {
        memcpy(image, work, (size_t)voxel_count(coarse) * sizeof *image);
        add_ghost(s, coarse, image, work);
    }
    add_noise(work, voxel_count(coarse), s->noise * level, r);
    for (int64_t k = 0; k < n && thick; k++)
        stencils[k] = between_stencil(((double)k + 0.5 - shift) / s->slice_voxels - 0.5, s->sharp);
    if (thick)
        apply_stencils(work, coarse, s->axis, stencils, n, image);
    else
        memcpy(image, work, (size_t)voxels * sizeof *image);
    for (int64_t i = 0; i < voxels; i++)
        image[i] = fmaxf(image[i], 0);
    free(stencils);
    free(work);
    return TS_OK;
}
