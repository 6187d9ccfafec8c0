/* Scores as CSV and as JSON. */
#include "evaluate/scoring.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

ts_status evaluate_write_csv(const evaluate_results *r, const char *path, ts_error *error)
{
    const evaluate_columns *c = &r->columns;
    text t = {0};
    text_append(&t, "case,region");
    for (int f = 0; f < c->figures; f++)
        text_append(&t, ",%s", c->figure_names[f]);
    text_append(&t, "\n");
    for (size_t i = 0; i < r->list->count; i++)
        for (int g = 0; g < c->regions; g++) {
            text_append_id(&t, r->list->pairs[i].id);
            text_append(&t, ",%s", c->region_names[g]);
            for (int f = 0; f < c->figures; f++)
                text_append(&t, ",%.10g", evaluate_value(r, i, g, f));
            text_append(&t, "\n");
        }
    const ts_status status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                                      : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

/* JSON has no number for what is undefined or infinite. */
static json_t *json_score(double v, bool count)
{
    if (isnan(v))
        return json_null();
    if (isinf(v))
        return json_string("inf");
    return count ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *json_parameters(convention c)
{
    switch (c) {
    case CONVENTION_LESION:
        return json_pack("{s:i, s:i, s:i, s:i}", "dilation_voxels", LESION_DILATION,
                         "small_lesion_mm3", LESION_SMALL_MM3, "penalty_mm", LESION_PENALTY_MM,
                         "connectivity", CONNECTIVITY);
    case CONVENTION_PANOPTIC:
        return json_pack("{s:i, s:f, s:f, s:s, s:i}", "connectivity", CONNECTIVITY,
                         "least_dice_of_match", PANOPTIC_LEAST_DICE, "nsd_tolerance_voxels",
                         PANOPTIC_TOLERANCE_VOXELS, "instance_nsd_tolerance", "smallest voxel size",
                         "infinite_hd95_in_mean", PANOPTIC_PENALTY_MM);
    default:
        return json_pack("{s:f}", "penalty_mm", LEGACY_PENALTY_MM);
    }
}

static json_t *json_summary(const evaluate_results *r)
{
    static const char *const kinds[] = {"mean", "median"};
    const evaluate_columns *c = &r->columns;
    json_t *summary = json_pack("{s:s, s:o, s:[s, s], s:I}", "convention", c->name, "parameters",
                                json_parameters(r->convention), "labels", r->label_names[0],
                                r->label_names[1], "n", (json_int_t)r->list->count);
    for (int k = 0; k < 2; k++) {
        json_t *regions = json_object();
        for (int g = 0; g < c->regions; g++) {
            json_t *figures = json_object();
            for (int f = 0; f < c->figures; f++) {
                double both[2];
                evaluate_summary(r, g, f, &both[0], &both[1]);
                json_object_set_new(figures, c->figure_names[f], json_score(both[k], false));
            }
            json_object_set_new(regions, c->region_names[g], figures);
        }
        json_object_set_new(summary, kinds[k], regions);
    }
    return summary;
}

static json_t *json_case(const evaluate_results *r, size_t i)
{
    const evaluate_columns *c = &r->columns;
    json_t *one = json_object();
    for (int g = 0; g < c->regions; g++) {
        json_t *figures = json_object();
        for (int f = 0; f < c->figures; f++)
            json_object_set_new(
                figures, c->figure_names[f],
                json_score(evaluate_value(r, i, g, f), f >= c->figures - c->counts));
        json_object_set_new(one, c->region_names[g], figures);
    }
    return one;
}

/* A case is a key beside "summary"; what cannot be one must not vanish. */
ts_status evaluate_json(const evaluate_results *r, json_t **out, ts_error *error)
{
    json_t *root = *out = json_object();
    for (size_t i = 0; i < r->list->count; i++) {
        const char *id = r->list->pairs[i].id;
        if (json_object_set_new(root, id, json_case(r, i)) == 0 && strcmp(id, "summary") != 0)
            continue;
        json_decref(root);
        *out = NULL;
        return error_set(error, TS_BAD_INPUT,
                         "the case '%s' cannot be a key of the JSON: its name is not UTF-8, or is "
                         "'summary'; rename it, or use -o scores.csv",
                         id);
    }
    json_object_set_new(root, "summary", json_summary(r));
    return TS_OK;
}
