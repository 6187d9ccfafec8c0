/* A whole case: its files preprocessed, predicted, brought back to their own grid and written.
 *
 * Outputs are tried before the work starts, so that a read-only folder is not found out after it;
 * both appear by rename, the probabilities first: a label file that is there is the end of a
 * case. */
#include "predict/predictor.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

/* Is there a file to be begun at path? */
static ts_status try_output(const char *path, ts_error *error)
{
    if (!volume_extension(path))
        return error_set(error, TS_BAD_INPUT, "'%s' must end in .nii or .nii.gz", path);
    return file_try(path, error);
}

/* What is read of the case: the model's modalities, or of any subset those that are there. */
static ts_status choose_modalities(const predictor *p, const char *id, modality_set has,
                                   modality_set *use, ts_error *error)
{
    char wanted[24], given[24], missing[24];
    if (p->any_image)
        return error_set(error, TS_BAD_INPUT,
                         "the model finds the brain in one image, not tumours: 'twinseg brain' "
                         "takes it");
    *use = p->any_subset ? p->channels & has : p->channels;
    if (!*use)
        return error_set(error, TS_BAD_INPUT, "case %s: the model needs at least one of %s", id,
                         modality_print(p->channels, wanted));
    if (*use & ~has)
        return error_set(error, TS_BAD_INPUT, "case %s: the model needs %s; given: %s; missing: %s",
                         id, modality_print(p->channels, wanted),
                         has ? modality_print(has, given) : "none",
                         modality_print(p->channels & ~has, missing));
    return TS_OK;
}

/* Between the network's grid and the files. */
typedef struct {
    float *probabilities; /* [LABELS] on the network's grid */
    float *whole;         /* [LABELS] on the file's; NULL where no file of them is wanted */
    uint8_t *labels;      /* on the file's grid */
} result;

/* Entropy of whole [LABELS][voxels] into its first volume. */
static void probabilities_to_entropy(float *whole, size_t voxels)
{
    for (size_t i = 0; i < voxels; i++)
        whole[i] = (float)predict_entropy(whole + i, voxels);
}

static ts_status write_maps(const result *r, const volume_header *h, size_t voxels,
                            const predict_outputs *out, ts_error *error)
{
    ts_status status = TS_OK;
    if (out->probabilities)
        status = volume_write_float(out->probabilities, h, LABELS, r->whole, error);
    if (status != TS_OK || !out->uncertainty)
        return status;
    probabilities_to_entropy(r->whole, voxels);
    return volume_write_float(out->uncertainty, h, 1, r->whole, error);
}

/* Back to the image's own grid, the rules after the argmax, and the label values of the settings.
 * whole [LABELS][voxels] may be NULL. */
static ts_status restore(const predictor *p, const preprocessed_geometry *g,
                         const float *probabilities, uint8_t *labels, float *whole, ts_error *error)
{
    const plan *s = &p->settings;
    const int64_t *n = g->header.shape;
    const double voxel_mm3 = g->header.zooms[0] * g->header.zooms[1] * g->header.zooms[2];
    const int64_t et = s->et_threshold_voxels == RULE_OF_MODEL
                           ? predict_threshold_voxels(p->rules.et_mm3, voxel_mm3)
                           : s->et_threshold_voxels;
    const int64_t component = s->component_voxels == RULE_OF_MODEL
                                  ? predict_threshold_voxels(p->rules.component_mm3, voxel_mm3)
                                  : s->component_voxels;
    ts_status status = preprocessed_restore(g, LABELS, probabilities, engine_pool(p->engine),
                                            labels, whole, error);
    if (status != TS_OK)
        return status;
    status = predict_postprocess(labels, n, et, component, error);
    if (status == TS_OK)
        labels_unmap(labels, (size_t)voxel_count(n), (label_map)s->labels);
    return status;
}

static ts_status restore_and_write(const predictor *p, const preprocessed_geometry *g, result *r,
                                   const predict_outputs *out, ts_error *error)
{
    const int64_t *n = g->header.shape;
    const size_t voxels = (size_t)voxel_count(n);
    const bool maps = out->probabilities || out->uncertainty;
    r->labels = memory_allocate(voxels, 1, "the labels", error);
    if (!r->labels)
        return TS_MEMORY;
    if (maps && !(r->whole = memory_allocate(voxels, LABELS * sizeof(float), "the maps", error)))
        return TS_MEMORY;
    ts_status status = restore(p, g, r->probabilities, r->labels, r->whole, error);
    if (status != TS_OK)
        return status;
    status = maps ? write_maps(r, &g->header, voxels, out, error) : TS_OK;
    if (status != TS_OK)
        return status;
    return volume_write_labels(out->labels, &g->header, r->labels, error);
}

/* Do the images look like those of the training? Says where not. */
static ts_status check_likeness(const predictor *p, const preprocessed *c, string_list *warnings,
                                ts_error *error)
{
    likeness_features features;
    likeness_verdict verdict;
    if (p->likeness.cases == 0)
        return TS_OK;
    ts_status status = likeness_measure(c, p->spacing_mm, &features, error);
    if (status != TS_OK)
        return status;
    likeness_judge(&p->likeness, &features, &verdict);
    return likeness_sentences(&p->likeness, &features, &verdict, c->id, warnings, error);
}

static ts_status try_outputs(const predict_outputs *out, ts_error *error)
{
    const char *const paths[] = {out->labels, out->probabilities, out->uncertainty};
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(paths); i++)
        if (paths[i])
            status = try_output(paths[i], error);
    return status;
}

