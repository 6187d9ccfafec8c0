/* One case scored: WT, TC and ET, each on the box around both masks. metrics/SPEC.md. */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const region_names[REGIONS] = {"WT", "TC", "ET"};

enum { DILATION = 3, EMPTY_LESION_MM = 374 };

/* One empty mask, to 2021: the diagonal of a BraTS volume, sqrt(240^2 + 240^2 + 155^2) mm. */
static const double empty_legacy_mm = 373.1286641361127;

static uint8_t in_region(uint8_t label, region r)
{
    switch (label) {
    case 1:
        return r != REGION_ET;
    case 2:
        return r == REGION_WT;
    case 3:
    case 4:
        return 1;
    default:
        return 0;
    }
}

typedef struct {
    const uint8_t *prediction, *truth;
    const int64_t *shape;
    const double *spacing_mm;
    convention convention;
    region_scores *scores;
    ts_status status[REGIONS];
    ts_error error[REGIONS];
} case_job;

/* What one look at all voxels gives: counts, and the box around both masks. */
typedef struct {
    int64_t both, predicted, truth;
    int64_t low[3], high[3];
} region_extent;

static region_extent find_extent(const case_job *j, region r)
{
    region_extent e = {.low = {INT64_MAX, INT64_MAX, INT64_MAX}, .high = {-1, -1, -1}};
    int64_t i = 0;
    for (int64_t z = 0; z < j->shape[2]; z++)
        for (int64_t y = 0; y < j->shape[1]; y++)
            for (int64_t x = 0; x < j->shape[0]; x++, i++) {
                if (!(j->prediction[i] | j->truth[i]))
                    continue;
                const int64_t p = in_region(j->prediction[i], r), t = in_region(j->truth[i], r);
                const int64_t at[3] = {x, y, z};
                e.both += p & t;
                e.predicted += p;
                e.truth += t;
                for (int k = 0; (p | t) && k < 3; k++) {
                    e.low[k] = at[k] < e.low[k] ? at[k] : e.low[k];
                    e.high[k] = at[k] > e.high[k] ? at[k] : e.high[k];
                }
            }
    return e;
}

/* Dice, sensitivity, specificity by counts; section 1. */
static void score_counts(const region_extent *e, int64_t voxels, region_scores *s)
{
    const int64_t fp = e->predicted - e->both, fn = e->truth - e->both;
    const int64_t tn = voxels - e->both - fp - fn;
    const bool both_empty = e->predicted + e->truth == 0;
    s->dice = both_empty ? 1 : 2 * (double)e->both / (double)(e->predicted + e->truth);
    s->sensitivity = both_empty ? 1 : e->truth ? (double)e->both / (double)e->truth : 0;
    s->specificity = tn + fp ? (double)tn / (double)(tn + fp) : 0;
}

/* The box with room for the dilation, as far as the volume goes. */
static ts_status cut_box(const case_job *j, region r, const region_extent *e, mask_pair *m,
                         ts_error *error)
{
    int64_t begin[3];
    for (int k = 0; k < 3; k++) {
        begin[k] = e->low[k] > DILATION ? e->low[k] - DILATION : 0;
        const int64_t end = e->high[k] + DILATION + 1;
        m->shape[k] = (end < j->shape[k] ? end : j->shape[k]) - begin[k];
        m->spacing_mm[k] = j->spacing_mm[k];
    }
    m->a = memory_allocate((size_t)voxels_of(m->shape), 1, "a region's box", error);
    m->b = memory_allocate((size_t)voxels_of(m->shape), 1, "a region's box", error);
    if (!m->a || !m->b)
        return TS_MEMORY;
    for (int64_t z = 0, at = 0; z < m->shape[2]; z++)
        for (int64_t y = 0; y < m->shape[1]; y++) {
            const int64_t row =
                begin[0] + j->shape[0] * (begin[1] + y + j->shape[1] * (begin[2] + z));
            for (int64_t x = 0; x < m->shape[0]; x++, at++) {
                m->a[at] = in_region(j->prediction[row + x], r);
                m->b[at] = in_region(j->truth[row + x], r);
            }
        }
    return TS_OK;
}

static ts_status score_region(case_job *j, region r, ts_error *error)
{
    region_scores *s = &j->scores[r];
    mask_pair m = {0};
    ts_status status = TS_OK;
    const region_extent e = find_extent(j, r);
    const bool lesion = j->convention == CONVENTION_LESION;
    *s = (region_scores){0};
    score_counts(&e, voxels_of(j->shape), s);
    if (e.predicted + e.truth == 0) {
        s->lesion_dice = lesion ? 1 : 0;
        return TS_OK;
    }
    status = cut_box(j, r, &e, &m, error);
    if (e.predicted == 0 || e.truth == 0)
        s->hd95 = lesion ? EMPTY_LESION_MM : empty_legacy_mm;
    else if (status == TS_OK)
        status = lesion ? hd95_surfels(&m, &s->hd95, error) : hd95_voxels(&m, &s->hd95, error);
    if (status == TS_OK && lesion)
        status = score_lesions(&m, s->hd95, s, error);
    free(m.a);
    free(m.b);
    return status;
}

static void score_task(void *context, int64_t r, int thread)
{
    case_job *j = context;
    (void)thread;
    j->status[r] = score_region(j, (region)r, &j->error[r]);
}

ts_status evaluate_case(const uint8_t *prediction, const uint8_t *truth, const int64_t shape[3],
                        const double spacing_mm[3], convention c, pool *p,
                        region_scores scores[REGIONS], ts_error *error)
{
    case_job j = {prediction, truth, shape, spacing_mm, c, scores, {TS_OK}, {{TS_OK, ""}}};
    pool_run(p, score_task, &j, REGIONS);
    for (int r = 0; r < REGIONS; r++)
        if (j.status[r] != TS_OK) {
            if (error)
                *error = j.error[r];
            return j.status[r];
        }
    return TS_OK;
}
