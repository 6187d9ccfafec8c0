/* Chooses the post-processing rules on predictions of cases that their models have not seen.
 *
 * Every pair of thresholds of a small grid is tried on every case. The rule for ET makes all ET of
 * a case NCR, which stays in TC and WT. So only the Dice of ET changes, to 0 or 1. */
#include "tune/tune.h"
#include "dataset/dataset.h"
#include "predict/predict.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double component_mm3[] = {0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800};
static const double et_mm3[] = {0, 25, 50, 100, 200, 400, 800, 1600};
enum { COMPONENTS = COUNT_OF(component_mm3), ETS = COUNT_OF(et_mm3), CHOICES = COMPONENTS * ETS };

/* Dice of one case under every choice. */
typedef struct {
    double dice[CHOICES][REGIONS];
} tried;

typedef struct {
    const tune_cases *cases;
    tried *tried;
} tune_job;

typedef struct {
    int64_t both[REGIONS], predicted[REGIONS], truth[REGIONS];
} overlap;

static overlap count_overlap(const uint8_t *prediction, const uint8_t *truth, int64_t voxels)
{
    overlap o = {0};
    for (int64_t i = 0; i < voxels; i++)
        for (int r = 0; r < REGIONS && prediction[i] | truth[i]; r++) {
            const bool p = region_holds(r, prediction[i]), t = region_holds(r, truth[i]);
            o.predicted[r] += p;
            o.truth[r] += t;
            o.both[r] += p & t;
        }
    return o;
}

static double dice_of(const overlap *o, int r)
{
    const int64_t sum = o->predicted[r] + o->truth[r];
    return sum ? 2.0 * (double)o->both[r] / (double)sum : 1;
}

static ts_status try_choices(const uint8_t *prediction, const uint8_t *truth,
                             const volume_header *h, uint8_t *scratch, tried *out, ts_error *error)
{
    const int64_t voxels = voxel_count(h->shape);
    const double voxel_mm3 = h->zooms[0] * h->zooms[1] * h->zooms[2];
    for (int c = 0; c < COMPONENTS; c++) {
        memcpy(scratch, prediction, (size_t)voxels);
        const ts_status status = predict_postprocess(
            scratch, h->shape, 0, predict_threshold_voxels(component_mm3[c], voxel_mm3), error);
        if (status != TS_OK)
            return status;
        const overlap o = count_overlap(scratch, truth, voxels);
        for (int e = 0; e < ETS; e++) {
            double *dice = out->dice[c * ETS + e];
            for (int r = 0; r < REGIONS; r++)
                dice[r] = dice_of(&o, r);
            if (o.predicted[REGION_ET] < predict_threshold_voxels(et_mm3[e], voxel_mm3))
                dice[REGION_ET] = o.truth[REGION_ET] == 0;
        }
    }
    return TS_OK;
}

static ts_status read_labels(const char *path, label_map map, volume_header *h, uint8_t **labels,
                             ts_error *error)
{
    const ts_status status = volume_read_labels(path, h, labels, error);
    if (status != TS_OK)
        return status;
    return labels_map(*labels, (size_t)voxel_count(h->shape), map, false, path, error);
}

static ts_status try_case(void *context, int64_t index, int thread, ts_error *error)
{
    const tune_job *j = context;
    const evaluate_pair *pair = j->cases->pairs[index];
    volume_header h, truth_header;
    uint8_t *prediction = NULL, *truth = NULL, *scratch = NULL;
    (void)thread;
    const label_map of_name = dataset_labels_by_name(pair->id), given = j->cases->truth_labels;
    ts_status status =
        read_labels(pair->prediction, j->cases->labels[index], &h, &prediction, error);
    if (status != TS_OK)
        goto end;
    status = read_labels(pair->truth, given == LABELS_AUTO ? of_name : given, &truth_header, &truth,
                         error);
    if (status != TS_OK)
        goto end;
    status = volume_turn_labels(&truth_header, &truth, &h, NULL, error);
    if (status == TS_OK && memcmp(h.shape, truth_header.shape, 3 * sizeof *h.shape))
        status = error_set(error, TS_BAD_INPUT, "'%s' and '%s' are not on one grid",
                           pair->prediction, pair->truth);
    if (status != TS_OK)
        goto end;
    scratch = memory_allocate((size_t)voxel_count(h.shape), 1, "labels", error);
    status =
        scratch ? try_choices(prediction, truth, &h, scratch, &j->tried[index], error) : TS_MEMORY;
end:
    free(prediction);
    free(truth);
    free(scratch);
    return status;
}

/* ---- choosing ----------------------------------------------------------------------------- */

/* The choice with the greatest sum of Dice over all regions and all cases but `left`. Smaller
 * thresholds come first, and stay unless a later choice is better. */
static int best_choice(const tried *cases, size_t count, size_t left)
{
    int best = 0;
    double most = -1;
    for (int choice = 0; choice < CHOICES; choice++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            for (int r = 0; r < REGIONS && i != left; r++)
                sum += cases[i].dice[choice][r];
        if (sum > most + 1e-9) {
            most = sum;
            best = choice;
        }
    }
    return best;
}

static void choose(const tried *cases, size_t count, tuning *out)
{
    const int all = best_choice(cases, count, SIZE_MAX);
    *out = (tuning){.rules = {.cases = (int64_t)count,
                              .et_mm3 = et_mm3[all % ETS],
                              .component_mm3 = component_mm3[all / ETS]}};
    for (size_t i = 0; i < count; i++) {
        const int others = best_choice(cases, count, i);
        for (int r = 0; r < REGIONS; r++) {
            out->before[r] += cases[i].dice[0][r] / (double)count;
            out->after[r] += cases[i].dice[all][r] / (double)count;
            out->held_out[r] += cases[i].dice[others][r] / (double)count;
        }
    }
}

ts_status tune_rules(const tune_cases *c, pool *p, tuning *out, ts_error *error)
{
    tune_job j = {.cases = c,
                  .tried = memory_allocate(c->count, sizeof *j.tried, "the scores", error)};
    if (!j.tried)
        return TS_MEMORY;
    const ts_status status = pool_run_status(p, try_case, &j, (int64_t)c->count, error);
    if (status == TS_OK) {
        choose(j.tried, c->count, out);
        out->rules.component_confidence = c->component_confidence;
    }
    free(j.tried);
    return status;
}
