/* What the files of measure/ share (private). */
#ifndef TWINSEG_MEASURE_PARTS_H
#define TWINSEG_MEASURE_PARTS_H

#include "measure/measure.h"
#include "voxels/voxels.h"

/* A lesion within its box, the axes turned to left, posterior, superior. */
typedef struct {
    int64_t shape[3];    /* of the box */
    const uint8_t *core; /* [z][y][x] of it: 1 in the lesion */
    const uint8_t *et;   /* the same: 1 in its enhancing part */
    double affine[4][4]; /* voxel of the box to world */
} lesion_box;

/* axial, perpendicular, product_mm2, enhancing_share, slice (of the box) and slices. */
ts_status diameters_axial(const lesion_box *b, measure_lesion *out, ts_error *error);
/* longest. */
ts_status diameter_longest(const lesion_box *b, measure_lesion *out, ts_error *error);

#endif
