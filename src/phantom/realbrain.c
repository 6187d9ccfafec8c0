/* The brain of a real patient, from a case of a data set whose images are skull-stripped. */
#include "phantom/headscan.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Distance to the nearest voxel of `value`, in voxels, by chamfer steps of 1, sqrt 2, sqrt 3 in two
 * sweeps (Borgefors 1986): within 8 % of the Euclidean one. */
static void chamfer(const uint8_t *mask, const int64_t n[3], uint8_t value, float *out)
{
    static const float step[4] = {0, 1, 1.41421356f, 1.73205081f};
    const int64_t voxels = voxel_count(n);
    for (int64_t i = 0; i < voxels; i++)
        out[i] = mask[i] == value ? 0 : 1e6f;
    for (int sweep = 0; sweep < 2; sweep++)
        for (int64_t k = 0; k < voxels; k++) {
            const int64_t i = sweep ? voxels - 1 - k : k;
            const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])};
            float least = out[i];
            for (int64_t dz = -1; dz <= 0; dz++)
                for (int64_t dy = -1; dy <= (dz ? 1 : 0); dy++)
                    for (int64_t dx = -1; dx <= (dz || dy ? 1 : -1); dx++) {
                        const int64_t s = sweep ? -1 : 1;
                        const int64_t x = at[0] + s * dx, y = at[1] + s * dy, z = at[2] + s * dz;
                        if (x < 0 || y < 0 || z < 0 || x >= n[0] || y >= n[1] || z >= n[2])
                            continue;
                        least = fminf(least, out[(z * n[1] + y) * n[0] + x] +
                                                 step[(dx != 0) + (dy != 0) + (dz != 0)]);
                    }
            out[i] = least;
        }
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Divides by the median of the values that are not 0. */
static bool normalise(float *image, int64_t voxels, float *sorted)
{
    size_t count = 0;
    for (int64_t i = 0; i < voxels; i++)
        if (image[i] != 0)
            sorted[count++] = image[i];
    if (!count)
        return false;
    qsort(sorted, count, sizeof *sorted, compare_floats);
    const float median = sorted[count / 2];
    for (int64_t i = 0; i < voxels; i++)
        image[i] /= median;
    return median > 0;
}

static ts_status read_images(const dataset_case *c, real_brain *out, ts_error *error)
{
    for (int m = 0; m < MODALITIES; m++) {
        volume v;
        if (!c->image[m])
            continue;
        const ts_status status = volume_read(c->image[m], &v, error);
        if (status != TS_OK)
            return status;
        const volume_orientation o = volume_orientation_lps(v.header.affine);
        int64_t shape[3];
        for (int k = 0; k < 3; k++)
            shape[k] = v.header.shape[o.axis[k]];
        const double zoom = v.header.zooms[0];
        const bool fits = !out->present || !memcmp(shape, out->shape, sizeof shape);
        if (!fits || v.channels <= c->channel[m] || fabs(v.header.zooms[1] - zoom) > 1e-3 ||
            fabs(v.header.zooms[2] - zoom) > 1e-3 || !voxel_size_possible(zoom)) {
            volume_free(&v);
            return error_set(error, TS_BAD_INPUT,
                             "'%s' cannot be the brain of a head: its voxels must be cubes, on the "
                             "grid of the case's other images",
                             c->image[m]);
        }
        memcpy(out->shape, shape, sizeof shape);
        out->spacing_mm = zoom;
        const size_t voxels = (size_t)voxel_count(shape);
        out->image[m] = memory_allocate(voxels, sizeof(float), c->image[m], error);
        if (out->image[m])
            volume_reorient(v.data + (size_t)c->channel[m] * voxels, v.header.shape, o,
                            sizeof(float), out->image[m]);
        volume_free(&v);
        if (!out->image[m])
            return TS_MEMORY;
        out->present |= 1u << m;
    }
    return out->present ? TS_OK : error_set(error, TS_BAD_INPUT, "case '%s' has no image", c->id);
}

