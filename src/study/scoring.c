/* Predicting and scoring. */
#include "study/scoring.h"
#include "predict/predict.h"

#include <stdlib.h>
#include <string.h>

ts_status scoring_choose(const dataset *d, const dataset_case *const *cases, size_t count,
                         modality_set input, dataset *out, ts_error *error)
{
    *out = *d;
    out->count = 0;
    out->cases = memory_allocate(count, sizeof *out->cases, "the held-out cases", error);
    if (!out->cases)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (input & ~dataset_case_modalities(cases[i]))
            continue;
        dataset_case *one = &out->cases[out->count++];
        *one = *cases[i];
        for (int m = 0; m < MODALITIES; m++)
            if (!(input >> m & 1))
                one->image[m] = NULL;
    }
    return TS_OK;
}

static ts_status predict_all(const model *m, const plan *settings, const dataset *cases,
                             const char *folder, ts_error *error)
{
    predictor *p;
    predict_counts counts;
    ts_status status = predictor_create(m, 1, settings, &p, error);
    if (status != TS_OK)
        return status;
    status = predict_folder(p, cases, folder, &counts, error);
    if (status == TS_OK && counts.failed)
        status = error_set(error, TS_BAD_INPUT, "%zu of its %zu cases could not be predicted",
                           counts.failed, cases->count);
    predictor_destroy(p);
    return status;
}

static ts_status score_case(const dataset_case *c, const char *folder, pool *threads,
                            case_scores *out, ts_error *error)
{
    const evaluate_pair pair = {c->id, string_format("%s/%s.nii.gz", folder, c->id), c->truth};
    out->id = strdup(c->id);
    ts_status status =
        pair.prediction && out->id ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK)
        status = evaluate_pair_score(&pair, CONVENTION_LEGACY, LABELS_BRATS2023, c->labels, threads,
                                     out->legacy, error);
    if (status == TS_OK)
        status = evaluate_pair_score(&pair, CONVENTION_LESION, LABELS_BRATS2023, c->labels, threads,
                                     out->lesion, error);
    free(pair.prediction);
    return status;
}

static ts_status score_all(const dataset *cases, const char *folder, int thread_count,
                           model_scores *out, ts_error *error)
{
    pool *threads;
    out->cases = memory_allocate(cases->count, sizeof *out->cases, "the scores", error);
    ts_status status = out->cases ? pool_create(thread_count, &threads, error) : TS_MEMORY;
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < cases->count; i++) {
        out->count = i + 1;
        status = score_case(&cases->cases[i], folder, threads, &out->cases[i], error);
    }
    pool_destroy(threads);
    return status;
}

ts_status scoring_run(const model *m, const plan *settings, const dataset *cases,
                      modality_set input, const char *folder, model_scores *out, ts_error *error)
{
    *out = (model_scores){.input = input, .parameters = m->weight_count};
    snprintf(out->role, sizeof out->role, "%s", m->role);
    weights_fingerprint(m->weights, m->weight_count, out->weights);
    plan p = *settings;
    p.labels = LABELS_AUTO; /* this program's own values, as score_case reads them */
    const ts_status status = predict_all(m, &p, cases, folder, error);
    const int threads = p.threads ? (int)p.threads : processor_count();
    return status == TS_OK ? score_all(cases, folder, threads, out, error) : status;
}

const char *scoring_name(modality_set input, char buffer[24])
{
    modality_print(input, buffer);
    for (char *comma = buffer; (comma = strchr(comma, ','));)
        *comma = '+';
    return buffer;
}
