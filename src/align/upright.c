/* Brings a brain upright: to the axes of the atlas in which BraTS's images stand, which models know.
 * The atlas is a mean brain of 4 mm voxels (mean-brain.pgm, made by tools/mean_brain.py). Only the
 * grid is turned: places in the world stay what they are. */
#include "align/align.h"
#include "align/search.h"

#include <math.h>
#include <stdlib.h>

enum { MEAN_X = 60, MEAN_Y = 60, MEAN_Z = 39, MEAN_MM = 4 };

EMBED(mean_brain_pixels, "align/mean-brain.pgm", 15);

/* BraTS's field of view: 240 x 240 x 155 mm; x and y of its world fall along the axes. */
static const double field_mm[3] = {240, 240, 155};
static const double field_first[3] = {0.5, 239.5, -0.5}; /* its outer corner at voxel 0 */

/* A tilt below this is left: brains in the atlas stand up to 5 degrees from its mean, and training
 * turns its patches by more. */
static const double tilt_degrees = 10;
/* Brains of any contrast have 1.17 and more with the mean brain, other volumes less. */
static const double least_nmi = 1.1;

static volume_header field_grid(double mm, const int64_t shape[3])
{
    const double spacing[3] = {mm, mm, mm};
    const double affine[4][4] = {{-mm, 0, 0, field_first[0] - mm / 2},
                                 {0, -mm, 0, field_first[1] - mm / 2},
                                 {0, 0, mm, field_first[2] + mm / 2},
                                 {0, 0, 0, 1}};
    return volume_header_make(shape, spacing, affine);
}

static ts_status read_mean(volume *v, ts_error *error)
{
    const int64_t shape[3] = {MEAN_X, MEAN_Y, MEAN_Z};
    const size_t voxels = (size_t)MEAN_X * MEAN_Y * MEAN_Z;
    *v = (volume){.header = field_grid(MEAN_MM, shape), .channels = 1};
    v->data = memory_allocate(voxels, sizeof *v->data, "the mean brain", error);
    if (!v->data)
        return TS_MEMORY;
    for (size_t i = 0; i < voxels; i++)
        v->data[i] = (float)(uint8_t)mean_brain_pixels[i];
    return TS_OK;
}

/* The angle between the axes of two grids, whatever the lengths of their voxels. */
static double angle_between(const double a[4][4], const double b[4][4])
{
    double trace = 0;
    for (int axis = 0; axis < 3; axis++) {
        double dot = 0, aa = 0, bb = 0;
        for (int k = 0; k < 3; k++) {
            dot += a[k][axis] * b[k][axis];
            aa += a[k][axis] * a[k][axis];
            bb += b[k][axis] * b[k][axis];
        }
        trace += dot / sqrt(aa * bb);
    }
    return acos(fmax(fmin((trace - 1) / 2, 1), -1)) * 180 / M_PI;
}

ts_status align_upright(const volume *brain, double spacing_mm, pool *p, align_pose *pose,
                        volume_header *grid, ts_error *error)
{
    volume mean;
    alignment found;
    int64_t shape[3];
    *pose = (align_pose){0};
    *grid = align_grid(&brain->header, spacing_mm);
    ts_status status = read_mean(&mean, error);
    if (status == TS_OK)
        status = rigid_search(&mean, brain, SEARCH_POSE, p, &found, error);
    volume_free(&mean);
    if (status != TS_OK)
        return status;
    for (int k = 0; k < 3; k++)
        shape[k] = (int64_t)fmax(round(field_mm[k] / spacing_mm), 1);
    volume_header upright = field_grid(spacing_mm, shape);
    volume_affine_multiply(found.transform, upright.affine, upright.affine);
    const double spacing[3] = {spacing_mm, spacing_mm, spacing_mm};
    upright = volume_header_make(shape, spacing, upright.affine);
    pose->tilt_degrees = angle_between(grid->affine, upright.affine);
    pose->nmi = found.after.nmi;
    pose->known = pose->nmi >= least_nmi;
    pose->turned = pose->known && pose->tilt_degrees > tilt_degrees;
    if (pose->turned)
        *grid = upright;
    return TS_OK;
}
