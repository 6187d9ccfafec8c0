/* twins (private to dataset/): likely copies of one scan under two names, by their contents at low
 * resolution: the box of an image's non-zero voxels in 20x20x20 cells. Copies of one patient at another
 * voxel size, in another orientation or with other rounding correlate by 0.991 and more, different
 * patients by 0.958 at most in FLAIR and 0.977 in any modality (docs/data.md, "Likely copies"). */
#ifndef TWINSEG_DATASET_TWINS_H
#define TWINSEG_DATASET_TWINS_H

#include "dataset/load.h"

enum { THUMBNAIL_SIDE = 20, THUMBNAIL_CELLS = THUMBNAIL_SIDE * THUMBNAIL_SIDE * THUMBNAIL_SIDE };

/* The images of a case, each of mean 0 and length 1, in LPS; NULL where there is none, or it is
 * empty, constant or not finite. free() each. */
typedef struct {
    float *image[MODALITIES];
} thumbnails;

/* Memory that is out leaves NULL: the case is then not compared. */
void thumbnails_make(const case_data *d, thumbnails *out);
void thumbnails_free(thumbnails *t);

/* Correlation of the first modality that both have, of FLAIR, T1CE, T2, T1 in that order; *which says
 * of which. -1 where they have none in common. */
double thumbnails_compare(const thumbnails *a, const thumbnails *b, modality *which);

/* From here on two scans are taken for copies of one. */
extern const double twins_alike;

/* A pair of cases, a < b. */
typedef struct {
    size_t a, b;
    double correlation;
    modality modality;
} twin_pair;

/* The likely copies among `count` cases, in order, at most one a case with a later one; *pairs:
 * free(). */
ts_status twins_find(const thumbnails *cases, size_t count, pool *p, twin_pair **pairs,
                     size_t *pair_count, ts_error *error);

#endif
