/* Lesion by lesion, as BraTS 2023 scores: metrics/SPEC.md, section 3. */
#include "evaluate/scoring.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL_MM3 = 50, MISSED_MM = 374 };

/* A lesion and a predicted component that touches it, dilated. */
typedef struct {
    int32_t lesion, component;
} match;

/* Everything counted once for all lesions. Numbers of lesions and components begin at 1. */
typedef struct {
    const mask_pair *m;
    int32_t *components, *lesions; /* label maps: of the prediction; of the dilated truth */
    int32_t component_count, lesion_count;
    int64_t *component_voxels, *lesion_voxels,
        *common_voxels; /* common: predicted, in the lesion */
    match *matches;     /* by lesion, then component, each once */
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
    free(t->components);
    free(t->lesions);
    free(t->component_voxels);
    free(t->lesion_voxels);
    free(t->common_voxels);
    free(t->matches);
}

static ts_status label_both(lesion_table *t, ts_error *error)
{
    const mask_pair *m = t->m;
    const size_t voxels = (size_t)voxels_of(m->shape);
    t->components = memory_allocate(voxels, sizeof(int32_t), "the components", error);
    t->lesions = memory_allocate(voxels, sizeof(int32_t), "the lesions", error);
    uint8_t *dilated = memory_allocate(voxels, 1, "the dilated truth", error);
    ts_status status = t->components && t->lesions && dilated ? TS_OK : TS_MEMORY;
    if (status == TS_OK) {
        memcpy(dilated, m->b, voxels);
        status = mask_dilate(dilated, m->shape, error);
    }
    if (status == TS_OK)
        status = components_label(m->a, m->shape, t->components, &t->component_count, error);
    if (status == TS_OK)
        status = components_label(dilated, m->shape, t->lesions, &t->lesion_count, error);
    free(dilated);
    return status;
}

static ts_status count_voxels(lesion_table *t, ts_error *error)
{
    const mask_pair *m = t->m;
    const int64_t voxels = voxels_of(m->shape);
    int64_t **const counts[] = {&t->component_voxels, &t->lesion_voxels, &t->common_voxels};
    const int32_t lengths[] = {t->component_count, t->lesion_count, t->lesion_count};
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        if (!(*counts[i] =
                  memory_allocate((size_t)lengths[i] + 1, sizeof(int64_t), "the lesions", error)))
            return TS_MEMORY;
    for (int64_t i = 0; i < voxels; i++) {
        t->component_voxels[t->components[i]]++;
        if (m->b[i]) {
            t->lesion_voxels[t->lesions[i]]++;
            t->common_voxels[t->lesions[i]] += m->a[i];
        }
    }
    return TS_OK;
}

/* A lesion's own dilation is its component of the dilated truth, for dilation distributes over
 * unions; so a component matches where the two label maps meet. */
