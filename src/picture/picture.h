/* picture: PNG of slices with outlines, and of curves. Colour-blind-safe (Okabe-Ito). */
#ifndef TWINSEG_PICTURE_H
#define TWINSEG_PICTURE_H

#include "plan/plan.h"
#include "volume/volume.h"

/* The axial, coronal and sagittal slice with the largest cross-section of the tumour: a row for
 * each modality that is not NULL, with outlines of WT, TC and ET, solid for the prediction and
 * dashed for the truth, in the radiological view (patient's right on the left), marked R and L. All
 * images and labels are on the grid of the header; labels 0 to 3; prediction or truth may be
 * NULL. */
ts_status picture_slices(const char *path, const char *title, const volume_header *header,
                         const float *const images[MODALITIES], const uint8_t *prediction,
                         const uint8_t *truth, ts_error *error);

/* Two dates of a patient on one grid, with the labels of each: a column for each date, a row for
 * each plane, through the second's largest cross-section of the tumour (else the first's). */
typedef struct {
    const char *name;
    const float *image;
    const uint8_t *labels;
} picture_date;

ts_status picture_dates(const char *path, const char *title, const volume_header *header,
                        const picture_date dates[2], ts_error *error);

/* Columns of a run's metrics.csv as curves over the step: losses, and Dice where there is any. */
ts_status picture_curves(const char *path, const char *title, const char *metrics_csv,
                         ts_error *error);

/* The differences of pairs, and their mean with its confidence interval. */
typedef struct {
    char label[96];
    const double *values; /* [count] */
    size_t count;
    double mean, low, high;
} picture_group;

/* A row for each group with a dot for each pair, and a line at zero. axis: the axis's label. */
ts_status picture_differences(const char *path, const char *title, const char *axis,
                              const picture_group *groups, size_t count, ts_error *error);

#endif
