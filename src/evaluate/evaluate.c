/* One case scored: WT, TC and ET, each on the box around both masks. docs/metrics.md, "Regions and
 * counts". */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In these conventions 4 counts as ET (evaluate_case). */
static label_set labels_of(region r)
{
    return region_labels[r] | 1u << LABEL_RC;
}

typedef struct {
    label_pair labels;
    convention convention;
    region_scores *scores;
} case_job;

/* Dice, sensitivity, specificity by counts. */
static void score_counts(const region_extent *e, int64_t voxels, region_scores *s)
{
    const int64_t fp = e->predicted - e->both, fn = e->truth - e->both;
    const int64_t tn = voxels - e->both - fp - fn;
    const bool both_empty = e->predicted + e->truth == 0;
    s->dice = both_empty ? 1 : 2 * (double)e->both / (double)(e->predicted + e->truth);
    s->sensitivity = both_empty ? 1 : e->truth ? (double)e->both / (double)e->truth : 0;
    s->specificity = tn + fp ? (double)tn / (double)(tn + fp) : 0;
}

/* HD95 of the whole region, and lesion by lesion where the convention does so; one mask is not
 * empty. */
static ts_status score_distances(const mask_pair *m, const region_extent *e, bool lesion,
                                 region_scores *s, ts_error *error)
{
    ts_status status = TS_OK;
    if (e->predicted == 0 || e->truth == 0)
        s->hd95 = lesion ? LESION_PENALTY_MM : LEGACY_PENALTY_MM;
    else
        status = lesion ? hd95_surfels(m, &s->hd95, error) : hd95_voxels(m, &s->hd95, error);
    return status == TS_OK && lesion ? score_lesions(m, s->hd95, s, error) : status;
}

static ts_status score_region(void *context, int64_t r, int thread, ts_error *error)
{
    const case_job *j = context;
    region_scores *s = &j->scores[r];
    mask_pair m = {0};
    const label_set labels = labels_of((region)r);
    const region_extent e = region_find(&j->labels, labels);
    const bool lesion = j->convention == CONVENTION_LESION;
    (void)thread;
    *s = (region_scores){0};
    score_counts(&e, voxel_count(j->labels.shape), s);
    if (e.predicted + e.truth == 0) {
        s->lesion_dice = lesion ? 1 : 0;
        return TS_OK;
    }
    ts_status status = region_cut(&j->labels, labels, &e, &m, error);
    if (status == TS_OK)
        status = score_distances(&m, &e, lesion, s, error);
    free(m.a);
    free(m.b);
    return status;
}

ts_status evaluate_case(const uint8_t *prediction, const uint8_t *truth, const int64_t shape[3],
                        const double spacing_mm[3], convention c, pool *p,
                        region_scores scores[REGIONS], ts_error *error)
{
    case_job j = {
        .labels = {prediction, truth, shape, spacing_mm}, .convention = c, .scores = scores};
    return pool_run_status(p, score_region, &j, REGIONS, error);
}
