/* phantom: a physics-based cohort written as a BraTS folder; every case different. docs/phantom.md
 * names the sources of each tissue figure. */
#ifndef TWINSEG_PHANTOM_H
#define TWINSEG_PHANTOM_H

#include "base/base.h"
#include "dataset/dataset.h"

typedef enum { PHANTOM_BRATS2021, PHANTOM_BRATS2023, PHANTOM_MSD } phantom_layout;

/* One case on a grid of shape x, y, z with spacing 240/shape[0] mm, axes running to the patient's
 * left, posterior and superior. images[m]: int16, 0 outside the brain and nowhere inside it;
 * labels: 0 background, 1 NCR, 2 ED, 3 ET. Owned; release with phantom_free. */
typedef struct {
    int64_t shape[3];
    double spacing_mm, affine[4][4];
    int16_t *images[MODALITIES];
    uint8_t *labels;
} phantom_case;

/* Each axis has 16 to 1024 voxels; else an error. */
ts_status phantom_check_shape(const int64_t shape[3], ts_error *error);

/* Case `index` is a function of (seed, index, shape) alone, whatever the threads of p (may be
 * NULL). */
ts_status phantom_make(uint64_t seed, int64_t index, const int64_t shape[3], pool *p,
                       phantom_case *out, ts_error *error);
void phantom_free(phantom_case *c);

/* Writes cases 0..cases-1 below `out`, a folder that must be new or empty. A case appears whole
 * or not at all. An interrupt ends it between two cases with TS_STOPPED. */
ts_status phantom_write(const char *out, int64_t cases, uint64_t seed, const int64_t shape[3],
                        phantom_layout layout, pool *p, ts_error *error);

/* The same of whole heads for the training of brain extraction: Head_00000, ... at 2 mm, in the names
 * of BraTS 2021, with fields of view of their own; the truth is 1 within the brain. The brains are
 * phantoms, or in every second head those of a data set in turn, whose images must be
 * skull-stripped (NULL: none). */
ts_status phantom_write_heads(const char *out, int64_t cases, uint64_t seed, const dataset *brains,
                              pool *p, ts_error *error);

#endif