void predict_outcome_free(predict_outcome *r)
{
    string_list_free(&r->warnings);
    *r = (predict_outcome){0};
}

/* From the preprocessed case, which is freed before the way back takes its own memory, to
 * probabilities [LABELS] on its grid, less the components that are unsure: free(), also after an
 * error. */
static ts_status predict_preprocessed(predictor *p, preprocessed *ready, float **probabilities,
                                      predict_outcome *outcome, ts_error *error)
{
    const int64_t *n = ready->geometry.shape;
    const int64_t shape[3] = {n[0], n[1], n[2]};
    const size_t voxels = (size_t)voxel_count(n);
    const double share = p->settings.component_confidence == RULE_OF_MODEL
                             ? p->rules.component_confidence
                             : p->settings.component_confidence;
    *probabilities = NULL;
    ts_status status = check_likeness(p, ready, &outcome->warnings, error);
    if (status != TS_OK)
        goto end;
    *probabilities = memory_allocate(voxels, LABELS * sizeof(float), "the probabilities", error);
    if (!*probabilities) {
        status = TS_MEMORY;
        goto end;
    }
    p->warnings = &outcome->warnings;
    status = predict_probabilities(p, ready, *probabilities, error);
    p->warnings = NULL;
end:
    preprocessed_free(ready);
    if (status != TS_OK)
        return status;
    if (share > 0)
        status = predict_drop_unsure(*probabilities, shape, share, error);
    if (status == TS_OK)
        predict_measure_confidence(*probabilities, voxels, &outcome->confidence);
    return status;
}

ts_status predict_case(predictor *p, const dataset_case *c, const predict_outputs *out,
                       predict_outcome *outcome, ts_error *error)
{
    preprocessed ready;
    result r = {0};
    *outcome = (predict_outcome){0};
    ts_status status =
        choose_modalities(p, c->id, dataset_case_modalities(c), &outcome->used, error);
    if (status != TS_OK)
        return status;
    status = try_outputs(out, error);
    if (status != TS_OK)
        return status;
    status = preprocess_case(c, outcome->used, p->spacing_mm, p->brain, false,
                             engine_pool(p->engine), &ready, error);
    if (status != TS_OK)
        return status;
    const preprocessed_geometry g = ready.geometry;
    status = predict_preprocessed(p, &ready, &r.probabilities, outcome, error);
    for (size_t i = 0; i < outcome->warnings.count; i++)
        warn("%s", outcome->warnings.items[i]);
    if (status == TS_OK)
        status = restore_and_write(p, &g, &r, out, error);
    free(r.probabilities);
    free(r.whole);
    free(r.labels);
    return status;
}

ts_status predict_images(predictor *p, const volume_header *grid,
                         const float *const images[MODALITIES], uint8_t *labels,
                         float *probabilities, predict_outcome *outcome, ts_error *error)
{
    preprocessed ready;
    modality_set has = 0;
    const float *used[MODALITIES] = {NULL};
    float *preprocessed_probabilities;
    *outcome = (predict_outcome){0};
    for (int m = 0; m < MODALITIES; m++)
        has |= images[m] ? 1u << m : 0;
    ts_status status = choose_modalities(p, "in memory", has, &outcome->used, error);
    if (status != TS_OK)
        return status;
    for (int m = 0; m < MODALITIES; m++)
        if (outcome->used >> m & 1)
            used[m] = images[m];
    status = preprocess_images(grid, used, p->spacing_mm, p->brain, engine_pool(p->engine), &ready,
                               &outcome->warnings, error);
    if (status != TS_OK)
        return status;
    const preprocessed_geometry g = ready.geometry;
    status = predict_preprocessed(p, &ready, &preprocessed_probabilities, outcome, error);
    if (status == TS_OK)
        status = restore(p, &g, preprocessed_probabilities, labels, probabilities, error);
    free(preprocessed_probabilities);
    return status;
}

ts_status predict_one_image(predictor *p, const volume_header *grid, const float *image,
                            const char *name, float *probability, ts_error *error)
{
    preprocessed ready;
    string_list unused = {0}; /* that the image is not skull-stripped */
    const float *const images[MODALITIES] = {[T1] = image};
    const size_t voxels = (size_t)voxel_count(grid->shape);
    if (!p->any_image)
        return error_set(error, TS_BAD_INPUT, "the model does not find brains");
    ts_status status = preprocess_images(grid, images, p->spacing_mm, p->brain,
                                         engine_pool(p->engine), &ready, &unused, error);
    string_list_free(&unused);
    if (status != TS_OK) {
        ts_error cause = *error;
        return error_set(error, status, "'%s': %s", name, cause.text);
    }
    const preprocessed_geometry g = ready.geometry;
    const size_t small = (size_t)voxel_count(g.shape);
    float *classes = memory_take(small, LABELS * sizeof *classes, "the probabilities", error);
    float *whole =
        classes ? memory_take(voxels, 2 * sizeof *whole, "the probabilities", error) : NULL;
    uint8_t *labels = whole ? memory_take(voxels, 1, "the labels", error) : NULL;
    status = labels ? predict_probabilities(p, &ready, classes, error) : TS_MEMORY;
    preprocessed_free(&ready);
    if (status == TS_OK) {
        for (size_t i = 0; i < small; i++)
            classes[small + i] = 1 - classes[i];
        status = preprocessed_restore(&g, 2, classes, engine_pool(p->engine), labels, whole, error);
    }
    if (status == TS_OK)
        memcpy(probability, whole + voxels, voxels * sizeof *probability);
    free(labels);
    free(whole);
    free(classes);
    return status;
}
