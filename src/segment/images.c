/* Step 1: the images on one grid without what is not brain, and the registration. */
#include "align/align.h"
#include "brain/brain.h"
#include "segment/work.h"
#include "series/series.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

static void set_hash(json_t *of, const char *key, const char *words)
{
    char hex[20] = "none";
    if (words)
        snprintf(hex, sizeof hex, "%016llx",
                 (unsigned long long)hash_bytes(HASH_START, words, strlen(words)));
    json_object_set_new(of, key, json_string(hex));
}

/* Fingerprints, no paths: these may hold a patient's name. */
json_t *images_of(const segment_request *r, ts_error *error)
{
    json_t *of = json_object();
    ts_status status = of ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    for (int m = 0; status == TS_OK && m <= MODALITIES; m++) {
        const char *path = m < MODALITIES ? r->input[m].path : r->brain;
        char hex[20] = "none";
        if (path)
            status = state_fingerprint(path, hex, error);
        if (status == TS_OK)
            json_object_set_new(of, m < MODALITIES ? modality_names[m] : "brain mask",
                                json_string(hex));
    }
    if (status == TS_OK)
        set_hash(of, "command for skull stripping", r->skull_strip);
    if (status == TS_OK)
        return of;
    json_decref(of);
    return NULL;
}

/* Whole heads alone: of few slices nothing good would come. */
static ts_status check_grid(const char *path, modality m, ts_error *error)
{
    volume_header h;
    series_facts f = series_facts_none();
    char why[SERIES_TEXT];
    const ts_status status = volume_read_header(path, &h, error);
    if (status != TS_OK)
        return status;
    for (int k = 3; k < 7; k++)
        f.volumes *= h.shape[k];
    for (int k = 0; k < 3; k++) {
        f.shape[k] = h.shape[k];
        f.spacing_mm[k] = h.zooms[k];
    }
    if (series_grid_is_short(&f, why))
        return error_set(error, TS_BAD_INPUT,
                         "--%s: '%s' does not show a whole head: %s; leave it out, or give another",
                         modality_names[m], path, why);
    return TS_OK;
}

static ts_status check_inputs(const segment_request *r, ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        const char *path = r->input[m].path;
        for (int other = 0; path && other < m; other++)
            if (r->input[other].path && file_same(path, r->input[other].path))
                return error_set(error, TS_BAD_INPUT, "--%s and --%s are the same file, '%s'",
                                 modality_names[other], modality_names[m], path);
        status = path ? check_grid(path, (modality)m, error) : TS_OK;
    }
    return status;
}

/* What was given, without names of files. */
static ts_status describe_inputs(segment_work *w, ts_error *error)
{
    json_t *inputs = json_object();
    json_object_set_new(w->found, "inputs", inputs);
    for (int m = 0; m < MODALITIES; m++) {
        const segment_input *in = &w->request->input[m];
        volume_header h;
        if (!in->path)
            continue;
        const ts_status status = volume_read_header(in->path, &h, error);
        if (status != TS_OK)
            return status;
        json_object_set_new(
            inputs, modality_names[m],
            json_pack("{s:s, s:[I,I,I], s:[f,f,f]}", "series", in->told ? in->told : "a file",
                      "shape", (json_int_t)h.shape[0], (json_int_t)h.shape[1],
                      (json_int_t)h.shape[2], "spacing_mm", h.zooms[0], h.zooms[1], h.zooms[2]));
    }
    return TS_OK;
}

/* The images that dcm2niix made, for viewers: their files are gone when the command ends. */
static ts_status keep_originals(segment_work *w, ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        char name[40];
        volume v;
        if (!w->request->input[m].dicom)
            continue;
        snprintf(name, sizeof name, "native/%s.nii.gz", modality_names[m]);
        char *path = work_output(w, name, error);
        status = path ? volume_read(w->request->input[m].path, &v, error) : TS_MEMORY;
        if (status == TS_OK) {
            status = volume_write_values(
                path, &v.header, 1, v.data,
                volume_is_whole(v.data, (size_t)voxel_count(v.header.shape)), error);
            volume_free(&v);
        }
        free(path);
    }
    return status;
}

