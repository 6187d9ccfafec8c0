/* What a folder of predictions says of itself: predict.json, the models, settings, data sets and
 * cases that its results come from; confidence.csv, a row a case. */
#include "predict/record.h"

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
    const char *setting = NULL;
    json_t *record = NULL;
    double value;
    *out = 0;
    char *path = path_join(folder, "predict.json", error);
    if (!path)
        return TS_MEMORY;
    ts_status status = TS_OK;
    if (!file_exists(path))
        goto done;
    status = json_read(path, JSON_BYTES_MAX, &record, error);
    if (status == TS_OK &&
        json_unpack(record, "{s?{s?F}, s?{s?s}}", "rules", "component_confidence", out, "settings",
                    "component_confidence", &setting) != 0)
        status = error_set(error, TS_BAD_INPUT, "'%s' is damaged: predict again", path);
    if (setting && parse_double(setting, &value) && value > 0)
        *out = value;
done:
    json_decref(record);
    free(path);
    return status;
}

/* labels= of a predict.json. */
static ts_status recorded_labels(const char *file, label_map *out, ts_error *error)
{
    plan p;
    json_t *record = NULL;
    ts_status status = json_read(file, JSON_BYTES_MAX, &record, error);
    if (status != TS_OK)
        return status;
    const char *labels =
        json_string_value(json_object_get(json_object_get(record, "settings"), "labels"));
    plan_defaults(&p);
    if (labels)
        status = plan_set(&p, "labels", labels, file, error);
    *out = (label_map)p.labels;
    json_decref(record);
    return status;
}

ts_status predict_take_labels(const char *path, bool truth, label_map *map, ts_error *error)
{
    label_map stated = LABELS_AUTO;
    const bool is_folder = directory_exists(path);
    const char *name = string_file_name(path);
    char *folder =
        is_folder ? string_format("%s", path) : string_format("%.*s.", (int)(name - path), path);
    char *file = folder ? path_join(folder, "predict.json", error) : NULL;
    ts_status status = TS_OK;
    if (!file) {
        status = error_set(error, TS_MEMORY, "out of memory");
    } else if (!file_exists(file)) {
        const bool above = truth || (is_folder && !strncmp(name, "labels", 6));
        status = dataset_take_labels(path, above, map, error);
    } else {
        status = recorded_labels(file, &stated, error);
        if (status == TS_OK && (stated != LABELS_AUTO || *map != LABELS_AUTO))
            dataset_settle_labels(path, file, stated, map);
    }
    free(folder);
    free(file);
    return status;
}

/* ---- whose folder it is -------------------------------------------------------------------- */

/* Is `out` named like a folder of images or labels of the data set, at its top (labelsTr)? */
static bool is_raw_folder(const char *out, const dataset *d)
{
    char *whole = string_format("./%s", out);
    bool raw = false;
    if (!whole)
        return false;
    char *path = out[0] == '/' ? whole + 2 : whole;
    while (strlen(path) > 1 && string_ends(path, "/"))
        path[strlen(path) - 1] = '\0';
    char *slash = strrchr(path, '/');
    if (slash && (!strncmp(slash + 1, "labels", 6) || !strncmp(slash + 1, "images", 6))) {
        slash[slash == path] = '\0';
        raw = dataset_is_folder(d, path);
    }
    free(whole);
    return raw;
}

/* Does the file lie in the folder itself? */
static bool lies_in(const char *file, const char *folder)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *parent = slash ? string_format("%.*s", (int)(slash - file + 1), file) : NULL;
    const bool in = parent && file_same(parent, folder);
    free(parent);
    return in;
}

/* Predictions among the files of the data set would be taken for its images or truths. */
static ts_status check_place(const dataset *d, const char *out, ts_error *error)
{
    bool collides = is_raw_folder(out, d) || dataset_is_folder(d, out);
    for (size_t i = 0; i < d->count && !collides && file_exists(out); i++) {
        for (int m = 0; m < MODALITIES; m++)
            collides = collides || lies_in(d->cases[i].image[m], out);
        collides = collides || lies_in(d->cases[i].truth, out);
    }
    return collides
               ? error_set(error, TS_BAD_INPUT,
                           "'%s' belongs to the data set '%s', whose images or truths its files "
                           "would be taken for: give another output folder",
                           out, d->path)
               : TS_OK;
}

/* A case's id as JSON holds it: names need not be UTF-8. */
static json_t *json_id(const char *id)
{
    json_t *name = json_string(id);
    text t = {0};
    if (!name) {
        text_append_escaped(&t, id);
        name = json_string(t.data ? t.data : "");
    }
    text_free(&t);
    return name;
}

/* Every image in the folder must be of a case that the record names: record is NULL where there is
 * none. */
static ts_status check_files(const json_t *record, const char *out, ts_error *error)
{
    string_list names;
    const json_t *cases = json_object_get(record, "cases");
    json_t *known = json_object();
    ts_status status = directory_list(out, &names, error);
    if (status != TS_OK)
        goto done;
    for (size_t k = 0; k < json_array_size(cases); k++)
        json_object_set_new(known, json_string_value(json_array_get(cases, k)) ?: "", json_true());
    for (size_t i = 0; i < names.count && status == TS_OK; i++) {
        const char *name = names.items[i];
        const size_t extension = volume_extension(name);
        char *id = string_format("%.*s", (int)(strlen(name) - extension), name);
        json_t *as_recorded = json_id(id ? id : "");
        if (extension && name[0] != '.' && !json_object_get(known, json_string_value(as_recorded)))
            status = error_set(error, TS_BAD_INPUT,
                               "'%s' holds files that are not predictions of twinseg, such as '%s' "
                               "(%s): give another output folder",
                               out, name,
                               record ? "its predict.json does not name that case"
                                      : "it has no predict.json");
        json_decref(as_recorded);
        free(id);
    }
    string_list_free(&names);
done:
    json_decref(known);
    return status;
}

