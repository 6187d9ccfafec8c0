/* twinseg compare: two dates of one patient. */
#include "cli/cli.h"
#include "compare/compare.h"

#include <math.h>
#include <stdlib.h>

static const cli_option options[] = {
    {"output", 'o', "DIR", "a folder for compare.json, compare.csv and compare.png"},
    {"labels", 0, "MAP", LABEL_NAMES " [auto]"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {NULL, 0, NULL, NULL},
};

enum { COLUMNS = 6 };

typedef char word[48];

static void fill_row(word *w, const char *name, double before, double after, const char *state)
{
    const double percent = compare_percent(before, after);
    snprintf(w[0], sizeof *w, "%s", name);
    snprintf(w[1], sizeof *w, "%.2f", before);
    snprintf(w[2], sizeof *w, "%.2f", after);
    snprintf(w[3], sizeof *w, "%+.2f", after - before);
    if (isnan(percent))
        snprintf(w[4], sizeof *w, "-");
    else
        snprintf(w[4], sizeof *w, "%+.1f", percent);
    snprintf(w[5], sizeof *w, "%s", state);
}

static ts_status print_table(const comparison *c, ts_error *error)
{
    static const char *const names[COLUMNS] = {"ml", "before", "after", "change", "%", "lesion"};
    const measures *a = &c->date[0], *b = &c->date[1];
    const size_t rows = 1 + LABELS - 1 + REGION_ET + 1 + c->count;
    word *words = memory_allocate(rows * COLUMNS, sizeof *words, "a table", error);
    const char **cells =
        words ? memory_allocate(rows * COLUMNS, sizeof *cells, "a table", error) : NULL;
    if (!cells) {
        free(words);
        return TS_MEMORY;
    }
    word *next = words + COLUMNS;
    for (int label = 1; label < LABELS; label++, next += COLUMNS)
        fill_row(next, label_names[label], a->label_ml[label], b->label_ml[label], "");
    for (int r = 0; r < REGION_ET; r++, next += COLUMNS)
        fill_row(next, region_names[r], a->region_ml[r], b->region_ml[r], "");
    fill_row(next, "sum of products, cm2", a->sum_of_products_mm2 / 100,
             b->sum_of_products_mm2 / 100, "");
    next += COLUMNS;
    for (size_t i = 0; i < c->count; i++, next += COLUMNS) {
        const compare_group *g = &c->groups[i];
        char name[48], state[48];
        snprintf(name, sizeof name, "lesion %zu, ET", i + 1);
        snprintf(state, sizeof state, "%s, %s", compare_state(g), g->right ? "right" : "left");
        fill_row(next, name, g->et_ml[0], g->et_ml[1], state);
    }
    for (size_t i = 0; i < rows * COLUMNS; i++)
        cells[i] = i < COLUMNS ? names[i] : words[i];
    table_print(stdout, cells, rows, COLUMNS);
    free(words);
    free(cells);
    return TS_OK;
}

static int run(const cli_arguments *a)
{
    const char *labels = cli_value(a, "labels");
    compare_request r = {
        .before = a->positional[0], .after = a->positional[1], .out = cli_value(a, "output")};
    int64_t threads = 0;
    plan settings;
    ts_error e;
    pool *p;
    comparison c;
    if (!cli_integer(a, "threads", 0, 1024, &threads))
        return 2;
    plan_defaults(&settings);
    if (labels && plan_set(&settings, "labels", labels, "--labels", &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    r.labels = (label_map)settings.labels;
    interrupt_install();
    if (pool_create(threads ? (int)threads : processor_count(), &p, &e) != TS_OK)
        return cli_fail(&e);
    ts_status status = compare_dates(&r, p, &c, &e);
    pool_destroy(p);
    if (status == TS_OK)
        status = print_table(&c, &e);
    if (status == TS_OK) {
        printf("registered by %s: turned %.1f degrees, shifted %.1f mm, normalised mutual "
               "information %.3f\n",
               modality_names[c.contrast[1]], c.found.angle_degrees, c.found.shift_mm,
               c.found.after.nmi);
        if (c.found.after.nmi < ALIGN_DOUBTFUL_NMI || c.found.disagreement_mm > ALIGN_DOUBTFUL_MM)
            warn("the registration of the two dates is in doubt: are they of one patient? "
                 "Look at the picture before you believe that lesions are the same or new");
    }
    if (status == TS_OK && r.out)
        print_line(stdout, "%s: compare.json, compare.csv, compare.png", r.out);
    comparison_free(&c);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command compare_command = {
    .name = "compare",
    .summary = "two dates of a patient: what changed, which lesions are new",
    .usage = "BEFORE AFTER [-o DIR]",
    .details =
        "BEFORE and AFTER are folders of one patient: seg.nii.gz with images/ beside it, or one "
        "case's\nimages and labels in any layout. Volumes are measured on each date's own grid; "
        "the images\nare registered to match lesions: docs/measures.md. Research use only.",
    .options = options,
    .positional_min = 2,
    .positional_max = 2,
    .run = run,
};
