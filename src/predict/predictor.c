/* Prediction by windows (docs/method.md, "Prediction"), or of the case as one window: every window
 * goes through every model, mirrored eight times if set; softmax (or sigmoid) is averaged over
 * these, weighted by the importance map and added to the case; at the end each voxel is divided by
 * its sum of weights.
 *
 * Memory: the result and one float of weights a voxel, a window's input and mean, and one network's
 * workspace, which the models share. Every loop over voxels writes its own output, so that the
 * result has the same bits with any number of threads. */
#include "predict/predictor.h"
#include "predict/windows.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

static ts_status check_alike(const model *models, size_t count, ts_error *error)
{
    char wanted[2][24];
    for (size_t i = 1; i < count; i++) {
        const model *a = &models[0], *b = &models[i];
        const char *first = model_name(a), *other = model_name(b);
        if (model_any_subset(a) != model_any_subset(b))
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: of '%s' and '%s' one takes any "
                             "modalities and the other does not",
                             first, other);
        if (a->channels != b->channels)
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: '%s' needs %s, '%s' %s", first,
                             modality_print(a->channels, wanted[0]), other,
                             modality_print(b->channels, wanted[1]));
        if (a->plan.spacing_mm != b->plan.spacing_mm)
            return error_set(error, TS_BAD_INPUT,
                             "the models cannot be averaged: '%s' works at %g mm, '%s' at %g",
                             first, a->plan.spacing_mm, other, b->plan.spacing_mm);
        if (memcmp(a->plan.patch, b->plan.patch, sizeof a->plan.patch) ||
            a->config.classes != b->config.classes || a->brain != b->brain)
            return error_set(
                error, TS_BAD_INPUT,
                "the models cannot be averaged: '%s' and '%s' differ in the patch, the "
                "classes or the normalisation",
                first, other);
    }
    return TS_OK;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A case of d, h, w in one pass: each axis is padded so that it halves as often as the networks
 * need. */
static void patch_of_case(const predictor *p, const int64_t size[3], int64_t patch[3])
{
    for (int i = 0; i < 3; i++)
        patch[i] = (size[i] + p->multiple - 1) / p->multiple * p->multiple;
}

static size_t window_floats(const predictor *p, const int64_t patch[3])
{
    return (size_t)voxel_count(patch) * (size_t)(1 + p->channel_count + p->classes);
}

