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

/* Columns of a run's metrics.csv as curves over the step: losses, and Dice where it stands. */
ts_status picture_curves(const char *path, const char *title, const char *metrics_csv,
                         ts_error *error);

#endif
