/* Heads as scanners make them (private to phantom/): what heads.c writes as a cohort. */
#ifndef TWINSEG_PHANTOM_HEADSCAN_H
#define TWINSEG_PHANTOM_HEADSCAN_H

#include "phantom/phantom.h"

/* A brain of a real patient without its skull, [z][y][x] with the axes of a phantom_case, standing
 * as BraTS's do. */
typedef struct {
    int64_t shape[3];
    double spacing_mm;
    float *depth;             /* below its surface, mm; negative outside */
    float *image[MODALITIES]; /* over the median of its own voxels; NULL where there is none */
    modality_set present;
} real_brain;

/* One case of a data set. */
ts_status real_brain_read(const dataset_case *c, real_brain *out, ts_error *error);
void real_brain_free(real_brain *b);
/* At a point of the head's frame (anatomy.h): depth and the images' values. */
void real_brain_at(const real_brain *b, const float head[3], float *depth,
                   float values[MODALITIES]);

/* Head `index`: images[m] of contrasts drawn one by one, labels 1 within the brain. brain NULL: a
 * phantom's. */
ts_status head_make(uint64_t seed, int64_t index, const real_brain *brain, pool *p,
                    phantom_case *out, ts_error *error);

/* What a scanner does to one image, in place: its slices (along an axis, thicker than the voxels),
 * ghosts and noise, which are drawn from the stream. `level` is the signal of brain. */
typedef struct {
    int axis;           /* of the slices */
    float slice_voxels; /* thickness; up to 1: none thicker than voxels */
    float gap;          /* of the thickness */
    float blur;         /* share that a voxel gives to either neighbour along each axis */
    float ghost;        /* strength of the copy */
    int64_t ghost_shift, ghost_axis;
    float noise; /* of level */
    bool sharp;  /* slices are interpolated by a cubic, not linearly */
} scanner;

scanner scanner_draw(random_stream *r);
ts_status scanner_apply(const scanner *s, const int64_t shape[3], float level, random_stream *r,
                        float *image, ts_error *error);

#endif
