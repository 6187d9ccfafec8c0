/* Images through a transform onto a grid. */
#include "align/align.h"

#include <math.h>
#include <string.h>
#include <stdlib.h>

/* ---- the grid -------------------------------------------------------------------------------- */

volume_header align_grid(const volume_header *reference, double spacing_mm)
{
    const volume_orientation o = volume_orientation_lps(reference->affine);
    const double spacing[3] = {spacing_mm, spacing_mm, spacing_mm};
    double affine[4][4] = {{0}, {0}, {0}, {0, 0, 0, 1}}, corner[3] = {0}, world[3];
    int64_t shape[3];
    for (int i = 0; i < 3; i++) {
        const int axis = o.axis[i];
        const double(*a)[4] = reference->affine, sign = o.flip[i] ? -1 : 1;
        const double zoom =
            sqrt(a[0][axis] * a[0][axis] + a[1][axis] * a[1][axis] + a[2][axis] * a[2][axis]);
        const double extent = (double)reference->shape[axis] * zoom / spacing_mm;
        shape[i] = (int64_t)fmax(round(extent), 1);
        for (int k = 0; k < 3; k++)
            affine[k][i] = sign * a[k][axis] / zoom * spacing_mm;
        corner[axis] = o.flip[i] ? (double)reference->shape[axis] - 0.5 : -0.5;
    }
    /* outer edges agree: the first voxel's centre lies half a voxel within the first corner */
    volume_affine_apply(reference->affine, corner, world);
    for (int k = 0; k < 3; k++)
        affine[k][3] = world[k] + (affine[k][0] + affine[k][1] + affine[k][2]) / 2;
    return volume_header_make(shape, spacing, affine);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Where along each axis a value is read, and how often: where the grid is coarser than the image,
 * so many places within one of its voxels. */
enum { SAMPLES_MAX = 4 };

typedef struct {
    const volume *moving;
    double place[4][4]; /* voxel of the grid to voxel of the image */
    const int64_t *shape;
    int samples[3]; /* along each axis of the grid */
    float *out;
} resampling;

/* Catmull and Rom's weights of the voxels -1, 0, 1, 2 at `t` between 0 and 1. */
static void cubic_weights(double t, double w[4])
{
    w[0] = t * (-0.5 + t * (1 - 0.5 * t));
    w[1] = 1 + t * t * (-2.5 + 1.5 * t);
    w[2] = t * (0.5 + t * (2 - 1.5 * t));
    w[3] = t * t * (-0.5 + 0.5 * t);
}

/* Cubic value at a voxel position; *something: the share of the nearest eight voxels, weighted
 * linearly, that are there and not 0. Outside, the edge's voxels are repeated. */
static double cubic_value(const volume *v, const double at[3], double *something)
{
    const int64_t *n = v->header.shape;
    double w[3][4], part[3], sum = 0;
    int64_t index[3][4];
    bool inside[3][4];
    *something = 0;
    for (int k = 0; k < 3; k++) {
        const double low = floor(at[k]);
        if (!(low >= -2 && low <= (double)n[k]))
            return 0;
        part[k] = at[k] - low;
        cubic_weights(part[k], w[k]);
        for (int i = 0; i < 4; i++) {
            const int64_t place = (int64_t)low - 1 + i;
            inside[k][i] = place >= 0 && place < n[k];
            index[k][i] = place < 0 ? 0 : place >= n[k] ? n[k] - 1 : place;
        }
    }
    for (int z = 0; z < 4; z++)
        for (int y = 0; y < 4; y++) {
            const float *row = v->data + (index[2][z] * n[1] + index[1][y]) * n[0];
            const double weight = w[2][z] * w[1][y];
            for (int x = 0; x < 4; x++)
                sum += weight * w[0][x] * (double)row[index[0][x]];
        }
    for (int i = 0; i < 8; i++) {
        const int x = 1 + (i & 1), y = 1 + (i >> 1 & 1), z = 1 + (i >> 2);
        const float value = v->data[(index[2][z] * n[1] + index[1][y]) * n[0] + index[0][x]];
        if (inside[0][x] && inside[1][y] && inside[2][z] && value != 0)
            *something += (x == 1 ? 1 - part[0] : part[0]) * (y == 1 ? 1 - part[1] : part[1]) *
                          (z == 1 ? 1 - part[2] : part[2]);
    }
    return sum;
}

static void resample_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const resampling *r = context;
    const int *n = r->samples;
    const int count = n[0] * n[1] * n[2];
    float *out = r->out + z * r->shape[0] * r->shape[1];
    for (int64_t y = 0; y < r->shape[1]; y++)
        for (int64_t x = 0; x < r->shape[0]; x++) {
            double sum = 0, there = 0;
            for (int i = 0; i < count; i++) {
                const int s[3] = {i % n[0], i / n[0] % n[1], i / n[0] / n[1]};
                const double voxel[3] = {(double)x + (s[0] + 0.5) / n[0] - 0.5,
                                         (double)y + (s[1] + 0.5) / n[1] - 0.5,
                                         (double)z + (s[2] + 0.5) / n[2] - 0.5};
                double at[3], something;
                volume_affine_apply(r->place, voxel, at);
                sum += cubic_value(r->moving, at, &something);
                there += something;
            }
            *out++ = there * 2 > count ? (float)(sum / count) : 0;
        }
}

ts_status align_resample(const volume *moving, const double transform[4][4],
                         const volume_header *grid, pool *p, float *out, ts_error *error)
{
    resampling r = {.moving = moving, .shape = grid->shape, .out = out};
    double to_voxel[4][4], world[4][4];
    if (moving->channels != 1)
        return error_set(error, TS_BAD_INPUT,
                         "the image holds %lld volumes; a single one is needed",
                         (long long)moving->channels);
    volume_affine_invert(moving->header.affine, to_voxel);
    volume_affine_multiply(transform, grid->affine, world);
    volume_affine_multiply(to_voxel, world, r.place);
    for (int k = 0; k < 3; k++) {
        const double steps = sqrt(r.place[0][k] * r.place[0][k] + r.place[1][k] * r.place[1][k] +
                                  r.place[2][k] * r.place[2][k]);
        if (!isfinite(steps))
            return error_set(
                error, TS_BAD_INPUT,
                "an image's header does not place its voxels in space (the affine is singular)");
        r.samples[k] = (int)fmin(fmax(round(steps), 1), SAMPLES_MAX);
    }
    pool_run(p, resample_plane, &r, grid->shape[2]);
    return TS_OK;
}
