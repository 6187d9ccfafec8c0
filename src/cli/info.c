/* twinseg info: what a volume, a model or a run is. Each is described once, as a JSON object;
 * --json prints it, and without it the same keys and values stand as lines. */
#include "cli/cli.h"
#include "model/model.h"
#include "train/train.h"
#include "volume/volume.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"json", 0, NULL, "print one JSON object"},
    {NULL, 0, NULL, NULL},
};

/* JSON knows no NaN and no infinity: null stands for them. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- a volume ----------------------------------------------------------------------------- */

/* "warnings": what the header leaves in doubt, [] where nothing. */
static ts_status describe_doubts(const volume_header *h, const char *path, json_t *out,
                                 ts_error *error)
{
    string_list doubts = {0};
    const ts_status status = volume_header_doubts(h, path, NULL, &doubts, error);
    json_t *warnings = json_array();
    for (size_t i = 0; i < doubts.count; i++)
        json_array_append_new(warnings, json_string(doubts.items[i]));
    json_object_set_new(out, "warnings", warnings);
    string_list_free(&doubts);
    return status;
}

static ts_status describe_volume(const char *path, json_t *out, ts_error *error)
{
    volume_header h;
    volume_statistics s;
    const ts_status status = volume_read_statistics(path, &h, &s, error);
    if (status != TS_OK)
        return status;
    json_t *shape = json_array(), *zooms = json_array(), *affine = json_array();
    int64_t voxels = 1;
    for (int i = 0; i < h.dimensions; i++) {
        json_array_append_new(shape, json_integer(h.shape[i]));
        json_array_append_new(zooms, number(h.zooms[i]));
        voxels *= h.shape[i];
    }
    for (int i = 0; i < 4; i++) {
        json_t *row = json_array();
        for (int j = 0; j < 4; j++)
            json_array_append_new(row, number(h.affine[i][j]));
        json_array_append_new(affine, row);
    }
    const bool any = voxels > s.nonfinite; /* a finite voxel, for minimum, maximum and mean */
    json_object_set_new(out, "format", json_string(h.version == NIFTI_2 ? "nifti2" : "nifti1"));
    json_object_set_new(out, "endian", json_string(h.big_endian ? "big" : "little"));
    json_object_set_new(out, "shape", shape);
    json_object_set_new(out, "zooms", zooms);
    json_object_set_new(out, "affine", affine);
    json_object_set_new(out, "dtype", json_string(volume_datatype_name(h.datatype)));
    json_object_set_new(out, "min", any ? number(s.min) : json_null());
    json_object_set_new(out, "max", any ? number(s.max) : json_null());
    json_object_set_new(out, "mean", any ? number(s.mean) : json_null());
    json_object_set_new(out, "sum", number(s.sum));
    json_object_set_new(out, "nonfinite", json_integer(s.nonfinite));
    return describe_doubts(&h, path, out, error);
}

/* ---- a model ------------------------------------------------------------------------------ */

static json_t *plan_object(const plan *p)
{
    json_t *object = json_object();
    char value[128];
    for (size_t i = 0; i < plan_keys(); i++) {
        plan_value(p, i, value, sizeof value);
        json_object_set_new(object, plan_key(i), json_string(value));
    }
    return object;
}

/* JSON within the metadata as JSON, anything else as a string. */
static json_t *metadata_value(const safetensors *file, const char *key)
{
    const char *value = safetensors_metadata(file, key);
    json_t *parsed = value ? json_loads(value, 0, NULL) : NULL;
    return parsed ? parsed : value ? json_string(value) : json_null();
}

