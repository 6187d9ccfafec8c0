/* From a preprocessed case to a patch: a plain crop, or rotation and scaling in one trilinear
 * resampling that gathers the patch alone, straight from the case's volume.
 *
 * nnU-Net resamples a larger crop, whose corners can lack what the case has; here the whole case is
 * in reach. Beyond its edge all is 0 (grid_sample's `zeros`: neighbours outside count as 0). */
#include "sample/transform.h"

#include <math.h>
#include <string.h>

/* The part lo..hi-1 of a patch's axis that lies within 0..size-1 of the case. */
static void overlap(int64_t begin, int64_t length, int64_t size, int64_t *lo, int64_t *hi)
{
    *lo = begin < 0 ? -begin : 0;
    *hi = begin + length > size ? size - begin : length;
}

static void mark_brain(const float *images, size_t voxels, uint8_t *brain)
{
    for (size_t i = 0; i < voxels; i++) {
        unsigned set = 0;
        for (size_t m = 0; m < MODALITIES; m++)
            set |= (unsigned)(images[m * voxels + i] != 0) << m;
        brain[i] = (uint8_t)set;
    }
}

void patch_crop(const preprocessed *c, const int64_t patch[3], const int64_t begin[3],
                float *images, uint8_t *labels, uint8_t *brain)
{
    const int64_t size[3] = {c->geometry.shape[2], c->geometry.shape[1], c->geometry.shape[0]};
    const size_t voxels = (size_t)(patch[0] * patch[1] * patch[2]);
    const size_t case_voxels = (size_t)(size[0] * size[1] * size[2]);
    int64_t lo[3], hi[3];
    bool whole = true;
    for (int i = 0; i < 3; i++) {
        overlap(begin[i], patch[i], size[i], &lo[i], &hi[i]);
        whole = whole && lo[i] == 0 && hi[i] == patch[i];
    }
    if (!whole) {
        memset(images, 0, MODALITIES * voxels * sizeof *images);
        memset(labels, 0, voxels);
    }
    const size_t length = hi[2] > lo[2] ? (size_t)(hi[2] - lo[2]) : 0;
    for (int64_t z = lo[0]; z < hi[0]; z++)
        for (int64_t y = lo[1]; y < hi[1]; y++) {
            const size_t to = (size_t)((z * patch[1] + y) * patch[2] + lo[2]);
            const size_t from =
                (size_t)(((z + begin[0]) * size[1] + y + begin[1]) * size[2] + lo[2] + begin[2]);
            for (size_t m = 0; m < MODALITIES; m++)
                memcpy(images + m * voxels + to, c->images + m * case_voxels + from,
                       length * sizeof *images);
            memcpy(labels + to, c->labels + from, length);
        }
    if (brain)
        mark_brain(images, voxels, brain);
}

/* One resampling: the case's memory and the patch's. */
typedef struct {
    const float *from[MODALITIES]; /* NULL: the case lacks the modality */
    const uint8_t *labels;
    int64_t size[3];
    float *to[MODALITIES];
    uint8_t *labels_to, *brain_to;
} warp;

/* At (z, y, x) with all eight neighbours inside. */
static void warp_inside(const warp *w, const float at[3], const int64_t floor_at[3], size_t to)
{
    const int64_t row = w->size[2], plane = w->size[1] * row;
    const int64_t corner = floor_at[0] * plane + floor_at[1] * row + floor_at[2];
    const float fz = at[0] - (float)floor_at[0], fy = at[1] - (float)floor_at[1];
    const float fx = at[2] - (float)floor_at[2];
    for (int m = 0; m < MODALITIES; m++) {
        if (!w->from[m])
            continue;
        const float *a = w->from[m] + corner, *b = a + plane;
        const float a0 = a[0] + fx * (a[1] - a[0]), a1 = a[row] + fx * (a[row + 1] - a[row]);
        const float b0 = b[0] + fx * (b[1] - b[0]), b1 = b[row] + fx * (b[row + 1] - b[row]);
        const float front = a0 + fy * (a1 - a0), back = b0 + fy * (b1 - b0);
        w->to[m][to] = front + fz * (back - front);
    }
}

