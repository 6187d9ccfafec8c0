/* From the network's grid back to the file's: resample, argmax, un-crop, un-flip.
 *
 * Classes are resampled one at a time and only the best so far is kept: besides the result this
 * takes two floats and one byte per voxel of the crop, whatever the number of classes. */
#include "dataset/crop.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const preprocessed_geometry *geometry;
    int class;
    const float *probability; /* of this class, at crop_shape */
    float *best;              /* at crop_shape */
    uint8_t *winner;
    float *whole; /* of this class, on the file's grid; NULL: not wanted */
    uint8_t *labels;
} restore_job;

/* Ties keep the lower class. */
static void compete_plane(void *context, int64_t z, int thread)
{
    (void)thread;
    const restore_job *job = context;
    const size_t plane = (size_t)(job->geometry->crop_shape[0] * job->geometry->crop_shape[1]);
    for (size_t i = (size_t)z * plane; i < ((size_t)z + 1) * plane; i++)
        if (job->class == 0 || job->probability[i] > job->best[i]) {
            job->best[i] = job->probability[i];
            job->winner[i] = (uint8_t)job->class;
        }
}

/* A plane of the crop into the file's grid; elements are 4 bytes long (probabilities) or 1. */
static void place_plane(const preprocessed_geometry *g, int64_t z, const void *crop, void *file,
                        size_t element)
{
    const crop_walk w = walk_crop(g);
    const int64_t nx = g->crop_shape[0], ny = g->crop_shape[1], step = w.step[0];
    for (int64_t y = 0; y < ny; y++) {
        const int64_t to = w.start + y * w.step[1] + z * w.step[2], from = (z * ny + y) * nx;
        for (int64_t x = 0; x < nx; x++)
            if (element == sizeof(float))
                ((float *)file)[to + x * step] = ((const float *)crop)[from + x];
            else
                ((uint8_t *)file)[to + x * step] = ((const uint8_t *)crop)[from + x];
    }
}

static void place_probability_plane(void *context, int64_t z, int thread)
{
    const restore_job *job = context;
    (void)thread;
    place_plane(job->geometry, z, job->probability, job->whole, sizeof *job->whole);
}

static void place_label_plane(void *context, int64_t z, int thread)
{
    const restore_job *job = context;
    (void)thread;
    place_plane(job->geometry, z, job->winner, job->labels, 1);
}

ts_status preprocessed_restore(const preprocessed_geometry *g, int classes,
                               const float *probabilities, pool *p, uint8_t *labels,
                               float *probabilities_out, ts_error *error)
{
    const size_t crop = (size_t)voxel_count(g->crop_shape);
    const size_t final = (size_t)voxel_count(g->shape);
    const size_t whole = (size_t)voxel_count(g->header.shape);
    const bool resampled = memcmp(g->shape, g->crop_shape, sizeof g->shape) != 0;
    ts_status status = TS_OK;
    restore_job job = {.geometry = g, .labels = labels};
    float *at_crop = NULL;
    job.best = memory_allocate(crop, sizeof *job.best, "the best probability", error);
    job.winner = memory_allocate(crop, 1, "the labels of the crop", error);
    if (resampled)
        at_crop = memory_allocate(crop, sizeof *at_crop, "a resampled class", error);
    if (!job.best || !job.winner || (resampled && !at_crop))
        status = TS_MEMORY;
    for (int k = 0; status == TS_OK && k < classes; k++) {
        job.class = k;
        job.probability = probabilities + (size_t)k * final;
        if (resampled) {
            status =
                volume_resample_linear(job.probability, g->shape, at_crop, g->crop_shape, p, error);
            job.probability = at_crop;
        }
        if (status != TS_OK)
            break;
        pool_run(p, compete_plane, &job, g->crop_shape[2]);
        if (probabilities_out) {
            job.whole = probabilities_out + (size_t)k * whole;
            for (size_t i = 0; i < whole; i++)
                job.whole[i] = k == 0; /* outside the crop all is background */
            pool_run(p, place_probability_plane, &job, g->crop_shape[2]);
        }
    }
    if (status == TS_OK) {
        memset(labels, 0, whole);
        pool_run(p, place_label_plane, &job, g->crop_shape[2]);
    }
    free(at_crop);
    free(job.best);
    free(job.winner);
    return status;
}
