/* twinseg evaluate: scores of one case or of a folder, as a table, as CSV, as JSON. */
#include "cli/cli.h"
#include "evaluate/evaluate.h"

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
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

typedef struct {
    convention convention;
    evaluate_columns columns;
    label_map labels[2]; /* of predictions and truths */
    char label_names[2][16];
} reading;

/* All scores: values[case][region][figure]. */
static double value_at(const double *values, const reading *r, size_t i, int g, int f)
{
    return values[(i * (size_t)r->columns.regions + (size_t)g) * (size_t)r->columns.figures +
                  (size_t)f];
}

/* ---- output --------------------------------------------------------------------------------- */

static ts_status write_csv(const char *path, const evaluate_list *l, const double *values,
                           const reading *r, ts_error *error)
{
    const evaluate_columns *c = &r->columns;
    text t = {0};
    text_append(&t, "case,region");
    for (int f = 0; f < c->figures; f++)
        text_append(&t, ",%s", c->figure_names[f]);
    text_append(&t, "\n");
    for (size_t i = 0; i < l->count; i++)
        for (int g = 0; g < c->regions; g++) {
            text_append_field(&t, l->pairs[i].id);
            text_append(&t, ",%s", c->region_names[g]);
            for (int f = 0; f < c->figures; f++)
                text_append(&t, ",%.10g", value_at(values, r, i, g, f));
            text_append(&t, "\n");
        }
    const ts_status status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                                      : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

/* JSON has no number for what is undefined (null here) or infinite ("inf"). */
static json_t *json_score(double v, bool count)
{
    if (isnan(v))
        return json_null();
    if (isinf(v))
        return json_string("inf");
    return count ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *json_parameters(convention c)
{
    switch (c) {
    case CONVENTION_LESION:
        return json_pack("{s:i, s:i, s:i, s:i}", "dilation_voxels", 3, "small_lesion_mm3", 50,
                         "penalty_mm", 374, "connectivity", 26);
    case CONVENTION_PANOPTIC:
        return json_pack("{s:i, s:f, s:f, s:s, s:i}", "connectivity", 26, "least_dice_of_match",
                         1e-6, "nsd_tolerance_voxels", 0.5, "instance_nsd_tolerance",
                         "smallest voxel size", "infinite_hd95_in_mean", 373);
    default:
        return json_pack("{s:f}", "penalty_mm", 373.1286641361127);
    }
}

static json_t *json_summary(const evaluate_list *l, const double *values, const reading *r)
{
    const evaluate_columns *c = &r->columns;
    json_t *summary = json_pack("{s:s, s:o, s:[s, s], s:I}", "convention", c->name, "parameters",
                                json_parameters(r->convention), "labels", r->label_names[0],
                                r->label_names[1], "n", (json_int_t)l->count);
    static const char *const kinds[] = {"mean", "median"};
    for (int k = 0; k < 2; k++) {
        json_t *regions = json_object();
        for (int g = 0; g < c->regions; g++) {
            json_t *figures = json_object();
            for (int f = 0; f < c->figures; f++) {
                double both[2];
                evaluate_summary(values, l->count, c, g, f, &both[0], &both[1]);
                json_object_set_new(figures, c->figure_names[f], json_score(both[k], false));
            }
            json_object_set_new(regions, c->region_names[g], figures);
        }
        json_object_set_new(summary, kinds[k], regions);
    }
    return summary;
}

/* A case is a key beside "summary"; what cannot be one must not vanish. */
static ts_status print_json(const evaluate_list *l, const double *values, const reading *r,
                            ts_error *error)
{
    const evaluate_columns *c = &r->columns;
    json_t *root = json_object();
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < l->count; i++) {
        json_t *one = json_object();
        for (int g = 0; g < c->regions; g++) {
            json_t *figures = json_object();
            for (int f = 0; f < c->figures; f++)
                json_object_set_new(
                    figures, c->figure_names[f],
                    json_score(value_at(values, r, i, g, f), f >= c->figures - c->counts));
            json_object_set_new(one, c->region_names[g], figures);
        }
        if (json_object_set_new(root, l->pairs[i].id, one) != 0 ||
            !strcmp(l->pairs[i].id, "summary"))
            status = error_set(error, TS_BAD_INPUT,
                               "the case '%s' cannot be a key of the JSON: it is no UTF-8, or is "
                               "called 'summary'; rename it, or take -o scores.csv",
                               l->pairs[i].id);
    }
    if (status == TS_OK) {
        json_object_set_new(root, "summary", json_summary(l, values, r));
        json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        putchar('\n');
    }
    json_decref(root);
    return status;
}

enum { COLUMNS_MAX = 9, MEDIANS_MAX = 6, ROWS_MAX = 1 + REGIONS_ALL };

/* "-" for what is undefined, "inf" for what is infinite. */
static int print_score(char *word, size_t size, double v)
{
    return isnan(v) ? snprintf(word, size, "-") : snprintf(word, size, "%.4f", v);
}

/* Rows: the regions; columns: mean (and for several cases, where there is room, median) of each
 * figure that reads well. */
static void print_table(const evaluate_list *l, const double *values, const reading *r)
{
    const evaluate_columns *c = &r->columns;
    const size_t columns = 1 + (size_t)c->shown_count;
    const bool medians = l->count > 1 && c->shown_count <= MEDIANS_MAX;
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
            evaluate_summary(values, l->count, c, (int)row - 1, c->shown[column - 1], &mean,
                             &median);
            const int length = print_score(words[i], sizeof words[i], mean);
            if (medians)
                snprintf(words[i] + length, sizeof words[i] - (size_t)length, " (%.4f)", median);
        }
    }
    table_print(stdout, cells, (size_t)c->regions + 1, columns);
    if (l->count > 1)
        printf("%zu cases: mean%s, %s convention, HD95 in mm\n", l->count,
               medians ? " (median)" : "", c->name);
}

