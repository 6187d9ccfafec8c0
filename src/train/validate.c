/* Pseudo-Dice over fixed patches. */
#include "labels/labels.h"
#include "train/validate.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>

enum { BATCHES = 8 }; /* 16 patches at batch 2 */

typedef struct {
    int64_t both[REGIONS], predicted[REGIONS], truth[REGIONS], batches;
} region_counts;

/* The prediction of one voxel: the class of the greatest logit, or every region above 0. */
static unsigned predicted_regions(const float *logits, int64_t voxels, int classes)
{
    if (classes == REGIONS)
        return (logits[0] > 0) | (unsigned)(logits[voxels] > 0) << 1 |
               (unsigned)(logits[2 * voxels] > 0) << 2;
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c * voxels] > logits[best * voxels])
            best = c;
    return regions_with(best);
}

static void count_regions(const float *logits, const uint8_t *labels, const plan *p,
                          region_counts *counts)
{
    const int64_t voxels = voxel_count(p->patch);
    const int classes = p->loss == LOSS_REGIONS ? REGIONS : LABELS;
    for (int64_t n = 0; n < p->batch; n++)
        for (int64_t v = 0; v < voxels; v++) {
            const unsigned predicted =
                predicted_regions(logits + n * classes * voxels + v, voxels, classes);
            const unsigned truth = regions_with(labels[n * voxels + v]);
            for (int r = 0; r < REGIONS; r++) {
                counts->predicted[r] += predicted >> r & 1;
                counts->truth[r] += truth >> r & 1;
                counts->both[r] += (predicted & truth) >> r & 1;
            }
        }
}

static ts_status validate_batch(trainer *t, const plan *p, int64_t step, const batch *b,
                                region_counts counts[ROLES], ts_error *error)
{
    ts_status status = TS_OK;
    const bool complete = batch_present(b, 0) == ALL_MODALITIES || p->partial_teacher;
    for (int role = 0; status == TS_OK && role < ROLES; role++) {
        const float *logits;
        if (!method_learns(p, role, step) || (role == TEACHER && !complete))
            continue;
        counts[role].batches++;
        status = trainer_forward(t, role, b, &logits, error);
        if (status == TS_OK)
            count_regions(logits, b->labels, p, &counts[role]);
    }
    return status;
}

ts_status validate(trainer *t, const plan *p, int64_t step, const preprocessed *cases, size_t count,
                   double dice[ROLES][3], ts_error *error)
{
    const size_t voxels = (size_t)(p->batch * voxel_count(p->patch));
    region_counts counts[ROLES] = {0};
    batch b = {.images = memory_allocate(voxels, MODALITIES * sizeof(float), "a batch", error),
               .labels = memory_allocate(voxels, 1, "a batch", error)};
    plan fixed = method_sampling(
        p, step); /* patches as drawn for training, without augmentation, the same every time */
    fixed.augment = false;
    ts_status status = b.images && b.labels ? TS_OK : TS_MEMORY;
    for (int64_t i = 0; status == TS_OK && i < BATCHES; i++) {
        status = sample_batch(&fixed, cases, count, i, &b, error);
        if (status == TS_OK)
            status = validate_batch(t, p, step, &b, counts, error);
    }
    for (int role = 0; role < ROLES; role++)
        for (int r = 0; r < REGIONS; r++) {
            const int64_t sum = counts[role].predicted[r] + counts[role].truth[r];
            dice[role][r] = !counts[role].batches ? NAN
                            : sum                 ? 2.0 * (double)counts[role].both[r] / (double)sum
                                                  : 1;
        }
    free(b.images);
    free(b.labels);
    return status;
}
