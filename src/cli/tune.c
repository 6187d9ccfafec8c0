/* twinseg tune: chooses the post-processing rules on out-of-fold predictions and writes them into
 * models. */
#include "cli/cli.h"
#include "tune/tune.h"

#include <stdlib.h>
#include <string.h>

extern const cli_command tune_command;

static const cli_option options[] = {
    {"write", 'w', "MODELS", "model files, separated by ',', to write the rules into"},
    {"labels", 0, "P,T",
     "meaning of label values in PRED and TRUTH (one name: of both): " LABEL_NAMES},
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

/* The parts of a list joined by ','. */
static ts_status split_names(const char *names, string_list *out, ts_error *error)
{
    ts_status status = TS_OK;
    for (const char *at = names; status == TS_OK && *at;) {
        const size_t length = strcspn(at, ",");
        char *name = string_format("%.*s", (int)length, at);
        status =
            name ? string_list_add(out, name, error) : error_set(error, TS_MEMORY, "out of memory");
        free(name);
        at += length + (at[length] == ',');
    }
    return status;
}

static void print_tuning(const tuning *t)
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
    printf("\nchosen on %lld cases: less ET than %g mm3 in total becomes NCR, components below %g "
           "mm3 are removed\n",
           (long long)t->rules.cases, t->rules.et_mm3, t->rules.component_mm3);
    if (t->rules.component_confidence > 0)
        printf("together with component_confidence=%g, which the predictions were made with\n",
               t->rules.component_confidence);
}

static ts_status tune(const string_list *folders, const char *truth, const label_map labels[2],
                      const string_list *models, int thread_count, ts_error *error)
{
    tune_cases cases = {0};
    tuning t;
    pool *threads = NULL;
    ts_status status = tune_check_models(models, error);
    if (status == TS_OK)
        status = tune_cases_open(folders, truth, labels, &cases, error);
    if (status != TS_OK)
        goto end;
    status = pool_create(thread_count, &threads, error);
    if (status == TS_OK)
        status = tune_rules(&cases, threads, &t, error);
    if (status != TS_OK)
        goto end;
    print_tuning(&t);
    status = tune_write_models(models, &t.rules, error);
end:
    pool_destroy(threads);
    tune_cases_free(&cases);
    return status;
}

static int run(const cli_arguments *a)
{
    ts_error e;
    string_list folders = {0}, models = {0};
    int64_t threads = processor_count();
    const char *written = cli_value(a, "write");
    label_map labels[2];
    char names[2][16];
    const int bad = cli_label_maps(a, labels, names);
    if (bad)
        return bad;
    if (!cli_integer(a, "threads", 1, 1024, &threads))
        return 2;
    ts_status status = split_names(a->positional[0], &folders, &e);
    if (status == TS_OK && written)
        status = split_names(written, &models, &e);
    if (status == TS_OK)
        status = tune(&folders, a->positional[1], labels, &models, (int)threads, &e);
    string_list_free(&folders);
    string_list_free(&models);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command tune_command = {
    .name = "tune",
    .summary = "choose the post-processing rules on out-of-fold predictions",
    .usage = "PRED[,PRED...] TRUTH [--labels P,T] [--write MODEL[,MODEL...]]",
    .details =
        "PRED: folders of predictions of held-out cases, one for each fold, made without rules\n"
        "(et_threshold=0 component_threshold=0). TRUTH: a folder of label files or of cases.\n"
        "The rules with the best mean Dice over WT, TC and ET are written into the models, in "
        "mm3;\n"
        "predict uses them unless its settings differ. A component_confidence that PRED were\n"
        "predicted with is written too.",
    .options = options,
    .positional_min = 2,
    .positional_max = 2,
    .run = run,
};
