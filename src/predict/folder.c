/* A whole data set into a folder of label files, resumable. */
#include "predict/predictor.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The settings that change a result. */
static const char *const recorded[] = {
    "prediction",          "window_step",         "mirror", "dtype", "labels", "et_threshold",
    "component_threshold", "component_confidence"};

static bool is_recorded(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(recorded); i++)
        if (!strcmp(key, recorded[i]))
            return true;
    return false;
}

/* {"models": [fingerprints of weights], "settings": {...}} */
static json_t *make_record(const predictor *p)
{
    json_t *record = json_object(), *models = json_array(), *settings = json_object();
    char value[128];
    for (size_t i = 0; i < p->count; i++) {
        char hex[20];
        weights_fingerprint(net_weights(p->nets[i]), net_weight_count(p->nets[i]), hex);
        json_array_append_new(models, json_string(hex));
    }
    for (size_t i = 0; i < plan_keys(); i++)
        if (is_recorded(plan_key(i))) {
            plan_value(&p->settings, i, value, sizeof value);
            json_object_set_new(settings, plan_key(i), json_string(value));
        }
    json_object_set_new(record, "models", models);
    json_object_set_new(record, "settings", settings);
    if (p->rules.et_mm3 > 0 || p->rules.component_mm3 > 0 || p->rules.component_confidence > 0)
        json_object_set_new(record, "rules",
                            json_pack("{s:f, s:f, s:f}", "et_mm3", p->rules.et_mm3, "component_mm3",
                                      p->rules.component_mm3, "component_confidence",
                                      p->rules.component_confidence));
    return record;
}

ts_status predict_recorded_confidence(const char *folder, double *out, ts_error *error)
{
    uint8_t *content = NULL;
    size_t count = 0;
    const char *told = NULL;
    *out = 0;
    char *path = path_join(folder, "predict.json", NULL);
    ts_status status = path ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK && file_exists(path)) {
        status = file_get(path, 1 << 20, &content, &count, error);
        json_t *record = status == TS_OK ? json_loadb((const char *)content, count, 0, NULL) : NULL;
        if (status == TS_OK &&
            json_unpack(record, "{s?{s?F}, s?{s?s}}", "rules", "component_confidence", out,
                        "settings", "component_confidence", &told) != 0)
            status = error_set(error, TS_BAD_INPUT, "'%s' is damaged: predict again", path);
        if (told && strtod(told, NULL) > 0)
            *out = strtod(told, NULL);
        json_decref(record);
    }
    free(content);
    free(path);
    return status;
}

/* Adds the data set's whole path to the record's list "data", by which report finds images and
 * truths. *added: it was not there. A path that is not UTF-8 cannot stand in JSON and is left out. */
static ts_status record_data(json_t *record, const char *data, bool *added, ts_error *error)
{
    char *whole = realpath(data, NULL);
    if (!whole)
        return error_set(error, TS_IO, "cannot find '%s': %s", data, strerror(errno));
    json_t *list = json_object_get(record, "data"), *path = json_string(whole);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(record, "data", list);
    }
    *added = path != NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        *added = *added && !json_equal(json_array_get(list, i), path);
    if (*added)
        json_array_append(list, path);
    json_decref(path);
    free(whole);
    return TS_OK;
}

/* Results of other models or settings than now? Where the images came from may differ. */
static bool is_of_another(json_t *earlier, json_t *now)
{
    json_t *bare = json_copy(earlier);
    json_object_del(bare, "data");
    const bool other = !json_equal(bare, now);
    json_decref(bare);
    return other;
}

/* Compares with the record of an earlier run, or writes the first; and adds the data set. */
static ts_status check_record(const predictor *p, const char *data, const char *out,
                              ts_error *error)
{
    char *path = path_join(out, "predict.json", error), *content = NULL;
    json_t *now = make_record(p), *record = NULL;
    bool added = false;
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    const bool first = !file_exists(path);
    if (first)
        record = json_incref(now);
    else
        status = json_read(path, JSON_BYTES_MAX, &record, error);
    if (status != TS_OK)
        goto done;
    if (!first && is_of_another(record, now))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' says that the results there came from another model or other "
                           "settings: give another output folder, or delete this one to start over",
                           path);
    else
        status = record_data(record, data, &added, error);
    if (status != TS_OK || (!first && !added))
        goto done;
    content = json_dumps(record, JSON_INDENT(2));
    status = content ? file_put(path, content, strlen(content), error)
                     : error_set(error, TS_MEMORY, "out of memory for '%s'", path);
