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

/* Counts and box of one row of voxels. */
static void find_in_row(const uint8_t *p, const uint8_t *t, const int64_t at[3], int64_t count,
                        label_set labels, region_extent *e)
{
    int64_t first = -1, last = -1;
    for (int64_t x = 0; x < count; x++) {
        const int64_t a = label_in(labels, p[x]), b = label_in(labels, t[x]);
        if (!(a | b))
            continue;
        e->both += a & b;
        e->predicted += a;
        e->truth += b;
        first = first < 0 ? x : first;
        last = x;
    }
    if (first >= 0)
        box_join(&e->box, &(voxel_box){{first, at[1], at[2]}, {last, at[1], at[2]}});
}

region_extent region_find(const label_pair *l, label_set labels)
{
    region_extent e = {.box = box_empty()};
    const int64_t nx = l->shape[0];
    for (int64_t z = 0, i = 0; z < l->shape[2]; z++)
        for (int64_t y = 0; y < l->shape[1]; y++, i += nx) {
            const uint8_t *p = l->prediction + i, *t = l->truth + i;
            /* most rows hold nothing: a row that begins with 0 and equals itself one further is
             * 0 */
            if (!p[0] && !t[0] && !memcmp(p, p + 1, (size_t)nx - 1) &&
                !memcmp(t, t + 1, (size_t)nx - 1))
                continue;
            find_in_row(p, t, (int64_t[3]){0, y, z}, nx, labels, &e);
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

ts_status mask_pair_take(mask_pair *m, const voxel_box *b, ts_error *error)
{
    box_shape(b, m->shape);
    m->a = memory_take((size_t)voxel_count(m->shape), 1, "a region's box", error);
    m->b = memory_take((size_t)voxel_count(m->shape), 1, "a region's box", error);
    return m->a && m->b ? TS_OK : TS_MEMORY;
}

ts_status region_cut(const label_pair *l, label_set labels, const region_extent *e, mask_pair *m,
                     ts_error *error)
{
    const voxel_box b = box_grow(&e->box, LESION_DILATION, l->shape);
    uint8_t within[256];
    for (int v = 0; v < 256; v++)
        within[v] = label_in(labels, v);
    memcpy(m->spacing_mm, l->spacing_mm, sizeof m->spacing_mm);
    if (mask_pair_take(m, &b, error) != TS_OK)
        return TS_MEMORY;
    box_cut(l->prediction, l->shape, &b, within, m->a);
    box_cut(l->truth, l->shape, &b, within, m->b);
    return TS_OK;
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
