/* What the files of evaluate/ share: boxes cut out of a case, components, distances. */
#ifndef TWINSEG_EVALUATE_SCORING_H
#define TWINSEG_EVALUATE_SCORING_H

#include "evaluate/evaluate.h"
#include "voxels/voxels.h"

/* ---- the figures that the conventions fix (docs/metrics.md) --------------------------------- */

/* Legacy, one mask empty: the diagonal of a BraTS volume, sqrt(240^2 + 240^2 + 155^2) mm. */
#define LEGACY_PENALTY_MM 373.1286641361127

enum {
    LESION_DILATION = 3,     /* steps of the 18-neighbourhood that join parts of one lesion */
    LESION_SMALL_MM3 = 50,   /* a lesion of at most this volume is left out */
    LESION_PENALTY_MM = 374, /* what the challenge's code has in place of infinity */
    CONNECTIVITY = 26        /* of components, in both conventions that have any */
};

/* Panoptic: brats-evaluation's threshold of a match, its tolerance of a whole region's NSD in
 * voxels (less than 1: only the same place), and its greatest HD95, which stands for infinity in
 * means. */
#define PANOPTIC_LEAST_DICE       1e-6
#define PANOPTIC_TOLERANCE_VOXELS 0.5
enum { PANOPTIC_PENALTY_MM = 373 };

/* ---- what is measured ----------------------------------------------------------------------- */

/* Two masks on one box of voxels, x fastest. Each byte is 0 or 1. */
typedef struct {
    int64_t shape[3];
    double spacing_mm[3];
    uint8_t *a, *b;
} mask_pair;

/* One case as evaluate_case takes it. */
typedef struct {
    const uint8_t *prediction, *truth;
    const int64_t *shape;
    const double *spacing_mm;
} label_pair;

/* What one pass over the voxels gives of a region: counts, and the box around both masks. */
typedef struct {
    int64_t both, predicted, truth;
    voxel_box box;
} region_extent;

region_extent region_find(const label_pair *l, label_set labels);
/* The region's box with room for the dilation, as far as the volume goes: a the prediction, b the
 * truth, to be freed also after an error. */
ts_status region_cut(const label_pair *l, label_set labels, const region_extent *e, mask_pair *m,
                     ts_error *error);

/* Distances to a set of voxels. No function may be called at once by two threads. */
typedef struct {
    int64_t shape[3];
    double spacing_mm[3];
    int32_t *steps;    /* from every voxel to the nearest of the set in its row along x */
    double *in_planes; /* squared, to the nearest in its plane; NULL until searches is used up */
    int64_t searches;  /* rows that may still be searched before in_planes is faster */
} distance_map;

/* To be closed also after an error. set: [nz][ny][nx], rows shorter than 2^31; not empty when
 * distances are requested. */
ts_status distance_open(const uint8_t *set, const int64_t shape[3], const double spacing_mm[3],
                        distance_map *map, ts_error *error);
void distance_close(distance_map *map);
/* Squared distance in mm^2 of a voxel, given by its index, to the nearest one of the set. */
ts_status distance_squared(distance_map *map, int64_t voxel, double *square, ts_error *error);

/* Sets every voxel within LESION_DILATION steps of the 18-neighbourhood of a set one. */
ts_status mask_dilate(uint8_t *mask, const int64_t shape[3], ts_error *error);

/* HD95 of BraTS 2017-2021 (surface voxels) and of 2023 (surfels), in mm. Neither mask is empty. */
ts_status hd95_voxels(const mask_pair *m, double *hd95, ts_error *error);
ts_status hd95_surfels(const mask_pair *m, double *hd95, ts_error *error);

/* Of the same surface voxels: HD95, and the normalised surface distance: the share of a surface
 * that lies within the tolerance of the other one, averaged over both surfaces. */
ts_status surface_scores(const mask_pair *m, double tolerance_mm, double *hd95, double *nsd,
                         ts_error *error);

/* Room for two masks on a box: m->shape, m->a and m->b; to be freed also after an error. */
ts_status mask_pair_take(mask_pair *m, const voxel_box *b, ts_error *error);

/* The assignment of least cost: every row of cost[rows][columns] gets a column of its own (rows <=
 * columns). Among assignments of equal cost it is that of scipy's linear_sum_assignment. */
ts_status assign_rows(const double *cost, int64_t rows, int64_t columns, int64_t *column_of_row,
                      ts_error *error);

/* Area in mm^2 of the surface through a cell of each of the 256 codes. */
void surfel_areas(const double spacing_mm[3], double areas[256]);

/* The lesion-wise part of a region: lesion_dice, lesion_hd95, tp, fp, fn. a is the prediction, b
 * the truth; the box has room for the dilation on every side where the volume has. whole_hd95 is
 * that of a and b; it is reused where one lesion matches the whole prediction. */
ts_status score_lesions(const mask_pair *m, double whole_hd95, region_scores *scores,
                        ts_error *error);

/* The figures in the order of evaluate_columns. */
void list_panoptic(const panoptic_scores *s, double values[EVALUATE_FIGURES_MAX]);

#endif