static ts_status describe_model(const char *path, json_t *out, ts_error *error)
{
    safetensors file;
    model m;
    char channels[24];
    ts_status status = safetensors_read(path, &file, error);
    if (status != TS_OK)
        return status;
    status = model_decode(&file, path, &m, error);
    if (status == TS_OK) {
        json_object_set_new(out, "format", json_string("twinseg model"));
        json_object_set_new(out, "version",
                            json_string(safetensors_metadata(&file, "twinseg.version")));
        json_object_set_new(out, "role", json_string(m.role));
        json_object_set_new(out, "channels", json_string(modality_print(m.channels, channels)));
        json_object_set_new(out, "inputs",
                            json_string(model_any_subset(&m)  ? "any subset"
                                        : model_any_image(&m) ? "any image"
                                                              : "all"));
        json_object_set_new(out, "parameters", json_integer(m.weight_count));
        json_object_set_new(out, "labels", metadata_value(&file, "twinseg.labels"));
        json_object_set_new(out, "normalisation", metadata_value(&file, "twinseg.normalisation"));
        json_object_set_new(out, "provenance", metadata_value(&file, "twinseg.provenance"));
        json_object_set_new(out, "rules", metadata_value(&file, "twinseg.rules"));
        json_object_set_new(out, "likeness", json_integer(m.likeness.cases));
        json_object_set_new(out, "plan", plan_object(&m.plan));
    }
    model_free(&m);
    safetensors_free(&file);
    return status;
}

/* ---- a run -------------------------------------------------------------------------------- */

/* The latest value of every column of metrics.csv; the row that is being written counts as none. */
static json_t *latest_metrics(const csv_table *t)
{
    json_t *latest = json_object();
    for (size_t row = 0; row < t->rows; row++)
        for (int c = 0; c < (int)t->columns; c++) {
            double value;
            if (csv_number(t, row, c, &value))
                json_object_set_new(latest, t->names[c], number(value));
        }
    return latest;
}

static ts_status read_metrics(const char *folder, json_t **out, ts_error *error)
{
    csv_table t = {0};
    ts_status status = TS_OK;
    char *path = path_join(folder, "metrics.csv", error);
    if (!path)
        return TS_MEMORY;
    if (file_exists(path)) /* not yet, while cases are being preprocessed */
        status = csv_read(path, (size_t)1 << 30, true, &t, error);
    free(path);
    if (status != TS_OK)
        return status;
    *out = latest_metrics(&t);
    csv_free(&t);
    return TS_OK;
}

/* {"train": 18, "held_out": 5, "skipped": 0} */
static ts_status count_cases(const char *folder, json_t **out, ts_error *error)
{
    static const char *const lists[] = {"train", "held_out", "skipped"};
    json_t *split;
    char *path = path_join(folder, "split.json", error);
    if (!path)
        return TS_MEMORY;
    const ts_status status = json_read(path, JSON_BYTES_MAX, &split, error);
    free(path);
    if (status != TS_OK)
        return status;
    *out = json_object();
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        json_object_set_new(
            *out, lists[i],
            json_integer((json_int_t)json_array_size(json_object_get(split, lists[i]))));
    json_decref(split);
    return TS_OK;
}

static json_t *list_models(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "teacher.safetensors",
                                        "model-best.safetensors", "teacher-best.safetensors"};
    json_t *models = json_array();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = path_join(folder, names[i], NULL);
        if (path && file_exists(path))
            json_array_append_new(models, json_string(names[i]));
        free(path);
    }
    return models;
}

static ts_status describe_run(const char *path, json_t *out, ts_error *error)
{
    plan p;
    int fold = 0, folds = 0;
    char words[32];
    json_t *metrics = NULL, *cases = NULL;
    ts_status status = train_read_config(path, &p, error);
    if (status != TS_OK)
        return status;
    status = train_read_fold(path, &fold, &folds, error);
    if (status != TS_OK)
        return status;
    status = count_cases(path, &cases, error);
    if (status != TS_OK)
        return status;
    status = read_metrics(path, &metrics, error);
    if (status != TS_OK) {
        json_decref(cases);
        return status;
    }
    snprintf(words, sizeof words, "%d/%d", fold, folds);
    const json_int_t done = (json_int_t)json_number_value(json_object_get(metrics, "step"));
    json_object_set_new(out, "format", json_string("twinseg run"));
    json_object_set_new(out, "steps_done", json_integer(done));
    json_object_set_new(out, "steps", json_integer(train_steps(&p)));
    json_object_set_new(out, "fold", folds ? json_string(words) : json_null());
    json_object_set_new(out, "cases", cases);
    json_object_set_new(out, "models", list_models(path));
    json_object_set_new(out, "metrics", metrics);
    json_object_set_new(out, "plan", plan_object(&p));
    return TS_OK;
}