/* Anywhere: neighbours outside count as 0. */
static void warp_edge(const warp *w, const float at[3], const int64_t floor_at[3], size_t to)
{
    for (int m = 0; m < MODALITIES; m++)
        w->to[m][to] = 0;
    for (int corner = 0; corner < 8; corner++) {
        int64_t place = 0;
        float weight = 1;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            const int64_t far = corner >> (2 - i) & 1, voxel = floor_at[i] + far;
            const float fraction = at[i] - (float)floor_at[i];
            inside = inside && voxel >= 0 && voxel < w->size[i];
            weight *= far ? fraction : 1 - fraction;
            place = place * w->size[i] + voxel;
        }
        for (int m = 0; inside && m < MODALITIES; m++)
            if (w->from[m])
                w->to[m][to] += weight * w->from[m][place];
    }
}

/* Labels and the brain come from the nearest voxel. */
static void warp_nearest(const warp *w, const float at[3], size_t to)
{
    int64_t place = 0;
    for (int i = 0; i < 3; i++) {
        const int64_t voxel = (int64_t)floorf(at[i] + 0.5f);
        if (voxel < 0 || voxel >= w->size[i]) {
            w->labels_to[to] = w->brain_to[to] = 0;
            return;
        }
        place = place * w->size[i] + voxel;
    }
    unsigned set = 0;
    for (int m = 0; m < MODALITIES; m++)
        set |= (unsigned)(w->from[m] && w->from[m][place] != 0) << m;
    w->labels_to[to] = w->labels[place];
    w->brain_to[to] = (uint8_t)set;
}

static void warp_row(const warp *w, const double start[3], const double step[3], int64_t length,
                     size_t to)
{
    for (int64_t k = 0; k < length; k++, to++) {
        float at[3];
        int64_t floor_at[3];
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            at[i] = (float)(start[i] + (double)k * step[i]);
            floor_at[i] = (int64_t)floorf(at[i]);
            inside = inside && floor_at[i] >= 0 && floor_at[i] < w->size[i] - 1;
        }
        if (inside)
            warp_inside(w, at, floor_at, to);
        else
            warp_edge(w, at, floor_at, to);
        warp_nearest(w, at, to);
    }
}

void patch_warp(const preprocessed *c, const int64_t patch[3], const int64_t begin[3],
                const double matrix[3][3], float *images, uint8_t *labels, uint8_t *brain)
{
    const size_t voxels = (size_t)(patch[0] * patch[1] * patch[2]);
    warp w = {.labels = c->labels, .labels_to = labels, .brain_to = brain};
    for (int i = 0; i < 3; i++)
        w.size[i] = c->geometry.shape[2 - i];
    for (size_t m = 0; m < MODALITIES; m++) {
        w.to[m] = images + m * voxels;
        if (c->present & 1u << m)
            w.from[m] = c->images + m * (size_t)(w.size[0] * w.size[1] * w.size[2]);
        else
            memset(w.to[m], 0, voxels * sizeof *images);
    }
    for (int64_t z = 0; z < patch[0]; z++)
        for (int64_t y = 0; y < patch[1]; y++) {
            const double offset[3] = {(double)z - 0.5 * (double)(patch[0] - 1),
                                      (double)y - 0.5 * (double)(patch[1] - 1),
                                      -0.5 * (double)(patch[2] - 1)};
            double start[3], step[3];
            for (int i = 0; i < 3; i++) {
                start[i] = (double)begin[i] + 0.5 * (double)(patch[i] - 1);
                for (int j = 0; j < 3; j++)
                    start[i] += matrix[i][j] * offset[j];
                step[i] = matrix[i][2];
            }
            warp_row(&w, start, step, patch[2], (size_t)((z * patch[1] + y) * patch[2]));
        }
}
