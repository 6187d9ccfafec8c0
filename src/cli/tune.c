/* twinseg tune: the rules after the argmax, chosen on out-of-fold predictions and kept in
 * models. */
#include "cli/cli.h"
#include "predict/predict.h"

#include <stdlib.h>
#include <string.h>

extern const cli_command tune_command;

static const cli_option options[] = {
    {"write", 'w', "MODELS", "model files, joined by ',', that shall carry the rules"},
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

/* The pairs of several folders of predictions with one folder of truths. */
typedef struct {
    evaluate_list *lists;
    size_t list_count;
    const evaluate_pair **pairs;
    size_t count;
} pairing;

static void free_pairing(pairing *p)
{
    for (size_t i = 0; i < p->list_count; i++)
        evaluate_list_free(&p->lists[i]);
    free(p->lists);
    free(p->pairs);
}

/* Calls each for every part of a list joined by ','. */
static ts_status over_names(const char *names, void *context,
                            ts_status (*each)(void *context, const char *name, ts_error *error),
                            ts_error *error)
{
    ts_status status = TS_OK;
    for (const char *at = names; status == TS_OK && *at;) {
        const size_t length = strcspn(at, ",");
        char *name = string_format("%.*s", (int)length, at);
        status = name ? each(context, name, error) : error_set(error, TS_MEMORY, "out of memory");
        free(name);
        at += length + (at[length] == ',');
    }
    return status;
}

typedef struct {
    pairing *pairing;
    const char *truth;
    double component_confidence; /* that all folders were predicted under */
} pairing_job;

static ts_status add_predictions(void *context, const char *folder, ts_error *error)
{
    pairing_job *j = context;
    pairing *p = j->pairing;
    evaluate_list *lists = realloc(p->lists, (p->list_count + 1) * sizeof *lists);
    if (!lists)
        return error_set(error, TS_MEMORY, "out of memory");
    p->lists = lists;
    evaluate_list *l = &lists[p->list_count];
    double confidence;
    ts_status status = predict_recorded_confidence(folder, &confidence, error);
    if (status == TS_OK && p->list_count && confidence != j->component_confidence)
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' was predicted with component_confidence=%g, the folders before it "
                           "with %g: a rule is one for all folds",
                           folder, confidence, j->component_confidence);
    j->component_confidence = confidence;
    if (status == TS_OK)
        status = evaluate_list_open(folder, j->truth, l, error);
    if (status != TS_OK)
        return status;
    p->list_count++;
    const evaluate_pair **pairs = realloc(p->pairs, (p->count + l->count) * sizeof(*pairs));
    if (!pairs)
        return error_set(error, TS_MEMORY, "out of memory");
    p->pairs = pairs;
    for (size_t i = 0; i < l->count; i++) {
        if (!l->pairs[i].prediction)
            continue;
        for (size_t k = 0; k < p->count; k++)
            if (!strcmp(pairs[k]->id, l->pairs[i].id))
                return error_set(error, TS_BAD_INPUT,
                                 "case %s is predicted twice, in '%s' and '%s': folds hold out "
                                 "every case once",
                                 l->pairs[i].id, pairs[k]->prediction, l->pairs[i].prediction);
        pairs[p->count++] = &l->pairs[i];
    }
    return TS_OK;
}

static ts_status write_rules(void *context, const char *path, ts_error *error)
{
    model m;
    ts_status status = model_read(path, &m, error);
    if (status != TS_OK)
        return status;
    m.rules = *(const model_rules *)context;
    status = model_write(path, &m, error);
    model_free(&m);
    return status;
}

static void print_tuning(const predict_tuning *t)
{
    const struct {
        const char *name;
        const double *dice;
    } rows[] = {{"as predicted", t->before},
                {"under the rules", t->after},
                {"each case by the others' rules", t->held_out}};
    enum { COLUMNS = REGIONS + 2 };
    char numbers[COUNT_OF(rows)][REGIONS + 1][16];
    const char *cells[(COUNT_OF(rows) + 1) * COLUMNS] = {"mean Dice", "WT", "TC", "ET", "mean"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double sum = 0;
        cells[(i + 1) * COLUMNS] = rows[i].name;
        for (int r = 0; r < REGIONS; r++) {
            snprintf(numbers[i][r], sizeof numbers[i][r], "%.4f", rows[i].dice[r]);
            sum += rows[i].dice[r] / REGIONS;
        }
        snprintf(numbers[i][REGIONS], sizeof numbers[i][0], "%.4f", sum);
        for (int c = 1; c < COLUMNS; c++)
            cells[(i + 1) * COLUMNS + (size_t)c] = numbers[i][c - 1];
    }
    table_print(stdout, cells, COUNT_OF(rows) + 1, COLUMNS);
    printf(
        "\nchosen on %lld cases: ET below %g mm3 in all becomes NCR, components below %g mm3 go\n",
        (long long)t->rules.cases, t->rules.et_mm3, t->rules.component_mm3);
    if (t->rules.component_confidence > 0)
        printf("beside component_confidence=%g, which the predictions were made with\n",
               t->rules.component_confidence);
}

static int run(const cli_arguments *a)
{
    ts_error e;
    pairing all = {0};
    pairing_job j = {.pairing = &all, .truth = a->positional[1]};
    predict_tuning t;
    pool *threads = NULL;
    int64_t count = processor_count();
    const char *models = cli_value(a, "write");
    if (!cli_integer(a, "threads", 1, 1024, &count))
        return 2;
    ts_status status = over_names(a->positional[0], &j, add_predictions, &e);
    if (status == TS_OK && all.count < 2)
        status = error_set(&e, TS_BAD_INPUT, "'%s' and '%s' have %zu cases in common: too few",
                           a->positional[0], a->positional[1], all.count);
    if (status == TS_OK)
        status = pool_create((int)count, &threads, &e);
    if (status == TS_OK)
        status = predict_tune(all.pairs, all.count, threads, &t, &e);
    if (status == TS_OK) {
        t.rules.component_confidence = j.component_confidence;
        print_tuning(&t);
    }
    if (status == TS_OK && models)
        status = over_names(models, &t.rules, write_rules, &e);
    pool_destroy(threads);
    free_pairing(&all);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command tune_command = {
    .name = "tune",
    .summary = "choose the rules after the argmax on out-of-fold predictions",
    .usage = "PRED[,PRED...] TRUTH [--write MODEL[,MODEL...]]",
    .details =
        "PRED are folders of predictions of held-out cases, one a fold, made without rules\n"
        "(et_threshold=0 component_threshold=0); TRUTH is a folder of label files or of cases.\n"
        "The rules with the best mean Dice over WT, TC and ET are kept in the models as mm3, and\n"
        "predict uses them unless its settings say otherwise. A component_confidence under which\n"
        "PRED were predicted is kept beside them.",
    .options = options,
    .positional_min = 2,
    .positional_max = 2,
    .run = run,
};
