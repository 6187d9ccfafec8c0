/* Scores of twinseg.h. */
#include "api/api.h"
#include "evaluate/evaluate.h"

#include <stdlib.h>
#include <string.h>

/* The public enums are the rooms' own, number by number. */
_Static_assert((int)TS_LEGACY == (int)CONVENTION_LEGACY && (int)TS_LESION == (int)CONVENTION_LESION,
               "conventions");
_Static_assert((int)TS_LABELS_AUTO == (int)LABELS_AUTO && (int)TS_LABELS_PED == (int)LABELS_PED,
               "label maps");
_Static_assert((int)TS_WT == (int)REGION_WT && (int)TS_REGIONS == (int)REGIONS, "regions");

/* A copy with the labels mapped to 0..3; free(). */
static ts_status map_copy(const uint8_t *labels, size_t voxels, ts_labels map, const char *name,
                          uint8_t **out, ts_error *error)
{
    if ((int)map < TS_LABELS_AUTO || (int)map > TS_LABELS_PED)
        return error_set(error, TS_BAD_INPUT, "there is no reading of labels number %d", (int)map);
    *out = memory_allocate(voxels, 1, name, error);
    if (!*out)
        return TS_MEMORY;
    memcpy(*out, labels, voxels);
    return labels_map(*out, voxels, (label_map)map, false, name, error);
}

ts_status ts_evaluate(const ts_pair *pair, ts_scores scores[TS_REGIONS], ts_error *error)
{
    ts_grid grid = {0}; /* the affine plays no part */
    memcpy(grid.shape, pair->shape, sizeof grid.shape);
    memcpy(grid.spacing_mm, pair->spacing_mm, sizeof grid.spacing_mm);
    volume_header h;
    size_t voxels;
    pool *p = NULL;
    uint8_t *copies[2] = {NULL, NULL};
    region_scores s[REGIONS];
    if (pair->convention != TS_LEGACY && pair->convention != TS_LESION)
        return error_set(error, TS_BAD_INPUT, "there is no convention number %d",
                         (int)pair->convention);
    ts_status status = api_header(&grid, &h, &voxels, error);
    if (status != TS_OK)
        return status;
    status = pool_create(pair->threads > 0 ? pair->threads : processor_count(), &p, error);
    if (status != TS_OK)
        return status;
    status = map_copy(pair->prediction, voxels, pair->prediction_labels, "the prediction",
                      &copies[0], error);
    if (status != TS_OK)
        goto end;
    status = map_copy(pair->truth, voxels, pair->truth_labels, "the truth", &copies[1], error);
    if (status != TS_OK)
        goto end;
    status = evaluate_case(copies[0], copies[1], h.shape, h.zooms, (convention)pair->convention, p,
                           s, error);
    for (int r = 0; status == TS_OK && r < REGIONS; r++)
        scores[r] = (ts_scores){
            .dice = s[r].dice,
            .hd95 = s[r].hd95,
            .sensitivity = s[r].sensitivity,
            .specificity = s[r].specificity,
            .lesion_dice = s[r].lesion_dice,
            .lesion_hd95 = s[r].lesion_hd95,
            .tp = s[r].tp,
            .fp = s[r].fp,
            .fn = s[r].fn,
        };
end:
    pool_destroy(p);
    free(copies[0]);
    free(copies[1]);
    return status;
}
