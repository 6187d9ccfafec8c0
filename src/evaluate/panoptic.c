/* A case scored instance by instance, as the BraTS challenges do since 2025 by the package
 * brats-evaluation (0.0.10, adult glioma) over Panoptica (2.1.7): docs/metrics.md, "Panoptic". */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- matching ------------------------------------------------------------------------------- */

/* Cost of a pair: 1 - Dice, and a little over 1 where they do not overlap enough. rows: the side
 * with fewer instances, as assign_rows needs it; where both have as many, the truth, as in
 * scipy. */
static void fill_costs(const components *rows, const components *columns, int64_t voxels,
                       double *cost)
{
    const int64_t width = columns->count;
    for (int64_t i = 0; i < voxels; i++)
        if (rows->numbers[i] && columns->numbers[i])
            cost[(rows->numbers[i] - 1) * width + columns->numbers[i] - 1]++;
    for (int64_t r = 0; r < rows->count; r++)
        for (int64_t c = 0; c < width; c++) {
            const int64_t sum = rows->all[r + 1].voxels + columns->all[c + 1].voxels;
            const double dice = 2 * cost[r * width + c] / (double)sum;
            cost[r * width + c] = dice >= PANOPTIC_LEAST_DICE ? 1 - dice : 1 + PANOPTIC_LEAST_DICE;
        }
}

/* truth_of[p]: the truth's instance that prediction's instance p is matched to, or 0; one to one,
 * with the greatest sum of Dice. */
static ts_status match_instances(const components *predicted, const components *truth,
                                 int64_t voxels, int32_t *truth_of, ts_error *error)
{
    const bool truth_first = truth->count <= predicted->count;
    const components *rows = truth_first ? truth : predicted;
    const components *columns = truth_first ? predicted : truth;
    size_t pairs;
    if (!size_multiply((size_t)rows->count, (size_t)columns->count, &pairs))
        return error_set(error, TS_MEMORY, "too many instances to match");
    double *cost = memory_allocate(pairs, sizeof *cost, "the pairs of instances", error);
    int64_t *column = memory_allocate((size_t)rows->count, sizeof *column, "a matching", error);
    ts_status status = TS_MEMORY;
    if (!cost || !column)
        goto end;
    fill_costs(rows, columns, voxels, cost);
    status = assign_rows(cost, rows->count, columns->count, column, error);
    if (status != TS_OK)
        goto end;
    for (int64_t r = 0; r < rows->count; r++)
        if (cost[r * columns->count + column[r]] < 1)
            truth_of[truth_first ? column[r] + 1 : r + 1] =
                (int32_t)(truth_first ? r + 1 : column[r] + 1);
end:
    free(cost);
    free(column);
    return status;
}

/* ---- scores --------------------------------------------------------------------------------- */

/* Mean and (population) deviation of some values, added one by one in two passes. */
static void mean_and_deviation(const double *values, size_t count, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    *mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = sqrt(squares / (double)count);
}

/* Dice, NSD and HD95 of a matched pair, in mm. The package takes arrays as z, y, x and the spacing
 * as x, y, z, so that the voxel sizes of x and z are exchanged; so they are here. */
static ts_status score_match(const mask_pair *m, const components *predicted,
                             const components *truth, int32_t p, int32_t t, double scores[3],
                             ts_error *error)
{
    const voxel_component *a = &predicted->all[p], *b = &truth->all[t];
    mask_pair box = {.spacing_mm = {m->spacing_mm[2], m->spacing_mm[1], m->spacing_mm[0]}};
    voxel_box around = a->box;
    int64_t both = 0;
    double tolerance_mm = HUGE_VAL;
    box_join(&around, &b->box);
    for (int k = 0; k < 3; k++)
        tolerance_mm = fmin(tolerance_mm, box.spacing_mm[k]);
    uint8_t *chosen = memory_allocate(
        (size_t)(predicted->count > truth->count ? predicted->count : truth->count) + 1, 1,
        "the instances", error);
    ts_status status = chosen ? mask_pair_take(&box, &around, error) : TS_MEMORY;
    if (status != TS_OK)
        goto end;
    chosen[p] = 1;
    box_cut_numbers(predicted->numbers, m->shape, &around, chosen, box.a);
    chosen[p] = 0;
    chosen[t] = 1;
    box_cut_numbers(truth->numbers, m->shape, &around, chosen, box.b);
    for (int64_t i = 0; i < voxel_count(box.shape); i++)
        both += box.a[i] & box.b[i];
    scores[0] = 2 * (double)both / (double)(a->voxels + b->voxels);
    status = surface_scores(&box, tolerance_mm, &scores[2], &scores[1], error);
end:
    free(chosen);
    free(box.a);
    free(box.b);
    return status;
}

/* The figures of all matches; s->tp of them, at least one. */
static ts_status score_matches(const mask_pair *m, const components *predicted,
                               const components *truth, const int32_t *truth_of, panoptic_scores *s,
                               ts_error *error)
{
    const size_t tp = (size_t)s->tp;
    size_t found = 0;
    double *values = memory_allocate(3 * tp, sizeof *values, "the instances", error);
    if (!values)
        return TS_MEMORY;
    for (int32_t p = 1; p <= predicted->count; p++) {
        double one[3];
        if (!truth_of[p])
            continue;
        const ts_status status = score_match(m, predicted, truth, p, truth_of[p], one, error);
        if (status != TS_OK) {
            free(values);
            return status;
        }
        for (size_t k = 0; k < 3; k++)
            values[k * tp + found] = one[k];
        found++;
    }
    mean_and_deviation(values, tp, &s->instance_dice, &s->instance_dice_std);
    mean_and_deviation(values + tp, tp, &s->instance_nsd, &s->instance_nsd_std);
    mean_and_deviation(values + 2 * tp, tp, &s->instance_hd95, &s->instance_hd95_std);
    free(values);
    return TS_OK;
}