done:
    json_decref(record);
    json_decref(now);
    free(content);
    free(path);
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

/* "t1ce+flair": a cell of a table cannot hold a comma. */
static const char *plus_joined(modality_set set, char buffer[24])
{
    modality_print(set, buffer);
    for (char *at = buffer; (at = strchr(at, ','));)
        *at = '+';
    return buffer;
}

/* Puts the case's row into OUT/confidence.csv, in place of an older one; the rest stays. */
static ts_status record_confidence(const char *out, const char *id, const predict_outcome *r,
                                   ts_error *error)
{
    static const char header[] =
        "case,modalities,entropy,expected_dice_wt,expected_dice_tc,expected_dice_et,warnings\n";
    uint8_t *earlier = NULL;
    size_t count = 0;
    text t = {0}, own = {0}, warnings = {0};
    char names[24];
    char *path = path_join(out, "confidence.csv", NULL);
    ts_status status = path ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK && file_exists(path))
        status = file_get(path, 1 << 26, &earlier, &count, error);
    text_append(&t, "%s", header);
    text_append_field(&own, id);
    text_append(&own, ",");
    const char *line = earlier ? strchr((const char *)earlier, '\n') : NULL;
    while (line && *++line && !own.failed) {
        const size_t length = strcspn(line, "\n");
        if (line[length] && strncmp(line, own.data, own.length) != 0)
            text_append_bytes(&t, line, length + 1);
        line = line[length] ? line + length : NULL;
    }
    for (size_t i = 0; i < r->warnings.count; i++)
        text_append(&warnings, "%s%s", i ? "; " : "", r->warnings.items[i]);
    text_append_bytes(&t, own.data, own.length);
    text_append(&t, "%s,%.4f,%.4f,%.4f,%.4f,", plus_joined(r->used, names), r->confidence.entropy,
                r->confidence.dice[0], r->confidence.dice[1], r->confidence.dice[2]);
    text_append_field(&t, warnings.data ? warnings.data : "");
    text_append(&t, "\n");
    t.failed = t.failed || own.failed || warnings.failed;
    if (status == TS_OK)
        status = t.failed ? error_set(error, TS_MEMORY, "out of memory")
                          : file_put(path, t.data, t.length, error);
    text_free(&t);
    text_free(&own);
    text_free(&warnings);
    free(earlier);
    free(path);
    return status;
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
    predict_outcome outcome;
    const predict_outputs outputs = {.labels = path};
    ts_status status = predict_case(p, c, &outputs, &outcome, &cause);
    progress_clear();
    free(path);
    if (status == TS_OK)
        status = record_confidence(out, c->id, &outcome, &cause);
    if (status == TS_OK) {
        char used[24];
        counts->written++;
        note("case %s (%zu of %zu): %s, expected Dice WT %.2f TC %.2f ET %.2f, %.1f s", c->id,
             index + 1, d->count, modality_print(outcome.used, used), outcome.confidence.dice[0],
             outcome.confidence.dice[1], outcome.confidence.dice[2], clock_seconds() - start);
    } else if (status != TS_STOPPED) {
        counts->failed++;
        warn("%s", cause.text);
    }
    predict_outcome_free(&outcome);
    if (status == TS_STOPPED)
        *error = cause;
    return status == TS_STOPPED ? TS_STOPPED : TS_OK;
}

ts_status predict_folder(predictor *p, const dataset *d, const char *out, predict_counts *counts,
                         ts_error *error)
{
    *counts = (predict_counts){0};
    ts_status status = directory_create(out, error);
    if (status == TS_OK)
        status = check_record(p, d->path, out, error);
    for (size_t i = 0; status == TS_OK && i < d->count; i++)
        status = predict_one(p, d, i, out, counts, error);
    return status;
}
