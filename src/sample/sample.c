/* One step's batch: draw, gather, augment. Every patch is made by itself from draws keyed by
 * (seed, step, place in the batch), so that neither threads nor their order change a bit.
 *
 * The order is nnU-Net 2's: rotation and scaling, noise, blur, brightness, contrast, low
 * resolution, gamma on inverted intensities, gamma, mirroring; last, what was exactly 0 before
 * (outside of the brain) is set to 0 again. nnU-Net does so wherever intensities were
 * normalised within the brain, and prediction sees exact zeros there too. A modality that a case
 * lacks stays all 0. */
#include "sample/transform.h"
#include "voxels/voxels.h"

#include <stdlib.h>

/* Scratch memory for one patch. */
typedef struct {
    float *scratch; /* [2][d][h][w] */
    uint8_t *brain; /* [d][h][w] */
} workspace;

static void augment_channel(float *x, int m, const int64_t shape[3], const patch_draw *d,
                            random_stream *noise, float *scratch)
{
    const size_t count = (size_t)voxel_count(shape);
    if (d->noise_deviation > 0)
        augment_noise(x, count, d->noise_deviation, noise);
    if (d->blur_sigma[m][0] > 0)
        augment_blur(x, shape, d->blur_sigma[m], scratch);
    if (d->brightness[m] != 1)
        augment_brightness(x, count, d->brightness[m]);
    if (d->contrast[m] != 1)
        augment_contrast(x, count, d->contrast[m]);
    if (d->zoom[m] != 1)
        augment_low_resolution(x, shape, d->zoom[m], scratch);
    if (d->gamma_inverted[m] != 1)
        augment_gamma(x, count, d->gamma_inverted[m], true);
    if (d->gamma[m] != 1)
        augment_gamma(x, count, d->gamma[m], false);
}

modality_set batch_present(const batch *b, int64_t patch)
{
    return b->present[patch] ? b->present[patch] : ALL_MODALITIES;
}

static void make_patch(const plan *p, const preprocessed *cases, const patch_draw *draw,
                       int64_t step, int64_t index, const workspace *w, batch *out)
{
    const size_t voxels = (size_t)voxel_count(p->patch);
    const patch_draw d = *draw;
    float *images = out->images + (size_t)index * MODALITIES * voxels;
    uint8_t *labels = out->labels + (size_t)index * voxels;
    const preprocessed *source = &cases[d.source];
    if (d.warp)
        patch_warp(source, p->patch, d.begin, d.matrix, images, labels, w->brain);
    else
        patch_crop(source, p->patch, d.begin, images, labels, p->augment ? w->brain : NULL);
    if (!p->augment)
        return;
    random_stream noise =
        random_open((uint64_t)p->seed, RANDOM_NOISE, (uint32_t)step, (uint32_t)index);
    for (int m = 0; m < MODALITIES; m++) {
        float *x = images + (size_t)m * voxels;
        if (!(source->present & 1u << m))
            continue;
        augment_channel(x, m, p->patch, &d, &noise, w->scratch);
        augment_mask(x, voxels, w->brain, 1u << m);
        mirror_patch(x, p->patch, d.mirror, sizeof *x);
    }
    mirror_patch(labels, p->patch, d.mirror, 1);
}

ts_status sample_batch(const plan *p, const preprocessed *cases, size_t count, int64_t step,
                       batch *out, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(p->patch);
    for (size_t i = 0; i < count; i++)
        if (!cases[i].labels)
            return error_set(error, TS_BAD_INPUT,
                             "case %s has no truth: training needs labels for every case",
                             cases[i].id);
    if (!count)
        return error_set(error, TS_BAD_INPUT, "there is no case to train on");
    workspace w = {
        .scratch = memory_allocate(voxels, 2 * sizeof *w.scratch, "augmentation", error),
        .brain = memory_allocate(voxels, 1, "augmentation", error),
    };
    if (w.scratch && w.brain) {
        out->step = step;
        for (int64_t i = 0; i < p->batch; i++) {
            patch_draw d;
            draw_patch(p, cases, count, step, i, &d);
            out->present[i] = (uint8_t)cases[d.source].present;
            make_patch(p, cases, &d, step, i, &w, out);
        }
    }
    const bool done = w.scratch && w.brain;
    free(w.scratch);
    free(w.brain);
    return done ? TS_OK : TS_MEMORY;
}