/* ---- the record ------------------------------------------------------------------------------ */

/* Adds what the list `key` does not hold yet; takes value. *added: it did not. */
static void add_to(json_t *record, const char *key, json_t *value, bool *added)
{
    json_t *list = json_object_get(record, key);
    bool held = false;
    if (!json_is_array(list))
        json_object_set_new(record, key, list = json_array());
    for (size_t i = 0; i < json_array_size(list) && !held; i++)
        held = json_equal(json_array_get(list, i), value);
    if (value && !held)
        json_array_append(list, value);
    *added = *added || (value && !held);
    json_decref(value);
}

/* The whole paths of the data set's folders, by which report finds images and truths (left out where
 * they are not UTF-8), and its cases. */
static ts_status add_data(json_t *record, const dataset *d, bool *added, ts_error *error)
{
    for (size_t i = 0; i < d->folder_count; i++) {
        char *whole = realpath(d->folders[i].path, NULL);
        if (!whole)
            return error_set(error, TS_IO, "cannot find '%s': %s", d->folders[i].path,
                             strerror(errno));
        add_to(record, "data", json_string(whole), added);
        free(whole);
    }
    for (size_t i = 0; i < d->count; i++)
        add_to(record, "cases", json_id(d->cases[i].id), added);
    return TS_OK;
}

/* Results of other models or settings than now? Data sets and cases may differ. */
static bool is_of_another(json_t *earlier, json_t *now)
{
    json_t *bare = json_copy(earlier);
    json_object_del(bare, "data");
    json_object_del(bare, "cases");
    const bool other = !json_equal(bare, now);
    json_decref(bare);
    return other;
}

static ts_status update_record(const predictor *p, const dataset *d, const char *out,
                               ts_error *error)
{
    char *content = NULL, *path = path_join(out, "predict.json", error);
    if (!path)
        return TS_MEMORY;
    json_t *now = make_record(p), *record = NULL;
    const bool first = !file_exists(path);
    ts_status status = first ? TS_OK : json_read(path, JSON_BYTES_MAX, &record, error);
    if (status != TS_OK)
        goto done;
    if (!first && is_of_another(record, now)) {
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' says that the results there came from another model or other "
                           "settings: give another output folder, or delete this one to start over",
                           path);
        goto done;
    }
    status = check_files(record, out, error);
    if (status != TS_OK)
        goto done;
    bool added = first;
    if (first)
        record = json_incref(now);
    status = add_data(record, d, &added, error);
    if (status != TS_OK || !added)
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

/* Several processes may predict into one folder, each a data set of its own. */
ts_status record_begin(const predictor *p, const dataset *d, const char *out, ts_error *error)
{
    ts_status status = check_place(d, out, error);
    if (status != TS_OK)
        return status;
    status = directory_create(out, error);
    if (status != TS_OK)
        return status;
    const int hold = folder_hold(out);
    status = update_record(p, d, out, error);
    folder_release(hold);
    return status;
}

/* ---- confidence.csv -------------------------------------------------------------------------- */

enum { COLUMNS = 7 };

/* "t1ce+flair": a cell of a table cannot hold a comma. */
static const char *plus_joined(modality_set set, char buffer[24])
{
    modality_print(set, buffer);
    for (char *at = buffer; (at = strchr(at, ','));)
        *at = '+';
    return buffer;
}

/* The rows of other cases, as they are. */
static void keep_rows(const csv_table *earlier, const char *id, text *t)
{
    for (size_t row = 0; row < earlier->rows && earlier->columns == COLUMNS; row++) {
        const char *other = csv_id(earlier, row, 0);
        if (!strcmp(other, id))
            continue;
        text_append_id(t, other);
        for (int c = 1; c < COLUMNS; c++) {
            text_append(t, ",");
            text_append_field(t, csv_cell(earlier, row, c));
        }
        text_append(t, "\n");
    }
}

static void append_row(text *t, const char *id, const predict_outcome *r)
{
    text warnings = {0};
    char names[24];
    for (size_t i = 0; i < r->warnings.count; i++)
        text_append(&warnings, "%s%s", i ? "; " : "", r->warnings.items[i]);
    text_append_id(t, id);
    text_append(t, ",%s,%.4f,%.4f,%.4f,%.4f,", plus_joined(r->used, names), r->confidence.entropy,
                r->confidence.dice[0], r->confidence.dice[1], r->confidence.dice[2]);
    text_append_field(t, warnings.data ? warnings.data : "");
    text_append(t, "\n");
    t->failed = t->failed || warnings.failed;
    text_free(&warnings);
}

static ts_status update_outcomes(const char *out, const char *id, const predict_outcome *r,
                                 ts_error *error)
{
    csv_table earlier = {0};
    text t = {0};
    ts_status status = TS_OK;
    char *path = path_join(out, "confidence.csv", error);
    if (!path)
        return TS_MEMORY;
    if (file_exists(path))
        status = csv_read(path, JSON_BYTES_MAX, false, &earlier, error);
    if (status != TS_OK)
        goto done;
    text_append(&t, "case,modalities,entropy,expected_dice_wt,expected_dice_tc,expected_dice_et,"
                    "warnings\n");
    keep_rows(&earlier, id, &t);
    append_row(&t, id, r);
    status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                      : file_put(path, t.data, t.length, error);
    csv_free(&earlier);
done:
    text_free(&t);
    free(path);
    return status;
}

ts_status record_outcome(const char *out, const char *id, const predict_outcome *r, ts_error *error)
{
    const int hold = folder_hold(out);
    const ts_status status = update_outcomes(out, id, r, error);
    folder_release(hold);
    return status;
}