/* ---- the command ---------------------------------------------------------------------------- */

static ts_status score_all(const evaluate_list *l, const reading *r, int threads, double *values,
                           ts_error *error)
{
    pool *p;
    const size_t each = (size_t)(r->columns.regions * r->columns.figures);
    ts_status status = pool_create(threads, &p, error);
    for (size_t i = 0; status == TS_OK && i < l->count; i++) {
        if (l->count > 1)
            progress_show("scoring case %zu of %zu: %s", i + 1, l->count, l->pairs[i].id);
        status = evaluate_pair_figures(&l->pairs[i], r->convention, r->labels[0], r->labels[1], p,
                                       values + i * each, error);
    }
    progress_clear();
    pool_destroy(p);
    return status;
}

static int run(const cli_arguments *a)
{
    ts_error e;
    evaluate_list l;
    reading r = {.convention = CONVENTION_LESION};
    int64_t threads = processor_count();
    const char *name = cli_value(a, "convention"), *csv = cli_value(a, "output");
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
    for (size_t i = 0; i < l.unpaired.count; i++)
        note("the prediction of '%s' has no truth and is not scored", l.unpaired.items[i]);
    for (size_t i = 0; i < l.count; i++)
        if (!l.pairs[i].prediction)
            warn("'%s' has no prediction and scores as empty", l.pairs[i].id);
        else if (file_same(l.pairs[i].prediction, l.pairs[i].truth))
            warn("prediction and truth of '%s' are one file", l.pairs[i].id);
    r.columns = evaluate_columns_of(r.convention, r.labels[0] == LABELS_BRATS2024 ||
                                                      r.labels[1] == LABELS_BRATS2024);
    double *values = memory_allocate(l.count * (size_t)(r.columns.regions * r.columns.figures),
                                     sizeof *values, "the scores", &e);
    ts_status status = values ? TS_OK : TS_MEMORY;
    if (status == TS_OK && csv)
        status = file_try(csv, &e);
    if (status == TS_OK)
        status = score_all(&l, &r, (int)threads, values, &e);
    if (status == TS_OK && csv)
        status = write_csv(csv, &l, values, &r, &e);
    if (status == TS_OK && cli_flag(a, "json"))
        status = print_json(&l, values, &r, &e);
    else if (status == TS_OK)
        print_table(&l, values, &r);
    const bool missing = l.missing > 0;
    free(values);
    evaluate_list_free(&l);
    if (status != TS_OK)
        return cli_fail(&e);
    return missing ? 1 : 0;
}

const cli_command evaluate_command = {
    .name = "evaluate",
    .summary = "score predictions as the BraTS challenges do",
    .usage =
        "PRED TRUTH [--convention lesion|legacy|panoptic] [--labels P,T] [-o scores.csv] [--json]",
    .details =
        "PRED and TRUTH are two files or two folders. A case is a file's name less extension\n"
        "and -seg or _seg; folders pair by it. A missing prediction scores as empty and makes\n"
        "the exit status 1.\n"
        "panoptic computes what brats-evaluation 0.0.10 does for adult glioma: docs/metrics.md;\n"
        "with --labels brats2024, RC too. There \"-\" (JSON null, CSV nan) is undefined.",
    .options = options,
    .positional_min = 2,
    .positional_max = 2,
    .run = run,
};