static ts_status add_files(segment_work *w, ts_error *error)
{
    static const char *const names[] = {"brain.nii.gz", "registration.json", "registration.png"};
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(names); i++)
        status = string_list_add(&w->files, names[i], error);
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        char name[40];
        snprintf(name, sizeof name, "images/%s.nii.gz", modality_names[m]);
        if (w->request->input[m].path)
            status = string_list_add(&w->files, name, error);
    }
    return status;
}

static ts_status make_folder(const segment_work *w, const char *name, ts_error *error)
{
    char *path = work_input(w, name, error);
    const ts_status status = path ? directory_create(path, error) : TS_MEMORY;
    free(path);
    return status;
}

static void say_result(segment_work *w, const align_result *a)
{
    json_object_set_new(w->found, "reference", json_string(modality_names[a->reference]));
    json_object_set_new(w->found, "brain_by", json_string(align_brain_words(a->brain.source)));
    json_object_set_new(w->found, "brain_ml", json_real(a->brain.millilitres));
    char *doubt = brain_volume_doubt(a->brain.millilitres);
    if (doubt)
        work_warn(w, doubt);
    free(doubt);
    for (int m = 0; m < MODALITIES; m++) {
        if (!a->steps[m].used || m == (int)a->reference ||
            (a->steps[m].found.after.nmi >= ALIGN_DOUBTFUL_NMI &&
             a->steps[m].found.disagreement_mm <= ALIGN_DOUBTFUL_MM))
            continue;
        char *sentence = string_format(
            "%s and %s have little in common after registration: look at registration.png",
            modality_names[m], modality_names[a->reference]);
        if (sentence)
            work_warn(w, sentence);
        free(sentence);
    }
}

ts_status step_images(segment_work *w, ts_error *error)
{
    const segment_request *r = w->request;
    align_result result;
    align_request a = {
        .folder = r->folder, .spacing_mm = 1, .skull_strip = r->skull_strip, .brain = r->brain};
    for (int m = 0; m < MODALITIES; m++)
        a.input[m] = r->input[m].path;
    ts_status status = check_inputs(r, error);
    if (status == TS_OK)
        status = make_folder(w, "images", error);
    if (status == TS_OK)
        status = make_folder(w, "native", error);
    if (status == TS_OK)
        status = align_patient(&a, w->pool, &result, error);
    if (status == TS_OK)
        status = describe_inputs(w, error);
    if (status == TS_OK)
        status = keep_originals(w, error);
    if (status == TS_OK)
        status = add_files(w, error);
    if (status == TS_OK)
        say_result(w, &result);
    return status;
}

/* ---- what later steps need of it -------------------------------------------------------------- */

static bool read_matrix(const json_t *rows, double out[4][4])
{
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            const json_t *value = json_array_get(json_array_get(rows, i), k);
            if (!json_is_number(value))
                return false;
            out[i][k] = json_number_value(value);
        }
    return true;
}

ts_status read_registration(const segment_work *w, modality *reference,
                            double transforms[MODALITIES][4][4], ts_error *error)
{
    json_t *root = NULL;
    bool good = false;
    char *path = work_input(w, "registration.json", error);
    const ts_status status = path ? json_read(path, JSON_BYTES_MAX, &root, error) : TS_MEMORY;
    const char *name = json_string_value(json_object_get(root, "reference"));
    for (int m = 0; name && m < MODALITIES; m++)
        if (!strcmp(name, modality_names[m])) {
            *reference = (modality)m;
            good = true;
        }
    for (int m = 0; good && m < MODALITIES; m++) {
        static const double same[4][4] = {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}};
        const json_t *one = json_object_get(json_object_get(root, "registered"), modality_names[m]);
        memcpy(transforms[m], same, sizeof same);
        if (w->request->input[m].path && m != (int)*reference)
            good = read_matrix(json_object_get(one, "transform"), transforms[m]);
    }
    json_decref(root);
    free(path);
    if (status == TS_OK && !good)
        return error_set(error, TS_BAD_INPUT, "'%s/registration.json' is damaged: remove it",
                         w->request->folder);
    return status;
}
