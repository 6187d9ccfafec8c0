/* One cell: train, predict what was held out, score it. Each part continues from what an earlier
 * call left. */
#include "study/cell.h"
#include "predict/predict.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const study_cell *cell;
    const study_options *options;
    char *run; /* its run folder */
    dataset data;
    string_list held_out;
    cell_scores scores;
} work;

static bool run_holds(const work *w, const char *name)
{
    char *path = path_join(w->run, name, NULL);
    const bool there = path && file_exists(path);
    free(path);
    return there;
}

/* ---- training -------------------------------------------------------------------------------- */

/* A finished run in the run folder is taken as it is, wherever it was trained, if its settings and
 * fold are those of the cell. */
static ts_status check_finished(const work *w, const plan *p, int folds, ts_error *error)
{
    int fold, of;
    ts_status status = train_compare_config(w->run, p, error);
    if (status == TS_OK)
        status = train_read_fold(w->run, &fold, &of, error);
    if (status == TS_OK && (fold != w->cell->fold || of != folds))
        status = error_set(error, TS_BAD_INPUT, "'%s' is the run of fold %d of %d, not of %d of %d",
                           w->run, fold, of, w->cell->fold, folds);
    return status;
}

static ts_status train(work *w, int folds, ts_error *error)
{
    const bool teacher = w->cell->plan.method == METHOD_TEACHER;
    plan p = w->cell->plan;
    p.threads = w->options->threads;
    if (run_holds(w, teacher ? "teacher.safetensors" : "model.safetensors"))
        return check_finished(w, &p, folds, error);
    char *own_cache = path_join(w->options->out, "cache", error);
    if (!own_cache)
        return TS_MEMORY;
    const train_options o = {
        .data = w->options->data,
        .data_count = w->options->data_count,
        .out = w->run,
        .cache = w->options->cache ? w->options->cache : own_cache,
        .fold = w->cell->fold,
        .folds = folds,
        .resume = run_holds(w, "config.ini"),
    };
    const ts_status status = train_run(&p, &o, error);
    free(own_cache);
    return status;
}

/* How many steps there were, and their seconds, from metrics.csv. */
static ts_status read_cost(work *w, ts_error *error)
{
    csv_table t;
    char *path = path_join(w->run, "metrics.csv", error);
    if (!path)
        return TS_MEMORY;
    const ts_status status = csv_read(path, (size_t)1 << 32, true, &t, error);
    free(path);
    if (status != TS_OK)
        return status;
    const int step = csv_column(&t, "step"), seconds = csv_column(&t, "seconds");
    for (size_t row = 0; row < t.rows; row++) {
        double value;
        if (step >= 0 && csv_number(&t, row, step, &value))
            w->scores.steps = (int64_t)value;
        if (seconds >= 0 && csv_number(&t, row, seconds, &value))
            w->scores.seconds += value;
    }
    csv_free(&t);
    return TS_OK;
}

/* ---- predicting and scoring ------------------------------------------------------------------ */

/* The held-out cases that have `input`, with these images alone, so that a model cannot see more. The
 * cases borrow from the data set; free() them. */
static ts_status hold_out(const work *w, modality_set input, dataset *out, ts_error *error)
{
    const size_t count = w->held_out.count;
    *out = w->data;
    out->count = 0;
    out->cases = memory_allocate(count, sizeof *out->cases, "the held-out cases", error);
    if (!out->cases)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const dataset_case *c = dataset_find_case(&w->data, w->held_out.items[i]);
        if (!c || !c->truth) {
            free(out->cases);
            return error_set(
                error, TS_BAD_INPUT,
                "the run held out case '%s', which '%s' %s: it was trained on other data",
                w->held_out.items[i], w->data.path, c ? "has without a truth" : "does not hold");
        }
        if (input & ~dataset_case_modalities(c))
            continue;
        dataset_case *one = &out->cases[out->count++];
        *one = *c;
        for (int m = 0; m < MODALITIES; m++)
            if (!(input >> m & 1))
                one->image[m] = NULL;
    }
    return TS_OK;
}