static ts_status find_matches(lesion_table *t, ts_error *error)
{
    const int64_t voxels = voxels_of(t->m->shape);
    size_t meetings = 0;
    match last = {0, 0};
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < voxels; i++) {
            const match here = {t->lesions[i], t->components[i]};
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
static ts_status lesion_hd95(const lesion_table *t, int32_t lesion, const match *matches,
                             size_t count, double *hd95, ts_error *error)
{
    const mask_pair *m = t->m;
    int64_t low[3] = {INT64_MAX, INT64_MAX, INT64_MAX}, high[3] = {-1, -1, -1};
    bool *chosen = memory_allocate((size_t)t->component_count + 1, 1, "the lesions", error);
    if (!chosen)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        chosen[matches[i].component] = true;
    for (int64_t i = 0; i < voxels_of(m->shape); i++)
        if (chosen[t->components[i]] || (m->b[i] && t->lesions[i] == lesion)) {
            const int64_t at[3] = {i % m->shape[0], i / m->shape[0] % m->shape[1],
                                   i / m->shape[0] / m->shape[1]};
            for (int k = 0; k < 3; k++) {
                low[k] = at[k] < low[k] ? at[k] : low[k];
                high[k] = at[k] > high[k] ? at[k] : high[k];
            }
        }
    mask_pair box = {.spacing_mm = {m->spacing_mm[0], m->spacing_mm[1], m->spacing_mm[2]}};
    for (int k = 0; k < 3; k++)
        box.shape[k] = high[k] - low[k] + 1;
    box.a = memory_allocate((size_t)voxels_of(box.shape), 1, "a lesion", error);
    box.b = memory_allocate((size_t)voxels_of(box.shape), 1, "a lesion", error);
    ts_status status = box.a && box.b ? TS_OK : TS_MEMORY;
    for (int64_t z = 0, at = 0; status == TS_OK && z < box.shape[2]; z++)
        for (int64_t y = 0; y < box.shape[1]; y++)
            for (int64_t x = 0; x < box.shape[0]; x++, at++) {
                const int64_t i =
                    low[0] + x + m->shape[0] * (low[1] + y + m->shape[1] * (low[2] + z));
                box.a[at] = chosen[t->components[i]];
                box.b[at] = m->b[i] && t->lesions[i] == lesion;
            }
    if (status == TS_OK)
        status = hd95_surfels(&box, hd95, error);
    free(box.a);
    free(box.b);
    free(chosen);
    return status;
}

/* Adds one lesion to the sums; those of at most 50 mm^3 count nowhere. */
static ts_status add_lesion(const lesion_table *t, int32_t lesion, const match *matches,
                            size_t count, double whole_hd95, region_scores *s, double sums[2],
                            ts_error *error)
{
    const double *spacing = t->m->spacing_mm;
    const int64_t voxels = t->lesion_voxels[lesion];
    if ((double)voxels * spacing[0] * spacing[1] * spacing[2] <= SMALL_MM3)
        return TS_OK;
    if (count == 0) {
        s->fn++;
        sums[1] += MISSED_MM;
        return TS_OK;
    }
    int64_t predicted = 0;
    for (size_t i = 0; i < count; i++)
        predicted += t->component_voxels[matches[i].component];
    double hd95 = whole_hd95;
    ts_status status = TS_OK;
    if (t->lesion_count > 1 || count < (size_t)t->component_count)
        status = lesion_hd95(t, lesion, matches, count, &hd95, error);
    s->tp++;
    sums[0] += 2.0 * (double)t->common_voxels[lesion] / (double)(predicted + voxels);
    sums[1] += hd95;
    return status;
}

static int64_t count_unmatched(const lesion_table *t, bool *met)
{
    int64_t unmatched = 0;
    for (size_t i = 0; i < t->match_count; i++)
        met[t->matches[i].component] = true;
    for (int32_t c = 1; c <= t->component_count; c++)
        unmatched += !met[c];
    return unmatched;
}

static ts_status add_lesions(const lesion_table *t, double whole_hd95, region_scores *s,
                             ts_error *error)
{
    double sums[2] = {0, 0};
    size_t at = 0;
    ts_status status = TS_OK;
    bool *met = memory_allocate((size_t)t->component_count + 1, 1, "the lesions", error);
    if (!met)
        return TS_MEMORY;
    s->fp = count_unmatched(t, met);
    free(met);
    for (int32_t lesion = 1; status == TS_OK && lesion <= t->lesion_count; lesion++) {
        const size_t first = at;
        while (at < t->match_count && t->matches[at].lesion == lesion)
            at++;
        status = add_lesion(t, lesion, t->matches + first, at - first, whole_hd95, s, sums, error);
    }
    const double all = (double)(s->tp + s->fn + s->fp);
    s->lesion_dice = all > 0 ? sums[0] / all : 1;
    s->lesion_hd95 = all > 0 ? (sums[1] + MISSED_MM * (double)s->fp) / all : 0;
    return status;
}

ts_status score_lesions(const mask_pair *m, double whole_hd95, region_scores *scores,
                        ts_error *error)
{
    lesion_table t = {.m = m};
    ts_status status = label_both(&t, error);
    if (status == TS_OK)
        status = count_voxels(&t, error);
    if (status == TS_OK)
        status = find_matches(&t, error);
    if (status == TS_OK)
        status = add_lesions(&t, whole_hd95, scores, error);
    table_free(&t);
    return status;
}
