/* The way back: class probabilities on the reference's grid to labels on the grid of one of the
 * patient's images. A voxel of the image is given the mean of the probabilities over its extent, so
 * that a thick slice averages what it covers, and then the class whose mean is greatest. */
#include "align/align.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 64 }; /* along one axis of a voxel */

typedef struct {
    const align_classes *from;
    const int64_t *shape;   /* of the image */
    double place[4][4];     /* voxel of the image to voxel of the reference */
    double extent[3][3];    /* [axis of the image]: its voxel's edge, in voxels of the reference */
    int samples[3];         /* along each */
    double low[3], high[3]; /* centres of voxels beyond these are background */
    uint8_t *labels;
} way_back;

/* ---- one voxel ------------------------------------------------------------------------------- */

/* Adds the trilinear probabilities at a place of the reference; outside of its grid background has
 * probability 1. */
static void add_sample(const align_classes *c, const double at[3], double sum[ALIGN_CLASSES_MAX])
{
    const int64_t *n = c->grid->shape;
    const size_t voxels = (size_t)voxel_count(n);
    int64_t low[3];
    double part[3];
    for (int k = 0; k < 3; k++) {
        const double floor_k = floor(at[k]);
        if (!(floor_k >= -1 && floor_k < (double)n[k])) {
            sum[0] += 1;
            return;
        }
        low[k] = (int64_t)floor_k;
        part[k] = at[k] - floor_k;
    }
    for (int i = 0; i < 8; i++) {
        const int64_t x = low[0] + (i & 1), y = low[1] + (i >> 1 & 1), z = low[2] + (i >> 2);
        const double weight = (i & 1 ? part[0] : 1 - part[0]) * (i & 2 ? part[1] : 1 - part[1]) *
                              (i & 4 ? part[2] : 1 - part[2]);
        if (x < 0 || y < 0 || z < 0 || x >= n[0] || y >= n[1] || z >= n[2]) {
            sum[0] += weight;
            continue;
        }
        const float *p = c->probabilities + (z * n[1] + y) * n[0] + x;
        for (int k = 0; k < c->classes; k++)
            sum[k] += weight * (double)p[(size_t)k * voxels];
    }
}

static uint8_t label_at(const way_back *w, const double centre[3])
{
    const int *n = w->samples;
    double sum[ALIGN_CLASSES_MAX] = {0};
    int best = 0;
    for (int i = 0; i < n[0] * n[1] * n[2]; i++) {
        const int s[3] = {i % n[0], i / n[0] % n[1], i / n[0] / n[1]};
        double at[3] = {centre[0], centre[1], centre[2]};
        for (int axis = 0; axis < 3; axis++)
            for (int k = 0; k < 3; k++)
                at[k] += ((s[axis] + 0.5) / n[axis] - 0.5) * w->extent[axis][k];
        add_sample(w->from, at, sum);
    }
    for (int k = 1; k < w->from->classes; k++)
        best = sum[k] > sum[best] ? k : best;
    return (uint8_t)best;
}

static void label_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const way_back *w = context;
    uint8_t *out = w->labels + z * w->shape[0] * w->shape[1];
    for (int64_t y = 0; y < w->shape[1]; y++)
        for (int64_t x = 0; x < w->shape[0]; x++) {
            const double voxel[3] = {(double)x, (double)y, (double)z};
            double at[3];
            bool near = true;
            volume_affine_apply(w->place, voxel, at);
            for (int k = 0; k < 3; k++)
                near = near && at[k] > w->low[k] && at[k] < w->high[k];
            *out++ = near ? label_at(w, at) : 0;
        }
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Where background has a probability of one half or more it is the greatest, and a mean of such
 * voxels too: a voxel of the image that reaches none of the others is background. */
static void find_tumour(way_back *w)
{
    const int64_t *n = w->from->grid->shape;
    voxel_box box = box_empty();
    for (int64_t z = 0, i = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, i++)
                if (w->from->probabilities[i] < 0.5f)
                    box_add(&box, x, y, z);
    for (int k = 0; k < 3; k++) {
        double reach = 1;
        for (int axis = 0; axis < 3; axis++)
            reach += fabs(w->extent[axis][k]) / 2;
        w->low[k] = box_is_empty(&box) ? 0 : (double)box.low[k] - reach;
        w->high[k] = box_is_empty(&box) ? 0 : (double)box.high[k] + reach;
    }
}

/* The edges of the image's voxels in the world. A slice is as thick along its normal as the
 * slices are apart: along the axis of the longest voxels the edge is turned to the normal of the
 * other two, which differs where a gantry was tilted. */
static void voxel_edges(const double a[4][4], double edge[3][3])
{
    double length[3], normal[3], along = 0, square = 0;
    int slices = 2;
    for (int axis = 0; axis < 3; axis++) {
        for (int k = 0; k < 3; k++)
            edge[axis][k] = a[k][axis];
        length[axis] = sqrt(edge[axis][0] * edge[axis][0] + edge[axis][1] * edge[axis][1] +
                            edge[axis][2] * edge[axis][2]);
    }
    for (int axis = 0; axis < 2; axis++)
        slices = length[axis] > length[slices] * 1.001 ? axis : slices;
    const double *u = edge[(slices + 1) % 3], *v = edge[(slices + 2) % 3];
    for (int k = 0; k < 3; k++) {
        normal[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
        along += normal[k] * edge[slices][k];
        square += normal[k] * normal[k];
    }
    for (int k = 0; k < 3; k++)
        edge[slices][k] = normal[k] * along / square;
}

ts_status align_back(const align_classes *from, const double transform[4][4],
                     const volume_header *grid, pool *p, uint8_t *labels, ts_error *error)
{
    way_back w = {.from = from, .shape = grid->shape, .labels = labels};
    double back[4][4], to_voxel[4][4], turn[4][4], edge[3][3];
    if (!volume_affine_possible(grid->affine) || !volume_affine_possible(from->grid->affine))
        return error_set(error, TS_BAD_INPUT,
                         "an image's header does not place its voxels in space (the affine is "
                         "singular), so no labels can be brought to its grid");
    volume_affine_invert(transform, back);
    volume_affine_invert(from->grid->affine, to_voxel);
    volume_affine_multiply(to_voxel, back, turn);
    volume_affine_multiply(turn, grid->affine, w.place);
    voxel_edges(grid->affine, edge);
    for (int axis = 0; axis < 3; axis++) {
        double square = 0;
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < 3; i++)
                w.extent[axis][k] += turn[k][i] * edge[axis][i];
            square += w.extent[axis][k] * w.extent[axis][k];
        }
        w.samples[axis] = (int)fmin(fmax(ceil(sqrt(square) - 0.01), 1), SAMPLES_MAX);
    }
    find_tumour(&w);
    pool_run(p, label_plane, &w, grid->shape[2]);
    return TS_OK;
}
