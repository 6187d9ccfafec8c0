/* What the files of evaluate/ share: boxes cut out of a case, components, distances. */
#ifndef TWINSEG_EVALUATE_SCORING_H
#define TWINSEG_EVALUATE_SCORING_H

#include "evaluate/evaluate.h"

/* Two masks on one box of voxels, x fastest. Each byte is 0 or 1. */
typedef struct {
    int64_t shape[3];
    double spacing_mm[3];
    uint8_t *a, *b;
} mask_pair;

static inline int64_t voxels_of(const int64_t shape[3])
{
    return shape[0] * shape[1] * shape[2];
}

/* out: squared distance in mm^2 of every voxel to the nearest one of the set, which is not empty.
 */
ts_status distance_squared(const uint8_t *set, const int64_t shape[3], const double spacing_mm[3],
                           double *out, ts_error *error);

/* Labels the 26-connected components of a mask 1..*count, in the order of their first voxels. */
ts_status components_label(const uint8_t *mask, const int64_t shape[3], int32_t *labels,
                           int32_t *count, ts_error *error);

/* Sets every voxel within three steps of the 18-neighbourhood of a set one (SPEC 3.1). */
ts_status mask_dilate(uint8_t *mask, const int64_t shape[3], ts_error *error);

/* HD95 of BraTS 2017-2021 (surface voxels) and of 2023 (surfels), in mm. Neither mask is empty. */
ts_status hd95_voxels(const mask_pair *m, double *hd95, ts_error *error);
ts_status hd95_surfels(const mask_pair *m, double *hd95, ts_error *error);

/* Area in mm^2 of the surface through a cell of each of the 256 codes. */
void surfel_areas(const double spacing_mm[3], double areas[256]);

/* The lesion-wise part of a region: lesion_dice, lesion_hd95, tp, fp, fn. a is the prediction, b
 * the truth; the box leaves the dilation room wherever the volume does. whole_hd95 is that of a and
 * b, taken over where one lesion meets the whole prediction. */
ts_status score_lesions(const mask_pair *m, double whole_hd95, region_scores *scores,
                        ts_error *error);

#endif
