/* What tune works on: folders of predictions with their truths, and model files. */
#include "tune/tune.h"
#include "predict/predict.h"

#include <stdlib.h>
#include <string.h>

/* ---- cases ---------------------------------------------------------------------------------- */

static ts_status add_pairs(tune_cases *c, const evaluate_list *l, label_map labels, ts_error *error)
{
    label_map *maps = realloc(c->labels, (c->count + l->count) * sizeof *maps);
    if (!maps)
        return error_set(error, TS_MEMORY, "out of memory");
    c->labels = maps;
    const evaluate_pair **pairs = realloc(c->pairs, (c->count + l->count) * sizeof(*pairs));
    if (!pairs)
        return error_set(error, TS_MEMORY, "out of memory");
    c->pairs = pairs;
    for (size_t i = 0; i < l->count; i++) {
        if (!l->pairs[i].prediction)
            continue;
        for (size_t k = 0; k < c->count; k++)
            if (!strcmp(pairs[k]->id, l->pairs[i].id))
                return error_set(error, TS_BAD_INPUT,
                                 "case %s is predicted twice, in '%s' and '%s': folds hold out "
                                 "every case once",
                                 l->pairs[i].id, pairs[k]->prediction, l->pairs[i].prediction);
        maps[c->count] = labels;
        pairs[c->count++] = &l->pairs[i];
    }
    return TS_OK;
}

static ts_status add_folder(tune_cases *c, const char *folder, const char *truth, label_map labels,
                            ts_error *error)
{
    double confidence;
    evaluate_list *l = &c->lists[c->list_count];
    ts_status status = predict_recorded_confidence(folder, &confidence, error);
    if (status != TS_OK)
        return status;
    if (c->list_count && confidence != c->component_confidence)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' was predicted with component_confidence=%g, the folders before it "
                         "with %g: predict all folds with one value",
                         folder, confidence, c->component_confidence);
    c->component_confidence = confidence;
    status = evaluate_list_open(folder, truth, l, error);
    if (status != TS_OK)
        return status;
    c->list_count++;
    status = predict_take_labels(folder, false, &labels, error);
    return status == TS_OK ? add_pairs(c, l, labels, error) : status;
}

ts_status tune_cases_open(const string_list *folders, const char *truth, const label_map labels[2],
                          tune_cases *out, ts_error *error)
{
    *out = (tune_cases){
        .truth_labels = labels[1],
        .lists = memory_allocate(folders->count, sizeof *out->lists, "the folders", error)};
    if (!out->lists)
        return TS_MEMORY;
    ts_status status = predict_take_labels(truth, true, &out->truth_labels, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < folders->count; i++) {
        status = add_folder(out, folders->items[i], truth, labels[0], error);
        if (status != TS_OK)
            return status;
    }
    if (out->count < 2)
        return error_set(error, TS_BAD_INPUT,
                         "%zu cases are both predicted and in '%s': at least 2 are needed",
                         out->count, truth);
    return TS_OK;
}

void tune_cases_free(tune_cases *c)
{
    for (size_t i = 0; i < c->list_count; i++)
        evaluate_list_free(&c->lists[i]);
    free(c->lists);
    free(c->pairs);
    free(c->labels);
    *c = (tune_cases){0};
}

/* ---- models --------------------------------------------------------------------------------- */

ts_status tune_check_models(const string_list *paths, ts_error *error)
{
    for (size_t i = 0; i < paths->count; i++) {
        model m;
        ts_status status = model_read(paths->items[i], &m, error);
        if (status == TS_OK) {
            model_free(&m);
            status = file_try(paths->items[i], error);
        }
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

ts_status tune_write_models(const string_list *paths, const model_rules *rules, ts_error *error)
{
    for (size_t i = 0; i < paths->count; i++) {
        model m;
        ts_status status = model_read(paths->items[i], &m, error);
        if (status != TS_OK)
            return status;
        m.rules = *rules;
        status = model_write(paths->items[i], &m, error);
        model_free(&m);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}
