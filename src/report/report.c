/* The page: which folder is what, its JSON, and the file. */
#include "report/parts.h"
#include "volume/volume.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

EMBED(report_page_html, "report/page.html", 0);
EMBED(report_page_css, "report/page.css", 0);
EMBED(report_page_js, "report/page.js", 0);

static const size_t slices_limit =
    9000000; /* characters, of all cases: the file stays below 10 MB */

/* ---- the program --------------------------------------------------------------------------- */

static json_t *describe_program(void)
{
    char stamp[40];
    const machine_facts m = machine_describe();
    struct tm local;
    const time_t now = time(NULL);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S %z", localtime_r(&now, &local));
    return json_pack("{s:s, s:s, s:s, s:i, s:s}", "version", ts_version(), "time", stamp,
                     "processor", m.processor, "processors", m.processors, "system", m.system);
}

/* ---- folders -------------------------------------------------------------------------------- */

static bool folder_holds(const char *folder, const char *name)
{
    ts_error ignored;
    char *path = path_join(folder, name, &ignored);
    const bool holds = path && file_exists(path);
    free(path);
    return holds;
}

static bool holds_labels(const char *folder)
{
    ts_error ignored;
    string_list names = {0};
    bool found = folder_holds(folder, "predict.json");
    if (directory_list(folder, &names, &ignored) != TS_OK)
        return false;
    for (size_t i = 0; i < names.count && !found; i++)
        found = names.items[i][0] != '.' && volume_extension(names.items[i]);
    string_list_free(&names);
    return found;
}

static ts_status add_run(const char *folder, json_t *page, report_counts *counts, ts_error *error)
{
    json_t *run = NULL;
    const ts_status status = report_run(folder, &run, error);
    if (status == TS_OK)
        json_array_append(json_object_get(page, "runs"), run);
    json_decref(run);
    counts->runs++;
    return status;
}

/* A study whose table is not made yet is shown by the runs of its cells. */
static ts_status add_cells(const char *folder, json_t *page, report_counts *counts, ts_error *error)
{
    string_list names = {0};
    char *cells = path_join(folder, "cells", error);
    ts_status status = cells ? directory_list(cells, &names, error) : TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < names.count; i++) {
        char *path = path_join(cells, names.items[i], error);
        if (!path)
            status = TS_MEMORY;
        else if (folder_holds(path, "config.ini"))
            status = add_run(path, page, counts, error);
        free(path);
    }
    string_list_free(&names);
    free(cells);
    return status;
}

static ts_status add_study(const char *folder, json_t *page, report_counts *counts, ts_error *error)
{
    json_t *study = NULL;
    const ts_status status = report_study(folder, &study, error);
    if (status == TS_OK && !study) {
        note("'%s' has no table yet ('twinseg study STUDY.ini --out %s --table' makes one): its "
             "runs are shown",
             folder, folder);
        return add_cells(folder, page, counts, error);
    }
    if (status == TS_OK)
        json_array_append(json_object_get(page, "studies"), study);
    json_decref(study);
    counts->studies++;
    return status;
}

static ts_status add_predictions(const char *folder, const report_options *o, size_t share,
                                 json_t *page, report_counts *counts, ts_error *error)
{
    json_t *predictions = NULL;
    const ts_status status = report_predictions(folder, o, share, counts, &predictions, error);
    if (status == TS_OK)
        json_array_append(json_object_get(page, "predictions"), predictions);
    json_decref(predictions);
    counts->predictions++;
    return status;
}

static ts_status add_patient(const char *folder, size_t share, json_t *page, report_counts *counts,
                             ts_error *error)
{
    json_t *patient = NULL;
    const ts_status status = report_patient(folder, share, &patient, error);
    if (status == TS_OK)
        json_array_append(json_object_get(page, "patients"), patient);
    json_decref(patient);
    counts->patients++;
    counts->cases++;
    counts->pictures += status == TS_OK;
    return status;
}

static ts_status add_folder(const char *folder, const report_options *o, size_t share, json_t *page,
                            report_counts *counts, ts_error *error)
{
    if (!directory_exists(folder))
        return error_set(error, TS_IO, "'%s' is not a folder", folder);
    if (folder_holds(folder, "config.ini"))
        return add_run(folder, page, counts, error);
    if (folder_holds(folder, "scores/table.json") || folder_holds(folder, "table.json") ||
        folder_holds(folder, "cells"))
        return add_study(folder, page, counts, error);
    if (folder_holds(folder, "segment.json"))
        return add_patient(folder, share, page, counts, error);
    if (holds_labels(folder))
        return add_predictions(folder, o, share, page, counts, error);
    return error_set(error, TS_BAD_INPUT,
                     "'%s' is neither a run (config.ini), nor a study (scores/table.json), nor "
                     "predictions (label files), nor a patient (segment.json)",
                     folder);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* A '<' could end the script element that holds the JSON; as \u003c it is the same JSON. */
static void append_json(text *t, const char *json)
{
    for (const char *at = json; *at;) {
        const size_t plain = strcspn(at, "<");
        text_append_bytes(t, at, plain);
        at += plain;
        if (*at) {
            text_append(t, "\\u003c");
            at++;
        }
    }
}

/* page.html with its three marks, which are in this order, replaced. */
static void fill_page(text *t, const char *json)
{
    static const char *const marks[] = {"@CSS@", "@DATA@", "@JS@"};
    const char *at = report_page_html;
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        const char *mark = strstr(at, marks[i]);
        text_append_bytes(t, at, (size_t)(mark - at));
        if (i == 0)
            text_append_bytes(t, report_page_css, strlen(report_page_css));
        else if (i == 1)
            append_json(t, json);
        else
            text_append_bytes(t, report_page_js, strlen(report_page_js));
        at = mark + strlen(marks[i]);
    }
    text_append_bytes(t, at, strlen(at));
}

ts_status report_write(const char *const *folders, size_t count, const report_options *o,
                       const char *out, report_counts *counts, ts_error *error)
{
    text t = {0};
    char *json = NULL;
    *counts = (report_counts){0};
    json_t *page = json_pack("{s:o, s:[], s:[], s:[], s:[]}", "made", describe_program(), "runs",
                             "studies", "predictions", "patients");
    ts_status status = file_try(out, error);
    if (status != TS_OK)
        goto done;
    for (size_t i = 0; i < count; i++) {
        status = add_folder(folders[i], o, slices_limit / count, page, counts, error);
        if (status != TS_OK)
            goto done;
    }
    json = json_dumps(page, JSON_COMPACT | JSON_REAL_PRECISION(8));
    if (json)
        fill_page(&t, json);
    status = json && !t.failed ? file_put(out, t.data, t.length, error)
                               : error_set(error, TS_MEMORY, "out of memory for '%s'", out);
    counts->bytes = t.length;
done:
    json_decref(page);
    free(json);
    text_free(&t);
    return status;
}