static ts_status predict_all(const work *w, const model *m, const dataset *held_out,
                             const char *folder, ts_error *error)
{
    predictor *p;
    predict_counts counts;
    plan settings = m->plan;
    settings.threads = w->options->threads;
    settings.labels = LABELS_AUTO;
    ts_status status = predictor_create(m, 1, &settings, &p, error);
    if (status != TS_OK)
        return status;
    status = predict_folder(p, held_out, folder, &counts, error);
    if (status == TS_OK && counts.failed)
        status =
            error_set(error, TS_BAD_INPUT, "%zu of its %zu held-out cases could not be predicted",
                      counts.failed, held_out->count);
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

static ts_status score_all(const dataset *held_out, const char *folder, int thread_count,
                           model_scores *out, ts_error *error)
{
    pool *threads;
    out->cases = memory_allocate(held_out->count, sizeof *out->cases, "the scores", error);
    ts_status status = out->cases ? pool_create(thread_count, &threads, error) : TS_MEMORY;
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < held_out->count; i++) {
        out->count = i + 1;
        status = score_case(&held_out->cases[i], folder, threads, &out->cases[i], error);
    }
    pool_destroy(threads);
    return status;
}

/* Predictions and scores of one model on one set of inputs, as `twinseg predict` and `twinseg
 * evaluate` give them; nothing where no held-out case has the input. */
static ts_status score_model(work *w, const model *m, modality_set input, ts_error *error)
{
    char names[24];
    dataset held_out;
    modality_print(input, names);
    for (char *comma = names; (comma = strchr(comma, ','));)
        *comma = '+';
    ts_status status = hold_out(w, input, &held_out, error);
    if (status != TS_OK)
        return status;
    if (!held_out.count) {
        free(held_out.cases);
        return TS_OK;
    }
    model_scores *out = &w->scores.models[w->scores.count++];
    *out = (model_scores){.input = input, .parameters = m->weight_count};
    snprintf(out->role, sizeof out->role, "%s", m->role);
    weights_fingerprint(m->weights, m->weight_count, out->weights);
    char *folder =
        string_format("%s/predictions/%s/%s-%s", w->options->out, w->cell->name, m->role, names);
    status = folder ? predict_all(w, m, &held_out, folder, error)
                    : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK)
        status = score_all(&held_out, folder, w->options->threads, out, error);
    free(folder);
    free(held_out.cases);
    return status;
}

/* Scores one model on its input, or one for any subset on each subset of the study. */
static ts_status score_inputs(work *w, const study *s, const model *m, ts_error *error)
{
    const size_t count = model_any_subset(m) ? s->subset_count : 1;
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < count; i++)
        status = score_model(w, m, model_any_subset(m) ? s->subsets[i].set : m->channels, error);
    return status;
}

/* The student and, where the run has one, its teacher. Without a gradient into it that is the
 * teacher of method teacher bit for bit, so that the upper bound costs no run of its own. */
static ts_status score_models(work *w, const study *s, ts_error *error)
{
    static const char *const names[] = {"model.safetensors", "teacher.safetensors"};
    ts_status status = TS_OK;
    w->scores.models = memory_allocate(COUNT_OF(names) + s->subset_count, sizeof *w->scores.models,
                                       "the scores", error);
    if (!w->scores.models)
        return TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(names); i++) {
        model m;
        if (!run_holds(w, names[i]))
            continue;
        char *path = path_join(w->run, names[i], error);
        status = path ? model_read(path, &m, error) : TS_MEMORY;
        free(path);
        if (status != TS_OK)
            break;
        status = score_inputs(w, s, &m, error);
        model_free(&m);
    }
    return status;
}

/* Trains, predicts and scores, whatever of it is not done yet. */
static ts_status do_work(work *w, const study *s, ts_error *error)
{
    ts_status status = train(w, s->folds, error);
    if (status != TS_OK)
        return status;
    status = read_cost(w, error);
    if (status != TS_OK)
        return status;
    status = train_read_held_out(w->run, &w->held_out, error);
    if (status != TS_OK)
        return status;
    status = dataset_open_all(w->options->data, w->options->data_count,
                              (label_map)w->cell->plan.labels, &w->data, error);
    if (status != TS_OK)
        return status;
    status = score_models(w, s, error);
    dataset_close(&w->data);
    if (status != TS_OK)
        return status;
    return scores_write(w->options->scores, s, w->cell, &w->scores, error);
}

ts_status cell_run(const study *s, const study_cell *c, const study_options *o, ts_error *error)
{
    work w = {.cell = c, .options = o, .run = cell_path(o->out, "cells", c, "", error)};
    const ts_status status = w.run ? do_work(&w, s, error) : TS_MEMORY;
    cell_scores_free(&w.scores);
    string_list_free(&w.held_out);
    free(w.run);
    return status;
}
