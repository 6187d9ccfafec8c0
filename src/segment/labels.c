/* Step 2: labels on the common grid, and on the grid of every image that was given. Probabilities go
 * back, not labels, so that thick slices get the mean of what they cover. */
#include "align/align.h"
#include "predict/predict.h"
#include "segment/work.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

/* Settings that change the result; threads do not. */
static bool changes_result(const char *key)
{
    for (size_t i = 0; segment_settings[i]; i++)
        if (!strcmp(segment_settings[i], key))
            return strcmp(key, "threads") != 0;
    return false;
}

json_t *labels_of(const segment_request *r, ts_error *error)
{
    json_t *of = json_object();
    char value[128];
    text models = {0};
    for (size_t i = 0; i < r->model_count; i++) {
        char hex[20];
        weights_fingerprint(r->models[i].weights, r->models[i].weight_count, hex);
        text_append(&models, "%s%s", i ? "," : "", hex);
    }
    if (models.data)
        json_object_set_new(of, "model", json_string(models.data));
    text_free(&models);
    for (size_t i = 0; i < plan_keys(); i++)
        if (changes_result(plan_key(i))) {
            plan_value(r->settings, i, value, sizeof value);
            json_object_set_new(of, plan_key(i), json_string(value));
        }
    if (!of || models.failed) {
        json_decref(of);
        error_set(error, TS_MEMORY, "out of memory");
        return NULL;
    }
    return of;
}

/* On the common grid. */
typedef struct {
    volume images[MODALITIES];
    volume_header grid;
    uint8_t *labels;
    float *probabilities; /* [LABELS] */
    size_t voxels;
} common;

static void common_free(common *c)
{
    for (int m = 0; m < MODALITIES; m++)
        volume_free(&c->images[m]);
    free(c->labels);
    free(c->probabilities);
}

static ts_status read_images(const segment_work *w, common *c, ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        char name[40];
        if (!w->request->input[m].path)
            continue;
        snprintf(name, sizeof name, "images/%s.nii.gz", modality_names[m]);
        char *path = work_input(w, name, error);
        status = path ? volume_read(path, &c->images[m], error) : TS_MEMORY;
        if (status == TS_OK)
            c->grid = c->images[m].header;
        free(path);
    }
    c->voxels = (size_t)voxel_count(c->grid.shape);
    return status;
}

/* ---- the model -------------------------------------------------------------------------------- */

static json_t *describe_models(const segment_request *r)
{
    json_t *models = json_array();
    for (size_t i = 0; i < r->model_count; i++) {
        const model *m = &r->models[i];
        char hex[20], channels[24];
        weights_fingerprint(m->weights, m->weight_count, hex);
        json_array_append_new(models, json_pack("{s:s, s:s, s:s}", "name",
                                                string_file_name(model_name(m)), "weights", hex,
                                                "channels", modality_print(m->channels, channels)));
    }
    return models;
}

static void say_outcome(segment_work *w, const predict_outcome *o)
{
    char used[24];
    json_object_set_new(w->found, "used", json_string(modality_print(o->used, used)));
    json_object_set_new(w->found, "expected_dice",
                        json_pack("{s:f, s:f, s:f}", "WT", o->confidence.dice[REGION_WT], "TC",
                                  o->confidence.dice[REGION_TC], "ET",
                                  o->confidence.dice[REGION_ET]));
    for (size_t i = 0; i < o->warnings.count; i++) { /* there is one case alone */
        static const char prefix[] = "case the case: ";
        const char *sentence = o->warnings.items[i];
        work_warn(w,
                  strncmp(sentence, prefix, strlen(prefix)) ? sentence : sentence + strlen(prefix));
    }
}

static ts_status predict_common(segment_work *w, common *c, ts_error *error)
{
    const segment_request *r = w->request;
    const float *images[MODALITIES];
    predictor *p;
    predict_outcome outcome = {0};
    c->labels = memory_allocate(c->voxels, 1, "the labels", error);
    c->probabilities =
        memory_allocate(c->voxels, LABELS * sizeof(float), "the probabilities", error);
    if (!c->labels || !c->probabilities)
        return TS_MEMORY;
    for (int m = 0; m < MODALITIES; m++)
        images[m] = c->images[m].data;
    ts_status status = predictor_create(r->models, r->model_count, r->settings, &p, error);
    if (status != TS_OK)
        return status;
    predictor_show(p, true, false);
    status = predict_images(p, &c->grid, images, c->labels, c->probabilities, &outcome, error);
    predictor_destroy(p);
    progress_clear();
    if (status == TS_OK) {
        json_object_set_new(w->found, "models", describe_models(r));
        say_outcome(w, &outcome);
        predict_follow_labels(c->probabilities, c->labels, c->voxels);
    }
    predict_outcome_free(&outcome);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------ */

static ts_status write_labels(segment_work *w, const char *name, const volume_header *h,
                              const uint8_t *labels, ts_error *error)
{
    char *path = work_output(w, name, error);
    if (!path)
        return TS_MEMORY;
    const ts_status status = volume_write_labels(path, h, labels, error);
    free(path);
    return status;
}

static ts_status write_native(segment_work *w, const common *c, modality m,
                              const double transform[4][4], ts_error *error)
{
    char name[40];
    volume_header h;
    const align_classes from = {&c->grid, c->probabilities, LABELS};
    ts_status status = volume_read_header(w->request->input[m].path, &h, error);
    if (status != TS_OK)
        return status;
    uint8_t *labels = memory_allocate((size_t)voxel_count(h.shape), 1, "an image's labels", error);
    status = labels ? align_back(&from, transform, &h, w->pool, labels, error) : TS_MEMORY;
    snprintf(name, sizeof name, "native/%s_seg.nii.gz", modality_names[m]);
    if (status == TS_OK)
        status = write_labels(w, name, &h, labels, error);
    free(labels);
    return status;
}

ts_status step_labels(segment_work *w, ts_error *error)
{
    common c = {.voxels = 0};
    modality reference;
    double transforms[MODALITIES][4][4];
    ts_status status = read_registration(w, &reference, transforms, error);
    if (status == TS_OK)
        status = read_images(w, &c, error);
    if (status == TS_OK)
        status = predict_common(w, &c, error);
    for (int m = 0; m < MODALITIES; m++) {
        volume_free(&c.images[m]); /* not needed any more, and the originals' labels come */
        if (status == TS_OK && w->request->input[m].path) {
            progress_show("labels on the grid of %s", modality_names[m]);
            status = write_native(w, &c, (modality)m, transforms[m], error);
        }
        if (status == TS_OK && interrupt_requested())
            status = error_set(error, TS_STOPPED, "stopped");
    }
    if (status == TS_OK)
        status = write_labels(w, "seg.nii.gz", &c.grid, c.labels, error);
    common_free(&c);
    return status;
}
