/* The steps one after the other, each kept where it is done already. */
#include "segment/segment.h"
#include "segment/work.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const segment_settings[] = {
    "prediction",          "window_step",          "mirror", "threads", "dtype", "et_threshold",
    "component_threshold", "component_confidence", NULL,
};

char *work_input(const segment_work *w, const char *name, ts_error *error)
{
    return path_join(w->request->folder, name, error);
}

char *work_output(segment_work *w, const char *name, ts_error *error)
{
    return string_list_add(&w->files, name, error) == TS_OK ? work_input(w, name, error) : NULL;
}

void work_warn(segment_work *w, const char *sentence)
{
    json_t *list = json_object_get(w->found, "warnings");
    if (!list) {
        list = json_array();
        json_object_set_new(w->found, "warnings", list);
    }
    json_array_append_new(list, json_string(sentence));
    warn("%s", sentence);
}

/* ---- one step --------------------------------------------------------------------------------- */

typedef struct {
    const char *name, *words;
    ts_status (*run)(segment_work *w, ts_error *error);
    json_t *(*of)(const segment_request *r, ts_error *error); /* NULL: of the steps before alone */
} segment_step;

static const segment_step steps[] = {
    {"images", "registration and brain", step_images, images_of},
    {"labels", "segmentation", step_labels, labels_of},
    {"measures", "measures", step_measures, NULL},
    {"dicom", "DICOM", step_dicom, NULL},
    {"report", "report", step_report, NULL},
};

static ts_status make_step(const segment_step *s, const json_t *of, segment_work *w,
                           segment_state *state, ts_error *error)
{
    const double start = clock_seconds();
    ts_status status = TS_OK;
    for (const segment_step *k = s; status == TS_OK && k < steps + COUNT_OF(steps); k++)
        status = state_forget(state, k->name, error); /* all that was made of it */
    if (status != TS_OK)
        return status;
    w->found = json_object();
    w->files = (string_list){0};
    w->images_found = state_found(state, "images");
    status = w->found ? s->run(w, error) : error_set(error, TS_MEMORY, "out of memory");
    progress_clear();
    if (status == TS_OK)
        status = state_end(state, s->name, of, w->found, &w->files, error);
    if (status == TS_OK)
        print_line(stdout, "%s: %.1f s", s->words, clock_seconds() - start);
    fflush(stdout);
    json_decref(w->found);
    string_list_free(&w->files);
    return status;
}

static ts_status run_step(const segment_step *s, segment_work *w, segment_state *state,
                          segment_result *out, ts_error *error)
{
    json_t *of = s->of ? s->of(w->request, error) : json_object();
    if (!of)
        return TS_MEMORY;
    ts_status status = TS_OK;
    if (!out->made && state_keeps(state, s->name, of)) {
        out->kept++;
    } else {
        out->made++;
        status = make_step(s, of, w, state, error);
    }
    json_decref(of);
    return status;
}

/* The warnings of all steps, those of earlier calls too. */
static ts_status collect_warnings(const segment_state *state, string_list *out, ts_error *error)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        size_t k;
        const json_t *sentence;
        json_array_foreach(json_object_get(state_found(state, steps[i].name), "warnings"), k,
                           sentence) if (status == TS_OK && json_is_string(sentence)) status =
            string_list_add(out, json_string_value(sentence), error);
    }
    return status;
}

static ts_status run_steps(segment_work *w, segment_state *state, segment_result *out,
                           ts_error *error)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        count += steps[i].run != step_dicom || w->request->dicom_seg;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i].run == step_dicom && !w->request->dicom_seg)
            continue;
        progress_stage("step %zu of %zu", ++at, count);
        const ts_status status = run_step(&steps[i], w, state, out, error);
        progress_stage(NULL);
        if (status != TS_OK)
            return status;
    }
    if (out->kept)
        note("%zu of %zu steps were done before and are kept", out->kept, count);
    return collect_warnings(state, &out->warnings, error);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static ts_status take_lock(const char *folder, process_lock *lock, ts_error *error)
{
    process_name holder;
    char *path = path_join(folder, ".lock", error);
    const ts_status status = path ? process_lock_take(path, lock, &holder, error) : TS_MEMORY;
    free(path);
    if (status == TS_OK && !lock->held)
        return error_set(error, TS_BAD_INPUT, "process %lld on %s works in '%s'",
                         (long long)holder.pid, holder.host, folder);
    return status;
}

/* seg.dcm refers to the series of the image that the others are registered to. */
static ts_status check_dicom(const segment_request *r, ts_error *error)
{
    static const modality order[MODALITIES] = {T1CE, T1, T2, FLAIR};
    for (int i = 0; r->dicom_seg && i < MODALITIES; i++) {
        const segment_input *in = &r->input[order[i]];
        if (in->path && !in->dicom)
            return error_set(error, TS_BAD_INPUT,
                             "--dicom-seg refers to a series of DICOM, and the %s image is a NIfTI "
                             "file",
                             modality_names[order[i]]);
        if (in->path)
            return TS_OK;
    }
    return TS_OK;
}

/* What the first step makes before it can fail. */
static void remove_begun(const char *folder)
{
    static const char *const names[] = {"segment.json", "images", "native"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = path_join(folder, names[i], NULL);
        if (path)
            remove(path); /* a folder with files in it stays */
        free(path);
    }
}

ts_status segment_patient(const segment_request *r, segment_result *out, ts_error *error)
{
    segment_state state = {0};
    process_lock lock = {.fd = -1};
    segment_work w = {.request = r};
    const bool was_there = directory_exists(r->folder);
    *out = (segment_result){0};
    ts_status status = check_dicom(r, error);
    if (status == TS_OK)
        status = directory_create(r->folder, error);
    if (status == TS_OK)
        status = take_lock(r->folder, &lock, error);
    if (status == TS_OK)
        status = state_open(r->folder, &state, error);
    if (status == TS_OK)
        status = pool_create(r->settings->threads ? (int)r->settings->threads : processor_count(),
                             &w.pool, error);
    if (status == TS_OK)
        status = run_steps(&w, &state, out, error);
    if (status == TS_STOPPED)
        error_set(error, TS_STOPPED, "stopped; the same call goes on from here");
    if (status != TS_OK && !was_there && state_is_empty(&state))
        remove_begun(r->folder);
    pool_destroy(w.pool);
    state_close(&state);
    process_lock_release(&lock);
    if (!was_there)
        rmdir(r->folder); /* where nothing was written */
    return status;
}

void segment_result_free(segment_result *r)
{
    string_list_free(&r->warnings);
}