/* ---- as lines ----------------------------------------------------------------------------- */

static void print_value(const json_t *v)
{
    if (json_is_string(v))
        print_escaped(stdout, json_string_value(v));
    else if (json_is_integer(v))
        printf("%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        printf("%.9g", json_real_value(v));
    else if (json_is_array(v))
        for (size_t i = 0; i < json_array_size(v); i++) {
            printf("%s", i ? " " : "");
            print_value(json_array_get(v, i));
        }
    else
        printf("none");
}

/* The warnings as such, on standard error; what is left becomes lines. */
static void print_warnings(json_t *object)
{
    json_t *warnings = json_object_get(object, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++)
        warn("%s", json_string_value(json_array_get(warnings, i)));
    json_object_del(object, "warnings");
}

/* A key a line; what has parts is set in: a row of the affine, a setting, a metric. */
static void print_lines(const char *indent, int width, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const bool matrix = json_is_array(json_array_get(value, 0));
        char shown[256];
        escape_into(shown, sizeof shown, key);
        if (json_is_object(value)) {
            printf("%s%s\n", indent, shown);
            print_lines("  ", 22, value);
            continue;
        }
        printf("%s%-*s  ", indent, width, shown);
        for (size_t i = 0; matrix && i < json_array_size(value); i++) {
            printf("%s%*s", i ? "\n" : "", i ? width + 2 : 0, "");
            print_value(json_array_get(value, i));
        }
        if (!matrix)
            print_value(value);
        printf("\n");
    }
}

/* ---- the command -------------------------------------------------------------------------- */

/* A safetensors file begins with the length of its header in 8 bytes, and then that header. */
static bool is_safetensors(const char *path)
{
    file_map map;
    bool found = string_ends_nocase(path, ".safetensors");
    if (!found && !directory_exists(path) && file_map_open(path, &map, NULL) == TS_OK) {
        found = map.count > 9 && map.bytes[8] == '{';
        file_map_close(&map);
    }
    return found;
}

static ts_status describe(const char *path, json_t *out, ts_error *error)
{
    char shown[4096]; /* a name need not be UTF-8, JSON must */
    escape_into(shown, sizeof shown, path);
    json_object_set_new(out, "file", json_string(path) ?: json_string(shown));
    if (!file_exists(path))
        return error_set(error, TS_IO, "'%s' is not there", path);
    if (directory_exists(path) && !volume_extension(path)) {
        char *config = path_join(path, "config.ini", error);
        if (!config)
            return TS_MEMORY;
        const bool run = file_exists(config);
        free(config);
        return run ? describe_run(path, out, error)
                   : error_set(error, TS_BAD_INPUT,
                               "'%s' is a folder and holds no run; of a data set, 'twinseg check' "
                               "says what is in it",
                               path);
    }
    return is_safetensors(path) ? describe_model(path, out, error)
                                : describe_volume(path, out, error);
}

static int run(const cli_arguments *a)
{
    ts_error e;
    json_t *description = json_object();
    const ts_status status = describe(a->positional[0], description, &e);
    if (status == TS_OK && cli_flag(a, "json")) {
        json_dumpf(description, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        putchar('\n');
    } else if (status == TS_OK) {
        print_warnings(description);
        print_lines("", 13, description);
    }
    json_decref(description);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command info_command = {
    .name = "info",
    .summary = "what a volume, a model or a run is",
    .usage = "FILE [--json]",
    .details = "FILE is a NIfTI volume (grid, type, and the statistics of its finite voxels after "
               "scaling),\n"
               "a model.safetensors, or the folder of a run.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
