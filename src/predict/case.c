/* A whole case: its files prepared, predicted, brought back to their own grid and written.
 *
 * Outputs are tried before the work starts, so that a read-only folder is not found out after it;
 * both appear by rename, the probabilities first: a label file that is there is the end of a case.
 */
#include "predict/predictor.h"

#include <stdlib.h>
#include <string.h>

/* Is there a file to be begun at path? */
static ts_status try_output(const char *path, ts_error *error)
{
    if (!string_ends_nocase(path, ".nii") && !string_ends_nocase(path, ".nii.gz"))
        return error_set(error, TS_BAD_INPUT, "'%s' must end in .nii or .nii.gz", path);
    return file_try(path, error);
}

/* What is read of the case: the model's modalities, or of any subset those that are there. */
static ts_status choose_modalities(const predictor *p, const dataset_case *c, modality_set *use,
                                   ts_error *error)
{
    char wanted[24], given[24], missing[24];
    const modality_set has = dataset_case_modalities(c);
    *use = p->any_subset ? p->channels & has : p->channels;
    if (!*use)
        return error_set(error, TS_BAD_INPUT, "case %s: the model needs at least one of %s", c->id,
                         modality_print(p->channels, wanted));
    if (*use & ~has)
        return error_set(error, TS_BAD_INPUT, "case %s: the model needs %s; given: %s; missing: %s",
                         c->id, modality_print(p->channels, wanted),
                         has ? modality_print(has, given) : "none",
                         modality_print(p->channels & ~has, missing));
    return TS_OK;
}

/* 0 background, 1 NCR, 2 ED, 3 ET to the values that the settings ask for. */
static void map_labels(uint8_t *labels, size_t count, label_map map)
{
    static const uint8_t brats2021[LABELS] = {0, 1, 2, 4}, msd[LABELS] = {0, 2, 1, 3};
    const uint8_t *values = map == LABELS_BRATS2021 ? brats2021 : map == LABELS_MSD ? msd : NULL;
    for (size_t i = 0; values && i < count; i++)
        labels[i] = values[labels[i]];
}

/* What stands between the network's grid and the files. */
typedef struct {
    float *probabilities; /* [LABELS] on the network's grid */
    float *whole;         /* [LABELS] on the file's; NULL where no file of them is wanted */
    uint8_t *labels;      /* on the file's grid */
} result;

static ts_status restore_and_write(const predictor *p, const prepared_geometry *g, result *r,
                                   const char *out_path, const char *probabilities_path,
                                   ts_error *error)
{
    const plan *s = &p->settings;
    const int64_t *n = g->header.shape;
    const size_t voxels = (size_t)(n[0] * n[1] * n[2]);
    ts_status status = TS_OK;
    r->labels = memory_allocate(voxels, 1, "the labels", error);
    if (!r->labels)
        return TS_MEMORY;
    if (probabilities_path) {
        r->whole = memory_allocate(voxels, LABELS * sizeof(float), "the probability maps", error);
        if (!r->whole)
            return TS_MEMORY;
    }
    status = prepared_restore(g, LABELS, r->probabilities, engine_pool(p->engine), r->labels,
                              r->whole, error);
    if (status == TS_OK)
        status =
            predict_postprocess(r->labels, n, s->et_threshold_voxels, s->component_voxels, error);
    if (status == TS_OK && r->whole)
        status = volume_write_float(probabilities_path, &g->header, LABELS, r->whole, error);
    map_labels(r->labels, voxels, (label_map)s->labels);
    if (status == TS_OK)
        status = volume_write_labels(out_path, &g->header, r->labels, error);
    return status;
}

ts_status predict_case(predictor *p, const dataset_case *c, const char *out_path,
                       const char *probabilities_path, ts_error *error)
{
    prepared ready;
    result r = {0};
    modality_set use;
    ts_status status = choose_modalities(p, c, &use, error);
    if (status == TS_OK)
        status = try_output(out_path, error);
    if (status == TS_OK && probabilities_path)
        status = try_output(probabilities_path, error);
    if (status == TS_OK)
        status = prepare_case(c, use, p->spacing_mm, false, engine_pool(p->engine), &ready, error);
    if (status != TS_OK)
        return status;
    const prepared_geometry g = ready.geometry;
    r.probabilities = memory_allocate((size_t)(g.shape[0] * g.shape[1] * g.shape[2]),
                                      LABELS * sizeof(float), "the probabilities", error);
    status = r.probabilities ? predict_probabilities(p, &ready, r.probabilities, error) : TS_MEMORY;
    prepared_free(&ready); /* before the way back asks for memory of its own */
    if (status == TS_OK)
        status = restore_and_write(p, &g, &r, out_path, probabilities_path, error);
    free(r.probabilities);
    free(r.whole);
    free(r.labels);
    return status;
}