static double ratio_or_nan(int64_t part, int64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

/* The scores without a match: undefined where there is nothing to match, else the worst. */
static panoptic_scores without_match(bool nothing)
{
    const double least = nothing ? NAN : 0, furthest = nothing ? NAN : HUGE_VAL;
    return (panoptic_scores){.dice = least,
                             .nsd = least,
                             .hd95 = furthest,
                             .rq = least,
                             .pq = least,
                             .precision = NAN,
                             .recall = NAN,
                             .instance_dice = least,
                             .instance_dice_std = NAN,
                             .instance_nsd = least,
                             .instance_nsd_std = NAN,
                             .instance_hd95 = furthest,
                             .instance_hd95_std = NAN};
}

/* The whole region, in voxels whatever the spacing: the package passes none here. */
static ts_status score_whole(const mask_pair *m, const region_extent *e, panoptic_scores *s,
                             ts_error *error)
{
    mask_pair in_voxels = *m;
    for (int k = 0; k < 3; k++)
        in_voxels.spacing_mm[k] = 1;
    s->dice = 2 * (double)e->both / (double)(e->predicted + e->truth);
    return surface_scores(&in_voxels, PANOPTIC_TOLERANCE_VOXELS, &s->hd95, &s->nsd, error);
}

/* The counts, and what follows from them. */
static void count_instances(const components *predicted, const components *truth,
                            const int32_t *truth_of, panoptic_scores *s)
{
    for (int32_t p = 1; p <= predicted->count; p++)
        s->tp += truth_of[p] > 0;
    s->fp = predicted->count - s->tp;
    s->fn = truth->count - s->tp;
    s->precision = ratio_or_nan(s->tp, predicted->count);
    s->recall = ratio_or_nan(s->tp, truth->count);
}

static ts_status score_instances(const mask_pair *m, panoptic_scores *s, ts_error *error)
{
    components predicted = {0}, truth = {0};
    int32_t *truth_of = NULL;
    ts_status status = components_find(m->a, m->shape, &predicted, error);
    if (status == TS_OK)
        status = components_find(m->b, m->shape, &truth, error);
    if (status != TS_OK)
        goto end;
    truth_of = memory_allocate((size_t)predicted.count + 1, sizeof *truth_of, "a matching", error);
    status = truth_of ? TS_OK : TS_MEMORY;
    if (status == TS_OK && predicted.count && truth.count)
        status = match_instances(&predicted, &truth, voxel_count(m->shape), truth_of, error);
    if (status != TS_OK)
        goto end;
    count_instances(&predicted, &truth, truth_of, s);
    if (!s->tp)
        goto end;
    status = score_matches(m, &predicted, &truth, truth_of, s, error);
    s->rq = (double)s->tp / ((double)s->tp + 0.5 * (double)s->fp + 0.5 * (double)s->fn);
    s->pq = s->instance_dice * s->rq;
end:
    free(truth_of);
    components_free(&predicted);
    components_free(&truth);
    return status;
}

/* ---- a case --------------------------------------------------------------------------------- */

typedef struct {
    label_pair labels; /* the box around everything that is labelled: nothing beyond it matters */
    panoptic_scores *scores;
} case_job;

static ts_status score_region(void *context, int64_t r, int thread, ts_error *error)
{
    const case_job *j = context;
    panoptic_scores *s = &j->scores[r];
    mask_pair m = {0};
    const region_extent e = region_find(&j->labels, region_labels[r]);
    (void)thread;
    *s = without_match(e.predicted + e.truth == 0);
    if (e.predicted + e.truth == 0)
        return TS_OK;
    ts_status status = region_cut(&j->labels, region_labels[r], &e, &m, error);
    if (status == TS_OK && e.both)
        status = score_whole(&m, &e, s, error);
    if (status == TS_OK)
        status = score_instances(&m, s, error);
    free(m.a);
    free(m.b);
    return status;
}

/* The labels themselves, not a region's mask, within a box. */
static ts_status copy_box(const uint8_t *labels, const int64_t shape[3], const voxel_box *b,
                          const int64_t extents[3], uint8_t **out, ts_error *error)
{
    *out = memory_take((size_t)voxel_count(extents), 1, "a case's labels", error);
    if (*out)
        box_cut(labels, shape, b, NULL, *out);
    return *out ? TS_OK : TS_MEMORY;
}

ts_status evaluate_case_panoptic(const uint8_t *prediction, const uint8_t *truth,
                                 const int64_t shape[3], const double spacing_mm[3], pool *p,
                                 panoptic_scores scores[REGIONS_ALL], ts_error *error)
{
    const label_pair whole = {prediction, truth, shape, spacing_mm};
    const region_extent e =
        region_find(&whole, region_labels[REGION_WT] | region_labels[REGION_RC]);
    int64_t box[3];
    uint8_t *labels[2] = {NULL, NULL};
    case_job j = {.scores = scores};
    box_shape(&e.box, box);
    ts_status status = copy_box(prediction, shape, &e.box, box, &labels[0], error);
    if (status == TS_OK)
        status = copy_box(truth, shape, &e.box, box, &labels[1], error);
    if (status == TS_OK) {
        j.labels = (label_pair){labels[0], labels[1], box, spacing_mm};
        status = pool_run_status(p, score_region, &j, REGIONS_ALL, error);
    }
    free(labels[0]);
    free(labels[1]);
    return status;
}
