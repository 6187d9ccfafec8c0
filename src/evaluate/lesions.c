/* Lesion by lesion, as BraTS 2023 scores: docs/metrics.md, "Lesion by lesion". */
#include "evaluate/scoring.h"

#include <stdlib.h>
#include <string.h>

/* A lesion and a predicted component that touches it, dilated. */
typedef struct {
    int32_t lesion, component;
} match;

/* A lesion of the truth: its own voxels, not dilated. */
typedef struct {
    int64_t voxels, common; /* common: predicted, in the lesion */
    voxel_box box;
} lesion;

/* Everything counted once for all lesions. Numbers of lesions and components begin at 1. */
typedef struct {
    const mask_pair *m;
    components predicted, dilated; /* of the prediction; of the dilated truth */
    lesion *lesions;               /* by number in `dilated` */
    match *matches;                /* by lesion, then component, each once */
    size_t match_count;
} lesion_table;

static int compare_matches(const void *a, const void *b)
{
    const match *p = a, *q = b;
    if (p->lesion != q->lesion)
        return p->lesion < q->lesion ? -1 : 1;
    return (p->component > q->component) - (p->component < q->component);
}

static void table_free(lesion_table *t)
{
    components_free(&t->predicted);
    components_free(&t->dilated);
    free(t->lesions);
    free(t->matches);
}

static ts_status find_both(lesion_table *t, ts_error *error)
{
    const mask_pair *m = t->m;
    const size_t voxels = (size_t)voxel_count(m->shape);
    uint8_t *dilated = memory_take(voxels, 1, "the dilated truth", error);
    if (!dilated)
        return TS_MEMORY;
    memcpy(dilated, m->b, voxels);
    ts_status status = mask_dilate(dilated, m->shape, error);
    if (status == TS_OK)
        status = components_find(dilated, m->shape, &t->dilated, error);
    free(dilated);
    return status == TS_OK ? components_find(m->a, m->shape, &t->predicted, error) : status;
}

static ts_status measure_lesions(lesion_table *t, ts_error *error)
{
    const mask_pair *m = t->m;
    const int64_t *n = m->shape;
    t->lesions =
        memory_allocate((size_t)t->dilated.count + 1, sizeof(lesion), "the lesions", error);
    if (!t->lesions)
        return TS_MEMORY;
    for (int32_t k = 1; k <= t->dilated.count; k++)
        t->lesions[k].box = box_empty();
    for (int64_t row = 0; row < n[1] * n[2]; row++) {
        const uint8_t *truth = m->b + row * n[0];
        int64_t x = bytes_next_set(truth, 0, n[0]);
        for (; x < n[0]; x = bytes_next_set(truth, x + 1, n[0])) {
            lesion *one = &t->lesions[t->dilated.numbers[row * n[0] + x]];
            one->voxels++;
            one->common += m->a[row * n[0] + x];
            box_add(&one->box, x, row % n[1], row / n[1]);
        }
    }
    return TS_OK;
}

/* A lesion's own dilation is its component of the dilated truth, because dilation distributes over
 * unions. So a predicted component matches a lesion where a voxel has the numbers of both. */
static ts_status find_matches(lesion_table *t, ts_error *error)
{
    const int64_t voxels = voxel_count(t->m->shape);
    size_t meetings = 0;
    match last = {0, 0};
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < voxels; i++) {
            const match here = {t->dilated.numbers[i], t->predicted.numbers[i]};
            if (!here.lesion || !here.component ||
                (here.lesion == last.lesion && here.component == last.component))
                continue;
            last = here;
            if (pass)
                t->matches[t->match_count++] = here;
            else
                meetings++;
        }
        last = (match){0, 0};
        if (!pass && !(t->matches = memory_allocate(meetings, sizeof(match), "the lesions", error)))
            return TS_MEMORY;
    }
    qsort(t->matches, t->match_count, sizeof(match), compare_matches);
    size_t kept = 0;
    for (size_t i = 0; i < t->match_count; i++)
        if (i == 0 || compare_matches(&t->matches[i], &t->matches[i - 1]))
            t->matches[kept++] = t->matches[i];
    t->match_count = kept;
    return TS_OK;
}

