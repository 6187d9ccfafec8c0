/* twinseg evaluate: scores of one case or of a folder, as a table, as CSV, as JSON. */
#include "cli/cli.h"
#include "evaluate/evaluate.h"
#include "predict/predict.h"
#include "study/study.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const cli_command evaluate_command;

static const cli_option options[] = {
    {"convention", 0, "NAME",
     "lesion (BraTS 2023, lesion by lesion; default), legacy (2017-2021) or panoptic (since 2025)"},
    {"labels", 0, "P,T",
     "meaning of label values in PRED and TRUTH (one name: of both): " LABEL_NAMES},
    {"output", 'o', "FILE.csv", "every score of every case as a table"},
    {"json", 0, NULL, "print JSON instead of a table"},
    {"subsets", 0, "DIR",
     "predict DATA by MODEL from each of the 15 subsets of the modalities, into DIR, and make the "
     "table of the literature"},
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

enum { COLUMNS_MAX = 9, MEDIANS_MAX = 6, ROWS_MAX = 1 + REGIONS_ALL };

/* "-" for what is undefined, "inf" for what is infinite. */
static int print_score(char *word, size_t size, double v)
{
    return isnan(v) ? snprintf(word, size, "-") : snprintf(word, size, "%.4f", v);
}

/* Rows: the regions; columns: mean (and for several cases, where there is room, median) of each
 * figure that reads well. */
static void print_table(const evaluate_results *r)
{
    const evaluate_columns *c = &r->columns;
    const size_t columns = 1 + (size_t)c->shown_count;
    const bool medians = r->list->count > 1 && c->shown_count <= MEDIANS_MAX;
    char words[ROWS_MAX * COLUMNS_MAX][48];
    const char *cells[ROWS_MAX * COLUMNS_MAX];
    for (size_t i = 0; i < ((size_t)c->regions + 1) * columns; i++) {
        const size_t row = i / columns, column = i % columns;
        double mean, median;
        cells[i] = words[i];
        if (column == 0)
            snprintf(words[i], sizeof words[i], "%s", row ? c->region_names[row - 1] : "region");
        else if (row == 0)
            snprintf(words[i], sizeof words[i], "%s", c->figure_names[c->shown[column - 1]]);
        else {
            evaluate_summary(r, (int)row - 1, c->shown[column - 1], &mean, &median);
            const int length = print_score(words[i], sizeof words[i], mean);
            if (medians)
                snprintf(words[i] + length, sizeof words[i] - (size_t)length, " (%.4f)", median);
        }
    }
    table_print(stdout, cells, (size_t)c->regions + 1, columns);
    if (r->list->count > 1)
        printf("%zu cases: mean%s, %s convention, HD95 in mm\n", r->list->count,
               medians ? " (median)" : "", c->name);
}

static ts_status print_json(const evaluate_results *r, ts_error *error)
{
    json_t *root;
    const ts_status status = evaluate_json(r, &root, error);
    if (status != TS_OK)
        return status;
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(root);
    return TS_OK;
}

/* ---- the command ---------------------------------------------------------------------------- */

static ts_status score_all(const evaluate_results *r, int threads, ts_error *error)
{
    pool *p;
    const evaluate_list *l = r->list;
    const size_t each = (size_t)(r->columns.regions * r->columns.figures);
    ts_status status = pool_create(threads, &p, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < l->count; i++) {
        if (l->count > 1)
            progress_show("scoring case %zu of %zu: %s", i + 1, l->count, l->pairs[i].id);
        status = evaluate_pair_figures(&l->pairs[i], r->convention, r->labels[0], r->labels[1], p,
                                       r->values + i * each, error);
    }
    progress_clear();
    pool_destroy(p);
    return status;
}

static void warn_of_pairs(const evaluate_list *l)
{
    for (size_t i = 0; i < l->unpaired.count; i++)
        note("the prediction of '%s' has no truth and is not scored", l->unpaired.items[i]);
    for (size_t i = 0; i < l->count; i++)
        if (!l->pairs[i].prediction)
            warn("'%s' has no prediction and scores as empty", l->pairs[i].id);
        else if (file_same(l->pairs[i].prediction, l->pairs[i].truth))
            warn("prediction and truth of '%s' are one file", l->pairs[i].id);
}

/* The readings that the folders state, where --labels does not. */
static ts_status take_labels(evaluate_results *r, const cli_arguments *a, ts_error *error)
{
    for (int i = 0; i < 2; i++) {
        const label_map given = r->labels[i];
        const ts_status status =
            predict_take_labels(a->positional[i], i == 1, &r->labels[i], error);
        if (status != TS_OK)
            return status;
        if (r->labels[i] != given)
            snprintf(r->label_names[i], sizeof r->label_names[i], "%s", labels_name(r->labels[i]));
    }
    return TS_OK;
}

/* Scores the list and prints it. */
static ts_status evaluate_all(evaluate_results *r, const cli_arguments *a, int threads,
                              ts_error *error)
{
    const char *csv = cli_value(a, "output");
    ts_status status = csv ? file_try(csv, error) : TS_OK;
    if (status == TS_OK)
        status = score_all(r, threads, error);
    if (status == TS_OK && csv)
        status = evaluate_write_csv(r, csv, error);
    if (status != TS_OK)
        return status;
    if (cli_flag(a, "json"))
        return print_json(r, error);
    print_table(r);
    return TS_OK;
}

/* ---- all subsets of the modalities ---------------------------------------------------------- */

static int run_subsets(const cli_arguments *a, const model *m, bool lesion)
{
    ts_error e;
    dataset d;
    char *shown = NULL;
    plan settings = predict_defaults(m);
    const int bad = cli_plan_over(a, &settings);
    if (bad)
        return bad;
    if (dataset_open_all(a->positional + 1, (size_t)a->positional_count - 1,
                         (label_map)settings.labels, &d, &e) != TS_OK)
        return cli_fail(&e);
    for (size_t i = 0; i < d.notes.count; i++)
        note("%s", d.notes.items[i]);
    const study_subsets_options o = {.model = m,
                                     .settings = &settings,
                                     .data = &d,
                                     .out = cli_value(a, "subsets"),
                                     .lesion = lesion};
    const ts_status status = study_subsets_run(&o, &shown, &e);
    progress_clear();
    if (status == TS_OK)
        fputs(shown, stdout);
    free(shown);
    dataset_close(&d);
    return status == TS_OK ? 0 : cli_fail(&e);
}

static int evaluate_subsets(const cli_arguments *a)
{
    model m;
    ts_error e;
    const char *name = cli_value(a, "convention");
    const bool lesion = name && !strcmp(name, "lesion");
    if (name && !lesion && strcmp(name, "legacy") != 0)
        return cli_usage_error(a->command,
                               "with --subsets, --convention is legacy (the default) or lesion, "
                               "not '%s'",
                               name);
    if (cli_flag(a, "output") || cli_flag(a, "json") || cli_flag(a, "labels"))
        return cli_usage_error(a->command,
                               "--subsets writes its tables into its folder and takes labels=MAP "
                               "for the truths: leave out --output, --json and --labels");
    interrupt_install();
    if (model_open(a->positional[0], &m, &e) != TS_OK)
        return cli_fail(&e);
    const int code = run_subsets(a, &m, lesion);
    model_free(&m);
    return code;
}

static int run(const cli_arguments *a)
{
    ts_error e;
    evaluate_list l;
    evaluate_results r = {.convention = CONVENTION_LESION, .list = &l};
    int64_t threads = processor_count();
    const char *name = cli_value(a, "convention");
    if (cli_flag(a, "subsets"))
        return evaluate_subsets(a);
    if (a->positional_count > 2)
        return cli_usage_error(a->command, "'%s' is one argument too many", a->positional[2]);
    if (a->settings_count)
        return cli_usage_error(a->command, "'%s' goes with --subsets alone", a->settings[0]);
    if (name && !evaluate_convention(name, &r.convention))
        return cli_usage_error(a->command, "--convention is lesion, legacy or panoptic, not '%s'",
                               name);
    const int bad = cli_label_maps(a, r.labels, r.label_names);
    if (bad)
        return bad;
    if (!cli_integer(a, "threads", 1, 1024, &threads))
        return 2;
    if (evaluate_list_open(a->positional[0], a->positional[1], &l, &e) != TS_OK)
        return cli_fail(&e);
    warn_of_pairs(&l);
    if (take_labels(&r, a, &e) != TS_OK) {
        evaluate_list_free(&l);
        return cli_fail(&e);
    }
    r.columns = evaluate_columns_of(r.convention, r.labels[0] == LABELS_BRATS2024 ||
                                                      r.labels[1] == LABELS_BRATS2024);
    r.values = memory_allocate(l.count * (size_t)(r.columns.regions * r.columns.figures),
                               sizeof *r.values, "the scores", &e);
    const ts_status status = r.values ? evaluate_all(&r, a, (int)threads, &e) : TS_MEMORY;
    const bool missing = l.missing > 0;
    free(r.values);
    evaluate_list_free(&l);
    if (status != TS_OK)
        return cli_fail(&e);
    return missing ? 1 : 0;
}

const cli_command evaluate_command = {
    .name = "evaluate",
    .summary = "score predictions as the BraTS challenges do",
    .usage =
        "PRED TRUTH [--convention lesion|legacy|panoptic] [--labels P,T] [-o scores.csv] [--json]\n"
        "MODEL DATA [DATA2 ...] --subsets DIR [--convention legacy|lesion] [key=value ...]",
    .details =
        "PRED and TRUTH are two files or two folders. A case is a file's name without extension\n"
        "and -seg or _seg; folders pair by it. A missing prediction scores as empty and makes\n"
        "the exit status 1.\n"
        "Without --labels, a predict.json or dataset.json beside the files (or above TRUTH)\n"
        "says what their values mean.\n"
        "panoptic computes what brats-evaluation 0.0.10 does for adult glioma: docs/metrics.md;\n"
        "with --labels brats2024, RC too. There \"-\" (JSON null, CSV nan) is undefined.\n"
        "With --subsets, MODEL (a student of any subset) is given every subset of the images that "
        "a\n"
        "case has; the table is as papers on missing modalities print it, in Markdown, CSV and "
        "LaTeX.",
    .options = options,
    .positional_min = 2,
    .positional_max = 1 + CLI_FOLDERS_MAX,
    .settings = true,
    .settings_only = predict_settings,
    .run = run,
};
