/* Cutting the brain out of a patient's registered images (private to align/). */
#ifndef TWINSEG_ALIGN_STRIP_H
#define TWINSEG_ALIGN_STRIP_H

#include "align/align.h"

/* Images on one grid, those that there are; `reference` is one of them. */
typedef struct {
    const align_request *request;
    const volume_header *grid;
    const volume_header *reference_grid; /* the file's, on which a mask of the user's must be */
    modality reference;
    float *const *images; /* [MODALITIES] */
    const char *scratch;  /* a folder to work in */
    pool *pool;
} strip_job;

/* Sets all images to 0 outside of the brain, found as align_request.brain says. mask: 1 within it,
 * [nz][ny][nx] of the grid, owned, free(); NULL where the skull stays. */
ts_status strip_images(const strip_job *j, align_brain *found, uint8_t **mask, ts_error *error);

#endif
