/* Score files: JSON, one line a case. */
#include "study/cell.h"
#include "train/train.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCORES_FORMAT = 1, SCORES_LIMIT_BYTES = 64 << 20 };

void cell_scores_free(cell_scores *s)
{
    for (size_t m = 0; m < s->count; m++) {
        for (size_t i = 0; i < s->models[m].count; i++)
            free(s->models[m].cases[i].id);
        free(s->models[m].cases);
    }
    free(s->models);
    *s = (cell_scores){0};
}

char *cell_path(const char *folder, const char *subfolder, const study_cell *c, const char *suffix,
                ts_error *error)
{
    char *path = string_format("%s%s%s/%s%s", folder, subfolder ? "/" : "",
                               subfolder ? subfolder : "", c->name, suffix);
    if (!path)
        error_set(error, TS_MEMORY, "out of memory");
    return path;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void append_settings(text *t, const plan *p)
{
    const char *lead = "";
    for (size_t i = 0; i < plan_keys(); i++) {
        char value[128];
        if (train_setting_is_free(plan_key(i)))
            continue;
        plan_value(p, i, value, sizeof value);
        text_append(t, "%s\"%s\": \"%s\"", lead, plan_key(i), value);
        lead = ", ";
    }
}

/* {"WT": [dice, hd95, ...], "TC": ..., "ET": ...}: the figures in evaluate's order. */
static void append_regions(text *t, const region_scores *scores, int figures)
{
    for (int r = 0; r < REGIONS; r++) {
        text_append(t, "%s\"%s\": [", r ? ", " : "{", region_names[r]);
        for (int f = 0; f < figures; f++)
            text_append(t, "%s%.10g", f ? ", " : "", evaluate_figure(&scores[r], f));
        text_append(t, "]");
    }
    text_append(t, "}");
}

static void append_case(text *t, const case_scores *c)
{
    json_t *id = json_string(c->id); /* quotes what needs it */
    char *quoted = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    text_append(t, "    %s: {\"legacy\": ", quoted ? quoted : "\"?\"");
    append_regions(t, c->legacy, EVALUATE_LESION_FIGURES);
    text_append(t, ", \"lesion\": ");
    append_regions(t, c->lesion, EVALUATE_FIGURES);
    text_append(t, "}");
    t->failed = t->failed || !quoted;
    free(quoted);
    json_decref(id);
}

static void append_model(text *t, const model_scores *m)
{
    char names[24];
    text_append(t,
                "  {\"role\": \"%s\", \"input\": \"%s\", \"parameters\": %lld, "
                "\"weights\": \"%s\", \"cases\": {\n",
                m->role, modality_print(m->input, names), (long long)m->parameters, m->weights);
    for (size_t i = 0; i < m->count; i++) {
        append_case(t, &m->cases[i]);
        text_append(t, i + 1 < m->count ? ",\n" : "\n");
    }
    text_append(t, "  }}");
}

ts_status scores_write(const char *folder, const study *s, const study_cell *c,
                       const cell_scores *scores, ts_error *error)
{
    text t = {0};
    text_append(&t,
                "{\"format\": %d, \"cell\": \"%s\", \"arm\": \"%s\", \"seed\": %lld, "
                "\"fold\": %d, \"folds\": %d,\n \"program\": \"twinseg %s\", \"steps\": %lld, "
                "\"seconds\": %.1f,\n \"figures\": [",
                SCORES_FORMAT, c->name, s->arms[c->arm].name, (long long)c->seed, c->fold, s->folds,
                ts_version(), (long long)scores->steps, scores->seconds);
    for (int f = 0; f < EVALUATE_FIGURES; f++)
        text_append(&t, "%s\"%s\"", f ? ", " : "", evaluate_figure_names[f]);
    text_append(&t, "],\n \"settings\": {");
    append_settings(&t, &c->plan);
    text_append(&t, "},\n \"models\": [\n");
    for (size_t m = 0; m < scores->count; m++) {
        append_model(&t, &scores->models[m]);
        text_append(&t, m + 1 < scores->count ? ",\n" : "\n");
    }
    text_append(&t, " ]}\n");
    char *path = cell_path(folder, NULL, c, ".json", error);
    ts_status status = TS_MEMORY;
    if (path && t.failed)
        error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    else if (path)
        status = file_put(path, t.data, t.length, error);
    free(path);
    text_free(&t);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The models of a run have no rules of their own, so that `model` (the default) means none, as 0
 * does. */
static bool same_value(const char *then, const char *now)
{
    const char *a = strcmp(then, "model") ? then : "0", *b = strcmp(now, "model") ? now : "0";
    return !strcmp(a, b);
}

/* A setting that the file lacks did not exist when it was made: the run had what is now the
 * default. Settings that the cell's method does not use may differ. */
static ts_status compare_settings(const json_t *settings, const study_cell *c, const char *path,
                                  ts_error *error)
{
    plan defaults;
    plan_defaults(&defaults);
    for (size_t i = 0; i < plan_keys(); i++) {
        char usual[128], now[128];
        const char *key = plan_key(i);
        plan_value(&defaults, i, usual, sizeof usual);
        plan_value(&c->plan, i, now, sizeof now);
        const char *then = json_string_value(json_object_get(settings, key)) ?: usual;
        if (train_setting_matters(&c->plan, key) && !same_value(then, now))
            return error_set(
                error, TS_BAD_INPUT,
                "'%s' holds the scores of a run with %s = %s, the study says %s: remove "
                "it, or keep the scores of this study in another folder (--scores)",
                path, key, then, now);
    }
    return TS_OK;
}

static bool read_regions(const json_t *regions, region_scores *scores, int figures)
{
    for (int r = 0; r < REGIONS; r++) {
        const json_t *list = json_object_get(regions, region_names[r]);
        double v[EVALUATE_FIGURES] = {0};
        if ((int)json_array_size(list) != figures)
            return false;
        for (int f = 0; f < figures; f++) {
            const json_t *number = json_array_get(list, (size_t)f);
            v[f] = json_number_value(number);
            if (!json_is_number(number) || fabs(v[f]) > 1e15) /* beyond any count of voxels */
                return false;
        }
        scores[r] = (region_scores){v[0], v[1],          v[2],          v[3],         v[4],
                                    v[5], (int64_t)v[6], (int64_t)v[7], (int64_t)v[8]};
    }
    return true;
}

static bool read_model(json_t *object, model_scores *m)
{
    const char *role, *input, *weights, *id;
    json_t *cases, *one;
    json_int_t parameters;
    if (json_unpack(object, "{s:s, s:s, s:I, s:s, s:o}", "role", &role, "input", &input,
                    "parameters", &parameters, "weights", &weights, "cases", &cases) != 0 ||
        modality_parse(input, &m->input, NULL) != TS_OK)
        return false;
    m->parameters = parameters;
    snprintf(m->role, sizeof m->role, "%s", role);
    snprintf(m->weights, sizeof m->weights, "%s", weights);
    m->cases = calloc(json_object_size(cases) + 1, sizeof *m->cases);
    json_object_foreach(cases, id, one)
    {
        case_scores *c = m->cases ? &m->cases[m->count] : NULL;
        if (!c ||
            !read_regions(json_object_get(one, "legacy"), c->legacy, EVALUATE_LESION_FIGURES) ||
            !read_regions(json_object_get(one, "lesion"), c->lesion, EVALUATE_FIGURES) ||
            !(c->id = strdup(id)))
            return false;
        m->count++;
    }
    return m->cases != NULL;
}

static bool read_models(const json_t *root, cell_scores *scores)
{
    const json_t *models = json_object_get(root, "models");
    const size_t count = json_array_size(models);
    scores->steps = json_integer_value(json_object_get(root, "steps"));
    scores->seconds = json_number_value(json_object_get(root, "seconds"));
    scores->models = calloc(count + 1, sizeof *scores->models);
    for (size_t m = 0; scores->models && m < count; m++)
        if (scores->count++, !read_model(json_array_get(models, m), &scores->models[m]))
            return false;
    return scores->models && count > 0;
}

static ts_status decode(const json_t *root, const char *path, const study *s, const study_cell *c,
                        cell_scores *scores, ts_error *error)
{
    const json_int_t format = json_integer_value(json_object_get(root, "format"));
    const json_int_t fold = json_integer_value(json_object_get(root, "fold"));
    const json_int_t folds = json_integer_value(json_object_get(root, "folds"));
    if (format != SCORES_FORMAT)
        return error_set(error, TS_BAD_INPUT, "'%s' is not a score file of this version", path);
    if (fold != c->fold || folds != s->folds)
        return error_set(
            error, TS_BAD_INPUT,
            "'%s' holds the scores of fold %lld of %lld, the study says %d of %d: remove "
            "it, or keep the scores of this study in another folder (--scores)",
            path, (long long)fold, (long long)folds, c->fold, s->folds);
    const ts_status status = compare_settings(json_object_get(root, "settings"), c, path, error);
    if (status == TS_OK && !read_models(root, scores))
        return error_set(error, TS_BAD_INPUT, "'%s' is damaged: remove it", path);
    return status;
}

ts_status scores_parse(const uint8_t *bytes, size_t count, const char *path, const study *s,
                       const study_cell *c, cell_scores *scores, ts_error *error)
{
    json_error_t cause;
    *scores = (cell_scores){0};
    json_t *root = json_loadb((const char *)bytes, count, JSON_REJECT_DUPLICATES, &cause);
    const ts_status status =
        root ? decode(root, path, s, c, scores, error)
             : error_set(error, TS_BAD_INPUT, "'%s' is damaged (%s): remove it", path, cause.text);
    json_decref(root);
    if (status != TS_OK)
        cell_scores_free(scores);
    return status;
}

ts_status scores_read(const char *folder, const study *s, const study_cell *c, bool *found,
                      cell_scores *scores, ts_error *error)
{
    uint8_t *bytes = NULL;
    size_t count;
    ts_status status = TS_OK;
    *scores = (cell_scores){0};
    *found = false;
    char *path = cell_path(folder, NULL, c, ".json", error);
    if (!path)
        return TS_MEMORY;
    if (file_exists(path)) {
        status = file_get(path, SCORES_LIMIT_BYTES, &bytes, &count, error);
        if (status == TS_OK)
            status = scores_parse(bytes, count, path, s, c, scores, error);
        *found = status == TS_OK;
    }
    free(bytes);
    free(path);
    return status;
}