/* HD95 between a lesion and the components matched to it, on the box that both lie in. */
static ts_status lesion_hd95(const lesion_table *t, int32_t number, const match *matches,
                             size_t count, double *hd95, ts_error *error)
{
    const mask_pair *m = t->m;
    const size_t most =
        (size_t)(t->predicted.count > t->dilated.count ? t->predicted.count : t->dilated.count);
    voxel_box around = t->lesions[number].box;
    mask_pair box = {.spacing_mm = {m->spacing_mm[0], m->spacing_mm[1], m->spacing_mm[2]}};
    uint8_t *chosen = memory_allocate(most + 1, 1, "the lesions", error);
    ts_status status = TS_MEMORY;
    if (!chosen)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        box_join(&around, &t->predicted.all[matches[i].component].box);
    if (mask_pair_take(&box, &around, error) != TS_OK)
        goto end;
    chosen[number] = 1; /* the truth's voxels of it, without the dilation */
    box_cut_numbers(t->dilated.numbers, m->shape, &around, chosen, box.b);
    for (int64_t z = 0, at = 0; z < box.shape[2]; z++)
        for (int64_t y = 0; y < box.shape[1]; y++) {
            const uint8_t *truth = m->b + box_row(&around, m->shape, y, z);
            for (int64_t x = 0; x < box.shape[0]; x++)
                box.b[at++] &= truth[x];
        }
    chosen[number] = 0;
    for (size_t i = 0; i < count; i++)
        chosen[matches[i].component] = 1;
    box_cut_numbers(t->predicted.numbers, m->shape, &around, chosen, box.a);
    status = hd95_surfels(&box, hd95, error);
end:
    free(box.a);
    free(box.b);
    free(chosen);
    return status;
}

/* Adds one lesion to the sums; small ones count nowhere. */
static ts_status add_lesion(const lesion_table *t, int32_t number, const match *matches,
                            size_t count, double whole_hd95, region_scores *s, double sums[2],
                            ts_error *error)
{
    const double *spacing = t->m->spacing_mm;
    const int64_t voxels = t->lesions[number].voxels;
    if ((double)voxels * spacing[0] * spacing[1] * spacing[2] <= LESION_SMALL_MM3)
        return TS_OK;
    if (count == 0) {
        s->fn++;
        sums[1] += LESION_PENALTY_MM;
        return TS_OK;
    }
    int64_t predicted = 0;
    for (size_t i = 0; i < count; i++)
        predicted += t->predicted.all[matches[i].component].voxels;
    double hd95 = whole_hd95;
    ts_status status = TS_OK;
    if (t->dilated.count > 1 || count < (size_t)t->predicted.count)
        status = lesion_hd95(t, number, matches, count, &hd95, error);
    s->tp++;
    sums[0] += 2.0 * (double)t->lesions[number].common / (double)(predicted + voxels);
    sums[1] += hd95;
    return status;
}

static int64_t count_unmatched(const lesion_table *t, bool *met)
{
    int64_t unmatched = 0;
    for (size_t i = 0; i < t->match_count; i++)
        met[t->matches[i].component] = true;
    for (int32_t c = 1; c <= t->predicted.count; c++)
        unmatched += !met[c];
    return unmatched;
}

static ts_status add_lesions(const lesion_table *t, double whole_hd95, region_scores *s,
                             ts_error *error)
{
    double sums[2] = {0, 0};
    size_t at = 0;
    ts_status status = TS_OK;
    bool *met = memory_allocate((size_t)t->predicted.count + 1, 1, "the lesions", error);
    if (!met)
        return TS_MEMORY;
    s->fp = count_unmatched(t, met);
    free(met);
    for (int32_t number = 1; status == TS_OK && number <= t->dilated.count; number++) {
        const size_t first = at;
        while (at < t->match_count && t->matches[at].lesion == number)
            at++;
        status = add_lesion(t, number, t->matches + first, at - first, whole_hd95, s, sums, error);
    }
    const double all = (double)(s->tp + s->fn + s->fp);
    s->lesion_dice = all > 0 ? sums[0] / all : 1;
    s->lesion_hd95 = all > 0 ? (sums[1] + LESION_PENALTY_MM * (double)s->fp) / all : 0;
    return status;
}

ts_status score_lesions(const mask_pair *m, double whole_hd95, region_scores *scores,
                        ts_error *error)
{
    lesion_table t = {.m = m};
    ts_status status = find_both(&t, error);
    if (status != TS_OK)
        goto end;
    status = measure_lesions(&t, error);
    if (status != TS_OK)
        goto end;
    status = find_matches(&t, error);
    if (status != TS_OK)
        goto end;
    status = add_lesions(&t, whole_hd95, scores, error);
end:
    table_free(&t);
    return status;
}
