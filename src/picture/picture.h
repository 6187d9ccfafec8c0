/* picture: PNG of slices with outlines, and of curves. Colour-blind-safe (Okabe-Ito). */
#ifndef TWINSEG_PICTURE_H
#define TWINSEG_PICTURE_H

#include "plan/plan.h"
#include "volume/volume.h"

/* Axial, coronal and sagittal slices through the tumour's largest extent: one row a modality
 * (NULL where absent), prediction as solid and truth as dashed outlines of WT/TC/ET, radiological
 * orientation (patient's right on the left), R and L marked. images[m], labels: on one grid whose
 * header is given; labels 0..3; prediction or truth may be NULL. */
ts_status picture_slices(const char *path, const char *title, const volume_header *header,
                         const float *const images[MODALITIES], const uint8_t *prediction,
                         const uint8_t *truth, ts_error *error);

/* Columns of a run's metrics.csv as curves over the step: losses, and Dice where there is any. */
ts_status picture_curves(const char *path, const char *title, const char *metrics_csv,
                         ts_error *error);

/* Differences of pairs, and their mean with its interval. */
typedef struct {
    char label[96];
    const double *values; /* [count] */
    size_t count;
    double mean, low, high;
} picture_group;

/* A line a group, a dot a pair, about a line at zero. axis: words below it. */
ts_status picture_differences(const char *path, const char *title, const char *axis,
                              const picture_group *groups, size_t count, ts_error *error);

#endif
