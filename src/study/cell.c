/* One cell: train, predict what was held out, score it. Each part continues from what an earlier
 * call left. */
#include "study/scoring.h"
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
    const ts_status status = csv_read(path, (size_t)1 << 30, true, &t, error);
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

/* The held-out cases; free(). */
static ts_status find_held_out(const work *w, const dataset_case ***out, ts_error *error)
{
    const size_t count = w->held_out.count;
    *out = memory_allocate(count, sizeof **out, "the held-out cases", error);
    if (!*out)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const dataset_case *c = dataset_find_case(&w->data, w->held_out.items[i]);
        (*out)[i] = c;
        if (c && c->truth)
            continue;
        free(*out);
        return error_set(error, TS_BAD_INPUT,
                         "the run held out case '%s', which '%s' %s: it was trained on other data",
                         w->held_out.items[i], w->data.path,
                         c ? "has without a truth" : "does not hold");
    }
    return TS_OK;
}

/* Predictions and scores of one model on one set of inputs; nothing where no held-out case has
 * them. */
static ts_status score_model(work *w, const model *m, modality_set input, ts_error *error)
{
    char names[24];
    dataset cases = {0};
    const dataset_case **held_out;
    char *folder = NULL;
    plan settings = m->plan;
    settings.threads = w->options->threads;
    ts_status status = find_held_out(w, &held_out, error);
    if (status != TS_OK)
        return status;
    status = scoring_choose(&w->data, held_out, w->held_out.count, input, &cases, error);
    if (status != TS_OK || !cases.count)
        goto end;
    folder = string_format("%s/predictions/%s/%s-%s", w->options->out, w->cell->name, m->role,
                           scoring_name(input, names));
    status = folder ? scoring_run(m, &settings, &cases, input, folder,
                                  &w->scores.models[w->scores.count++], error)
                    : error_set(error, TS_MEMORY, "out of memory");
end:
    free(folder);
    free(cases.cases);
    free(held_out);
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
