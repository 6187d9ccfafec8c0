/* A whole data set into a folder of label files, resumable. */
#include "predict/predictor.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The settings that change a result. */
static const char *const recorded[] = {"window_step", "mirror",       "dtype",
                                       "labels",      "et_threshold", "component_threshold"};

static bool is_recorded(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(recorded); i++)
        if (!strcmp(key, recorded[i]))
            return true;
    return false;
}

/* {"models": [fingerprints of weights], "settings": {...}} as text; free(). */
static char *make_record(const predictor *p)
{
    json_t *record = json_object(), *models = json_array(), *settings = json_object();
    char value[128];
    for (size_t i = 0; i < p->count; i++) {
        const size_t bytes = (size_t)net_weight_count(p->nets[i]) * sizeof(float);
        snprintf(value, sizeof value, "%016llx",
                 (unsigned long long)hash_bytes(HASH_START, net_weights(p->nets[i]), bytes));
        json_array_append_new(models, json_string(value));
    }
    for (size_t i = 0; i < plan_keys(); i++)
        if (is_recorded(plan_key(i))) {
            plan_value(&p->settings, i, value, sizeof value);
            json_object_set_new(settings, plan_key(i), json_string(value));
        }
    json_object_set_new(record, "models", models);
    json_object_set_new(record, "settings", settings);
    char *content = json_dumps(record, JSON_INDENT(2));
    json_decref(record);
    return content;
}

/* Compares with the record of an earlier run, or writes the first. */
static ts_status check_record(const predictor *p, const char *out, ts_error *error)
{
    uint8_t *earlier = NULL;
    size_t count = 0;
    ts_status status = TS_OK;
    char *path = string_format("%s/predict.json", out), *now = make_record(p);
    if (!path || !now)
        status = error_set(error, TS_MEMORY, "out of memory");
    else if (!file_exists(path))
        status = file_put(path, now, strlen(now), error);
    else
        status = file_get(path, 1 << 20, &earlier, &count, error);
    if (status == TS_OK && earlier && strcmp((const char *)earlier, now))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' says that the results there came from another model or other "
                           "settings: give another output folder, or delete this one to start over",
                           path);
    free(earlier);
    free(path);
    free(now);
    return status;
}

/* Is there a label file that reads back whole? */
static bool is_complete(const char *path)
{
    volume_header header;
    uint8_t *labels = NULL;
    ts_error error;
    if (!file_exists(path))
        return false;
    const bool whole = volume_read_labels(path, &header, &labels, &error) == TS_OK;
    free(labels);
    if (!whole)
        note("'%s' is damaged and is made again", path);
    return whole;
}

static ts_status predict_one(predictor *p, const dataset *d, size_t index, const char *out,
                             predict_counts *counts, ts_error *error)
{
    const dataset_case *c = &d->cases[index];
    ts_error cause;
    char *path = string_format("%s/%s.nii.gz", out, c->id);
    if (!path)
        return error_set(error, TS_MEMORY, "out of memory");
    if (is_complete(path)) {
        counts->kept++;
        free(path);
        return TS_OK;
    }
    const double start = clock_seconds();
    const ts_status status = predict_case(p, c, path, NULL, &cause);
    progress_end();
    free(path);
    if (status == TS_STOPPED) {
        *error = cause;
        return status;
    }
    if (status == TS_OK) {
        counts->written++;
        char used[24];
        modality_print(p->channels & dataset_case_modalities(c), used);
        note("case %s (%zu of %zu): %s, %.1f s", c->id, index + 1, d->count, used,
             clock_seconds() - start);
    } else {
        counts->failed++;
        warn("%s", cause.text);
    }
    return TS_OK;
}

ts_status predict_folder(predictor *p, const dataset *d, const char *out, predict_counts *counts,
                         ts_error *error)
{
    *counts = (predict_counts){0};
    ts_status status = directory_create(out, error);
    if (status == TS_OK)
        status = check_record(p, out, error);
    for (size_t i = 0; status == TS_OK && i < d->count; i++)
        status = predict_one(p, d, i, out, counts, error);
    return status;
}
