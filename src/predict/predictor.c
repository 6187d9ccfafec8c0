/* Prediction by windows (METHOD 3): every window goes through every model, mirrored eight times if
 * asked; softmax (or sigmoid) is averaged over these, weighted by the importance map and added to
 * the case; at the end each voxel is divided by its sum of weights.
 *
 * Memory: the result and one float of weights a voxel, a window's input and mean, and one network's
 * workspace, which the models share. Every loop over voxels writes its own output, so that the
 * result has the same bits with any number of threads. */
#include "predict/predictor.h"
#include "predict/windows.h"

#include <stdlib.h>
#include <string.h>

static ts_status check_alike(const model *models, size_t count, ts_error *error)
{
    char first[24], other[24];
    for (size_t i = 1; i < count; i++) {
        const model *a = &models[0], *b = &models[i];
        if (model_any_subset(a) != model_any_subset(b))
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: of the first and number %zu one takes "
                             "any modalities and the other does not",
                             i + 1);
        if (a->channels != b->channels)
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: the first wants %s, number %zu %s",
                             modality_print(a->channels, first), i + 1,
                             modality_print(b->channels, other));
        if (a->plan.spacing_mm != b->plan.spacing_mm)
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: the first works at %g mm, number %zu "
                             "at %g",
                             a->plan.spacing_mm, i + 1, b->plan.spacing_mm);
        if (memcmp(a->plan.patch, b->plan.patch, sizeof a->plan.patch) ||
            a->config.classes != b->config.classes)
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: the patch or the classes of the first "
                             "and of number %zu differ",
                             i + 1);
    }
    return TS_OK;
}

/* A net per model over one workspace, and the memory of one window. */
static ts_status create_parts(predictor *p, const model *models, ts_error *error)
{
    ts_status status =
        engine_create(p->settings.threads ? (int)p->settings.threads : processor_count(),
                      (compute_dtype)p->settings.dtype, NULL, &p->engine, error);
    for (size_t i = 0; status == TS_OK && i < p->count; i++) {
        const size_t bytes =
            net_workspace_bytes(&models[i].config, 1, p->patch, NET_PREDICT, p->engine);
        p->workspace_bytes = bytes > p->workspace_bytes ? bytes : p->workspace_bytes;
        status =
            net_create(&models[i].config, 1, p->patch, NET_PREDICT, p->engine, &p->nets[i], error);
    }
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)(p->patch[0] * p->patch[1] * p->patch[2]);
    p->workspace = memory_allocate(p->workspace_bytes, 1, "the network's activations", error);
    p->importance = memory_allocate(voxels, sizeof(float), "a window", error);
    p->input = memory_allocate(voxels, (size_t)p->channel_count * sizeof(float), "a window", error);
    p->mean = memory_allocate(voxels, (size_t)p->classes * sizeof(float), "a window", error);
    if (!p->workspace || !p->importance || !p->input || !p->mean)
        return TS_MEMORY;
    window_importance(p->patch, p->importance);
    for (size_t i = 0; i < p->count; i++) {
        if (net_weight_count(p->nets[i]) != models[i].weight_count)
            return error_set(error, TS_BAD_INPUT,
                             "a model has %lld weights where its network has "
                             "%lld",
                             (long long)models[i].weight_count,
                             (long long)net_weight_count(p->nets[i]));
        net_bind(p->nets[i], p->workspace);
        memcpy(net_weights(p->nets[i]), models[i].weights,
               (size_t)models[i].weight_count * sizeof(float));
        net_weights_changed(p->nets[i]);
    }
    return TS_OK;
}

const char *const predict_settings[] = {
    "window_step",         "mirror", "threads", "dtype", "labels", "et_threshold",
    "component_threshold", NULL,
};

plan predict_defaults(const model *m)
{
    plan settings = m->plan;
    settings.threads = 0;
    settings.labels = LABELS_AUTO;
    return settings;
}

ts_status predictor_create(const model *models, size_t count, const plan *settings, predictor **out,
                           ts_error *error)
{
    *out = NULL;
    ts_status status = check_alike(models, count, error);
    if (status != TS_OK)
        return status;
    predictor *p = memory_allocate(1, sizeof *p, "the predictor", error);
    if (!p)
        return TS_MEMORY;
    p->settings = *settings;
    p->count = count;
    p->channels = models[0].channels;
    p->any_subset = model_any_subset(&models[0]);
    p->channel_count = modality_count(p->channels);
    p->classes = models[0].config.classes;
    p->regions = models[0].plan.loss == LOSS_REGIONS;
    p->spacing_mm = models[0].plan.spacing_mm;
    memcpy(p->patch, models[0].plan.patch, sizeof p->patch);
    p->likeness = models[0].likeness;
    p->rules = models[0].rules;
    p->nets = memory_allocate(count, sizeof(net *), "the predictor", error);
    status = p->nets ? create_parts(p, models, error) : TS_MEMORY;
    if (status != TS_OK)
        predictor_destroy(p);
    else
        *out = p;
    return status;
}

void predictor_destroy(predictor *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->nets && i < p->count; i++)
        net_destroy(p->nets[i]);
    engine_destroy(p->engine);
    free(p->nets);
    free(p->workspace);
    free(p->importance);
    free(p->input);
    free(p->mean);
    free(p);
}

modality_set predictor_channels(const predictor *p)
{
    return p->channels;
}

bool predictor_any_subset(const predictor *p)
{
    return p->any_subset;
}

void predictor_drop_rules(predictor *p, bool et, bool component)
{
    if (et)
        p->rules.et_mm3 = 0;
    if (component)
        p->rules.component_mm3 = 0;
}

void predictor_show(predictor *p, bool progress, bool verbose)
{
    p->show_progress = progress;
    p->verbose = verbose;
}

size_t predictor_bytes(const predictor *p, const int64_t shape[3])
{
    const size_t voxels = (size_t)(p->patch[0] * p->patch[1] * p->patch[2]);
    size_t bytes = p->workspace_bytes;
    for (size_t i = 0; i < p->count; i++)
        bytes += (size_t)net_weight_count(p->nets[i]) * sizeof(float);
    bytes += voxels * (size_t)(1 + p->channel_count + p->classes) * sizeof(float);
    return bytes + (size_t)(shape[0] * shape[1] * shape[2]) * (LABELS + 1) * sizeof(float);
}

int64_t predictor_windows(const predictor *p, const int64_t shape[3])
{
    int64_t windows = 1;
    for (int i = 0; i < 3; i++)
        windows *= window_count(shape[2 - i], p->patch[i], p->settings.window_step);
    return windows;
}
