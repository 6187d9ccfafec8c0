/* brain: the brain's mask in raw images of any contrast, by a network of the program's own
 * (models/brain.safetensors, docs/models.md). */
#ifndef TWINSEG_BRAIN_H
#define TWINSEG_BRAIN_H

#include "predict/predict.h"

typedef struct brain_finder brain_finder;

/* model: a name or a path as model_find takes it; NULL: the one that comes with the program. A
 * model that finds anything else is refused. threads 0: all processors. */
ts_status brain_open(const char *model, int threads, brain_finder **out, ts_error *error);
void brain_close(brain_finder *f);

/* How probable it is that a voxel is brain, on the image's own grid: [nz][ny][nx], the caller's.
 * Raw images of any contrast and any voxel size; name is for messages. Refused: an axis of fewer
 * than 8 voxels or 60 mm (a localiser, a few slices), NaN, an image that is one value. */
ts_status brain_probability(brain_finder *f, const volume_header *grid, const float *image,
                            const char *name, float *probability, ts_error *error);

/* The mask of probabilities: those of at least 0.35, of these the largest component, its holes
 * filled. mask: 0 and 1, the caller's. An error where no voxel is left. */
ts_status brain_from_probability(const volume_header *grid, const float *probability, uint8_t *mask,
                                 ts_error *error);

/* Is the image stripped already, and its mask the voxels that are not 0 with their holes? By
 * dataset_looks_unstripped. */
ts_status brain_if_stripped(const volume_header *grid, const float *image, uint8_t *mask,
                            bool *stripped, ts_error *error);

/* All of the above for images of one patient on one grid: those that are stripped already give
 * their mask and settle it, else the mean of all images' probabilities is taken; where its mask is
 * taller than any brain, a second time without what lies below. probability (may be
 * NULL) receives it, or the mask. */
typedef struct {
    double millilitres;
    bool stripped; /* nothing was computed: image `which` was stripped already */
    size_t which;
} brain_found;
ts_status brain_find(brain_finder *f, const volume_header *grid, const float *const *images,
                     const char *const *names, size_t count, uint8_t *mask, float *probability,
                     brain_found *out, ts_error *error);

/* Adult brains have 700 to 2000 ml: else a sentence for a warning, to be freed; NULL: nothing to
 * say. */
char *brain_volume_doubt(double millilitres);

#endif
