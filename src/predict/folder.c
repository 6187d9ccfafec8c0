/* A whole data set into a folder of label files, resumable. */
#include "predict/predictor.h"
#include "predict/record.h"

#include <stdlib.h>

/* Is there a label file that reads back whole? */
static bool is_complete(const char *path)
{
    volume_header header;
    uint8_t *labels = NULL;
    ts_error error;
    if (!file_exists(path))
        return false;
    const bool whole = volume_read_labels(path, &header, &labels, &error) == TS_OK;
    free(labels);
    if (!whole)
        note("'%s' is damaged and is made again", path);
    return whole;
}

static ts_status predict_one(predictor *p, const dataset *d, size_t index, const char *out,
                             predict_counts *counts, ts_error *error)
{
    const dataset_case *c = &d->cases[index];
    ts_error cause;
    char *name = string_format("%s.nii.gz", c->id);
    char *path = name ? path_join(out, name, error) : NULL;
    free(name);
    if (!path)
        return error_set(error, TS_MEMORY, "out of memory");
    if (is_complete(path)) {
        counts->kept++;
        free(path);
        return TS_OK;
    }
    const double start = clock_seconds();
    predict_outcome outcome;
    const predict_outputs outputs = {.labels = path};
    ts_status status = predict_case(p, c, &outputs, &outcome, &cause);
    progress_clear();
    free(path);
    if (status == TS_OK)
        status = record_outcome(out, c->id, &outcome, &cause);
    if (status == TS_OK) {
        char used[24];
        counts->written++;
        note("case %s (%zu of %zu): %s, expected Dice WT %.2f TC %.2f ET %.2f, %.1f s", c->id,
             index + 1, d->count, modality_print(outcome.used, used), outcome.confidence.dice[0],
             outcome.confidence.dice[1], outcome.confidence.dice[2], clock_seconds() - start);
    }
    predict_outcome_free(&outcome);
    if (status == TS_OK)
        return TS_OK;
    if (status == TS_STOPPED || p->diverged) { /* the cases that follow would fail too */
        *error = cause;
        return status;
    }
    counts->failed++;
    warn("%s", cause.text);
    return TS_OK;
}

ts_status predict_folder(predictor *p, const dataset *d, const char *out, predict_counts *counts,
                         ts_error *error)
{
    *counts = (predict_counts){0};
    ts_status status = record_begin(p, d, out, error);
    for (size_t i = 0; status == TS_OK && i < d->count; i++)
        status = predict_one(p, d, i, out, counts, error);
    return status;
}
