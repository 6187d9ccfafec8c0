/* A run folder, finished or not: curves from metrics.csv, thinned to what a chart can
 * show; settings beside those of the preset; cases, models, log. */
#include "model/model.h"
#include "report/parts.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CURVE_POINTS = 600 };
static const size_t log_limit = 200000; /* bytes; of a longer log the end */

/* ---- curves --------------------------------------------------------------------------------- */

/* A column of metrics.csv: means over bins of steps, or (Dice) every value. */
typedef struct {
    bool dice;
    json_t *steps, *values;
    double sum, step_sum;
    int64_t count;
} column;

static void flush_bin(column *c)
{
    if (c->count) {
        json_array_append_new(c->steps, report_number(round(c->step_sum / (double)c->count)));
        json_array_append_new(c->values, report_number(c->sum / (double)c->count));
    }
    c->sum = c->step_sum = 0;
    c->count = 0;
}

/* {"step": [...], "value": [...]} of one column. */
static json_t *read_curve(const csv_table *t, int place)
{
    const size_t bin = t->rows / CURVE_POINTS + 1;
    column c = {.dice = !strncmp(t->names[place], "dice_", 5),
                .steps = json_array(),
                .values = json_array()};
    for (size_t row = 0; row < t->rows; row++) {
        double step, value;
        if (csv_number(t, row, 0, &step) && csv_number(t, row, place, &value)) {
            c.sum += value;
            c.step_sum += step;
            c.count++;
        }
        if ((row + 1) % bin == 0 || c.dice)
            flush_bin(&c);
    }
    flush_bin(&c);
    return json_pack("{s:o, s:o}", "step", c.steps, "value", c.values);
}

static double sum_of(const csv_table *t, int place)
{
    double sum = 0, value;
    for (size_t row = 0; place >= 0 && row < t->rows; row++)
        sum += csv_number(t, row, place, &value) ? value : 0;
    return sum;
}

/* Curves as {"loss_student": {"step": [...], "value": [...]}, ...}, the steps done and their
 * seconds. There is no metrics.csv yet while cases are being preprocessed. */
static ts_status add_curves(const char *folder, json_t *out, ts_error *error)
{
    csv_table t = {0};
    json_t *curves = json_object();
    char *path = path_join(folder, "metrics.csv", error);
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (path && file_exists(path))
        status = csv_read(path, (size_t)1 << 30, true, &t, error);
    free(path);
    if (status != TS_OK) {
        json_decref(curves);
        return status;
    }
    for (size_t c = 1; c < t.columns; c++)
        json_object_set_new(curves, t.names[c], read_curve(&t, (int)c));
    json_object_set_new(out, "curves", curves);
    json_object_set_new(out, "steps_done", json_integer((json_int_t)t.rows));
    json_object_set_new(out, "seconds", report_number(sum_of(&t, csv_column(&t, "seconds"))));
    csv_free(&t);
    return TS_OK;
}

/* ---- the rest ------------------------------------------------------------------------------- */

/* Every key with its value, help, and the preset's value where it is another. */
static json_t *list_settings(const plan *p)
{
    json_t *list = json_array();
    plan preset;
    plan_defaults(&preset);
    plan_preset(&preset, p->preset, NULL);
    for (size_t i = 0; i < plan_keys(); i++) {
        char value[128], usual[128];
        plan_value(p, i, value, sizeof value);
        plan_value(&preset, i, usual, sizeof usual);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "key", plan_key(i), "value",
                                              value, "help", plan_key_help(i), "preset", usual));
    }
    return list;
}

static bool is_split(const json_t *split)
{
    return json_is_array(json_object_get(split, "train")) &&
           json_is_array(json_object_get(split, "held_out")) &&
           json_is_array(json_object_get(split, "skipped"));
}

static bool is_provenance(const json_t *record)
{
    return json_is_object(json_object_get(record, "cases")) &&
           json_is_array(json_object_get(record, "sessions"));
}

/* FOLDER/FILE under that key, null where it is not there yet; content that is not so is an
 * error. */
static ts_status add_file(const char *folder, const char *file, const char *key,
                          bool (*is_good)(const json_t *), const char *fault, json_t *out,
                          ts_error *error)
{
    char *path = path_join(folder, file, error);
    if (!path)
        return TS_MEMORY;
    ts_status status = TS_OK;
    json_t *content = json_null();
    if (file_exists(path))
        status = json_read(path, JSON_BYTES_MAX, &content, error);
    if (status == TS_OK && !json_is_null(content) && !is_good(content))
        status = error_set(error, TS_BAD_INPUT, "cannot read '%s': %s", path, fault);
    if (status == TS_OK)
        json_object_set(out, key, content);
    json_decref(content);
    free(path);
    return status;
}

static ts_status add_log(const char *folder, json_t *out, ts_error *error)
{
    uint8_t *content = NULL;
    size_t bytes = 0;
    char *path = path_join(folder, "log.txt", error);
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (status == TS_OK && file_exists(path))
        status = file_get(path, (size_t)1 << 30, &content, &bytes, error);
    if (status == TS_OK) {
        const size_t from = bytes > log_limit ? bytes - log_limit : 0;
        json_object_set_new(out, "log", report_string(content ? (char *)content + from : ""));
    }
    free(content);
    free(path);
    return status;
}

static json_t *describe_model(const char *folder, const char *name)
{
    ts_error ignored;
    safetensors file;
    model m;
    char channels[24], *path = path_join(folder, name, &ignored);
    json_t *out = json_pack("{s:s}", "file", name);
    if (!path || !file_exists(path) || safetensors_read(path, &file, &ignored) != TS_OK) {
        free(path);
        json_decref(out);
        return NULL;
    }
    if (model_decode(&file, path, &m, &ignored) == TS_OK) {
        char hex[20];
        weights_fingerprint(m.weights, m.weight_count, hex);
        json_object_set_new(out, "role", json_string(m.role));
        json_object_set_new(out, "channels", json_string(modality_print(m.channels, channels)));
        json_object_set_new(out, "parameters", json_integer(m.weight_count));
        json_object_set_new(out, "weights", json_string(hex));
        json_object_set_new(out, "version",
                            report_string(safetensors_metadata(&file, "twinseg.version")));
        json_object_set_new(out, "provenance", report_string(m.provenance));
    }
    model_free(&m);
    safetensors_free(&file);
    free(path);
    return out;
}

ts_status report_run(const char *folder, json_t **out, ts_error *error)
{
    static const char *const names[] = {"model.safetensors", "teacher.safetensors",
                                        "model-best.safetensors", "teacher-best.safetensors"};
    plan p;
    *out = json_pack("{s:o, s:o}", "path", report_string(folder), "models", json_array());
    ts_status status = train_read_config(folder, &p, error);
    if (status != TS_OK)
        return status;
    status = add_curves(folder, *out, error);
    if (status != TS_OK)
        return status;
    status = add_file(folder, "split.json", "split", is_split, "it lists no cases", *out, error);
    if (status != TS_OK)
        return status;
    status = add_file(folder, "provenance.json", "provenance", is_provenance,
                      "it names no cases and sessions", *out, error);
    if (status != TS_OK)
        return status;
    status = add_log(folder, *out, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *one = describe_model(folder, names[i]);
        if (one)
            json_array_append_new(json_object_get(*out, "models"), one);
    }
    json_object_set_new(*out, "settings", list_settings(&p));
    json_object_set_new(*out, "steps", json_integer(p.steps));
    return TS_OK;
}
