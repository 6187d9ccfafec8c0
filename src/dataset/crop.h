/* crop (private to dataset/): where the voxels of a preprocessed case's crop are in its file. */
#ifndef TWINSEG_DATASET_CROP_H
#define TWINSEG_DATASET_CROP_H

#include "dataset/dataset.h"

/* Walks a file's voxels in oriented, cropped order: voxel (x, y, z) of the crop is the file's
 * element start + x*step[0] + y*step[1] + z*step[2]. */
typedef struct {
    int64_t start, step[3];
} crop_walk;

static inline crop_walk walk_crop(const preprocessed_geometry *g)
{
    const int64_t *n = g->header.shape;
    const int64_t stride[3] = {1, n[0], n[0] * n[1]};
    crop_walk w = {0};
    for (int i = 0; i < 3; i++) {
        const int axis = g->orientation.axis[i];
        const bool flip = g->orientation.flip[i];
        w.step[i] = flip ? -stride[axis] : stride[axis];
        w.start += stride[axis] * (flip ? n[axis] - 1 - g->crop_begin[i] : g->crop_begin[i]);
    }
    return w;
}

#endif
