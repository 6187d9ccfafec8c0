/* twinseg evaluate: scores of one case or of a folder, as a table, as CSV, as JSON. */
#include "cli/cli.h"
#include "evaluate/evaluate.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

extern const cli_command evaluate_command;

static const cli_option options[] = {
    {"convention", 0, "NAME",
     "lesion (BraTS 2023, lesion by lesion; default) or legacy (2017-2021)"},
    {"labels", 0, "P,T",
     "meaning of label values in PRED and TRUTH (one name: of both): auto, "
     "brats2021, brats2023, brats2024, msd"},
    {"output", 'o', "FILE.csv", "every score of every case as a table"},
    {"json", 0, NULL, "print JSON instead of a table"},
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

typedef struct {
    convention convention;
    label_map labels[2]; /* of predictions and truths */
    char label_names[2][16];
} reading;

/* "brats2021" or "brats2021,msd"; the names are the plan's. */
static int parse_labels(const cli_arguments *a, const char *value, reading *r)
{
    ts_error e;
    const size_t first = strcspn(value, ",");
    for (int i = 0; i < 2; i++) {
        plan p;
        const char *from = i && value[first] ? value + first + 1 : value;
        snprintf(r->label_names[i], sizeof r->label_names[i], "%.*s",
                 (int)(from == value ? first : strlen(from)), from);
        plan_defaults(&p);
        if (plan_set(&p, "labels", r->label_names[i], "--labels", &e) != TS_OK)
            return cli_usage_error(a->command, "%s", e.text);
        r->labels[i] = (label_map)p.labels;
    }
    return 0;
}

static int figures_of(const reading *r)
{
    return r->convention == CONVENTION_LESION ? EVALUATE_FIGURES : EVALUATE_LESION_FIGURES;
}

/* ---- output --------------------------------------------------------------------------------- */

static ts_status write_csv(const char *path, const evaluate_list *l, const region_scores *all,
                           const reading *r, ts_error *error)
{
    text t = {0};
    text_append(&t, "case,region");
    for (int f = 0; f < figures_of(r); f++)
        text_append(&t, ",%s", evaluate_figure_names[f]);
    text_append(&t, "\n");
    for (size_t i = 0; i < l->count; i++)
        for (int g = 0; g < REGIONS; g++) {
            text_append(&t, "%s,%s", l->pairs[i].id, region_names[g]);
            for (int f = 0; f < figures_of(r); f++)
                text_append(&t, ",%.10g", evaluate_figure(&all[i * REGIONS + (size_t)g], f));
            text_append(&t, "\n");
        }
    const ts_status status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                                      : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

static json_t *json_figure(const region_scores *s, int figure)
{
    const double v = evaluate_figure(s, figure);
    return figure > 5 ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *json_summary(const evaluate_list *l, const region_scores *all, const reading *r)
{
    const bool lesion = r->convention == CONVENTION_LESION;
    json_t *parameters =
        lesion ? json_pack("{s:i, s:i, s:i, s:i}", "dilation_voxels", 3, "small_lesion_mm3", 50,
                           "penalty_mm", 374, "connectivity", 26)
               : json_pack("{s:f}", "penalty_mm", 373.1286641361127);
    json_t *summary = json_pack("{s:s, s:o, s:[s, s], s:I}", "convention",
                                lesion ? "lesion" : "legacy", "parameters", parameters, "labels",
                                r->label_names[0], r->label_names[1], "n", (json_int_t)l->count);
    static const char *const kinds[] = {"mean", "median"};
    for (int k = 0; k < 2; k++) {
        json_t *regions = json_object();
        for (int g = 0; g < REGIONS; g++) {
            json_t *figures = json_object();
            for (int f = 0; f < figures_of(r); f++) {
                double both[2];
                evaluate_summary(all, l->count, (region)g, f, &both[0], &both[1]);
                json_object_set_new(figures, evaluate_figure_names[f], json_real(both[k]));
            }
            json_object_set_new(regions, region_names[g], figures);
        }
        json_object_set_new(summary, kinds[k], regions);
    }
    return summary;
}

/* A case is a key beside "summary"; what cannot be one must not vanish. */
static ts_status print_json(const evaluate_list *l, const region_scores *all, const reading *r,
                            ts_error *error)
{
    json_t *root = json_object();
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < l->count; i++) {
        json_t *one = json_object();
        for (int g = 0; g < REGIONS; g++) {
            json_t *figures = json_object();
            for (int f = 0; f < figures_of(r); f++)
                json_object_set_new(figures, evaluate_figure_names[f],
                                    json_figure(&all[i * REGIONS + (size_t)g], f));
            json_object_set_new(one, region_names[g], figures);
        }
        if (json_object_set_new(root, l->pairs[i].id, one) != 0 ||
            !strcmp(l->pairs[i].id, "summary"))
            status = error_set(error, TS_BAD_INPUT,
                               "the case '%s' cannot be a key of the JSON: it is no UTF-8, or is "
                               "called 'summary'; rename it, or take -o scores.csv",
                               l->pairs[i].id);
    }
    if (status == TS_OK) {
        json_object_set_new(root, "summary", json_summary(l, all, r));
        json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        putchar('\n');
    }
    json_decref(root);
    return status;
}

/* Rows: the regions; columns: mean (and for several cases median) of each figure that reads well.
 */
static void print_table(const evaluate_list *l, const region_scores *all, const reading *r)
{
    enum { COLUMNS_MAX = 7 };
    static const int legacy[] = {0, 1, 2, 3}, lesion[] = {0, 1, 2, 3, 4, 5};
    const bool lesions = r->convention == CONVENTION_LESION;
    const int *shown = lesions ? lesion : legacy;
    const size_t columns = 1 + (lesions ? COUNT_OF(lesion) : COUNT_OF(legacy));
    char words[(REGIONS + 1) * COLUMNS_MAX][48];
    const char *cells[(REGIONS + 1) * COLUMNS_MAX];
    for (size_t i = 0; i < (REGIONS + 1) * columns; i++) {
        const size_t row = i / columns, column = i % columns;
        double mean, median;
        cells[i] = words[i];
        if (column == 0)
            snprintf(words[i], sizeof words[i], "%s", row ? region_names[row - 1] : "region");
        else if (row == 0)
            snprintf(words[i], sizeof words[i], "%s", evaluate_figure_names[shown[column - 1]]);
        else {
            evaluate_summary(all, l->count, (region)(row - 1), shown[column - 1], &mean, &median);
            if (l->count > 1)
                snprintf(words[i], sizeof words[i], "%.4f (%.4f)", mean, median);
            else
                snprintf(words[i], sizeof words[i], "%.4f", mean);
        }
    }
    table_print(stdout, cells, REGIONS + 1, columns);
    if (l->count > 1)
        printf("%zu cases: mean (median), %s convention, HD95 in mm\n", l->count,
               lesions ? "lesion" : "legacy");
}

/* ---- the command ---------------------------------------------------------------------------- */

static ts_status score_all(const evaluate_list *l, const reading *r, int threads,
                           region_scores *all, ts_error *error)
{
    pool *p;
    ts_status status = pool_create(threads, &p, error);
    for (size_t i = 0; status == TS_OK && i < l->count; i++) {
        if (l->count > 1)
            progress_show("scoring case %zu of %zu: %s", i + 1, l->count, l->pairs[i].id);
        status = evaluate_pair_score(&l->pairs[i], r->convention, r->labels[0], r->labels[1], p,
                                     all + i * REGIONS, error);
    }
    progress_end();
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
    const char *labels = cli_value(a, "labels");
    if (name && strcmp(name, "lesion") && strcmp(name, "legacy"))
        return cli_usage_error(a->command, "--convention is lesion or legacy, not '%s'", name);
    if (name && !strcmp(name, "legacy"))
        r.convention = CONVENTION_LEGACY;
    const int bad = parse_labels(a, labels ? labels : "auto", &r);
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
    region_scores *all = memory_allocate(l.count * REGIONS, sizeof *all, "the scores", &e);
    ts_status status = all ? TS_OK : TS_MEMORY;
    if (status == TS_OK && csv)
        status = file_try(csv, &e);
    if (status == TS_OK)
        status = score_all(&l, &r, (int)threads, all, &e);
    if (status == TS_OK && csv)
        status = write_csv(csv, &l, all, &r, &e);
    if (status == TS_OK && cli_flag(a, "json"))
        status = print_json(&l, all, &r, &e);
    else if (status == TS_OK)
        print_table(&l, all, &r);
    const bool missing = l.missing > 0;
    free(all);
    evaluate_list_free(&l);
    if (status != TS_OK)
        return cli_fail(&e);
    return missing ? 1 : 0;
}

const cli_command evaluate_command = {
    .name = "evaluate",
    .summary = "score predictions as the BraTS challenges do",
    .usage = "PRED TRUTH [--convention lesion|legacy] [--labels P,T] [-o scores.csv] [--json]",
    .details =
        "PRED and TRUTH are two files or two folders. A case is a file's name less extension\n"
        "and -seg or _seg; folders pair by it. A missing prediction scores as empty and makes\n"
        "the exit status 1.",
    .options = options,
    .positional_min = 2,
    .positional_max = 2,
    .run = run,
};