static size_t workspace_for(const predictor *p, const int64_t patch[3])
{
    size_t most = 0;
    for (size_t i = 0; i < p->count; i++) {
        const size_t bytes = net_workspace_bytes(&p->configs[i], 1, patch, NET_PREDICT, p->engine);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static void release_memory(predictor *p)
{
    free(p->workspace);
    free(p->importance);
    p->workspace = NULL;
    p->importance = NULL;
    memset(p->patch, 0, sizeof p->patch);
}

/* One window's memory and the nets' workspace, for windows of that size. */
static ts_status take_memory(predictor *p, const int64_t patch[3], ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(patch);
    if (!memcmp(patch, p->patch, sizeof p->patch))
        return TS_OK;
    release_memory(p);
    p->workspace_bytes = workspace_for(p, patch);
    p->workspace = memory_allocate(p->workspace_bytes, 1, "the network's activations", error);
    if (p->workspace)
        p->importance = memory_allocate(window_floats(p, patch), sizeof(float), "a window", error);
    if (!p->importance) {
        release_memory(p);
        return TS_MEMORY;
    }
    p->input = p->importance + voxels;
    p->mean = p->input + voxels * (size_t)p->channel_count;
    window_importance(patch, p->importance);
    for (size_t i = 0; i < p->count; i++) {
        const ts_status status = net_set_patch(p->nets[i], patch, error);
        if (status != TS_OK)
            return status;
        net_bind(p->nets[i], p->workspace);
    }
    memcpy(p->patch, patch, sizeof p->patch);
    return TS_OK;
}

ts_status predictor_fit(predictor *p, const int64_t size[3], const char *id, ts_error *error)
{
    if (p->settings.prediction == PREDICTION_WHOLE) {
        int64_t patch[3];
        ts_error cause;
        patch_of_case(p, size, patch);
        const ts_status status = take_memory(p, patch, &cause);
        if (status != TS_MEMORY)
            return status;
        char sentence[1200];
        snprintf(sentence, sizeof sentence, "case %s: %s; it is predicted by windows", id,
                 cause.text);
        if (!p->warnings)
            warn("%s", sentence);
        else if (string_list_add(p->warnings, sentence, error) != TS_OK)
            return TS_MEMORY;
    }
    return take_memory(p, p->trained, error);
}

/* ---- making --------------------------------------------------------------------------------- */

/* A net per model; memory for windows, so that a lack of it is an error at once. */
static ts_status create_parts(predictor *p, const model *models, ts_error *error)
{
    ts_status status =
        engine_create(p->settings.threads ? (int)p->settings.threads : processor_count(),
                      (compute_dtype)p->settings.dtype, NULL, &p->engine, error);
    for (size_t i = 0; status == TS_OK && i < p->count; i++) {
        const int64_t multiple = (int64_t)1 << (models[i].config.stages - 1);
        p->configs[i] = models[i].config;
        p->names[i] = strdup(model_name(&models[i]));
        if (!p->names[i])
            return error_set(error, TS_MEMORY, "out of memory for the predictor");
        p->multiple = multiple > p->multiple ? multiple : p->multiple;
        status = net_create(&models[i].config, 1, p->trained, NET_PREDICT, p->engine, &p->nets[i],
                            error);
    }
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < p->count; i++) {
        if (net_weight_count(p->nets[i]) != models[i].weight_count)
            return error_set(error, TS_BAD_INPUT,
                             "a model has %lld weights where its network has "
                             "%lld",
                             (long long)models[i].weight_count,
                             (long long)net_weight_count(p->nets[i]));
        memcpy(net_weights(p->nets[i]), models[i].weights,
               (size_t)models[i].weight_count * sizeof(float));
        net_weights_changed(p->nets[i]);
    }
    return p->settings.prediction == PREDICTION_WHOLE ? TS_OK : take_memory(p, p->trained, error);
}

const char *const predict_settings[] = {
    "prediction",
    "window_step",
    "mirror",
    "threads",
    "dtype",
    "labels",
    "et_threshold",
    "component_threshold",
    "component_confidence",
    NULL,
};

plan predict_defaults(const model *m)
{
    plan settings = m->plan;
    settings.threads = 0;
    settings.labels = LABELS_AUTO;
    /* Plans of older models say 0 where nothing was set. */
    if (settings.et_threshold_voxels == 0)
        settings.et_threshold_voxels = RULE_OF_MODEL;
    if (settings.component_voxels == 0)
        settings.component_voxels = RULE_OF_MODEL;
    if (settings.component_confidence == 0)
        settings.component_confidence = RULE_OF_MODEL;
    return settings;
}

/* Of the model's rules those that the settings leave to it. */
static model_rules rules_in_force(const model_rules *of_model, const plan *settings)
{
    return (model_rules){
        .et_mm3 = settings->et_threshold_voxels == RULE_OF_MODEL ? of_model->et_mm3 : 0,
        .component_mm3 = settings->component_voxels == RULE_OF_MODEL ? of_model->component_mm3 : 0,
        .component_confidence =
            settings->component_confidence == RULE_OF_MODEL ? of_model->component_confidence : 0,
    };
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
    p->any_image = model_any_image(&models[0]);
    p->any_subset = model_any_subset(&models[0]);
    p->channel_count = modality_count(p->channels);
    p->classes = models[0].config.classes;
    p->regions = models[0].plan.loss == LOSS_REGIONS;
    p->spacing_mm = models[0].plan.spacing_mm;
    p->brain = models[0].brain;
    memcpy(p->trained, models[0].plan.patch, sizeof p->trained);
    p->likeness = models[0].likeness;
    p->rules = rules_in_force(&models[0].rules, settings);
    p->nets = memory_allocate(count, sizeof(net *), "the predictor", error);
    p->configs = memory_allocate(count, sizeof *p->configs, "the predictor", error);
    p->names = memory_allocate(count, sizeof *p->names, "the predictor", error);
    status = p->nets && p->configs && p->names ? create_parts(p, models, error) : TS_MEMORY;
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
    for (size_t i = 0; p->names && i < p->count; i++)
        free(p->names[i]);
    free(p->names);
    free(p->nets);
    free(p->configs);
    release_memory(p);
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

void predictor_show(predictor *p, bool progress, bool verbose)
{
    p->show_progress = progress;
    p->verbose = verbose;
}

/* d h w of what one forward takes for a case of x, y, z. */
static void patch_for(const predictor *p, const int64_t shape[3], int64_t patch[3])
{
    const int64_t size[3] = {shape[2], shape[1], shape[0]};
    memcpy(patch, p->trained, sizeof p->trained);
    if (p->settings.prediction == PREDICTION_WHOLE)
        patch_of_case(p, size, patch);
}

/* The program, its libraries and what they hold, without any case or network. */
enum { program_bytes = 12 << 20 };

/* While a case is read and preprocessed, while it is predicted, and while its labels are brought
 * back to the file's grid and written: the most of the three. */
static size_t case_bytes(const predictor *p, const preprocessed_geometry *g)
{
    const size_t voxels = (size_t)voxel_count(g->shape);
    const int64_t *n = g->header.shape;
    const size_t file = (size_t)voxel_count(n), larger = file > voxels ? file : voxels;
    const bool resampled = memcmp(g->shape, g->crop_shape, sizeof g->shape) != 0;
    const size_t preprocessed_case = voxels * MODALITIES * sizeof(float);
    /* the files as they unpack; the crop with its mask and two steps of the spline; the union's
     * mask and stack */
    const size_t reading =
        preprocessed_case +
        file * volume_datatype_bytes(g->header.datatype) * (size_t)p->channel_count +
        resampled * (file * (sizeof(float) + 1) + larger * (2 * sizeof(float) + 1)) +
        (p->brain == BRAIN_UNION) * larger * (sizeof(int32_t) + 1);
    const size_t predicting = preprocessed_case + voxels * (LABELS + 1) * sizeof(float);
    const size_t restoring = voxels * LABELS * sizeof(float) + file * (2 * sizeof(float) + 3);
    const size_t most = reading > predicting ? reading : predicting;
    return restoring > most ? restoring : most;
}

size_t predictor_bytes(const predictor *p, const preprocessed_geometry *g)
{
    int64_t patch[3];
    patch_for(p, g->shape, patch);
    size_t bytes =
        program_bytes + workspace_for(p, patch) + window_floats(p, patch) * sizeof(float);
    for (size_t i = 0; i < p->count; i++)
        bytes += (size_t)net_weight_count(p->nets[i]) * sizeof(float) +
                 net_packed_bytes(&p->configs[i], NET_PREDICT, p->engine);
    return bytes + case_bytes(p, g);
}

int64_t predictor_windows(const predictor *p, const int64_t shape[3])
{
    int64_t windows = 1, patch[3];
    patch_for(p, shape, patch);
    for (int i = 0; i < 3; i++)
        windows *= window_count(shape[2 - i], patch[i], p->settings.window_step);
    return windows;
}