static ts_status find_depth(real_brain *b, const char *id, ts_error *error)
{
    const int64_t voxels = voxel_count(b->shape);
    uint8_t *mask = memory_allocate((size_t)voxels, 1, "a brain's mask", error);
    float *inside =
        mask ? memory_take((size_t)voxels, sizeof *inside, "a brain's mask", error) : NULL;
    b->depth = inside ? memory_take((size_t)voxels, sizeof(float), "a brain's depth", error) : NULL;
    ts_status status = b->depth ? TS_OK : TS_MEMORY;
    int64_t count = 0;
    for (int64_t i = 0; i < voxels && status == TS_OK; i++) {
        for (int m = 0; m < MODALITIES; m++)
            mask[i] |= b->image[m] && b->image[m][i] != 0;
        count += mask[i];
    }
    const double litres = (double)count * pow(b->spacing_mm, 3) * 1e-6;
    if (status == TS_OK && !(litres > 0.5 && litres < 2.2))
        status = error_set(error, TS_BAD_INPUT,
                           "case '%s' cannot be the brain of a head: %.1f litres are not 0; its "
                           "images must be skull-stripped",
                           id, litres);
    for (int m = 0; m < MODALITIES && status == TS_OK; m++)
        if (b->image[m] && !normalise(b->image[m], voxels, inside))
            status = error_set(error, TS_BAD_INPUT, "case '%s': the %s image is 0 or negative", id,
                               modality_names[m]);
    if (status == TS_OK) {
        holes_fill(mask, b->shape, (int32_t *)inside);
        chamfer(mask, b->shape, 0, inside);
        chamfer(mask, b->shape, 1, b->depth);
        for (int64_t i = 0; i < voxels; i++)
            b->depth[i] = (float)b->spacing_mm * (mask[i] ? inside[i] - 0.5f : 0.5f - b->depth[i]);
    }
    free(inside);
    free(mask);
    return status;
}

ts_status real_brain_read(const dataset_case *c, real_brain *out, ts_error *error)
{
    *out = (real_brain){0};
    ts_status status = read_images(c, out, error);
    if (status == TS_OK)
        status = find_depth(out, c->id, error);
    if (status != TS_OK)
        real_brain_free(out);
    return status;
}

void real_brain_free(real_brain *b)
{
    for (int m = 0; m < MODALITIES; m++)
        free(b->image[m]);
    free(b->depth);
    *b = (real_brain){0};
}

/* Trilinear. Images are averaged over those of the eight voxels that hold brain, so that none of
 * what was cut away enters its edge; beyond the grid the depth falls with the distance from it. */
void real_brain_at(const real_brain *b, const float head[3], float *depth, float values[MODALITIES])
{
    static const double middle[3] = {0, -8, -2.5}; /* of the head's frame: as BraTS's atlas lies */
    int64_t at[3];
    float t[3], beyond = 0, sums[MODALITIES] = {0}, weights[MODALITIES] = {0};
    for (int k = 0; k < 3; k++) {
        const double last = (double)b->shape[k] - 1;
        const double place = (head[k] - middle[k]) / b->spacing_mm + 0.5 * last;
        const double held = fmin(fmax(place, 0), last);
        beyond += (float)((place - held) * (place - held));
        at[k] = (int64_t)fmin(floor(held), fmax(last - 1, 0));
        t[k] = (float)(held - (double)at[k]);
    }
    *depth = -(float)b->spacing_mm * sqrtf(beyond);
    for (int corner = 0; corner < 8; corner++) {
        const int64_t x = at[0] + (corner & 1), y = at[1] + (corner >> 1 & 1),
                      z = at[2] + (corner >> 2);
        const float w = (corner & 1 ? t[0] : 1 - t[0]) * (corner & 2 ? t[1] : 1 - t[1]) *
                        (corner & 4 ? t[2] : 1 - t[2]);
        if (w <= 0)
            continue;
        const size_t i = (size_t)((z * b->shape[1] + y) * b->shape[0] + x);
        *depth += w * b->depth[i];
        for (int m = 0; m < MODALITIES; m++)
            if (b->image[m] && b->image[m][i] != 0) {
                sums[m] += w * b->image[m][i];
                weights[m] += w;
            }
    }
    for (int m = 0; m < MODALITIES; m++)
        values[m] = weights[m] > 0 ? sums[m] / weights[m] : 0;
}
